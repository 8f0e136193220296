"""Whole operations of the LUT unit against its kernel."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import partial
from typing import Any

import calls
import numpy as np

from hwmodels.machines import load
from hwmodels.rtl.proofs import lut as proofs
from hwmodels.units import lut, tables
from hwmodels.units.lut import LutConfig
from hwmodels.units.ops import ZERO_BLOCK
from rtl.cosim import FLOWS, Scenario, Stepper

SHIPPED = load("bct64").lut_config("gelu")

CONFIGS = {
    "bct64 of 4 lanes": replace(SHIPPED, lanes=4),
    "16 bits 3 lanes latency 6": LutConfig(3, 16, 8, 3, tables.FUNCTIONS["gelu"](64, 1, 8), 6),
    "1 lane": replace(SHIPPED, lanes=1),
}

EDGES = ("one element", "a chunk", "a chunk and one", "several chunks")

MODES = {"inside": -12, "across": -8, "beyond": 4}
"""About which exponent the elements lie: inside the table, on both sides of its ends, beyond the word."""


def scenarios() -> list[Scenario]:
    """Each configuration and place of the elements at every edge; every flow of several chunks."""
    made = []
    for name, config in CONFIGS.items():
        for mode in MODES:
            for edge in EDGES:
                flows = FLOWS if edge == "several chunks" and config.lanes > 1 else FLOWS[:1]
                made += [scenario(config, name, mode, edge, flow) for flow in flows]
    return made


def scenario(config: LutConfig, name: str, mode: str, edge: str, flow: str) -> Scenario:
    """One operation with seeded elements."""
    draw, n = random.Random(f"{name} {mode} {edge}"), config.lanes
    count = {"one element": 1, "a chunk": n, "a chunk and one": n + 1}.get(edge, 4 * n + 1)
    codes = [draw.randrange(-32767, 32768) for _ in range(count)]
    middle = MODES[mode] + 12 - config.fraction
    exponents = [draw.choice([ZERO_BLOCK, *[middle + draw.randrange(-3, 4)] * 9]) for _ in range(count)]
    codes = [0 if e == ZERO_BLOCK else c for c, e in zip(codes, exponents, strict=True)]
    gaps = (0, 1, 1, 3) if flow == "bubbles" else ()
    return Scenario(
        "lut", mode, name, edge, flow, proofs.whole(config, name),
        partial(operate, config, codes, exponents, gaps), compiled(config, codes, exponents),
        lut.cycles(config, count) + len(gaps),
    )  # fmt: skip


def operate(
    config: LutConfig, codes: list[int], exponents: list[int], gaps: tuple[int, ...], stepper: Stepper
) -> tuple[Any, int]:
    """The operation with a stepper."""
    return lut.run(config, codes, exponents, stepper, gaps)


def compiled(config: LutConfig, codes: list[int], exponents: list[int]) -> Any:
    """What the kernel gives: one row of blocks of one element each."""
    n = len(codes)
    sums, out, counts = np.zeros((1, n), np.int64), np.zeros((1, n), np.int16), np.zeros(1, np.int64)
    calls.lut(
        np.array([codes], np.int16), np.array([exponents], np.int16), np.zeros(1, np.int64), np.arange(n + 1),
        np.array(config.table, np.int64), config.fraction, config.in_bits, config.span, config.step_bits,
        sums, out, counts,
    )  # fmt: skip
    return sums[0].tolist(), out[0].tolist(), int(counts[0])
