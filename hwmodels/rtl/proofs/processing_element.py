"""An element of the array: with and without a shadow register, several widths, one and more sums."""

from __future__ import annotations

from hwmodels.rtl.twin import Edit, Twin
from hwmodels.units import processing_element
from hwmodels.units.processing_element import ElementConfig


def parameters(config: ElementConfig) -> dict[str, int]:
    """Those of the module."""
    return {
        "MOVING_BITS": config.moving_bits,
        "HELD_BITS": config.held_bits,
        "SUM_BITS": config.sum_bits,
        "CHAINS": config.chains,
        "OVERLAP": int(config.overlap),
    }


def element(config: ElementConfig, label: str) -> Twin:
    """One element."""
    return Twin(
        unit=processing_element, label=label, config=config, module="processing_element",
        parameters=parameters(config),
        tested="tests/units/test_processing_element_step.py",
    )  # fmt: skip


def twins() -> list[Twin]:
    """The shipped element, weights or inputs of four bits, elements without shadow, and more sums."""
    return [
        element(ElementConfig(8, 8, 22, 1, True), "bct64"),
        element(ElementConfig(8, 4, 18, 1, True), "int8 x int4"),
        element(ElementConfig(4, 8, 17, 2, True), "int4 moves, two sums"),
        element(ElementConfig(8, 8, 23, 1, False), "no shadow"),
        element(ElementConfig(4, 4, 9, 3, False), "no shadow, three sums"),
    ]


PARTS = {"processing_element": element}
"""Modules that others have as parts, and how a twin of one is made from its configuration."""

BY_HAND = (
    Edit("processing_element.sv", "swap ? following : held", "swapping ? following : held", "latency"),
    Edit(
        "processing_element.sv",
        "if (load) following <= passed",
        "if (load) following <= passed_out",
        "latency",
    ),
    Edit(
        "processing_element.sv",
        "on[i] ? SUM_BITS'(product) : '0",
        "on[i] ? SUM_BITS'($unsigned(product)) : '0",
        "sign",
    ),
    Edit(
        "processing_element.sv",
        "SUM_BITS'(product)",
        "SUM_BITS'(product[MOVING_BITS+HELD_BITS-2:0])",
        "width",
    ),
    Edit("processing_element.sv", "ons[i]  <= on[i]", "ons[i]  <= on[0]", "latency"),
    Edit("multiplier.sv", "input  logic signed [WB-1:0]    b", "input  logic [WB-1:0] b", "sign"),
)
