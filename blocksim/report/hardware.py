"""Plots for an architect: roofline, price of the block, stalls, energy by part, shifts and sums."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from blocksim.report.style import PALETTE, QUIET, legend, measured, new_figure, whole_numbers

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from blocksim.measure.figures import Layer, Measurement, ReportData

PRICE_COLOURS = {
    "prescan": "#7a68ae",
    "align": "#e0882f",
    "requantize": "#3b6ea5",
    "exponents": "#4f9d69",
}
STALL_COLOURS = {
    "every element multiplies": "#4f9d69",
    "elements idle": "#8fb996",
    "filling and draining": "#9bc53d",
    "weight load": "#5aa6b2",
    "aligners": "#e0882f",
    "narrow port": "#c2a83e",
    "prescan": "#7a68ae",
    "waits for DRAM": "#3b6ea5",
    "waits for the requantizer": "#b5507a",
    "waits for a bank's port": "#a65e3a",
    "waits for another unit": "#c8553d",
    "after its last tile": "#8a8a8a",
}
PART_COLOURS = {
    "multiply": "#4f9d69",
    "accumulate": "#9bc53d",
    "dram": "#3b6ea5",
    "operands": "#5aa6b2",
    "wide": "#4a7a94",
    "spill": "#c8553d",
    "prescan": "#7a68ae",
    "align": "#e0882f",
    "requantize": "#b5507a",
    "exponents": "#c2a83e",
    "softmax": "#a65e3a",
    "norm": "#e4a5c0",
    "lut": "#8f7fc7",
    "elementwise": "#6c757d",
    "static": "#8a8a8a",
}
"""Parts of the energy, in the order of a bar."""

GAINS = ("gain_db", "gain_se_db")

LABELS = 7
"""Groups of products that the roofline names."""


def roofline(report: Measurement) -> Figure:
    """Operations per DRAM byte against TOPS: every product between its first and its last cycle."""
    figure, axes = new_figure(9, 4.8)
    data = report.data
    axes.set_xscale("log")
    axes.set_yscale("log")
    products = [layer for layer in data.layers if layer.kind == "matmul"]
    if data.tops is None or data.peak_tops is None or not products:
        return figure
    slope = data.machine_parameters["dram"]["bytes_per_cycle"] * data.clock_ghz / 1e3
    reading = [layer for layer in products if layer.dram_bytes]
    x = np.array([2 * layer.macs / layer.dram_bytes for layer in reading])
    y = np.array([_tops(layer, data) for layer in reading])
    whole = 2 * data.coverage.datapath_macs / max(data.dram_bytes, 1)
    resident = [layer for layer in products if not layer.dram_bytes]
    ridge = data.peak_tops / slope
    right = 4 * max([ridge, whole, *x])
    span = np.geomspace(min([ridge, whole, *x]) / 4, right, 200)
    axes.plot(
        span, np.minimum(span * slope, data.peak_tops), color=QUIET, lw=1.5,
        label=f"roofs: {1e3 * slope:g} GB/s of DRAM, {data.peak_tops:g} TOPS",
    )  # fmt: skip
    axes.scatter(x, y, s=26, color=PALETTE[0], alpha=0.8, label="a product")
    if resident:
        own = [_tops(layer, data) for layer in resident]
        axes.scatter(
            [right] * len(own), own, s=26, facecolors="none", edgecolors=PALETTE[1], marker="<",
            label="a product that moves no DRAM byte",
        )  # fmt: skip
    axes.scatter([whole], [data.tops], s=110, marker="*", color=PALETTE[3], label="the whole run", zorder=3)
    for (name, count), (px, py) in _groups(reading, x, y).items():
        said = name if count == 1 else f"{name} ({count})"
        axes.annotate(said, (px, py), xytext=(6, -9), textcoords="offset points", fontsize=7)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _position: f"{value:g}")
    axes.set_xlabel("operations per byte of DRAM traffic")
    axes.set_ylabel("TOPS")
    axes.set_title(f"Roofline: {data.precision} on {data.machine}", loc="left")
    legend(axes)
    return figure


def _tops(layer: Layer, data: ReportData) -> float:
    """Operations over the time from a layer's first computing instruction to its last."""
    return 2 * layer.macs * data.clock_ghz / max(layer.end - layer.start, 1) / 1e3


def _groups(
    layers: Sequence[Layer], x: np.ndarray[Any, Any], y: np.ndarray[Any, Any]
) -> dict[tuple[str, int], tuple[float, float]]:
    """The largest groups of products that differ in numbers only, and where one of them stands."""
    groups: dict[str, list[int]] = {}
    for i, layer in enumerate(layers):
        groups.setdefault(re.sub(r"\d+", "*", layer.name.rsplit(".", 2)[-1]), []).append(i)
    largest = sorted(groups.items(), key=lambda item: -sum(layers[i].macs for i in item[1]))[:LABELS]
    taken: list[tuple[float, float]] = []
    named = {}
    for name, members in largest:
        at = float(x[members[0]]), float(y[members[0]])
        if all(abs(np.log(at[0] / px)) + abs(np.log(at[1] / py)) > 0.12 for px, py in taken):
            taken.append(at)
            named[name, len(members)] = at
    return named


def price(reports: Sequence[Measurement]) -> Figure:
    """What is there only because tensors have blocks, as a share of the whole."""
    shown = measured(reports)
    figure, panels = new_figure(11, 1.7 + 0.4 * len(shown), 3)
    names = [r.data.precision for r in shown]
    wholes = {
        "cycles": [r.data.cycles or 1 for r in shown],
        "pj": [r.data.energy_pj or 1.0 for r in shown],
        "transistors": [sum(a.transistors for a in r.data.area.values()) or 1 for r in shown],
    }
    titles = {"cycles": "cycles of the run", "pj": "energy", "transistors": "transistors"}
    for axes, (what, whole) in zip(panels, wholes.items(), strict=True):
        left = np.zeros(len(shown))
        for part, colour in PRICE_COLOURS.items():
            parts = [getattr(r.data.price_of_the_block[part], what) for r in shown]
            values = 100 * np.array(parts) / np.array(whole)
            if what == "cycles" and part == "requantize":
                axes.barh(
                    names, values, left=left, color=colour, alpha=0.55, hatch="//", lw=0,
                    label="requantize (cycles: beside other units)",
                )  # fmt: skip
            else:
                said = None if part == "requantize" else part
                axes.barh(names, values, left=left, color=colour, label=said)
            left += values
        axes.margins(x=0.12)
        axes.locator_params(axis="x", nbins=5)
        axes.set_xlabel(f"% of {titles[what]}")
    panels[0].invert_yaxis()
    panels[0].set_title("What is there because of blocks, of the whole", loc="left")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, fontsize=8, frameon=False, loc="outside lower center", ncols=4)
    return figure


def array_shares(data: ReportData) -> dict[str, int]:
    """The cycles of a run as the array spends them; they add up to all of them.

    Were every element to multiply in every cycle, the products would take the first part. Elements idle
    while it streams: tiles smaller than the array, and what aligners cost behind a weight load.
    """
    use, parts = data.units["array"], data.array_parts
    waits = use.stalls
    others = sum(n for who, n in waits.items() if who not in ("dma", "requantizer", "port"))
    array = data.machine_parameters["array"]
    streams = use.busy - sum(parts.values())
    full = min(streams, data.coverage.datapath_macs // (array["rows"] * array["columns"]))
    return {
        "every element multiplies": full,
        "elements idle": streams - full,
        "filling and draining": parts["fill"],
        "weight load": parts["weight_load"],
        "aligners": parts["aligner"],
        "narrow port": parts["feed"],
        "prescan": parts["prescan"],
        "waits for DRAM": waits["dma"],
        "waits for the requantizer": waits["requantizer"],
        "waits for a bank's port": waits["port"],
        "waits for another unit": others,
        "after its last tile": (data.cycles or 0) - use.busy - sum(waits.values()),
    }


def stalls(reports: Sequence[Measurement]) -> Figure:
    """What keeps the array from its full rate: every cycle of a run has one cause."""
    shown = measured(reports)
    figure, axes = new_figure(9.5, 2.4 + 0.4 * len(shown))
    names = [r.data.precision for r in shown]
    shares = [array_shares(r.data) for r in shown]
    _stack(axes, names, {c: [s[c] for s in shares] for c in STALL_COLOURS}, STALL_COLOURS)
    whole_numbers(axes)
    axes.set_xlabel("cycles per sample")
    axes.set_title("What the array does with every cycle", loc="left")
    return figure


def energy_parts(reports: Sequence[Measurement]) -> Figure:
    """Energy by what it is spent on, one bar per report."""
    shown = measured(reports)
    figure, axes = new_figure(9.5, 2.6 + 0.4 * len(shown))
    names = [r.data.precision for r in shown]
    parts = {p: [r.data.energy_parts.get(p, 0.0) / 1e6 for r in shown] for p in PART_COLOURS}
    _stack(axes, names, parts, PART_COLOURS)
    axes.set_xlabel("energy per sample [uJ]")
    axes.set_title(f"What the energy is spent on ({shown[0].data.costs if shown else ''})", loc="left")
    return figure


def _stack(
    axes: Any, names: list[str], parts: Mapping[str, Sequence[float]], colours: Mapping[str, str]
) -> None:
    left = np.zeros(len(names))
    for part, values in parts.items():
        if any(values):
            height = 0.8 if len(names) > 1 else 0.5
            axes.barh(names, values, height, left=left, color=colours[part], label=part)
            left += np.array(values)
    axes.set_ylim(len(names) - 0.45, -0.55)
    axes.margins(x=0.03)
    legend(axes)


def shifts(report: Measurement) -> Figure:
    """How far terms are shifted to be aligned: how many stages a shifter needs."""
    data = report.data
    lane = data.machine_parameters["aligner"]
    rows = {name: h.shifts for name, h in data.histograms.items()}
    figure, axes = _ranges(rows)
    for name, h in data.histograms.items():
        every = sum(h.shifts.values()) + h.flushed
        if h.flushed:
            share = f"  {h.flushed / every:.1%} flushed"
            axes.text(1.0, name, share, transform=axes.get_yaxis_transform(), fontsize=7, va="center")
    reached = [shift for own in rows.values() for shift in own]
    said = f"{max(0, -min(reached))} right to {max(0, *reached)} left" if reached else "none"
    limits = f"at most {lane['max_shift']}, {lane['guard_bits']} guard bits"
    axes.set_xlabel(f"shift of a term, left positive; {limits}")
    axes.set_title(f"Alignment shifts, {_few(data)}: {said}", loc="left")
    return figure


def accumulators(report: Measurement) -> Figure:
    """How many bits the final sums use: how wide an accumulator must be."""
    data = report.data
    word = data.machine_parameters["accumulator"]["bits"]
    rows = {name: h.bits for name, h in data.histograms.items()}
    figure, axes = _ranges(rows)
    axes.axvline(word - 1, color=PALETTE[3], lw=1.2, ls="--", label=f"{word} bits, one of them the sign")
    legend(axes)
    widest = max((bits for own in rows.values() for bits in own), default=0)
    axes.set_xlabel("bits of the magnitude of a final sum")
    axes.set_title(f"Accumulator bits in use, {_few(data)}: up to {widest} and a sign", loc="left")
    return figure


def _few(data: ReportData) -> str:
    n = data.histogram_samples
    return f"{n} sample{'' if n == 1 else 's'}"


def _ranges(rows: Mapping[str, Mapping[int, int]]) -> tuple[Figure, Any]:
    """A line per product: from its least to its greatest, the middle 90% thick, the median marked."""
    figure, axes = new_figure(9.5, 1.8 + 0.17 * len(rows))
    names = [name for name, counts in rows.items() if counts]
    spans = np.array([_quantiles(rows[name]) for name in names]).reshape(-1, 5)
    axes.hlines(names, spans[:, 0], spans[:, 4], color=QUIET, lw=1.2, label="all")
    axes.hlines(names, spans[:, 1] - 0.2, spans[:, 3] + 0.2, color=PALETTE[0], lw=5, label="5% to 95%")
    axes.plot(spans[:, 2], names, "o", ms=4, color=PALETTE[1], label="median")
    axes.tick_params(axis="y", labelsize=7)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.invert_yaxis()
    axes.margins(y=0.02)
    legend(axes)
    return figure, axes


def _quantiles(counts: Mapping[int, int]) -> list[int]:
    """Least, 5%, median, 95% and greatest of counted values."""
    values = sorted(counts)
    below = np.cumsum([counts[v] for v in values])
    return [
        values[0],
        *(values[int(np.searchsorted(below, share * below[-1]))] for share in (0.05, 0.5, 0.95)),
        values[-1],
    ]


def mechanisms(frame: pd.DataFrame) -> Figure:
    """How much better the output gets with one mechanism exact, see `blocksim.measure.mechanism`.

    Emulations are hatched and say so: they are held against an emulation, and are no simulation.
    """
    figure, axes = new_figure(9, 3.4)
    shown: list[dict[str, Any]] = frame[frame["mechanism"] != "none"].to_dict("records")  # type: ignore[assignment]
    for row in shown:
        emulated = row["how"] == "emulation"
        gain, spread = (0.0 if math.isnan(v) else v for v in (float(row[k] or 0) for k in GAINS))
        axes.barh(
            f"{row['mechanism']} ({row['how']})", gain, color=PALETTE[1] if emulated else PALETTE[0],
            alpha=0.6 if emulated else 1.0, hatch="//" if emulated else None,
            xerr=2 * spread if spread else None, ecolor=QUIET, capsize=3,
        )  # fmt: skip
    axes.barh([""], [0], color=PALETTE[0], label="simulation: a finer machine")
    axes.barh([""], [0], color=PALETTE[1], alpha=0.6, hatch="//", label="emulation in float64, no simulation")
    axes.plot([], [], color=QUIET, marker="|", label="two standard errors")
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.set_xlabel("gain of the output's SQNR [dB] with this mechanism exact")
    axes.set_title("Error by mechanism", loc="left")
    legend(axes)
    return figure
