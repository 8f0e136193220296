"""A row of elements that take several codes: whole where it is short, and 64 long with its elements cut."""

from __future__ import annotations

from hwmodels.rtl.proofs import packed_element as one
from hwmodels.rtl.twin import Cut, Edit, Twin
from hwmodels.units import packed_element, packed_row
from hwmodels.units.packed_element import PackedConfig
from hwmodels.units.packed_row import PackedRowConfig
from hwmodels.units.product import integers


def parameters(config: PackedRowConfig) -> dict[str, int]:
    """Those of the module."""
    return {
        "COLUMNS": config.columns,
        "SLOT_BITS": config.slot_bits,
        **one.parameters(config.element),
    }


def row(config: PackedRowConfig, label: str, whole: bool = False) -> Twin:
    """One row."""
    instances = tuple(f"element[{j}].u" for j in range(config.columns))
    cut = Cut("packed_element", instances, packed_element.step, packed_element.ports)
    return Twin(
        unit=packed_row, label=label, config=config, module="packed_row", parameters=parameters(config),
        cuts=() if whole else (cut,), part_of="mac_array",
    )  # fmt: skip


def twins() -> list[Twin]:
    """Rows of a 64 x 64 array packed either way, and short ones down to the multipliers."""
    return [
        row(PackedRowConfig(PackedConfig(integers(4, 4), 15, 2, 1, 1, True), 64, 8), "along the reduction"),
        row(PackedRowConfig(PackedConfig(integers(4, 4), 14, 1, 2, 1, True), 64, 7), "along the outputs"),
        row(
            PackedRowConfig(PackedConfig(integers(4, 4), 11, 2, 1, 2, True), 2, 3), "two elements", whole=True
        ),
        row(PackedRowConfig(PackedConfig(integers(4, 3), 10, 1, 2, 1, False), 2, 3), "no shadow", whole=True),
        row(
            PackedRowConfig(PackedConfig(integers(3, 4), 10, 2, 1, 3, False), 1, 2), "one element", whole=True
        ),
    ]


PARTS = {"packed_row": row}
"""Modules that others have as parts, and how a twin of one is made from its configuration."""

BY_HAND = (
    Edit("packed_row.sv", "load_out <= ~rst & halfway", "load_out <= ~rst & load", "latency"),
    Edit("packed_row.sv", "wave[1] ? following[d] : held[d]", "swap ? following[d] : held[d]", "latency"),
    Edit("packed_row.sv", "== own[d*TAG+CHAINS+:SLOT_BITS]", "== own[CHAINS+:SLOT_BITS]", "width"),
    Edit("packed_row.sv", ".load(loads[j])", ".load(load)", "latency"),
    Edit("packed_row.sv", "here ? own[d*TAG+:CHAINS]", "here ? own[0+:CHAINS]", "width"),
    Edit("packed_row.sv", "here = wave[0] &&", "here = valid &&", "latency"),
)
