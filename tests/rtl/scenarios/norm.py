"""Whole tiles of the norm unit against its kernel."""

from __future__ import annotations

import random
from functools import partial
from typing import Any

import numpy as np
from calls import norm_rows

from hwmodels.rtl.proofs import norm as proofs
from hwmodels.units import norm, norm_step, tables
from hwmodels.units.norm import NormConfig, NormOperands
from hwmodels.units.ops import ZERO_BLOCK
from rtl.cosim import FLOWS, Scenario, Stepper


def made(lanes: int, segments: int, newton_steps: int, latency: int) -> NormConfig:
    return NormConfig(lanes, tables.reciprocal_root(segments, norm.ROOT_FRACTION), newton_steps, latency)


CONFIGS = {
    "4 lanes": made(4, 96, 1, 12),
    "1 lane no Newton step": made(1, 96, 0, 11),
    "3 lanes 2 Newton steps latency 17": made(3, 6, 2, 17),
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

MODES = {"layer norm 16 bits": (True, 16), "RMS norm 16 bits": (False, 16), "layer norm 8 bits": (True, 8)}

RARE = ("zeros", "constant", "far below epsilon", "exponents far apart", "no epsilon", "beta above gamma")


def scenarios() -> list[Scenario]:
    """Each mode and configuration at every edge; all flows where there are several chunks; what is rare."""
    names, modes = list(CONFIGS), list(MODES)
    usual = [
        scenario(name, mode, edge, flow)
        for mode in MODES
        for name in (names if MODES[mode][1] == 16 else names[-1:])
        for edge in EDGES
        for flow in (FLOWS if edge == "rows of several chunks" and CONFIGS[name].lanes > 1 else FLOWS[:1])
    ]
    rare = [scenario(names[i % 3], modes[i % 2], kind, "plain") for i, kind in enumerate(RARE)]
    return usual + rare


def scenario(name: str, mode: str, edge: str, flow: str) -> Scenario:
    """One tile with seeded elements."""
    config, (centred, bits), (rows, columns) = CONFIGS[name], MODES[mode], EDGES.get(edge, (2, 7))
    draw = random.Random(f"{name} {mode} {edge}")
    low, high = {"exponents far apart": (-127, 127), "far below epsilon": (-60, -50)}.get(edge, (-16, -6))

    def exponents(lift: int = 0) -> list[int]:
        return [
            ZERO_BLOCK if draw.random() < 0.1 else min(draw.randint(low, high) + lift, 127)
            for _ in range(columns)
        ]

    def codes(below: list[int], width: int) -> list[int]:
        top = (1 << (width - 1)) - 1
        return [0 if e == ZERO_BLOCK else draw.randint(-top, top) for e in below]

    gamma_exponents, beta_exponents = exponents(), exponents(40 if edge == "beta above gamma" else 0)
    gamma, beta = codes(gamma_exponents, 16), codes(beta_exponents, 16)
    epsilon = norm.epsilon_of(0.0 if edge in ("no epsilon", "zeros") else 1e-5, columns)
    operands = NormOperands(
        bits, centred, epsilon, tuple(gamma), tuple(gamma_exponents), tuple(beta), tuple(beta_exponents)
    )
    shared = [exponents() for _ in range(rows)]
    x = [codes(e, bits) for e in shared]
    if edge == "zeros":
        x, shared = [[0] * columns] * rows, [[ZERO_BLOCK] * columns] * rows
    if edge == "constant":
        x, shared = [[77] * columns] * rows, [[-9] * columns] * rows
    chunks = rows * -(-columns // config.lanes)
    gaps = (0, chunks // 2, chunks - 1) if flow == "bubbles" else ()
    return Scenario(
        "norm", mode, name, edge, flow, proofs.uncut(config, name),
        partial(operate, config, operands, x, shared, gaps), compiled(config, operands, x, shared),
        norm.cycles(config, rows, columns) + len(gaps),
    )  # fmt: skip


def compiled(
    config: NormConfig, operands: NormOperands, x: list[list[int]], shared: list[list[int]]
) -> list[tuple[list[int], list[int]]]:
    """What the kernel gives, row by row; every element is a block of its own."""
    o, shape = operands, (len(x), len(x[0]))
    sums, exponents = np.zeros(shape, np.int64), np.zeros(shape, np.int16)
    vectors = [np.array(v, np.int16) for v in (o.gamma, o.gamma_exponents, o.beta, o.beta_exponents)]
    norm_rows(
        np.array(x, np.int16), np.array(shared, np.int16), np.arange(shape[0]), np.arange(shape[1] + 1),
        o.bits, o.centred, *o.epsilon, *vectors, np.array(config.root, np.int64),
        norm.step_bits(len(config.root)), config.newton_steps, sums, exponents,
    )  # fmt: skip
    return list(zip(sums.tolist(), exponents.tolist(), strict=True))


def operate(
    config: NormConfig,
    operands: NormOperands,
    x: list[list[int]],
    shared: list[list[int]],
    gaps: tuple[int, ...],
    stepper: Stepper,
) -> tuple[Any, int]:
    """The tile, with whatever steps."""
    return norm_step.run(config, operands, x, shared, stepper, gaps)
