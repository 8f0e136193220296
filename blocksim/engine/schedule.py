"""The schedule: when each instruction starts and ends. Cycles do not depend on data.

An instruction starts when its unit is free and every ticket that it waits for was retired. What keeps a
free unit waiting is noted with the unit that retired the last of those tickets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from blocksim.engine.cost import CostModel
from blocksim.trace.file import Trace
from blocksim.trace.isa import Unit
from hwmodels.kernels.jit import kernel

Cycles = NDArray[np.int64]

PARTS = ("aligner", "weight_load", "fill")
"""Cycles inside MATMUL that move no operand at full rate."""


@dataclass(frozen=True)
class Timeline:
    """When every instruction ran.

    Attributes
    ----------
    start, end : int64, shape (instructions,)
        First cycle, and first cycle after; its unit is taken from start to end.
    stall : int64, shape (instructions,)
        Cycles that its unit was free and waited for this instruction's tickets.
    cause : int64, shape (instructions,)
        The unit that it waited for; -1 where it did not wait.
    parts : int64, shape (instructions, 3)
        Of the cycles, those of `PARTS`.
    cycles : int
        From the first cycle to the last result.
    """

    start: Cycles
    end: Cycles
    stall: Cycles
    cause: Cycles
    parts: Cycles
    cycles: int


def schedule(trace: Trace) -> Timeline:
    """Schedule a trace.

    Parameters
    ----------
    trace : Trace

    Returns
    -------
    Timeline
    """
    model = CostModel(trace.manifest)
    costs = [model.busy(record) for record in trace.program.tolist()]
    busy = np.array([(c.cycles, c.latency, c.aligner, c.weight_load, c.fill) for c in costs], np.int64)
    busy = busy.reshape(-1, 5)
    n = len(busy)
    start, end, stall, cause = (np.zeros(n, np.int64) for _ in range(4))
    units = trace.program["unit"].astype(np.int64)
    waits = np.ascontiguousarray(trace.program["wait"], np.int64)
    last = _run(units, waits, busy[:, 0].copy(), busy[:, 1].copy(), start, end, stall, cause)
    return Timeline(start, end, stall, cause, busy[:, 2:], int(last))


@kernel
def _run(
    units: Cycles,
    waits: Cycles,
    busy: Cycles,
    latency: Cycles,
    start: Cycles,
    end: Cycles,
    stall: Cycles,
    cause: Cycles,
) -> int:
    """Fill the timeline; returns the cycle of the last result."""
    n_units = waits.shape[1]
    done = np.zeros((n_units, units.shape[0] + 1), np.int64)  # by unit and ticket
    retired = np.zeros(n_units, np.int64)
    free = np.zeros(n_units, np.int64)
    last = 0
    for i in range(units.shape[0]):
        u = units[i]
        ready, who = 0, -1
        for v in range(n_units):
            if waits[i, v] > 0 and done[v, waits[i, v]] > ready:
                ready, who = done[v, waits[i, v]], v
        begin = max(ready, free[u])
        start[i], end[i] = begin, begin + busy[i]
        stall[i] = begin - free[u]
        cause[i] = who if begin > free[u] else -1
        free[u] = end[i]
        retired[u] += 1
        done[u, retired[u]] = max(end[i] + latency[i], done[u, retired[u] - 1])
        last = max(last, end[i] + latency[i])
    return last


def stalls_by_cause(trace: Trace, timeline: Timeline) -> dict[str, dict[str, int]]:
    """Cycles that each unit waited, by the unit that it waited for."""
    table: dict[str, dict[str, int]] = {}
    for unit in Unit:
        mine = trace.program["unit"] == unit
        table[unit.name.lower()] = {
            other.name.lower(): int(timeline.stall[mine & (timeline.cause == other)].sum()) for other in Unit
        }
    return table
