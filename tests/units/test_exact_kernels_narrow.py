"""The kernels of the vector units where numbers just have room in 32 bits, and just have none."""

from __future__ import annotations

from dataclasses import replace

import calls
import numpy as np
import pytest

from hwmodels import machines
from hwmodels.kernels.elementwise import add_matrices, multiply_matrices
from hwmodels.kernels.lut import NARROW_BITS, NARROW_LEFT, NARROW_STEP
from hwmodels.kernels.softmax import NARROW_GUARD, NARROW_LENGTH, NARROW_ROW, TOGETHER
from hwmodels.kernels.softmax import NARROW_STEP as NARROW_EXP2_STEP
from hwmodels.units import elementwise, lut, norm, softmax
from hwmodels.units.elementwise import ElementwiseConfig
from hwmodels.units.ops import FLOOR, RNE

MACHINE = machines.load("bct64")
EXTREMES = [-32768, -32767, -16385, -16384, -2, -1, 0, 1, 2, 16383, 16384, 32766, 32767]


def buffers(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    return np.full(shape, 77, np.int64), np.full(shape, 99, np.int16)


@pytest.mark.parametrize("bits", [16, NARROW_BITS, NARROW_BITS + 1, 32])
@pytest.mark.parametrize("step", [1, NARROW_STEP, NARROW_STEP + 1, 14])
def test_lut_whose_table_is_as_steep_as_can_be(bits: int, step: int) -> None:
    """Rows of several blocks, by shifts just as long as allowed, and one longer in any of them."""
    top = (1 << bits - 1) - 1
    config = lut.LutConfig(64, bits, 12, step, (-top - 1, top, -top), 4)
    rng = np.random.default_rng(step)
    codes = np.concatenate([np.tile(EXTREMES, 2), rng.integers(-32767, 32768, 14)])
    codes = np.stack([codes, codes[::-1], codes >> 4, codes >> 9, codes >> 12, -(codes >> 14)]).astype(
        np.int16
    )
    rows, edges = np.array([0, 0, 1, 1, 1, 2]), np.array([0, 20, 40])
    for left in (NARROW_LEFT - 1, NARROW_LEFT, NARROW_LEFT + 1, 24):
        shared = (np.array([[left, 0], [-3, left], [-14, -40]]) - config.fraction).astype(np.int16)
        (sums, exponents), counts = buffers(codes.shape), np.zeros(1, np.int64)
        calls.lut(
            codes, shared, rows, edges, np.array(config.table), config.fraction, bits, config.span, step,
            sums, exponents, counts,
        )  # fmt: skip
        spread = np.repeat(shared[rows], np.diff(edges), axis=1).tolist()
        want = [lut.result(config, c.tolist(), e) for c, e in zip(codes, spread, strict=True)]
        assert sums.tolist() == [w[0] for w in want]
        assert exponents.tolist() == [w[1] for w in want]
        assert counts[0] == sum(w[2] for w in want)


@pytest.mark.parametrize("bits", [16, NARROW_BITS])
def test_lut_whose_table_spans_every_word(bits: int) -> None:
    """No word is outside, where a unit would take the line through the table's ends."""
    rng = np.random.default_rng(bits)
    step, top = NARROW_STEP, (1 << bits - 1) - 1
    table = tuple(rng.integers(-top - 1, top + 1, (1 << bits - step) + 1).tolist())
    config = lut.LutConfig(64, bits, 12, step, table, 4)
    assert config.span == top + 1
    codes = np.array([EXTREMES * 2], np.int16)
    shared, rows, edges = np.array([[bits - 28, -12]], np.int16), np.zeros(1, np.int64), np.array([0, 13, 26])
    (sums, exponents), counts = buffers(codes.shape), np.zeros(1, np.int64)
    calls.lut(
        codes, shared, rows, edges, np.array(table), config.fraction, bits, config.span, step, sums,
        exponents, counts,
    )  # fmt: skip
    spread = np.repeat(shared, np.diff(edges), axis=1)[0].tolist()
    assert (sums[0].tolist(), exponents[0].tolist(), counts[0]) == lut.result(config, EXTREMES * 2, spread)


def softmax_is_result(
    config: softmax.SoftmaxConfig, codes: np.ndarray, exponent: int, keys: np.ndarray, per_sample: int,
    present: np.ndarray,
) -> None:  # fmt: skip
    """Every row in one block, which has an exponent."""
    m, n = codes.shape
    sums, exponents = buffers(codes.shape)
    tables = (
        (np.array(t), softmax.step_bits(len(t))) for t in (config.exp2, config.reciprocal)
    )  # fmt: skip
    calls.softmax_rows(
        codes.astype(np.int16), np.full((1, 1), exponent, np.int16), np.zeros(m, np.int64), np.array([0, n]),
        keys, present, per_sample, config.guard_bits, *(x for t in tables for x in t), sums, exponents,
    )  # fmt: skip
    for i in range(m):
        taken = (keys[i % len(keys)] & present[i // per_sample]).tolist()
        want = softmax.result(config, codes[i].tolist(), [exponent] * n, taken)
        assert (sums[i].tolist(), exponents[i].tolist()) == want


@pytest.mark.parametrize("guard", [0, 4, NARROW_GUARD, NARROW_GUARD + 1, 15])
@pytest.mark.parametrize("step", [0, 6, NARROW_EXP2_STEP, NARROW_EXP2_STEP + 1])
def test_softmax_at_the_ends_of_what_is_narrow(guard: int, step: int) -> None:
    """Steep tables, and exponents of rows from which a distance goes right, goes left, or vanishes."""
    entries = (1 << 16 - step) + 1
    steep = tuple((1 << 16) * (1 - i % 2) for i in range(entries))
    shipped = MACHINE.softmax_config
    codes = np.array([EXTREMES, EXTREMES[::-1], [x >> 7 for x in EXTREMES]])
    keys, present = np.ones((1, codes.shape[1]), np.bool_), np.ones((1, codes.shape[1]), np.bool_)
    for table in (steep, shipped.exp2):
        config = replace(shipped, guard_bits=guard, exp2=table)
        for exponent in (
            -60,
            NARROW_ROW.low - 1,
            NARROW_ROW.low,
            -13,
            NARROW_ROW.high,
            NARROW_ROW.high + 1,
            9,
        ):
            softmax_is_result(config, codes, exponent, keys, 3, present)


@pytest.mark.parametrize("one", [1, 1 << 10, (1 << 16) - 1, 1 << 16])
def test_softmax_whose_sum_is_just_below_one(one: int) -> None:
    """A row's sum of powers with fewer, or just as many, places as a fraction has."""
    config = replace(MACHINE.softmax_config, exp2=(one, one // 2))
    for n in (1, 2, 64):
        codes, there = np.full((2, n), 5), np.ones((1, n), np.bool_)
        softmax_is_result(config, codes, -13, there, 2, there)


@pytest.mark.parametrize("n", [NARROW_LENGTH, NARROW_LENGTH + 1])
def test_softmax_of_long_rows(n: int) -> None:
    """All keys alike: the sum of powers is as large as it can be."""
    there = np.ones((1, n), np.bool_)
    softmax_is_result(MACHINE.softmax_config, np.full((1, n), -7), -13, there, 1, there)


@pytest.mark.parametrize("heights", [(1, 2 * TOGETHER + 5), (1, TOGETHER), (1, 7), (4, 9), (1, 1)])
def test_rows_in_a_pass_together_have_keys_of_their_own(heights: tuple[int, int]) -> None:
    """Samples end anywhere between the rows of a pass, and have other keys than the rows before."""
    several, per_sample = heights
    rng, m, n = np.random.default_rng(per_sample), 3 * TOGETHER + 2, 20
    keys, present = rng.random((several, n)) < 0.8, rng.random((-(-m // per_sample), n)) < 0.6
    codes = rng.integers(-9000, 9000, (m, n))
    softmax_is_result(MACHINE.softmax_config, codes, -12, keys, per_sample, present)


def norm_is_result(
    codes: np.ndarray, bits: int, centred: bool, parameters: list[np.ndarray], exponent: int = -14
) -> None:
    """Every row in one block, which has an exponent."""
    config, n = MACHINE.norm_config, codes.shape[1]
    epsilon, vectors = norm.epsilon_of(1e-5, n), [v.astype(np.int16) for v in parameters]
    o = norm.NormOperands(bits, centred, epsilon, *(tuple(v.tolist()) for v in parameters))
    sums, exponents = buffers(codes.shape)
    calls.norm_rows(
        codes.astype(np.int16), np.full((1, 1), exponent, np.int16), np.zeros(len(codes), np.int64),
        np.array([0, n]), bits, centred, *epsilon, *vectors, np.array(config.root),
        norm.step_bits(len(config.root)), config.newton_steps, sums, exponents,
    )  # fmt: skip
    for i, row in enumerate(codes):
        want = norm.result(config, o, row.tolist(), [exponent] * n)
        assert (sums[i].tolist(), exponents[i].tolist()) == want


@pytest.mark.parametrize("place", [0, 17, 18, None])
@pytest.mark.parametrize("over", [norm.BETA_HEADROOM - norm.Y_FRACTION + d for d in (0, 1, 30)])
def test_norm_one_of_whose_betas_moves_a_product(place: int | None, over: int) -> None:
    """One column, or none, has a beta so far above its gamma that the product goes right."""
    rng, n = np.random.default_rng(over), 19
    gamma, beta = (rng.integers(-32767, 32768, n) for _ in range(2))
    ge = rng.integers(-20, -12, n)
    be = ge + rng.integers(-30, 9, n)
    if place is not None:
        be[place] = ge[place] + over
    norm_is_result(rng.integers(-32767, 32768, (4, n)), 16, True, [gamma, ge, beta, be])


@pytest.mark.parametrize("centred", [True, False])
def test_norm_of_the_longest_rows(centred: bool) -> None:
    """As many elements as a row may have, all as large as they can be, or one of them not."""
    n = (1 << norm.LENGTH_BITS) - 1
    codes = np.full((2, n), 32767)
    codes[1], codes[1, 5] = -32767, 32767
    ones = [np.full(n, x) for x in (16384, -14, 3, -20)]
    norm_is_result(codes, 16, centred, ones)


@pytest.mark.parametrize("guard", [-15, -1, 0, 8, 15])
@pytest.mark.parametrize("reach", [0, 7, 8, 15, 62])
@pytest.mark.parametrize("rounding", [FLOOR, RNE])
def test_elements_that_just_go_left(guard: int, reach: int, rounding: int) -> None:
    """The lower element's distance is as far as the guard bits, or one farther, or beyond the aligner."""
    config = ElementwiseConfig(4, guard, reach, rounding, 3)
    a = np.array([EXTREMES * 2] * 4, np.int16)
    b = np.array([EXTREMES + EXTREMES[::-1]] * 4, np.int16)
    rows, edges, n = np.array([0, 0, 1, 1]), np.array([0, 13, 26]), 26
    for lower in (0, 1, guard, guard + 1, guard + reach, guard + reach + 1, 200):
        a_shared = np.array([[0, 0], [0, -1]], np.int16)
        b_shared = np.array([[0, -max(lower, 0)], [max(lower, 0), 0]], np.int16)
        base = np.array([[100], [-100]], np.int16)  # both ends of what a stored exponent can be
        a_shared, b_shared = a_shared + base, b_shared + base
        (sums, exponents), counts = buffers((4, n)), np.zeros(1, np.int64)
        calls.add_matrices(
            a,
            a_shared,
            rows,
            edges,
            b,
            b_shared,
            rows,
            edges,
            guard,
            reach,
            rounding,
            sums,
            exponents,
            counts,
        )
        ea, eb = (np.repeat(s[rows], 13, axis=1).tolist() for s in (a_shared, b_shared))
        want = [elementwise.result_add(config, a[i].tolist(), ea[i], b[i].tolist(), eb[i]) for i in range(4)]
        assert (sums.tolist(), exponents.tolist()) == ([w[0] for w in want], [w[1] for w in want])
        assert counts[0] == sum(w[2] for w in want)


def test_rows_repeat_inside_a_run() -> None:
    """Rows that all share their exponents, beside a matrix of fewer rows."""
    rng = np.random.default_rng(1)
    a, b = rng.integers(-32767, 32768, (5, 20)), rng.integers(-32767, 32768, (2, 20))
    one, edges, zeros = np.full((1, 1), -9, np.int16), np.array([0, 20]), np.zeros(5, np.int64)
    sides = (a.astype(np.int16), one, zeros, edges, b.astype(np.int16), one, zeros[:2], edges)
    sums, exponents, counts = np.zeros((5, 20), np.int32), np.zeros((1, 20), np.int16), np.zeros(1, np.int64)
    add_matrices(calls.TEAM, 0, 1, *sides, 8, 31, RNE, sums, exponents, zeros, counts)
    assert sums.tolist() == ((a + b[[0, 1, 0, 1, 0]]) << 8).tolist()
    multiply_matrices(calls.TEAM, 0, 1, *sides, sums, exponents, zeros, counts)
    assert sums.tolist() == (a * b[[0, 1, 0, 1, 0]]).tolist()
