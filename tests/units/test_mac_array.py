"""The array: exact products, an independent rational model, and the compiled kernel."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from calls import PANEL, matmul_dynamic, matmul_static
from hypothesis import given, settings
from hypothesis import strategies as st
from products import run_static

from hwmodels.units import array_cycles, mac_array
from hwmodels.units.accumulator import AccumulatorConfig
from hwmodels.units.aligner import BOUND, EXACT, RUNNING, AlignerConfig
from hwmodels.units.mac_array import MacArrayConfig, MatmulOperands
from hwmodels.units.ops import FLOOR, HALF_UP, RNE, ZERO_BLOCK

BCT64 = MacArrayConfig(
    64, 64, "ws", True, 1, False, BOUND, "none", 128,
    AlignerConfig(8, 31, RNE), AccumulatorConfig(32, True, 256, 2, 1),
)  # fmt: skip


roundings = st.sampled_from([FLOOR, HALF_UP, RNE])
normalises = st.sampled_from([BOUND, EXACT, RUNNING])


@st.composite
def products(draw: st.DrawFn) -> tuple[MacArrayConfig, MatmulOperands]:
    rows = draw(st.sampled_from([4, 6, 64]))
    m, k, n = draw(st.integers(1, 11)), draw(st.integers(1, 14)), draw(st.integers(1, 3))
    cuts = draw(st.lists(st.integers(1, 13), max_size=4))
    config = MacArrayConfig(
        rows, 64, draw(st.sampled_from(["ws", "is", "os"])), True, 1, draw(st.booleans()),
        draw(normalises), "none", 128,
        AlignerConfig(draw(st.integers(-3, 8)), draw(st.sampled_from([5, 31])), draw(roundings)),
        AccumulatorConfig(draw(st.sampled_from([18, 24, 32])), draw(st.booleans()), 64, 2, 1),
    )  # fmt: skip
    segments = array_cycles.segment_starts(config, rows, k, cuts)
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
    bias, bias_exponents, bias_bits = None, None, 8
    if draw(st.booleans()):
        bias_bits = draw(st.sampled_from([8, 32]))
        bias = rng.integers(1 - 2 ** (bias_bits - 1), 2 ** (bias_bits - 1), n).tolist()
        bias_exponents = rng.integers(-130, -20, n).tolist()
    update = array_cycles.updates(config, rows, k, segments)
    return config, MatmulOperands(
        a.tolist(),
        ea.tolist(),
        w.tolist(),
        ew.tolist(),
        bias,
        bias_exponents,
        segments,
        update,
        w_bits,
        bias_bits,
    )


@given(products())
@settings(max_examples=400)
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
    o = replace(o, bias=None, bias_exponents=None, w_bits=8, bias_bits=8)
    want = mac_array.result(config, o)
    m, k, n, depth = len(o.a), len(o.a[0]), len(o.w), len(o.segments)
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
            config, 2, k,
            np.vstack([a, a]), np.vstack([ea, ea]), np.arange(m)[None], np.arange(depth)[None], origin,
            np.vstack([b, b]), np.vstack([eb, eb]), np.arange(n)[None], np.arange(depth)[None], origin,
            transposed, floor, np.array([*o.segments, k]), np.array(o.update), sums, exponents, origin,
            counts,
        )  # fmt: skip
        assert sums.tolist() == want.sums * 2
        assert exponents.tolist() == want.exponents * 2
        assert counts[:2].tolist() == [2 * want.flushed, 2 * want.overflows]


@given(products())
@settings(max_examples=200)
def test_result_is_the_rational_model(case: tuple[MacArrayConfig, MatmulOperands]) -> None:
    """With an accumulator that cannot overflow, from the definition over exact rationals."""
    config, o = case
    config = replace(config, accumulator=replace(config.accumulator, bits=48))
    got = mac_array.result(config, o)
    ends = [*o.segments[1:], len(o.a[0])]
    for i, a in enumerate(o.a):
        for j, w in enumerate(o.w):
            eb = o.bias_exponents[j] if o.bias_exponents else ZERO_BLOCK
            bias = (o.bias[j] if o.bias else 0, eb)
            floor = eb + config.aligner.guard_bits - min(46 - o.bias_bits, config.aligner.max_shift)
            terms = [
                (sum(x * y for x, y in zip(a[s:t], w[s:t], strict=True)), ea, ew)
                for s, t, ea, ew in zip(o.segments, ends, o.a_exponents[i], o.w_exponents[j], strict=True)
            ]
            model = rational_running if config.normalise == RUNNING else rational_fixed
            assert (got.sums[i][j], got.exponents[i][j]) == model(config, bias, floor, terms)


Bias = tuple[int, int]
Terms = list[tuple[int, int, int]]


def aligned_fraction(config: MacArrayConfig, value: Fraction | int, e: int, unit: int) -> int:
    lane = config.aligner
    return 0 if abs(e - unit) > lane.max_shift else rounded(value * Fraction(2) ** (e - unit), lane.rounding)


def rational_fixed(config: MacArrayConfig, bias: Bias, floor: int, terms: Terms) -> tuple[int, int]:
    """One E for all terms: the row's plus the column's largest exponent, or the largest sum of two."""
    rows = [ea for _, ea, _ in terms if ea != ZERO_BLOCK]
    columns = [ew for _, _, ew in terms if ew != ZERO_BLOCK]
    pairs = [ea + ew for _, ea, ew in terms if ZERO_BLOCK not in (ea, ew)]
    if config.normalise == BOUND:
        pairs = [max(rows) + max(columns)] if rows and columns else []
    unit = max([floor, *pairs]) - config.aligner.guard_bits
    sums = [aligned_fraction(config, v, ea + ew, unit) for v, ea, ew in terms]
    return aligned_fraction(config, *bias, unit) + sum(sums), unit


def rational_running(config: MacArrayConfig, bias: Bias, floor: int, terms: Terms) -> tuple[int, int]:
    """E rises as terms arrive, and what was summed is rounded anew under it."""
    unit = floor - config.aligner.guard_bits
    acc = aligned_fraction(config, *bias, unit)
    for value, ea, ew in terms:
        if ZERO_BLOCK in (ea, ew):
            continue
        higher = max(unit, ea + ew - config.aligner.guard_bits)
        acc = aligned_fraction(config, acc, unit, higher) + aligned_fraction(config, value, ea + ew, higher)
        unit = higher
    return acc, unit


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
        [[x] for x in a], zero * len(a), [[y] for y in w], zero * len(w), None, None, [0], [True], w_bits
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
    segments = array_cycles.segment_starts(BCT64, 64, 200)
    update = array_cycles.updates(BCT64, 64, 200, segments)
    depth = len(segments)
    operands = MatmulOperands(
        a.tolist(), [[0] * depth] * 9, w.tolist(), [[0] * depth] * 100, None, None, segments, update
    )
    config = replace(BCT64, aligner=replace(BCT64.aligner, guard_bits=0))
    sums, _, _ = run_static(config, operands)
    assert (sums == want).all()


def test_overflow_is_counted_and_saturates_or_wraps() -> None:
    big = MatmulOperands([[127] * 8], [[0]], [[127] * 8], [[0]], None, None, [0], [True])
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


def test_running_by_hand() -> None:
    """5 x 2**0 under E = 0, then 3 x 2**4: 5 / 16 is rounded to 0 and 3 is added; E = 4."""
    config = replace(BCT64, normalise=RUNNING, aligner=AlignerConfig(0, 31, RNE))
    o = MatmulOperands([[5, 3]], [[0, 4]], [[1, 1]], [[0, 0]], None, None, [0, 1], [True, True])
    got = mac_array.result(config, o)
    assert (got.sums, got.exponents, got.flushed) == ([[3]], [[4]], 0)
    far = replace(o, a_exponents=[[0, 40]])
    lost = mac_array.result(config, far)
    assert (lost.sums, lost.exponents, lost.flushed) == ([[3]], [[40]], 1)


def test_exact_bound_is_not_above_the_bound() -> None:
    """Row exponents 8, 0 against column exponents 0, 8: the terms lie at 8, their bound at 16."""
    o = MatmulOperands([[5, 3]], [[8, 0]], [[1, 1]], [[0, 8]], None, None, [0, 1], [False, True])
    bounds = [mac_array.result(replace(BCT64, normalise=x), o).exponents[0][0] + 8 for x in (BOUND, EXACT)]
    assert bounds == [16, 8]


def test_samples_may_be_taller_than_their_sums() -> None:
    """Two samples of five rows, of which the first three are multiplied, and 70 columns."""
    rng = np.random.default_rng(8)
    a, ea = rng.integers(-127, 128, (10, 6)).astype(np.int16), rng.integers(-9, 9, (10, 2)).astype(np.int16)
    w, ew = rng.integers(-127, 128, (70, 6)), rng.integers(-9, 9, (70, 2))
    for normalise in (BOUND, EXACT, RUNNING):
        config = replace(BCT64, normalise=normalise)
        update = array_cycles.updates(config, 64, 6, [0, 4])
        taken = [0, 1, 2, 5, 6, 7]
        want = mac_array.result(
            config,
            MatmulOperands(
                a[taken].tolist(), ea[taken].tolist(), w.tolist(), ew.tolist(), None, None, [0, 4], update
            ),
        )
        floor = np.full(70, mac_array.bias_floor(ZERO_BLOCK, 8, 32, 8, 31))
        sums, out, counts = np.zeros((6, 70), np.int64), np.zeros((6, 70), np.int16), np.zeros(4, np.int64)
        matmul_static(
            config, (8, 8), 2, a, ea, np.arange(10), np.arange(2), w, ew, floor, np.zeros(70, np.int16),
            np.full(70, ZERO_BLOCK), np.array([0, 4, 6]), np.array(update), sums, out, counts,
        )  # fmt: skip
        assert sums.tolist() == want.sums
        assert out.tolist() == want.exponents
