"""Whole operations of the element-wise unit against its kernels."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import partial
from typing import Any

import calls
import numpy as np

from hwmodels.machines import load
from hwmodels.rtl.proofs import elementwise as proofs
from hwmodels.units import elementwise
from hwmodels.units.elementwise import ElementwiseConfig
from hwmodels.units.ops import FLOOR, HALF_UP, ZERO_BLOCK
from rtl.cosim import FLOWS, Scenario, Stepper

Rows = tuple[list[int], list[int], list[int], list[int]]

CONFIGS = {
    "bct64 of 4 lanes": replace(load("bct64").elementwise_config, lanes=4),
    "15 guard bits half up 3 lanes latency 5": ElementwiseConfig(3, 15, 20, HALF_UP, 5),
    "no guard bits floor 1 lane": ElementwiseConfig(1, 0, 62, FLOOR, 3),
}

EDGES = ("one element", "a chunk", "a chunk and one", "several chunks")

MODES = ("add", "multiply")


def scenarios() -> list[Scenario]:
    """Each mode and configuration at every edge, every flow of several chunks, and exponents far apart."""
    made = []
    for name, config in CONFIGS.items():
        for mode in MODES:
            for edge in EDGES:
                flows = FLOWS if edge == "several chunks" and config.lanes > 1 else FLOWS[:1]
                made += [scenario(config, name, mode, edge, flow, 8) for flow in flows]
            made.append(scenario(config, name, mode, "far apart", "plain", 127))
    return made


def scenario(config: ElementwiseConfig, name: str, mode: str, edge: str, flow: str, spread: int) -> Scenario:
    """One operation with seeded elements, whose exponents lie up to `spread` around zero."""
    draw, n = random.Random(f"{name} {mode} {edge}"), config.lanes
    count = {"one element": 1, "a chunk": n, "a chunk and one": n + 1}.get(edge, 4 * n + 1)

    def row() -> tuple[list[int], list[int]]:
        exponents = [draw.choice([ZERO_BLOCK, *[draw.randint(-spread, spread)] * 9]) for _ in range(count)]
        return [0 if e == ZERO_BLOCK else draw.randrange(-32767, 32768) for e in exponents], exponents

    rows = *row(), *row()
    gaps = (0, 1, 1, 3) if flow == "bubbles" else ()
    return Scenario(
        "elementwise", mode, name, edge, flow, proofs.whole(config, name),
        partial(operate, config, mode == "multiply", rows, gaps), compiled(config, mode, rows),
        elementwise.cycles(config, count) + len(gaps),
    )  # fmt: skip


def operate(
    config: ElementwiseConfig, multiply: bool, rows: Rows, gaps: tuple[int, ...], stepper: Stepper
) -> tuple[Any, int]:
    """The operation with a stepper."""
    return elementwise.run(config, multiply, *rows, stepper, gaps)


def compiled(config: ElementwiseConfig, mode: str, rows: Rows) -> Any:
    """What the kernel gives: one row of blocks of one element each."""
    n = len(rows[0])
    sums, out, counts = np.zeros((1, n), np.int64), np.zeros((1, n), np.int16), np.zeros(1, np.int64)
    arguments: list[Any] = []
    for codes, exponents in (rows[:2], rows[2:]):
        arrays = np.array([codes], np.int16), np.array([exponents], np.int16)
        arguments += [*arrays, np.zeros(1, np.int64), np.arange(n + 1)]
    if mode == "add":
        own = config.guard_bits, config.max_shift, config.rounding
        calls.add_matrices(*arguments, *own, sums, out, counts)
    else:
        calls.multiply_matrices(*arguments, sums, out, counts)
    return sums[0].tolist(), out[0].tolist(), int(counts[0])
