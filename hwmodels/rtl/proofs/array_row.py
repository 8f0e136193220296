"""A row of the array: whole where it is short, and at shipped lengths with its elements cut."""

from __future__ import annotations

from hwmodels.rtl.proofs import processing_element as one
from hwmodels.rtl.twin import Cut, Edit, Twin
from hwmodels.units import array_row, processing_element
from hwmodels.units.array_row import RowConfig
from hwmodels.units.processing_element import ElementConfig
from hwmodels.units.product import integers


def parameters(config: RowConfig) -> dict[str, int]:
    """Those of the module."""
    return {
        "COLUMNS": config.columns,
        "SLOT_BITS": config.slot_bits,
        **one.parameters(config.element),
    }


def row(config: RowConfig, label: str, whole: bool = False, default: bool = True) -> Twin:
    """One row."""
    instances = tuple(f"element[{j}].u" for j in range(config.columns))
    cut = Cut("processing_element", instances, processing_element.step, processing_element.ports)
    return Twin(
        unit=array_row, label=label, config=config, module="array_row", parameters=parameters(config),
        cuts=() if whole else (cut,), part_of="mac_array", default=default,
    )  # fmt: skip


def twins() -> list[Twin]:
    """The shipped rows, and short ones down to the multipliers."""
    return [
        row(RowConfig(ElementConfig(integers(8, 8), 22, 1, True), 64, 7), "bct64"),
        row(RowConfig(ElementConfig(integers(8, 8), 23, 1, True), 128, 8), "tpu128"),
        row(RowConfig(ElementConfig(integers(8, 8), 18, 2, True), 3, 3), "three elements", whole=True),
        row(RowConfig(ElementConfig(integers(8, 4), 14, 1, False), 2, 3), "no shadow", whole=True),
        row(RowConfig(ElementConfig(integers(4, 8), 14, 3, False), 1, 2), "one element", whole=True),
    ]


PARTS = {"array_row": row}
"""Modules that others have as parts, and how a twin of one is made from its configuration."""

BY_HAND = (
    Edit("array_row.sv", "load_out   <= ~rst & halfway", "load_out   <= ~rst & load", "latency"),
    Edit("array_row.sv", "own = wave[1] ? following : held", "own = swap ? following : held", "latency"),
    Edit("array_row.sv", "own[TAG-1:CHAINS]", "SLOT_BITS'(own[TAG-2:CHAINS])", "width"),
    Edit("array_row.sv", ".load(loads[j])", ".load(load)", "latency"),
    Edit("array_row.sv", "ons[j*CHAINS+:CHAINS]", "ons[0+:CHAINS]", "latency"),
    Edit("array_row.sv", "wave[0] &&", "valid &&", "latency"),
)
