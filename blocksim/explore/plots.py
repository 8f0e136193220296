"""Plots of many configurations: what accuracy costs in memory, energy and cycles."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from blocksim.explore.columns import BY_NAME
from blocksim.explore.front import front
from blocksim.output import replace_whole
from blocksim.report.style import PALETTE, QUIET, Plot, tidy

if TYPE_CHECKING:
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


Curve = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Bits of a weight, and the best signal to error that there could be, in dB: see `explore.bound`."""


def draw_fronts(
    frame: pd.DataFrame, title: str, error: str = "sqnr_db", bound: Curve | None = None
) -> Figure:
    """A panel for each cost: every configuration, and the front of those that no other beats.

    Up to six of each front have a letter, and are named below.

    Parameters
    ----------
    frame : DataFrame
        A sweep's table.
    title : str
    error : str
        The column that says how good the outputs are.
    bound : (array, array), optional
        Of the weights, which have a panel then.
    """
    fronts = {cost: front(frame.dropna(subset=[cost, error]), (error, cost)) for cost in COSTS}
    ends = pd.concat([spread(best, [cost, error]) for cost, best in fronts.items()])
    named = ends.drop_duplicates("config_id").sort_values(error, ascending=False)
    letters = dict(zip(named["config_id"], letters_of(len(named)), strict=True))
    figure = Plot(figsize=(14 + 4 * (bound is not None), 5 + 0.2 * len(named)), layout="constrained")
    plots, key = np.asarray(figure.subfigures(2, 1, height_ratios=[5, 0.2 * len(named) + 0.1]))
    axes = plots.subplots(1, len(COSTS) + (bound is not None))
    for ax, (cost, best) in zip(axes, fronts.items(), strict=False):
        tidy(ax)
        draw_front(ax, frame, best, cost, error, letters)
    for ax in axes[1 : len(COSTS)]:
        ax.sharey(axes[0])
        ax.tick_params(labelleft=False)
    if bound is not None:
        draw_bound(axes[-1], frame, bound)
    axes[0].set_ylabel(NAMES.get(error, error))
    axes[0].legend(fontsize=8, frameon=False, loc="lower right")
    plots.suptitle(title, x=0.01, ha="left", fontweight="bold")
    lines = [f"{letters[i]}  {label}" for i, label in zip(named["config_id"], named["label"], strict=True)]
    key.text(0.02, 0.98, "\n".join(lines), va="top", fontsize=8, linespacing=1.4)
    return figure


def draw_front(
    ax: Any, frame: pd.DataFrame, best: pd.DataFrame, cost: str, error: str, letters: Mapping[str, str]
) -> None:
    """One panel; configurations that have a letter show it."""
    scale = SCALES.get(cost, 1.0)
    ax.plot(frame[cost] / scale, frame[error], "o", color=QUIET, markersize=3, label="configuration")
    ax.plot(
        best[cost] / scale, best[error], "o-", color=PALETTE[1], drawstyle="steps-post", markersize=5,
        label="front: no other is better in both",
    )  # fmt: skip
    places = best[best["config_id"].isin(letters)].drop_duplicates([cost, error])
    for i, x, y in zip(places["config_id"], places[cost] / scale, places[error], strict=True):
        ax.annotate(letters[i], (x, y), (-4, 4), textcoords="offset points", fontsize=9, ha="right")
    ax.set_xlabel(NAMES.get(cost, f"{cost}, {BY_NAME[cost].unit}"))


def draw_bound(ax: Any, frame: pd.DataFrame, bound: Curve) -> None:
    """Weights as stored, and the bound for values with their statistics."""
    tidy(ax)
    bits = 32 / frame["density"]
    ax.plot(bits, frame["weight_sqnr_db"], "o", color=QUIET, markersize=3, label="configuration")
    shown = bound[0] <= bits.max() * 1.1
    ax.plot(bound[0][shown], bound[1][shown], color=PALETTE[0], label="Shannon's bound, scales for nothing")
    ax.set_xlabel("bits of a linear weight, exponents included")
    ax.set_ylabel("SQNR of the weights, dB")
    ax.legend(fontsize=8, frameon=False, loc="lower right")


def spread(best: pd.DataFrame, shown: list[str]) -> pd.DataFrame:
    """Up to `NAMED` rows of a front, from one end to the other; of several at one place the first."""
    own = best.drop_duplicates(shown)
    return own.iloc[np.unique(np.linspace(0, len(own) - 1, min(len(own), NAMED)).astype(int))]


def letters_of(count: int) -> list[str]:
    """A to Z, then AA and so on."""
    return [chr(65 + i % 26) * (i // 26 + 1) for i in range(count)]


def save_fronts(
    frame: pd.DataFrame, path: Path, title: str, error: str = "sqnr_db", bound: Curve | None = None
) -> None:
    """Draw the fronts into a file, whole or not at all."""
    buffer = io.BytesIO()
    draw_fronts(frame, title, error, bound).savefig(buffer, dpi=130, format="png")
    replace_whole(path, buffer.getvalue())
