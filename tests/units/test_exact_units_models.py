"""LUT, softmax, norm and element-wise unit against models over exact rationals, written from the text.

The tables are random: every entry, bit and rounding shows in what comes out.
"""

from __future__ import annotations

from fractions import Fraction
from math import floor

import numpy as np
import pytest

from hwmodels.units import elementwise, lut, norm, requantizer, softmax
from hwmodels.units.elementwise import ElementwiseConfig
from hwmodels.units.lut import LutConfig
from hwmodels.units.norm import NormConfig, NormOperands
from hwmodels.units.ops import FLOOR, HALF_UP, RNE, ZERO_BLOCK
from hwmodels.units.softmax import SoftmaxConfig

CASES = range(60)


def times(x: int, e: int) -> Fraction:
    return x * Fraction(2) ** e


def half_up(x: Fraction) -> int:
    return floor(x + Fraction(1, 2))


def line(table: tuple[int, ...], position: int, low: int) -> int:
    """Interpolated between two entries ``2**low`` apart."""
    i, rest = divmod(position, 2**low)
    return table[i] + half_up(Fraction((table[i + 1] - table[i]) * rest, 2**low))


def length(x: int) -> int:
    return len(f"{x:b}") if x else 0


# -- LUT -----------------------------------------------------------------------------------------

SMALL = LutConfig(lanes=2, in_bits=8, fraction=3, step_bits=3, table=(-128, -9, 127, 6, -77), latency=4)


def test_lut_of_every_word() -> None:
    """The table covers -16 up to 15; below is zero, above the identity."""
    assert SMALL.span == 16
    words = range(-128, 128)
    sums, exponents, clipped = lut.result(SMALL, words, [-3] * 256)
    inside = [line(SMALL.table, x + 16, 3) for x in range(-16, 16)]
    assert sums == [0] * 112 + inside + list(range(16, 128))
    assert (exponents, clipped) == ([-3] * 256, 0)


def test_lut_inputs_are_rounded_to_even_and_saturated() -> None:
    codes, e = [1, 3, 5, -1, -3, 255, 257], -4  # halves of a step: 0.5 is 0, 1.5 is 2, 2.5 is 2
    want = [line(SMALL.table, x + 16, 3) for x in (0, 2, 2, 0, -2)]
    assert lut.result(SMALL, codes, [e] * 7) == ([*want, 127, 127], [-3] * 7, 2)  # 127.5 is 128: clipped
    low = lut.result(SMALL, [-256, -257, -259, 1, -1], [-4, -4, -4, 127, 127])
    assert low == ([0, 0, 0, 127, 0], [-3] * 5, 3)  # -128, -128.5 is -128, -129.5 is -130


def test_lut_entries_have_the_width_of_the_word() -> None:
    with pytest.raises(AssertionError):
        lut.result(LutConfig(1, 8, 3, 3, (0, 0, 128, 0, 0), 4), [0], [-3])
    assert lut.between(-128, 127, 7, 3, 8) == -128 + half_up(Fraction(255 * 7, 8))
    for left, right, low in ((-129, 127, 0), (127, -130, 0), (0, 0, 8)):
        with pytest.raises(AssertionError):
            lut.between(left, right, low, 3, 8)


# -- softmax -------------------------------------------------------------------------------------


def softmax_model(
    config: SoftmaxConfig, codes: list[int], exponents: list[int], keys: list[bool]
) -> list[int]:
    row = max([ZERO_BLOCK, *(e for e, keep in zip(exponents, keys, strict=True) if keep)])
    guard = config.guard_bits
    words = [round(times(c, min(e, row) - row + guard)) for c, e in zip(codes, exponents, strict=True)]
    top = max([x for x, keep in zip(words, keys, strict=True) if keep], default=0)
    powers = []
    for x, keep in zip(words, keys, strict=True):
        t = half_up(times((top - x) * 23637, min(row - guard - 14 + 16, 24)))  # log2 e with 14 bits
        t = min(t, 2**21 - 1)
        value = line(config.exp2, t % 2**16, 16 - length(len(config.exp2) - 2))
        powers.append(half_up(Fraction(value, 2 ** (t // 2**16))) if keep else 0)
    total = sum(powers)
    if not total:
        return [0] * len(codes)
    n = length(total) - 1
    mantissa = floor(times(total, 16 - n)) - 2**16
    inverse = line(config.reciprocal, mantissa, 16 - length(len(config.reciprocal) - 2))
    return [min(half_up(Fraction(p * inverse, 2**n)), 2**16 - 1) for p in powers]


@pytest.mark.parametrize("seed", CASES)
def test_softmax(seed: int) -> None:
    rng = np.random.default_rng(seed)
    entries = [tuple(rng.integers(1 << 15, (1 << 16) + 1, 2**b + 1).tolist()) for b in (2, 3)]
    config = SoftmaxConfig(4, int(rng.integers(0, 6)), *entries, latency=8)
    n = int(rng.integers(1, 12))
    size = int(rng.choice([3, 100, 32767]))
    codes = rng.integers(-size, size + 1, n).tolist()
    base = int(rng.choice([-16, -10, -6, 0, 25]))
    exponents = (base + rng.integers(-int(rng.choice([0, 3, 30])) - 1, 1, n)).tolist()
    keys = (rng.random(n) < rng.choice([1.0, 0.6])).tolist()
    exponents = [
        e + 40 * (not keep and bool(rng.random() < 0.3)) for e, keep in zip(exponents, keys, strict=True)
    ]
    sums, below = softmax.result(config, codes, exponents, keys)
    assert sums == softmax_model(config, codes, exponents, keys)
    assert below == [-16] * n


def test_a_table_of_softmax_that_rises_by_all_that_an_entry_holds() -> None:
    """Half a unit is round(0.5 log2(e) 2**16) = 47,274: 14,506 of 32,768 on the way from nothing to one."""
    assert softmax.exponential(1 << 7, 0, 8, (1 << 16, 0, 1 << 16), 15) == 2 * 14506


def test_tables_of_softmax_have_their_width() -> None:
    """Entries two bits wider than the largest; a table of one or two segments leaves 16 or 15 bits."""
    fine, wide = (1 << 16,) * 5, (0, 1 << 18, 0, 1 << 18, 0)
    assert softmax.result(SoftmaxConfig(4, 0, fine, fine, 8), [0], [0], [True]) == ([65535], [-16])
    for exp2, reciprocal in ((wide, fine), (fine, wide)):
        with pytest.raises(AssertionError):
            softmax.result(SoftmaxConfig(4, 0, exp2, reciprocal, 8), [0, -1], [-1, -1], [True, True])
    assert [softmax.step_bits(n) for n in (2, 3, 5, 65)] == [16, 15, 14, 10]
    assert [norm.step_bits(n) for n in (4, 7, 13, 97)] == [16, 15, 14, 11]


# -- norm ----------------------------------------------------------------------------------------


def norm_model(
    config: NormConfig, o: NormOperands, codes: list[int], exponents: list[int]
) -> tuple[list[int], list[int]]:
    n, (mantissa, below) = len(codes), o.epsilon
    row = max(*exponents, ZERO_BLOCK, floor(Fraction(below - 43, 2)) + 16 - o.bits)
    unit = row - (16 - o.bits)
    words = [round(times(c, e - unit)) for c, e in zip(codes, exponents, strict=True)]
    s1 = sum(words) if o.centred else 0
    v = n * sum(x * x for x in words) - s1 * s1 + round(times(mantissa, below - 2 * unit))
    h = max(length(v) - 1, 0) // 2
    m = max(floor(times(v, 16 - 2 * h)), 2**16)
    r = line(config.root, m - 2**16, 18 - length(len(config.root) - 1))
    for _ in range(config.newton_steps):
        square = half_up(times(r * r, -18))
        r = half_up(times(r * (3 * 2**18 - half_up(times(m * square, -16))), -19))
    sums, out = [], []
    for x, g, ge, b, be in zip(words, o.gamma, o.gamma_exponents, o.beta, o.beta_exponents, strict=True):
        y = half_up(times((n * x - s1) * r, -4 - h))
        e = max(ZERO_BLOCK if ge == ZERO_BLOCK else ge - 14, be - 22)
        sums.append(round(times(y * g, ge - 14 - e)) + round(times(b, be - e)))
        out.append(e)
    return sums, out


@pytest.mark.parametrize("seed", CASES)
def test_norm(seed: int) -> None:
    rng = np.random.default_rng(seed)
    root = tuple(rng.integers(1 << 17, (1 << 18) + 1, 13).tolist())
    config = NormConfig(4, root, int(rng.integers(0, 3)), 12)
    n, bits = int(rng.choice([1, 2, 5, 16])), int(rng.choice([8, 16]))
    limit = 2 ** (bits - 1) - 1
    codes = rng.integers(-limit, limit + 1, n).tolist()
    exponents = (int(rng.choice([-30, -12, 0])) - rng.integers(0, rng.choice([1, 30]), n)).tolist()
    gamma, beta = (tuple(rng.integers(-32767, 32768, n).tolist()) for _ in range(2))
    ge, be = (tuple((-14 + rng.integers(-20, 21, n)).tolist()) for _ in range(2))
    if rng.random() < 0.3:
        ge, gamma = (ZERO_BLOCK,) * n, (0,) * n
    epsilon = norm.epsilon_of(float(rng.choice([0.0, 1e-12, 1e-5, 1.0, 2.0**20])), n)
    o = NormOperands(bits, bool(rng.random() < 0.5), epsilon, gamma, ge, beta, be)
    assert norm.result(config, o, codes, exponents) == norm_model(config, o, codes, exponents)


def test_epsilon_by_hand() -> None:
    assert norm.epsilon_of(0.0, 5) == (0, -1024)
    assert norm.epsilon_of(0.25, 3) == (18432, -13)  # 2.25 is 0.5625 * 2**2
    assert norm.epsilon_of(1.0, 1) == (16384, -14)


def test_the_ends_of_epsilon_and_of_the_root() -> None:
    """2.5 and 3.5 are rounded to even; the root of nothing is the table's first entry."""
    assert [norm.epsilon_term(x, -1, 0) for x in (5, 7)] == [2, 4]
    assert norm.epsilon_term(5, -3, -2) == 10
    table = (9, 5, 4, 3)
    assert [norm.reciprocal_root(v, table, 16, 0) for v in (0, 1, 2, 3, 4)] == [9, 9, 5, 4, 9]


# -- element-wise --------------------------------------------------------------------------------


@pytest.mark.parametrize("rounding", [FLOOR, HALF_UP, RNE])
def test_add_counts_what_it_flushes(rounding: int) -> None:
    """Two guard bits and shifts of four at most: six apart is the last that is not lost."""
    config = ElementwiseConfig(4, 2, 4, rounding, 3)
    rule = {FLOOR: floor, HALF_UP: half_up, RNE: round}[rounding]
    for gap in range(9):
        for a, ea, b, eb in ((7, gap, 1000, 0), (1000, 0, 7, gap)):
            small = rule(times(1000, 2 - gap)) if gap <= 6 else 0
            assert elementwise.result_add(config, [a], [ea], [b], [eb]) == ([28 + small], [gap - 2], gap > 6)
    assert elementwise.result_add(config, [0], [0], [7], [9]) == ([28], [7], 0)
    wide = ElementwiseConfig(4, 5, 4, rounding, 3)
    assert elementwise.result_add(wide, [3, 0], [1, 1], [5, 5], [1, 1]) == ([0, 0], [-4, -4], 3)


def test_words_of_the_elementwise_unit() -> None:
    config = ElementwiseConfig(4, 16, 31, RNE, 3)
    top = 2**15 - 1
    assert elementwise.result_add(config, [-(2**14)], [0], [-(2**14)], [0])[0] == [-(2**31)]
    for a, b in ((2**14, 2**14), (-top, -2)):
        with pytest.raises(AssertionError):
            elementwise.result_add(config, [a], [0], [b], [0])
    assert elementwise.result_mul([-(2**15), top], [3, 4], [top, -(2**15)], [5, -9]) == (
        [-(2**15) * top] * 2, [8, -5]
    )  # fmt: skip
    for a, b in ((2**15, 1), (1, 2**15), (-(2**15) - 1, 1), (1, -(2**15) - 1)):
        with pytest.raises(AssertionError):
            elementwise.result_mul([a], [0], [b], [0])
    z = ZERO_BLOCK
    assert elementwise.result_mul([0] * 3, [z, 100, z], [0] * 3, [100, z, z])[1] == [z] * 3


# -- requantizer ---------------------------------------------------------------------------------


def test_widths_of_a_real_scale() -> None:
    assert requantizer.scaled(-(2**47), 2**16 - 1) == -(2**47) * (2**16 - 1)
    assert requantizer.scaled_exponent(-5, 3) == -2
    for acc, multiplier in ((2**47, 0), (-(2**47) - 1, 0), (0, 2**16), (0, -1)):
        with pytest.raises(AssertionError):
            requantizer.scaled(acc, multiplier)


@pytest.mark.parametrize("bits", [4, 8, 16])
def test_exponents_at_the_ends_of_their_range(bits: int) -> None:
    """A code of one: its block's exponent is ``e - (bits - 2)`` and its code ``2**(bits - 2)``."""
    for e, stored, clamped in ((-128, -127, 1), (-127, -127, 0), (127, 127, 0), (128, 127, 1)):
        codes, found, counted, _ = requantizer.result([1], [e + bits - 2], bits)
        assert (found, counted) == (stored, clamped)
        limit = 2 ** (bits - 1) - 1
        assert codes == [min(round(times(2 ** (bits - 2), e - stored)), limit)]
    assert requantizer.result([0, 0], [5, -300], bits) == ([0, 0], ZERO_BLOCK, 0, 0)


@pytest.mark.parametrize("bits", [4, 8, 16])
def test_long_shifts(bits: int) -> None:
    """Under a static exponent, to the right as far as the word reaches, to the left as far as a code."""
    limit = 2 ** (bits - 1) - 1
    for acc in (1, 3, -3, 2**59, 2**60, 3 * 2**59, -(2**60) - 1):
        for shift in (-64, -63, -62, -61, -60, -1, 0, 1, bits - 1, bits, bits + 1, 90):
            exact = round(times(acc, shift)) if shift >= -62 else 0
            want = min(max(exact, -limit), limit)
            assert requantizer.result([acc], [shift], bits, 0) == ([want], 0, 0, int(exact != want))
