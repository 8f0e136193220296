"""Where a layer's cycles, bytes and picojoules come from: rows that add up to the report's figures."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from blocksim.engine.cost import CostModel
from blocksim.errors import BlocksimError
from blocksim.measure.energy import by_part, spent_by
from blocksim.measure.figures import Layer, ReportData
from blocksim.measure.formulas import formula_of
from blocksim.measure.near import nearest
from blocksim.trace.file import Trace
from blocksim.trace.isa import Flag, Opcode
from blocksim.trace.manifest import OpSpec

MEMORIES = {
    "dram.bytes": ("DRAM", "bytes"),
    "sram.activations.bytes": ("activation SRAM", "bytes"),
    "sram.weights.bytes": ("weight SRAM", "bytes"),
    "accumulator.bits": ("accumulators", "bits"),
    "vector.bits": ("vector buffer", "bits"),
}
"""Actions that reach a memory, the memory, and what they count."""


@dataclass(frozen=True)
class Row:
    """One line of an explanation: ``count x each = total``.

    Attributes
    ----------
    figure : str
        What the totals add up to: ``cycles``, ``energy``, ``stall``, or a memory's name.
    item : str
        Opcode and shape, part and action, cause, or part.
    count : int
    each, total : int or float
    unit : str
        Of `total`: ``cycles``, ``pJ``, ``bytes`` or ``bits``.
    formula, rule : str
        How `each` comes about: with numbers, and in symbols.
    source, status : str
        Where its figures come from, and whether they are cited, derived or chosen.
    """

    figure: str
    item: str
    count: int
    each: float
    total: float
    unit: str
    formula: str = ""
    rule: str = ""
    source: str = ""
    status: str = ""


@dataclass(frozen=True)
class Explanation:
    """One layer: its figures in the report, and the rows that give them."""

    layer: Layer
    rows: tuple[Row, ...]

    def of(self, figure: str) -> tuple[Row, ...]:
        """The rows of one figure."""
        return tuple(row for row in self.rows if row.figure == figure)

    @property
    def cycles(self) -> int:
        """The sum of the rows of cycles: the layer's."""
        return int(sum(row.total for row in self.of("cycles")))

    @property
    def energy_pj(self) -> float:
        """The exactly rounded sum of the rows of energy: the layer's."""
        return math.fsum(row.total for row in self.of("energy"))


def explain_layer(data: ReportData, trace: Trace, name: str) -> Explanation:
    """Explain the figures of one layer.

    Parameters
    ----------
    data : ReportData
    trace : Trace
        What the report was made from.
    name : str
        A layer.

    Returns
    -------
    Explanation

    Raises
    ------
    BlocksimError
        If there is no such layer, or the trace does not give the report's figures.
    """
    layers = {layer.name: layer for layer in data.layers}
    if name not in layers:
        raise BlocksimError("explain", "layer", name, f"no such layer; {nearest(name, list(layers))}")
    operators = [op.name for op in trace.manifest.operators]
    if operators != list(layers):
        raise BlocksimError("explain", "trace", trace.manifest.model, "not the report's trace; run it again")
    model, index = CostModel(trace.manifest), operators.index(name)
    records = trace.program[trace.program["op_id"] == index]
    rows = [
        *_cycle_rows(model, trace.manifest.operators[index], records),
        *_stall_rows(layers[name]),
        *_energy_and_bytes(data, model, records),
    ]
    explained = Explanation(layers[name], tuple(rows))
    if explained.cycles != layers[name].cycles or explained.energy_pj != layers[name].energy_pj:
        raise BlocksimError("explain", "trace", name, "gives other figures than the report; run it again")
    return explained


def shape_of(op: OpSpec, record: Any) -> str:
    """What an instruction works on, in words."""
    opcode, flags = Opcode(record["opcode"]), Flag(int(record["flags"]))
    if opcode in (Opcode.LOAD, Opcode.STORE):
        memory = (
            "weights"
            if flags & Flag.TO_WEIGHTS
            else "tables"
            if flags & Flag.TO_TABLES
            else "spilled sums"
            if flags & Flag.SPILL
            else "activations"
        )
        return f"{record['size']:,} bytes, {memory}"
    if opcode is Opcode.HOST:
        return "/".join(op.op_types)
    inner = f" x {op.k}" if opcode is Opcode.MATMUL else ""
    said = f"{record['rows']}{inner} x {record['columns']}"
    said += ", spilled" if flags & Flag.SPILL else ""
    return said + (", second form" if flags & Flag.COPY else "")


def _cycle_rows(model: CostModel, op: OpSpec, records: Iterable[Any]) -> list[Row]:
    """Instructions by opcode and shape; those whose segments differ stand apart."""
    counts: dict[tuple[str, str, str, int], int] = {}
    for record in records:
        formula = formula_of(model, record)
        item = f"{Opcode(record['opcode']).name} {shape_of(op, record)}"
        key = item, formula.rule, formula.text, formula.value
        counts[key] = counts.get(key, 0) + 1
    return [
        Row("cycles", item, n, value, n * value, "cycles", text, rule, "hwmodels.units, cycles of the unit")
        for (item, rule, text, value), n in counts.items()
    ]


def _stall_rows(layer: Layer) -> list[Row]:
    causes = type(layer.stalls).model_fields
    return [
        Row("stall", cause, 1, cycles, cycles, "cycles", "", causes[cause].description or "", "the schedule")
        for cause, cycles in layer.stalls.model_dump().items()
        if cycles
    ]


def _energy_and_bytes(data: ReportData, model: CostModel, records: Iterable[Any]) -> list[Row]:
    rows, reached = [], []
    for (part, action), count in sorted(by_part(spent_by(model, records)).items()):
        figure = data.actions[action]
        rows.append(
            Row(
                "energy", f"{part} {action}", count, figure.pj, count * figure.pj, "pJ",
                figure.formula, "count x pJ", figure.source, figure.status,
            )
        )  # fmt: skip
        if action in MEMORIES:
            memory, unit = MEMORIES[action]
            reached.append(Row(memory, part, 1, count, count, unit, source="the instructions' footprints"))
    return sorted(reached, key=lambda row: row.figure) + rows


@dataclass(frozen=True)
class UnitShare:
    """How one unit spends the cycles of a run: ``busy + waits + after = cycles``."""

    unit: str
    busy: int
    waits: dict[str, int]
    after: int


def unit_shares(data: ReportData) -> tuple[UnitShare, ...]:
    """Every unit's cycles, the busiest first: what the length of a run comes from."""
    shares = []
    for unit, use in data.units.items():
        waits = {cause: n for cause, n in use.stalls.items() if n}
        after = (data.cycles or 0) - use.busy - sum(waits.values())
        shares.append(UnitShare(unit, use.busy, waits, after))
    return tuple(sorted(shares, key=lambda share: -share.busy))


def busy_by_layer(trace: Trace, cycles: np.ndarray[Any, Any]) -> dict[str, int]:
    """Cycles of instructions added up by layer."""
    totals = np.zeros(len(trace.manifest.operators), np.int64)
    np.add.at(totals, trace.program["op_id"], cycles)
    return {op.name: int(n) for op, n in zip(trace.manifest.operators, totals, strict=True) if n}
