"""How plots look: palette, figure, legend; nothing that only reads on white."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

if TYPE_CHECKING:
    from blocksim.measure.figures import Measurement

PALETTE = [
    "#3b6ea5", "#e0882f", "#4f9d69", "#b5507a", "#7a68ae", "#c2a83e", "#5aa6b2",
    "#8a8a8a", "#a65e3a", "#4a7a94", "#9bc53d", "#e4a5c0", "#6c757d", "#c8553d",
]  # fmt: skip
"""Colours with enough contrast on white and on black."""

UNIT_COLOURS = {
    "dma": "#3b6ea5",
    "array": "#4f9d69",
    "requantizer": "#b5507a",
    "softmax": "#7a68ae",
    "norm": "#c2a83e",
    "lut": "#5aa6b2",
    "elementwise": "#a65e3a",
    "host": "#8a8a8a",
    "port": "#e0882f",
}
"""Units, each in its own colour everywhere; and the port of a bank, for which a unit may wait too."""

MEMORIES = {"dram": "DRAM", "weights": "weight SRAM", "activations": "activation SRAM"}
"""Memories whose traffic is shown, and what they are called."""

QUIET = "#8a8a8a"
"""Lines that explain: roofs, limits, ranges."""


class Plot(Figure):
    """A figure that a notebook shows, whatever its matplotlib backend."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=110)
        return buffer.getvalue()


def new_figure(width: float, height: float, panels: int = 1) -> tuple[Figure, Any]:
    """A figure of some inches, and its axes (an array of them where there are several)."""
    figure = Plot(figsize=(width, height), layout="constrained")
    axes = figure.subplots(1, panels, sharey=panels > 1)
    for one in [axes] if panels == 1 else axes:
        tidy(one)
    return figure, axes


def tidy(axes: Any) -> None:
    """No frame at the top and the right, and a quiet grid below what is drawn."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3, linewidth=0.6)
    axes.set_axisbelow(True)


def legend(axes: Any) -> None:
    """A legend beside the axes, where it covers nothing."""
    axes.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))


def whole_numbers(axes: Any) -> None:
    """Cycles in full along the x axis, never as multiples of a power of ten."""
    axes.xaxis.set_major_formatter(lambda value, _position: f"{value:,.0f}")


def measured(reports: Sequence[Measurement]) -> list[Measurement]:
    """The reports that have cycles."""
    return [r for r in reports if r.data.cycles is not None]
