"""The softmax unit: one row in three passes, exponential and reciprocal by table.

1. The row is aligned to its largest exponent with guard bits; its maximum is found.
2. ``2**-((max - x) log2 e)``: the integer part is a right shift, the fraction a table; the sum.
3. Each exponential times the reciprocal of the sum: an unsigned fraction of 16 bits.

A mask is a predicate: masked keys enter no maximum and no sum, and a row without keys is all zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hwmodels.units.actions import Actions, of
from hwmodels.units.lut import interpolate
from hwmodels.units.ops import (
    FLOOR,
    HALF_UP,
    RNE,
    ZERO_BLOCK,
    Table,
    bit_length,
    fits,
    fits_unsigned,
    largest,
    scale,
    select,
    shift_right,
    smallest,
)

FRACTION = 16
"""Fraction bits of the exponent, the exponential, the reciprocal and the result."""

LOG2E, LOG2E_FRACTION = 23637, 14
"""``log2(e)`` with 14 fraction bits."""

LONGEST_SHIFT = 24
"""Longest left shift of the scaled distance, beyond which every exponential is zero anyway."""

VANISHED = (32 << FRACTION) - 1
"""Largest distance kept: ``2**-32`` is zero in 16 bits."""

LOWEST = -(1 << 40)
"""Start of the maximum search: below every aligned element."""


@dataclass(frozen=True)
class SoftmaxConfig:
    """One softmax unit with its two loaded tables.

    Attributes
    ----------
    lanes : int
        Elements per cycle.
    guard_bits : int
        Bits kept below the least significant bit of the row's largest exponent.
    exp2, reciprocal : tuple of int
        Tables of ``2**-f`` and ``1/m`` with 16 fraction bits, a power of two of segments.
    latency : int
        Cycles from the last element of a pass to the first of the next.
    """

    lanes: int
    guard_bits: int
    exp2: tuple[int, ...]
    reciprocal: tuple[int, ...]
    latency: int


def step_bits(entries: int) -> int:
    """Low bits that interpolate in a table of ``2**n + 1`` entries over 16 fraction bits."""
    return FRACTION + 1 - bit_length(entries - 1)


def aligned(code: int, exponent: int, row_exponent: int, guard_bits: int) -> int:
    """The element with `guard_bits` bits below the row's largest exponent."""
    return scale(code, exponent - row_exponent + guard_bits, LONGEST_SHIFT, RNE)


def exponential(distance: int, row_exponent: int, guard_bits: int, table: Table, low: int) -> int:
    """``2**-(distance log2 e)`` with 16 fraction bits, for an aligned ``distance >= 0``."""
    s = row_exponent - guard_bits - LOG2E_FRACTION + FRACTION
    t = smallest(scale(distance * LOG2E, smallest(s, LONGEST_SHIFT), 62, HALF_UP), VANISHED)
    whole = t >> FRACTION
    return shift_right(interpolate(table, t - (whole << FRACTION), low, FRACTION + 2), whole, HALF_UP)


def reciprocal_of(total: int, table: Table, low: int) -> int:
    """``2**(16 + n) / total`` for a total in ``[2**n, 2**(n+1))``, by leading-zero count and table."""
    n = largest(bit_length(total) - 1, 0)
    mantissa = scale(total, FRACTION - n, 62, FLOOR)
    return interpolate(table, largest(mantissa - (1 << FRACTION), 0), low, FRACTION + 2)


def quotient(numerator: int, total: int, inverse: int) -> int:
    """``numerator / total`` as an unsigned fraction of 16 bits; zero where the total is zero."""
    n = largest(bit_length(total) - 1, 0)
    y = shift_right(numerator * inverse, n, HALF_UP)
    return select(total == 0, 0, smallest(y, (1 << FRACTION) - 1))


def result(
    config: SoftmaxConfig, codes: Sequence[int], exponents: Sequence[int], keys: Sequence[bool]
) -> tuple[list[int], list[int]]:
    """Softmax of one row.

    Parameters
    ----------
    config : SoftmaxConfig
    codes, exponents : sequence of int
        The row's elements, ``code * 2**exponent``.
    keys : sequence of bool
        Which elements take part.

    Returns
    -------
    sums, exponents : list of int
        Unsigned 16-bit fractions and their exponent, -16 throughout.
    """
    row_exponent = ZERO_BLOCK
    for e, keep in zip(exponents, keys, strict=True):
        row_exponent = select(keep, largest(row_exponent, e), row_exponent)
    words = [
        fits(aligned(c, smallest(e, row_exponent), row_exponent, config.guard_bits), 40)
        for c, e in zip(codes, exponents, strict=True)
    ]
    top = LOWEST
    for x, keep in zip(words, keys, strict=True):
        top = select(keep, largest(top, x), top)
    low = step_bits(len(config.exp2))
    powers = [
        select(
            keep,
            exponential(largest(top - x, 0), row_exponent, config.guard_bits, config.exp2, low),
            0,
        )
        for x, keep in zip(words, keys, strict=True)
    ]
    total = fits_unsigned(sum(powers), 40)
    inverse = reciprocal_of(total, config.reciprocal, step_bits(len(config.reciprocal)))
    return [quotient(p, total, inverse) for p in powers], [-FRACTION] * len(powers)


def cycles(config: SoftmaxConfig, rows: int, columns: int) -> int:
    """Cycles for `rows` rows, one after the other: ``rows * 3 * ceil(columns / lanes) + 3 latency``.

    By hand: 49 rows of 49 on 64 lanes with latency 8: 49 * 3 + 24 = 171 cycles.
    """
    return rows * 3 * -(-columns // config.lanes) + 3 * config.latency


def actions(config: SoftmaxConfig, rows: int, columns: int) -> Actions:
    """Actions, by pass, per element and per row.

    1: align, compare. 2: subtract, times log2 e, shift, interpolate (two reads, a difference, a multiply,
    an add), shift, sum; per row the reciprocal (leading-zero count, shift, interpolate). 3: multiply,
    shift. A row stays in registers between the passes: one word written, then one exponential.
    """
    n = rows * columns
    word = 17 + config.guard_bits
    low, low_row = step_bits(len(config.exp2)), step_bits(len(config.reciprocal))
    counts = {
        f"shift:{word}": n,
        f"compare:{word}": n,
        f"add:{word}": n,
        f"mul:{word}x15": n,
        f"shift:{word + 15}": n,
        "table:17": 2 * n + 2 * rows,
        "add:17": 2 * n + 2 * rows,
        f"mul:17x{low}": n,
        "shift:17": n,
        "add:32": n,
        "lzc:32": rows,
        "shift:32": rows,
        "mul:17x17": n,
        "shift:34": n,
        "register.bits": n * (word + 17),
    }
    counts[f"mul:17x{low_row}"] = counts.get(f"mul:17x{low_row}", 0) + rows
    return of("softmax", counts)
