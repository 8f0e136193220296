"""The sequencer for all states: with and without overlap, shipped and small, and with a slow accumulator."""

from __future__ import annotations

from hwmodels.rtl.twin import Edit, Twin
from hwmodels.units import sequencer
from hwmodels.units.sequencer import FOLD_BITS, SequencerConfig


def parameters(config: SequencerConfig) -> dict[str, int]:
    """Those of the module."""
    return {
        "ROWS": config.rows,
        "COLUMNS": config.columns,
        "OVERLAP": int(config.overlap),
        "LATENCY": config.latency,
        "SLOT_BITS": config.slot_bits,
        "MOVING_BITS": config.moving_bits,
        "FOLD_BITS": FOLD_BITS,
    }


def control(config: SequencerConfig, label: str) -> Twin:
    """The state machine."""
    return Twin(
        unit=sequencer, label=label, config=config, module="sequencer", parameters=parameters(config),
        tested="tests/units/test_sequencer_step.py",
    )  # fmt: skip


def twins() -> list[Twin]:
    """Those of two shipped arrays, and of small ones."""
    return [
        control(SequencerConfig(64, 64, True, 1, 7, 8), "bct64"),
        control(SequencerConfig(32, 32, False, 1, 6, 9), "no overlap"),
        control(SequencerConfig(4, 3, True, 7, 3, 4), "slow accumulator"),
        control(SequencerConfig(2, 1, False, 3, 2, 2), "smallest"),
        control(SequencerConfig(5, 2, True, 1, 4, 3), "odd"),
    ]


PARTS = {"sequencer": control}
"""Modules that others have as parts, and how a twin of one is made from its configuration."""

BY_HAND = (
    Edit("sequencer.sv", "LEFT_BITS'(Wave - 1)", "LEFT_BITS'(Wave)", "latency"),
    Edit("sequencer.sv", "LEFT_BITS'(Least - 1)", "LEFT_BITS'(LATENCY - 1)", "latency"),
    Edit("sequencer.sv", "onward      = OVERLAP && streamed", "onward      = OVERLAP && over", "latency"),
    Edit("sequencer.sv", "row == '0 && slot == '0", "row == '0", "latency"),
    Edit("sequencer.sv", "if (stream) final_slot", "if (load_next) final_slot", "latency"),
    Edit("sequencer.sv", "load_row + ROW_BITS'(loading)", "load_row + 1'b1", "width"),
)
