"""Elements that take several codes, and whole products on arrays of them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from hwmodels.rtl.proofs import packed_element as proofs
from hwmodels.units import packed_element
from hwmodels.units.packed_element import Folds, PackedConfig, Passage
from hwmodels.units.product import integers
from rtl.cosim import Scenario, Stepper
from rtl.scenarios import mac_array

ELEMENTS = {
    "two along the reduction": PackedConfig(integers(4, 4), 15, 2, 1, 1, True),
    "two along the outputs": PackedConfig(integers(4, 4), 14, 1, 2, 1, True),
    "two along the reduction serial two sums": PackedConfig(integers(4, 4), 15, 2, 1, 2, False),
    "two along the outputs serial": PackedConfig(integers(4, 4), 14, 1, 2, 1, False),
}

EDGES = {"one code": (1, 1), "one fold": (1, 9), "folds of one": (6, 1), "several folds": (3, 5)}
"""Folds, and what passes in each."""

BITS = (4, 4, 8)

CONFIGS = {
    "4 x 4": ("packed along K", mac_array.built(BITS, pack_axis="K")),
    "4 x 4 serial two aligners": (
        "packed along K",
        mac_array.built(BITS, pack_axis="K", overlap=False, aligners=2),
    ),
    "4 x 4 inputs narrow port": (
        "packed along K",
        mac_array.built(BITS, pack_axis="K", dataflow="is", port_bytes=3),
    ),
    "4 x 4 outputs": ("packed along N", mac_array.built(BITS, pack_axis="N")),
    "4 x 4 outputs serial two aligners": (
        "packed along N",
        mac_array.built(BITS, pack_axis="N", overlap=False, aligners=2),
    ),
    "4 x 4 outputs inputs stay": ("packed along N", mac_array.built(BITS, pack_axis="N", dataflow="is")),
}


def scenarios() -> list[Scenario]:
    """Each element at every edge, and each array, with every flow of several folds."""
    return [*_elements(), *mac_array.products(CONFIGS)]


def _elements() -> Iterator[Scenario]:
    for name, config in ELEMENTS.items():
        mode = "overlap" if config.overlap else "serial"
        for edge, (folds, codes) in EDGES.items():
            drawn = draw(config, folds, codes)
            for flow in ("plain", "reset", "back-to-back") if edge == "several folds" else ("plain",):
                yield Scenario(
                    "packed_element", mode, name, edge, flow, proofs.element(config, name),
                    partial(operate, config, drawn), products(config, drawn),
                    packed_element.cycles(config, drawn),
                )  # fmt: skip


def draw(config: PackedConfig, folds: int, codes: int) -> Folds:
    """Codes over their whole range, and sums to which each adds one more."""
    seeded = random.Random(folds * codes)

    def several(bits: int, number: int) -> tuple[int, ...]:
        return tuple(seeded.randrange(-(1 << bits - 1), 1 << bits - 1) for _ in range(number))

    def passage() -> Passage:
        chosen = [seeded.randrange(config.chains) for _ in range(config.depth)]
        on = tuple(int(i == c) for c in chosen for i in range(config.chains))
        sums = several(config.sum_bits - 1, config.width * config.chains)
        return Passage(several(config.product.a.bits, config.depth), on, sums)

    held = config.width * config.depth
    return [(several(config.product.b.bits, held), [passage() for _ in range(codes)]) for _ in range(folds)]


def operate(config: PackedConfig, folds: Folds, stepper: Stepper) -> tuple[Any, int]:
    """All folds with a stepper."""
    return packed_element.run(config, folds, stepper)


def products(config: PackedConfig, folds: Folds) -> list[tuple[int, ...]]:
    """What numpy gives."""
    totals = []
    for held, passing in folds:
        kept = np.array(held).reshape(config.width, config.depth)
        for x in passing:
            on = np.array(x.on).reshape(config.depth, config.chains)
            made = np.array(x.sum).reshape(config.width, config.chains) + (kept * np.array(x.code)) @ on
            totals.append(tuple(int(t) for t in made.ravel()))
    return totals
