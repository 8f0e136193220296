"""Codes that pass an element, against their products as numpy gives them."""

from __future__ import annotations

import random
from functools import partial
from typing import Any

import numpy as np

from hwmodels.rtl.proofs import processing_element as proofs
from hwmodels.units import processing_element
from hwmodels.units.processing_element import ElementConfig, Folds, Passage
from hwmodels.units.product import integers
from rtl.cosim import Scenario, Stepper

CONFIGS = {
    "int8 x int8": ElementConfig(integers(8, 8), 22, 1, True),
    "int8 x int4": ElementConfig(integers(8, 4), 18, 1, True),
    "int8 x int8 serial": ElementConfig(integers(8, 8), 22, 1, False),
    "int4 x int4 serial two sums": ElementConfig(integers(4, 4), 14, 2, False),
}

EDGES = {"one code": (1, 1), "one fold": (1, 9), "folds of one": (6, 1), "several folds": (3, 5)}
"""Folds, and codes that pass in each."""


def scenarios() -> list[Scenario]:
    """Each element at every edge, and every flow of several folds."""
    made = []
    for name, config in CONFIGS.items():
        mode = "overlap" if config.overlap else "serial"
        for edge, (folds, codes) in EDGES.items():
            drawn = draw(config, folds, codes)
            for flow in ("plain", "reset", "back-to-back") if edge == "several folds" else ("plain",):
                made.append(
                    Scenario(
                        "processing_element",
                        mode,
                        name,
                        edge,
                        flow,
                        proofs.element(config, name),
                        partial(operate, config, drawn),
                        products(config, drawn),
                        processing_element.cycles(config, drawn),
                    )
                )
    return made


def draw(config: ElementConfig, folds: int, codes: int) -> Folds:
    """Codes over their whole range, and sums to which each adds one more."""
    seeded = random.Random(folds * codes)

    def code(bits: int) -> int:
        return seeded.randrange(-(1 << bits - 1), 1 << bits - 1)

    def passage() -> Passage:
        chosen = seeded.randrange(config.chains)
        on = tuple(int(i == chosen) for i in range(config.chains))
        sums = tuple(code(config.sum_bits - 1) for _ in range(config.chains))
        return Passage(code(config.product.a.bits), on, sums)

    return [(code(config.product.b.bits), [passage() for _ in range(codes)]) for _ in range(folds)]


def operate(config: ElementConfig, folds: Folds, stepper: Stepper) -> tuple[Any, int]:
    """All folds with a stepper."""
    return processing_element.run(config, folds, stepper)


def products(config: ElementConfig, folds: Folds) -> list[tuple[int, ...]]:
    """What numpy gives."""
    totals = []
    for held, passing in folds:
        codes = np.array([x.code for x in passing], np.int64) * held
        on, sums = np.array([x.on for x in passing]), np.array([x.sum for x in passing])
        totals += [tuple(int(t) for t in row) for row in sums + codes[:, None] * on]
    return totals
