"""The sections of a machine's file, each field with its limits and its meaning."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field, model_validator

from hwmodels.frozen import Frozen
from hwmodels.units import elementwise, lut, norm, requantizer, softmax_parts


class Part(Frozen):
    """Base of every section: silent conversions are refused too."""

    model_config = ConfigDict(strict=True)


class Array(Part):
    """The MAC array, see `hwmodels.units.mac_array`."""

    rows: int = Field(ge=1, le=1024, description="elements along K (ws, is) or M (os)")
    columns: int = Field(ge=1, le=1024, description="elements along N (ws, os) or M (is)")
    dataflow: Literal["ws", "os", "is"] = Field(
        description="what stays: ws the weights, is the inputs, os the outputs"
    )
    overlap: Literal["none", "weights"] = Field(
        description="weights: a shadow register loads the next fold's stationary operand while a fold streams"
    )
    pack_axis: Literal["none", "K", "N"] = Field(
        description="what two operands of 4 bits double: K the rows (not with os), N the columns"
    )

    @model_validator(mode="after")
    def _packs(self) -> Array:
        if self.dataflow == "os" and self.pack_axis == "K":
            raise ValueError("pack_axis: K: dataflow os has no rows along the reduction; give N or none")
        return self


class Aligner(Part):
    """The aligners of a column, see `hwmodels.units.aligner`."""

    per_column: int = Field(
        ge=1,
        le=64,
        description="lanes of one column: with n segments in a fold, a row takes ceil(n / lanes) cycles",
    )
    max_shift: int = Field(
        ge=1, le=62, description="longest shift in bits; beyond it a term is flushed and counted"
    )
    guard_bits: int = Field(
        ge=-8, le=15, description="bits kept below the bound of all terms; may be negative"
    )
    rounding: Literal["floor", "half_up", "rne"] = Field(
        description="of what is shifted out: floor, half_up, or rne (to nearest, ties to even)"
    )
    depth: Literal["fold", "segment"] = Field(
        description="how long a sum stays raw: a fold, or a segment with a raw bank (os: in its elements)"
    )
    normalise: Literal["bound", "exact", "running"] = Field(
        description="exponent of sums: bound of both operands, exact by a prescan, running with the terms"
    )
    prescan_lanes: int = Field(
        ge=1,
        le=65536,
        description="segments of outputs that the prescan takes per cycle, where normalise is exact",
    )

    @model_validator(mode="after")
    def _reaches(self) -> Aligner:
        if self.max_shift < abs(self.guard_bits):
            raise ValueError(f"max_shift {self.max_shift} must reach over the guard_bits {self.guard_bits}")
        return self


class Window(Part):
    """The window in which products are added whose codes have exponents, see `hwmodels.units.product`."""

    bits: int = Field(ge=4, le=60, description="bits that are kept below the largest product")
    rounding: Literal["floor", "half_up", "rne", "sticky"] = Field(
        description="of what falls out: floor, half_up, rne, or kept as a bit (sticky)"
    )


class Accumulator(Part):
    """The accumulator memory, see `hwmodels.units.accumulator`."""

    bits: int = Field(ge=16, le=48, description="width, guard bits included")
    overflow: Literal["saturate", "wrap"] = Field(
        description="what becomes of a sum that does not fit; either is counted"
    )
    rows: int = Field(ge=1, le=65536, description="rows of one bank")
    banks: int = Field(ge=1, le=16, description="so that one drains while another fills")
    latency: int = Field(ge=1, le=64, description="cycles of an update")


class Requantizer(Part):
    """The requantizer, see `hwmodels.units.requantizer`."""

    lanes: int = Field(ge=1, le=4096, description="sums per cycle")
    passes: Literal["merged", "separate"] = Field(
        description="merged: the search for block maxima runs while sums are written"
    )
    exponents: Literal["dynamic", "static"] = Field(
        description="dynamic: found per block; static: calibrated and stored, in one pass"
    )
    latency: int = Field(ge=requantizer.STAGES, le=64, description="cycles from a sum to its code")


class Vector(Part):
    """What the vector units share: lanes, and a double buffer of wide sums."""

    lanes: int = Field(ge=1, le=4096, description="elements per cycle, of every vector unit")
    buffer_kib: int = Field(
        ge=1, le=65536, description="KiB of wide sums: one half fills while the other drains"
    )
    latency: int = Field(ge=elementwise.STAGES, le=64, description="cycles through the element-wise unit")


def _power_of_two(n: int) -> bool:
    return n & (n - 1) == 0


class Lut(Part):
    """The LUT unit: segments over [-span, span], fixed point with `fraction` fraction bits."""

    segments: int = Field(ge=2, le=65536, description="segments of the table, a power of two")
    span: int = Field(ge=1, le=64, description="the table covers [-span, span]; a power of two")
    fraction: int = Field(ge=4, le=20, description="fraction bits of arguments and values")
    word_bits: int = Field(ge=16, le=32, description="width of arguments and values")
    latency: int = Field(ge=lut.STAGES, le=64, description="cycles through the unit")

    @model_validator(mode="after")
    def _covers(self) -> Lut:
        if not (_power_of_two(self.segments) and _power_of_two(self.span)):
            raise ValueError(f"segments {self.segments} and span {self.span} must be powers of two")
        if self.segments > self.span << self.fraction:
            raise ValueError("a segment must be at least two steps of 2**-fraction wide")
        if self.span << self.fraction >= 1 << (self.word_bits - 1):
            raise ValueError("span does not fit word_bits with this fraction")
        return self


class Softmax(Part):
    """The softmax unit, see `hwmodels.units.softmax`."""

    guard_bits: int = Field(ge=0, le=8, description="bits kept below the row's largest exponent")
    exp2_segments: int = Field(ge=2, le=32768, description="segments of the table of 2^-x, a power of two")
    reciprocal_segments: int = Field(
        ge=2, le=32768, description="segments of the table of 1/x, a power of two"
    )
    latency: int = Field(ge=softmax_parts.STAGES, le=64, description="cycles through the unit, per pass")

    @model_validator(mode="after")
    def _powers(self) -> Softmax:
        if not (_power_of_two(self.exp2_segments) and _power_of_two(self.reciprocal_segments)):
            sizes = f"{self.exp2_segments} and {self.reciprocal_segments}"
            raise ValueError(f"segments must be powers of two: {sizes}")
        return self


class Norm(Part):
    """The norm unit, see `hwmodels.units.norm`."""

    root_segments: int = Field(
        ge=3, le=98304, description="segments of the table of 1/sqrt(x), 3 times a power of two"
    )
    newton_steps: int = Field(ge=0, le=3, description="Newton steps after the table")
    latency: int = Field(ge=0, le=64, description="cycles through the unit, per pass")

    @model_validator(mode="after")
    def _three_octave_parts(self) -> Norm:
        if self.root_segments % 3 or not _power_of_two(self.root_segments // 3):
            raise ValueError(f"root_segments {self.root_segments} must be 3 times a power of two")
        return self

    @model_validator(mode="after")
    def _has_stages(self) -> Norm:
        needed = norm.stages(self.newton_steps)
        if self.latency < needed:
            raise ValueError(f"latency: {self.latency}: {self.newton_steps} newton_steps need {needed}")
        return self


class Memory(Part):
    """An SRAM of equal banks, each with `ports` ports of `port_bytes` per cycle.

    Energy per access follows the capacity of one bank.
    """

    kib: int = Field(ge=1, le=1 << 20, description="capacity in KiB")
    banks: int = Field(
        ge=1, le=1024, description="equal banks; energy per access follows the capacity of one"
    )
    ports: int = Field(ge=1, le=4, description="ports of a bank")
    port_bytes: int = Field(
        ge=1, le=65536, description="bytes per cycle of a port; what streams into the array comes through one"
    )

    @property
    def nbytes(self) -> int:
        """Capacity in bytes."""
        return self.kib * 1024

    @property
    def bank_kib(self) -> float:
        """Capacity of one bank in KiB."""
        return self.kib / self.banks


class Sram(Part):
    """The two SRAMs."""

    weights: Memory = Field(description="constants on their way to the units, with their exponents")
    activations: Memory = Field(description="activations with their exponents")


class Dram(Part):
    """The DRAM behind the DMA engine."""

    type: Literal["ddr", "hbm2", "gddr6"] = Field(description="whose energy per transfer is taken")
    bytes_per_cycle: int = Field(ge=1, le=65536, description="bandwidth")
    latency: int = Field(ge=0, le=100000, description="cycles until the first bytes arrive")
    burst: int = Field(ge=1, le=4096, description="bytes that are moved at a time")
