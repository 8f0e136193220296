"""The columns of a sweep's table: what each of them is, in which unit, and where it comes from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from blocksim.measure.figures import ReportData
from hwmodels.costs.area import logic

Cell = str | int | float | None
Row = dict[str, Cell]


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes
    ----------
    name, unit, text : str
    kind : type
        ``str``, ``int`` or ``float``.
    of : callable, optional
        The figure in a report; what has none is filled in by the sweep.
    better : int
        1 where more of it is better, -1 where less is, 0 where it is not to be compared.
    timing : bool
        Whether it says how long something took: such columns differ from run to run.
    """

    name: str
    unit: str
    text: str
    kind: type
    of: Callable[[ReportData], Cell] | None = None
    better: int = 0
    timing: bool = False


def _output(field: str) -> Callable[[ReportData], Cell]:
    """A figure of the first output of the graph."""
    return lambda d: getattr(next(iter(d.outputs.values())), field)


def _stall(cause: str) -> Callable[[ReportData], Cell]:
    return lambda d: None if d.stall is None else getattr(d.stall, cause)


def _share(memory: str) -> Callable[[ReportData], Cell]:
    return lambda d: d.metadata_traffic_share.get(memory)


COLUMNS = (
    Column("config_id", "", "hash of the model, its inputs and all settings", str),
    Column("label", "", "the settings that differ within the space", str),
    Column("error", "", "why it could not be built; empty where it was", str),
    Column("accuracy", "share", "samples whose largest output is right", float, lambda d: d.accuracy, 1),
    Column("fp32_accuracy", "share", "the same in fp32", float, lambda d: d.reference_accuracy),
    Column("cosine", "", "of the first output to fp32's, mean over samples", float, _output("cosine"), 1),
    Column("sqnr_db", "dB", "signal over error of the first output", float, _output("sqnr_db"), 1),
    Column("max_abs_error", "", "of the first output, the largest", float, _output("max_abs_error"), -1),
    Column("weight_sqnr_db", "dB", "the same of linear layers' stored weights", float, None, 1),
    Column(
        "weight_bits", "bit", "weights and biases of linear layers, codes and exponents", int,
        lambda d: d.footprint.weight_bits + d.footprint.metadata_bits, -1,
    ),
    Column(
        "metadata_bits", "bit", "of these, the exponents and multipliers", int,
        lambda d: d.footprint.metadata_bits, -1,
    ),
    Column(
        "density", "", "memory density: fp32 bits of linear layers over stored bits", float,
        lambda d: d.footprint.compression_ratio, 1,
    ),
    Column(
        "activation_bits", "bit", "every stored activation of a sample", int,
        lambda d: d.footprint.activation_bits, -1,
    ),
    Column(
        "memory_density", "", "fp32 bits over bits of weights and activations, arXiv 2310.05079", float,
        lambda d: (d.footprint.fp32_bits + d.footprint.fp32_activation_bits)
        / (d.footprint.weight_bits + d.footprint.metadata_bits + d.footprint.activation_bits), 1,
    ),
    Column("cycles", "cycle", "of a sample", int, lambda d: d.cycles, -1),
    Column("array_cycles", "cycle", "of these, the array is busy", int, lambda d: d.array_cycles),
    Column(
        "time_us", "us", "cycles over the clock", float,
        lambda d: None if d.cycles is None else d.cycles / d.clock_ghz / 1e3, -1,
    ),
    Column("utilisation", "share", "products per multiplier and cycle", float, lambda d: d.utilisation, 1),
    Column("stall_aligner", "cycle", "that more aligners would save", int, _stall("aligner"), -1),
    Column("stall_dram", "cycle", "units wait for the DMA engine", int, _stall("dram"), -1),
    Column("stall_requantize", "cycle", "units wait for the requantizer", int, _stall("requantize"), -1),
    Column("energy_pj", "pJ", "of a sample", float, lambda d: d.energy_pj, -1),
    Column("edp", "J s", "energy times time of a sample", float, lambda d: d.edp, -1),
    Column("tops_per_watt", "TOPS/W", "operations per pJ", float, lambda d: d.tops_per_watt, 1),
    Column("tops_per_area", "TOPS/Mtr", "per million transistors", float, lambda d: d.tops_per_area, 1),
    Column(
        "logic_transistors", "transistor", "without memories, of a machine built for the formats", int,
        lambda d: logic(d.area), -1,
    ),
    Column(
        "transistors", "transistor", "of the whole machine", int,
        lambda d: sum(p.transistors for p in d.area.values()), -1,
    ),
    Column("dram_bytes", "byte", "on the bus, whole bursts, a sample", int, lambda d: d.dram_bytes, -1),
    Column("metadata_dram_share", "share", "exponents' share of DRAM bytes", float, _share("dram")),
    Column("spill_bytes", "byte", "wide sums that leave the accumulators", int, lambda d: d.spill_bytes, -1),
    Column("flushed", "term", "lost beyond the aligner, all samples", int, lambda d: d.saturation.flushed),
    Column("overflows", "sum", "accumulator overflows, all samples", int, lambda d: d.saturation.overflows),
    Column("clamped", "block", "exponents out of range, all samples", int, lambda d: d.saturation.clamped),
    Column("saturated", "code", "codes out of range, all samples", int, lambda d: d.saturation.saturated),
    Column("host_macs", "MAC", "in fp32 on the host, a sample", int, lambda d: d.coverage.host_macs, -1),
    Column("seconds", "s", "to compile and measure", float, timing=True),
    Column("worker", "", "the process that did it", str, timing=True),
)  # fmt: skip
"""In the order of the table; after `error` stands a column for every setting that differs."""

BY_NAME = {column.name: column for column in COLUMNS}


def figures(data: ReportData) -> Row:
    """The figures of a report."""
    return {column.name: column.of(data) for column in COLUMNS if column.of}


def setting_column(name: str, values: Iterable[Any]) -> Column:
    """The column of a setting: numbers where all values are numbers, and text otherwise."""
    known = [x for x in values if x is not None]
    kinds = {type(x) for x in known}
    whole = kinds == {int} and all(abs(x) < 1 << 62 for x in known)  # as wide as a column is
    kind = int if whole else float if float in kinds and kinds <= {int, float} else str
    return Column(name, "", "a setting", kind)


TRIAL = (
    Column("trial", "", "the number of a search's trial", int),
    Column("allowed", "", "yes where a trial is within the limits", str),
)
"""Columns that the table of a search begins with."""


def table_columns(axes: Mapping[str, Iterable[Any]], first: Iterable[Column] = ()) -> tuple[Column, ...]:
    """All columns of a space with these settings and their values."""
    before = [c for c in COLUMNS if c.name in ("config_id", "label", "error")]
    own = [setting_column(name, values) for name, values in axes.items()]
    return (*first, *before, *own, *COLUMNS[len(before) :])
