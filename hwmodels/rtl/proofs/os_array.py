"""The array in which outputs stay: an element and an aligner for all states, and arrays made of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from hwmodels.machines import load
from hwmodels.rtl.proofs import processing_element as one
from hwmodels.rtl.proofs.product import E2M1, E4M3, E5M2
from hwmodels.rtl.reading import Reading
from hwmodels.rtl.twin import Claim, Cut, Edit, Twin
from hwmodels.rtl.words import Number, Terms
from hwmodels.units import mac_array, os_array, os_element
from hwmodels.units.accumulator import AccumulatorConfig
from hwmodels.units.aligner import EXACT, NORMALISES, RUNNING, AlignerConfig
from hwmodels.units.built_array import BuiltArray
from hwmodels.units.mac_array import MatmulOperands
from hwmodels.units.ops import FLOOR, HALF_UP, RNE, ZERO_BLOCK, select
from hwmodels.units.ports import signed
from hwmodels.units.product import INT8

TESTED = "tests/units/test_os_array_step.py"


def parameters(config: BuiltArray) -> dict[str, int]:
    """Those of the module `os_aligner`."""
    lane, word = config.array.aligner, config.array.accumulator
    assert not config.packed, "operands of 4 bits are not packed where outputs stay"
    return {
        "GROUP": os_element.group(config),
        "BITS": word.bits,
        "SATURATING": int(word.saturating),
        "GUARD_BITS": lane.guard_bits,
        "MAX_SHIFT": lane.max_shift,
        "ROUNDING": lane.rounding,
        "NORMALISE": config.array.normalise,
        "RAW_BITS": config.raw_bits,
        "FRACTION": config.product.fraction,
    }


def multiplier(config: BuiltArray) -> dict[str, int]:
    """Those of an element's multiplier."""
    renamed = {
        "MOVING_BITS": "A_BITS",
        "HELD_BITS": "W_BITS",
        "MOVING_EXPONENT": "A_EXPONENT",
        "HELD_EXPONENT": "W_EXPONENT",
    }
    return {renamed.get(name, name): value for name, value in one.multiplier(config.product).items()}


def product_of(config: BuiltArray) -> str:
    """Where the multiplier of significands is in an element."""
    return "u_product.words.u.u_multiplier" if config.product.has_exponents else "u_product.codes.u"


def element(config: BuiltArray, label: str) -> Twin:
    """One element."""
    return Twin(
        unit=os_element, label=label, config=config, module="os_element",
        parameters={"BITS": config.array.accumulator.bits, "RAW_BITS": config.raw_bits, **multiplier(config)},
        name="os element", part_of="os array",
        ports=os_element.element_ports, step=os_element.element_step, reset=lambda _, state: state,
        cuts=(Cut("multiplier", (product_of(config),)),),
    )  # fmt: skip


def aligner(config: BuiltArray, label: str, default: bool = True) -> Twin:
    """One aligner."""
    return Twin(
        unit=os_element, label=label, config=config, module="os_aligner", parameters=parameters(config),
        name="os aligner", part_of="os array", default=default,
        ports=os_element.aligner_ports, step=os_element.aligner_step, reset=os_element.aligner_reset,
    )  # fmt: skip


def operation(config: BuiltArray, starts: tuple[int, ...]) -> Callable[[Terms, Reading], Iterator[Claim]]:
    """A tile of the array's size with a code in each segment: any codes and exponents, any bias."""

    def claims(terms: Terms, reading: Reading) -> Iterator[Claim]:
        choose, k = reading.of(select), len(starts)

        def operand(name: str, count: int) -> tuple[list[list[Number]], list[list[Number]]]:
            codes, exponents = [], []
            for i in range(count):
                own = [terms.unknown(f"{name} exponent {i} {s}", signed(8)) for s in range(k)]
                free = [terms.unknown(f"{name} code {i} {s}", signed(8)) for s in range(k)]
                codes.append([choose(e == ZERO_BLOCK, 0, x) for e, x in zip(own, free, strict=True)])
                exponents.append(own)
            return codes, exponents

        own = config.array
        a, w = operand("a", own.rows), operand("w", own.columns)
        bias = [[terms.unknown(f"bias {x} {j}", signed(8)) for j in range(own.columns)] for x in range(2)]
        o = MatmulOperands(a[0], a[1], w[0], w[1], bias[0], bias[1], starts, (True,) * k)
        got, count = reading.of(os_array.run)(config, o)
        want = reading.of(mac_array.result)(own, o)
        yield Claim("cycles", count == os_array.cycles(config, k, starts))
        for i in range(own.rows):
            for j in range(own.columns):
                yield Claim(f"sum {i} {j}", got.sums[i][j] == want.sums[i][j])
                yield Claim(f"exponent {i} {j}", got.exponents[i][j] == want.exponents[i][j])
        yield Claim("flushed", got.flushed == want.flushed)
        yield Claim("overflows", got.overflows == want.overflows)

    return claims


def array(config: BuiltArray, label: str, *parts: str, default: bool = True) -> Twin:
    """A whole array; `parts` of the kinds of its parts are cut, and products where elements are not."""
    columns = range(config.array.columns)
    elements = [f"element[{i}].at[{j}].u" for i in range(config.array.rows) for j in columns]
    aligners = [f"aligner[{g}].at[{j}].u" for g in range(os_element.groups(config)) for j in columns]
    cuts = {
        "aligner": Cut("os_aligner", tuple(aligners), os_element.aligner_step, os_element.aligner_ports),
        "element": Cut("os_element", tuple(elements), os_element.element_step, os_element.element_ports),
        "product": Cut("multiplier", tuple(f"{own}.{product_of(config)}" for own in elements)),
    }
    return Twin(
        unit=os_array, label=label, config=config, module="os_array",
        parameters={
            "ROWS": config.array.rows, "COLUMNS": config.array.columns, **parameters(config),
            **multiplier(config),
        },
        name="os array", cuts=tuple(cuts[part] for part in parts), tested=TESTED, default=default,
    )  # fmt: skip


def twins() -> list[Twin]:
    """The shipped array; aligners of every kind; arrays small enough to be proved whole."""
    shipped = load("scalesim").array_config
    small = replace(shipped, rows=3, columns=3, aligners=2)
    large = replace(shipped, rows=16, columns=16, aligners=2)
    narrow = replace(
        small, aligner=AlignerConfig(2, 7, RNE), accumulator=AccumulatorConfig(16, True, 8, 2, 1)
    )
    wrapping = AccumulatorConfig(20, False, 8, 2, 1)
    wide = AccumulatorConfig(48, True, 8, 2, 1)
    single = replace(narrow, rows=1, columns=1)
    built = BuiltArray
    rises = replace(small, normalise=RUNNING, aligner=AlignerConfig(2, 20, HALF_UP), accumulator=wrapping)
    return [
        element(built(shipped), "scalesim"),
        element(built(replace(shipped, accumulator=wide)), "48 bits"),
        element(built(shipped, E4M3, E4M3), "E4M3"),
        element(built(replace(shipped, window=24, window_rounding=RNE), E5M2, INT8), "E5M2 x int8, 24 bits"),
        aligner(built(shipped), "scalesim"),
        aligner(built(replace(large, normalise=EXACT)), "8 rows, exact"),
        aligner(built(replace(small, aligner=AlignerConfig(-3, 40, FLOOR))), "negative guard bits"),
        aligner(built(rises), "running"),
        aligner(built(replace(small, aligners=3, normalise=RUNNING)), "running, a row each", default=False),
        aligner(
            built(replace(small, aligner=AlignerConfig(15, 62, RNE), accumulator=wide)),
            "48 bits",
            default=False,
        ),
        aligner(built(narrow), "16 bits", default=False),
        aligner(built(narrow, E2M1, INT8), "E2M1 x int8, 16 bits"),
        aligner(built(replace(rises, window=9), E2M1, INT8), "E2M1 x int8, 9 bits, running"),
        array(built(small), "3 x 3, 2 aligners", "aligner", "product"),
        array(built(small, E4M3, INT8), "3 x 3 E4M3 x int8", "aligner", "product"),
        array(built(large), "16 x 16, 2 aligners", "aligner", "element"),
        array(built(shipped), "scalesim", "aligner", "element", default=False),
        array(
            built(replace(narrow, rows=2, columns=2, aligners=1)), "2 x 2, whole", "product", default=False
        ),
        array(built(narrow), "3 x 3, whole", "product", default=False),
        *(
            replace(
                array(built(replace(single, normalise=kind)), f"1 x 1, {name}", "product", default=False),
                operation=operation(built(replace(single, normalise=kind)), (0, 1)),
            )
            for name, kind in NORMALISES.items()
        ),
    ]


PARTS = {"os_aligner": aligner, "os_element": element}
"""Modules that others have as parts, and how a twin of one is made from its configuration."""

BY_HAND = (
    Edit("os_element.sv", "first ? RAW_BITS'(product)", "served ? RAW_BITS'(product)", "latency"),
    Edit("os_element.sv", "raw + RAW_BITS'(product)", "raw + RAW_BITS'(product[PRODUCT_BITS-2:0])", "sign"),
    Edit("os_aligner.sv", "serve && turn == '0", "serve", "latency"),
    Edit("os_aligner.sv", "row != ZeroBlock && of_column", "of_column", "sign"),
    Edit("os_aligner.sv", "= Wanted > 1 ? Wanted : 1", "= Wanted - 1", "width"),
    Edit("os_aligner.sv", "int Shift = WORD + 2", "int Shift = WORD", "width"),
    Edit("os_aligner.sv", "(Shift'(top) - Shift'(exponent))", "(Shift'(top) + Shift'(exponent))", "sign"),
    Edit("round_shift.sv", "half & (sticky | quotient[1])", "half & quotient[1]", "sticky"),
    Edit("round_shift.sv", "assign up = half;", "assign up = sticky;", "rounding"),
    Edit("os_array.sv", "done_in | ready", "ready", "latency"),
    Edit("os_array.sv", "(WORD + 1)'($signed(top)) - Guard", "(WORD + 1)'(top) - Guard", "sign"),
)  # fmt: skip
