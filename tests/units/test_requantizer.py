"""REQUANT equals encode(decode(sums)), in the plain reading and compiled."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from calls import requantize
from hypothesis import given
from hypothesis import strategies as st

from hwmodels.formats import multiplier_of, parse
from hwmodels.formats.blockwise import quantise
from hwmodels.units import requantizer
from hwmodels.units.ops import ZERO_BLOCK
from hwmodels.units.requantizer import NO_STATIC, RequantizerConfig

NONE = np.zeros(0, np.int64)

bits_of = st.sampled_from([4, 8, 16])
sums_of = st.one_of(
    st.integers(-(2**43), 2**43),
    st.integers(-20, 20),
    st.sampled_from([0, 1, -1, 127, 128, 255, 256, 32767, 32768, 65535, 2**31 - 1]),
)


def rational_block(values: list[Fraction], bits: int) -> tuple[list[int], int]:
    """Shift quantisation over exact rationals, written from its definition."""
    peak = max(abs(v) for v in values)
    if peak == 0:
        return [0] * len(values), ZERO_BLOCK
    limit = 2 ** (bits - 1) - 1
    e = -400
    while Fraction(2) ** (e + bits - 1) < peak:
        e += 1  # e = ceil(log2 peak) - (bits - 1)
    if round(peak / Fraction(2) ** e) > limit:
        e += 1
    e = min(max(e, -127), 127)
    codes = [round(v / Fraction(2) ** e) for v in values]  # Fraction rounds ties to even
    return [min(max(c, -limit), limit) for c in codes], e


@given(st.lists(st.tuples(sums_of, st.integers(-30, 30)), min_size=1, max_size=12), bits_of)
def test_result_is_the_definition(block: list[tuple[int, int]], bits: int) -> None:
    sums, exponents = [s for s, _ in block], [e for _, e in block]
    codes, stored, clamped, saturated = requantizer.result(sums, exponents, bits)
    want = rational_block([s * Fraction(2) ** e for s, e in block], bits)
    assert (codes, stored) == want
    assert clamped == saturated == 0


@given(st.lists(st.tuples(st.integers(-1000, 1000), st.integers(-150, 150)), min_size=1, max_size=6), bits_of)
def test_result_with_clamped_exponents(block: list[tuple[int, int]], bits: int) -> None:
    sums, exponents = [s for s, _ in block], [e for _, e in block]
    codes, stored, _, _ = requantizer.result(sums, exponents, bits)
    assert (codes, stored) == rational_block([s * Fraction(2) ** e for s, e in block], bits)


def test_clamps_and_saturations_are_counted() -> None:
    assert requantizer.result([1, 3], [-200, -200], 8) == ([0, 0], -127, 1, 0)
    assert requantizer.result([1, -3], [140, 140], 8) == ([127, -127], 127, 1, 2)


@pytest.mark.parametrize("name", ["int4", "int8", "int16", "mxint8", *(f"bfp{b}" for b in range(3, 10))])
@pytest.mark.parametrize("blocks", [(5, 7), (3, 2), (1, 1), (11, 17)])
def test_kernel_is_result_and_encode(name: str, blocks: tuple[int, int]) -> None:
    form = parse(f"{name}@tensor")
    bits, raised = form.bits, form.sharing.raised
    rng = np.random.default_rng(bits)
    rows, columns = 11, 17
    sums = rng.integers(-(2**31), 2**31, (rows, columns)) >> rng.integers(0, 31, (rows, columns))
    sums[2:5, 3:9] = 0
    exponents = rng.integers(-24, -10, (rows, columns)).astype(np.int16)
    starts = [np.arange(0, n, b) for n, b in zip((rows, columns), blocks, strict=True)]
    edges = [np.append(s, n) for s, n in zip(starts, (rows, columns), strict=True)]
    codes = np.zeros((rows, columns), np.int16)
    shared = np.zeros((len(starts[0]), len(starts[1])), np.int16)
    counts = np.zeros(2, np.int64)
    valid = np.ones(rows, np.bool_)
    requantize(
        1, sums, exponents, valid, *edges, NONE, NONE, NO_STATIC, bits, codes, shared, counts, raised=raised
    )  # fmt: skip
    for i in range(len(starts[0])):
        for j in range(len(starts[1])):
            block = (slice(*edges[0][i : i + 2]), slice(*edges[1][j : j + 2]))
            want, e, _, _ = requantizer.result(
                sums[block].ravel().tolist(), exponents[block].ravel().tolist(), bits, raised=raised
            )
            assert codes[block].ravel().tolist() == want
            assert shared[i, j] == e
    values = np.ldexp(sums.astype(np.float64), exponents.astype(int))
    encoded = quantise(values, *starts, form.coding, form.sharing)
    assert (encoded.codes == codes).all()
    assert (encoded.exponents == shared).all()


@given(st.data())
def test_kernel_counts_what_result_counts(data: st.DataObject) -> None:
    bits = data.draw(bits_of)
    sums = np.array(data.draw(st.lists(st.integers(-(2**20), 2**20), min_size=4, max_size=4))).reshape(2, 2)
    e = data.draw(st.integers(-160, 160))
    exponents = np.full((2, 2), e, np.int16)
    codes, shared, counts = np.zeros((2, 2), np.int16), np.zeros((1, 1), np.int16), np.zeros(2, np.int64)
    edges = np.array([0, 2])
    valid = np.ones(2, np.bool_)
    requantize(1, sums, exponents, valid, edges, edges, NONE, NONE, NO_STATIC, bits, codes, shared, counts)
    want = requantizer.result(sums.ravel().tolist(), [e] * 4, bits)
    assert (codes.ravel().tolist(), shared[0, 0], *counts) == want


@given(st.lists(st.tuples(sums_of, st.integers(-30, 30)), min_size=1, max_size=12), bits_of)
def test_an_earlier_search_changes_nothing(block: list[tuple[int, int]], bits: int) -> None:
    sums, exponents = [s for s, _ in block], [e for _, e in block]
    top = requantizer.top_of(sums, exponents, bits)
    assert requantizer.result(sums, exponents, bits, top=top) == requantizer.result(sums, exponents, bits)


@given(
    st.lists(st.tuples(sums_of, st.integers(-99, 99)), min_size=1, max_size=9), bits_of, st.integers(-60, 60)
)
def test_static_exponent_is_the_definition(block: list[tuple[int, int]], bits: int, stored: int) -> None:
    sums, exponents = [s for s, _ in block], [e for _, e in block]
    limit = 2 ** (bits - 1) - 1
    exact = [round(s * Fraction(2) ** (e - stored)) for s, e in block]
    want = [min(max(x, -limit), limit) for x in exact]
    saturated = sum(x != y for x, y in zip(exact, want, strict=True))
    assert requantizer.result(sums, exponents, bits, stored) == (want, stored, 0, saturated)


def test_by_hand() -> None:
    assert requantizer.top_of([255], [-4], 8) == 9
    assert requantizer.top_of([300], [-9], 8) == 0
    assert requantizer.result([255, -64], [-4, -4], 8) == ([64, -16], -2, 0, 0)
    assert requantizer.result([255, -64], [-4, -4], 8, stored=-4) == ([127, -64], -4, 0, 1)


@given(st.data(), bits_of)
def test_kernel_with_absent_rows_scales_and_static_exponents(data: st.DataObject, bits: int) -> None:
    """Two samples, taller codes than sums, against the unit block by block."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**31)))
    m, n = data.draw(st.integers(1, 7)), data.draw(st.integers(1, 9))
    samples, height = 2, m + data.draw(st.integers(0, 2))
    row_edges = np.append(np.arange(0, m, data.draw(st.integers(1, m))), m)
    column_edges = np.append(np.arange(0, n, data.draw(st.integers(1, n))), n)
    wide = data.draw(st.sampled_from([2**47, 2**30, 300]))
    sums = rng.integers(-wide, wide, (samples * m, n)) * (rng.random((samples * m, n)) < 0.7)
    spread = data.draw(st.sampled_from([0, 9]))
    exponents = rng.integers(-30 - spread, -29, (samples * m, n)).astype(np.int16)
    valid = rng.random(samples * m) < data.draw(st.sampled_from([1.0, 0.6, 0.0]))
    real = data.draw(st.booleans())
    multipliers = rng.integers(2**15, 2**16, n) if real else NONE
    shifts = rng.integers(-20, 4, n) if real else NONE
    static = data.draw(st.sampled_from([NO_STATIC, -20, -70, 10]))
    codes = np.full((samples * height, n), 99, np.int16)
    blocks = len(row_edges) - 1
    shared = np.full((samples * blocks, len(column_edges) - 1), 99, np.int16)
    counts = np.zeros(2, np.int64)
    requantize(
        samples, sums, exponents, valid, row_edges, column_edges, multipliers, shifts, static, bits,
        codes, shared, counts,
    )  # fmt: skip
    want_counts = [0, 0]
    for q in range(samples):
        assert (codes[q * height + m : (q + 1) * height] == 99).all()
        for rb, (top, bottom) in enumerate(pairwise(row_edges)):
            for cb, (left, right) in enumerate(pairwise(column_edges)):
                cells = [(i, j) for i in range(top, bottom) for j in range(left, right)]
                taken = [(i, j) for i, j in cells if valid[q * m + i]]
                block = []
                for i, j in taken:
                    acc, e = int(sums[q * m + i, j]), int(exponents[q * m + i, j])
                    if real:
                        acc = requantizer.scaled(acc, int(multipliers[j]))
                        e = requantizer.scaled_exponent(e, int(shifts[j]))
                    block.append((acc, e))
                stored = None if static == NO_STATIC else static
                want, e, clamped, saturated = requantizer.result(
                    [a for a, _ in block], [x for _, x in block], bits, stored
                )
                assert shared[q * blocks + rb, cb] == e
                got = {(i, j): int(codes[q * height + i, j]) for i, j in cells}
                assert [got.pop(cell) for cell in taken] == want
                assert not any(got.values())
                want_counts[0] += clamped
                want_counts[1] += saturated
    assert counts.tolist() == want_counts


@given(st.floats(1e-30, 1e30))
def test_multiplier_of_a_real_scale(scale: float) -> None:
    m, e = multiplier_of(scale)
    assert 2**15 <= m < 2**16
    assert abs(Fraction(scale) - m * Fraction(2) ** e) <= Fraction(2) ** e  # half a step, one at the edge


def test_multiplier_by_hand() -> None:
    assert multiplier_of(1.0) == (2**15, -15)
    assert multiplier_of(0.75) == (3 * 2**14, -16)
    assert multiplier_of(2.0 - 2.0**-20) == (2**15, -14)
    for bad in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="scale"):
            multiplier_of(bad)


def test_cycles_by_hand() -> None:
    merged, separate = RequantizerConfig(64, True, 4), RequantizerConfig(64, False, 4)
    assert requantizer.cycles(merged, 49 * 64) == 49 + 4
    assert requantizer.cycles(separate, 49 * 64 + 1) == 2 * 50 + 4
    assert requantizer.cycles(separate, 49 * 64 + 1, static=True) == 50 + 4


def test_actions_by_part() -> None:
    counts = requantizer.actions(100, 4, 32, 8)
    assert counts["requantize", "lzc:32"] == 100
    assert counts["requantize", "add:8"] == 104
    static = requantizer.actions(100, 4, 32, 8, static=True, real=True)
    assert ("requantize", "lzc:32") not in static
    assert static["requantize", "mul:32x16"] == 100
