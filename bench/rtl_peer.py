"""The project's own RTL, compiled by two simulators, and the kernel on the same tiles."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from environments import RTL, PeerError
from tiles import SEEDS, Tile, built, operands

from hwmodels.kernels import matmul
from hwmodels.kernels.matmul import PANEL, stays_narrow
from hwmodels.kernels.packed_operands import pack_lines
from hwmodels.kernels.team import assembled
from hwmodels.units import array_cycles, mac_array
from hwmodels.units.mac_array import MatmulOperands
from hwmodels.units.ops import ZERO_BLOCK

SCRIPT = Path(__file__).parent / "rtl_run.py"
RUNS = (("verilator", 8), ("cxxrtl", 8), ("verilator", 16))
"""Simulators and sizes of arrays; CXXRTL's code of the larger one takes minutes to compile."""

REPEATS = 100
"""Calls of the kernel in one turn: a single one takes too little time for the clock."""

Bits = tuple[list[list[int]], list[list[int]], list[int]]


def kernel_of(size: int, o: MatmulOperands) -> tuple[Callable[[], Any], Callable[[], Bits]]:
    """A call of the kernel on one thread, weights packed before; and what it has given."""
    config, m, n = built(size).array, len(o.a), len(o.w)
    lane, word = config.aligner, config.accumulator
    segments, update = np.array([*o.segments, len(o.a[0])]), np.array(o.update)
    panels, offsets, limits = pack_lines(np.array(o.w, np.int16), segments)

    def paneled(lines: Any, filler: int, kind: type) -> Any:
        """One value of every column, or one of every segment, in the order of the panels."""
        lines = np.array(lines, kind)
        wide = np.full((len(panels) * PANEL, *lines.shape[1:]), filler, kind)
        wide[:n] = lines
        return np.ascontiguousarray(np.moveaxis(wide.reshape(len(panels), PANEL, *lines.shape[1:]), 1, -1))

    floor = mac_array.bias_floor(ZERO_BLOCK, o.bias_bits, word.bits, lane.guard_bits, lane.max_shift)
    w_exponents = paneled(o.w_exponents, ZERO_BLOCK, np.int16)
    fixed = (
        paneled([floor] * n, floor, np.int64),
        paneled([0] * n, 0, np.int16),
        paneled([ZERO_BLOCK] * n, ZERO_BLOCK, np.int16),
    )
    a, a_exponents = np.array(o.a, np.int8), np.array(o.a_exponents, np.int16)
    index, blocks = np.arange(m), np.arange(len(o.segments))
    sums, exponents = np.zeros((m, n), np.int32), np.zeros((m, n), np.int16)
    counts, team = np.zeros(4, np.int64), assembled(1)
    narrow = stays_narrow(config, o.a_bits, o.w_bits, segments, update)

    def call() -> None:
        counts[:] = 0
        matmul.matmul_static(
            team, 0, 1, 1, a, a_exponents, index, blocks, panels, offsets, limits,
            w_exponents, w_exponents.max(axis=1), *fixed, segments, update, sums, exponents, index, n, narrow,
            config.normalise, lane.guard_bits, lane.max_shift, lane.rounding, word.bits, word.saturating,
            counts,
        )  # fmt: skip

    return call, lambda: (sums.tolist(), exponents.tolist(), counts[:2].tolist())


def ours(tile: Tile, rounds: int) -> tuple[Bits, float, int]:
    """The kernel's bits, the processor's median seconds, and the cycles that blocksim says a tile takes."""
    o = operands(tile)
    call, given = kernel_of(tile.size, o)
    call()
    seconds = []
    for _ in range(rounds):
        start = time.thread_time()
        for _ in range(REPEATS):
            call()
        seconds.append((time.thread_time() - start) / REPEATS)
    size = len(o.a), len(o.w), len(o.a[0])
    return (
        given(),
        statistics.median(seconds),
        array_cycles.cycles(built(tile.size).array, *size, o.segments).total,
    )


def measured(front_end: str, size: int, rounds: int) -> dict[str, Any]:
    """One simulator on the tiles of one array, beside the kernel; bits and cycles have to be equal."""
    env = RTL[front_end]
    found = json.loads(env.run_with_blocksim(SCRIPT, front_end, str(size), str(rounds)))
    if not Path(found["origin"]).is_relative_to(env.home):
        raise PeerError(f"{front_end}: not the one of its environment")
    kernel, simulator = [], []
    for seed, theirs in zip(SEEDS, found["tiles"], strict=True):
        bits, seconds, cycles = ours(Tile(size, seed), rounds)
        if bits != (theirs["sums"], theirs["exponents"], theirs["lost"]):
            raise PeerError(f"{front_end}: tile {seed} on {size} x {size}: other bits than the kernel's")
        if cycles != theirs["cycles"]:
            raise PeerError(
                f"{front_end}: tile {seed} on {size} x {size}: {theirs['cycles']} cycles, not {cycles}"
            )
        kernel.append(seconds)
        simulator.append(statistics.median(theirs["seconds"]))
    tile = Tile(size, 0)
    return {
        "tool": front_end, "array": f"{size} x {size} ws", "tile": tile.name, "tiles": len(SEEDS),
        "cycles": cycles, "macs": tile.macs, "build": found["build"],
        "seconds": statistics.median(simulator), "kernel": statistics.median(kernel),
    }  # fmt: skip
