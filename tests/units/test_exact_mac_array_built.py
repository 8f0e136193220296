"""The widths inside an array, by hand."""

from __future__ import annotations

from dataclasses import replace

from hwmodels.units.accumulator import AccumulatorConfig
from hwmodels.units.aligner import BOUND, AlignerConfig
from hwmodels.units.array_step import BuiltArray
from hwmodels.units.mac_array import MacArrayConfig
from hwmodels.units.ops import RNE

OWN = MacArrayConfig(
    32, 16, "ws", True, 2, False, BOUND, "none", 64,
    AlignerConfig(8, 31, RNE), AccumulatorConfig(32, True, 256, 2, 5),
)  # fmt: skip


def test_slots_and_rows_are_counted() -> None:
    """The last of ``2 R`` slots, and the last row of the accumulator memory, have so many bits."""
    slots = {1: 1, 2: 2, 3: 3, 4: 3, 5: 4, 16: 5, 17: 6, 32: 6}
    assert {n: BuiltArray(replace(OWN, rows=n)).slot_bits for n in slots} == slots
    moving = {1: 1, 2: 1, 3: 2, 256: 8, 257: 9}
    words = {n: replace(OWN, accumulator=AccumulatorConfig(32, True, n, 2, 5)) for n in moving}
    assert {n: BuiltArray(own).moving_bits for n, own in words.items()} == moving


def test_operands_have_eight_bits_if_nothing_is_said() -> None:
    built = BuiltArray(OWN)
    assert (built.row.element.moving_bits, built.row.element.held_bits, built.column.bias_bits) == (8, 8, 8)


def test_parts() -> None:
    """32 products of 8 and 4 bits have 17 bits; where inputs stay, those of 8 bits are held."""
    for dataflow, widths in (("ws", (8, 4)), ("is", (4, 8))):
        built = BuiltArray(replace(OWN, dataflow=dataflow), 8, 4, 32)
        element, column = built.row.element, built.column
        assert (element.moving_bits, element.held_bits, element.sum_bits) == (*widths, 17)
        assert (element.chains, element.overlap) == (2, True)
        assert (built.row.columns, built.row.slot_bits) == (16, 6)
        assert (column.sum_bits, column.chains, column.rows, column.bias_bits) == (17, 2, 32, 32)
        assert (column.slot_bits, column.moving_bits) == (6, 8)
        assert (column.aligner, column.accumulator) == (OWN.aligner, OWN.accumulator)
        control = built.sequencer
        assert (control.rows, control.columns, control.overlap, control.latency) == (32, 16, True, 5)
        assert (control.slot_bits, control.moving_bits) == (6, 8)
