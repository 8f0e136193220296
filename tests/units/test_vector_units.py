"""LUT, softmax, norm and element-wise units: kernel = result, every code of every table, and accuracy."""

from __future__ import annotations

import math

import calls
import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwmodels import machines
from hwmodels.units import accumulator, aligner, dma, elementwise, lut, norm, softmax
from hwmodels.units.ops import ROUNDINGS, ZERO_BLOCK

MACHINE = machines.load("bct64")
GELU = MACHINE.lut_config("gelu")
SOFTMAX = MACHINE.softmax_config
NORM = MACHINE.norm_config


def table(values: tuple[int, ...]) -> np.ndarray:
    return np.array(values, np.int64)


def buffers(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros(shape, np.int64), np.zeros(shape, np.int16)


@st.composite
def rows(draw: st.DrawFn, bits: int = 16) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Codes (rows, n), one exponent per column block, and the edges of the blocks."""
    n = draw(st.integers(1, 24))
    size = draw(st.integers(1, n))
    edges = np.append(np.arange(0, n, size), n)
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    low, spread = draw(st.sampled_from([(-20, 8), (-14, 0), (-60, 50), (-127, 254), (-12, 30)]))
    shared = rng.integers(low, low + spread + 1, (2, len(edges) - 1)).astype(np.int16)
    codes = rng.integers(-(2 ** (bits - 1)) + 1, 2 ** (bits - 1), (2, n)).astype(np.int16)
    zero = rng.random(shared.shape) < draw(st.sampled_from([0.0, 0.3]))
    shared[zero] = ZERO_BLOCK
    codes[np.repeat(zero, np.diff(edges), axis=1)] = 0
    return codes, shared, edges


def spread(shared: np.ndarray, edges: np.ndarray) -> list[list[int]]:
    return np.repeat(shared, np.diff(edges), axis=1).tolist()


@given(rows())
def test_lut_kernel_is_result(case: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    codes, shared, edges = case
    sums, exponents = buffers(codes.shape)
    counts = np.zeros(1, np.int64)
    calls.lut(
        codes, shared, np.arange(2), edges, table(GELU.table),
        GELU.fraction, GELU.in_bits, GELU.span, GELU.step_bits, sums, exponents, counts,
    )  # fmt: skip
    results = [lut.result(GELU, codes[i].tolist(), e) for i, e in enumerate(spread(shared, edges))]
    assert sums.tolist() == [r[0] for r in results]
    assert exponents.tolist() == [r[1] for r in results]
    assert counts[0] == sum(r[2] for r in results)


@numba.njit
def _evaluate_all(entries: np.ndarray, first: int, last: int, span: int, step: int) -> np.ndarray:
    out = np.empty(last - first, np.int64)
    for x in range(first, last):
        out[x - first] = lut.evaluate(entries, x, span, step, 20)
    return out


def test_every_code_of_the_gelu_table() -> None:
    first, last = -(2 ** (GELU.in_bits - 1)), 2 ** (GELU.in_bits - 1)
    compiled = _evaluate_all(table(GELU.table), first, last, GELU.span, GELU.step_bits)
    plain = [lut.evaluate(GELU.table, x, GELU.span, GELU.step_bits, 20) for x in range(first, last)]
    assert compiled.tolist() == plain
    x = np.arange(first, last) / 2.0**GELU.fraction
    exact = np.array([0.5 * v * math.erfc(-v / math.sqrt(2)) for v in x])
    step = 2.0 ** (GELU.step_bits - GELU.fraction)
    bound = step**2 / 8 * 0.7979 + 1.5 * 2.0**-GELU.fraction  # interpolation, |gelu''| <= 0.7979; rounding
    assert np.abs(compiled / 2.0**GELU.fraction - exact).max() <= bound


@numba.njit
def _interpolate_all(entries: np.ndarray, count: int, low: int) -> np.ndarray:
    out = np.empty(count, np.int64)
    for i in range(count):
        out[i] = lut.interpolate(entries, i, low, 21)
    return out


@pytest.mark.parametrize(
    ("entries", "low", "count", "function", "curvature", "fraction"),
    [
        (
            SOFTMAX.exp2,
            softmax.step_bits(len(SOFTMAX.exp2)),
            1 << 16,
            lambda f: 2.0**-f,
            math.log(2) ** 2,
            16,
        ),
        (
            SOFTMAX.reciprocal,
            softmax.step_bits(len(SOFTMAX.reciprocal)),
            1 << 16,
            lambda f: 1 / (1 + f),
            2.0,
            16,
        ),
        (NORM.root, norm.step_bits(len(NORM.root)), 3 << 16, lambda f: 1 / math.sqrt(1 + f), 0.75, 18),
    ],
    ids=["exp2", "reciprocal", "root"],
)
def test_every_code_of_the_other_tables(
    entries: tuple[int, ...], low: int, count: int, function: object, curvature: float, fraction: int
) -> None:
    compiled = _interpolate_all(table(entries), count, low)
    assert compiled.tolist() == [lut.interpolate(entries, i, low, 21) for i in range(count)]
    exact = np.array([function(i / 65536) for i in range(count)])  # type: ignore[operator]
    step = 2.0**low / 65536
    bound = step**2 / 8 * curvature + 1.5 * 2.0**-fraction
    assert np.abs(compiled / 2.0**fraction - exact).max() <= bound


@given(rows(), st.integers(0, 2**31))
def test_softmax_kernel_is_result(case: tuple[np.ndarray, np.ndarray, np.ndarray], seed: int) -> None:
    codes, shared, edges = case
    rng = np.random.default_rng(seed)
    keys = rng.random((rng.integers(1, 3), codes.shape[1])) < 0.8
    per_sample = int(rng.integers(1, 3))
    present = rng.random((2 // per_sample, codes.shape[1])) < 0.8
    sums, exponents = buffers(codes.shape)
    calls.softmax_rows(
        codes, shared, np.arange(2), edges, keys, present, per_sample, SOFTMAX.guard_bits,
        table(SOFTMAX.exp2), softmax.step_bits(len(SOFTMAX.exp2)),
        table(SOFTMAX.reciprocal), softmax.step_bits(len(SOFTMAX.reciprocal)), sums, exponents,
    )  # fmt: skip
    for i, e in enumerate(spread(shared, edges)):
        taken = keys[i % len(keys)] & present[i // per_sample]
        want = softmax.result(SOFTMAX, codes[i].tolist(), e, taken.tolist())
        assert (sums[i].tolist(), exponents[i].tolist()) == want


@given(st.lists(st.integers(-32767, 32767), min_size=1, max_size=60), st.integers(-16, -10))
def test_softmax_is_near_softmax(codes: list[int], e: int) -> None:
    x = np.array(codes) * 2.0**e
    exact = np.exp(x - x.max()) / np.exp(x - x.max()).sum()
    sums, _ = softmax.result(SOFTMAX, codes, [e] * len(codes), [True] * len(codes))
    assert np.abs(np.array(sums) / 65536 - exact).max() < 4e-4


def test_softmax_of_masked_rows() -> None:
    sums, _ = softmax.result(SOFTMAX, [5, 900, 7], [0, 0, 0], [False] * 3)
    assert sums == [0, 0, 0]
    masked, _ = softmax.result(SOFTMAX, [5, 900, 7], [-3, 100, -3], [True, False, True])
    alone, _ = softmax.result(SOFTMAX, [5, 7], [-3, -3], [True, True])
    assert [masked[0], masked[2]] == alone
    assert masked[1] == 0


@st.composite
def norm_operands(draw: st.DrawFn, n: int, bits: int) -> norm.NormOperands:
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    low = draw(st.sampled_from([-16, -40, 0]))

    def exponents() -> tuple[int, ...]:
        e = rng.integers(low, low + draw(st.sampled_from([1, 30])), n)
        return tuple(np.where(rng.random(n) < 0.1, ZERO_BLOCK, e).tolist())

    def codes(e: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(np.where(np.array(e) == ZERO_BLOCK, 0, rng.integers(-32767, 32768, n)).tolist())

    ge, be = exponents(), exponents()
    epsilon = norm.epsilon_of(draw(st.sampled_from([0.0, 1e-12, 1e-5, 1.0])), n)
    return norm.NormOperands(bits, draw(st.booleans()), epsilon, codes(ge), ge, codes(be), be)


@given(st.data(), st.sampled_from([8, 16]))
def test_norm_kernel_is_result(data: st.DataObject, bits: int) -> None:
    codes, shared, edges = data.draw(rows(bits))
    o = data.draw(norm_operands(codes.shape[1], bits))
    sums, exponents = buffers(codes.shape)
    vectors = [np.array(v, np.int16) for v in (o.gamma, o.gamma_exponents, o.beta, o.beta_exponents)]
    calls.norm_rows(
        codes, shared, np.arange(2), edges, bits, o.centred, *o.epsilon, *vectors,
        table(NORM.root), norm.step_bits(len(NORM.root)), NORM.newton_steps, sums, exponents,
    )  # fmt: skip
    for i, e in enumerate(spread(shared, edges)):
        want = norm.result(NORM, o, codes[i].tolist(), e)
        assert (sums[i].tolist(), exponents[i].tolist()) == want


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("n", [8, 128, 768])
def test_norm_is_near_norm(centred: bool, n: int) -> None:
    rng = np.random.default_rng(n)
    for e in (-14, -3, -40):
        codes = (rng.normal(size=n) * 6000 + 900).round().clip(-32767, 32767).astype(int)
        one = tuple([16384] * n), tuple([-14] * n)
        o = norm.NormOperands(
            16, centred, norm.epsilon_of(1e-5, n), *one, tuple([0] * n), tuple([ZERO_BLOCK] * n)
        )
        sums, exponents = norm.result(NORM, o, codes.tolist(), [e] * n)
        x = codes * 2.0**e
        centre = x - x.mean() if centred else x
        exact = centre / np.sqrt((centre**2).mean() + 1e-5)
        got = np.ldexp(np.array(sums, float), np.array(exponents))
        assert np.abs(got - exact).max() < 2e-4


def test_norm_of_a_constant_row_is_beta() -> None:
    n = 16
    o = norm.NormOperands(
        16, True, norm.epsilon_of(1e-5, n), (16384,) * n, (-14,) * n, tuple(range(n)), (-4,) * n
    )
    sums, exponents = norm.result(NORM, o, [1234] * n, [-9] * n)
    assert np.ldexp(np.array(sums, float), np.array(exponents)).tolist() == [i / 16 for i in range(n)]


@given(rows(), rows(), st.sampled_from(list(ROUNDINGS.values())))
def test_elementwise_kernels_are_result(
    left: tuple[np.ndarray, np.ndarray, np.ndarray],
    right: tuple[np.ndarray, np.ndarray, np.ndarray],
    rounding: int,
) -> None:
    n = min(left[0].shape[1], right[0].shape[1])
    config = elementwise.ElementwiseConfig(64, 8, 31, rounding, 3)
    sides = []
    for codes, shared, edges in (left, right):
        inside = edges[edges < n]
        sides.append((codes[:, :n].copy(), shared[:, : len(inside)].copy(), inside))
    arguments = []
    plain = []
    for codes, shared, starts in sides:
        arguments += [codes, shared, np.arange(2), np.append(starts, n)]
        plain.append((codes, spread(shared, np.append(starts, n))))
    for kernel, extra in (
        (calls.add_matrices, (config.guard_bits, config.max_shift, config.rounding)),
        (calls.multiply_matrices, ()),
    ):
        sums, exponents = buffers((2, n))
        counts = np.zeros(1, np.int64)
        kernel(*arguments, *extra, sums, exponents, counts)
        flushed = 0
        for i in range(2):
            (a, ea), (b, eb) = plain
            row = (a[i].tolist(), ea[i], b[i].tolist(), eb[i])
            add = kernel is calls.add_matrices
            want = elementwise.result_add(config, *row) if add else (*elementwise.result_mul(*row), 0)
            flushed += want[2]
            assert (sums[i].tolist(), exponents[i].tolist()) == want[:2]
        assert counts[0] == flushed


def test_add_of_equal_exponents_is_exact() -> None:
    config = MACHINE.elementwise_config
    sums, exponents, _ = elementwise.result_add(config, [3, -5], [-4, -4], [10, 20], [-4, -4])
    assert np.ldexp(np.array(sums, float), np.array(exponents)).tolist() == [13 / 16, 15 / 16]


def test_cycles_by_hand() -> None:
    """The cases that the docstrings work out."""
    assert lut.cycles(GELU, 49 * 512) == 396
    assert softmax.cycles(SOFTMAX, 49, 49) == 171
    assert norm.cycles(NORM, 49, 128) == 220
    assert elementwise.cycles(MACHINE.elementwise_config, 49 * 128) == 101
    assert dma.cycles(MACHINE.dma_config, 4097) == 130
    assert aligner.cycles(4, 1) == 4
    assert aligner.cycles(4, 2) == 2
    slow = accumulator.AccumulatorConfig(32, True, 64, 2, latency=2)
    assert accumulator.cycles(slow, 3) == 6


def test_actions_are_counted_by_part() -> None:
    units = (
        (lut.actions(GELU, 64), {"lut"}),
        (softmax.actions(SOFTMAX, 2, 64), {"softmax"}),
        (norm.actions(NORM, 2, 64), {"norm"}),
        (elementwise.actions_add(64), {"elementwise", "align"}),
        (elementwise.actions_mul(64), {"elementwise"}),
    )
    for counts, parts in units:
        assert {part for part, _ in counts} == parts
        assert all(count > 0 for count in counts.values())
    assert elementwise.actions_add(64)["align", "shift:32"] == 128


def test_dma_rounds_every_run_up_to_a_burst() -> None:
    config = dma.DmaConfig(bytes_per_cycle=32, latency=100, burst=64)
    assert dma.transferred(config, 128, runs=2) == 128
    assert dma.transferred(config, 130, runs=2) == 256
    assert dma.actions(config, 1) == {("dram", "dram.bytes"): 64}
    assert dma.result(b"abc") == b"abc"


def test_accumulator_result() -> None:
    config = accumulator.AccumulatorConfig(8, True, 4, 2, 1)
    assert accumulator.result(config, 100, [20, 20, -10]) == 117
    wrapping = accumulator.AccumulatorConfig(8, False, 4, 2, 1)
    assert accumulator.result(wrapping, 100, [20, 20, -10]) == -126
