"""The HTML page: one file that needs nothing else."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from blocksim.report import plots, table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from blocksim.measure.figures import Measurement

TEMPLATE = Path(__file__).parent / "page.html.j2"


def page(reports: Sequence[Measurement], title: str | None = None) -> str:
    """One page about one run or several of the same model.

    Parameters
    ----------
    reports : sequence of Measurement
        The first one that has cycles is shown in detail.
    title : str, optional

    Returns
    -------
    str
        HTML with its plots inside.
    """
    from jinja2 import Environment, FileSystemLoader

    environment = Environment(loader=FileSystemLoader(TEMPLATE.parent), autoescape=True, trim_blocks=True)
    measured = [r for r in reports if r.data.cycles is not None]
    detail = measured[0] if measured else None
    figures = []
    if len(measured) > 1:
        figures.append(("What a block size buys, and what it costs", plots.tradeoff(measured)))
    if detail is not None:
        figures += [
            (f"Error per layer, over the first {detail.data.layer_samples} samples", plots.error(measured)),
            *((f"Cycles by unit, {r.data.precision}", plots.cycles(r)) for r in measured),
            ("Energy by component", plots.energy(measured)),
            ("Memory by part", plots.memory(measured)),
        ]
        if detail.timeline is not None:
            figures.append(("Timeline", plots.timeline(detail)))
    columns = table.shown_columns(reports)
    data = reports[0].data
    return environment.get_template(TEMPLATE.name).render(
        title=title or f"{data.model} on {data.machine}",
        data=data,
        columns=columns,
        explain=table.COLUMNS,
        rows=[[row[c] for c in columns] for row in table.texts(reports)],
        figures=[(name, _svg(figure)) for name, figure in figures],
        detail=detail.data if detail else None,
    )


def _svg(figure: Figure) -> str:
    import matplotlib as mpl

    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "blocksim"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
