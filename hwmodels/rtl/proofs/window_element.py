"""An element of an array for codes with exponents: formats, windows, roundings, with and without a shadow."""

from __future__ import annotations

from hwmodels.rtl.proofs.product import E2M1, E4M3, E5M2, LOG, LOG_ROOT
from hwmodels.rtl.twin import Cut, Edit, Twin
from hwmodels.units import window_element
from hwmodels.units.ops import FLOOR, HALF_UP, RNE
from hwmodels.units.product import INT8, STICKY, Code, ProductConfig
from hwmodels.units.window_element import WindowElementConfig


def parameters(config: WindowElementConfig) -> dict[str, int]:
    """Those of the module."""
    p = config.product
    return {
        "WA": p.a.signed_bits, "WB": p.b.signed_bits, "EA": p.a.exponent_bits,
        "EB": p.b.exponent_bits, "EXACT_BITS": p.exact_bits, "DROPPED": p.dropped, "ROUNDING": p.rounding,
        "SUM_BITS": config.sum_bits, "CHAINS": config.chains, "OVERLAP": int(config.overlap),
    }  # fmt: skip


def element(config: WindowElementConfig, label: str) -> Twin:
    """One element."""
    return Twin(
        unit=window_element, label=label, config=config, module="window_element",
        parameters=parameters(config), cuts=(Cut("multiplier", ("u_window.u_multiplier",)),),
        tested="tests/units/test_window_element_step.py",
    )  # fmt: skip


def twins() -> list[Twin]:
    """Elements for wide windows and narrow ones, every rounding, one sum and more."""

    def of(a: Code, b: Code, window: int, rounding: int, chains: int, overlap: bool) -> WindowElementConfig:
        product = ProductConfig(a, b, window, rounding)
        return WindowElementConfig(product, product.bits + 6, chains, overlap)

    return [
        element(of(E4M3, E4M3, 48, FLOOR, 1, True), "E4M3"),
        element(of(E4M3, E4M3, 24, RNE, 1, True), "E4M3, 24 bits, half even"),
        element(of(E5M2, E4M3, 32, STICKY, 2, False), "E5M2 x E4M3, 32 bits, sticky, two sums, no shadow"),
        element(of(E2M1, INT8, 48, FLOOR, 1, True), "E2M1 x int8"),
        element(of(LOG, LOG, 48, HALF_UP, 1, True), "logarithms, 48 bits, half up"),
        element(of(LOG_ROOT, INT8, 48, FLOOR, 3, False), "half octaves x int8, three sums, no shadow"),
    ]


PARTS = {"window_element": element}
"""Modules that others have as parts, and how a twin of one is made from its configuration."""

BY_HAND = (
    Edit("window_element.sv", "swap ? following : held", "swapping ? following : held", "latency"),
    Edit(
        "window_element.sv", "if (load) following <= passed", "if (load) following <= passed_out", "latency"
    ),
    Edit("window_element.sv", "SUM_BITS'(product) : '0", "SUM_BITS'($unsigned(product)) : '0", "sign"),
    Edit("window_element.sv", "FA'(code >> WA)", "FA'(code >> (WA - 1))", "width"),
    Edit("window_element.sv", "ons[i]  <= on[i]", "ons[i]  <= on[0]", "latency"),
    Edit("window_product.sv", "assign up = half;", "assign up = lost;", "rounding"),
    Edit("window_product.sv", "(half | lost) & ~quotient[1]", "half & ~quotient[1]", "sticky"),
)
