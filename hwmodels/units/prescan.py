"""The prescan unit: the exact bound of an output, before its product streams.

The largest exponent of a row plus the largest of a column bounds all terms of their product, and may
lie far above each of them. The prescan adds the two exponents of every segment and keeps the largest
sum, one segment of one output per lane and cycle. Segments with a block of zeros take no part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hwmodels.units.actions import Actions, of
from hwmodels.units.ops import ZERO_BLOCK, largest, select

SUM_BITS, WORD = 9, 10
"""Width of the sum of two stored exponents, and of the bound that is compared and kept."""


@dataclass(frozen=True)
class PrescanConfig:
    """One prescan unit.

    Attributes
    ----------
    lanes : int
        Segments of outputs per cycle.
    """

    lanes: int


def join(bound: int, row: int, column: int, zero: int) -> int:
    """The bound after one more segment with these exponents; `zero` is the code of a block of zeros."""
    return select((row == zero) | (column == zero), bound, largest(bound, row + column))


def result(rows: Sequence[int], columns: Sequence[int], floor: int) -> int:
    """The exact bound E of one output.

    Parameters
    ----------
    rows, columns : sequence of int
        The exponents of both operands, segment by segment.
    floor : int
        The lowest bound under which the bias fits, see `mac_array.bias_floor`.

    Returns
    -------
    int
        By hand: rows 3, -5, zero block and columns -9, 2, 40 over a floor of -20 give the largest of
        -6, -3 and -20, which is -3. (The bound of row plus column would be 43.)
    """
    bound = floor
    for row, column in zip(rows, columns, strict=True):
        bound = join(bound, row, column, ZERO_BLOCK)
    return bound


def cycles(config: PrescanConfig, m: int, n: int, segments: int) -> int:
    """Cycles for a tile of ``m x n`` outputs: ``ceil(m n segments / lanes)``.

    By hand: 49 x 64 outputs of 8 segments on 64 lanes take 392 cycles.
    """
    return -(-m * n * segments // config.lanes)


def actions(m: int, n: int, segments: int) -> Actions:
    """An add and a compare per segment and output, and a store of every output's bound."""
    terms = m * n * segments
    counts = {f"add:{SUM_BITS}": terms, f"compare:{WORD}": terms, "register.bits": m * n * WORD}
    return of("prescan", counts)
