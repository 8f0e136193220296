"""REQUANT equals encode(decode(sums)), in the plain reading and compiled."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwmodels.formats.shift import quantise
from hwmodels.kernels.requantizer import requantize
from hwmodels.units import requantizer
from hwmodels.units.ops import ZERO_BLOCK

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


@pytest.mark.parametrize("bits", [4, 8, 16])
@pytest.mark.parametrize("blocks", [(5, 7), (3, 2), (1, 1), (11, 17)])
def test_kernel_is_result_and_encode(bits: int, blocks: tuple[int, int]) -> None:
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
    requantize(sums, exponents, *edges, bits, codes, shared, counts)
    for i in range(len(starts[0])):
        for j in range(len(starts[1])):
            block = (slice(*edges[0][i : i + 2]), slice(*edges[1][j : j + 2]))
            want, e, _, _ = requantizer.result(
                sums[block].ravel().tolist(), exponents[block].ravel().tolist(), bits
            )
            assert codes[block].ravel().tolist() == want
            assert shared[i, j] == e
    encoded = quantise(np.ldexp(sums.astype(np.float64), exponents.astype(int)), *starts, bits)
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
    requantize(sums, exponents, edges, edges, bits, codes, shared, counts)
    want = requantizer.result(sums.ravel().tolist(), [e] * 4, bits)
    assert (codes.ravel().tolist(), shared[0, 0], *counts) == want


def test_cycles_by_hand() -> None:
    merged = requantizer.RequantizerConfig(lanes=64, merged=True, latency=4)
    assert requantizer.cycles(merged, 49 * 64, reread=False) == 49 + 4
    assert requantizer.cycles(merged, 49 * 64, reread=True) == 98 + 4
    separate = requantizer.RequantizerConfig(lanes=64, merged=False, latency=4)
    assert requantizer.cycles(separate, 49 * 64 + 1, reread=False) == 2 * 50 + 4
