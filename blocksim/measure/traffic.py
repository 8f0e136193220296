"""Traffic: bytes by memory and by what they are, and the fewest that DRAM could move."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from blocksim.engine.cost import CostModel
from blocksim.engine.schedule import Timeline
from blocksim.trace.file import Trace
from blocksim.trace.isa import Flag, Opcode
from blocksim.trace.manifest import Manifest
from hwmodels.units.actions import Actions

BYTES = {
    "dram.bytes": "dram",
    "sram.activations.bytes": "activations",
    "sram.weights.bytes": "weights",
}
"""Actions that move bytes, and the memory that they reach."""

Traffic = dict[str, dict[str, int]]
"""Bytes by memory and part."""


def traffic_of(counts: Iterable[Actions]) -> Traffic:
    """Bytes by memory and part of counted actions.

    Parts are ``dram`` (codes and tables), ``operands`` (codes), ``exponents`` and ``spill`` (wide sums).
    """
    traffic: Traffic = {memory: {} for memory in BYTES.values()}
    for own in counts:
        for (part, action), count in own.items():
            if action in BYTES and count:
                memory = traffic[BYTES[action]]
                memory[part] = memory.get(part, 0) + count
    return traffic


def bytes_over_time(
    trace: Trace, timeline: Timeline
) -> dict[str, tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Bytes per cycle of every memory; an instruction's are spread evenly over its cycles.

    Returns
    -------
    dict of str to (cycles, bytes per cycle)
        By memory, in the order of `BYTES`. The rate at ``cycles[i]`` holds until ``cycles[i + 1]``;
        the last is 0.
    """
    model = CostModel(trace.manifest)
    moved = np.zeros((len(BYTES), len(trace.program)))
    places = {action: place for place, action in enumerate(BYTES)}
    for i, record in enumerate(trace.program):
        for (_, action), count in model.actions(record).items():
            if action in places:
                moved[places[action], i] += count
    took = timeline.end - timeline.start
    rates = moved / np.maximum(took, 1)
    over_time = {}
    for memory, rate in zip(BYTES.values(), rates, strict=True):
        of = (rate > 0) & (took > 0)
        cycles, inverse = np.unique(
            np.concatenate([timeline.start[of], timeline.end[of]]), return_inverse=True
        )
        changes = np.bincount(inverse, np.concatenate([rate[of], -rate[of]]), len(cycles))
        levels = np.maximum(np.cumsum(changes), 0.0)
        levels[-1:] = 0.0
        over_time[memory] = cycles, levels
    return over_time


def metadata_shares(traffic: Traffic) -> dict[str, float]:
    """Exponents' share of the bytes of DRAM, and of both SRAMs together."""
    shares = {}
    for name, memories in (("dram", ("dram",)), ("sram", ("activations", "weights"))):
        total = sum(sum(traffic[m].values()) for m in memories)
        exponents = sum(traffic[m].get("exponents", 0) for m in memories)
        shares[name] = exponents / total if total else 0.0
    return shares


def spilled(traffic: Traffic) -> int:
    """Bytes that wide sums move where a block outgrew its tile, in SRAM and DRAM together."""
    return sum(parts.get("spill", 0) for parts in traffic.values())


def lower_bound(manifest: Manifest) -> dict[str, int]:
    """The fewest bytes that DRAM moves for one sample, whatever the size of the SRAMs.

    Every constant that the datapath reads is loaded once, of a table that rows are looked up in only the
    rows of one sample; a tensor that the host or the user reads is stored once; one that the host writes
    is loaded once. Nothing is rounded up to bursts.

    Returns
    -------
    dict of str to int
        Bytes of ``constants``, ``gathered`` rows, ``outputs`` and what is exchanged with the ``host``.
    """
    looked_up = {op.constant for op in manifest.operators if op.kind == "gather"}
    constants = sum(
        c.size for name, c in manifest.constants.items() if c.role != "host" and name not in looked_up
    )
    gathered = sum(
        manifest.tensors[op.out.tensor].rows * manifest.constants[op.constant].row_bytes
        for op in manifest.operators
        if op.kind == "gather" and op.constant is not None
    )
    by_host = {t for op in manifest.operators if op.kind == "host" for t in op.writes}
    on_datapath = {t for op in manifest.operators if op.kind != "host" for t in op.reads}
    read_by_host = {t for op in manifest.operators if op.kind == "host" for t in op.reads} & set(
        manifest.tensors
    )
    outputs = {o.tensor for o in manifest.outputs} - by_host
    exchanged = ((read_by_host - by_host) - outputs) | (by_host & on_datapath)
    return {
        "constants": constants,
        "gathered": gathered,
        "outputs": sum(manifest.tensors[t].nbytes for t in outputs),
        "host": sum(manifest.tensors[t].nbytes for t in exchanged),
    }


def peak_sram(trace: Trace) -> dict[str, int]:
    """Most bytes of either SRAM in use: tensors at a time, and the extent that the weights' ring reached."""
    program = trace.program
    loads = (program["opcode"] == Opcode.LOAD) & ((program["flags"] & Flag.TO_WEIGHTS) > 0)
    ends = program["dst"][loads] + program["size"][loads]
    return {
        "activations": trace.manifest.peak_activation_bytes,
        "weights": int(ends.max()) if len(ends) else 0,
    }
