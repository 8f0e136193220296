"""The softmax unit: rows in three passes, exponential and reciprocal by table.

1. A row is aligned to its largest exponent with guard bits; its largest word is found.
2. ``2**-((max - x) log2 e)``: the integer part is a right shift, the fraction a table; the sum.
3. Each exponential times the reciprocal of the sum: an unsigned fraction of 16 bits.

Each pass runs over all rows of a tile before the next begins, which waits until the pipeline is empty.
Between the passes the words of the tile lie in the vector buffer, which a pass reads and writes in place,
and what belongs to a row lies in a memory of rows: its exponent, its largest word, its sum.

A mask is a predicate: masked keys enter no maximum and no sum, and a row without keys is all zero.
The row's exponent is the largest of the blocks that have a key: it is in the memory of rows before the row
is, as who writes the scores, or reads their exponents ahead of their codes, has seen all of them.

What the unit does in a clock cycle is in `hwmodels.units.softmax_step`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hwmodels.units.actions import Actions, of
from hwmodels.units.lut import interpolate
from hwmodels.units.ops import (
    FLOOR,
    HALF_UP,
    LONGEST_SHIFT,
    RNE,
    ZERO_BLOCK,
    Table,
    bit_length,
    fits,
    fits_unsigned,
    largest,
    mul,
    scale,
    select,
    shift_right,
    smallest,
)

CODE_BITS, EXPONENT_BITS = 16, 8
"""Widths of a code that is read and of its exponent."""

FRACTION = 16
"""Fraction bits of the exponent, the exponential, the reciprocal and the result."""

ENTRY_BITS = FRACTION + 1
"""Unsigned bits of an entry of either table, and of what lies between two of them."""

SUM_BITS = 40
"""Unsigned bits of the sum of a row."""

LOG2E, LOG2E_FRACTION, LOG2E_BITS = 23637, 14, 15
"""``log2(e)`` with 14 fraction bits, and its unsigned bits."""

FARTHEST = 24
"""Longest right shift of an element below the row's exponent, beyond which nothing of it is left."""

VANISHED = (32 << FRACTION) - 1
"""Largest distance kept: ``2**-32`` is zero in 16 bits."""

LONGEST_LEFT = FRACTION + 5
"""Longest left shift of a distance: whatever is not zero has vanished by then."""


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
        Cycles from the last element of a pass to the first of the next: the depth of the pipeline.
    """

    lanes: int
    guard_bits: int
    exp2: tuple[int, ...]
    reciprocal: tuple[int, ...]
    latency: int


def step_bits(entries: int) -> int:
    """Low bits that interpolate in a table of ``2**n + 1`` entries over 16 fraction bits."""
    return FRACTION + 1 - bit_length(entries - 1)


def word_bits(guard_bits: int) -> int:
    """Bits of a word of the vector buffer: an aligned element, or a number of `ENTRY_BITS`."""
    return largest(CODE_BITS + guard_bits, ENTRY_BITS + 1)


def lowest(guard_bits: int) -> int:
    """What stands for a masked key: no word is less."""
    return -(1 << (word_bits(guard_bits) - 1))


def below(exponent: int, row_exponent: int) -> int:
    """How far an exponent lies below that of its row; no key of a block above it takes part."""
    return largest(row_exponent - exponent, 0)


def shifted(code: int, distance: int, guard_bits: int) -> int:
    """The code so far below the row's exponent, with `guard_bits` bits more."""
    return scale(code, guard_bits - distance, FARTHEST, RNE)


def aligned(code: int, exponent: int, row_exponent: int, guard_bits: int) -> int:
    """The element with `guard_bits` bits below the row's largest exponent."""
    return shifted(code, below(exponent, row_exponent), guard_bits)


def distance_of(top: int, x: int) -> int:
    """How far a word lies below the largest; a masked one may lie above."""
    return largest(top - x, 0)


def distance_exponent(row_exponent: int, guard_bits: int) -> int:
    """The shift that brings a distance times log2 e to 16 fraction bits."""
    return row_exponent - guard_bits - LOG2E_FRACTION + FRACTION


def in_octaves(distance: int, bits: int) -> int:
    """A distance of so many bits, times log2 e."""
    return mul(distance, LOG2E, bits + 1, LOG2E_BITS + 1)


def held(product: int, exponent: int) -> int:
    """A distance in octaves with 16 fraction bits, no more than `VANISHED`."""
    return smallest(scale(product, smallest(exponent, LONGEST_LEFT), LONGEST_SHIFT, HALF_UP), VANISHED)


def exponential(distance: int, row_exponent: int, guard_bits: int, table: Table, low: int) -> int:
    """``2**-(distance log2 e)`` with 16 fraction bits, for an aligned ``distance >= 0``."""
    product = in_octaves(distance, word_bits(guard_bits))
    t = held(product, distance_exponent(row_exponent, guard_bits))
    line = interpolate(table, t & ((1 << FRACTION) - 1), low, ENTRY_BITS + 1)
    return shift_right(line, t >> FRACTION, HALF_UP)


def places_of(total: int) -> int:
    """``n`` for a total in ``[2**n, 2**(n+1))``; zero for zero."""
    return largest(bit_length(total) - 1, 0)


def mantissa_of(total: int, places: int) -> int:
    """The 16 bits below the leading one."""
    return scale(total, FRACTION - places, LONGEST_SHIFT, FLOOR) & ((1 << FRACTION) - 1)


def reciprocal_of(total: int, table: Table, low: int) -> int:
    """``2**(16 + n) / total`` for a total in ``[2**n, 2**(n+1))``, by leading-zero count and table."""
    return interpolate(table, mantissa_of(total, places_of(total)), low, ENTRY_BITS + 1)


def fraction_of(product: int, places: int) -> int:
    """An exponential times the reciprocal, as an unsigned fraction of 16 bits."""
    return smallest(shift_right(product, places, HALF_UP), (1 << FRACTION) - 1)


def quotient(numerator: int, inverse: int, places: int) -> int:
    """``numerator / total`` as an unsigned fraction of 16 bits; zero for a row without keys."""
    return fraction_of(mul(numerator, inverse, ENTRY_BITS + 1, ENTRY_BITS + 1), places)


def exponent_of(exponents: Sequence[int], keys: Sequence[bool]) -> int:
    """The largest exponent of a row's keys."""
    found = ZERO_BLOCK
    for e, keep in zip(exponents, keys, strict=True):
        found = select(keep, largest(found, e), found)
    return found


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
    guard_bits = config.guard_bits
    row_exponent = exponent_of(exponents, keys)
    words = [
        fits(select(keep, aligned(c, e, row_exponent, guard_bits), lowest(guard_bits)), word_bits(guard_bits))
        for c, e, keep in zip(codes, exponents, keys, strict=True)
    ]
    top = lowest(guard_bits)
    for x in words:
        top = largest(top, x)
    low = step_bits(len(config.exp2))
    powers = [
        select(keep, exponential(distance_of(top, x), row_exponent, guard_bits, config.exp2, low), 0)
        for x, keep in zip(words, keys, strict=True)
    ]
    total = fits_unsigned(sum(powers), SUM_BITS)
    inverse = reciprocal_of(total, config.reciprocal, step_bits(len(config.reciprocal)))
    return [quotient(p, inverse, places_of(total)) for p in powers], [-FRACTION] * len(powers)


def cycles(config: SoftmaxConfig, rows: int, columns: int) -> int:
    """Cycles for a tile: ``rows * 3 * ceil(columns / lanes) + 3 latency``, three passes each drained.

    By hand: 49 rows of 49 on 64 lanes with latency 8: 3 x (49 + 8) = 171 cycles.
    """
    return rows * 3 * -(-columns // config.lanes) + 3 * config.latency


def actions(config: SoftmaxConfig, rows: int, columns: int) -> Actions:
    """Actions, by pass, per element and per row.

    1: align, compare. 2: subtract, times log2 e, shift, interpolate (two reads, a difference, a multiply,
    an add), shift, sum; per row the reciprocal (leading-zero count, shift, interpolate). 3: multiply,
    shift. Between the passes a row lies in the vector buffer: one word, then one exponential, each written
    and read.
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
        f"add:{SUM_BITS}": n,
        f"lzc:{SUM_BITS}": rows,
        f"shift:{SUM_BITS}": rows,
        "mul:17x17": n,
        "shift:34": n,
        "vector.bits": 2 * n * (word + ENTRY_BITS),
    }
    counts[f"mul:17x{low_row}"] = counts.get(f"mul:17x{low_row}", 0) + rows
    return of("softmax", counts)
