"""Tiles that are accumulated in registers: which may be, what is watched there, and how rows are shared."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from products import run_static
from test_mac_array import BCT64

from hwmodels.kernels.alignment import ALIKE, FAR, LEFT, SURE, WATCHED, aligned_run
from hwmodels.kernels.packed_operands import pack_lines
from hwmodels.kernels.target import PANEL, TILE
from hwmodels.units import array_cycles, mac_array
from hwmodels.units.aligner import AlignerConfig, distance
from hwmodels.units.mac_array import MacArrayConfig, MatmulOperands
from hwmodels.units.ops import FLOOR, HALF_UP, RNE, ZERO_BLOCK


def config_of(bits: int, lane: AlignerConfig, saturating: bool = True) -> MacArrayConfig:
    """An array of 256 rows, so that a segment may be as long."""
    word = replace(BCT64.accumulator, bits=bits, saturating=saturating)
    return replace(BCT64, rows=256, aligner=lane, accumulator=word)


def agrees(config: MacArrayConfig, o: MatmulOperands) -> list[int]:
    """The kernel gives what the unit gives; returns the counts."""
    want = mac_array.result(config, o)
    sums, exponents, counts = run_static(config, o)
    assert sums.tolist() == want.sums
    assert exponents.tolist() == want.exponents
    assert counts == [want.flushed, want.overflows]
    return counts


def known(
    ea: list[int], ew: np.ndarray, top: np.ndarray, limit: np.ndarray, start: np.ndarray, guard: int,
    max_shift: int, bits: int,
) -> tuple[int, np.ndarray, np.ndarray]:  # fmt: skip
    """What `aligned_run` knows of the second of three rows, its shifts and modes."""
    rows = np.array([[9] * len(ea), ea, [-9] * len(ea)], np.int16)
    shifts, modes = np.full((len(ea), PANEL), 99, np.int32), np.full(len(ea), 99, np.int8)
    heights = np.zeros((2, TILE, PANEL), np.int32)
    heights[:, 0] = top, start
    found = aligned_run(
        rows, 1, ew.astype(np.int16), heights[0], limit.astype(np.int32), heights[1], guard, max_shift, bits,
        shifts, modes,
    )  # fmt: skip
    return found, shifts, modes


exponents = st.sampled_from([ZERO_BLOCK, -127, -3, -2, -1, 0, 1, 2, 3, 127])


@given(st.data())
def test_what_is_known_of_a_run(data: st.DataObject) -> None:
    depth = data.draw(st.integers(1, 4))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**31)))
    near = data.draw(st.booleans())
    ea = data.draw(st.lists(st.integers(-3, 3) if near else exponents, min_size=depth, max_size=depth))
    ew = rng.integers(-3, 4, (depth, PANEL))
    if data.draw(st.booleans()):
        ew[rng.random(ew.shape) < 0.1] = ZERO_BLOCK
    guard, max_shift = data.draw(st.integers(-3, 8)), data.draw(st.sampled_from([5, 12, 31]))
    top = rng.integers(0, data.draw(st.sampled_from([1, 7, 40])), PANEL)
    limit = rng.integers(0, data.draw(st.sampled_from([2, 1 << 12, 1 << 22])), (depth, PANEL))
    start = rng.integers(-(1 << 20), 1 << 20, PANEL)
    bits = data.draw(st.sampled_from([22, 24, 32]))
    found, shifts, modes = known(ea, ew, top, limit, start, guard, max_shift, bits)
    want, reach = np.zeros((depth, PANEL), int), [abs(int(x)) for x in start]
    for s in range(depth):
        for j in range(PANEL):
            if ZERO_BLOCK not in (ea[s], ew[s, j]):
                want[s, j] = distance(int(top[j]), ea[s] + int(ew[s, j]), guard)
            by = int(want[s, j])
            reach[j] += (int(limit[s, j]) << max(by, 0) >> max(-by, 0)) + (by < 0)
    assert (shifts == want).all()
    assert modes.tolist() == [ALIKE if row.min() < 0 else LEFT for row in want]
    sure = SURE if max(reach) < 1 << bits - 1 else WATCHED
    assert found == (FAR if abs(want).max() > min(max_shift, 31) else sure)


@pytest.mark.parametrize("column", [0, 15, 16, PANEL - 1])
@pytest.mark.parametrize(("most", "want"), [(2**23 - 6, SURE), (2**23 - 5, WATCHED)])
def test_one_column_that_reaches_too_far(column: int, most: int, want: int) -> None:
    """Of 24 bits: a first word of 5 and one segment's limit; and the same as two segments' limits."""
    limit, start, zero = np.zeros((2, PANEL)), np.zeros(PANEL), np.zeros(PANEL)
    start[column] = -5
    for split in (0, 1000):
        limit[:, column] = most - split, split
        assert known([0, 0], np.zeros((2, PANEL)), zero, limit, start, 0, 31, 24)[0] == want


@pytest.mark.parametrize("column", [0, 15, 16, PANEL - 1])
@pytest.mark.parametrize(("most", "want"), [(2**24 - 4, SURE), (2**24 - 2, WATCHED)])
def test_one_column_that_still_reaches_too_far_to_the_right(column: int, most: int, want: int) -> None:
    """Of 24 bits: half of a limit, and one for its rounding."""
    limit, ew = np.zeros((2, PANEL)), np.zeros((2, PANEL))
    limit[1, column], ew[1, column] = most, -1
    assert known([0, 0], ew, np.zeros(PANEL), limit, np.zeros(PANEL), 0, 31, 24)[0] == want


@pytest.mark.parametrize("column", [0, 15, 16, PANEL - 1])
@pytest.mark.parametrize(
    ("shift", "mode"), [(0, LEFT), (-1, ALIKE), (-9, ALIKE), (-10, ALIKE), (9, LEFT), (10, LEFT)]
)
def test_one_column_that_is_shifted(column: int, shift: int, mode: int) -> None:
    ew = np.zeros((3, PANEL))
    ew[1, column] = shift
    found, shifts, modes = known(
        [0] * 3, ew, np.zeros(PANEL), np.zeros((3, PANEL)), np.zeros(PANEL), 0, 9, 24
    )
    assert modes.tolist() == [LEFT, mode, LEFT]
    assert (shifts == ew).all()
    assert found == (FAR if abs(shift) > 9 else SURE)


@pytest.mark.parametrize("saturating", [True, False])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("last", "bias", "rest", "over"), [
    (64, 0, 0, 1),  # 128 * 256 is one too many for 16 bits
    (63, 127, 0, 0),
    (63, 64, 0, 1),  # a bias of 128
    (63, 127, 1, 1),  # and a half that is rounded up
])  # fmt: skip
def test_words_at_their_limit_and_one_beyond(
    last: int, bias: int, rest: int, over: int, sign: int, saturating: bool
) -> None:
    """All rows and columns but one stay far from the limit; upwards, and downwards where one more fits."""
    config = config_of(16, AlignerConfig(0, 31, HALF_UP), saturating)
    for row, column in ((0, 0), (1, 17), (TILE - 1, PANEL - 1), (2, PANEL)):
        a, w = np.ones((TILE, 5), int), np.ones((PANEL + 1, 5), int)
        a[row], w[column] = -128, [-64 * sign, -64 * sign, -64 * sign, -last * sign, -rest * sign]
        biases, eb = [0] * (PANEL + 1), [0] * (PANEL + 1)
        biases[column], eb[column] = bias * sign, int(bias == 64)
        o = MatmulOperands(
            a.tolist(), [[0, 0]] * TILE, w.tolist(), [[0, -8]] * (PANEL + 1), biases, eb, [0, 4],
            [True, True],
        )  # fmt: skip
        counts = agrees(config, o)
        assert counts[1] == over if sign > 0 else counts[1] <= over


@pytest.mark.parametrize("saturating", [True, False])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("bits", [32, 31])
def test_a_word_that_overflows_and_comes_back(bits: int, sign: int, saturating: bool) -> None:
    """Three long segments take a word of 32 bits beyond its end, and three others back."""
    config, length = config_of(bits, AlignerConfig(8, 31, RNE), saturating), 255
    starts = [length * s for s in range(6)]
    for row, column in ((0, 0), (TILE - 1, PANEL - 1), (1, 16)):
        a, w = np.ones((TILE, 6 * length), int), np.zeros((PANEL, 6 * length), int)
        a[row], w[column, : 3 * length], w[column, 3 * length :] = 127, 127 * sign, -127 * sign
        o = MatmulOperands(
            a.tolist(), [[0] * 6] * TILE, w.tolist(), [[0] * 6] * PANEL, None, None, starts, [True] * 6
        )
        assert agrees(config, o)[1] > 0


@pytest.mark.parametrize("bits", [32, 26, 20])
@pytest.mark.parametrize("rounding", [FLOOR, HALF_UP, RNE])
@pytest.mark.parametrize("spread", [0, 4, 14])
def test_many_rows_and_long_segments(spread: int, rounding: int, bits: int) -> None:
    """Rows that threads share, blocks of rows that lie across tiles, and segments of all lengths."""
    rng = np.random.default_rng(spread)
    config, m, k, n = config_of(bits, AlignerConfig(6, 12, rounding)), 67, 95, PANEL + 9
    cuts = [16, 32, 33, 50, 53, 75]  # 16, 16, 1, 17, 3, 22 and 20 long
    segments = array_cycles.segment_starts(config, 256, k, cuts)
    update = [s % 3 != 1 for s in range(len(segments) - 1)] + [True]
    rows = np.searchsorted([6, 24, 30, 44], np.arange(m), side="right")
    ea = rng.integers(-spread - 1, 0, (5, len(segments)))[rows]
    ew = rng.integers(-spread // 3 - 1, 0, (n, len(segments)))
    o = MatmulOperands(
        rng.integers(-128, 128, (m, k)).tolist(), ea.tolist(),
        rng.integers(-128, 128, (n, k)).tolist(), ew.tolist(),
        rng.integers(-127, 128, n).tolist(), rng.integers(-9, 2, n).tolist(), segments, update,
    )  # fmt: skip
    agrees(config, o)


@pytest.mark.parametrize("lines", [1, PANEL - 1, PANEL, PANEL + 1, 2 * PANEL])
def test_no_more_panels_than_lines_fill(lines: int) -> None:
    packed, offsets, limits = pack_lines(np.zeros((lines, 5), np.int8), np.array([0, 5]))
    assert {len(packed), len(offsets), len(limits)} == {-(-lines // PANEL)}
