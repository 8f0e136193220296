"""MiniLM's table: what each configuration is worth, and what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blocksim.engine.schedule import schedule
from blocksim.measure.energy import measure_energy
from blocksim.measure.footprint import measure_footprint
from blocksim.measure.rates import area_of
from blocksim.report.progress import progress_bar
from blocksim.yamlfile import costs_for
from hwmodels.costs.area import logic

if TYPE_CHECKING:
    import pandas as pd

    from blocksim.trace import Trace
    from blocksim.zoo.minilm import MiniLM, Scores

COLUMNS = {
    "cosine": "{:.4f}",
    "pearson": "{:.3f}",
    "spearman": "{:.3f}",
    "accuracy": "{:.1%}",
    "compression": "{:.3f}x",
    "linear_mib": "{:.2f}",
    "cycles": "{:,.0f}",
    "energy_uj": "{:,.0f}",
}
"""The columns and how the table shows them; cycles, energy and footprint are of 128 tokens."""


def evaluate_minilm(
    model: MiniLM,
    configurations: Sequence[tuple[str, str | None]],
    machine: str | Path,
    progress: bool = False,
) -> pd.DataFrame:
    """Score and cost several configurations; the first row is fp32.

    Parameters
    ----------
    model : MiniLM
    configurations : sequence of (plan, block)
    machine : str or path
    progress : bool
        Show progress bars.

    Returns
    -------
    DataFrame
        A row each; columns as of `COLUMNS`, energy in uJ, footprint of the linear layers in MiB.
    """
    import pandas as pd

    total = len(model.test_tokens) + len(model.lee_tokens)
    with progress_bar("fp32", total, progress) as told:
        rows: list[dict[str, Any]] = [{"configuration": "fp32", **_worth(model.scores_fp32(told))}]
    for plan, block in configurations:
        configured = model.configure(plan, block, machine)
        with progress_bar(configured.plan.name, configured.texts, progress) as told:
            worth = _worth(configured.scores(told))
        rows.append({"configuration": configured.plan.name, **worth, **price(configured.trace())})
    return pd.DataFrame(rows)


def _worth(scores: Scores) -> dict[str, float]:
    return dict(vars(scores))


def price(trace: Trace) -> dict[str, float]:
    """Cycles, energy and footprint of one sample of a trace, and the logic of a machine for its formats.

    Parameters
    ----------
    trace : Trace
        Its machine's own energy table is used.

    Returns
    -------
    dict of str to float
        ``compression``, ``linear_mib``, ``cycles``, ``energy_uj``, and ``logic_mtr``, million transistors
        without memories.
    """
    machine = trace.manifest.machine
    cycles = schedule(trace).cycles
    energy = measure_energy(trace, costs_for(machine, None), cycles)
    footprint = measure_footprint(trace)
    bits = footprint.weight_bits + footprint.metadata_bits
    return {
        "compression": footprint.compression_ratio,
        "linear_mib": bits / 8 / 2**20,
        "cycles": cycles,
        "energy_uj": energy.total / 1e6,
        "logic_mtr": logic(area_of(trace)) / 1e6,
    }


def scores_table(frame: pd.DataFrame) -> str:
    """The table as Markdown."""
    head = ["configuration", *COLUMNS]
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * len(COLUMNS)]
    for row in frame.to_dict("records"):
        cells = [str(row["configuration"])]
        cells += ["-" if row[c] != row[c] else form.format(row[c]) for c, form in COLUMNS.items()]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
