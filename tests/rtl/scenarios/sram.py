"""Whole operations of the SRAM: reads and writes against a list of words, as no kernel has a memory."""

from __future__ import annotations

import random
from functools import partial

from hwmodels.rtl.proofs import sram as proofs
from hwmodels.units import sram
from hwmodels.units.sram import Access, SramConfig
from rtl.cosim import FLOWS, Scenario, Stepper


def accesses(mode: str, config: SramConfig, count: int) -> list[Access]:
    """Random ones, or all of them reads of the word that is being written."""
    draw = random.Random(f"{mode} {config} {count}")
    top = 1 << config.bits - 1
    made = []
    for _ in range(count):
        address, word = draw.randrange(config.words), draw.randrange(-top, top)
        if mode == "same word":
            made.append(Access(1, address, 1, address, word))
        else:
            made.append(
                Access(draw.randrange(2), draw.randrange(config.words), draw.randrange(2), address, word)
            )
    return made


def scenarios() -> list[Scenario]:
    """Each mode, size and length; what a flow adds, such as a reset, changes no word."""
    made = []
    for words, bits in ((4, 8), (16, 32), (5, 48)):
        config, twin = SramConfig(words, bits), proofs.twin(words, bits)
        for mode in ("any word", "same word"):
            for edge, count in (("one access", 1), ("every word", 2 * words), ("many", 60)):
                given = accesses(mode, config, count)
                for flow in FLOWS if edge == "many" else FLOWS[:1]:
                    if flow == "bubbles":
                        given = [Access(0, 0, 0, 0, 0) if i % 3 == 1 else a for i, a in enumerate(given)]
                    made.append(
                        Scenario(
                            "sram", mode, f"{words} x {bits}", edge, flow, twin,
                            partial(_operate, config, given),
                            sram.result(config, given), sram.cycles(len(given)),
                        )
                    )  # fmt: skip
    return made


def _operate(config: SramConfig, given: list[Access], stepper: Stepper) -> tuple[list[int], int]:
    return sram.run(config, given, stepper)
