"""Every edge of the shared operations, of the aligner and of the accumulator."""

from __future__ import annotations

import pytest

from hwmodels.units import accumulator, aligner, ops
from hwmodels.units.accumulator import AccumulatorConfig
from hwmodels.units.ops import FLOOR, HALF_UP, RNE


def test_numbers_that_traces_and_modules_share() -> None:
    assert ops.ROUNDINGS == {"floor": 0, "half_up": 1, "rne": 2}
    assert (FLOOR, HALF_UP, RNE) == (0, 1, 2)
    assert (ops.ZERO_BLOCK, ops.EXPONENT_MIN, ops.EXPONENT_MAX) == (-128, -127, 127)
    assert aligner.NORMALISES == {"bound": 0, "exact": 1, "running": 2}
    assert (aligner.BOUND, aligner.EXACT, aligner.RUNNING) == (0, 1, 2)


@pytest.mark.parametrize("bits", [1, 2, 3, 8, 40])
def test_fits_at_its_ends(bits: int) -> None:
    half = 2**bits // 2
    for x in (-half, half - 1):
        assert ops.fits(x, bits) == x
    for x in (0, 2**bits - 1):
        assert ops.fits_unsigned(x, bits) == x
    for check, bad in ((ops.fits, (-half - 1, half)), (ops.fits_unsigned, (-1, 2**bits))):
        for x in bad:
            with pytest.raises(AssertionError):
                check(x, bits)


def test_a_multiplier_has_the_widths_that_it_is_given() -> None:
    assert ops.mul(-128, 7, 8, 4) == -896
    for a, b in ((128, 0), (-129, 0), (0, 8), (0, -9)):
        with pytest.raises(AssertionError):
            ops.mul(a, b, 8, 4)


def test_multiplexers_and_comparators() -> None:
    assert (ops.select(1, 5, 6), ops.select(0, 5, 6)) == (5, 6)
    assert ops.lookup((7, 8, 9), 1) == 8
    for a in range(-4, 5):
        assert ops.magnitude(a) == abs(a)
        for b in range(-4, 5):
            assert (ops.largest(a, b), ops.smallest(a, b)) == (max(a, b), min(a, b))
            assert ops.clamp(a, -2, 3) == sorted((-2, a, 3))[1]


@pytest.mark.parametrize("bits", [2, 3, 5])
def test_saturation_and_wrapping_of_every_number(bits: int) -> None:
    half = 2 ** (bits - 1)
    for x in range(-4 * half, 4 * half):
        assert ops.saturate(x, bits) == min(max(x, -half), half - 1)
        assert ops.saturate_symmetric(x, bits) == min(max(x, 1 - half), half - 1)
        assert ops.wrap(x, bits) == (x + half) % (2 * half) - half


def test_bit_length_about_every_power() -> None:
    for n in range(63):
        for x in (2**n - 1, 2**n, 2 ** (n + 1) - 1):
            assert ops.bit_length(x) == x.bit_length()


@pytest.mark.parametrize("limit", [1, 3, 8])
def test_scale_at_its_limit(limit: int) -> None:
    x = 3 << limit
    assert ops.scale(x, -limit, limit, RNE) == 3
    assert ops.scale(x << 1, -limit - 1, limit, RNE) == 0
    assert ops.scale(5, limit, limit, RNE) == ops.scale(5, limit + 1, limit, RNE) == 5 << limit
    assert ops.scale(-x, 0, limit, FLOOR) == -x


def test_ties_by_each_rounding() -> None:
    """-1.5, -0.5, 0.5 and 1.5."""
    for rounding, want in ((FLOOR, [-2, -1, 0, 1]), (HALF_UP, [-1, 0, 1, 2]), (RNE, [-2, 0, 0, 2])):
        assert [ops.shift_right(x, 1, rounding) for x in (-3, -1, 1, 3)] == want
        assert [ops.shift_right(x, 0, rounding) for x in (-3, 3)] == [-3, 3]


def test_the_aligner_at_its_longest_shift() -> None:
    for shift, lost in ((-9, True), (-8, False), (8, False), (9, True)):
        assert aligner.is_flushed(1 << 9, shift, 8) is lost
        assert not aligner.is_flushed(0, shift, 8)
        assert aligner.align(1 << 9, shift, 8, RNE) == (0 if lost else int(512 * 2.0**shift))
    assert aligner.distance(10, 3, 4) == -3
    assert [aligner.cycles(terms, 3) for terms in (1, 3, 4)] == [1, 1, 2]


def test_the_bound_of_an_output() -> None:
    z = ops.ZERO_BLOCK
    assert aligner.bound(3, 4, -20, z) == 7
    assert aligner.bound(3, 4, 20, z) == 20
    assert aligner.bound(3, -4, -1, z) == -1
    for row, column in ((z, 100), (100, z), (z, z)):
        assert aligner.bound(row, column, -200, z) == -200


def test_one_add_at_the_ends_of_a_word() -> None:
    for x, over, saturated, wrapped in ((27, False, 127, 127), (28, True, 127, -128), (0, False, 100, 100)):
        assert accumulator.overflows(100, x, 8) == over
        assert accumulator.add(100, x, 8, True) == saturated
        assert accumulator.add(100, x, 8, False) == wrapped
    assert (accumulator.overflows(-100, -28, 8), accumulator.overflows(-100, -29, 8)) == (False, True)
    assert accumulator.result(AccumulatorConfig(8, True, 4, 2, 1), 1, [2, 3]) == 6
