"""The MATMUL kernels where operands, blocks and sums lie anywhere, against the unit tile by tile."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from calls import PANEL, matmul_dynamic
from test_mac_array import BCT64, run_static

from hwmodels.units import array_cycles as array
from hwmodels.units import mac_array
from hwmodels.units.aligner import BOUND, EXACT, RUNNING, AlignerConfig
from hwmodels.units.mac_array import MacArrayConfig, MatmulOperands
from hwmodels.units.ops import RNE, ZERO_BLOCK

WAYS = {"bound": BOUND, "exact": EXACT, "running": RUNNING}
SEGMENTS, K = [0, 3], 5


def config_of(way: str, bits: int = 24) -> MacArrayConfig:
    word = replace(BCT64.accumulator, bits=bits)
    return replace(BCT64, normalise=WAYS[way], aligner=AlignerConfig(4, 9, RNE), accumulator=word)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("n", [3, PANEL, PANEL + 6])
@pytest.mark.parametrize(("segments", "k"), [(SEGMENTS, K), ([0, 17, 20], 57)])
def test_groups_anywhere(way: str, transposed: bool, n: int, segments: list[int], k: int) -> None:
    """Two samples of two groups of 3 x n outputs, with rows and columns about each that are not theirs."""
    rng = np.random.default_rng(n)
    config, samples, groups, m, depth = config_of(way, 15), 2, 2, 3, len(segments)
    a = rng.integers(-127, 128, (samples * 7, 3 + groups * k)).astype(np.int16)
    a_places = np.array([[2, 1], [4, 1 + k]])
    a_shared = rng.integers(-19, 9, (samples * 4, 5)).astype(np.int16)
    a_rows, a_blocks = rng.integers(0, 4, (groups, m)), rng.integers(0, 5, (groups, depth))
    size = (k, n) if transposed else (n, k)
    b = rng.integers(-127, 128, (samples * (size[0] + 3), 2 + groups * size[1])).astype(np.int16)
    b_places = np.array([[1, 2], [3, size[1] + 1]])
    shape = (4, 6)
    b_shared = rng.integers(-19, 9, (samples * shape[0], shape[1])).astype(np.int16)
    lines, runs = (shape[1], shape[0]) if transposed else shape
    b_lines, b_blocks = rng.integers(0, lines, (groups, n)), rng.integers(0, runs, (groups, depth))
    o_places = np.array([[1, 2], [2, 3 + n]])
    sums = np.full((samples * 6, 4 + groups * n), 77, np.int64)
    exponents, counts = np.full(sums.shape, 99, np.int16), np.zeros(4, np.int64)
    update = array.updates(config, 3, k, segments)
    lane = config.aligner
    floor = mac_array.bias_floor(ZERO_BLOCK, 8, 15, lane.guard_bits, lane.max_shift)
    want, below, lost = sums.copy(), exponents.copy(), np.zeros(4, np.int64)
    matmul_dynamic(
        config, samples, k, a, a_shared, a_rows, a_blocks, a_places, b, b_shared, b_lines, b_blocks, b_places,
        transposed, np.full(PANEL, floor), np.array([*segments, k]), np.array(update),
        sums, exponents, o_places, counts,
    )  # fmt: skip
    for q in range(samples):
        for g in range(groups):
            rows = a[q * 7 + a_places[g, 0] :][:m, a_places[g, 1] :][:, :k]
            ea = a_shared[q * 4 + a_rows[g]][:, a_blocks[g]]
            block = b[q * (size[0] + 3) + b_places[g, 0] :][: size[0], b_places[g, 1] :][:, : size[1]]
            own = b_shared[q * 4 : q * 4 + 4]
            ew = own[b_blocks[g]][:, b_lines[g]].T if transposed else own[b_lines[g]][:, b_blocks[g]]
            columns = block.T if transposed else block
            o = MatmulOperands(
                rows.tolist(), ea.tolist(), columns.tolist(), ew.tolist(), None, None, segments, update
            )
            tile = mac_array.result(config, o)
            place = (
                slice(q * 6 + o_places[g, 0], q * 6 + o_places[g, 0] + m),
                slice(*(o_places[g, 1] + [0, n])),
            )
            want[place], below[place] = tile.sums, tile.exponents
            lost[:2] += tile.flushed, tile.overflows
    assert (sums == want).all()
    assert (exponents == below).all()
    assert (counts == lost).all()
    assert lost[0] > 0 or n == 3


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "pattern", ["aaaaa", "abaaa", "aabaa", "aaaba", "aaaab", "abbbb", "aaaabbbbb", "aaaaaaab"]
)
def test_rows_that_share_their_exponents_and_rows_that_do_not(way: str, pattern: str) -> None:
    """Rows go by four where all four have the same; b differs from a in its last segment or in all."""
    rng = np.random.default_rng(len(pattern))
    config = config_of(way)
    m, n = len(pattern), 5
    update = array.updates(config, 3, K, SEGMENTS)
    for other in ([2, -3], [6, 1]):
        ea = [[2, 1] if row == "a" else other for row in pattern]
        o = MatmulOperands(
            rng.integers(-127, 128, (m, K)).tolist(), ea,
            rng.integers(-127, 128, (n, K)).tolist(), rng.integers(-25, 9, (n, 2)).tolist(),
            rng.integers(-127, 128, n).tolist(), rng.integers(-20, 20, n).tolist(), SEGMENTS, update,
        )  # fmt: skip
        want = mac_array.result(config, o)
        sums, exponents, counts = run_static(config, o)
        assert sums.tolist() == want.sums
        assert exponents.tolist() == want.exponents
        assert counts == [want.flushed, want.overflows]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("gap", range(-3, 14))
def test_shifts_at_their_limits(way: str, gap: int) -> None:
    """Left to right of what the aligner reaches: five guard bits and nine positions."""
    config = config_of(way)
    update = array.updates(config, 3, K, SEGMENTS)
    for ew in ([0, -gap], [-gap, 0]):
        for guard in (4, 9, 10):
            own = replace(config, aligner=AlignerConfig(guard, 9, RNE))
            o = MatmulOperands([[99] * K] * 4, [[0, 0]] * 4, [[7] * K], [ew], [3], [-gap], SEGMENTS, update)
            want = mac_array.result(own, o)
            sums, exponents, counts = run_static(own, o)
            assert (sums.tolist(), exponents.tolist()) == (want.sums, want.exponents)
            assert counts == [want.flushed, want.overflows]
