"""The sequencer against the schedule that the closed forms say."""

from __future__ import annotations

from functools import partial
from typing import Any

from hwmodels.rtl.proofs import sequencer as proofs
from hwmodels.units import sequencer
from hwmodels.units.sequencer import SequencerConfig
from rtl.cosim import Scenario, Stepper

CONFIGS = {
    "4 x 4": SequencerConfig(4, 4, True, 1, 3, 4),
    "4 x 4 serial": SequencerConfig(4, 4, False, 1, 3, 4),
    "2 x 1 slow accumulator": SequencerConfig(2, 1, True, 5, 3, 4),
    "7 x 3 serial slow accumulator": SequencerConfig(7, 3, False, 9, 3, 4),
}

EDGES: dict[str, tuple[int, list[int]]] = {
    "one row one fold": (1, [1]),
    "one row several folds": (1, [1, 3, 1]),
    "several folds": (6, [2, 1, 4]),
    "all rows": (16, [1, 2]),
}


def scenarios() -> list[Scenario]:
    """Each sequencer at every edge, and every flow of several folds."""
    made = []
    for name, config in CONFIGS.items():
        mode = "overlap" if config.overlap else "serial"
        for edge, (moving, intervals) in EDGES.items():
            for flow in ("plain", "reset", "back-to-back") if edge == "several folds" else ("plain",):
                made.append(
                    Scenario(
                        "sequencer",
                        mode,
                        name,
                        edge,
                        flow,
                        proofs.control(config, name),
                        partial(operate, config, moving, intervals),
                        sequencer.result(config, moving, intervals),
                        sequencer.cycles(config, moving, intervals),
                    )
                )
    return made


def operate(config: SequencerConfig, moving: int, intervals: list[int], stepper: Stepper) -> tuple[Any, int]:
    """The operation with a stepper."""
    return sequencer.run(config, moving, intervals, stepper)
