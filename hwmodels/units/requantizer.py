"""The requantizer: turns a block of wide sums into codes with one shared exponent.

A wide sum stands for ``acc * 2**exponent``. The elements of a block may differ in their exponent.
Pass 1 finds the block's exponent, pass 2 shifts, rounds and saturates. The outcome equals
``encode(decode(sums))`` of the block's format with round-to-nearest-even. A static, calibrated exponent
takes the place of pass 1. Before both, sums of operands with real scales go through a multiplier.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hwmodels.units.actions import Actions, of
from hwmodels.units.ops import (
    EXPONENT_MAX,
    EXPONENT_MIN,
    RNE,
    ZERO_BLOCK,
    bit_length,
    clamp,
    fits,
    fits_unsigned,
    largest,
    magnitude,
    saturate_symmetric,
    scale,
    select,
    shift_right,
)

NO_KEY = -1024
"""Key of a sum that is zero: below every other key."""

NO_STATIC = -10000
"""In place of a static exponent: find the block's own."""

SUM_BITS, MULTIPLIER_BITS = 48, 16
"""Widest sum that is taken in, and the width of an unsigned multiplier."""

LONGEST_SHIFT = 62
"""Longest shift of pass 2; beyond it a sum leaves the word altogether."""


@dataclass(frozen=True)
class RequantizerConfig:
    """One requantizer.

    Attributes
    ----------
    lanes : int
        Elements per cycle.
    merged : bool
        Whether pass 1 runs while the sums are written; else it is a pass of its own.
    latency : int
        Cycles from the first element in to the first element out.
    """

    lanes: int
    merged: bool
    latency: int


def key(acc: int, exponent: int) -> int:
    """The smallest k with ``|acc| * 2**exponent < 2**k``; `NO_KEY` for zero."""
    return select(acc == 0, NO_KEY, exponent + bit_length(magnitude(acc)))


def rounds_up(acc: int, bits: int) -> bool:
    """Whether the leading ``bits - 1`` bits of the magnitude round up to ``2**(bits-1)``."""
    length = bit_length(magnitude(acc))
    dropped = largest(length - (bits - 1), 0)
    return shift_right(magnitude(acc), dropped, RNE) == (1 << (bits - 1))


def rank(acc: int, exponent: int, bits: int) -> int:
    """``2 key + rounds_up``: the largest of a block holds its kmax and the flag of that kmax."""
    return 2 * key(acc, exponent) + select(rounds_up(acc, bits), 1, 0)


def raw_exponent(top: int, bits: int) -> int:
    """The block's exponent before it is brought into range: ``kmax - (bits - 1) + flag``."""
    return (top >> 1) - (bits - 1) + (top & 1)


def block_exponent(top: int, bits: int) -> int:
    """The stored exponent of a block whose largest rank is `top`; `ZERO_BLOCK` for all zeros."""
    held = clamp(raw_exponent(top, bits), EXPONENT_MIN, EXPONENT_MAX)
    return select(top == 2 * NO_KEY, ZERO_BLOCK, held)


def is_clamped(top: int, bits: int) -> bool:
    """Whether the block's exponent had to be brought into the range of a stored exponent."""
    raw = raw_exponent(top, bits)
    return (top != 2 * NO_KEY) & ((raw < EXPONENT_MIN) | (raw > EXPONENT_MAX))


def scaled(acc: int, multiplier: int) -> int:
    """A sum times its real scale's 16-bit unsigned multiplier; the exponents add (`scaled_exponent`)."""
    return fits(acc, SUM_BITS) * fits_unsigned(multiplier, MULTIPLIER_BITS)


def scaled_exponent(exponent: int, multiplier_exponent: int) -> int:
    """Exponent of a scaled sum."""
    return exponent + multiplier_exponent


def rounded(acc: int, exponent: int, stored: int, bits: int) -> int:
    """``acc * 2**(exponent - stored)``, rounded to nearest, ties to even, before saturation.

    A left shift longer than `bits` saturates whatever its length, so it is held there; and so is a sum
    that saturates under any left shift.
    """
    shift = clamp(exponent - stored, -LONGEST_SHIFT, bits)
    held = clamp(acc, -(1 << bits), 1 << bits)
    return scale(select(shift > 0, held, acc), shift, LONGEST_SHIFT, RNE)


def code(acc: int, exponent: int, stored: int, bits: int) -> int:
    """The stored code of one sum under the block's exponent `stored`."""
    return saturate_symmetric(rounded(acc, exponent, stored, bits), bits)


def is_saturated(acc: int, exponent: int, stored: int, bits: int) -> bool:
    """Whether the code of this sum had to be saturated."""
    return code(acc, exponent, stored, bits) != rounded(acc, exponent, stored, bits)


def top_of(sums: Sequence[int], exponents: Sequence[int], bits: int) -> int:
    """Pass 1: the largest rank of a block's sums.

    By hand, 8 bits: 255 x 2**-4 has key 4 and rounds up to 128, rank 9; 300 x 2**-9 has key 0, rank 0.
    """
    top = 2 * NO_KEY
    for acc, exponent in zip(sums, exponents, strict=True):
        top = largest(top, rank(acc, exponent, bits))
    return top


def result(
    sums: Sequence[int],
    exponents: Sequence[int],
    bits: int,
    stored: int | None = None,
    top: int | None = None,
) -> tuple[list[int], int, int, int]:
    """Requantize one block.

    Parameters
    ----------
    sums, exponents : sequence of int
        The block's wide sums and the exponent of each.
    bits : int
        Width of a stored code.
    stored : int, optional
        A static exponent: no search, and it stands for a block of zeros too.
    top : int, optional
        The block's largest rank, where pass 1 ran while the sums were written (see `top_of`).

    Returns
    -------
    codes : list of int
        One code per sum, in plus or minus ``2**(bits-1) - 1``.
    exponent : int
        The shared exponent, `ZERO_BLOCK` for a block of zeros.
    clamped, saturated : int
        1 if the exponent was clamped; how many codes were saturated.

    Notes
    -----
    By hand, 8 bits: 255 and -64 at 2**-4 have the largest rank 9, so the exponent is 4 - 7 + 1 = -2 and
    the codes are 64 (63.75 rounded) and -16. Under a static -4 they are 127, saturated, and -64.
    """
    clamped = False
    if stored is None:
        found = top_of(sums, exponents, bits) if top is None else top
        stored, clamped = block_exponent(found, bits), is_clamped(found, bits)
    codes = [code(a, e, stored, bits) for a, e in zip(sums, exponents, strict=True)]
    saturated = sum(is_saturated(a, e, stored, bits) for a, e in zip(sums, exponents, strict=True))
    return codes, stored, int(clamped), int(saturated)


def cycles(config: RequantizerConfig, elements: int, static: bool = False) -> int:
    """Cycles for `elements` sums: ``passes * ceil(elements / lanes) + latency``.

    One pass where the exponent is static or pass 1 is merged into the writing of the sums (to the
    accumulators, or to the SRAM that they spill to), two where it is not.

    By hand: 49 x 64 sums on 64 lanes, merged, latency 4: 49 + 4 = 53 cycles.
    """
    passes = 1 if config.merged or static else 2
    return passes * -(-elements // config.lanes) + config.latency


def actions(
    elements: int, blocks: int, wide_bits: int, bits: int, static: bool = False, real: bool = False
) -> Actions:
    """Actions: per element a leading-zero count and a compare, then a shift, an add, a saturation.

    A static exponent saves the search; a real scale adds a multiply and an add of exponents.
    """
    search = 0 if static else elements
    counts = {
        f"lzc:{wide_bits}": search,
        "compare:10": search,
        f"shift:{wide_bits}": elements,
        f"add:{bits}": elements + (0 if static else blocks),
        f"compare:{bits}": 2 * elements,
    }
    if real:
        counts[f"mul:{wide_bits}x{MULTIPLIER_BITS}"] = elements
        counts["add:10"] = elements
    return of("requantize", {action: count for action, count in counts.items() if count})
