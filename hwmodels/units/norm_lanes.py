"""The lanes of the norm unit, a step per clock cycle: into the sums in pass 1, to the result in pass 2.

Either is a pipeline without a control of its own, see `hwmodels.units.norm_step`.
"""

from __future__ import annotations

from typing import NamedTuple

from hwmodels.units import norm
from hwmodels.units.norm import (
    HALF_BITS,
    LENGTH_BITS,
    PASS_2,
    ROOT_BITS,
    S1_BITS,
    SHIFT_BITS,
    SUM_BITS,
    WORD,
    Y_BITS,
    NormConfig,
)
from hwmodels.units.ops import fits, mul, wrap
from hwmodels.units.ports import Ports, signed, unsigned

EXPONENT_BITS, SUM_EXPONENT_BITS = 8, 9
"""Widths of a block's exponent, and of a sum's."""

SPARE_BITS = 4
"""Width of the bits that a code leaves of a word."""


class EntryInputs(NamedTuple):
    """What enters a lane of pass 1: an element, the row's exponent, and the bits that a code leaves."""

    code: int
    exponent: int
    row_exponent: int
    spare: int


class EntryState(NamedTuple):
    """The registers of a lane of pass 1."""

    word: int
    square: int


def entry_ports(_config: NormConfig) -> Ports:
    """The widths of a lane of pass 1; its outputs are its registers."""
    exponent, held = signed(EXPONENT_BITS), EntryState(signed(WORD), signed(2 * WORD))
    return Ports(EntryInputs(signed(WORD), exponent, exponent, unsigned(SPARE_BITS)), held, held)


def entry_step(_config: NormConfig, state: EntryState, inputs: EntryInputs) -> tuple[EntryState, EntryState]:
    """One clock cycle of a lane of pass 1: the word in stage 1, its square in stage 2."""
    word = fits(norm.aligned(*inputs), WORD)
    return EntryState(word, mul(state.word, state.word, WORD, WORD)), state


class ElementInputs(NamedTuple):
    """What enters a lane of pass 2, each as the element comes by: see `element_step`."""

    word: int
    length: int
    s1: int
    root: int
    half: int
    gamma: int
    gamma_exponent: int
    beta: int
    beta_exponent: int


class ElementState(NamedTuple):
    """The registers of a lane of pass 2; the second after a product is for a multiplier of two stages."""

    times: int
    times_2: int
    centred: int
    product: int
    product_2: int
    y: int
    weighted: int
    weighted_2: int
    right: int
    right_2: int
    beta_1: int
    left: int
    exponent_1: int
    beta_2: int
    exponent_2: int
    shifted: int
    beta_3: int
    exponent_3: int
    sums: tuple[int, ...]
    exponents: tuple[int, ...]


class ElementOutputs(NamedTuple):
    """What leaves a lane of pass 2: ``y * gamma + beta`` and its exponent."""

    sum: int
    sum_exponent: int


def element_ports(config: NormConfig) -> Ports:
    """The widths of a lane of pass 2."""
    word, times, s1 = signed(WORD), signed(S1_BITS), signed(S1_BITS)
    exponent, own, rest = signed(EXPONENT_BITS), signed(SUM_EXPONENT_BITS), config.latency - PASS_2 + 1
    product, weighted, right = signed(S1_BITS + 1 + ROOT_BITS), signed(Y_BITS + WORD), unsigned(SHIFT_BITS)
    beta, total = signed(WORD + norm.BETA_HEADROOM), signed(SUM_BITS)
    return Ports(
        ElementInputs(
            word, unsigned(LENGTH_BITS), s1, unsigned(ROOT_BITS), unsigned(HALF_BITS),
            word, exponent, word, exponent,
        ),
        ElementState(
            times, times, signed(S1_BITS + 1), product, product, signed(Y_BITS), weighted, weighted,
            right, right, word, own, own, beta, own, weighted, beta, own, (total,) * rest, (own,) * rest,
        ),
        ElementOutputs(total, own),
    )  # fmt: skip


def element_step(
    _config: NormConfig, state: ElementState, inputs: ElementInputs
) -> tuple[ElementState, ElementOutputs]:
    """One clock cycle of a lane of pass 2.

    The element's word comes in stage 2, after the memory's; it meets its row's s1 in stage 4, the root in 5,
    the half exponent in 7, gamma and beta in 8, and leaves in 11 or later.
    """
    s, x = state, inputs
    exponent = norm.sum_exponent(x.gamma_exponent, x.beta_exponent)
    after = ElementState(
        times=norm.length_times(x.length, x.word),
        times_2=s.times,
        centred=s.times_2 - x.s1,
        product=norm.times_root(s.centred, x.root),
        product_2=s.product,
        y=wrap(norm.halved(s.product_2, x.half), Y_BITS),
        weighted=norm.times_gamma(s.y, x.gamma),
        weighted_2=s.weighted,
        right=norm.product_shift(x.gamma_exponent, exponent),
        right_2=s.right,
        beta_1=x.beta,
        left=norm.beta_shift(x.beta_exponent, exponent),
        exponent_1=exponent,
        beta_2=norm.shifted_beta(s.beta_1, s.left),
        exponent_2=s.exponent_1,
        shifted=norm.shifted_product(s.weighted_2, s.right_2),
        beta_3=s.beta_2,
        exponent_3=s.exponent_2,
        sums=(s.shifted + s.beta_3, *s.sums[:-1]),
        exponents=(s.exponent_3, *s.exponents[:-1]),
    )
    return after, ElementOutputs(s.sums[-1], s.exponents[-1])
