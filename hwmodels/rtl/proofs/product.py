"""Products of codes in a window, under every rounding: decoders, a multiplier that is cut, and a shift."""

from __future__ import annotations

from hwmodels.rtl.twin import Cut, Edit, Twin
from hwmodels.rtl.words import Number
from hwmodels.units import product
from hwmodels.units.ops import FLOOR, HALF_UP, RNE
from hwmodels.units.product import INT8, STICKY, Code, CodeInputs, Inputs, ProductConfig, State, is_number

E4M3 = Code(8, 4, hidden=True, subnormal=True, largest=0x7E)
E5M2 = Code(8, 5, hidden=True, subnormal=True, largest=0x7B)
E2M1 = Code(4, 2, hidden=True, subnormal=True, largest=0x7)
E2M3 = Code(6, 2, hidden=True, subnormal=True, largest=0x1F)
DMF = Code(8, 4, largest=0x7F)
LOG2 = Code(4, 4, hidden=True, subnormal=True, largest=0xF, signed=False)
LOG_ROOT = Code(4, 3, hidden=True, subnormal=True, largest=0xF, signed=False, roots=True)
LOG = Code(8, 7, hidden=True, subnormal=True, largest=0x7F)


ALONE = {"E4M3": E4M3, "E5M2": E5M2, "DMF": DMF, "logarithms": LOG, "octaves": LOG2, "half octaves": LOG_ROOT}
"""Codes that need no block."""


def parameters(config: ProductConfig) -> dict[str, int]:
    """Those of the module `code_product`."""
    fields = {
        f"{side}_{name}": int(value)
        for side, code in (("A", config.a), ("B", config.b))
        for name, value in (
            ("BITS", code.bits), ("EXPONENT_BITS", code.exponent_bits), ("HIDDEN", code.hidden),
            ("SUBNORMAL", code.subnormal), ("SIGNED", code.signed), ("ROOTS", code.roots),
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
        cuts=(Cut("multiplier", ("u_window.u_multiplier",)),), promised=promised,
        reset=lambda _, state: state, tested="tests/units/test_product.py",
    )  # fmt: skip


def is_bounded(code: Code, _: State, inputs: CodeInputs) -> Number:
    """A number that the exponent of its block bounds."""
    return is_number(code, inputs.x) & (product.exponent(code, inputs.x) + inputs.lift <= code.reach)


def lifted(label: str, code: Code) -> Twin:
    """A code that counts from an anchor."""
    parameters = {
        "BITS": code.bits, "EXPONENT_BITS": code.exponent_bits, "HIDDEN": int(code.hidden),
        "SUBNORMAL": int(code.subnormal), "SIGNED": int(code.signed), "ROOTS": int(code.roots),
    }  # fmt: skip
    return Twin(
        unit=product, label=label, config=code, module="lifted_decoder", parameters=parameters,
        promised=is_bounded, reset=lambda _, state: state, tested="tests/units/test_product.py",
        name="lifted decoder", ports=product.code_ports, step=product.code_step,
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
        twin("octaves x int8", LOG2, INT8, 48, FLOOR),
        twin("octaves x E4M3, 24 bits, sticky", LOG2, E4M3, 24, STICKY),
        twin("half octaves x int8", LOG_ROOT, INT8, 48, FLOOR),
        twin("half octaves x E2M3, 16 bits, half even", LOG_ROOT, E2M3, 16, RNE),
        *(lifted(label, code) for label, code in ALONE.items()),
    ]


BY_HAND = (
    Edit("code_product.sv", ".exponent_b(exponent_b)", ".exponent_b(EB'(exponent_a))", "width"),
    Edit("window_product.sv", "half & (lost | quotient[1])", "half & quotient[1]", "sticky"),
    Edit("window_product.sv", "assign half = quotient[0]", "assign half = quotient[1]", "rounding"),
    Edit("window_product.sv", "ES'(exponent_a) + ES", "ES'(exponent_a) - ES", "sign"),
    Edit("window_product.sv", "(EA > EB ? EA : EB) + 1", "(EA > EB ? EA : EB)", "width"),
    Edit("code_decoder.sv", "x[BITS-1] ? -size : size", "x[BITS-1] ? ~size : size", "sign"),
    Edit("code_decoder.sv", "x[0] ? SIGNIFICAND_BITS'(128)", "~x[0] ? SIGNIFICAND_BITS'(128)", "rounding"),
    Edit("code_decoder.sv", "FIELD_BITS'(!x[0])", "FIELD_BITS'(1)", "width"),
    Edit("lifted_decoder.sv", "own + lift", "own - lift", "sign"),
    Edit("code_decoder.sv", "HIDDEN & ~(SUBNORMAL & is_zero)", "HIDDEN", "rounding"),
)
