"""The schedule: when each instruction starts and ends. Cycles do not depend on data.

An instruction starts when its unit is free and every ticket that it waits for was retired. What keeps a
free unit waiting is noted with the unit that retired the last of those tickets.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from blocksim.engine.cost import CostModel
from blocksim.engine.footprints import Banks
from blocksim.trace.file import Trace
from blocksim.trace.isa import Unit
from hwmodels.kernels.jit import kernel

Cycles = NDArray[np.int64]

PARTS = ("aligner", "weight_load", "fill", "feed", "prescan")
"""Cycles inside MATMUL that move no operand at full rate."""


@dataclass(frozen=True)
class Timeline:
    """When every instruction ran.

    Attributes
    ----------
    start, end : int64, shape (instructions,)
        First cycle, and first cycle after; its unit is taken from start to end.
    stall : int64, shape (instructions,)
        Cycles that its unit was free and waited for this instruction's tickets, or for a port.
    cause : int64, shape (instructions,)
        The unit whose ticket came last; -1 where it did not wait.
    port : int64, shape (instructions,)
        Of the stall, the cycles after the last ticket: every port of a bank was held.
    parts : int64, shape (instructions, 5)
        Of the cycles, those of `PARTS`.
    cycles : int
        From the first cycle to the last result.
    """

    start: Cycles
    end: Cycles
    stall: Cycles
    cause: Cycles
    port: Cycles
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
    if trace not in _known:
        _known[trace] = _demands(trace)
    own = _known[trace]
    start, end, stall, cause, port = (np.zeros(len(own.units), np.int64) for _ in range(5))
    last = _run(
        own.units, own.waits, own.busy, own.latency, own.banks, own.ports, start, end, stall, cause, port
    )
    return Timeline(start, end, stall, cause, port, own.parts, int(last))


VALUES: dict[str, Any] = {
    "aligner": {"guard_bits", "max_shift", "rounding"}, "window": True, "accumulator": {"overflow"},
    "costs": True, "name": True,
}  # fmt: skip
"""Fields of a machine that change what is computed, and not when."""

NAMES: dict[str, Any] = {
    "blocksim": True, "model": True, "precision": True, "scales": True, "lost_constants": True,
    "constants": {"__all__": {"sha256", "scales"}}, "machine": VALUES,
}  # fmt: skip
"""What a manifest says that no cycle depends on."""


class Schedules:
    """The timelines of traces of one model: of those that differ in values alone, the same one."""

    def __init__(self) -> None:
        self._found: dict[bytes, Timeline] = {}

    def of(self, trace: Trace) -> Timeline:
        """The timeline of a trace, see `schedule`."""
        digest = hashlib.sha256(trace.program.tobytes())
        digest.update(trace.manifest.model_dump_json(exclude=NAMES).encode())
        key = digest.digest()
        if key not in self._found:
            self._found[key] = schedule(trace)
        return self._found[key]


@dataclass(frozen=True)
class _Demands:
    """What the instructions of a trace ask for, by instruction; and the ports of every bank."""

    units: Cycles
    waits: Cycles
    busy: Cycles
    latency: Cycles
    parts: Cycles
    banks: Banks
    ports: Cycles


_known: WeakKeyDictionary[Trace, _Demands] = WeakKeyDictionary()
"""Worked out once for each trace: a schedule is often asked for again."""


def _demands(trace: Trace) -> _Demands:
    model, program, sram = CostModel(trace.manifest), trace.program, trace.manifest.machine.sram
    busy = model.cycles_of(program)
    return _Demands(
        program["unit"].astype(np.int64),
        np.ascontiguousarray(program["wait"], np.int64),
        busy[:, 0].copy(),
        busy[:, 1].copy(),
        busy[:, 2:].copy(),
        model.footprints.banks(program),
        np.array([m.ports for m in (sram.weights, sram.activations) for _ in range(m.banks)], np.int64),
    )


@kernel
def _free_at(begin: int, length: int, bank: int, ports: int, taken: Cycles, counts: Cycles) -> int:
    """The first cycle from `begin` on at which a port of a bank is free for `length` cycles."""
    n = counts[bank]
    moved = True
    while moved:
        moved = False
        most, soonest = 0, begin
        for i in range(n):  # how many hold a port at the start of any overlapping hold, or at ours
            at = max(begin, taken[bank, i, 0])
            if at >= begin + length or taken[bank, i, 1] <= at:
                continue
            together, leaves = 0, taken[bank, i, 1]
            for k in range(n):
                if taken[bank, k, 0] <= at < taken[bank, k, 1]:
                    together += 1
                    leaves = min(leaves, taken[bank, k, 1])
            if together > most:
                most, soonest = together, leaves
        if most >= ports:
            begin, moved = soonest, True
    return begin


@kernel
def _forget(bank: int, horizon: int, taken: Cycles, counts: Cycles) -> None:
    """Drop the holds of a bank that ended before anything can still start."""
    kept = 0
    for i in range(counts[bank]):
        if taken[bank, i, 1] > horizon:
            taken[bank, kept, 0], taken[bank, kept, 1] = taken[bank, i, 0], taken[bank, i, 1]
            kept += 1
    counts[bank] = kept


@kernel
def _is_held_before(held: Cycles, slot: int, bank: int) -> bool:
    """Whether an earlier operand of the instruction lies in the bank too: one port serves both."""
    before = False
    for s in range(slot):
        before = before | ((held[s, 0] <= bank) & (bank < held[s, 1]))
    return before


@kernel
def _run(
    units: Cycles,
    waits: Cycles,
    busy: Cycles,
    latency: Cycles,
    held: Cycles,
    ports: Cycles,
    start: Cycles,
    end: Cycles,
    stall: Cycles,
    cause: Cycles,
    port: Cycles,
) -> int:
    """Fill the timeline; returns the cycle of the last result.

    Instructions take their ports in program order; one that comes later may take a gap that an earlier
    one left.
    """
    n_units = waits.shape[1]
    done = np.zeros((n_units, units.shape[0] + 1), np.int64)  # by unit and ticket
    retired = np.zeros(n_units, np.int64)
    free = np.zeros(n_units, np.int64)
    left = np.zeros(n_units, np.int64)
    for i in range(units.shape[0]):
        left[units[i]] += 1
    taken = np.zeros((ports.shape[0], 64, 2), np.int64)
    counts = np.zeros(ports.shape[0], np.int64)
    last = 0
    for i in range(units.shape[0]):
        u = units[i]
        ready, who = 0, -1
        for v in range(n_units):
            if waits[i, v] > 0 and done[v, waits[i, v]] > ready:
                ready, who = done[v, waits[i, v]], v
        due = max(ready, free[u])
        begin = due
        settled = busy[i] == 0
        while not settled:
            settled = True
            for slot in range(held.shape[1]):
                for bank in range(held[i, slot, 0], held[i, slot, 1]):
                    at = _free_at(begin, busy[i], bank, ports[bank], taken, counts)
                    if at > begin:
                        begin, settled = at, False
        start[i], end[i] = begin, begin + busy[i]
        stall[i], port[i] = begin - free[u], begin - due
        cause[i] = who if ready > free[u] else -1
        free[u] = end[i]
        left[u] -= 1
        retired[u] += 1
        done[u, retired[u]] = max(end[i] + latency[i], done[u, retired[u] - 1])
        last = max(last, end[i] + latency[i])
        horizon = last
        for v in range(n_units):
            if left[v] > 0:
                horizon = min(horizon, free[v])
        for slot in range(held.shape[1]):
            for bank in range(held[i, slot, 0], held[i, slot, 1]):
                if _is_held_before(held[i], slot, bank):
                    continue
                if counts[bank] > 16:
                    _forget(bank, horizon, taken, counts)
                if counts[bank] == taken.shape[1]:
                    wider = np.zeros((ports.shape[0], 2 * taken.shape[1], 2), np.int64)
                    wider[:, : taken.shape[1]] = taken
                    taken = wider
                taken[bank, counts[bank], 0], taken[bank, counts[bank], 1] = start[i], end[i]
                counts[bank] += 1
    return last


def stalls_by_cause(trace: Trace, timeline: Timeline) -> dict[str, dict[str, int]]:
    """Cycles that each unit waited, by the unit that it waited for, or for a port."""
    table: dict[str, dict[str, int]] = {}
    for unit in Unit:
        mine = trace.program["unit"] == unit
        waited = timeline.stall - timeline.port
        table[unit.name.lower()] = {
            other.name.lower(): int(waited[mine & (timeline.cause == other)].sum()) for other in Unit
        }
        table[unit.name.lower()]["port"] = int(timeline.port[mine].sum())
    return table
