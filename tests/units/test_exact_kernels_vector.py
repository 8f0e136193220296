"""The kernels of the vector units where blocks repeat, lie apart, or belong to the row before."""

from __future__ import annotations

from dataclasses import replace

import calls
import numpy as np
import pytest

from hwmodels import machines
from hwmodels.units import elementwise, lut, norm, softmax
from hwmodels.units.elementwise import ElementwiseConfig
from hwmodels.units.ops import HALF_UP, ZERO_BLOCK

MACHINE = machines.load("bct64")
ROWS, BLOCKS = np.array([2, 0, 0, 1, 2]), 3
EDGES = np.array([0, 2, 3, 7])
N, M = 7, 5


def operands(seed: int, low: int, high: int) -> tuple[np.ndarray, np.ndarray, list[list[int]]]:
    """Codes, the exponents of their blocks, and those of every element."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(-32767, 32768, (M, N)).astype(np.int16)
    shared = rng.integers(low, high + 1, (3, BLOCKS)).astype(np.int16)
    return codes, shared, np.repeat(shared[ROWS], np.diff(EDGES), axis=1).tolist()


def buffers() -> tuple[np.ndarray, np.ndarray]:
    return np.full((M, N), 77, np.int64), np.full((M, N), 99, np.int16)


def test_lut() -> None:
    config = MACHINE.lut_config("gelu")
    codes, shared, spread = operands(1, -20, 0)
    (sums, exponents), counts = buffers(), np.zeros(1, np.int64)
    calls.lut(
        codes, shared, ROWS, EDGES, np.array(config.table), config.fraction, config.in_bits, config.span,
        config.step_bits, sums, exponents, counts,
    )  # fmt: skip
    want = [lut.result(config, c.tolist(), e) for c, e in zip(codes, spread, strict=True)]
    assert (sums.tolist(), exponents.tolist()) == ([w[0] for w in want], [w[1] for w in want])
    assert counts[0] == sum(w[2] for w in want) > 0


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("per_sample", [1, 2, 5])
def test_softmax(seed: int, per_sample: int) -> None:
    """The largest exponent is often that of keys that are masked."""
    config = MACHINE.softmax_config
    codes, shared, spread = operands(seed, -16, -9)
    shared[:, seed % BLOCKS] += seed
    shared[0, 0] = ZERO_BLOCK
    spread = np.repeat(shared[ROWS], np.diff(EDGES), axis=1).tolist()
    rng = np.random.default_rng(seed)
    keys, present = rng.random((3, N)) < 0.7, rng.random((-(-M // per_sample), N)) < 0.8
    keys[0, EDGES[seed % BLOCKS] : EDGES[seed % BLOCKS + 1]] = False
    sums, exponents = buffers()
    calls.softmax_rows(
        codes, shared, ROWS, EDGES, keys, present, per_sample, config.guard_bits,
        np.array(config.exp2), softmax.step_bits(len(config.exp2)),
        np.array(config.reciprocal), softmax.step_bits(len(config.reciprocal)), sums, exponents,
    )  # fmt: skip
    for i in range(M):
        taken = (keys[i % 3] & present[i // per_sample]).tolist()
        want = softmax.result(config, codes[i].tolist(), spread[i], taken)
        assert (sums[i].tolist(), exponents[i].tolist()) == want


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("centred", [False, True])
def test_norm(seed: int, centred: bool) -> None:
    config, bits = MACHINE.norm_config, (16, 8)[seed % 2]
    codes, shared, spread = operands(seed, -14 - seed, -14)
    codes = (codes >> (16 - bits)).astype(np.int16)
    rng = np.random.default_rng(seed)
    gamma, beta = (rng.integers(-32767, 32768, N).astype(np.int16) for _ in range(2))
    ge, be = (rng.integers(-20, 1, N).astype(np.int16) for _ in range(2))
    epsilon = norm.epsilon_of((0.0, 1e-5, 1e30)[seed % 3], N)
    o = norm.NormOperands(bits, centred, epsilon, *(tuple(v.tolist()) for v in (gamma, ge, beta, be)))
    sums, exponents = buffers()
    calls.norm_rows(
        codes, shared, ROWS, EDGES, bits, centred, *epsilon, gamma, ge, beta, be,
        np.array(config.root), norm.step_bits(len(config.root)), config.newton_steps, sums, exponents,
    )  # fmt: skip
    want = [norm.result(config, o, c.tolist(), e) for c, e in zip(codes, spread, strict=True)]
    assert (sums.tolist(), exponents.tolist()) == ([w[0] for w in want], [w[1] for w in want])


@pytest.mark.parametrize("height", [2, 5])
def test_matrices(height: int) -> None:
    """b has `height` rows, which repeat, and blocks of its own."""
    config = ElementwiseConfig(4, 3, 6, HALF_UP, 3)
    a, a_shared, ea = operands(3, -14, 0)
    b, b_shared, _ = operands(4, -14, 0)
    b, b_rows, b_blocks = b[:height].copy(), np.array([1, 2, 0, 0, 1])[:height], np.array([2, 2, 0])
    eb = np.repeat(b_shared[b_rows][:, b_blocks], np.diff(EDGES), axis=1).tolist()
    own = b_shared[:, b_blocks]
    sides = (a, a_shared, ROWS, EDGES, b, own, b_rows, EDGES)
    (sums, exponents), counts = buffers(), np.zeros(1, np.int64)
    calls.add_matrices(*sides, 3, 6, HALF_UP, sums, exponents, counts)
    rows = [(a[i].tolist(), ea[i], b[i % height].tolist(), eb[i % height]) for i in range(M)]
    want = [elementwise.result_add(config, *row) for row in rows]
    assert (sums.tolist(), exponents.tolist()) == ([w[0] for w in want], [w[1] for w in want])
    assert counts[0] == sum(w[2] for w in want) > 0
    (sums, exponents), counts = buffers(), np.zeros(1, np.int64)
    calls.multiply_matrices(*sides, sums, exponents, counts)
    products = [elementwise.result_mul(*row) for row in rows]
    assert (sums.tolist(), exponents.tolist()) == ([p[0] for p in products], [p[1] for p in products])
    assert counts[0] == 0


@pytest.mark.parametrize("height", [2, 5])
@pytest.mark.parametrize("shared", [0, -3])
def test_matrices_of_narrow_codes(height: int, shared: int) -> None:
    """Of 8 bits on either side or both, which go through loops of their own, to the left alone or not."""
    config = ElementwiseConfig(4, 3, 6, HALF_UP, 3)
    a, b = operands(3, 0, 0)[0] >> 8, operands(4, 0, 0)[0][:height] >> 8
    ea = np.array([[0, shared, 0], [0, 0, 0], [0, 0, shared]], np.int16)
    eb, b_rows = np.zeros((3, BLOCKS), np.int16), np.array([1, 2, 0, 0, 1])[:height]
    sides = (a, ea, ROWS, EDGES, b, eb, b_rows, EDGES)
    spread = np.repeat(ea[ROWS], np.diff(EDGES), axis=1).tolist()
    rows = [(a[i].tolist(), spread[i], b[i % height].tolist(), [0] * N) for i in range(M)]
    for call, rule, one in (
        (calls.add_matrices, (3, 6, HALF_UP), lambda *row: elementwise.result_add(config, *row)),
        (calls.multiply_matrices, (), elementwise.result_mul),
    ):
        (sums, exponents), counts = buffers(), np.zeros(1, np.int64)
        call(*sides, *rule, sums, exponents, counts)
        want = [one(*row) for row in rows]
        assert (sums.tolist(), exponents.tolist()) == ([w[0] for w in want], [w[1] for w in want])


def test_rows_that_share_their_keys() -> None:
    """More rows of one sample, under one mask, than are taken at a time."""
    config, m = MACHINE.softmax_config, 11
    rng = np.random.default_rng(0)
    codes = rng.integers(-99, 100, (m, N)).astype(np.int16)
    shared, rows = np.full((1, BLOCKS), -9, np.int16), np.zeros(m, np.int64)
    keys, present = rng.random((1, N)) < 0.6, np.ones((1, N), np.bool_)
    sums, exponents = np.full((m, N), 77, np.int64), np.full((m, N), 99, np.int16)
    calls.softmax_rows(
        codes, shared, rows, EDGES, keys, present, m, config.guard_bits,
        np.array(config.exp2), softmax.step_bits(len(config.exp2)),
        np.array(config.reciprocal), softmax.step_bits(len(config.reciprocal)), sums, exponents,
    )  # fmt: skip
    for i in range(m):
        want = softmax.result(config, codes[i].tolist(), [-9] * N, keys[0].tolist())
        assert (sums[i].tolist(), exponents[i].tolist()) == want


@pytest.mark.parametrize("guard", [15, 16, 40])
def test_more_guard_bits_than_any_unit_has(guard: int) -> None:
    """Sums of 64 bits: what a mechanism's error is held against."""
    a, a_shared, ea = operands(3, -14, 0)
    b, b_shared, eb = operands(4, -14, 0)
    (sums, exponents), counts = buffers(), np.zeros(1, np.int64)
    calls.add_matrices(
        a, a_shared, ROWS, EDGES, b, b_shared, ROWS, EDGES, guard, 62, HALF_UP, sums, exponents, counts
    )
    for i in range(M):
        for j in range(N):
            x, y = int(a[i, j]), int(b[i, j])
            assert sums[i, j] == elementwise.add_aligned(x, ea[i][j], y, eb[i][j], guard, 62, HALF_UP)
            assert exponents[i, j] == max(ea[i][j], eb[i][j]) - guard


def test_softmax_of_words_that_are_nearly_nothing() -> None:
    """One key, whose distance of zero goes right by 55 to 69 positions, past the bits of a word of 64."""
    table = (1 << 16, 0)
    config = replace(MACHINE.softmax_config, exp2=table, reciprocal=table)
    codes, keys = np.full((1, N), -9, np.int16), np.arange(N)[None] == 2
    rows, steps = np.zeros(1, np.int64), softmax.step_bits(2)
    for e in range(-67, -52):
        shared = np.full((1, BLOCKS), e, np.int16)
        sums, exponents = np.full((1, N), 77, np.int64), np.full((1, N), 99, np.int16)
        calls.softmax_rows(
            codes, shared, rows, EDGES, keys, np.ones((1, N), np.bool_), 1, config.guard_bits,
            np.array(table), steps, np.array(table), steps, sums, exponents,
        )  # fmt: skip
        assert sums[0].tolist() == [0, 0, (1 << 16) - 1, 0, 0, 0, 0]
        assert (sums[0].tolist(), exponents[0].tolist()) == softmax.result(
            config, codes[0].tolist(), [e] * N, keys[0].tolist()
        )


@pytest.mark.parametrize("small", ["gamma", "beta"])
def test_norm_whose_gamma_or_beta_is_nearly_nothing(small: str) -> None:
    """It goes right by 60 to 66 positions, past the bits of a word of 64."""
    config, (codes, shared, spread) = MACHINE.norm_config, operands(5, -14, -14)
    gamma, beta = np.full(N, 3, np.int16), np.array([-9, 9, -9, 9, -9, 9, -9], np.int16)
    far, near = np.arange(60, 67).astype(np.int16), np.zeros(N, np.int16)
    ge, be = (-8 - far, near) if small == "gamma" else (near, -14 - far)
    o = norm.NormOperands(
        16, True, norm.epsilon_of(0.0, N), *(tuple(v.tolist()) for v in (gamma, ge, beta, be))
    )
    sums, exponents = buffers()
    calls.norm_rows(
        codes, shared, ROWS, EDGES, 16, True, *o.epsilon, gamma, ge, beta, be,
        np.array(config.root), norm.step_bits(len(config.root)), config.newton_steps, sums, exponents,
    )  # fmt: skip
    want = [norm.result(config, o, c.tolist(), e) for c, e in zip(codes, spread, strict=True)]
    assert (sums.tolist(), exponents.tolist()) == ([w[0] for w in want], [w[1] for w in want])
