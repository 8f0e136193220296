"""The shared vocabulary of the units: small functions over integers, the same in every reading.

Each function here and in the unit modules is written once and read several times: as it stands on
Python integers (ranges asserted by `fits`), compiled into loops by `hwmodels.kernels`, and on
bit-vectors by a proof. They therefore use only ``+ - * << >> & | ^``, comparisons, `select`,
`lookup` and loops with a constant trip count; never ``//``, ``%`` or ``if`` on data.
"""

from __future__ import annotations

from typing import Protocol

FLOOR, HALF_UP, RNE = 0, 1, 2
"""Rounding rules of a right shift: towards minus infinity, half up, half to even."""

ROUNDINGS = {"floor": FLOOR, "half_up": HALF_UP, "rne": RNE}

ZERO_BLOCK = -128
"""Exponent code of a block whose elements are all zero; it takes part in no maximum."""

EXPONENT_MIN, EXPONENT_MAX = -127, 127
"""Range of a stored 8-bit shared exponent."""


LONGEST_SHIFT = 62
"""The farthest that anything is shifted: nothing is left of a word of 62 bits, and its rounding has room."""


class Table(Protocol):
    """Integers by position: a tuple in the plain reading, an array in a compiled loop."""

    def __getitem__(self, i: int, /) -> int:
        """Entry `i`."""


def select(c: int, a: int, b: int) -> int:
    """`a` where `c` holds, else `b`: a multiplexer."""
    return a if c else b


def flag(holds: int) -> int:
    """A condition as one bit."""
    return select(holds, 1, 0)


def lookup(table: Table, i: int) -> int:
    """Entry `i` of a table."""
    return table[i]


def fits(x: int, bits: int) -> int:
    """`x`, which must be a signed number of `bits` bits."""
    assert -(1 << (bits - 1)) <= x < (1 << (bits - 1)), f"{x} does not fit {bits} signed bits"
    return x


def fits_unsigned(x: int, bits: int) -> int:
    """`x`, which must be an unsigned number of `bits` bits."""
    assert 0 <= x < (1 << bits), f"{x} does not fit {bits} unsigned bits"
    return x


def mul(a: int, b: int, wa: int, wb: int) -> int:
    """The product of a `wa`-bit and a `wb`-bit signed number: a multiplier of that size."""
    return fits(a, wa) * fits(b, wb)


def largest(a: int, b: int) -> int:
    """The larger of two numbers: one comparator."""
    return select(a > b, a, b)


def smallest(a: int, b: int) -> int:
    """The smaller of two numbers: one comparator."""
    return select(a < b, a, b)


def clamp(x: int, low: int, high: int) -> int:
    """`x` held between `low` and `high`."""
    return largest(low, smallest(x, high))


def magnitude(x: int) -> int:
    """The absolute value."""
    return select(x < 0, -x, x)


def saturate(x: int, bits: int) -> int:
    """`x` held in the range of a signed number of `bits` bits."""
    return clamp(x, -(1 << (bits - 1)), (1 << (bits - 1)) - 1)


def saturate_symmetric(x: int, bits: int) -> int:
    """`x` held in plus or minus ``2**(bits-1) - 1``: the range of a stored code."""
    return clamp(x, 1 - (1 << (bits - 1)), (1 << (bits - 1)) - 1)


def wrap(x: int, bits: int) -> int:
    """The low `bits` bits of `x`, read as a signed number."""
    top = 1 << (bits - 1)
    return ((x + top) & ((top << 1) - 1)) - top


def bit_length(x: int) -> int:
    """The number of bits of ``0 <= x < 2**63``: a leading-zero count of six stages."""
    n = 0
    for step in (32, 16, 8, 4, 2, 1):
        high = x >> step
        n = n + select(high > 0, step, 0)
        x = select(high > 0, high, x)
    return n + x


def shift_right(x: int, s: int, rounding: int) -> int:
    """``x / 2**s`` for ``0 <= s < 63``, rounded as `rounding` says."""
    quotient = x >> s
    rest = x - (quotient << s)
    half = (1 << s) >> 1
    tie_up = (rounding == HALF_UP) | ((quotient & 1) == 1)
    up = (s > 0) & ((rest > half) | ((rest == half) & tie_up))
    return quotient + select(up & (rounding != FLOOR), 1, 0)


def scale(x: int, s: int, limit: int, rounding: int) -> int:
    """``x * 2**s``: an exact left shift, or a rounded right shift that flushes beyond `limit`.

    The sign of `s` gives the direction. Right of `limit` positions nothing of `x` is left; a left
    shift is held at `limit`, so the caller bounds it where it matters.
    """
    right = select(s < 0, -s, 0)
    left = select(s > 0, s, 0)
    shifted = shift_right(x, smallest(right, limit), rounding) << smallest(left, limit)
    return select(right > limit, 0, shifted)
