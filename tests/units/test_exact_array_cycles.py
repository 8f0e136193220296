"""The array's segments, cycles and counts, each written out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hwmodels.units import array_cycles as array
from hwmodels.units.accumulator import AccumulatorConfig
from hwmodels.units.actions import Actions
from hwmodels.units.aligner import BOUND, EXACT, RUNNING, AlignerConfig
from hwmodels.units.mac_array import MacArrayConfig
from hwmodels.units.ops import RNE
from hwmodels.units.product import Code, integers

BCT64 = MacArrayConfig(
    64, 64, "ws", True, 1, False, BOUND, "none", 1 << 20,
    AlignerConfig(8, 31, RNE), AccumulatorConfig(32, True, 256, 2, 1),
)  # fmt: skip
SMALL = replace(BCT64, rows=8, columns=4, accumulator=AccumulatorConfig(24, True, 256, 2, 1))


def test_packing() -> None:
    sizes = {axis: (128 if axis == "K" else 64, 128 if axis == "N" else 64) for axis in ("K", "N", "none")}
    for axis, size in sizes.items():
        config = replace(BCT64, pack_axis=axis)
        assert array.effective(config, 4, 4) == size
        assert array.effective(config, 5, 4) == array.effective(config, 4, 5) == (64, 64)


def test_segments_lie_inside_the_reduction() -> None:
    assert array.segment_starts(SMALL, 8, 20, [-1, 0, 5, 20], [5, 19, 21]) == [0, 5, 8, 16, 19]
    for config in (replace(SMALL, raw_bank=True), replace(SMALL, dataflow="os")):
        assert array.segment_starts(config, 8, 20, [-1, 0, 5, 20], [5, 19, 21]) == [0, 5, 19]
    assert array.segment_ends(20, [0, 5, 19]) == [5, 19, 20]
    assert array.terms_per_fold(8, 17, [0, 4, 8, 16]) == [2, 1, 1]
    assert array.updates(SMALL, 8, 17, [0, 4, 8, 16]) == [False, True, True, True]


def test_where_the_cycles_go() -> None:
    two = [0, 64]
    assert array.cycles(BCT64, 49, 64, 128, two) == array.ArrayCycles(303, 64 + 15, 0, 126)
    assert array.cycles(BCT64, 65, 64, 128, two) == array.ArrayCycles(64 + 65 + 65 + 126, 64, 0, 126)
    serial = replace(BCT64, overlap=False)
    assert array.cycles(serial, 49, 64, 128, two) == array.ArrayCycles(2 * (64 + 49 + 126), 128, 0, 252)
    still = replace(BCT64, rows=8, columns=4, dataflow="os")
    assert array.cycles(still, 8, 4, 20, [0, 12]) == array.ArrayCycles(12 + 8 + 10, 0, 0, 10)
    assert array.cycles(still, 8, 4, 20, [0, 17]) == array.ArrayCycles(17 + 8 + 10, 0, 5, 10)


def test_what_moves_is_streamed() -> None:
    """One fold of 8 rows; codes of 4 bits enter 4 to a cycle, those of 8 bits 2, and an exponent."""
    port = replace(SMALL, overlap=False, port_bytes=3)
    for dataflow, moving, ii in (("ws", 5, 3), ("is", 7, 2)):  # 9 and 5 bytes
        got = array.cycles(replace(port, dataflow=dataflow), 5, 7, 8, [0], 8, 4)
        assert got == array.ArrayCycles(8 + 10 + moving * ii, 8, 0, 10, port=moving * (ii - 1))
    assert array.streams_of(SMALL, 5, 8, [1, 3], 8, 2, 100) == [5, 10]
    slow = replace(SMALL, accumulator=replace(SMALL.accumulator, latency=7))
    assert array.streams_of(slow, 5, 8, [1, 3], 8, 2, 100) == [7, 10]
    assert array.streams_of(SMALL, 5, 3, [1], 3, 1, 1) == [5 * 3]  # 9 bits are 2 bytes, and one


def test_a_port_of_outputs_that_stay() -> None:
    """8 steps of 4 x 8 + 3 x 4 bits and 7 exponents are 51 bytes; 2 steps are 18."""
    assert array.segment_cycles(4, 3, 10, [0, 8], (8, 4), 1, 5) == 11 + 4
    assert array.segment_cycles(4, 3, 10, [0, 8], (8, 4), 4, 18) == 8 + 2
    assert array.segment_cycles(4, 3, 10, [0, 8], (8, 4), 1, 17) == 8 + 4
    assert array.segment_cycles(4, 3, 10, [0, 8], (8, 4), 4, 17) == 8 + 2
    assert array.segment_cycles(1, 1, 3, [0], (3, 4), 1, 1) == 3 + 2  # 21 bits are 3 bytes


@pytest.mark.parametrize("dataflow", ["ws", "is", "os"])
def test_operands_have_8_bits_unless_told(dataflow: str) -> None:
    config = replace(SMALL, dataflow=dataflow, port_bytes=1)
    tile = (config, 5, 7, 20, [0, 8, 16])
    assert array.cycles(*tile) == array.cycles(*tile, 8, 8)
    assert array.actions(*tile) == array.actions(*tile, Code(8), Code(8))


def test_running_sums() -> None:
    widths = {1: 12, 2: 13, 64: 18, 65: 19}
    assert {rows: array.running_bits(SMALL, rows, integers(8, 4)) for rows in widths} == widths
    assert array.running_bits(replace(SMALL, dataflow="os"), 64, integers(8, 4)) == 32
    assert [array.raw_bits(p) for p in (integers(8, 8), integers(10, 9), integers(12, 12))] == [32, 35, 40]


def of(part: str, registers: int = 0, accumulators: int = 0, **counts: int) -> Actions:
    """Counts under names such as ``add_32`` for ``add:32``; what is zero is left out."""
    both = {"register.bits": registers, "accumulator.bits": accumulators}
    named = {name.replace("_", ":"): count for name, count in counts.items()}
    return {(part, name): count for name, count in {**named, **both}.items() if count}


COUNTED = {
    "ws": (
        {}, [0, 4, 8, 16],
        of("multiply", 300 * (8 + 15) + 400, mul_8x4=300, add_15=300)
        | of("align", shift_24=60, add_24=75) | of("accumulate", 0, 48 * 45, add_24=45),
    ),
    "is": (
        {"dataflow": "is"}, [0, 8, 16],
        of("multiply", 300 * (4 + 15) + 480, mul_8x4=300, add_15=300)
        | of("align", shift_24=45, add_24=45) | of("accumulate", 0, 48 * 45, add_24=45),
    ),
    "os": (
        {"dataflow": "os", "raw_bank": True}, [0, 8, 18],
        of("multiply", 300 * (12 + 32), mul_8x4=300, add_32=300)
        | of("align", shift_24=45, add_24=45) | of("accumulate", 24 * 45, 24 * 15, add_24=45),
    ),
    "raw bank": (
        {"raw_bank": True}, [0, 8, 18],  # one segment is unfinished at 16; folds end with 8 and 20
        of("multiply", 300 * (8 + 15) + 400, mul_8x4=300, add_15=300)
        | of("align", 0, 64 * 15, shift_24=45, add_24=60, add_32=15)
        | of("accumulate", 0, 48 * 30, add_24=30),
    ),
    "running": (
        {"normalise": RUNNING}, [0, 8, 16],
        of("multiply", 300 * (8 + 15) + 400, mul_8x4=300, add_15=300)
        | of("align", 450, shift_24=90, add_24=90, compare_10=45) | of("accumulate", 0, 48 * 45, add_24=45),
    ),
    "exact": (
        {"normalise": EXACT}, [0, 8, 16],
        of("multiply", 300 * (8 + 15) + 400, mul_8x4=300, add_15=300)
        | of("align", shift_24=45, add_24=45) | of("accumulate", 0, 48 * 45, add_24=45)
        | of("prescan", 150, add_9=45, compare_10=45),
    ),
}  # fmt: skip


@pytest.mark.parametrize("way", COUNTED)
def test_counts(way: str) -> None:
    """3 x 5 outputs of 20 codes, 8 by 4 bits, on 8 rows."""
    changes, starts, want = COUNTED[way]
    config = replace(SMALL, **changes)
    assert array.actions(config, 3, 5, 20, starts, Code(8), Code(4)) == want
    if way == "is":
        four = array.actions(replace(config, pack_axis="K"), 3, 5, 20, starts, Code(4), Code(4))
        assert four["multiply", "add:12"] == 300  # 16 rows: 4 bits above a product of 8
