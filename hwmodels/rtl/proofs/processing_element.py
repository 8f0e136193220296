"""An element of the array: with and without a shadow register, several widths, one and more sums."""

from __future__ import annotations

from hwmodels.rtl.proofs.product import E2M1, E4M3, E5M2, LOG, LOG_ROOT
from hwmodels.rtl.twin import Cut, Edit, Twin
from hwmodels.units import processing_element
from hwmodels.units.ops import FLOOR, HALF_UP, RNE
from hwmodels.units.processing_element import ElementConfig
from hwmodels.units.product import INT8, STICKY, Code, ProductConfig, integers, operand_bits


def parameters(config: ElementConfig) -> dict[str, int]:
    """Those of the module."""
    return {
        **multiplier(config.product),
        "SUM_BITS": config.sum_bits,
        "CHAINS": config.chains,
        "OVERLAP": int(config.overlap),
    }


def multiplier(config: ProductConfig) -> dict[str, int]:
    """Those of what an element multiplies: the width of operands, and the window of codes with exponents."""
    a, b = config.a, config.b
    plain = {"MOVING_BITS": operand_bits(config, a), "HELD_BITS": operand_bits(config, b)}
    if not config.has_exponents:
        return plain
    return plain | {
        "MOVING_EXPONENT": a.exponent_bits, "HELD_EXPONENT": b.exponent_bits, "PRODUCT_BITS": config.bits,
        "DROPPED": config.dropped, "WINDOW_ROUNDING": config.rounding,
    }  # fmt: skip


def element(config: ElementConfig, label: str) -> Twin:
    """One element; multipliers of significands are cut."""
    cut = Cut("multiplier", ("u_product.words.u.u_multiplier",) if config.product.has_exponents else ())
    return Twin(
        unit=processing_element, label=label, config=config, module="processing_element",
        parameters=parameters(config), cuts=(cut,) if cut.instances else (),
        tested="tests/units/test_processing_element_step.py",
    )  # fmt: skip


def twins() -> list[Twin]:
    """The shipped element, weights or inputs of four bits, elements without shadow, and more sums.

    And codes with exponents: wide windows and narrow ones, every rounding, one sum and more.
    """

    def of(a: Code, b: Code, window: int, rounding: int, chains: int, overlap: bool) -> ElementConfig:
        product = ProductConfig(a, b, window, rounding)
        return ElementConfig(product, product.bits + 6, chains, overlap)

    return [
        element(ElementConfig(integers(8, 8), 22, 1, True), "bct64"),
        element(ElementConfig(integers(8, 4), 18, 1, True), "int8 x int4"),
        element(ElementConfig(integers(4, 8), 17, 2, True), "int4 moves, two sums"),
        element(ElementConfig(integers(8, 8), 23, 1, False), "no shadow"),
        element(ElementConfig(integers(4, 4), 9, 3, False), "no shadow, three sums"),
        element(of(E4M3, E4M3, 48, FLOOR, 1, True), "E4M3"),
        element(of(E4M3, E4M3, 24, RNE, 1, True), "E4M3, 24 bits, half even"),
        element(of(E5M2, E4M3, 32, STICKY, 2, False), "E5M2 x E4M3, 32 bits, sticky, two sums, no shadow"),
        element(of(E2M1, INT8, 48, FLOOR, 1, True), "E2M1 x int8"),
        element(of(LOG, LOG, 48, HALF_UP, 1, True), "logarithms, 48 bits, half up"),
        element(of(LOG_ROOT, INT8, 48, FLOOR, 3, False), "half octaves x int8, three sums, no shadow"),
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
        "SUM_BITS'(product[PRODUCT_BITS-2:0])",
        "width",
    ),
    Edit("processing_element.sv", "ons[i]  <= on[i]", "ons[i]  <= on[0]", "latency"),
    Edit("multiplier.sv", "input  logic signed [WB-1:0]    b", "input  logic [WB-1:0] b", "sign"),
    Edit("element_product.sv", "FA'(a >> SA)", "FA'(a >> (SA - 1))", "width"),
    Edit("window_product.sv", "assign up = half;", "assign up = lost;", "rounding"),
    Edit("window_product.sv", "(half | lost) & ~quotient[1]", "half & ~quotient[1]", "sticky"),
)
