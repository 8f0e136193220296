"""Whole operations of the encoder against its kernel."""

from __future__ import annotations

import random
from functools import partial
from typing import Any

import numpy as np
from calls import TEAM

from hwmodels.kernels.encoder import encode_floating, fields
from hwmodels.rtl.proofs import encoder as proofs
from hwmodels.units import encoder, encoder_step, requantizer
from hwmodels.units.encoder_step import EncoderUnitConfig
from rtl.cosim import FLOWS, Scenario, Stepper

CONFIGS = {
    "E4M3 merged 4 lanes": EncoderUnitConfig(proofs.E4M3, 4, True, 4),
    "E2M1 separate 3 lanes latency 6": EncoderUnitConfig(proofs.E2M1, 3, False, 6),
    "logarithms separate 1 lane": EncoderUnitConfig(proofs.LOG, 1, False, 4),
    "half octaves merged 2 lanes": EncoderUnitConfig(proofs.HALF_OCTAVES, 2, True, 5),
}

EDGES = ("one element", "a chunk", "a chunk and one", "several chunks")

MODES = ("dynamic", "anchored", "searched before")


def scenarios() -> list[Scenario]:
    """Each mode and configuration at every edge; and blocks of zeros, above and below the exponents."""
    made = []
    for mode in MODES:
        for name, config in CONFIGS.items():
            for edge in EDGES:
                flows = FLOWS if edge == "several chunks" and config.lanes > 1 else FLOWS[:1]
                made += [scenario(config, name, mode, edge, flow, "any") for flow in flows]
    for kind in ("zeros", "above", "below"):
        for name, config in CONFIGS.items():
            for mode in MODES[:2]:
                made.append(scenario(config, name, mode, kind, "plain", kind))
    return made


def scenario(config: EncoderUnitConfig, name: str, mode: str, edge: str, flow: str, kind: str) -> Scenario:
    """One operation with seeded sums, whose exponents may lie ``above`` or ``below`` those of a block."""
    draw = random.Random(f"{mode} {name} {edge}")
    count = {"one element": 1, "a chunk": config.lanes, "a chunk and one": config.lanes + 1}.get(
        edge, 3 * config.lanes + 2
    )
    n = count + 4  # beyond `count` lies the rest of a block that was searched before
    sums = [0] * n
    if kind != "zeros":
        sums = [draw.randrange(-(2**47), 2**47) >> draw.randrange(47) for _ in range(n)]
    middle = {"above": 120, "below": -190}.get(kind, -30)
    exponents = [middle + draw.randrange(-8, 9) for _ in range(n)]
    first = count if mode != "searched before" else n
    anchor = draw.randrange(4) if mode == "anchored" else None
    codes, exponent, clamped, saturated = compiled(config, sums[:first], exponents[:first], anchor)
    known: dict[str, Any] = {}
    if mode == "anchored":
        known["anchor"] = anchor
    if mode == "searched before":
        known["top"] = encoder.top_of(config.codes, sums, exponents)
        saturated = encoder.result(config.codes, sums[:count], exponents[:count], known["top"])[3]
    chunks = -(-count // config.lanes)
    passes = 1 if config.merged or mode == "searched before" else 2
    gaps = (0, passes * chunks - 1, chunks) if flow == "bubbles" else ()
    idle = len({g for g in gaps if g < passes * chunks})
    return Scenario(
        "encoder", mode, name, edge, flow, proofs.whole(config, name),
        partial(operate, config, sums[:count], exponents[:count], known, gaps),
        (codes[:count], exponent, clamped, saturated),
        requantizer.cycles(proofs.timed(config), count, mode == "searched before") + idle,
    )  # fmt: skip


def compiled(
    config: EncoderUnitConfig, sums: list[int], exponents: list[int], anchor: int | None
) -> tuple[list[int], int, int, int]:
    """What the kernel gives for one block."""
    n, one = len(sums), np.array([0, 1])
    codes, shared, counts = np.zeros((1, n), np.uint8), np.zeros((1, 1), np.int16), np.zeros(2, np.int64)
    encode_floating(
        TEAM, 0, 1, 1, np.array([sums]), np.array([exponents], np.int16), np.zeros(1, np.int64),
        np.ones(1, np.bool_), one, np.array([0, n]), fields(config.codes, anchor), codes, shared, counts,
    )  # fmt: skip
    return codes[0].tolist(), int(shared[0, 0]), int(counts[0]), int(counts[1])


def operate(
    config: EncoderUnitConfig,
    sums: list[int],
    exponents: list[int],
    known: dict[str, Any],
    gaps: tuple[int, ...],
    stepper: Stepper,
) -> tuple[Any, int]:
    """The operation, with whatever steps."""
    return encoder_step.run(config, sums, exponents, stepper=stepper, gaps=gaps, **known)
