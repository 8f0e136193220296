"""Plots of many configurations: what accuracy costs in memory, energy and cycles."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from blocksim.explore.columns import BY_NAME
from blocksim.explore.front import front
from blocksim.output import replace_whole
from blocksim.report.style import PALETTE, QUIET, new_figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

COSTS = ("weight_bits", "energy_pj", "cycles")
"""What is drawn against the error, a panel each."""

NAMES = {
    "sqnr_db": "output SQNR, dB", "cosine": "cosine to fp32", "accuracy": "accuracy",
    "weight_bits": "linear weights, Mbit", "energy_pj": "energy per sample, uJ",
    "cycles": "cycles per sample, 1,000",
}  # fmt: skip
NAMED = 6
"""Configurations of a front that are named, from one end to the other."""

SCALES = {"weight_bits": 1e6, "energy_pj": 1e6, "cycles": 1e3}


def draw_fronts(frame: pd.DataFrame, title: str, error: str = "sqnr_db") -> Figure:
    """A panel for each cost: every configuration, and the front of those that no other beats.

    Parameters
    ----------
    frame : DataFrame
        A sweep's table.
    title : str
    error : str
        The column that says how good the outputs are.
    """
    figure, axes = new_figure(14, 5, len(COSTS))
    for ax, cost in zip(axes, COSTS, strict=True):
        draw_front(ax, frame, cost, error)
    axes[0].set_ylabel(NAMES.get(error, error))
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
    return figure


def draw_front(ax: Any, frame: pd.DataFrame, cost: str, error: str) -> None:
    """One panel; of the front up to six configurations are named."""
    scale = SCALES.get(cost, 1.0)
    good = frame.dropna(subset=[cost, error])
    best = front(good, (error, cost))
    ax.plot(good[cost] / scale, good[error], "o", color=QUIET, markersize=3, label="configuration")
    ax.plot(
        best[cost] / scale, best[error], "o-", color=PALETTE[1], drawstyle="steps-post", markersize=5,
        label="front: no other is better in both",
    )  # fmt: skip
    shown = best.iloc[np.unique(np.linspace(0, len(best) - 1, min(len(best), NAMED)).astype(int))]
    for label, x, y in zip(shown["label"], shown[cost] / scale, shown[error], strict=True):
        ax.annotate(label, (x, y), (5, -10), textcoords="offset points", fontsize=7)
    ax.set_xlabel(NAMES.get(cost, f"{cost}, {BY_NAME[cost].unit}"))
    ax.legend(fontsize=8, frameon=False, loc="lower right")


def save_fronts(frame: pd.DataFrame, path: Path, title: str, error: str = "sqnr_db") -> None:
    """Draw the fronts into a file, whole or not at all."""
    buffer = io.BytesIO()
    draw_fronts(frame, title, error).savefig(buffer, dpi=130, format="png")
    replace_whole(path, buffer.getvalue())
