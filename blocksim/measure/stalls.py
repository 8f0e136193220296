"""Stalls by cause: what the units of the machine waited for, and what the array's own cycles lost."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from blocksim.engine.schedule import PARTS, Timeline
from blocksim.measure.figures import Stalls
from blocksim.trace.file import Trace
from blocksim.trace.isa import Opcode, Unit


def stalls_of(trace: Trace, timeline: Timeline, mine: NDArray[np.bool_]) -> Stalls:
    """Stalls of some instructions by cause.

    A unit that is free waits for tickets first and for a port then. The wait for tickets is put down to
    the unit that retired the last of them: the DMA engine (``dram``), the requantizer, or any other
    (``dependency``). The host's own waiting is nobody's stall. Inside MATMUL the parts of the array's
    cycles say what else was lost; a narrow port counts as ``port`` too.

    Parameters
    ----------
    trace : Trace
    timeline : Timeline
    mine : bool, shape (instructions,)
        Which instructions.
    """
    here = mine & (trace.program["unit"] != Unit.HOST)
    waited = timeline.stall - timeline.port
    parts = dict(zip(PARTS, timeline.parts[here].sum(axis=0).tolist(), strict=True))
    dram = int(waited[here & (timeline.cause == Unit.DMA)].sum())
    requantize = int(waited[here & (timeline.cause == Unit.REQUANTIZER)].sum())
    return Stalls(
        dependency=int(waited[here].sum()) - dram - requantize,
        dram=dram,
        requantize=requantize,
        port=int(timeline.port[here].sum()) + parts["feed"],
        aligner=parts["aligner"],
        weight_load=parts["weight_load"],
        prescan=parts["prescan"],
    )


def array_cycles_of(trace: Trace, timeline: Timeline, mine: NDArray[np.bool_]) -> int:
    """Cycles that some instructions keep the array."""
    chosen = mine & (trace.program["opcode"] == Opcode.MATMUL)
    return int((timeline.end - timeline.start)[chosen].sum())
