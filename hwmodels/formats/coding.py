"""Codings: what the codes of an element mean, as data.

Every code of every element means one thing, which is why one datapath serves all of them:

    value = significand x 2**(exponent - fraction + shared exponent)      with an exponent from 0 on

An `Integer` has significands alone. A `Floating` has an exponent in each code, and is no more than the
table of its numbers; what its fields are is told to the hardware that decodes it. Its `fraction` is such
that under a shared exponent of zero all values are below 2**7, as those of an int8 are.

>>> e4m3 = floating("e4m3", 4, 3, largest=0x7E)
>>> e4m3.significand_bits, e4m3.reach, e4m3.fixed_bits, e4m3.fraction
(4, 14, 19, 11)
>>> e4m3.numbers[0x38], float(e4m3.value(0x38)), float(e4m3.value(0xFE))
(Number(significand=8, exponent=6), 0.25, -112.0)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hwmodels.units.encoder import EncoderConfig
from hwmodels.units.product import INT8_BITS, ROOT_BITS, Code, exponent, significand

EVEN, CLAMPED, GEOMETRIC = "nearest, ties to even", "significand clamped, not carried", "nearest logarithm"
"""How a value between two numbers is rounded. `CLAMPED` rounds within a binade, and cuts what would be
carried into the next; `GEOMETRIC` goes to the number whose logarithm is nearest."""


class Number(NamedTuple):
    """What a code means, in units of ``2**-fraction``: ``significand * 2**exponent``."""

    significand: int
    exponent: int


@dataclass(frozen=True)
class Integer:
    """An element whose codes are significands, symmetric around zero.

    Attributes
    ----------
    bits : int
        Width of a code.
    sign_magnitude : bool
        Whether storage has a sign and a magnitude, instead of two's complement.
    lowest : int, optional
        The most negative significand where it is not minus the largest.
    """

    bits: int
    sign_magnitude: bool = False
    lowest: int | None = None

    @property
    def code(self) -> Code:
        """What the datapath knows of it."""
        return Code(self.bits)

    @property
    def largest(self) -> int:
        """The largest significand."""
        return (1 << (self.bits - 1)) - 1

    @property
    def fraction(self) -> int:
        """Bits below the binary point, under a shared exponent of zero: none."""
        return 0


@dataclass(frozen=True)
class Floating:
    """An element whose codes have exponents of their own.

    Attributes
    ----------
    name : str
    bits : int
        Width of a code.
    exponent_bits : int
    signed : bool
        Whether the highest bit of a code is its sign.
    hidden, subnormal : bool
        Whether a significand has a leading one that is not stored, and whether the lowest exponent has none.
    numbers : tuple of Number or None
        By magnitude, which is the code without its sign; None is no number: NaN or infinity.
    largest : int
        The largest magnitude that is a number.
    rounding : str
        `EVEN`, `CLAMPED` or `GEOMETRIC`.
    roots : bool
        Whether codes are powers of the root of two.
    """

    name: str
    bits: int
    exponent_bits: int
    signed: bool
    hidden: bool
    subnormal: bool
    numbers: tuple[Number | None, ...]
    largest: int
    rounding: str
    roots: bool = False

    @property
    def code(self) -> Code:
        """What the datapath knows of it."""
        return Code(
            self.bits, self.exponent_bits, self.hidden, self.subnormal, self.largest, self.signed, self.roots
        )

    @property
    def encoder(self) -> EncoderConfig:
        """What turns wide sums into such codes.

        Raises
        ------
        ValueError
            If none does.
        """
        if self.rounding == CLAMPED or self.subnormal != self.hidden:
            raise ValueError(f"{self.name}: {self.rounding}: no encoder does this")
        return EncoderConfig(
            self.bits, self.stored_bits, self.hidden, self.largest, self.fraction,
            self.rounding == GEOMETRIC, self.signed, self.roots,
        )  # fmt: skip

    @property
    def stored_bits(self) -> int:
        """Bits of a significand that are stored."""
        return self.bits - self.signed - self.exponent_bits

    @cached_property
    def significand_bits(self) -> int:
        """Bits of a significand's magnitude."""
        return max(n.significand for n in self.numbers if n).bit_length()

    @cached_property
    def reach(self) -> int:
        """The largest exponent of a code."""
        return max(n.exponent for n in self.numbers if n)

    @cached_property
    def fixed_bits(self) -> int:
        """Width of a signed fixed-point number that holds every value."""
        return max(n.significand << n.exponent for n in self.numbers if n).bit_length() + 1

    @property
    def fraction(self) -> int:
        """Bits below the binary point, under a shared exponent of zero."""
        return max(self.fixed_bits - INT8_BITS, 0)

    def number(self, code: int) -> Number | None:
        """What a code means, with its sign; None where it is no number."""
        found = self.numbers[code & (len(self.numbers) - 1)]
        negative = self.signed and code >> (self.bits - 1)
        return Number(-found.significand, found.exponent) if found and negative else found

    def value(self, code: int) -> Fraction | None:
        """The value of a code, under a shared exponent of zero; None where it is no number."""
        found = self.number(code)
        return None if found is None else found.significand * Fraction(2) ** (found.exponent - self.fraction)

    @cached_property
    def values(self) -> NDArray[np.float64]:
        """By code the value in units; NaN for what is no number."""
        numbers = [self.number(code) for code in range(1 << self.bits)]
        return np.array([n.significand * 2.0**n.exponent if n else np.nan for n in numbers])

    @cached_property
    def ladder(self) -> tuple[NDArray[np.float64], NDArray[np.int16]]:
        """The values of all magnitudes that `encode` gives, ascending, in units; and those magnitudes.

        Of magnitudes with the same value it is the one with the smallest exponent.
        """
        steps: dict[int, int] = {}
        for magnitude, number in enumerate(self.numbers[: self.largest + 1]):
            if number is not None:
                steps.setdefault(number.significand << number.exponent, magnitude)
        ordered = sorted(steps)
        return np.array(ordered, np.float64), np.array([steps[v] for v in ordered], np.int16)

    @cached_property
    def thresholds(self) -> NDArray[np.float64]:
        """The least value, in units, that is rounded up to each magnitude of the ladder but the first.

        One more at the end: the least that would be rounded beyond the largest.
        """
        values, magnitudes = self.ladder
        last = self.numbers[int(magnitudes[-1])]
        assert last is not None
        if self.roots:
            quarters = range(4 * ROOT_BITS - 1, 4 * ROOT_BITS + 2 * self.largest + 1, 2)
            return np.array([_power(n) for n in quarters])
        if self.rounding == GEOMETRIC:
            return self._geometric([Fraction(v) for v in values.tolist()])
        beyond = values[-1] + (1 << last.exponent)
        steps = [self._threshold(i, float(v)) for i, v in enumerate([*values[1:], beyond])]
        return np.array(steps, np.float64)

    @staticmethod
    def _geometric(values: list[Fraction]) -> NDArray[np.float64]:
        """Halfway between neighbours by their logarithms; zero and what lies beyond are a step further."""
        known = [v for v in values if v]
        lower = [] if values[0] else [known[0] * known[0] / known[1]]
        ladder = [*lower, *known, known[-1] * known[-1] / known[-2]]
        return np.array([_root(low * high) for low, high in pairwise(ladder)])

    def _threshold(self, i: int, above: float) -> float:
        """From where on a value goes to `above` instead of to step `i` of the ladder."""
        values, magnitudes = self.ladder
        own = self.numbers[int(magnitudes[i])]
        assert own is not None
        if self.rounding == CLAMPED and self._full(own) and i + 1 < len(values):
            return above if self.hidden else math.nextafter(above, math.inf)
        middle = (float(values[i]) + above) / 2
        return middle if own.significand & 1 else math.nextafter(middle, math.inf)

    def _full(self, number: Number) -> bool:
        """Whether a significand has all bits set, so that the next number has a larger exponent."""
        stored = (1 << self.stored_bits) - 1
        return number.significand & stored == stored


def _power(quarters: int) -> float:
    """The least float64 that is not below a power of the fourth root of two."""
    near = math.pow(2.0, quarters / 4)
    while Fraction(near) ** 4 < 2**quarters:
        near = math.nextafter(near, math.inf)
    while Fraction(math.nextafter(near, 0)) ** 4 >= 2**quarters:
        near = math.nextafter(near, 0)
    return near


def _root(square: Fraction) -> float:
    """The least float64 that is not below a square root."""
    near = math.sqrt(square)
    return near if Fraction(near) ** 2 >= square else math.nextafter(near, math.inf)


def floating(
    name: str,
    exponent_bits: int,
    stored_bits: int,
    *,
    largest: int | None = None,
    hidden: bool = True,
    subnormal: bool = True,
    rounding: str = EVEN,
) -> Floating:
    """A sign, an exponent and a significand, of which the leading one may be hidden.

    Parameters
    ----------
    name : str
    exponent_bits, stored_bits : int
    largest : int, optional
        The largest magnitude that is a number; all are, if it is left out.
    hidden, subnormal, rounding
        See `Floating`.
    """
    bits, count = 1 + exponent_bits + stored_bits, 1 << exponent_bits + stored_bits
    last = count - 1 if largest is None else largest
    subnormal = subnormal and hidden
    code = Code(bits, exponent_bits, hidden, subnormal, last)
    numbers = tuple(
        Number(significand(code, i), exponent(code, i)) if i <= last else None for i in range(count)
    )
    return Floating(name, bits, exponent_bits, True, hidden, subnormal, numbers, last, rounding)


def logarithm(name: str, bits: int, *, roots: bool = False, zero: bool = True) -> Floating:
    """Unsigned codes for powers of two, or of its root, up to 1, as attention weights have them.

    Papers count the distance q from 1; a code is its complement: the largest is 1.

    Parameters
    ----------
    name : str
    bits : int
    roots : bool
        Whether a step is half an octave; every other significand is then a rounded root of two.
    zero : bool
        Whether the lowest code means zero.
    """
    last = (1 << bits) - 1
    code = Code(bits, bits - roots, True, zero, last, signed=False, roots=roots)
    numbers = tuple(Number(significand(code, i), exponent(code, i)) for i in range(last + 1))
    return Floating(name, bits, bits - roots, False, True, zero, numbers, last, GEOMETRIC, roots)
