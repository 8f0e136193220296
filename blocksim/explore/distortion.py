"""Distortion: what a format does to the weights of linear layers, before anything is computed."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from blocksim.compiler.precision import Precision
from blocksim.graph import Graph
from hwmodels.formats import Format


class Stored(NamedTuple):
    """A weight in a format: squares of its values and of its errors, added up, and all its bits."""

    signal: float
    noise: float
    bits: int

    @property
    def relative(self) -> float:
        """Error over signal."""
        return self.noise / self.signal if self.signal else 0.0

    @property
    def sqnr_db(self) -> float | None:
        """Signal over error; None where nothing is lost, or nothing is there."""
        return 10 * math.log10(self.signal / self.noise) if self.signal and self.noise else None


@dataclass(frozen=True)
class Weights:
    """The weights of a graph's linear layers, and what formats do to them: worked out once for each.

    Attributes
    ----------
    graph : Graph
    """

    graph: Graph
    _known: dict[tuple[str, str], Stored] = field(default_factory=dict, repr=False)

    @property
    def names(self) -> list[str]:
        """Every weight once, in the order of the graph."""
        return list(dict.fromkeys(op.weight for op in self.graph.matmuls() if op.weight))

    def stored(self, name: str, form: Format) -> Stored:
        """A weight in a format."""
        key = name, form.name
        if key not in self._known:
            weight = self.graph.constant(name)
            encoded = form.encode(weight)
            error = encoded.decode().astype(np.float64) - weight
            self._known[key] = Stored(
                float(np.square(weight, dtype=np.float64).sum()), float(np.square(error).sum()),
                encoded.payload_bits + encoded.metadata_bits,
            )  # fmt: skip
        return self._known[key]

    def sqnr_db(self, plan: Precision) -> float | None:
        """Signal over error of all weights under a plan; None where nothing is lost, or nothing is there."""
        found = [self.stored(name, plan.of("weight", name)) for name in self.names]
        signal, noise = math.fsum(s.signal for s in found), math.fsum(s.noise for s in found)
        return Stored(signal, noise, 0).sqnr_db
