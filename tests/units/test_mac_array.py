"""The array: exact products, an independent rational model, the compiled kernel, and cycles."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import ceil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwmodels.kernels.matmul import PANEL, matmul_dynamic, matmul_static
from hwmodels.units import mac_array
from hwmodels.units.accumulator import AccumulatorConfig
from hwmodels.units.aligner import AlignerConfig
from hwmodels.units.mac_array import MacArrayConfig, MatmulOperands
from hwmodels.units.ops import FLOOR, HALF_UP, RNE, ZERO_BLOCK

BCT64 = MacArrayConfig(64, 64, True, 1, AlignerConfig(8, 31, RNE), AccumulatorConfig(32, True, 256, 2, 1))


def array_arguments(config: MacArrayConfig) -> tuple[int, int, int, int, bool]:
    lane, word = config.aligner, config.accumulator
    return lane.guard_bits, lane.max_shift, lane.rounding, word.bits, word.saturating


def run_static(config: MacArrayConfig, o: MatmulOperands) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """The static kernel on the operands of `mac_array.result`."""
    m, k, n, depth = len(o.a), len(o.a[0]), len(o.w), len(o.segments)
    tiles = ceil(n / PANEL)
    panels = np.zeros((tiles, k, PANEL), np.int16)
    w_exponents = np.full((tiles, depth, PANEL), ZERO_BLOCK, np.int16)
    bias = np.zeros((tiles, PANEL), np.int16)
    bias_exponents = np.full((tiles, PANEL), ZERO_BLOCK, np.int16)
    for j in range(n):
        panels[j // PANEL, :, j % PANEL] = o.w[j]
        w_exponents[j // PANEL, :, j % PANEL] = o.w_exponents[j]
        if o.bias is not None and o.bias_exponents is not None:
            bias[j // PANEL, j % PANEL] = o.bias[j]
            bias_exponents[j // PANEL, j % PANEL] = o.bias_exponents[j]
    lane, word = config.aligner, config.accumulator
    rest = (o.bias_bits, word.bits, lane.guard_bits, lane.max_shift)
    floor = np.array([[mac_array.bias_floor(int(e), *rest) for e in t] for t in bias_exponents])
    folds = np.array(o.segments) // config.rows
    last = np.append(folds[1:] != folds[:-1], True)
    sums, exponents = np.zeros((m, n), np.int64), np.zeros((m, n), np.int16)
    counts = np.zeros(4, np.int64)
    matmul_static(
        np.array(o.a, np.int16), np.array(o.a_exponents, np.int16), np.arange(m), np.arange(depth),
        panels, np.append(np.arange(0, n, PANEL), n), w_exponents, w_exponents.max(axis=1),
        floor, bias, bias_exponents, np.array([*o.segments, k]), last,
        sums, exponents, *array_arguments(config), counts,
    )  # fmt: skip
    return sums, exponents, counts[:2].tolist()


roundings = st.sampled_from([FLOOR, HALF_UP, RNE])


@st.composite
def products(draw: st.DrawFn) -> tuple[MacArrayConfig, MatmulOperands]:
    rows = draw(st.sampled_from([4, 6, 64]))
    m, k, n = draw(st.integers(1, 11)), draw(st.integers(1, 14)), draw(st.integers(1, 3))
    cuts = draw(st.lists(st.integers(1, 13), max_size=4))
    segments = mac_array.segment_starts(k, rows, cuts)
    seed = draw(st.integers(0, 2**31))
    rng = np.random.default_rng(seed)
    spread = draw(st.sampled_from([0, 3, 40]))
    zeros = draw(st.booleans())

    def exponents(lines: int) -> np.ndarray:
        e = rng.integers(-60, -60 + spread + 1, (lines, len(segments)))
        return np.where(rng.random(e.shape) < 0.2, ZERO_BLOCK, e) if zeros else e

    w_bits = draw(st.sampled_from([4, 8]))
    height = draw(st.integers(1, 6))  # rows of a block share their exponents
    ea, ew = exponents(m)[np.arange(m) // height], exponents(n)
    index = np.searchsorted(segments, np.arange(k), side="right") - 1
    a = np.where(ea[:, index] == ZERO_BLOCK, 0, rng.integers(-127, 128, (m, k)))
    limit = 2 ** (w_bits - 1) - 1
    w = np.where(ew[:, index] == ZERO_BLOCK, 0, rng.integers(-limit, limit + 1, (n, k)))
    bias = bias_exponents = None
    if draw(st.booleans()):
        bias = rng.integers(-127, 128, n).tolist()
        bias_exponents = rng.integers(-130, -20, n).tolist()
    config = MacArrayConfig(
        rows, 64, True, 1,
        AlignerConfig(draw(st.integers(-3, 8)), draw(st.sampled_from([5, 31])), draw(roundings)),
        AccumulatorConfig(draw(st.sampled_from([18, 24, 32])), draw(st.booleans()), 64, 2, 1),
    )  # fmt: skip
    return config, MatmulOperands(
        a.tolist(), ea.tolist(), w.tolist(), ew.tolist(), bias, bias_exponents, segments, w_bits, 8
    )


@given(products())
@settings(max_examples=200)
def test_kernel_is_result(case: tuple[MacArrayConfig, MatmulOperands]) -> None:
    config, operands = case
    want = mac_array.result(config, operands)
    sums, exponents, counts = run_static(config, operands)
    assert sums.tolist() == want.sums
    assert exponents.tolist() == want.exponents
    assert counts == [want.flushed, want.overflows]


@given(products())
def test_dynamic_kernel_is_result(case: tuple[MacArrayConfig, MatmulOperands]) -> None:
    """Both operands as activations, the second as it lies and transposed, two samples below each other."""
    config, o = case
    o = replace(o, bias=None, bias_exponents=None, w_bits=8)
    want = mac_array.result(config, o)
    m, k, n, depth = len(o.a), len(o.a[0]), len(o.w), len(o.segments)
    folds = np.array(o.segments) // config.rows
    last = np.append(folds[1:] != folds[:-1], True)
    lane, word = config.aligner, config.accumulator
    floor = np.full(PANEL, mac_array.bias_floor(ZERO_BLOCK, 8, word.bits, lane.guard_bits, lane.max_shift))
    a, ea = np.array(o.a, np.int16), np.array(o.a_exponents, np.int16)
    w, ew = np.array(o.w, np.int16), np.array(o.w_exponents, np.int16)
    origin = np.zeros((1, 2), np.int64)
    for transposed in (False, True):
        b, eb = (w.T.copy(), ew.T.copy()) if transposed else (w, ew)
        sums, exponents = np.zeros((2 * m, n), np.int64), np.zeros((2 * m, n), np.int16)
        counts = np.zeros(4, np.int64)
        matmul_dynamic(
            2, k, np.vstack([a, a]), np.vstack([ea, ea]), np.arange(m)[None], np.arange(depth)[None], origin,
            np.vstack([b, b]), np.vstack([eb, eb]), np.arange(n)[None], np.arange(depth)[None], origin,
            transposed, floor, np.array([*o.segments, k]), last, sums, exponents, origin,
            *array_arguments(config), counts,
        )  # fmt: skip
        assert sums.tolist() == want.sums * 2
        assert exponents.tolist() == want.exponents * 2
        assert counts[:2].tolist() == [2 * want.flushed, 2 * want.overflows]


@given(products())
def test_result_is_the_rational_model(case: tuple[MacArrayConfig, MatmulOperands]) -> None:
    """With an accumulator that cannot overflow, from the definition over exact rationals."""
    config, o = case
    config = replace(config, accumulator=replace(config.accumulator, bits=48))
    got = mac_array.result(config, o)
    guard, longest = config.aligner.guard_bits, config.aligner.max_shift
    ends = [*o.segments[1:], len(o.a[0])]
    for i, a in enumerate(o.a):
        for j, w in enumerate(o.w):
            e_row = max((e for e in o.a_exponents[i] if e != ZERO_BLOCK), default=None)
            e_column = max((e for e in o.w_exponents[j] if e != ZERO_BLOCK), default=None)
            eb = o.bias_exponents[j] if o.bias_exponents else ZERO_BLOCK
            top = eb + guard - min(38, longest)
            if e_row is not None and e_column is not None:
                top = max(top, e_row + e_column)
            unit = top - guard
            terms = [
                (sum(x * y for x, y in zip(a[s:t], w[s:t], strict=True)), ea + ew)
                for s, t, ea, ew in zip(o.segments, ends, o.a_exponents[i], o.w_exponents[j], strict=True)
            ]
            if o.bias:
                terms.append((o.bias[j], eb))
            want = 0
            for value, e in terms:
                if abs(e - unit) <= longest:
                    want += rounded(value * Fraction(2) ** (e - unit), config.aligner.rounding)
            assert (got.sums[i][j], got.exponents[i][j]) == (want, unit)


def rounded(x: Fraction, rounding: int) -> int:
    if rounding == RNE:
        return round(x)
    return (x + Fraction(1, 2) if rounding == HALF_UP else x).__floor__()


@pytest.mark.parametrize("w_bits", [4, 8])
def test_every_product(w_bits: int) -> None:
    """All int8 x int8 and int8 x int4 products, through the kernel and through the spec."""
    a = list(range(-128, 128))
    w = list(range(-(2 ** (w_bits - 1)), 2 ** (w_bits - 1)))
    exact = np.outer(a, w)
    zero = [[0]]
    operands = MatmulOperands(
        [[x] for x in a], zero * len(a), [[y] for y in w], zero * len(w), None, None, [0], w_bits
    )
    config = replace(BCT64, aligner=replace(BCT64.aligner, guard_bits=0))
    sums, _, counts = run_static(config, operands)
    assert (sums == exact).all()
    assert counts == [0, 0]
    assert mac_array.result(config, operands).sums == exact.tolist()


def test_one_block_equals_matmul_integer() -> None:
    import onnxruntime as ort
    from onnx import TensorProto, helper

    rng = np.random.default_rng(3)
    a, w = rng.integers(-127, 128, (9, 200)), rng.integers(-127, 128, (100, 200))
    node = helper.make_node("MatMulInteger", ["a", "w"], ["y"])
    graph = helper.make_graph(
        [node],
        "product",
        [
            helper.make_tensor_value_info(n, TensorProto.INT8, s)
            for n, s in (("a", [9, 200]), ("w", [200, 100]))
        ],
        [helper.make_tensor_value_info("y", TensorProto.INT32, [9, 100])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (want,) = session.run(None, {"a": a.astype(np.int8), "w": w.T.astype(np.int8)})
    segments = mac_array.segment_starts(200, 64)
    depth = len(segments)
    operands = MatmulOperands(
        a.tolist(), [[0] * depth] * 9, w.tolist(), [[0] * depth] * 100, None, None, segments
    )
    config = replace(BCT64, aligner=replace(BCT64.aligner, guard_bits=0))
    sums, _, _ = run_static(config, operands)
    assert (sums == want).all()


def test_overflow_is_counted_and_saturates_or_wraps() -> None:
    big = MatmulOperands([[127] * 8], [[0]], [[127] * 8], [[0]], None, None, [0])
    exact = 8 * 127 * 127
    for saturating, want in ((True, 2**15 - 1), (False, exact - 2**17)):
        config = replace(
            BCT64,
            aligner=AlignerConfig(0, 31, RNE),
            accumulator=AccumulatorConfig(16 if saturating else 17, saturating, 64, 2, 1),
        )
        got = mac_array.result(config, big)
        assert got.overflows == 1
        assert got.sums == [[want]]
        assert run_static(config, big)[0].tolist() == [[want]]


def test_cycles_by_hand() -> None:
    assert mac_array.cycles(BCT64, 49, (1, 1)).total == 303
    four = mac_array.cycles(BCT64, 49, (4, 4))
    assert (four.total, four.aligner) == (576, 273)
    assert mac_array.cycles(BCT64, 49, (4, 1)).total == 432
    assert mac_array.cycles(replace(BCT64, aligners=4), 49, (4, 4)).total == 303
    assert mac_array.segments_per_fold(mac_array.segment_starts(72, 64, range(0, 72, 16)), 64) == (4, 1)


@pytest.mark.parametrize("m", [1, 3, 49, 64, 200])
@pytest.mark.parametrize("k", [1, 63, 64, 65, 768])
def test_cycles_are_the_closed_forms(m: int, k: int) -> None:
    """Serial folds: ceil(K/R) (2R + C + M - 2); with overlap DESIGN's formula, recounted fold by fold."""
    serial = replace(BCT64, overlap=False)
    folds = ceil(k / 64)
    assert mac_array.cycles(serial, m, (1,) * folds).total == folds * (2 * 64 + 64 + m - 2)
    clock = 64  # the first weights
    for fold in range(folds):
        streaming = m if fold == folds - 1 else max(m, 64)  # the next weights load meanwhile
        clock += streaming
    assert mac_array.cycles(BCT64, m, (1,) * folds).total == clock + 64 + 64 - 2


@pytest.mark.parametrize("segments", [1, 2, 4, 8])
@pytest.mark.parametrize("aligners", [1, 2, 4, 8])
def test_aligner_stall_is_what_full_rate_would_save(segments: int, aligners: int) -> None:
    config = replace(BCT64, aligners=aligners)
    c = mac_array.cycles(config, 49, (segments,) * 4)
    assert c.aligner == c.total - mac_array.cycles(config, 49, (1,) * 4).total
    assert (c.aligner == 0) == (segments <= aligners)


def test_actions_count_every_multiply_and_alignment() -> None:
    counts = mac_array.actions(BCT64, 49, 128, 64, segments=8, folds=2, a_bits=8, w_bits=4)
    assert counts["mul:8x4"] == 49 * 128 * 64
    assert counts["shift:32"] == 49 * 64 * 8
    assert counts["accumulator.bits"] == 2 * 32 * 49 * 64 * 2
