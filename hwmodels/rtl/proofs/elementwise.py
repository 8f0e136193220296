"""The element-wise unit: a lane under every rounding, and lanes side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from hwmodels.machines import load
from hwmodels.rtl.reading import Reading
from hwmodels.rtl.twin import Claim, Cut, Edit, Twin
from hwmodels.rtl.words import Number, Terms
from hwmodels.units import elementwise
from hwmodels.units.elementwise import CODE_BITS, EXPONENT_BITS, SUM_BITS, ElementwiseConfig
from hwmodels.units.ops import FLOOR, HALF_UP, RNE
from hwmodels.units.ports import signed


def parameters(config: ElementwiseConfig) -> dict[str, int]:
    """Those of the module `elementwise_lane`."""
    return {
        "GUARD_BITS": config.guard_bits,
        "MAX_SHIFT": config.max_shift,
        "ROUNDING": config.rounding,
        "LATENCY": config.latency,
        "CODE_BITS": CODE_BITS,
        "SUM_BITS": SUM_BITS,
    }


def operation(
    config: ElementwiseConfig, elements: int, gaps: Sequence[int]
) -> Callable[[Terms, Reading], Iterator[Claim]]:
    """Any elements of two rows, added and multiplied, from the first in to the last out."""

    def claims(terms: Terms, reading: Reading) -> Iterator[Claim]:
        def row(name: str, bits: int) -> list[int]:
            return [terms.unknown(f"{name} {i}", signed(bits)) for i in range(elements)]

        rows = row("a", CODE_BITS), row("ea", EXPONENT_BITS), row("b", CODE_BITS), row("eb", EXPONENT_BITS)
        for multiply, name in ((False, "added"), (True, "multiplied")):
            got, count = reading.of(elementwise.run)(config, multiply, *rows, gaps=gaps)
            flushed: Number = 0
            if multiply:
                sums, exponents = reading.of(elementwise.result_mul)(*rows)
            else:
                sums, exponents, flushed = reading.of(elementwise.result_add)(config, *rows)
            yield Claim(f"{name}: cycles", count == elementwise.cycles(config, elements) + len(gaps))
            yield Claim(f"{name}: flushed", got[2] == flushed)
            for i in range(elements):
                yield Claim(f"{name}: sum {i}", got[0][i] == sums[i])
                yield Claim(f"{name}: exponent {i}", got[1][i] == exponents[i])

    return claims


def lane(config: ElementwiseConfig, label: str) -> Twin:
    """One lane."""
    return Twin(
        unit=elementwise, label=label, config=config, module="elementwise_lane",
        parameters=parameters(config), name="elementwise lane", part_of="elementwise",
        ports=elementwise.lane_ports, step=elementwise.lane_step, reset=lambda _, state: state,
        cuts=(Cut("multiplier", ("u_product",)),),
    )  # fmt: skip


def whole(config: ElementwiseConfig, label: str) -> Twin:
    """All lanes, each of them cut; a whole operation of two lanes, three elements and a gap."""
    instances = tuple(f"lane[{i}].u" for i in range(config.lanes))
    return Twin(
        unit=elementwise, label=label, config=config, module="elementwise",
        parameters={"LANES": config.lanes, **parameters(config)},
        cuts=(Cut("elementwise_lane", instances, elementwise.lane_step, elementwise.lane_ports),),
        operation=operation(replace(config, lanes=2), 3, (1,)), scope="2 lanes, 3 elements",
    )  # fmt: skip


def twins() -> list[Twin]:
    """The shipped unit; no guard bits and the longest shift; all guard bits and a longer pipeline."""
    shipped = load("bct64").elementwise_config
    none = ElementwiseConfig(1, guard_bits=0, max_shift=62, rounding=FLOOR, latency=3)
    most = ElementwiseConfig(3, guard_bits=15, max_shift=15, rounding=HALF_UP, latency=5)
    short = ElementwiseConfig(2, guard_bits=1, max_shift=1, rounding=RNE, latency=4)
    return [
        lane(shipped, "bct64"),
        whole(shipped, "bct64"),
        lane(none, "no guard bits, floor"),
        whole(none, "no guard bits, floor"),
        lane(most, "15 guard bits, half up"),
        whole(most, "15 guard bits, half up"),
        lane(short, "shifts of 1"),
    ]


PARTS = {"elementwise_lane": lane}
"""Modules that others have as parts, and how a twin of one is made from its configuration."""

BY_HAND = (
    Edit("round_shift.sv", "half & (sticky | quotient[1])", "half & sticky", "sticky"),
    Edit("round_shift.sv", "quotient[W:1] + W'(up)", "quotient[W:1]", "rounding"),
    Edit("elementwise_lane.sv", "top - b_exponent", "b_exponent - top", "sign"),
    Edit("elementwise_lane.sv", "zero ? 9'(ZeroBlock) :", "", "width"),
    Edit(
        "elementwise_lane.sv", "9'(a_exponent) + 9'(b_exponent)", "9'(8'(a_exponent + b_exponent))", "width"
    ),
    Edit("elementwise_lane.sv", "multiplies ? 2'd0 :", "multiply ? 2'd0 :", "latency"),
    Edit("elementwise.sv", "assign done = busy[LATENCY-1]", "assign done = busy[LATENCY-2]", "latency"),
)
