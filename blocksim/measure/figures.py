"""The figures of one run, with stable keys: what ``report.json`` holds, and what a measurement gives."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from blocksim.measure.footprint import Footprint

if TYPE_CHECKING:
    from blocksim.engine.schedule import Timeline
    from blocksim.trace.file import Trace


class Entry(BaseModel):
    """Base of every part of a report."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class OutputError(Entry):
    """Error of a graph output against fp32."""

    sqnr_db: float | None = Field(description="over all elements of all samples; null where it is exact")
    max_abs_error: float
    cosine: float | None = Field(description="mean over samples, flattened output")


class Coverage(Entry):
    """What ran where, per sample."""

    datapath_macs: int
    host_macs: int
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

    busy: int
    stalls: dict[str, int] = Field(description="cycles free but waiting, by the unit waited for")


class EnergyFigure(Entry):
    """One action: how often, what each costs, and why."""

    count: int
    pj: float
    formula: str
    source: str
    status: Literal["cited", "derived", "chosen"]


class Layer(Entry):
    """One operator. Cycles and energy are per sample, losses over all samples."""

    name: str
    kind: str
    format: str
    macs: int
    cycles: int = Field(description="cycles that its instructions keep their units, loads included")
    start: int = Field(description="first cycle of its first computing instruction")
    end: int = Field(description="cycle after its last instruction")
    stall: int = Field(description="cycles that its units were free but waited")
    energy_pj: float = Field(description="static energy apart")
    sqnr_db: float | None
    max_abs_error: float | None
    cosine: float | None
    flushed: int
    overflows: int
    clamped: int
    saturated: int


class ReportData(Entry):
    """One run, as ``report.json`` holds it."""

    version: Literal[1] = 1
    blocksim: str
    model: str
    machine: str
    machine_parameters: dict[str, Any] = Field(description="every field of the machine's file")
    costs: str
    precision: str
    formats: dict[str, str]
    samples: int
    layer_samples: int = Field(description="samples over which the error per layer was measured")
    accuracy: float | None = Field(description="share of right labels, where labels were given")
    reference_accuracy: float | None = Field(description="the same for fp32")
    cycles: int | None = Field(description="per sample; null for fp32, which has values and no cycles")
    clock_ghz: float
    utilisation: float | None = Field(description="datapath MACs per multiplier and cycle")
    energy_pj: float | None = Field(description="per sample")
    footprint: Footprint
    outputs: dict[str, OutputError]
    coverage: Coverage
    saturation: Saturation
    units: dict[str, UnitUse]
    array_parts: dict[str, int] = Field(description="cycles inside MATMUL that wait for something")
    energy: dict[str, float] = Field(description="pJ per sample by component")
    actions: dict[str, EnergyFigure]
    dram_bytes: int
    layers: tuple[Layer, ...]


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
