"""Plots: one message each, with title, units and legend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from blocksim.report import hardware
from blocksim.report.style import PALETTE, QUIET, UNIT_COLOURS, legend, new_figure, whole_numbers
from blocksim.report.style import measured as in_cycles
from blocksim.report.timeline import Drawing, draw_timeline

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from blocksim.measure.figures import Measurement
    from blocksim.report.report import Report

COMPONENTS = {
    "DRAM": "#3b6ea5",
    "weight SRAM": "#5aa6b2",
    "activation SRAM": "#4f9d69",
    "accumulators": "#7a68ae",
    "vector buffer": "#b5507a",
    "array": "#e0882f",
    "requantizer": "#a65e3a",
    "softmax": "#4a7a94",
    "norm": "#9bc53d",
    "lut": "#e4a5c0",
    "elementwise": "#6c757d",
    "dma": "#c8553d",
    "static": "#c2a83e",
}
"""Components of the energy, in the order of a bar, each in its own colour everywhere."""

MEMORY_PARTS = {
    "weight codes": "weight_bits",
    "exponents": "metadata_bits",
    "norm parameters": "norm_bits",
    "added constants": "embedding_bits",
    "tables": "table_bits",
}


class Plots:
    """Plots of one report; each returns a matplotlib figure, the timeline an SVG.

    Parameters
    ----------
    report : Report
    """

    def __init__(self, report: Report) -> None:
        self._report = report

    def error(self) -> Figure:
        """Signal to quantisation noise of every stored tensor, in the order of the model."""
        return error([self._report])

    def cycles(self) -> Figure:
        """Busy and stalled cycles of every unit."""
        return cycles(self._report)

    def energy(self) -> Figure:
        """Energy by component."""
        return energy([self._report])

    def memory(self) -> Figure:
        """Bits by part of the model."""
        return memory([self._report])

    def timeline(self, first: int = 0, last: int | None = None) -> Drawing:
        """When each unit works and waits, and what memories move, over some cycles of one sample.

        Parameters
        ----------
        first, last : int
            The first cycle that is shown, and the first one after; all of them unless told.

        Returns
        -------
        Drawing
            An SVG that a notebook shows; ``save(path)`` writes it.

        Raises
        ------
        BlocksimError
            If there are no such cycles, or the report has no trace or is fp32's.
        """
        return draw_timeline(*self._report.scheduled(), first, last)

    def roofline(self) -> Figure:
        """Operations per DRAM byte against TOPS, per product and for the whole run."""
        return hardware.roofline(self._report)

    def price(self) -> Figure:
        """The price of the block: its share of cycles, energy and transistors."""
        return hardware.price([self._report])

    def stalls(self) -> Figure:
        """What keeps the array from its full rate, by cause."""
        return hardware.stalls([self._report])

    def energy_parts(self) -> Figure:
        """Energy by what it is spent on."""
        return hardware.energy_parts([self._report])

    def shifts(self) -> Figure:
        """How far terms are shifted to be aligned, per product."""
        return hardware.shifts(self._report)

    def accumulators(self) -> Figure:
        """How many bits the final sums use, per product."""
        return hardware.accumulators(self._report)


def error(reports: Sequence[Measurement]) -> Figure:
    """Signal to quantisation noise per layer, one line per report."""
    figure, axes = new_figure(11, 4.4)
    measured = in_cycles(reports)
    for colour, report in zip(PALETTE * 3, measured, strict=False):
        layers = [layer for layer in report.data.layers if layer.sqnr_db is not None]
        values = [layer.sqnr_db for layer in layers]
        axes.plot(
            range(len(values)), values, marker="o", ms=3, lw=1.2, color=colour, label=report.data.precision
        )
    names = [layer.name for layer in measured[0].data.layers if layer.sqnr_db is not None] if measured else []
    step = max(1, len(names) // 30)
    axes.set_xticks(range(0, len(names), step), names[::step], rotation=60, ha="right", fontsize=7)
    axes.set_ylabel("SQNR [dB], higher is better")
    axes.set_title("Where the error comes in: every stored tensor, first to last", loc="left")
    if measured:
        legend(axes)
    return figure


def cycles(report: Measurement) -> Figure:
    """Busy and stalled cycles of every unit, stalls by the unit waited for."""
    figure, axes = new_figure(9, 3.6)
    data = report.data
    units = list(data.units)
    busy = np.array([data.units[u].busy for u in units])
    axes.barh(units, busy, color=[UNIT_COLOURS[u] for u in units])
    axes.bar(0, 0, color=QUIET, label="busy, each in its colour")
    left = busy.astype(float)
    for cause, colour in UNIT_COLOURS.items():
        waits = np.array([data.units[u].stalls.get(cause, 0) for u in units])
        if waits.any():
            axes.barh(
                units, waits, left=left, color=colour, alpha=0.55, hatch="//", label=f"waits for {cause}"
            )
            left += waits
    if data.cycles:
        axes.axvline(data.cycles, color=QUIET, lw=1, ls="--")
        axes.text(data.cycles, -0.75, f" {data.cycles:,} cycles", fontsize=8, ha="right")
    axes.invert_yaxis()
    whole_numbers(axes)
    axes.set_xlabel("cycles per sample")
    axes.set_title(f"What each unit does: {data.precision} on {data.machine}", loc="left")
    legend(axes)
    return figure


def energy(reports: Sequence[Measurement]) -> Figure:
    """Energy by component, one bar per report."""
    measured = in_cycles(reports)
    figure, axes = new_figure(9, max(2.9, 1.6 + 0.45 * len(measured)))
    components = [c for c in COMPONENTS if any(r.data.energy.get(c) for r in measured)]
    labels = [r.data.precision for r in measured]
    left = np.zeros(len(measured))
    for colour, component in ((COMPONENTS[c], c) for c in components):
        values = np.array([r.data.energy.get(component, 0.0) for r in measured]) / 1e6
        axes.barh(labels, values, left=left, color=colour, label=component)
        left += values
    axes.invert_yaxis()
    axes.margins(x=0.05)
    axes.set_xlabel("energy per sample [uJ]")
    costs = measured[0].data.costs if measured else ""
    axes.set_title(f"Where the energy goes ({costs})", loc="left")
    legend(axes)
    return figure


def memory(reports: Sequence[Measurement]) -> Figure:
    """Bits by part of the model, one bar per report, fp32 beside them."""
    measured = in_cycles(reports)
    figure, axes = new_figure(9, 2.0 + 0.45 * len(measured))
    labels = ["fp32 linear layers", *(r.data.precision for r in measured)]
    fp32 = measured[0].data.footprint.fp32_bits / 8192 if measured else 0.0
    axes.barh(labels[:1], [fp32], color="#b5b5b5", label="fp32")
    left = np.zeros(len(measured))
    for colour, (name, key) in zip(PALETTE, MEMORY_PARTS.items(), strict=False):
        values = np.array([getattr(r.data.footprint, key) for r in measured]) / 8192
        axes.barh(labels[1:], values, left=left, color=colour, label=name)
        left += values
    for i, r in enumerate(measured):
        axes.text(left[i], i + 1, f"  {r.data.footprint.compression_ratio:.3f}x", va="center", fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("KiB")
    axes.set_title("What the model takes; the ratio is that of its linear layers", loc="left")
    legend(axes)
    return figure


def tradeoff(reports: Sequence[Measurement]) -> Figure:
    """The price of a small block: error against cycles, a point per report."""
    figure, axes = new_figure(9, 4.2)
    looks = [(colour, marker) for marker in "osD^v" for colour in PALETTE]
    for (colour, marker), report in zip(looks, in_cycles(reports), strict=False):
        data = report.data
        first = next(iter(data.outputs.values()))
        axes.scatter([data.cycles], [first.sqnr_db], s=60, color=colour, marker=marker, label=data.precision)
    legend(axes)
    axes.margins(0.18)
    whole_numbers(axes)
    axes.set_xlabel("cycles per sample, lower is better")
    axes.set_ylabel("SQNR of the output [dB], higher is better")
    axes.set_title("What a block size buys, and what it costs", loc="left")
    return figure
