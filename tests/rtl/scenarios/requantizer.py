"""Whole operations of the requantizer against its kernel."""

from __future__ import annotations

import random
from functools import partial
from typing import Any

import numpy as np
from calls import requantize

from hwmodels.kernels.requantizer import NO_STATIC
from hwmodels.rtl.proofs import requantizer as proofs
from hwmodels.units import requantizer
from hwmodels.units.requantizer import RequantizerConfig
from hwmodels.units.requantizer_lane import WIDTHS
from rtl.cosim import FLOWS, Scenario, Stepper

CONFIGS = {
    "merged 4 lanes": RequantizerConfig(4, True, 4),
    "separate 3 lanes latency 6": RequantizerConfig(3, False, 6),
    "separate 1 lane": RequantizerConfig(1, False, 4),
}

EDGES = ("one element", "a chunk", "a chunk and one", "several chunks")

MODES = ("dynamic", "static", "searched before")

NONE = np.zeros(0, np.int64)


def scenarios() -> list[Scenario]:
    """Each mode and configuration at every edge, with sums and codes that take turns; and what is rare."""
    made = []
    for mode in MODES:
        for name, config in CONFIGS.items():
            for i, edge in enumerate(EDGES):
                flows = FLOWS if edge == "several chunks" and config.lanes > 1 else FLOWS[:1]
                bits, kind = (4, 8, 16)[(i + config.lanes) % 3], "real" if i % 2 else "shared"
                made += [scenario(config, name, mode, edge, flow, bits, kind) for flow in flows]
    for i, kind in enumerate(("zeros", "above", "below", "saturating")):
        for j, bits in enumerate(WIDTHS):
            name = list(CONFIGS)[(i + j) % 2]
            edge = f"{kind} {bits} bits"
            made.append(scenario(CONFIGS[name], name, "dynamic", edge, "plain", bits, kind))
    return made


def scenario(
    config: RequantizerConfig, name: str, mode: str, edge: str, flow: str, bits: int, kind: str
) -> Scenario:
    """One operation with seeded sums.

    `kind` says whether they have ``real`` scales or only exponents (``shared``), are ``zeros`` as those of
    absent rows, lie ``above`` or ``below`` the range of a stored exponent, or saturate (``saturating``) under
    an exponent that is never raised.
    """
    draw, raised = random.Random(f"{mode} {name} {edge} {bits} {kind}"), kind != "saturating"
    count = {"one element": 1, "a chunk": config.lanes, "a chunk and one": config.lanes + 1}.get(
        edge, 3 * config.lanes + 2
    )
    n = count + 4  # beyond `count` lies the rest of a block that was searched before
    sums = [0] * n
    if kind != "zeros":
        sums = [draw.randrange(-(2**47), 2**47) >> draw.randrange(47) for _ in range(n)]
    middle = {"above": 120, "below": -190}.get(kind, -30)
    exponents = [middle + draw.randrange(-8, 9) for _ in range(n)]
    scales = None
    if kind == "real":
        scales = [draw.randrange(2**15, 2**16) for _ in range(n)], [draw.randrange(-30, 3) for _ in range(n)]
    first = count if mode != "searched before" else n
    static = draw.randrange(-24, -4) if mode == "static" else NO_STATIC
    codes, exponent, clamped, saturated = compiled(
        sums[:first], exponents[:first], scales, static, bits, raised
    )
    known: dict[str, Any] = {}
    if mode == "static":
        known["stored"] = static
    if mode == "searched before":
        products = [s * m for s, m in zip(sums, scales[0], strict=True)] if scales else sums
        totals = [e + x for e, x in zip(exponents, scales[1], strict=True)] if scales else exponents
        known["top"] = requantizer.top_of(products, totals, bits, raised)
    own = (scales[0][:count], scales[1][:count]) if scales else None
    chunks = -(-count // config.lanes)
    passes = 1 if config.merged or mode != "dynamic" else 2
    gaps = (0, passes * chunks - 1, chunks) if flow == "bubbles" else ()
    idle = len({g for g in gaps if g < passes * chunks})
    return Scenario(
        "requantizer", mode, name, edge, flow, proofs.whole(config, name),
        partial(operate, config, sums[:count], exponents[:count], bits, known, own, gaps, raised),
        (codes[:count], exponent, clamped, saturated),
        requantizer.cycles(config, count, mode != "dynamic") + idle,
    )  # fmt: skip


def compiled(
    sums: list[int],
    exponents: list[int],
    scales: tuple[list[int], list[int]] | None,
    static: int,
    bits: int,
    raised: bool,
) -> tuple[list[int], int, int, int]:
    """What the kernel gives for one block."""
    n = len(sums)
    codes, shared, counts = np.zeros((1, n), np.int16), np.zeros((1, 1), np.int16), np.zeros(2, np.int64)
    requantize(
        1, np.array([sums]), np.array([exponents], np.int16), np.ones(1, np.bool_),
        np.array([0, 1]), np.array([0, n]),
        np.array(scales[0][:n]) if scales else NONE, np.array(scales[1][:n]) if scales else NONE,
        static, bits, codes, shared, counts, raised=raised,
    )  # fmt: skip
    return codes[0].tolist(), int(shared[0, 0]), int(counts[0]), int(counts[1])


def operate(
    config: RequantizerConfig,
    sums: list[int],
    exponents: list[int],
    bits: int,
    known: dict[str, Any],
    scales: tuple[list[int], list[int]] | None,
    gaps: tuple[int, ...],
    raised: bool,
    stepper: Stepper,
) -> tuple[Any, int]:
    """The operation, with whatever steps."""
    return requantizer.run(
        config, sums, exponents, bits, scales=scales, stepper=stepper, gaps=gaps, raised=raised, **known
    )
