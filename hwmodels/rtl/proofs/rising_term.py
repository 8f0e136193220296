"""One term under a rising bound: guard bits, roundings, accumulators that saturate or wrap."""

from __future__ import annotations

from hwmodels.rtl.twin import Edit, Twin
from hwmodels.units import rising_term
from hwmodels.units.accumulator import AccumulatorConfig
from hwmodels.units.aligner import AlignerConfig
from hwmodels.units.ops import FLOOR, HALF_UP, RNE
from hwmodels.units.rising_term import TermConfig


def parameters(config: TermConfig) -> dict[str, int]:
    """Those of the module."""
    return {
        "SUM_BITS": config.sum_bits,
        "GUARD_BITS": config.aligner.guard_bits,
        "MAX_SHIFT": config.aligner.max_shift,
        "ROUNDING": config.aligner.rounding,
        "BITS": config.accumulator.bits,
        "SATURATING": int(config.accumulator.saturating),
        "FRACTION": config.fraction,
    }


def term(config: TermConfig, label: str) -> Twin:
    """One term's part."""
    return Twin(
        unit=rising_term, label=label, config=config, module="rising_term", parameters=parameters(config),
        part_of="mac_array",
    )  # fmt: skip


def twins() -> list[Twin]:
    """At the shipped widths, and narrower in every mode."""
    wide, narrow = AccumulatorConfig(32, True, 256, 2, 1), AccumulatorConfig(20, False, 16, 2, 1)
    return [
        term(TermConfig(22, AlignerConfig(8, 31, RNE), wide, 0), "22 bits to 32"),
        term(
            TermConfig(14, AlignerConfig(3, 15, HALF_UP), AccumulatorConfig(24, True, 16, 2, 1), 0), "half up"
        ),
        term(TermConfig(12, AlignerConfig(-3, 7, FLOOR), narrow, 0), "fewer bits, wraps"),
        term(TermConfig(9, AlignerConfig(0, 15, RNE), narrow, 0), "no guard bits"),
        term(TermConfig(20, AlignerConfig(3, 15, RNE), narrow, 9), "nine bits of fraction"),
    ]


PARTS = {"rising_term": term}
"""Modules that others have as parts, and how a twin of one is made from its configuration."""

BY_HAND = (
    Edit("rising_term.sv", "exponent < bound ?", "exponent <= bound + 1 ?", "width"),
    Edit("rising_term.sv", "row == ZeroBlock || column == ZeroBlock ||", "row == ZeroBlock ||", "sign"),
    Edit("rising_term.sv", "BOUND'(row) + BOUND'(column)", "BOUND'(E'(row + column))", "width"),
    Edit("rising_term.sv", ".acc(moved)", ".acc(word)", "rounding"),
    Edit(
        "rising_term.sv", ".exponent(exponent), .bound(top)", ".exponent(exponent), .bound(bound)", "rounding"
    ),
    Edit("aligner.sv", "too_far_right = shift < -Longest", "too_far_right = shift <= -Longest", "width"),
)
