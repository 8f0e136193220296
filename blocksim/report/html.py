"""The HTML page: one file that needs nothing else."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from blocksim.report import hardware, plots, table
from blocksim.report.timeline import draw_timeline

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from blocksim.measure.figures import Measurement, ReportData

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
    columns = table.shown_columns(reports)
    data = reports[0].data
    return environment.get_template(TEMPLATE.name).render(
        title=title or f"{data.model} on {data.machine}",
        data=data,
        columns=columns,
        explain=table.COLUMNS,
        rows=[[row[c] for c in columns] for row in table.texts(reports)],
        figures=[(name, caption, _svg(figure)) for name, caption, figure in _figures(measured)],
        timeline=_timeline(detail),
        folded=[(name, _svg(figure)) for name, figure in _folded(measured)],
        detail=detail.data if detail else None,
        lost=_lost(detail.data) if detail else "",
        transistors=sum(a.transistors for a in detail.data.area.values()) if detail else 0,
    )


def _lost(data: ReportData) -> str:
    """Stalls by cause in words."""
    causes = data.stall.model_dump() if data.stall else {}
    said = (f"{cause.replace('_', ' ')} {n:,}" for cause, n in causes.items() if n)
    return ", ".join(said) or "nothing"


def _figures(measured: Sequence[Measurement]) -> list[tuple[str, str, Figure]]:
    """What the page shows: a heading, what to read from it, and the plot."""
    if not measured:
        return []
    first = measured[0]
    few = f"first {first.data.layer_samples} samples"
    shown = [
        (
            "The price of the block",
            "What is there only because tensors have blocks: the aligners' waiting, the requantizer (most of "
            "its cycles run beside other units), and the traffic of exponents.",
            hardware.price(measured),
        ),
        (
            f"Error per layer, {few}",
            "Every stored tensor against fp32, first to last. A step down is where the error comes in.",
            plots.error(measured),
        ),
        (
            "Stalls by cause",
            "The first part is what the products would take if every element always multiplied; the rest "
            "has causes. Elements idle in tiles smaller than the array, and behind a weight load.",
            hardware.stalls(measured),
        ),
        (
            f"Cycles by unit, {first.data.precision}",
            "Units work beside each other. The one with the most busy cycles limits the run.",
            plots.cycles(first),
        ),
        (
            f"Roofline, {first.data.precision}",
            "A product under the slope waits for DRAM, one under the flat roof for multipliers. Weights "
            "loaded ahead of time may lift a product above the slope.",
            hardware.roofline(first),
        ),
        ("Energy by component", "Which unit or memory takes it.", plots.energy(measured)),
        (
            "Energy by part",
            "What it is spent on, wherever that happens: exponents are bytes in every memory.",
            hardware.energy_parts(measured),
        ),
        ("Memory by part", "Packed bits of the constants, padding left out.", plots.memory(measured)),
        (
            f"Alignment shifts, {first.data.precision}",
            "How far the sum of a segment is shifted to meet the accumulator's exponent: the stages that a "
            "shifter needs.",
            hardware.shifts(first),
        ),
        (
            f"Accumulator bits in use, {first.data.precision}",
            "Bit lengths of the final sums, guard bits included: the width that an accumulator needs.",
            hardware.accumulators(first),
        ),
    ]
    if len(measured) > 1:
        said = "Up and to the left is better."
        shown.insert(0, ("Accuracy against cycles", said, plots.tradeoff(measured)))
    return shown


def _folded(measured: Sequence[Measurement]) -> list[tuple[str, Figure]]:
    """Plots of the other runs, which the page shows when asked."""
    return [(f"Cycles by unit, {r.data.precision}", plots.cycles(r)) for r in measured[1:]]


def _svg(figure: Figure) -> str:
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    for patch in (figure.patch, *(axes.patch for axes in figure.axes)):
        patch.set_facecolor("none")
        patch.set_edgecolor("none")
    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "blocksim"}):
        # unlike `savefig` it draws once
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})
    text = buffer.getvalue()
    inked = re.sub(r"(fill|stroke): #000000", r"\1: var(--ink)", text[text.index("<svg") :])
    return inked.replace('<text style="', '<text style="fill: var(--ink); ')


CELL = "padding:.15rem .8rem .15rem 0;text-align:left;border:0;background:none;color:inherit"


def card(report: Measurement) -> str:
    """A report for a notebook: its row of the table and its key figures, on light and on dark."""
    shown = table.shown_columns([report])
    (row,) = table.texts([report])
    head = "".join(f'<th style="{CELL};opacity:.7;font-weight:500">{escape(name)}</th>' for name in shown)
    body = "".join(f'<td style="{CELL};font-weight:600">{escape(row[name])}</td>' for name in shown)
    lines = "".join(
        f'<tr><td style="{CELL};opacity:.7">{escape(name)}</td><td style="{CELL}">{escape(value)}</td></tr>'
        for name, value in key_figures(report.data)
    )
    return (
        '<div style="color:inherit;font-variant-numeric:tabular-nums;overflow-x:auto">'
        f"<b>{escape(report.data.model)}</b> on <b>{escape(report.data.machine)}</b>, "
        f"{report.data.samples:,} samples"
        f'<table style="border-collapse:collapse;margin:.4rem 0;color:inherit"><thead><tr>{head}</tr></thead>'
        f"<tbody><tr>{body}</tr></tbody></table>"
        f'<table style="border-collapse:collapse;margin:0;color:inherit"><tbody>{lines}</tbody></table></div>'
    )


def key_figures(data: ReportData) -> list[tuple[str, str]]:
    """What an architect looks at first, in words."""
    if data.tops is None or data.energy_pj is None or data.cycles is None:
        return [("reference", "fp32 through onnxruntime: values and no cycles")]
    price = data.price_of_the_block
    share = sum(p.pj for p in price.values()) / data.energy_pj
    lower = max(data.dram_lower_bound_bytes or 0, 1)
    return [
        ("rate", f"{data.tops:.3g} of {data.peak_tops:.3g} TOPS, {data.tops_per_watt:.3g} TOPS/W"),
        ("array", f"busy {data.array_cycles:,} of {data.cycles:,} cycles"),
        ("lost, all units together", _lost(data)),
        ("price of the block", f"{price['align'].cycles:,} cycles of aligners, {share:.1%} of the energy"),
        ("DRAM", f"{data.dram_bytes:,} bytes, {data.dram_bytes / lower:.3g} times the fewest possible"),
        ("exponents", f"{data.metadata_traffic_share['dram']:.2%} of DRAM traffic"),
        ("on the host", ", ".join(data.coverage.host_ops) or "nothing"),
        ("follow it", 'report.layers, report.explain("..."), report.plot.price()'),
    ]


def _timeline(detail: Measurement | None) -> str:
    """The drawing of a run that has been scheduled."""
    if detail is None or detail.trace is None or detail.timeline is None:
        return ""
    return draw_timeline(detail.trace, detail.timeline).svg
