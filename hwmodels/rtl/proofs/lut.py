"""The LUT unit: a lane with any table for all states, and lanes side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from hwmodels.machines import load
from hwmodels.rtl.reading import Reading
from hwmodels.rtl.twin import Claim, Cut, Edit, Twin
from hwmodels.rtl.words import AnyTable, Terms
from hwmodels.units import lut
from hwmodels.units.lut import CODE_BITS, EXPONENT_BITS, LutConfig
from hwmodels.units.ports import signed


def parameters(config: LutConfig) -> dict[str, int]:
    """Those of the module `lut_lane`."""
    return {
        "CODE_BITS": CODE_BITS,
        "BITS": config.in_bits,
        "FRACTION": config.fraction,
        "STEP_BITS": config.step_bits,
        "SEGMENTS": len(config.table) - 1,
        "LATENCY": config.latency,
    }


def operation(config: LutConfig, elements: int) -> Callable[[Terms, Reading], Iterator[Claim]]:
    """Any elements and any table, from the first in to the last out."""

    def claims(terms: Terms, reading: Reading) -> Iterator[Claim]:
        codes = [terms.unknown(f"code {i}", signed(CODE_BITS)) for i in range(elements)]
        exponents = [terms.unknown(f"exponent {i}", signed(EXPONENT_BITS)) for i in range(elements)]
        table: Any = AnyTable.named(terms, "table", len(config.table), signed(config.in_bits))
        own = replace(config, table=table)
        (sums, below, clipped), count = reading.of(lut.run)(own, codes, exponents)
        want = reading.of(lut.result)(own, codes, exponents)
        yield Claim("cycles", count == lut.cycles(own, elements))
        yield Claim("exponents", below == want[1])
        yield Claim("clipped", clipped == want[2])
        for i in range(elements):
            yield Claim(f"sum {i}", sums[i] == want[0][i])

    return claims


def lane(config: LutConfig, label: str) -> Twin:
    """One lane."""
    return Twin(
        unit=lut, label=label, config=config, module="lut_lane", parameters=parameters(config),
        name="lut lane", part_of="lut",
        ports=lut.lane_ports, step=lut.lane_step, reset=lambda _, state: state,
        cuts=(Cut("multiplier", ("u_between.u_slope",)),),
    )  # fmt: skip


def whole(config: LutConfig, label: str) -> Twin:
    """All lanes, each of them cut; a whole operation of two lanes and three elements."""
    instances = tuple(f"lane[{i}].u" for i in range(config.lanes))
    return Twin(
        unit=lut, label=label, config=config, module="lut",
        parameters={"LANES": config.lanes, **parameters(config)},
        cuts=(Cut("lut_lane", instances, lut.lane_step, lut.lane_ports),),
        operation=operation(replace(config, lanes=2), 3), scope="2 lanes, 3 elements",
    )  # fmt: skip


def twins() -> list[Twin]:
    """The shipped unit, and one with other widths and a longer pipeline."""
    shipped = load("bct64").lut_config("gelu")
    other = LutConfig(lanes=3, in_bits=16, fraction=8, step_bits=3, table=(0,) * 65, latency=6)
    return [lane(shipped, "bct64"), whole(shipped, "bct64"), lane(other, "16 bits"), whole(other, "16 bits")]


PARTS = {"lut_lane": lane}
"""Modules that others have as parts, and how a twin of one is made from its configuration."""

BY_HAND = (
    Edit("interpolate.sv", "1 << (LOW - 1)", "1 << LOW", "rounding"),
    Edit("round_shift.sv", "half & (sticky | quotient[1])", "half & sticky", "sticky"),
    Edit("lut_lane.sv", "word < 0 ? '0 : word", "word < 0 ? word : '0", "sign"),
    Edit("lut.sv", "assign done = busy[LATENCY-1]", "assign done = busy[LATENCY-2]", "latency"),
    Edit("saturate.sv", "{1'b0, {(WO - 1) {1'b1}}}", "{2'b0, {(WO - 2) {1'b1}}}", "width"),
)
