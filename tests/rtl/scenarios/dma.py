"""Whole transfers of the DMA engine: the bytes as they were."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import partial

from hwmodels.machines import load
from hwmodels.rtl.proofs import dma as proofs
from hwmodels.units import dma
from hwmodels.units.dma import DmaConfig
from rtl.cosim import Scenario, Stepper

CONFIGS = {
    "bct64": load("bct64").dma_config,
    "tpu128": replace(load("tpu128").dma_config, address_bits=24),
    "24 bytes bursts of 40": DmaConfig(24, 0, 40, address_bits=12),
    "single bytes": DmaConfig(3, 0, 1, address_bits=10),
}

EDGES = ("one byte", "a burst", "a burst and one", "several bursts")

MODES = ("one run", "strided", "gathered")

FLOWS = ("plain", "reset", "back-to-back")
"""No bubbles: the engine takes nothing that comes as a stream."""


def scenarios() -> list[Scenario]:
    """Each mode and configuration at every edge, and every flow of several bursts."""
    made = []
    for name, config in CONFIGS.items():
        for mode in MODES:
            for edge in EDGES:
                flows = FLOWS if edge == "several bursts" else FLOWS[:1]
                made += [scenario(config, name, mode, edge, flow) for flow in flows]
    return made


def scenario(config: DmaConfig, name: str, mode: str, edge: str, flow: str) -> Scenario:
    """One transfer of seeded bytes."""
    draw, burst = random.Random(f"{name} {mode} {edge}"), config.burst
    each = {"one byte": 1, "a burst": burst, "a burst and one": burst + 1}.get(edge, 3 * burst + 7)
    runs = 1 if mode == "one run" else 5
    data = draw.randbytes(each * runs)
    order = draw.sample(range(runs), runs) if mode == "gathered" else None
    return Scenario(
        "dma", mode, name, edge, flow, proofs.engine(config, name),
        partial(operate, config, data, runs, order), list(dma.result(data)),
        dma.cycles(config, len(data), runs),
    )  # fmt: skip


def operate(
    config: DmaConfig, data: bytes, runs: int, order: list[int] | None, stepper: Stepper
) -> tuple[list[int], int]:
    """The transfer with a stepper."""
    return dma.run(config, data, runs, order, stepper)
