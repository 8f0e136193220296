"""One lane of the requantizer: what happens to an element, and the pipeline in which it does.

A wide sum is multiplied by its real scale, or by one. On the one way out of that its rank takes part in
the running largest of the lane; on the other it waits until its block's exponent is there, and is then
shifted, rounded and saturated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hwmodels.units.ops import (
    EXPONENT_MAX,
    EXPONENT_MIN,
    LONGEST_SHIFT,
    RNE,
    ZERO_BLOCK,
    bit_length,
    clamp,
    fits,
    fits_unsigned,
    largest,
    magnitude,
    mul,
    saturate,
    saturate_symmetric,
    select,
    shift_right,
    smallest,
)
from hwmodels.units.ports import FLAG, Ports, signed, unsigned

if TYPE_CHECKING:
    from hwmodels.units.requantizer_step import RequantizerConfig

STAGES = 4
"""Stages of the pipeline; a longer latency adds registers behind the last."""

NO_KEY = -1024
"""Key of a sum that is zero: below every other key."""

NO_RANK = 2 * NO_KEY
"""Rank of a block of zeros."""

SUM_BITS, MULTIPLIER_BITS = 48, 16
"""Widest sum that is taken in, and the width of an unsigned multiplier."""

SCALED_BITS = SUM_BITS + MULTIPLIER_BITS
"""A sum times its multiplier."""

EXPONENT_BITS, SHIFT_BITS, SCALED_EXPONENT_BITS = 10, 8, 11
"""Exponents of a sum, of a multiplier, and of both together."""

RANK_BITS, STORED_BITS = 12, 8
"""A rank, and a stored exponent."""

WIDTHS = (3, 4, 5, 6, 7, 8, 9, 16)
"""Widths of a stored code, in the order in which three bits select them."""

CODE_BITS = WIDTHS[-1]

FORM_BITS, NEVER_RAISED = 4, 8
"""What selects a code: its width, and above that whether the block's exponent is never raised."""

REST_BITS = 2
"""Bits that a shifted sum keeps below the code: the half, and whether anything is left below it."""

KEPT_BITS = CODE_BITS + 1 + REST_BITS
"""A shifted sum. With one bit more than a code has, what saturates still does."""


def form_of(bits: int, raised: bool) -> int:
    """What selects codes of so many bits, whose block's exponent is raised where one rounds up, or never."""
    return WIDTHS.index(bits) + select(raised, 0, NEVER_RAISED)


def bits_of(form: int) -> int:
    """The width of a stored code."""
    width = form & (NEVER_RAISED - 1)
    return select(width == NEVER_RAISED - 1, CODE_BITS, WIDTHS[0] + width)


def is_raised(form: int) -> bool:
    """Whether the block's exponent is raised where a code would be rounded beyond its largest."""
    return form < NEVER_RAISED


def scaled(acc: int, multiplier: int) -> int:
    """A sum times its real scale's 16-bit unsigned multiplier; the exponents add (`scaled_exponent`)."""
    return mul(acc, fits_unsigned(multiplier, MULTIPLIER_BITS), SUM_BITS, MULTIPLIER_BITS + 1)


def scaled_exponent(exponent: int, multiplier_exponent: int) -> int:
    """Exponent of a scaled sum."""
    return exponent + multiplier_exponent


def key(acc: int, exponent: int) -> int:
    """The smallest k with ``|acc| * 2**exponent < 2**k``; `NO_KEY` for zero."""
    place = fits(exponent + bit_length(magnitude(acc)), RANK_BITS - 1)
    return select(acc == 0, NO_KEY, place)


def rounds_up(acc: int, bits: int) -> bool:
    """Whether the leading ``bits - 1`` bits of the magnitude round up to ``2**(bits-1)``.

    They do if they are ones and so is the bit below them, since a tie goes to even.
    """
    size = magnitude(acc)
    return (size >> largest(bit_length(size) - bits, 0)) == (1 << bits) - 1


def rank(acc: int, exponent: int, bits: int, raised: bool) -> int:
    """``2 key + rounds_up``: the largest of a block holds its kmax and the flag of that kmax.

    There is no flag where exponents are not `raised`: the largest then saturates.
    """
    return 2 * key(acc, exponent) + select(rounds_up(acc, bits) & raised, 1, 0)


def raw_exponent(top: int, bits: int) -> int:
    """The block's exponent before it is brought into range: ``kmax - (bits - 1) + flag``."""
    return (top >> 1) - (bits - 1) + (top & 1)


def block_exponent(top: int, bits: int) -> int:
    """The stored exponent of a block whose largest rank is `top`; `ZERO_BLOCK` for all zeros."""
    held = clamp(raw_exponent(top, bits), EXPONENT_MIN, EXPONENT_MAX)
    return select(top == NO_RANK, ZERO_BLOCK, held)


def is_clamped(top: int, bits: int) -> bool:
    """Whether the block's exponent had to be brought into the range of a stored exponent."""
    raw = raw_exponent(top, bits)
    return (top != NO_RANK) & ((raw < EXPONENT_MIN) | (raw > EXPONENT_MAX))


def shifted(acc: int, exponent: int, stored: int) -> int:
    """``acc * 2**(exponent - stored)`` with `REST_BITS` more bits, the last set where anything is lost.

    That is enough to round it once, to the same as if all bits were there. It is held in `KEPT_BITS`
    bits, as is a sum before a left shift: both saturate in any width of a code.

    By hand: 255 x 2**-4 under -2 is 63.75, kept as 255; 257 x 2**-4 under 0 is 16.0625, kept as 65.
    """
    shift = clamp(exponent - stored + REST_BITS, -LONGEST_SHIFT, CODE_BITS + REST_BITS)
    right, left = -smallest(shift, 0), largest(shift, 0)
    lost = select((acc & ((1 << right) - 1)) != 0, 1, 0)
    exact = saturate(acc, CODE_BITS + 1) << left
    return saturate(select(shift > 0, exact, (acc >> right) | lost), KEPT_BITS)


def rounded(kept: int) -> int:
    """What is left of a shifted sum without its rest: to nearest, ties to even."""
    return shift_right(kept, REST_BITS, RNE)


def code(acc: int, exponent: int, stored: int, bits: int) -> int:
    """The stored code of one sum under the block's exponent `stored`."""
    return saturate_symmetric(rounded(shifted(acc, exponent, stored)), bits)


def is_saturated(acc: int, exponent: int, stored: int, bits: int) -> bool:
    """Whether the code of this sum had to be saturated."""
    whole = rounded(shifted(acc, exponent, stored))
    return saturate_symmetric(whole, bits) != whole


class Scaled(NamedTuple):
    """The registers of a multiplier of real scales: a scaled sum."""

    product: int
    exponent: int


def by_scale(acc: int, exponent: int, multiplier: int, shift: int) -> Scaled:
    """The first stage: a sum times its real scale, which is 1 and 0 where it has none."""
    return Scaled(scaled(acc, multiplier), scaled_exponent(exponent, shift))


class LaneInputs(NamedTuple):
    """What enters a lane.

    `sum` to `shift` are an element that is read, with its multiplier and that one's exponent; `written_...`
    the same of one that is written, where pass 1 is merged into the writing. `top` is its block's largest
    rank, where that is known. The others steer a later stage: the search whether a sum is `ranked`,
    whether it begins a block, and for which form of code; the second stage whether the block's largest
    rank is what the search has `joined`; the third whether the exponent is a `fixed` one; the third and
    the fourth the form of a code.
    """

    sum: int
    exponent: int
    multiplier: int
    shift: int
    written_sum: int
    written_exponent: int
    written_multiplier: int
    written_shift: int
    ranked: int
    first: int
    search_form: int
    top: int
    own: int
    joined: int
    fixed: int
    fixed_exponent: int
    form_3: int
    form_4: int


class LaneState(NamedTuple):
    """The registers of a lane, stage by stage; `written` has a part only where passes are merged."""

    read: Scaled
    written: tuple[Scaled, ...]
    peak: int
    top_1: int
    product_2: int
    exponent_2: int
    top_2: int
    kept: int
    stored_3: int
    clamped_3: int
    codes: tuple[int, ...]
    saturated_4: tuple[int, ...]
    stored_4: tuple[int, ...]
    clamped_4: tuple[int, ...]


class LaneOutputs(NamedTuple):
    """What leaves a lane: its largest rank so far, and an element's code with its block's exponent."""

    peak: int
    code: int
    saturated: int
    stored: int
    clamped: int


def lane_ports(config: RequantizerConfig) -> Ports:
    """The widths of a lane's ports and registers."""
    element = (signed(SUM_BITS), signed(EXPONENT_BITS), unsigned(MULTIPLIER_BITS), signed(SHIFT_BITS))
    rank_, stored, form = signed(RANK_BITS), signed(STORED_BITS), unsigned(FORM_BITS)
    product, exponent = signed(SCALED_BITS), signed(SCALED_EXPONENT_BITS)
    words, rest = Scaled(product, exponent), config.latency - STAGES + 1
    return Ports(
        LaneInputs(
            *element, *element, FLAG, FLAG, form, rank_, FLAG, rank_, FLAG, stored, form, form
        ),
        LaneState(
            words, (words,) * config.merged, rank_, rank_, product, exponent, rank_,
            signed(KEPT_BITS), stored, FLAG,
            (signed(CODE_BITS),) * rest, (FLAG,) * rest, (stored,) * rest, (FLAG,) * rest,
        ),
        LaneOutputs(rank_, signed(CODE_BITS), FLAG, stored, FLAG),
    )  # fmt: skip


def lane_step(
    config: RequantizerConfig, state: LaneState, inputs: LaneInputs
) -> tuple[LaneState, LaneOutputs]:
    """One clock cycle of a lane."""
    s, i = state, inputs
    source = s.written[0] if config.merged else s.read
    start = select(i.first, NO_RANK, s.peak)
    own_rank = rank(source.product, source.exponent, bits_of(i.search_form), is_raised(i.search_form))
    stored = select(i.fixed, i.fixed_exponent, block_exponent(s.top_2, bits_of(i.form_3)))
    whole = rounded(s.kept)
    own_code = saturate_symmetric(whole, bits_of(i.form_4))
    after = LaneState(
        read=by_scale(i.sum, i.exponent, i.multiplier, i.shift),
        written=(
            (by_scale(i.written_sum, i.written_exponent, i.written_multiplier, i.written_shift),)
            if config.merged
            else ()
        ),
        peak=select(i.ranked, largest(start, own_rank), s.peak),
        top_1=i.top,
        product_2=s.read.product,
        exponent_2=s.read.exponent,
        top_2=select(i.own, i.joined, s.top_1),
        kept=shifted(s.product_2, s.exponent_2, stored),
        stored_3=stored,
        clamped_3=select(i.fixed, 0, select(is_clamped(s.top_2, bits_of(i.form_3)), 1, 0)),
        codes=(own_code, *s.codes[:-1]),
        saturated_4=(select(own_code != whole, 1, 0), *s.saturated_4[:-1]),
        stored_4=(s.stored_3, *s.stored_4[:-1]),
        clamped_4=(s.clamped_3, *s.clamped_4[:-1]),
    )
    return after, LaneOutputs(s.peak, s.codes[-1], s.saturated_4[-1], s.stored_4[-1], s.clamped_4[-1])
