"""Formats that follow each weight's own distortion: more bits, or smaller blocks, where values vary more.

A weight whose values spread widely within a block loses more in a large one. For a price of a bit, each
weight takes the choice with the least sum of its relative error and what its bits cost; from a high price to
none, that gives allocations from the smallest to the most exact, each the best of its size for the sum of the
relative errors of all weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from blocksim.explore.distortion import Weights
from blocksim.explore.settings import Value
from hwmodels.formats import parse

PREFIX = "tensors."


def allocations(
    weights: Weights, choices: Mapping[str, Sequence[Value]], count: int
) -> Iterator[dict[str, Value]]:
    """Up to `count` different allocations of the choices of weights, from small to exact.

    Settings that are no weight's are left to whoever chooses them.
    """
    names = [name for name in choices if name.removeprefix(PREFIX) in weights.names]
    if not names:
        return
    bits, errors = {}, {}
    for name in names:
        weight = name.removeprefix(PREFIX)
        stored = [weights.stored(weight, parse(str(text))) for text in choices[name]]
        errors[name] = np.array([s.relative for s in stored])
        bits[name] = np.array([s.bits for s in stored], np.float64)
    prices = np.geomspace(1e-12, 1e3, 400) / max(float(b.max()) for b in bits.values())
    found: dict[tuple[int, ...], None] = {}
    for price in prices[::-1]:
        found[tuple(int((errors[n] + price * bits[n]).argmin()) for n in names)] = None
    every = list(found)
    for k in np.unique(np.linspace(0, len(every) - 1, min(count, len(every))).round().astype(int)):
        yield {name: choices[name][i] for name, i in zip(names, every[k], strict=True)}
