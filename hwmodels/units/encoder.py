"""The encoder: turns a block of wide sums into codes that have exponents of their own.

It does what the requantizer does for significands: pass 1 finds the block's exponent, pass 2 the codes.
The exponent is the binade of the largest sum, or for logarithms the next one up, less the binade where the
element's own range ends. A code takes as many of a sum's leading bits as its significand has, rounded to
nearest even; what is carried goes into its exponent. A logarithm is rounded to the nearest.

Codes that share nothing count from their anchor. The exponent of their block then bounds them: one more
than the binade of the largest sum, which may be rounded up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from hwmodels.units.actions import Actions, of
from hwmodels.units.ops import (
    LONGEST_SHIFT,
    RNE,
    ZERO_BLOCK,
    bit_length,
    clamp,
    largest,
    magnitude,
    select,
    shift_right,
    smallest,
)
from hwmodels.units.ports import FLAG, Ports, signed, unsigned
from hwmodels.units.product import ROOT_BITS
from hwmodels.units.requantizer_lane import EXPONENT_BITS as SUM_EXPONENT_BITS
from hwmodels.units.requantizer_lane import (
    NO_RANK,
    RANK_BITS,
    STORED_BITS,
    SUM_BITS,
    block_exponent,
    is_clamped,
    key,
)

ROOT = 199032864766430
"""The root of two, ``floor(2**47 * sqrt(2))``: where the nearest power of two changes."""

QUARTERS = 167366022499768, 236691298899613
"""``floor(2**47 * 2**(1/4))`` and ``floor(2**47 * 2**(3/4))``: where the nearest half octave does."""


@dataclass(frozen=True)
class EncoderConfig:
    """What the codes are.

    Attributes
    ----------
    bits : int
        Width of a code, the highest of which is its sign.
    stored_bits : int
        Bits of a significand that are stored.
    hidden : bool
        Whether a leading one is not stored, and is not there under the lowest exponent.
    largest : int
        The largest magnitude.
    fraction : int
        Bits below the binary point, under a shared exponent of zero.
    geometric : bool
        Whether a code is the nearest power of two.
    signed : bool
        Whether the highest bit of a code is its sign; without one, what is negative is held at zero.
    roots : bool
        Whether a code is the nearest power of the root of two.
    """

    bits: int
    stored_bits: int
    hidden: bool
    largest: int
    fraction: int
    geometric: bool
    signed: bool = True
    roots: bool = False

    @property
    def binade(self) -> int:
        """The binade of the largest number, under a shared exponent of zero."""
        lead = self.largest & ((1 << self.stored_bits) - 1)
        own = self.stored_bits if self.hidden else lead.bit_length() - 1
        own = ROOT_BITS if self.roots else own
        return self.reach + own - self.fraction

    @property
    def reach(self) -> int:
        """The largest exponent of a code."""
        return (self.largest >> self.stored_bits) - self.hidden + (self.roots & self.largest)


def block_rank(acc: int, exponent: int, geometric: bool) -> int:
    """``2 key``, and one more for a logarithm that is not whole: the largest of a block counts."""
    size = magnitude(acc)
    beyond = (size & (size - 1)) != 0
    return 2 * key(acc, exponent) + select(beyond & geometric, 1, 0)


def bounding(stored: int, anchor: int, reach: int, geometric: bool) -> int:
    """The exponent of a block whose codes count from an anchor; a block of zeros has one of its own."""
    above = clamp(stored + select(geometric, 0, 1), anchor - reach, anchor)
    return select(stored == ZERO_BLOCK, ZERO_BLOCK, above)


def place(acc: int, exponent: int, unit: int) -> int:
    """The smallest k with ``|acc| * 2**exponent < 2**(k + unit)``."""
    return bit_length(magnitude(acc)) + exponent - unit


def floating(acc: int, exponent: int, unit: int, stored_bits: int, hidden: int) -> int:
    """The magnitude of the nearest number, ties to even, however large.

    By hand, three stored bits under a leading one: 21 in units is 10101, taken as 1010|1, which is a tie, and
    stays 1010: an exponent of one and a significand of 10, of which 2 is stored: 2 x 8 + 2 = 18.
    """
    own = largest(place(acc, exponent, unit) - stored_bits - hidden, 0)
    shift = clamp(exponent - unit - own, -LONGEST_SHIFT, SUM_BITS)
    size = magnitude(acc)
    rounded = shift_right(size, -smallest(shift, 0), RNE) << largest(shift, 0)
    carried = (rounded >> stored_bits) & (1 - hidden)
    whole = (own << stored_bits) + rounded + select(carried != 0, 1 << stored_bits >> 1, 0)
    return select(acc == 0, 0, whole)


def logarithm(acc: int, exponent: int, unit: int, roots: int = 0) -> int:
    """The magnitude of the nearest power of two, or of its root, the first of which has the magnitude 1.

    That is 1 in units, or ``2**ROOT_BITS``; zero has none.
    """
    size, where = magnitude(acc), place(acc, exponent, unit)
    leading = size << (SUM_BITS - bit_length(size))
    octaves = where + select(leading > ROOT, 1, 0)
    beyond = select(leading > QUARTERS[0], 1, 0) + select(leading > QUARTERS[1], 1, 0)
    halves = 2 * (where - ROOT_BITS) - 1 + beyond
    return select(acc == 0, 0, largest(select(roots != 0, halves, octaves), 0))


def code(acc: int, whole: int, most: int, bits: int, signed: int = 1) -> int:
    """A magnitude, held in range, with the sign of its sum; zero has none."""
    held = smallest(whole, most)
    return select((acc < 0) & (held != 0), select(signed != 0, held + (1 << bits >> 1), 0), held)


def is_saturated(acc: int, whole: int, most: int, signed: int = 1) -> int:
    """Whether a code is not that of its sum, which lies out of range."""
    return select((whole > most) | ((acc < 0) & (signed == 0)), 1, 0)


class Inputs(NamedTuple):
    """A sum, its exponent, and that of its block."""

    sum: int
    exponent: int
    stored: int


class State(NamedTuple):
    """What makes a code of a sum has no registers."""


class Outputs(NamedTuple):
    """A code, and whether it had to be brought into range."""

    code: int
    saturated: int


def ports(config: EncoderConfig) -> Ports:
    """The widths of the ports of what makes a code of a sum."""
    inputs = Inputs(signed(SUM_BITS), signed(SUM_EXPONENT_BITS), signed(STORED_BITS))
    return Ports(inputs, State(), Outputs(unsigned(config.bits), FLAG))


def step(config: EncoderConfig, state: State, inputs: Inputs) -> tuple[State, Outputs]:
    """What is made of a sum, in the same cycle."""
    whole = magnitude_of(config, inputs.sum, inputs.exponent, inputs.stored)
    over = is_saturated(inputs.sum, whole, config.largest, config.signed)
    return state, Outputs(code(inputs.sum, whole, config.largest, config.bits, config.signed), over)


class RankInputs(NamedTuple):
    """A sum and its exponent."""

    sum: int
    exponent: int


class RankOutputs(NamedTuple):
    """Its rank."""

    rank: int


def rank_ports(_: bool) -> Ports:
    """The widths of the ports of what ranks a sum."""
    inputs = RankInputs(signed(SUM_BITS), signed(SUM_EXPONENT_BITS))
    return Ports(inputs, State(), RankOutputs(signed(RANK_BITS)))


def rank_step(geometric: bool, state: State, inputs: RankInputs) -> tuple[State, RankOutputs]:
    """The rank of a sum, for logarithms or not, in the same cycle."""
    return state, RankOutputs(block_rank(inputs.sum, inputs.exponent, geometric))


def magnitude_of(config: EncoderConfig, acc: int, exponent: int, stored: int) -> int:
    """The magnitude of the code of a sum under a block's exponent, however large."""
    unit = stored - config.fraction
    if config.geometric:
        return logarithm(acc, exponent, unit, config.roots)
    return floating(acc, exponent, unit, config.stored_bits, config.hidden)


def result(
    config: EncoderConfig,
    sums: Sequence[int],
    exponents: Sequence[int],
    top: int | None = None,
    anchor: int | None = None,
) -> tuple[list[int], int, int, int]:
    """Encode one block.

    Parameters
    ----------
    config : EncoderConfig
    sums, exponents : sequence of int
        The block's wide sums, of at most 48 bits, and the exponent of each.
    top : int, optional
        The block's largest rank, where pass 1 ran while the sums were written.
    anchor : int, optional
        The exponent from which codes count, where it is not that of their block.

    Returns
    -------
    codes, exponent, clamped, saturated
        As of `requantizer.result`.
    """
    found = top_of(config, sums, exponents) if top is None else top
    width = config.binade + 2  # of an integer whose largest lies in the same binade
    stored, clamped = block_exponent(found, width), is_clamped(found, width)
    unit = stored
    if anchor is not None:
        stored, clamped, unit = bounding(stored, anchor, config.reach, config.geometric), False, anchor
    codes, saturated = [], 0
    for acc, exponent in zip(sums, exponents, strict=True):
        whole = magnitude_of(config, acc, exponent, unit)
        codes.append(code(acc, whole, config.largest, config.bits, config.signed))
        saturated += is_saturated(acc, whole, config.largest, config.signed)
    return codes, stored, select(clamped, 1, 0), saturated


def actions(elements: int, blocks: int, wide_bits: int, bits: int) -> Actions:
    """Actions: per element a leading-zero count in each pass, compares, a shift, a rounding add, an add of
    exponents; per block an add that makes its exponent.
    """
    counts = {
        f"lzc:{wide_bits}": 2 * elements,
        f"compare:{RANK_BITS}": elements,
        f"shift:{wide_bits}": elements,
        f"add:{bits}": 2 * elements + blocks,
        f"compare:{bits}": elements,
    }
    return of("requantize", counts)


def top_of(config: EncoderConfig, sums: Sequence[int], exponents: Sequence[int]) -> int:
    """Pass 1: the largest rank of a block's sums."""
    top = NO_RANK
    for acc, exponent in zip(sums, exponents, strict=True):
        top = largest(top, block_rank(acc, exponent, config.geometric))
    return top
