"""Whole operations of the accumulator: words in turn against the kernels' add, compiled."""

from __future__ import annotations

import random
from functools import partial

import numpy as np

from hwmodels.kernels.jit import kernel
from hwmodels.kernels.panel import Index
from hwmodels.rtl.proofs import accumulator as proofs
from hwmodels.units import accumulator
from hwmodels.units.accumulator import AccumulatorConfig, add, overflows
from rtl.cosim import FLOWS, Scenario, Stepper

CONFIGS = {
    "32 bits": AccumulatorConfig(32, True, 256, 2, 1, 33),
    "16 bits latency 3": AccumulatorConfig(16, True, 5, 2, 3, 40),
    "48 bits latency 2": AccumulatorConfig(48, True, 8, 2, 2, 48),
}

EDGES = {"one update": (1, 1), "one word": (9, 1), "two words": (9, 2), "more words than cycles": (23, 5)}


@kernel
def accumulated(words: Index, terms: Index, bits: int, saturating: bool) -> int:
    """Add each term to the next word in turn; how many sums did not fit."""
    lost = 0
    for i in range(len(terms)):
        place = i % len(words)
        lost += overflows(words[place], terms[i], bits)
        words[place] = add(words[place], terms[i], bits, saturating)
    return lost


def scenarios() -> list[Scenario]:
    """Each mode, width, latency and number of words."""
    made = []
    for mode, saturating in (("saturating", True), ("wrapping", False)):
        for name, fields in CONFIGS.items():
            config = AccumulatorConfig(
                fields.bits, saturating, fields.rows, 2, fields.latency, fields.sum_bits
            )
            twin = proofs.twin(config, name, 1)
            for edge, (updates, words) in EDGES.items():
                draw = random.Random(f"{mode} {name} {edge}")
                start = [draw.randrange(-1 << config.bits - 1, 1 << config.bits - 1) for _ in range(words)]
                reach = min(config.bits, config.sum_bits) - 1
                terms = [draw.randrange(-1 << reach, 1 << reach) for _ in range(updates)]
                after = np.array(start, np.int64)
                lost = accumulated(after, np.array(terms, np.int64), config.bits, saturating)
                given = [(i % words, x) for i, x in enumerate(terms)]
                for flow in FLOWS if edge == "more words than cycles" else FLOWS[:1]:
                    gaps = (0, 7, updates - 1) if flow == "bubbles" else ()
                    made.append(
                        Scenario(
                            "accumulator", mode, name, edge, flow, twin,
                            partial(_operate, config, start, given, gaps),
                            (after.tolist(), lost),
                            accumulator.cycles(config, updates, words) + len(gaps),
                        )
                    )  # fmt: skip
    return made


def _operate(
    config: AccumulatorConfig,
    start: list[int],
    given: list[tuple[int, int]],
    gaps: tuple[int, ...],
    stepper: Stepper,
) -> tuple[tuple[list[int], int], int]:
    return accumulator.run(config, start, given, stepper, gaps)
