"""Products of codes, of which each may have an exponent of its own.

A code is a significand and an exponent, a product that of the significands, shifted left by the sum of the
exponents. All products of a segment are added in one *window*: a fixed-point number of so many bits below
the largest product that there can be. What falls out of it at the lower end is cut, rounded, or kept as a
sticky bit, product by product; a window that is wide enough loses nothing. Codes without exponents lose
nothing in any window.

By hand: e4m3 codes 0x38 and 0xB9 are 8 x 2**6 and -9 x 2**6, and their product is -72 x 2**12. An exact
window has 19 + 19 - 1 = 37 bits; one of 24 drops 13 of them, and keeps -36.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

from hwmodels.units.ops import (
    FLOOR,
    ROUNDINGS,
    ZERO_BLOCK,
    fits,
    fits_unsigned,
    mul,
    select,
    shift_right,
    wrap,
)
from hwmodels.units.ports import Ports, signed, unsigned

STICKY = 3
"""Rounding in a window: the lowest bit is set where anything falls out."""

WINDOW_ROUNDINGS = {**ROUNDINGS, "sticky": STICKY}
"""What becomes of bits that fall out of a window."""

ROOT_BITS, ROOT_OF_TWO = 7, 181
"""The root of two as a significand, ``round(2**7 * sqrt(2))``: chosen, so that it is a byte."""

INT8_BITS = 8
"""Width of the codes that the binary point of others is put after."""


@dataclass(frozen=True)
class Code:
    """What the hardware knows of a code.

    Attributes
    ----------
    bits : int
        Its width; without exponent bits the code is a significand in two's complement.
    exponent_bits : int
        Below a sign bit; the rest is the stored part of the significand.
    hidden, subnormal : bool
        Whether a significand has a leading one that is not stored, and whether it has none under an exponent
        field of zero.
    largest : int
        The largest magnitude of a number, which is a code without its sign.
    signed : bool
        Whether the highest bit is a sign; significands without exponents have one in any case.
    roots : bool
        Whether the code counts half octaves: a last bit of zero multiplies by the root of two.
    """

    bits: int
    exponent_bits: int = 0
    hidden: bool = False
    subnormal: bool = False
    largest: int = 0
    signed: bool = True
    roots: bool = False

    @property
    def magnitude_bits(self) -> int:
        """Bits of a code without its sign."""
        return self.bits - self.signed

    @property
    def stored_bits(self) -> int:
        """Bits of a significand that are stored, without a sign."""
        return self.magnitude_bits - self.exponent_bits

    @property
    def significand_bits(self) -> int:
        """Bits of a significand's magnitude."""
        return ROOT_BITS + 1 if self.roots else self.stored_bits + self.hidden

    @property
    def signed_bits(self) -> int:
        """Width of a significand with its sign."""
        return self.significand_bits + 1

    @property
    def reach(self) -> int:
        """The largest exponent."""
        return exponent(self, self.largest)

    @property
    def fixed_bits(self) -> int:
        """Width of a signed fixed-point number that holds every value."""
        if not self.exponent_bits:
            return self.bits
        return (significand(self, self.largest) << self.reach).bit_length() + 1

    @property
    def fraction(self) -> int:
        """Bits below the binary point: as many as leave all values below 2**7, as those of an int8 are."""
        return max(self.fixed_bits - INT8_BITS, 0) if self.exponent_bits else 0


INT8 = Code(INT8_BITS)
"""A significand of 8 bits."""


def field(code: Code, x: int) -> int:
    """The exponent field of a code."""
    return (x >> code.stored_bits) & ((1 << code.exponent_bits) - 1)


def significand(code: Code, x: int) -> int:
    """The signed significand of a code."""
    if not code.exponent_bits:
        return x
    if code.roots:
        return select(x == 0, 0, select(x & 1, 1 << ROOT_BITS, ROOT_OF_TWO))
    one = select((field(code, x) != 0) | (not code.subnormal), 1, 0) if code.hidden else 0
    size = (x & ((1 << code.stored_bits) - 1)) + (one << code.stored_bits)
    return select((x >> (code.bits - 1)) & 1, -size, size) if code.signed else size


def exponent(code: Code, x: int) -> int:
    """The exponent of a code, from 0 on."""
    if not code.exponent_bits:
        return 0
    own = field(code, x)
    if code.roots:
        return select(own + (x & 1) != 0, own + (x & 1) - 1, 0)
    return select(own != 0, own - 1, 0) if code.hidden and code.subnormal else own


@dataclass(frozen=True)
class ProductConfig:
    """A multiplier of two kinds of codes.

    Attributes
    ----------
    a, b : Code
    window : int
        Bits of a product in the window, with its sign.
    rounding : int
        One of `WINDOW_ROUNDINGS`.
    """

    a: Code
    b: Code
    window: int
    rounding: int

    @property
    def has_exponents(self) -> bool:
        """Whether codes of either side have exponents."""
        return bool(self.a.exponent_bits or self.b.exponent_bits)

    @property
    def multiplies(self) -> bool:
        """Whether significands are multiplied: neither is a sign alone."""
        return min(self.a.significand_bits, self.b.significand_bits) > 1

    @property
    def adds_exponents(self) -> bool:
        """Whether codes of both sides have exponents."""
        return bool(self.a.exponent_bits and self.b.exponent_bits)

    @property
    def reach(self) -> int:
        """The largest exponent of a product."""
        return self.a.reach + self.b.reach

    @property
    def summed_bits(self) -> int:
        """Width of a product as it is added up: that of the multiplier's output where it is no window."""
        return self.bits if self.has_exponents else self.a.bits + self.b.bits

    @property
    def exact_bits(self) -> int:
        """Width of a signed product of which nothing is lost."""
        return self.a.fixed_bits + self.b.fixed_bits - 1

    @property
    def dropped(self) -> int:
        """Low bits of an exact product that lie below the window."""
        return max(self.exact_bits - self.window, 0) if self.has_exponents else 0

    @property
    def bits(self) -> int:
        """Width of a signed product."""
        return self.exact_bits - self.dropped

    @property
    def fraction(self) -> int:
        """Bits of a product below the binary point; negative where the window ends above it."""
        return self.a.fraction + self.b.fraction - self.dropped


class Inputs(NamedTuple):
    """Two codes."""

    a: int
    b: int


class State(NamedTuple):
    """A product has no registers."""


class Outputs(NamedTuple):
    """Their product in the window."""

    p: int


def ports(config: ProductConfig) -> Ports:
    """The widths of a product's ports."""
    a, b = (unsigned(c.bits) if c.exponent_bits else signed(c.bits) for c in (config.a, config.b))
    return Ports(Inputs(a, b), State(), Outputs(signed(config.bits)))


def step(config: ProductConfig, state: State, inputs: Inputs) -> tuple[State, Outputs]:
    """What a product gives, in the same cycle."""
    return state, Outputs(fits(product(config, inputs.a, inputs.b), config.bits))


class CodeInputs(NamedTuple):
    """A code, and how far its anchor lies above the exponent of its block."""

    x: int
    lift: int


class CodeOutputs(NamedTuple):
    """Its significand, and its exponent as counted from its block."""

    significand: int
    exponent: int


def word(code: Code, x: int, lift: int = 0) -> int:
    """A code as it enters an array: its exponent above its significand, in two's complement."""
    low = code.signed_bits
    return ((exponent(code, x) + lift) << low) + (significand(code, x) & ((1 << low) - 1))


def word_bits(code: Code) -> int:
    """Width of such a word."""
    return code.signed_bits + code.exponent_bits


def product_of_words(config: ProductConfig, x: int, y: int) -> int:
    """The product of two words in the window; it wraps at a width that those of codes do not exceed."""
    wa, wb = config.a.signed_bits, config.b.signed_bits
    exact = mul(wrap(x, wa), wrap(y, wb), wa, wb) << ((x >> wa) + (y >> wb))
    return wrap(kept(wrap(exact, config.exact_bits), config.dropped, config.rounding), config.bits)


def integers(a_bits: int, b_bits: int) -> ProductConfig:
    """A multiplier of two significands without exponents, which no window cuts."""
    return ProductConfig(Code(a_bits), Code(b_bits), a_bits + b_bits, FLOOR)


def operand_bits(config: ProductConfig, code: Code) -> int:
    """Width of an operand as it enters an element of an array: a word where either side has exponents."""
    return word_bits(code) if config.has_exponents else code.bits


def operand_port(config: ProductConfig, code: Code) -> Any:
    """The port for such an operand; a word has no sign of its own."""
    bits = operand_bits(config, code)
    return unsigned(bits) if config.has_exponents else signed(bits)


def operand_row(
    config: ProductConfig,
    code: Code,
    codes: Sequence[int],
    edges: Sequence[int],
    exponents: Sequence[int],
    anchor: int | None,
) -> list[int]:
    """A row of codes as they enter an array; see `lifted` for the rest."""
    if not config.has_exponents:
        return list(codes)
    raised = [0 if anchor is None else lift(anchor, e) for e in exponents]
    return [
        word(code, x, own)
        for (first, last), own in zip(pairwise(edges), raised, strict=True)
        for x in codes[first:last]
    ]


def product_of_operands(config: ProductConfig, x: int, y: int) -> int:
    """The product of what has entered an element."""
    if config.has_exponents:
        return product_of_words(config, x, y)
    return mul(x, y, config.a.bits, config.b.bits)


def code_ports(code: Code) -> Ports:
    """The widths of the ports of what decodes a code that counts from an anchor."""
    inputs = CodeInputs(unsigned(code.bits), unsigned(code.exponent_bits))
    return Ports(inputs, State(), CodeOutputs(signed(code.signed_bits), unsigned(code.exponent_bits)))


def code_step(code: Code, state: State, inputs: CodeInputs) -> tuple[State, CodeOutputs]:
    """What a code that counts from an anchor means, in the same cycle; its block's exponent bounds it."""
    own = fits_unsigned(exponent(code, inputs.x) + inputs.lift, code.exponent_bits)
    return state, CodeOutputs(significand(code, inputs.x), own)


def is_number(code: Code, x: int) -> bool:
    """Whether a code is a number, and no more negative than its largest is positive."""
    if code.exponent_bits:
        return (x & ((1 << code.magnitude_bits) - 1)) <= code.largest
    return x > -(1 << (code.bits - 1))


def kept(x: int, dropped: int, rounding: int) -> int:
    """An exact product without its low bits."""
    if rounding == STICKY:
        return (x >> dropped) | select((x & ((1 << dropped) - 1)) != 0, 1, 0)
    return shift_right(x, dropped, rounding) if rounding != FLOOR else x >> dropped


def product(config: ProductConfig, x: int, y: int) -> int:
    """The product of two codes in the window."""
    return summed(config, decoded(config.a, [x]), decoded(config.b, [y]))


def decoded(code: Code, codes: Sequence[int]) -> list[tuple[int, int]]:
    """The significand and the exponent of each code."""
    return [(significand(code, x), exponent(code, x)) for x in codes]


def lifted(
    pairs: Sequence[tuple[int, int]], edges: Sequence[int], exponents: Sequence[int], anchor: int
) -> list[tuple[int, int]]:
    """Decoded codes that count from an anchor, as if they counted from the exponent of their block.

    That is no larger than the anchor, and bounds the block: no exponent leaves the range that it had.

    Parameters
    ----------
    pairs : sequence of (int, int)
        Significands and exponents.
    edges, exponents : sequence of int
        Where the blocks begin, and the end; their exponents.
    anchor : int
    """
    return [
        (m, e + lift(anchor, own))
        for (first, last), own in zip(pairwise(edges), exponents, strict=True)
        for m, e in pairs[first:last]
    ]


def lift(anchor: int, exponent: int) -> int:
    """How much further up codes count from a block's exponent than from their anchor; zeros do not matter."""
    return select(exponent == ZERO_BLOCK, 0, anchor - exponent)


def summed(config: ProductConfig, left: Sequence[tuple[int, int]], right: Sequence[tuple[int, int]]) -> int:
    """The sum of the products of decoded codes in the window."""
    wa, wb = config.a.signed_bits, config.b.signed_bits
    pairs = zip(left, right, strict=True)
    if not config.has_exponents:
        return sum(mul(x, y, wa, wb) for (x, _), (y, _) in pairs)
    dropped, rounding = config.dropped, config.rounding
    return sum(kept(mul(x, y, wa, wb) << (ex + ey), dropped, rounding) for (x, ex), (y, ey) in pairs)
