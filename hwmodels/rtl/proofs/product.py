"""Products of codes in a window, under every rounding: decoders, a multiplier that is cut, and a shift."""

from __future__ import annotations

from hwmodels.rtl.twin import Cut, Edit, Twin
from hwmodels.rtl.words import Number
from hwmodels.units import product
from hwmodels.units.ops import FLOOR, HALF_UP, RNE
from hwmodels.units.product import INT8, STICKY, Code, Inputs, ProductConfig, State, is_number

E4M3 = Code(8, 4, hidden=True, subnormal=True, largest=0x7E)
E5M2 = Code(8, 5, hidden=True, subnormal=True, largest=0x7B)
E2M1 = Code(4, 2, hidden=True, subnormal=True, largest=0x7)
E2M3 = Code(6, 2, hidden=True, subnormal=True, largest=0x1F)
DMF = Code(8, 4, largest=0x7F)
LOG = Code(8, 7, hidden=True, subnormal=True, largest=0x7F)


def parameters(config: ProductConfig) -> dict[str, int]:
    """Those of the module `code_product`."""
    fields = {
        f"{side}_{name}": int(value)
        for side, code in (("A", config.a), ("B", config.b))
        for name, value in (
            ("BITS", code.bits), ("EXPONENT_BITS", code.exponent_bits), ("HIDDEN", code.hidden),
            ("SUBNORMAL", code.subnormal),
        )
    }  # fmt: skip
    own = {"EXACT_BITS": config.exact_bits, "DROPPED": config.dropped, "ROUNDING": config.rounding}
    return fields | own


def promised(config: ProductConfig, _: State, inputs: Inputs) -> Number:
    """Both codes are numbers: nothing stores NaN or infinity."""
    return is_number(config.a, inputs.a) & is_number(config.b, inputs.b)


def twin(label: str, a: Code, b: Code, window: int, rounding: int) -> Twin:
    """Two kinds of codes in one window."""
    config = ProductConfig(a, b, window, rounding)
    return Twin(
        unit=product, label=label, config=config, module="code_product", parameters=parameters(config),
        cuts=(Cut("multiplier", ("u_multiplier",)),), promised=promised, reset=lambda _, state: state,
        tested="tests/units/test_product.py",
    )  # fmt: skip


def twins() -> list[Twin]:
    """Codes with and without exponents, a hidden one or nothing else, in wide windows and in narrow ones."""
    return [
        twin("E4M3", E4M3, E4M3, 48, FLOOR),
        twin("E4M3, 24 bits, half even", E4M3, E4M3, 24, RNE),
        twin("E4M3, 20 bits, half up", E4M3, E4M3, 20, HALF_UP),
        twin("E4M3, 20 bits, sticky", E4M3, E4M3, 20, STICKY),
        twin("int8 x E4M3", INT8, E4M3, 48, FLOOR),
        twin("int8 x E2M1", INT8, E2M1, 48, FLOOR),
        twin("E2M3", E2M3, E2M3, 48, FLOOR),
        twin("E2M1, 6 bits, sticky", E2M1, E2M1, 6, STICKY),
        twin("DMF x int4", DMF, Code(4), 12, RNE),
        twin("E5M2, 48 bits", E5M2, E5M2, 48, FLOOR),
        twin("logarithms, 48 bits", LOG, LOG, 48, FLOOR),
        twin("logarithms x int8, 48 bits", LOG, INT8, 48, RNE),
    ]


BY_HAND = (
    Edit("code_product.sv", "half & (lost | quotient[1])", "half & quotient[1]", "sticky"),
    Edit("code_product.sv", "assign half = quotient[0]", "assign half = quotient[1]", "rounding"),
    Edit("code_product.sv", "ES'(exponent_a) + ES'(exponent_b)", "ES'(exponent_a) - ES'(exponent_b)", "sign"),
    Edit("code_product.sv", "(EA > EB ? EA : EB) + 1", "(EA > EB ? EA : EB)", "width"),
    Edit("code_decoder.sv", "x[BITS-1] ? -size : size", "x[BITS-1] ? ~size : size", "sign"),
    Edit("code_decoder.sv", "HIDDEN & ~(SUBNORMAL & is_zero)", "HIDDEN", "rounding"),
)
