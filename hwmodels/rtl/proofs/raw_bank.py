"""A column's raw bank, with one sum per slot and with more."""

from __future__ import annotations

from hwmodels.rtl.twin import Edit, Twin
from hwmodels.units import raw_bank
from hwmodels.units.raw_bank import BankConfig


def bank(config: BankConfig, label: str) -> Twin:
    """One column's."""
    return Twin(
        unit=raw_bank, label=label, config=config, module="raw_bank",
        parameters={"SUM_BITS": config.sum_bits, "CHAINS": config.chains, "RAW_BITS": config.raw_bits},
        part_of="mac_array",
    )  # fmt: skip


def twins() -> list[Twin]:
    """At the shipped width, and with two and three aligners."""
    return [
        bank(BankConfig(22, 1, 32), "one aligner"),
        bank(BankConfig(14, 2, 32), "two aligners"),
        bank(BankConfig(9, 3, 32), "three aligners"),
        bank(BankConfig(43, 1, 54), "54 bits"),
    ]


PARTS = {"raw_bank": bank}
"""Modules that others have as parts, and how a twin of one is made from its configuration."""

BY_HAND = (
    Edit("raw_bank.sv", "i == 0 && carried", "carried", "width"),
    Edit("raw_bank.sv", "i == 0 && carried", "i == 0 && carried_out", "latency"),
    Edit("raw_bank.sv", "RAW_BITS'(own)", "RAW_BITS'($unsigned(own))", "sign"),
    Edit("raw_bank.sv", "valid & |open", "valid & open[0]", "width"),
    Edit("raw_bank.sv", "open[i] ? '0 : whole", "open[i] ? '0 : RAW_BITS'(own)", "latency"),
    Edit("raw_bank.sv", "valid       <= ~rst & coming", "valid       <= coming", "latency"),
)
