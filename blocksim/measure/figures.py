"""The figures of one run, with stable keys: what ``report.json`` holds, and what a measurement gives."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from blocksim.measure.footprint import Footprint
from hwmodels.frozen import Frozen

if TYPE_CHECKING:
    from blocksim.engine.schedule import Timeline
    from blocksim.trace.file import Trace


class Entry(Frozen):
    """Base of every part of a report."""


class OutputError(Entry):
    """Error of a graph output against fp32."""

    sqnr_db: float | None = Field(description="over all elements of all samples; null where it is exact")
    max_abs_error: float = Field(description="largest difference of any element of any sample")
    cosine: float | None = Field(description="mean over samples, flattened output")


class Coverage(Entry):
    """What ran where, per sample."""

    datapath_macs: int = Field(description="multiply-accumulates of the datapath's products")
    host_macs: int = Field(description="multiply-accumulates in fp32 on the host")
    host_ops: tuple[str, ...] = Field(description="operators that ran in fp32 on the host")


class Saturation(Entry):
    """What was lost on the way, over all samples."""

    flushed: int = Field(description="terms beyond the aligner's longest shift")
    overflows: int = Field(description="accumulator updates that did not fit")
    clamped: int = Field(description="block exponents brought into range")
    saturated: int = Field(description="codes and LUT inputs brought into range")
    constants: int = Field(
        description="codes and exponents of constants brought into range when they were encoded"
    )


class UnitUse(Entry):
    """Cycles of one unit, per sample."""

    busy: int = Field(description="cycles that its instructions keep it")
    stalls: dict[str, int] = Field(description="cycles free but waiting, by the unit waited for")


class EnergyFigure(Entry):
    """One action: how often, what each costs, and why."""

    count: int = Field(description="per sample")
    pj: float = Field(description="pJ of each")
    formula: str = Field(description="how the pJ follow from the table")
    source: str = Field(description="the table's source")
    status: Literal["cited", "derived", "chosen"] = Field(description="where the figure comes from")


class Stalls(Entry):
    """Cycles per sample that were lost, by cause, added up over the units of the machine."""

    dependency: int = Field(description="units free, waiting for a unit other than the next two")
    dram: int = Field(description="units free, waiting for the DMA engine")
    requantize: int = Field(description="units free, waiting for the requantizer")
    port: int = Field(description="units free, waiting for a port; and the array fed through a narrow one")
    aligner: int = Field(description="array cycles that unlimited aligners would save")
    weight_load: int = Field(description="array cycles that wait for the stationary operand")
    prescan: int = Field(description="array cycles of the search for exact bounds")


class Price(Entry):
    """What one part of the price of the block takes."""

    cycles: int = Field(description="cycles that this part of the price of the block takes")
    pj: float = Field(description="energy that it takes")
    transistors: int = Field(description="transistors that it takes")
    note: str = Field(description="which cycles, which energy and which transistors these are")


class AreaEntry(Entry):
    """Transistors of one part of the machine, and why."""

    transistors: int = Field(description="how many")
    formula: str = Field(description="how they add up")
    source: str = Field(description="where the counts come from")
    status: Literal["cited", "derived", "chosen"] = Field(description="how the source is to be taken")


class Histogram(Entry):
    """Of one product, over `histogram_samples` samples."""

    shifts: dict[int, int] = Field(description="terms by the shift that aligns them, left positive")
    flushed: int = Field(description="terms whose shift is longer than the aligner's")
    zero: int = Field(description="terms of a block of zeros, which need no shift")
    bits: dict[int, int] = Field(description="final wide sums by the bit length of their magnitude")


class Layer(Entry):
    """One operator. Cycles and energy are per sample, losses over all samples."""

    name: str = Field(description="as the operator is called in the model")
    kind: str = Field(description="its instruction")
    format: str = Field(description="of what it writes")
    macs: int = Field(description="multiply-accumulates")
    cycles: int = Field(description="cycles that its instructions keep their units, loads included")
    start: int = Field(description="first cycle of its first computing instruction")
    end: int = Field(description="cycle after its last instruction")
    stall: int = Field(description="cycles that its units were free but waited, the host included")
    array_cycles: int = Field(description="of the cycles, those of the array")
    stalls: Stalls = Field(description="the stall by cause")
    dram_bytes: int = Field(description="on the bus, in whole bursts")
    energy_pj: float = Field(description="static energy apart")
    sqnr_db: float | None = Field(description="against fp32, over all elements")
    max_abs_error: float | None = Field(description="largest difference from fp32")
    cosine: float | None = Field(description="mean over samples")
    flushed: int = Field(description="as of the run")
    overflows: int = Field(description="as of the run")
    clamped: int = Field(description="as of the run")
    saturated: int = Field(description="as of the run")


class ReportData(Entry):
    """One run, as ``report.json`` holds it."""

    version: Literal[2] = Field(default=2, description="of this layout")
    blocksim: str = Field(description="version of blocksim")
    model: str = Field(description="its file")
    machine: str = Field(description="its name")
    machine_parameters: dict[str, Any] = Field(description="every field of the machine's file")
    costs: str = Field(description="energy table")
    precision: str = Field(description="plan and block")
    formats: dict[str, str] = Field(description="by role")
    samples: int = Field(description="how many were run")
    layer_samples: int = Field(description="samples over which the error per layer was measured")
    accuracy: float | None = Field(description="share of right labels, where labels were given")
    reference_accuracy: float | None = Field(description="the same for fp32")
    cycles: int | None = Field(description="per sample; null for fp32, which has values and no cycles")
    array_cycles: int | None = Field(description="cycles that the array is busy")
    clock_ghz: float = Field(description="cycles per ns")
    utilisation: float | None = Field(
        description="datapath MACs per multiplier and cycle; packed, a multiplier does two int4 x int4"
    )
    energy_pj: float | None = Field(description="per sample")
    tops: float | None = Field(description="2 operations per datapath MAC, over the time of one sample")
    peak_tops: float | None = Field(
        description="2 operations per multiplier and cycle; packed operands of 4 bits can reach twice that"
    )
    tops_per_watt: float | None = Field(description="operations per pJ")
    tops_per_area: float | None = Field(description="TOPS per million transistors")
    edp: float | None = Field(description="energy of one sample times its time, in J s")
    footprint: Footprint = Field(description="bits of the model's constants")
    outputs: dict[str, OutputError] = Field(description="error by graph output")
    coverage: Coverage = Field(description="what ran on the datapath, and what on the host")
    saturation: Saturation = Field(description="what was lost")
    units: dict[str, UnitUse] = Field(description="by unit")
    array_parts: dict[str, int] = Field(description="cycles inside MATMUL that wait for something")
    stall: Stalls | None = Field(description="by cause; null for fp32")
    energy: dict[str, float] = Field(description="pJ per sample by component")
    energy_parts: dict[str, float] = Field(description="pJ per sample by what it is spent on")
    price_of_the_block: dict[str, Price] = Field(
        description="prescan, align, requantize and exponents: what would not be there without blocks"
    )
    area: dict[str, AreaEntry] = Field(description="transistors of the machine, part by part")
    actions: dict[str, EnergyFigure] = Field(description="energy of every action, by name")
    dram_bytes: int = Field(description="on the bus, in whole bursts")
    dram_lower_bound_bytes: int | None = Field(
        description="every constant, looked-up row, output and exchange with the host moved once"
    )
    spill_bytes: int | None = Field(description="wide sums that leave the accumulators, SRAM and DRAM")
    peak_sram_bytes: dict[str, int] = Field(description="most bytes in use, by memory")
    traffic: dict[str, dict[str, int]] = Field(description="bytes by memory and by what they are")
    metadata_traffic_share: dict[str, float] = Field(
        description="exponents' share of the bytes of DRAM, and of both SRAMs"
    )
    histogram_samples: int = Field(description="samples over which the histograms are taken")
    histograms: dict[str, Histogram] = Field(description="by product")
    layers: tuple[Layer, ...] = Field(description="a row per operator")


@dataclass(frozen=True)
class Measurement:
    """One run: its figures, its outputs, and what they were made from.

    Attributes
    ----------
    data : ReportData
        Every figure.
    outputs : dict of str to float32 array, leading axis N
        Graph outputs under their ONNX names.
    trace, timeline
        The program and its schedule; None for fp32 and for a report read from a file.
    """

    data: ReportData
    outputs: dict[str, NDArray[np.float32]] = field(default_factory=dict, repr=False)
    trace: Trace | None = field(default=None, repr=False)
    timeline: Timeline | None = field(default=None, repr=False)
