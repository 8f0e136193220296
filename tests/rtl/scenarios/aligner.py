"""Whole outputs of a column's aligners against the kernel of a product."""

from __future__ import annotations

import random
from functools import partial
from typing import Any

import calls
import numpy as np

from hwmodels.machines import load
from hwmodels.rtl.proofs import aligner as proofs
from hwmodels.units import aligner
from hwmodels.units.accumulator import AccumulatorConfig
from hwmodels.units.aligner import BOUND, EXACT, AlignerConfig, LaneConfig, StageConfig
from hwmodels.units.mac_array import MacArrayConfig, start_bound
from hwmodels.units.ops import FLOOR, HALF_UP, ZERO_BLOCK
from hwmodels.units.prescan import WORD
from rtl.cosim import FLOWS, Scenario, Stepper

OWN = load("bct64").array_config.aligner

CONFIGS = {
    "bct64": (OWN, 1),
    "3 lanes": (OWN, 3),
    "guard bits -4 half up 2 lanes": (AlignerConfig(-4, 40, HALF_UP), 2),
    "shifts of 9 floor 4 lanes": (AlignerConfig(3, 9, FLOOR), 4),
}

MODES = {"bound": BOUND, "exact": EXACT}

EDGES = ("one term", "a group", "a group and one", "several groups")

DEPTH, BITS, FLOOR_E = 6, 60, -250
"""Elements of a segment; bits of an accumulator that never overflows; a bound below all."""


def scenarios() -> list[Scenario]:
    """Each mode and configuration at every edge, and every flow of several groups."""
    made = []
    for name, (config, lanes) in CONFIGS.items():
        for mode in MODES:
            for edge in EDGES:
                flows = FLOWS if edge == "several groups" and mode == "bound" else FLOWS[:1]
                made += [scenario(config, lanes, name, mode, edge, flow) for flow in flows]
    return made


def scenario(config: AlignerConfig, lanes: int, name: str, mode: str, edge: str, flow: str) -> Scenario:
    """One output with seeded operands: as many segments as terms."""
    draw = random.Random(f"{name} {mode} {edge}")
    count = {"one term": 1, "a group": lanes, "a group and one": lanes + 1}.get(edge, 4 * lanes + 1)
    a, w = ([draw.randrange(-127, 128) for _ in range(count * DEPTH)] for _ in range(2))
    ea, ew = ([draw.choice([ZERO_BLOCK, *[draw.randint(-9, 9)] * 9]) for _ in range(count)] for _ in range(2))
    for i in range(count * DEPTH):
        a[i] = 0 if ea[i // DEPTH] == ZERO_BLOCK else a[i]
        w[i] = 0 if ew[i // DEPTH] == ZERO_BLOCK else w[i]
    x = [sum(a[k] * w[k] for k in range(i, i + DEPTH)) for i in range(0, count * DEPTH, DEPTH)]
    exponents = [e + f for e, f in zip(ea, ew, strict=True)]
    bound = start_bound(MODES[mode], ea, ew, FLOOR_E)
    stage = StageConfig(LaneConfig(config, 24, WORD, config.guard_bits), lanes, 40)
    gaps = (0, 1, 1, 3) if flow == "bubbles" else ()
    return Scenario(
        "aligner", mode, name, edge, flow, proofs.stage(stage, name, stage),
        partial(operate, stage, x, exponents, bound, gaps), compiled(config, MODES[mode], a, w, ea, ew),
        aligner.cycles(count, lanes) + len(gaps),
    )  # fmt: skip


def operate(
    config: StageConfig,
    x: list[int],
    exponents: list[int],
    bound: int,
    gaps: tuple[int, ...],
    stepper: Stepper,
) -> tuple[Any, int]:
    """The operation with a stepper."""
    return aligner.run(config, x, exponents, bound, stepper, gaps)


def compiled(
    config: AlignerConfig, normalise: int, a: list[int], w: list[int], ea: list[int], ew: list[int]
) -> tuple[int, int]:
    """What the kernel gives for a product of one row and one column: the sum, and the flushed terms."""
    count = len(ea)
    array = MacArrayConfig(
        DEPTH, 1, "ws", True, 1, False, normalise, "none", 16, config, AccumulatorConfig(BITS, True, 1, 1, 1)
    )
    update = np.zeros(count, np.bool_)
    update[-1] = True
    sums, out, counts = np.zeros((1, 1), np.int64), np.zeros((1, 1), np.int16), np.zeros(4, np.int64)
    calls.matmul_static(
        array, (8, 8), 1, np.array([a], np.int16), np.array([ea], np.int16), np.zeros(1, np.int64),
        np.arange(count), np.array([w]), np.array([ew]), np.array([FLOOR_E]), np.zeros(1, np.int16),
        np.full(1, ZERO_BLOCK), np.arange(0, len(a) + 1, DEPTH), update, sums, out, counts,
    )  # fmt: skip
    return int(sums[0, 0]), int(counts[0])
