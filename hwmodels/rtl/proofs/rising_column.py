"""A column's edge under a rising bound: its terms cut, and one whole."""

from __future__ import annotations

from hwmodels.rtl.proofs import column as fixed
from hwmodels.rtl.twin import Cut, Edit, Twin
from hwmodels.units import rising_column, rising_term
from hwmodels.units.accumulator import AccumulatorConfig
from hwmodels.units.aligner import AlignerConfig
from hwmodels.units.column import ColumnConfig
from hwmodels.units.ops import FLOOR, HALF_UP, RNE


def parameters(config: ColumnConfig) -> dict[str, int]:
    """Those of the module: all of a column's but the rows, as terms are not joined."""
    return {name: value for name, value in fixed.parameters(config).items() if name != "ROWS"}


def edge(config: ColumnConfig, label: str, whole: bool = False) -> Twin:
    """One column's edge."""
    terms = tuple(f"chain[{i}].u" for i in range(config.chains))
    cut = Cut("rising_term", terms, rising_term.step, rising_term.ports)
    return Twin(
        unit=rising_column, label=label, config=config, module="rising_column",
        parameters=parameters(config), cuts=() if whole else (cut,), part_of="mac_array",
    )  # fmt: skip


def twins() -> list[Twin]:
    """An edge of the shipped widths, and narrower ones in every mode."""
    held, wraps = AccumulatorConfig(24, True, 16, 2, 1), AccumulatorConfig(20, False, 16, 2, 1)
    shipped = AccumulatorConfig(32, True, 256, 2, 1)
    return [
        edge(ColumnConfig(22, 1, 64, 8, 7, 8, 12, AlignerConfig(8, 31, RNE), shipped, 0), "22 bits to 32"),
        edge(ColumnConfig(14, 2, 4, 8, 3, 4, 3, AlignerConfig(3, 15, HALF_UP), held, 0), "two aligners"),
        edge(ColumnConfig(9, 3, 3, 8, 3, 4, 3, AlignerConfig(0, 15, RNE), wraps, 0), "three aligners"),
        edge(
            ColumnConfig(12, 1, 4, 8, 3, 4, 3, AlignerConfig(-3, 7, FLOOR), wraps, 0),
            "fewer bits, wraps",
            whole=True,
        ),
    ]


PARTS = {"rising_column": edge}
"""Modules that others have as parts, and how a twin of one is made from its configuration."""

BY_HAND = (
    Edit("rising_column.sv", "fresh     = fold == '0", "fresh     = row == '0", "latency"),
    Edit("rising_column.sv", "first     = slot == '0", "first     = last", "latency"),
    Edit("rising_column.sv", "fresh ? floor : word[BITS+:BOUND]", "floor", "latency"),
    Edit("rising_column.sv", "partial <= words[CHAINS*BITS+:BITS]", "partial <= words[BITS-1:0]", "latency"),
    Edit("rising_column.sv", ".column(held[i*E+:E])", ".column(held[0+:E])", "width"),
    Edit(
        "rising_column.sv", "valid & first & fresh & bias_lost", "valid & last & fresh & bias_lost", "latency"
    ),
)
