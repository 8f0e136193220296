"""Named accelerators: YAML files checked field by field, and the unit configurations they stand for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, model_validator

from hwmodels.machines.parts import (
    Accumulator,
    Aligner,
    Array,
    Dram,
    Lut,
    Norm,
    Part,
    Requantizer,
    Softmax,
    Sram,
    Vector,
    Window,
)
from hwmodels.units import elementwise, norm, softmax, tables
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


class Machine(Part):
    """One accelerator, as its YAML file describes it.

    >>> from hwmodels.machines import load
    >>> load("bct64").array.rows
    64
    """

    name: str = Field(description="what reports call it")
    clock_ghz: float = Field(gt=0, le=100, description="GHz; turns cycles into time")
    costs: str = Field(description="energy table: horowitz-45nm, jouppi-7nm, or a file")
    array: Array = Field(description="the MAC array")
    aligner: Aligner = Field(description="what aligns the sums of segments")
    window: Window = Field(
        default=Window(bits=48, rounding="floor"),
        description="where products are added whose codes have exponents",
    )
    accumulator: Accumulator = Field(description="where aligned sums are added up")
    requantizer: Requantizer = Field(description="what makes codes and exponents of wide sums")
    vector: Vector = Field(description="what the vector units share")
    lut: Lut = Field(description="functions of one variable")
    softmax: Softmax = Field(description="the softmax unit")
    norm: Norm = Field(description="LayerNorm and RMSNorm")
    sram: Sram = Field(description="on the chip")
    dram: Dram = Field(description="behind the DMA engine")

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
        raise FileNotFoundError(
            f"{name_or_path}: give one of {', '.join(names())}, or the path of a YAML file"
        )
    return Machine.model_validate(yaml.safe_load(path.read_text()))
