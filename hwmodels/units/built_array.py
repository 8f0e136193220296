"""An array as it is built: the widths that follow from a machine and from what its operands are."""

from __future__ import annotations

from dataclasses import dataclass

from hwmodels.units import aligner
from hwmodels.units.aligner import RUNNING, AlignerConfig
from hwmodels.units.array_cycles import raw_bits
from hwmodels.units.array_row import RowConfig
from hwmodels.units.column import ColumnConfig
from hwmodels.units.mac_array import MacArrayConfig, packing
from hwmodels.units.ops import bit_length
from hwmodels.units.packed_element import PackedConfig
from hwmodels.units.packed_row import PackedRowConfig
from hwmodels.units.processing_element import ElementConfig
from hwmodels.units.product import INT8, Code, ProductConfig
from hwmodels.units.raw_bank import BankConfig
from hwmodels.units.sequencer import FOLD_BITS, SequencerConfig


@dataclass(frozen=True)
class BuiltArray:
    """An array as it is built: the machine's, and what its operands are.

    Attributes
    ----------
    array : MacArrayConfig
    a, w : Code
    bias_bits : int
    """

    array: MacArrayConfig
    a: Code = INT8
    w: Code = INT8
    bias_bits: int = 8

    @property
    def depth(self) -> int:
        """Codes of an element along the reduction."""
        return packing(self.array, self.a.bits, self.w.bits)[0]

    @property
    def width(self) -> int:
        """Codes of an element along the outputs."""
        return packing(self.array, self.a.bits, self.w.bits)[1]

    @property
    def packed(self) -> bool:
        """Whether an element takes more than one code."""
        return self.depth * self.width > 1

    @property
    def rising(self) -> bool:
        """Whether the bound rises with the terms."""
        return self.array.normalise == RUNNING

    @property
    def terms(self) -> int:
        """Terms of a sum that one fold adds up."""
        return self.array.rows * self.depth

    @property
    def outputs(self) -> int:
        """Columns of outputs."""
        return self.array.columns * self.width

    @property
    def slot_bits(self) -> int:
        """Width of a slot: R terms and as many bytes through a port of one byte take no more than 2 R."""
        return bit_length(2 * self.terms - 1)

    @property
    def moving_bits(self) -> int:
        """Width of a moving row's number, an address of the accumulator memory."""
        return bit_length(max(1, self.array.accumulator.rows - 1))

    @property
    def product(self) -> ProductConfig:
        """The multiplier of what moves and of what is held, or of A and W where outputs stay."""
        codes = (self.w, self.a) if self.array.dataflow == "is" else (self.a, self.w)
        return self.array.product(*codes)

    @property
    def sum_bits(self) -> int:
        """Width of a partial sum: a product, and the bits of a fold's depth."""
        return self.product.summed_bits + bit_length(self.terms - 1)

    @property
    def raw_bits(self) -> int:
        """Width of a raw sum."""
        return raw_bits(self.product)

    @property
    def of_terms(self) -> AlignerConfig:
        """The lanes that take sums."""
        return aligner.of_terms(self.array.aligner, self.product.fraction)

    @property
    def row(self) -> RowConfig:
        """Each row, where an element takes one code."""
        own = self.array
        element = ElementConfig(self.product, self.sum_bits, own.aligners, own.overlap)
        return RowConfig(element, own.columns, self.slot_bits)

    @property
    def packed_row(self) -> PackedRowConfig:
        """Each row, where it takes several."""
        own = self.array
        element = PackedConfig(self.product, self.sum_bits, self.depth, self.width, own.aligners, own.overlap)
        return PackedRowConfig(element, own.columns, self.slot_bits)

    @property
    def column(self) -> ColumnConfig:
        """The edge of each column of outputs."""
        own = self.array
        arriving = self.raw_bits if own.raw_bank else self.sum_bits
        return ColumnConfig(
            arriving, own.aligners, self.terms, self.bias_bits, self.slot_bits,
            self.moving_bits, FOLD_BITS, own.aligner, own.accumulator, self.product.fraction,
        )  # fmt: skip

    @property
    def bank(self) -> BankConfig:
        """The raw bank of each column of outputs, if there is one."""
        return BankConfig(self.sum_bits, self.array.aligners, self.raw_bits)

    @property
    def sequencer(self) -> SequencerConfig:
        """The sequencer."""
        own = self.array
        return SequencerConfig(
            own.rows, own.columns, own.overlap, own.accumulator.latency, self.slot_bits, self.moving_bits
        )
