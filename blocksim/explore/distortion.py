"""Distortion: what a format does to the weights of linear layers, before anything is computed."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from blocksim.compiler.precision import Precision
from blocksim.graph import Graph
from hwmodels.formats import Format


@dataclass(frozen=True)
class Weights:
    """The weights of a graph's linear layers, and what formats do to them: worked out once for each.

    Attributes
    ----------
    graph : Graph
    """

    graph: Graph
    _known: dict[tuple[str, str], tuple[float, float]] = field(default_factory=dict, repr=False)

    @property
    def names(self) -> list[str]:
        """Every weight once, in the order of the graph."""
        return list(dict.fromkeys(op.weight for op in self.graph.matmuls() if op.weight))

    def sqnr_db(self, plan: Precision) -> float | None:
        """Signal over error of all weights under a plan; None where nothing is lost, or nothing is there."""
        signal = noise = 0.0
        for name in self.names:
            own = self.power(name, plan.of("weight", name))
            signal, noise = signal + own[0], noise + own[1]
        return 10 * math.log10(signal / noise) if signal and noise else None

    def power(self, name: str, form: Format) -> tuple[float, float]:
        """Squares of a weight and of its error in a format, added up."""
        key = name, form.name
        if key not in self._known:
            weight = self.graph.constant(name)
            error = form.encode(weight).decode().astype(np.float64) - weight
            self._known[key] = (
                float(np.square(weight, dtype=np.float64).sum()), float(np.square(error).sum())
            )  # fmt: skip
        return self._known[key]
