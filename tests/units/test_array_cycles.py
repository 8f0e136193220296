"""The array's segments, cycles and actions: published closed forms, DESIGN's formulas, cases by hand."""

from __future__ import annotations

from dataclasses import replace
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwmodels.units import array_cycles, prescan
from hwmodels.units.accumulator import AccumulatorConfig
from hwmodels.units.aligner import BOUND, EXACT, RUNNING, AlignerConfig
from hwmodels.units.array_cycles import cycles, segment_starts, updates
from hwmodels.units.mac_array import MacArrayConfig
from hwmodels.units.ops import RNE
from hwmodels.units.prescan import PrescanConfig
from hwmodels.units.product import Code

WIDE = 1 << 20
BCT64 = MacArrayConfig(
    64, 64, "ws", True, 1, False, BOUND, "none", WIDE,
    AlignerConfig(8, 31, RNE), AccumulatorConfig(32, True, 256, 2, 1),
)  # fmt: skip


def pieces(length: int, step: int) -> list[int]:
    return [min(step, length - i) for i in range(0, length, step)]


def gemm_cycles(config: MacArrayConfig, m: int, n: int, k: int) -> int:
    """A product under one exponent, tile by tile."""
    starts = segment_starts(config, config.rows, k)
    rows = {"ws": m, "is": config.columns, "os": config.rows}[config.dataflow]
    columns = n if config.dataflow == "is" else config.columns
    return sum(cycles(config, x, y, k, starts).total for x in pieces(m, rows) for y in pieces(n, columns))


def closed_form(dataflow: str, r: int, c: int, m: int, n: int, k: int) -> int:
    """Samajdar et al., ISPASS 2020, with the streaming dimension last: serial folds, single buffers."""
    if dataflow == "os":
        return ceil(m / r) * ceil(n / c) * (r + c + k - 2)
    if dataflow == "ws":
        return ceil(k / r) * ceil(n / c) * (2 * r + c + m - 2)
    return ceil(k / r) * ceil(m / c) * (2 * r + c + n - 2)


@pytest.mark.parametrize("dataflow", ["ws", "is", "os"])
@pytest.mark.parametrize(("r", "c"), [(32, 32), (16, 8), (8, 16), (128, 128), (5, 7)])
def test_serial_folds_are_the_published_closed_forms(dataflow: str, r: int, c: int) -> None:
    config = replace(BCT64, rows=r, columns=c, dataflow=dataflow, overlap=False, aligners=r)
    for m in (1, 7, 32, 49, 128):
        for n in (1, 16, 33, 128):
            for k in (1, 31, 64, 200):
                assert gemm_cycles(config, m, n, k) == closed_form(dataflow, r, c, m, n, k)


@pytest.mark.parametrize(
    ("dataflow", "r", "m", "k", "n", "published"),
    [
        ("os", 32, 128, 768, 768, 79_680),
        ("os", 32, 128, 768, 3072, 318_720),
        ("ws", 128, 128, 3072, 768, 73_440),
        ("is", 128, 128, 3072, 768, 27_600),
    ],
)
def test_published_cycles(dataflow: str, r: int, m: int, k: int, n: int, published: int) -> None:
    config = replace(BCT64, rows=r, columns=r, dataflow=dataflow, overlap=False)
    assert gemm_cycles(config, m, n, k) == published


@pytest.mark.parametrize("dataflow", ["ws", "is", "os"])
@pytest.mark.parametrize("block", [8, 16, 32, 64])
@pytest.mark.parametrize("aligners", [1, 2, 4, 8])
@pytest.mark.parametrize("overlap", [True, False])
def test_blocks_cost_what_the_design_says(dataflow: str, block: int, aligners: int, overlap: bool) -> None:
    """DESIGN's formulas written out for K a multiple of R and R of B."""
    r, c, m, n, k = 64, 32, 49, 27, 256
    config = replace(BCT64, rows=r, columns=c, dataflow=dataflow, overlap=overlap, aligners=aligners)
    got = cycles(config, m, n, k, segment_starts(config, r, k, range(0, k, block)))
    free = cycles(config, m, n, k, segment_starts(config, r, k))
    if dataflow == "os":
        want = k // block * max(block, ceil(r / aligners)) + r + c - 2
    else:
        ii = max(1, ceil(r / block / aligners))
        s = (m if dataflow == "ws" else n) * ii
        folds = k // r
        want = folds * (2 * r + c - 2 + s)
        if overlap:
            want = r + (folds - 1) * max(s, r) + s + r + c - 2
    assert got.total == want
    assert got.aligner == got.total - free.total >= 0  # under one exponent no aligner is waited for
    assert got.port == got.prescan == 0


def test_by_hand() -> None:
    """The cases that the docstrings work out."""
    assert cycles(BCT64, 49, 64, 128, [0, 64]).total == 303
    four = cycles(BCT64, 49, 64, 128, list(range(0, 128, 16)))
    assert (four.total, four.aligner) == (582, 279)
    assert cycles(BCT64, 49, 64, 128, [0, 16, 32, 48, 64]).total == 435
    assert cycles(replace(BCT64, aligners=4), 49, 64, 128, list(range(0, 128, 16))).total == 303
    still = replace(BCT64, rows=32, columns=32, dataflow="os")
    assert cycles(still, 32, 32, 768, [0]).total == 830
    assert cycles(still, 32, 32, 768, list(range(0, 768, 16))).total == 1598
    assert segment_starts(BCT64, 64, 72, [0, 48]) == [0, 48, 64]
    assert segment_starts(replace(BCT64, raw_bank=True), 64, 72, [0, 48]) == [0, 48]
    assert segment_starts(replace(BCT64, dataflow="os"), 64, 72, [0, 48]) == [0, 48]
    assert array_cycles.effective(replace(BCT64, pack_axis="K"), 4, 4) == (128, 64)
    assert array_cycles.effective(replace(BCT64, pack_axis="N"), 4, 4) == (64, 128)
    assert array_cycles.effective(replace(BCT64, pack_axis="K"), 8, 4) == (64, 64)
    assert prescan.cycles(PrescanConfig(64), 49, 64, 8) == 392
    assert prescan.result([3, -5, -128], [-9, 2, 40], -20) == -3


@given(st.integers(1, 90), st.sampled_from([4, 6, 16]), st.integers(1, 20), st.integers(1, 20))
def test_terms_are_the_pairs_of_blocks_that_meet(k: int, rows: int, a_block: int, w_block: int) -> None:
    """Recounted element by element: a term per pair of blocks, cut by folds or in each fold that it meets."""
    config = replace(BCT64, rows=rows)
    for bank in (False, True):
        own = replace(config, raw_bank=bank)
        starts = segment_starts(own, rows, k, range(0, k, a_block), range(0, k, w_block))
        ends: dict[tuple[int, ...], int] = {}
        parts = {(i // rows, i // a_block, i // w_block) for i in range(k)}
        for i in range(k):
            pair = (i // a_block, i // w_block)
            ends[pair if bank else (*pair, i // rows)] = i
        folds = [end // rows for end in ends.values()]
        terms = [sum(fold == f for fold, *_ in parts) for f in range(ceil(k / rows))]
        assert array_cycles.terms_per_fold(rows, k, starts) == terms
        assert sum(updates(own, rows, k, starts)) == len(set(folds))


def test_updates_follow_the_fold_in_which_a_segment_ends() -> None:
    starts = [0, 48, 64, 112]
    assert updates(BCT64, 64, 128, starts) == [False, True, False, True]
    bank = replace(BCT64, raw_bank=True)
    assert updates(bank, 64, 200, [0, 10, 48, 144]) == [False, True, True, True]  # ends 10, 48, 144, 200
    assert updates(bank, 64, 200, [0]) == [True]
    assert array_cycles.terms_per_fold(64, 200, [0, 48, 96, 144]) == [2, 2, 2, 1]
    assert array_cycles.terms_per_fold(64, 200, [0]) == [1, 1, 1, 1]
    for other in (replace(BCT64, normalise=RUNNING), replace(BCT64, dataflow="os")):
        assert updates(other, 64, 128, starts) == [True] * 4


@pytest.mark.parametrize("dataflow", ["ws", "is", "os"])
def test_a_narrow_port_and_few_aligners_are_told_apart(dataflow: str) -> None:
    starts = list(range(0, 128, 8))
    narrow = replace(BCT64, dataflow=dataflow, port_bytes=40)
    wide = replace(narrow, port_bytes=WIDE)
    free = replace(wide, aligners=1 << 20)
    got, best = cycles(narrow, 49, 64, 128, starts), cycles(free, 49, 64, 128, starts).total
    assert got.total == best + got.aligner + got.port
    assert got.port == cycles(replace(narrow, aligners=1 << 20), 49, 64, 128, starts).total - best > 0
    assert cycles(wide, 49, 64, 128, starts).port == 0


def test_port_by_hand() -> None:
    """64 codes and 4 exponents through 34 bytes take 2 cycles per row; 4-bit codes take 1."""
    narrow = replace(BCT64, port_bytes=34, aligners=4, overlap=False)
    starts = [0, 16, 32, 48]
    assert cycles(narrow, 49, 64, 64, starts).total == 2 * 64 + 62 + 49 * 2
    assert cycles(narrow, 49, 64, 64, starts).port == 49
    assert cycles(narrow, 49, 64, 64, starts, a_bits=4).port == 49  # 32 + 4 bytes do not fit 34
    assert cycles(replace(narrow, port_bytes=36), 49, 64, 64, starts, a_bits=4).port == 0


def test_latency_stalls_short_folds() -> None:
    slow = replace(BCT64, overlap=False, accumulator=AccumulatorConfig(32, True, 256, 2, latency=9))
    assert cycles(slow, 4, 64, 64, [0]).total == 2 * 64 + 62 + 9
    assert cycles(slow, 12, 64, 64, [0]).total == 2 * 64 + 62 + 12


def test_prescan_runs_first() -> None:
    starts = list(range(0, 128, 16))
    exact = cycles(replace(BCT64, normalise=EXACT), 49, 64, 128, starts)
    assert (exact.prescan, exact.total) == (392, 582 + 392)


def test_packing_halves_the_folds() -> None:
    """And the folds take no longer: two codes are loaded in a cycle, and the wave passes 64 elements."""
    packed = replace(BCT64, pack_axis="K", overlap=False)
    assert cycles(packed, 49, 64, 256, [0, 128], 4, 4).total == 2 * (2 * 64 + 62 + 49)
    assert cycles(packed, 49, 64, 256, [0, 64, 128, 192], 8, 4).total == 4 * (2 * 64 + 62 + 49)
    assert cycles(replace(packed, overlap=True), 49, 64, 256, [0, 128], 4, 4).total == 303
    wide = replace(packed, pack_axis="N")
    assert cycles(wide, 49, 128, 64, [0], 4, 4).total == 2 * 64 + 62 + 49
    still = replace(BCT64, rows=32, columns=32, dataflow="os", pack_axis="N")
    assert cycles(still, 32, 64, 768, [0], 4, 4).total == 768 + 62


def test_actions_count_every_multiply_and_alignment() -> None:
    m, n, k, starts = 49, 64, 128, list(range(0, 128, 16))
    counts = array_cycles.actions(BCT64, m, n, k, starts, Code(8), Code(4))
    assert counts["multiply", "mul:8x4"] == counts["multiply", "add:18"] == m * n * k
    assert counts["multiply", "register.bits"] == m * n * k * (8 + 18) + k * n * 4
    assert counts["align", "shift:32"] == m * n * 8
    assert counts["align", "add:32"] == m * n * (8 + 6)  # rounding, and joining four terms per fold
    assert counts["accumulate", "accumulator.bits"] == 2 * 32 * m * n * 2
    assert {part for part, _ in counts} == {"multiply", "align", "accumulate"}
    inputs = array_cycles.actions(replace(BCT64, dataflow="is"), m, n, k, starts, Code(8), Code(4))
    assert inputs["multiply", "register.bits"] == m * n * k * (4 + 18) + m * k * 8


def test_actions_of_the_other_ways_to_align() -> None:
    m, n, k, starts = 49, 64, 128, list(range(0, 128, 16))
    exact = array_cycles.actions(replace(BCT64, normalise=EXACT), m, n, k, starts)
    assert exact["prescan", "add:9"] == exact["prescan", "compare:10"] == m * n * 8
    assert exact["prescan", "register.bits"] == m * n * 10
    running = array_cycles.actions(replace(BCT64, normalise=RUNNING), m, n, k, starts)
    assert running["align", "shift:32"] == 2 * m * n * 8
    assert running["accumulate", "add:32"] == m * n * 8
    still = array_cycles.actions(replace(BCT64, dataflow="os"), m, n, k, starts)
    assert still["accumulate", "register.bits"] == m * n * 8 * 32
    assert still["accumulate", "accumulator.bits"] == m * n * 32
    bank = array_cycles.actions(replace(BCT64, raw_bank=True), m, n, 256, [0, 100, 192])
    assert bank["align", "accumulator.bits"] == 2 * 32 * m * n * 2  # at 64 and 128 a segment is unfinished
    assert bank["align", "shift:32"] == 3 * m * n
