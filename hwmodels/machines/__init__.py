"""Named accelerators: YAML files checked field by field, and the unit configurations they stand for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import ConfigDict, Field, model_validator

from hwmodels.frozen import Frozen
from hwmodels.units import elementwise, lut, norm, requantizer, softmax, softmax_parts, tables
from hwmodels.units.accumulator import AccumulatorConfig
from hwmodels.units.aligner import NORMALISES, AlignerConfig
from hwmodels.units.dma import DmaConfig
from hwmodels.units.elementwise import ElementwiseConfig
from hwmodels.units.lut import LutConfig
from hwmodels.units.mac_array import MacArrayConfig
from hwmodels.units.norm import ROOT_FRACTION, NormConfig
from hwmodels.units.ops import ROUNDINGS
from hwmodels.units.product import WINDOW_ROUNDINGS
from hwmodels.units.requantizer import RequantizerConfig
from hwmodels.units.softmax import FRACTION, SoftmaxConfig

FOLDER = Path(__file__).parent


class Part(Frozen):
    """Base of every section: silent conversions are refused too."""

    model_config = ConfigDict(strict=True)


class Array(Part):
    """The MAC array, see `hwmodels.units.mac_array`."""

    rows: int = Field(ge=1, le=1024)
    columns: int = Field(ge=1, le=1024)
    dataflow: Literal["ws", "os", "is"]
    overlap: Literal["none", "weights"]
    pack_axis: Literal["none", "K", "N"]

    @model_validator(mode="after")
    def _packs(self) -> Array:
        if self.dataflow == "os" and self.pack_axis == "K":
            raise ValueError("pack_axis: K: dataflow os has no rows along the reduction; give N or none")
        return self


class Aligner(Part):
    """The aligners of a column, see `hwmodels.units.aligner`."""

    per_column: int = Field(ge=1, le=64)
    max_shift: int = Field(ge=1, le=62)
    guard_bits: int = Field(ge=-8, le=15)
    rounding: Literal["floor", "half_up", "rne"]
    depth: Literal["fold", "segment"]
    normalise: Literal["bound", "exact", "running"]
    prescan_lanes: int = Field(ge=1, le=65536)

    @model_validator(mode="after")
    def _reaches(self) -> Aligner:
        if self.max_shift < abs(self.guard_bits):
            raise ValueError("max_shift must reach over the guard_bits")
        return self


class Window(Part):
    """The window in which products are added whose codes have exponents, see `hwmodels.units.product`."""

    bits: int = Field(ge=4, le=60)
    rounding: Literal["floor", "half_up", "rne", "sticky"]


class Accumulator(Part):
    """The accumulator memory, see `hwmodels.units.accumulator`."""

    bits: int = Field(ge=16, le=48)
    overflow: Literal["saturate", "wrap"]
    rows: int = Field(ge=1, le=65536)
    banks: int = Field(ge=1, le=16)
    latency: int = Field(ge=1, le=64)


class Requantizer(Part):
    """The requantizer, see `hwmodels.units.requantizer`."""

    lanes: int = Field(ge=1, le=4096)
    passes: Literal["merged", "separate"]
    exponents: Literal["dynamic", "static"]
    latency: int = Field(ge=requantizer.STAGES, le=64)


class Vector(Part):
    """What the vector units share: lanes, and a double buffer of wide sums."""

    lanes: int = Field(ge=1, le=4096)
    buffer_kib: int = Field(ge=1, le=65536)
    latency: int = Field(ge=elementwise.STAGES, le=64)


def _power_of_two(n: int) -> bool:
    return n & (n - 1) == 0


class Lut(Part):
    """The LUT unit: segments over [-span, span], fixed point with `fraction` fraction bits."""

    segments: int = Field(ge=2, le=65536)
    span: int = Field(ge=1, le=64)
    fraction: int = Field(ge=4, le=20)
    word_bits: int = Field(ge=16, le=32)
    latency: int = Field(ge=lut.STAGES, le=64)

    @model_validator(mode="after")
    def _covers(self) -> Lut:
        if not (_power_of_two(self.segments) and _power_of_two(self.span)):
            raise ValueError("segments and span must be powers of two")
        if self.segments > self.span << self.fraction:
            raise ValueError("a segment must be at least two steps of 2**-fraction wide")
        if self.span << self.fraction >= 1 << (self.word_bits - 1):
            raise ValueError("span does not fit word_bits with this fraction")
        return self


class Softmax(Part):
    """The softmax unit, see `hwmodels.units.softmax`."""

    guard_bits: int = Field(ge=0, le=8)
    exp2_segments: int = Field(ge=2, le=32768)
    reciprocal_segments: int = Field(ge=2, le=32768)
    latency: int = Field(ge=softmax_parts.STAGES, le=64)

    @model_validator(mode="after")
    def _powers(self) -> Softmax:
        if not (_power_of_two(self.exp2_segments) and _power_of_two(self.reciprocal_segments)):
            raise ValueError("segments must be powers of two")
        return self


class Norm(Part):
    """The norm unit, see `hwmodels.units.norm`."""

    root_segments: int = Field(ge=3, le=98304)
    newton_steps: int = Field(ge=0, le=3)
    latency: int = Field(ge=0, le=64)

    @model_validator(mode="after")
    def _three_octave_parts(self) -> Norm:
        if self.root_segments % 3 or not _power_of_two(self.root_segments // 3):
            raise ValueError("root_segments must be 3 times a power of two")
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

    kib: int = Field(ge=1, le=1 << 20)
    banks: int = Field(ge=1, le=1024)
    ports: int = Field(ge=1, le=4)
    port_bytes: int = Field(ge=1, le=65536)

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

    weights: Memory
    activations: Memory


class Dram(Part):
    """The DRAM behind the DMA engine."""

    type: Literal["ddr", "hbm2", "gddr6"]
    bytes_per_cycle: int = Field(ge=1, le=65536)
    latency: int = Field(ge=0, le=100000)
    burst: int = Field(ge=1, le=4096)


class Machine(Part):
    """One accelerator, as its YAML file describes it.

    >>> from hwmodels.machines import load
    >>> load("bct64").array.rows
    64
    """

    name: str
    clock_ghz: float = Field(gt=0, le=100)
    costs: str
    array: Array
    aligner: Aligner
    window: Window = Window(bits=48, rounding="floor")
    accumulator: Accumulator
    requantizer: Requantizer
    vector: Vector
    lut: Lut
    softmax: Softmax
    norm: Norm
    sram: Sram
    dram: Dram

    @model_validator(mode="after")
    def _aligns_whole_segments(self) -> Machine:
        if self.array.dataflow == "os" and self.aligner.depth == "fold":
            raise ValueError("aligner.depth: fold: dataflow os keeps raw sums in its elements; give segment")
        return self

    def changed(self, **fields: Any) -> Machine:
        """The machine with some fields changed, and checked as its file is.

        Parameters
        ----------
        **fields
            New values; of a section a mapping of those of its fields that change.

        Raises
        ------
        pydantic.ValidationError
            If there is no such field, or no machine like that.

        Examples
        --------
        >>> wide = load("bct64").changed(name="four aligners", aligner={"per_column": 4})
        >>> wide.aligner.per_column, wide.aligner.guard_bits
        (4, 8)
        """
        return type(self).model_validate(_merged(self.model_dump(), fields))

    @property
    def array_port_bytes(self) -> int:
        """Bytes per cycle through the ports of what streams into the array: one operand, or both (os)."""
        activations, weights = self.sram.activations.port_bytes, self.sram.weights.port_bytes
        return {"ws": activations, "is": weights, "os": activations + weights}[self.array.dataflow]

    @cached_property
    def array_config(self) -> MacArrayConfig:
        """The MAC array with its aligners and accumulators."""
        a = self.aligner
        return MacArrayConfig(
            rows=self.array.rows,
            columns=self.array.columns,
            dataflow=self.array.dataflow,
            overlap=self.array.overlap == "weights",
            aligners=a.per_column,
            raw_bank=a.depth == "segment" and self.array.dataflow != "os",
            normalise=NORMALISES[a.normalise],
            pack_axis=self.array.pack_axis,
            port_bytes=self.array_port_bytes,
            aligner=AlignerConfig(a.guard_bits, a.max_shift, ROUNDINGS[a.rounding]),
            accumulator=AccumulatorConfig(
                self.accumulator.bits,
                self.accumulator.overflow == "saturate",
                self.accumulator.rows,
                self.accumulator.banks,
                self.accumulator.latency,
            ),
            prescan_lanes=a.prescan_lanes,
            window=self.window.bits,
            window_rounding=WINDOW_ROUNDINGS[self.window.rounding],
        )

    @cached_property
    def requantizer_config(self) -> RequantizerConfig:
        """The requantizer."""
        r = self.requantizer
        return RequantizerConfig(r.lanes, r.passes == "merged", r.latency)

    @cached_property
    def softmax_config(self) -> SoftmaxConfig:
        """The softmax unit with its tables."""
        s = self.softmax
        return SoftmaxConfig(
            self.vector.lanes,
            s.guard_bits,
            tables.exp2_negative(s.exp2_segments, FRACTION),
            tables.reciprocal(s.reciprocal_segments, FRACTION),
            s.latency,
        )

    @cached_property
    def norm_config(self) -> NormConfig:
        """The norm unit with its table."""
        n = self.norm
        root = tables.reciprocal_root(n.root_segments, ROOT_FRACTION)
        return NormConfig(self.vector.lanes, root, n.newton_steps, n.latency)

    @cached_property
    def elementwise_config(self) -> ElementwiseConfig:
        """The element-wise unit; its aligners are as the array's, with guard bits."""
        a = self.aligner
        guard = max(a.guard_bits, 0)
        return ElementwiseConfig(
            self.vector.lanes, guard, a.max_shift, ROUNDINGS[a.rounding], self.vector.latency
        )

    @cached_property
    def dma_config(self) -> DmaConfig:
        """The DMA engine."""
        return DmaConfig(self.dram.bytes_per_cycle, self.dram.latency, self.dram.burst)

    def wide_bits(self, kind: str) -> int:
        """Width of the sums that an operator of some kind hands to the requantizer."""
        return {
            "matmul": self.accumulator.bits,
            "softmax": FRACTION,
            "norm": norm.SUM_BITS,
            "lut": self.lut.word_bits,
            "add": elementwise.SUM_BITS,
            "mul": elementwise.SUM_BITS,
        }[kind]

    def buffer_bytes(self, kind: str) -> int:
        """Bytes of a word in the vector buffer: of a wide sum, or of what softmax keeps there in between."""
        kept = softmax.word_bits(self.softmax.guard_bits) if kind == "softmax" else 0
        return -(-max(self.wide_bits(kind), kept) // 8)

    def lut_config(self, function: str) -> LutConfig:
        """The LUT unit with the table of `function` loaded."""
        u = self.lut
        table = tables.FUNCTIONS[function](u.segments, u.span, u.fraction)
        step = (2 * u.span << u.fraction) // u.segments
        return LutConfig(self.vector.lanes, u.word_bits, u.fraction, step.bit_length() - 1, table, u.latency)


def _merged(whole: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Fields with changes, section by section."""
    merged = dict(whole)
    for name, value in changes.items():
        inside = merged.get(name)
        if isinstance(inside, Mapping) and isinstance(value, Mapping):
            merged[name] = _merged(inside, value)
        else:
            merged[name] = value
    return merged


def names() -> list[str]:
    """The machines that are shipped."""
    return sorted(p.stem for p in FOLDER.glob("*.yaml"))


def load(name_or_path: str | Path) -> Machine:
    """A shipped machine by name, or any machine from a YAML file.

    Raises
    ------
    FileNotFoundError
        If it is neither; the message lists the shipped names.
    pydantic.ValidationError, yaml.YAMLError
        If the file does not describe a machine.
    """
    path = FOLDER / f"{name_or_path}.yaml"
    if not path.is_file():
        path = Path(name_or_path)
    if not path.is_file():
        raise FileNotFoundError(f"give one of {', '.join(names())}, or the path of a YAML file")
    return Machine.model_validate(yaml.safe_load(path.read_text()))
