"""The LUT unit: an element-wise function by a table with linear interpolation.

The input is brought to fixed point. Its top bits index a segment, its low bits interpolate between
the segment's two end points. Outside the table the function follows a straight tail: zero on the
left and the identity on the right, which is what GELU tends to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hwmodels.units.actions import Actions, of
from hwmodels.units.ops import HALF_UP, RNE, Table, fits, lookup, saturate, scale, select, shift_right


@dataclass(frozen=True)
class LutConfig:
    """One LUT unit with its loaded table.

    Attributes
    ----------
    lanes : int
        Elements per cycle.
    in_bits : int
        Width of the fixed-point word.
    fraction : int
        Fraction bits of input and output.
    step_bits : int
        Low bits that interpolate: a segment is ``2**step_bits`` steps of ``2**-fraction`` wide.
    table : tuple of int
        End points of the segments over ``[-span, span]``.
    latency : int
        Cycles from the first element in to the first element out.
    """

    lanes: int
    in_bits: int
    fraction: int
    step_bits: int
    table: tuple[int, ...]
    latency: int

    @property
    def span(self) -> int:
        """Half of the covered range, in steps of ``2**-fraction``."""
        return ((len(self.table) - 1) << self.step_bits) >> 1


def to_fixed(code: int, exponent: int, fraction: int, in_bits: int) -> int:
    """``code * 2**exponent`` as a fixed-point word with `fraction` fraction bits, saturated."""
    return saturate(scale(code, exponent + fraction, in_bits, RNE), in_bits)


def is_clipped(code: int, exponent: int, fraction: int, in_bits: int) -> bool:
    """Whether an input lies beyond the fixed-point word."""
    word = scale(code, exponent + fraction, in_bits, RNE)
    return saturate(word, in_bits) != word


def interpolate(table: Table, position: int, step_bits: int) -> int:
    """The table's function at `position`: the top bits pick a segment, the low bits interpolate."""
    i = position >> step_bits
    low = position - (i << step_bits)
    left = lookup(table, i)
    right = lookup(table, i + 1)
    return left + shift_right((right - left) * low, step_bits, HALF_UP)


def evaluate(table: Table, x: int, span: int, step_bits: int) -> int:
    """The function at the fixed-point `x`: the table inside the span, the tails outside."""
    inside = (x >= -span) & (x < span)
    position = select(inside, x + span, 0)
    return select(inside, interpolate(table, position, step_bits), select(x < 0, 0, x))


def result(
    config: LutConfig, codes: Sequence[int], exponents: Sequence[int]
) -> tuple[list[int], list[int], int]:
    """The function of each element.

    Parameters
    ----------
    config : LutConfig
    codes, exponents : sequence of int
        Elements with the value ``code * 2**exponent``.

    Returns
    -------
    sums, exponents : list of int
        Fixed-point words and their exponent, ``-fraction`` throughout.
    clipped : int
        How many inputs lay beyond the fixed-point word.
    """
    words = [to_fixed(c, e, config.fraction, config.in_bits) for c, e in zip(codes, exponents, strict=True)]
    sums = [fits(evaluate(config.table, x, config.span, config.step_bits), config.in_bits) for x in words]
    clipped = sum(
        is_clipped(c, e, config.fraction, config.in_bits) for c, e in zip(codes, exponents, strict=True)
    )
    return sums, [-config.fraction] * len(sums), clipped


def cycles(config: LutConfig, elements: int) -> int:
    """Cycles for `elements` elements: ``ceil(elements / lanes) + latency``.

    By hand: 49 x 512 elements on 64 lanes with latency 4: 392 + 4 = 396 cycles.
    """
    return -(-elements // config.lanes) + config.latency


def actions(config: LutConfig, elements: int) -> Actions:
    """Actions per element: a shift, two table reads, a multiply, and three adds.

    The adds are the offset into the table, the difference of two entries, and the interpolation.
    """
    counts = {
        f"shift:{config.in_bits}": elements,
        f"table:{config.in_bits}": 2 * elements,
        f"mul:{config.in_bits}x{config.step_bits}": elements,
        f"add:{config.in_bits}": 3 * elements,
    }
    return of("lut", counts)
