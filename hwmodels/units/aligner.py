"""The aligner: brings a sum with an exponent of its own to the exponent of the accumulator.

An accumulator holds ``value * 2**(guard - E)``: E is the bound of all terms, `guard` the number of
bits kept below it. A term ``x * 2**e`` is therefore shifted by ``guard - (E - e)``.
"""

from __future__ import annotations

from dataclasses import dataclass

from hwmodels.units.actions import Actions, of
from hwmodels.units.ops import largest, magnitude, scale, select

BOUND, EXACT, RUNNING = 0, 1, 2
"""Which E an output is held under: the row's plus the column's largest exponent; the largest sum of a
segment's two exponents, found by a prescan; or the largest sum so far, as the terms arrive."""

NORMALISES = {"bound": BOUND, "exact": EXACT, "running": RUNNING}


@dataclass(frozen=True)
class AlignerConfig:
    """One aligner lane.

    Attributes
    ----------
    guard_bits : int
        Bits kept below the bound E; may be negative (low bits dropped).
    max_shift : int
        Longest shift in either direction; what lies beyond is flushed to zero and counted.
    rounding : int
        One of `ops.ROUNDINGS`.
    """

    guard_bits: int
    max_shift: int
    rounding: int


def distance(bound: int, exponent: int, guard_bits: int) -> int:
    """The shift that brings a term at `exponent` under `bound`: positive is left."""
    return guard_bits - (bound - exponent)


def align(x: int, shift: int, max_shift: int, rounding: int) -> int:
    """``x * 2**shift``, rounded; zero where the shift is longer than the aligner's."""
    return select(magnitude(shift) > max_shift, 0, scale(x, shift, max_shift, rounding))


def is_flushed(x: int, shift: int, max_shift: int) -> bool:
    """Whether a term that is not zero is lost because its shift is too long."""
    return (x != 0) & (magnitude(shift) > max_shift)


def bound(row: int, column: int, floor: int, zero: int) -> int:
    """E of one output: the row's and the column's largest exponents, not below the bias's floor.

    `zero` is the code of a row or column that has no value other than zero: it bounds nothing.
    """
    product = select((row == zero) | (column == zero), floor, row + column)
    return largest(product, floor)


def result(config: AlignerConfig, x: int, exponent: int, bound: int) -> int:
    """The aligned term.

    Parameters
    ----------
    config : AlignerConfig
    x : int
        A term with the value ``x * 2**exponent``.
    exponent, bound : int
        The term's exponent and the accumulator's bound E.

    Returns
    -------
    int
        ``x * 2**(exponent - bound + guard_bits)``, rounded.
    """
    shift = distance(bound, exponent, config.guard_bits)
    return align(x, shift, config.max_shift, config.rounding)


def cycles(terms: int, aligners: int) -> int:
    """Cycles that `aligners` lanes need for the `terms` of one output: ``ceil(terms / aligners)``.

    By hand: four segments in one pass and one aligner per column take 4 cycles, two aligners 2.
    """
    return -(-terms // aligners)


def actions(bits: int, terms: int) -> Actions:
    """Actions of aligning `terms` terms in words of `bits` bits: a shift and a rounding add each."""
    return of("align", {f"shift:{bits}": terms, f"add:{bits}": terms})
