"""The shared operations, against exact rational arithmetic; compiled twins give the same."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import numba
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hwmodels.kernels.jit  # noqa: F401  (registers the ops)
from hwmodels.units import aligner, ops

words = st.integers(-(2**40), 2**40)
roundings = st.sampled_from(list(ops.ROUNDINGS.values()))


def exact(x: Fraction, rounding: int) -> int:
    """An independent rounding of a rational."""
    low = floor(x)
    rest = x - low
    if rounding == ops.FLOOR:
        return low
    if rounding == ops.HALF_UP:
        return floor(x + Fraction(1, 2))
    return low + (rest > Fraction(1, 2) or (rest == Fraction(1, 2) and low % 2 == 1))


compiled_shift = numba.njit(ops.shift_right)
compiled_scale = numba.njit(ops.scale)
compiled_length = numba.njit(ops.bit_length)
compiled_wrap = numba.njit(ops.wrap)


@given(words, st.integers(0, 62), roundings)
def test_shift_right_is_the_exact_quotient_rounded(x: int, s: int, rounding: int) -> None:
    assert ops.shift_right(x, s, rounding) == exact(Fraction(x, 2**s), rounding)
    assert compiled_shift(x, s, rounding) == ops.shift_right(x, s, rounding)


@pytest.mark.parametrize("rounding", ops.ROUNDINGS.values())
def test_shift_right_of_every_small_number(rounding: int) -> None:
    for x in range(-300, 301):
        for s in range(10):
            assert ops.shift_right(x, s, rounding) == exact(Fraction(x, 2**s), rounding)


@given(st.integers(-(2**30), 2**30), st.integers(-80, 25), st.integers(1, 62), roundings)
def test_scale(x: int, s: int, limit: int, rounding: int) -> None:
    want = 0 if -s > limit else exact(x * Fraction(2) ** min(s, limit), rounding)
    assert ops.scale(x, s, limit, rounding) == want
    assert compiled_scale(x, s, limit, rounding) == want


@given(st.integers(0, 2**63 - 1))
def test_bit_length(x: int) -> None:
    assert ops.bit_length(x) == x.bit_length() == compiled_length(x)


@given(words, st.integers(2, 48))
def test_saturate_and_wrap(x: int, bits: int) -> None:
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    assert ops.saturate(x, bits) == min(max(x, low), high)
    wrapped = ops.wrap(x, bits)
    assert low <= wrapped <= high
    assert (wrapped - x) % 2**bits == 0
    assert compiled_wrap(x, bits) == wrapped


def test_fits_refuses_what_does_not_fit() -> None:
    assert ops.fits(127, 8) == 127
    for x, bits in ((128, 8), (-129, 8)):
        with pytest.raises(AssertionError):
            ops.fits(x, bits)
    with pytest.raises(AssertionError):
        ops.fits_unsigned(-1, 8)


def test_align_flushes_beyond_its_longest_shift() -> None:
    config = aligner.AlignerConfig(guard_bits=4, max_shift=8, rounding=ops.RNE)
    assert aligner.result(config, 100, -10, -10) == 1600  # guard bits alone: 100 * 2**4
    assert aligner.result(config, 100, -10, -6) == 100
    assert aligner.result(config, 100, -10, -4) == 25
    assert aligner.result(config, 1000, -10, 3) == 0  # nine positions: beyond the aligner
    assert aligner.is_flushed(1000, aligner.distance(3, -10, 4), 8)
    assert not aligner.is_flushed(0, -60, 8)
