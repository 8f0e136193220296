"""The widths inside an array, by hand."""

from __future__ import annotations

from dataclasses import replace

from hwmodels.units.accumulator import AccumulatorConfig
from hwmodels.units.aligner import BOUND, AlignerConfig
from hwmodels.units.built_array import BuiltArray
from hwmodels.units.mac_array import MacArrayConfig
from hwmodels.units.ops import RNE
from hwmodels.units.product import INT8, Code

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
    assert (built.a.bits, built.w.bits, built.column.bias_bits) == (8, 8, 8)


def test_parts() -> None:
    """32 products of 8 and 4 bits have 17 bits; where inputs stay, those of 8 bits are held."""
    for dataflow, widths in (("ws", (8, 4)), ("is", (4, 8))):
        built = BuiltArray(replace(OWN, dataflow=dataflow), Code(8), Code(4), 32)
        element, column = built.row.element, built.column
        assert (element.product.a.bits, element.product.b.bits, element.sum_bits) == (*widths, 17)
        assert (element.chains, element.overlap) == (2, True)
        assert (built.row.columns, built.row.slot_bits) == (16, 6)
        assert (column.sum_bits, column.chains, column.rows, column.bias_bits) == (17, 2, 32, 32)
        assert (column.slot_bits, column.moving_bits) == (6, 8)
        assert (column.aligner, column.accumulator) == (OWN.aligner, OWN.accumulator)
        control = built.sequencer
        assert (control.rows, control.columns, control.overlap, control.latency) == (32, 16, True, 5)
        assert (control.slot_bits, control.moving_bits) == (6, 8)


def test_codes_with_exponents() -> None:
    """E4M3 x int8: exact products have 19 + 8 - 1 = 26 bits, of which 11 are below the binary point."""
    e4m3 = Code(8, 4, hidden=True, subnormal=True, largest=0x7E)
    built = BuiltArray(replace(OWN, raw_bank=True), e4m3, INT8)
    assert (built.product.bits, built.sum_bits, built.raw_bits) == (26, 31, 43)
    assert (built.column.sum_bits, built.column.fraction, built.bank.raw_bits) == (43, 11, 43)
    assert built.of_terms == built.column.of_terms == AlignerConfig(8 - 11, 31 + 11, RNE)
    cut = BuiltArray(replace(OWN, window=16), e4m3, INT8)
    assert (cut.product.bits, cut.sum_bits, cut.column.fraction, cut.raw_bits) == (16, 21, 1, 33)
