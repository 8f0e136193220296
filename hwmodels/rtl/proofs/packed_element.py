"""An element that takes several codes: along the reduction, along the outputs, with and without a shadow."""

from __future__ import annotations

from itertools import product

from hwmodels.rtl.proofs.processing_element import multiplier
from hwmodels.rtl.proofs.product import E2M1
from hwmodels.rtl.twin import Cut, Edit, Twin
from hwmodels.units import packed_element
from hwmodels.units.ops import FLOOR
from hwmodels.units.packed_element import PackedConfig
from hwmodels.units.product import ProductConfig, integers


def parameters(config: PackedConfig) -> dict[str, int]:
    """Those of the module."""
    return {
        **multiplier(config.product),
        "SUM_BITS": config.sum_bits,
        "DEPTH": config.depth,
        "WIDTH": config.width,
        "CHAINS": config.chains,
        "OVERLAP": int(config.overlap),
    }


def element(config: PackedConfig, label: str) -> Twin:
    """One element; multipliers of significands are cut."""
    places = product(range(config.width), range(config.depth))
    cut = Cut("multiplier", tuple(f"result[{j}].at[{d}].u.words.u.u_multiplier" for j, d in places))
    return Twin(
        unit=packed_element, label=label, config=config, module="packed_element",
        parameters=parameters(config), cuts=(cut,) if config.product.has_exponents else (),
        tested="tests/units/test_packed_element_step.py",
    )  # fmt: skip


def twins() -> list[Twin]:
    """Those of a 64 x 64 array packed either way, and elements without shadow and with more sums."""
    fours = ProductConfig(E2M1, E2M1, 48, FLOOR)
    return [
        element(PackedConfig(integers(4, 4), 15, 2, 1, 1, True), "along the reduction"),
        element(PackedConfig(integers(4, 4), 14, 1, 2, 1, True), "along the outputs"),
        element(PackedConfig(integers(4, 4), 12, 2, 1, 2, False), "no shadow, two sums"),
        element(PackedConfig(integers(3, 4), 10, 1, 2, 3, False), "no shadow, three sums each"),
        element(PackedConfig(integers(2, 3), 9, 2, 2, 1, True), "both"),
        element(PackedConfig(fours, fours.bits + 7, 2, 1, 1, True), "E2M1 along the reduction"),
        element(PackedConfig(fours, fours.bits + 6, 1, 2, 2, False), "E2M1 along the outputs, two sums"),
    ]


PARTS = {"packed_element": element}
"""Modules that others have as parts, and how a twin of one is made from its configuration."""

BY_HAND = (
    Edit(
        "packed_element.sv",
        "swap ? following[h] : held[h]",
        "shadow.swapping ? following[h] : held[h]",
        "latency",
    ),
    Edit("packed_element.sv", "SUM_BITS'(product)", "SUM_BITS'($unsigned(product))", "sign"),
    Edit("packed_element.sv", "on[d*CHAINS+i] ?", "on[i] ?", "latency"),
    Edit(
        "packed_element.sv",
        "factors[(j*DEPTH+d)*HELD_BITS+:HELD_BITS]), .p",
        "factors[d*HELD_BITS+:HELD_BITS]), .p",
        "latency",
    ),
    Edit(
        "packed_element.sv",
        "codes[d] <= code[d*MOVING_BITS+:MOVING_BITS]",
        "codes[d] <= code[0+:MOVING_BITS]",
        "latency",
    ),
    Edit("packed_element.sv", "= added[DEPTH*SUM_BITS+:SUM_BITS]", "= added[SUM_BITS+:SUM_BITS]", "width"),
)
