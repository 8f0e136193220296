"""Explanations as text and as a DataFrame: a layer, a figure, or the whole run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from blocksim.errors import BlocksimError
from blocksim.measure.derive import Derivation
from blocksim.measure.explain import Explanation, Row, unit_shares

if TYPE_CHECKING:
    import pandas as pd

    from blocksim.measure.figures import ReportData

SHOWN = 12
"""Inputs of one kind that are listed one by one."""


def frame(explanation: Explanation) -> pd.DataFrame:
    """The rows of an explanation, see `blocksim.measure.explain.Row` for the columns."""
    import pandas as pd

    return pd.DataFrame([asdict(row) for row in explanation.rows], columns=list(Row.__dataclass_fields__))


def layer_text(explanation: Explanation, costs: str) -> str:
    """A layer's cycles, bytes and picojoules, and what they add up to."""
    layer, sources = explanation.layer, _Sources()
    lines = [f"{layer.name}: {layer.kind}, {layer.format}, {layer.macs:,} multiply-accumulates", ""]
    cycles = explanation.of("cycles")
    lines += ["CYCLES by instruction"]
    lines += _table(
        [("instruction", "count", "each", "cycles", "formula")]
        + [(r.item, f"{r.count:,}", f"{r.each:,}", f"{r.total:,}", r.formula) for r in cycles]
        + [("total", f"{sum(r.count for r in cycles):,}", "", f"{explanation.cycles:,}", "")]
    )
    rules = dict.fromkeys((r.item.split()[0], r.rule) for r in cycles)
    lines += [f"  {opcode}: {rule}" for opcode, rule in rules]
    span = f"it computes from {layer.start:,} to {layer.end:,}"
    lines += [f"  of these on the array: {layer.array_cycles:,}; {span}"]
    stalls = explanation.of("stall")
    if stalls:
        lines += ["", "LOST by cause, cycles of its units"]
        lines += _table([(r.item, f"{r.total:,}", r.rule) for r in stalls], right=(1,))
    memories = [r for r in explanation.rows if r.unit in ("bytes", "bits")]
    lines += ["", "MEMORY by part"]
    lines += _table([(r.figure, r.item, f"{r.total:,} {r.unit}") for r in memories], right=(2,))
    energy = sorted(explanation.of("energy"), key=lambda r: -r.total)
    lines += ["", f"ENERGY by part and action ({costs}), static energy apart"]
    lines += _table(
        [("part", "action", "count", "x pJ", "= pJ", "pJ is", "", "")]
        + [
            (*r.item.split(" ", 1), f"{r.count:,}", f"{r.each:.6g}", f"{r.total:,.3f}", r.formula, r.status,
             sources.mark(r.source))
            for r in energy
        ]
        + [("total", "", "", "", f"{explanation.energy_pj:,.3f}", "", "", "")],
        right=(2, 3, 4),
    )  # fmt: skip
    return "\n".join([*lines, "", *sources.lines()])


def run_text(data: ReportData) -> str:
    """A run: its layers, and how the totals come about."""
    assert data.cycles is not None and data.energy_pj is not None
    lines = [f"{data.model} on {data.machine}, {data.precision}: one sample", ""]
    head = ("layer", "kind", "cycles", "array", "first", "last", "DRAM bytes", "energy pJ", "share")
    body = [
        (
            layer.name, layer.kind, f"{layer.cycles:,}", f"{layer.array_cycles:,}", f"{layer.start:,}",
            f"{layer.end:,}", f"{layer.dram_bytes:,}", f"{layer.energy_pj:,.1f}",
            f"{layer.energy_pj / data.energy_pj:.1%}",
        )
        for layer in data.layers
    ]  # fmt: skip
    static = data.energy.get("static", 0.0)
    tail = [
        ("clock and leakage", "", "", "", "", "", "", f"{static:,.1f}", f"{static / data.energy_pj:.1%}"),
        (
            "total", "", f"{sum(layer.cycles for layer in data.layers):,}", f"{data.array_cycles:,}", "",
            f"{max(layer.end for layer in data.layers):,}", f"{data.dram_bytes:,}",
            f"{data.energy_pj:,.1f}", "",
        ),
    ]  # fmt: skip
    lines += _table([head, *body, *tail], right=range(2, 9))
    lines += ["", f"CYCLES: {data.cycles:,} from the first to the last result; units work beside each other."]
    shares = unit_shares(data)
    lines += [f"The {shares[0].unit} is the critical resource, with the most busy cycles."]
    lines += _table(
        [("unit", "busy", "waits", "after its last", "= cycles", "waits for")]
        + [
            (s.unit, f"{s.busy:,}", f"{sum(s.waits.values()):,}", f"{s.after:,}", f"{data.cycles:,}",
             ", ".join(f"{cause} {n:,}" for cause, n in s.waits.items()))
            for s in shares
        ],
        right=(1, 2, 3, 4),
    )  # fmt: skip
    if data.stall is not None:
        lost = {cause: n for cause, n in data.stall.model_dump().items() if n}
        said = ", ".join(f"{cause} {n:,}" for cause, n in lost.items())
        lines += ["", f"LOST by cause, cycles of all units together: {said}"]
    lines += ["", "Follow a layer with: blocksim explain RUN LAYER; a figure with: --figure NAME"]
    return "\n".join(lines)


def figure_text(derivation: Derivation) -> str:
    """A figure's formula, its inputs and its source."""
    d = derivation
    lines = [f"{d.name} = {_number(d.value)}", f"  is      {d.meaning}" if d.meaning else ""]
    lines += [f"  formula {d.formula}"]
    for name, value in d.inputs.items():
        if isinstance(value, dict):
            lines += [f"  {name}: {len(value)}, together {_number(sum(value.values()))}"]
            largest = sorted(value.items(), key=lambda item: -abs(item[1]))
            lines += [f"    {label} = {_number(v)}" for label, v in largest[:SHOWN]]
            if len(value) > SHOWN:
                rest = sum(v for _, v in largest[SHOWN:])
                lines += [f"    and {len(value) - SHOWN} others = {_number(rest)}"]
        else:
            lines += [f"  {name} = {_number(value)}"]
    return "\n".join(line for line in [*lines, f"  source  {d.source}"] if line)


def refuse_fp32(data: ReportData, where: object) -> None:
    """Refuse to explain the reference.

    Raises
    ------
    BlocksimError
        If the report is fp32's.
    """
    if data.cycles is None:
        raise BlocksimError(where, "precision", "fp32", "the reference has values and no cycles to explain")


class _Sources:
    """Numbers the sources, so that a table names each once."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def mark(self, source: str) -> str:
        return f"[{self._numbers.setdefault(source, len(self._numbers) + 1)}]"

    def lines(self) -> list[str]:
        return [f"[{number}] {source}" for source, number in self._numbers.items()]


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.12g}"


def _table(rows: Iterable[Sequence[str]], right: Sequence[int] = (1, 2, 3)) -> list[str]:
    """Columns in line, two spaces in."""
    rows = [tuple(row) for row in rows]
    if not rows:
        return ["  none"]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  "
        + "  ".join(
            cell.rjust(w) if i in right else cell.ljust(w)
            for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
