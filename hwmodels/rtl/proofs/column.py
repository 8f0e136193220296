"""A column's edge: guard bits, roundings, longer and shorter biases, accumulators that saturate or wrap."""

from __future__ import annotations

from hwmodels.rtl.twin import Edit, Twin
from hwmodels.units import column
from hwmodels.units.accumulator import AccumulatorConfig
from hwmodels.units.aligner import AlignerConfig
from hwmodels.units.column import ColumnConfig
from hwmodels.units.ops import FLOOR, HALF_UP, RNE


def parameters(config: ColumnConfig) -> dict[str, int]:
    """Those of the module."""
    return {
        "SUM_BITS": config.sum_bits,
        "CHAINS": config.chains,
        "ROWS": config.rows,
        "BIAS_BITS": config.bias_bits,
        "SLOT_BITS": config.slot_bits,
        "MOVING_BITS": config.moving_bits,
        "FOLD_BITS": config.fold_bits,
        "GUARD_BITS": config.aligner.guard_bits,
        "MAX_SHIFT": config.aligner.max_shift,
        "ROUNDING": config.aligner.rounding,
        "BITS": config.accumulator.bits,
        "SATURATING": int(config.accumulator.saturating),
        "FRACTION": config.fraction,
    }


def edge(config: ColumnConfig, label: str, default: bool = True) -> Twin:
    """One column's edge."""
    return Twin(
        unit=column, label=label, config=config, module="column", parameters=parameters(config),
        part_of="mac_array", default=default,
    )  # fmt: skip


def twins() -> list[Twin]:
    """The shipped edge, and narrower ones in every mode."""
    held, wraps = AccumulatorConfig(24, True, 16, 2, 1), AccumulatorConfig(20, False, 16, 2, 1)
    shipped = AccumulatorConfig(32, True, 256, 2, 1)
    return [
        edge(ColumnConfig(22, 1, 64, 8, 7, 8, 12, AlignerConfig(8, 31, RNE), shipped, 0), "bct64"),
        edge(
            ColumnConfig(22, 1, 64, 32, 7, 8, 12, AlignerConfig(8, 31, RNE), shipped, 0),
            "bias of 32 bits",
            default=False,
        ),
        edge(ColumnConfig(14, 2, 4, 8, 3, 4, 3, AlignerConfig(3, 15, HALF_UP), held, 0), "two aligners"),
        edge(ColumnConfig(12, 1, 4, 8, 3, 4, 3, AlignerConfig(-3, 7, FLOOR), wraps, 0), "fewer bits, wraps"),
        edge(ColumnConfig(9, 3, 3, 8, 3, 4, 3, AlignerConfig(0, 15, RNE), wraps, 0), "three aligners"),
        edge(
            ColumnConfig(20, 1, 4, 8, 3, 4, 3, AlignerConfig(3, 15, RNE), wraps, 9), "nine bits of fraction"
        ),
        edge(ColumnConfig(11, 2, 4, 8, 3, 4, 3, AlignerConfig(2, 7, HALF_UP), held, -4), "windows cut above"),
    ]


PARTS = {"column": edge}
"""Modules that others have as parts, and how a twin of one is made from its configuration."""

BY_HAND = (
    Edit("column.sv", "assign fresh     = fold == '0", "assign fresh     = row == '0", "latency"),
    Edit("column.sv", "slot == '0 ? '0 : partial", "last ? '0 : partial", "latency"),
    Edit("column.sv", "JoinBits'(term)", "JoinBits'($unsigned(term))", "sign"),
    Edit("column.sv", "above > floor ? above : floor", "above", "sign"),
    Edit("column.sv", "(E + 1)'(top) + (E + 1)'(held_top)", "E'(top + held_top)", "width"),
    Edit("round_shift.sv", "half & (sticky | quotient[1])", "half & quotient[1]", "sticky"),
    Edit("aligner.sv", ".ROUNDING(ROUNDING)", ".ROUNDING(1)", "rounding"),
)
