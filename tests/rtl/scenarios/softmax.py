"""Whole tiles of the softmax unit against its kernel."""

from __future__ import annotations

import random
from functools import partial
from typing import Any

import numpy as np
from calls import softmax_rows

from hwmodels.rtl.proofs import softmax as proofs
from hwmodels.units import softmax, softmax_step, tables
from hwmodels.units.ops import ZERO_BLOCK
from hwmodels.units.softmax import FRACTION, SoftmaxConfig
from rtl.cosim import Scenario, Stepper


def made(lanes: int, guard_bits: int, exp2: int, reciprocal: int, latency: int) -> SoftmaxConfig:
    return SoftmaxConfig(
        lanes,
        guard_bits,
        tables.exp2_negative(exp2, FRACTION),
        tables.reciprocal(reciprocal, FRACTION),
        latency,
    )


CONFIGS = {
    "4 lanes": made(4, 4, 64, 64, 8),
    "1 lane no guard bits": made(1, 0, 2, 256, 8),
    "3 lanes 8 guard bits latency 11": made(3, 8, 1024, 2, 11),
}

EDGES = {
    "one element": (1, 1),
    "a chunk": (1, 4),
    "a chunk and one": (1, 5),
    "rows of one chunk": (5, 3),
    "rows of several chunks": (3, 14),
    "a long row": (1, 97),
}
"""Rows and columns."""

MODES = {"every key": 0.0, "some keys": 0.4}
"""How many keys are masked."""

RARE = ("no keys", "equal elements", "exponents far apart", "coarse exponents", "fine exponents", "zeros")

FLOWS = ("plain", "reset", "back-to-back")
"""The unit reads its operands itself, so that no cycle comes without them."""


def scenarios() -> list[Scenario]:
    """Each mode and configuration at every edge; all flows where there are several chunks; what is rare."""
    usual = [
        scenario(name, mode, edge, flow)
        for mode in MODES
        for name in CONFIGS
        for edge in EDGES
        for flow in (FLOWS if edge == "rows of several chunks" and CONFIGS[name].lanes > 1 else FLOWS[:1])
    ]
    return usual + [
        scenario(name, "some keys", kind, "plain") for kind in RARE for name in list(CONFIGS)[::2]
    ]


def scenario(name: str, mode: str, edge: str, flow: str) -> Scenario:
    """One tile with seeded elements."""
    config, (rows, columns) = CONFIGS[name], EDGES.get(edge, (2, 7))
    draw = random.Random(f"{name} {mode} {edge}")
    low, high = {
        "exponents far apart": (-127, 127), "coarse exponents": (0, 127), "fine exponents": (-60, -40),
        "equal elements": (-9, -9), "zeros": (ZERO_BLOCK, ZERO_BLOCK),
    }.get(edge, (-16, -8))  # fmt: skip
    exponents = [[draw.randint(low, high) for _ in range(columns)] for _ in range(rows)]
    if edge not in ("equal elements", "zeros"):
        exponents = [[ZERO_BLOCK if draw.random() < 0.1 else e for e in row] for row in exponents]
    largest = 0 if edge == "equal elements" else 32767
    codes = [
        [0 if e == ZERO_BLOCK else draw.randint(-largest, largest) + 77 * (not largest) for e in row]
        for row in exponents
    ]
    keys = [[int(draw.random() >= MODES[mode]) for _ in range(columns)] for _ in range(rows)]
    if edge == "no keys":
        keys[0] = [0] * columns
    return Scenario(
        "softmax", mode, name, edge, flow, proofs.uncut(config, name),
        partial(operate, config, codes, exponents, keys), compiled(config, codes, exponents, keys),
        softmax.cycles(config, rows, columns),
    )  # fmt: skip


def compiled(
    config: SoftmaxConfig, codes: list[list[int]], shared: list[list[int]], keys: list[list[int]]
) -> list[tuple[list[int], list[int]]]:
    """What the kernel gives, row by row; every element is a block of its own."""
    shape = len(codes), len(codes[0])
    sums, exponents = np.zeros(shape, np.int64), np.zeros(shape, np.int16)
    softmax_rows(
        np.array(codes, np.int16), np.array(shared, np.int16), np.arange(shape[0]), np.arange(shape[1] + 1),
        np.array(keys, np.bool_), np.ones((1, shape[1]), np.bool_), shape[0], config.guard_bits,
        np.array(config.exp2, np.int64), softmax.step_bits(len(config.exp2)),
        np.array(config.reciprocal, np.int64), softmax.step_bits(len(config.reciprocal)), sums, exponents,
    )  # fmt: skip
    return list(zip(sums.tolist(), exponents.tolist(), strict=True))


def operate(
    config: SoftmaxConfig,
    codes: list[list[int]],
    exponents: list[list[int]],
    keys: list[list[bool]],
    stepper: Stepper,
) -> tuple[Any, int]:
    """The tile, with whatever steps."""
    return softmax_step.run(config, codes, exponents, keys, stepper)
