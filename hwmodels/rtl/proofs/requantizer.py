"""The requantizer: a lane for all sums, the tree, and lanes side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from hwmodels.machines import load
from hwmodels.rtl.reading import Reading
from hwmodels.rtl.twin import Claim, Cut, Edit, Twin
from hwmodels.rtl.words import Number, Terms
from hwmodels.units import requantizer, requantizer_lane
from hwmodels.units.ports import signed, unsigned
from hwmodels.units.requantizer import RequantizerConfig
from hwmodels.units.requantizer_lane import (
    EXPONENT_BITS,
    MULTIPLIER_BITS,
    RANK_BITS,
    SHIFT_BITS,
    STORED_BITS,
    SUM_BITS,
)


def parameters(config: RequantizerConfig) -> dict[str, int]:
    """Those of the module `requantizer_lane`."""
    return {"MERGED": int(config.merged), "LATENCY": config.latency}


def sums_of_exponents(config: RequantizerConfig, state: Any) -> Number:
    """What searches read is the sum of two exponents, in any state after a cycle."""
    source = state.written[0] if config.merged else state.read
    most = (1 << EXPONENT_BITS - 1) + (1 << SHIFT_BITS - 1)
    return (source.exponent >= -most) & (source.exponent < most)


def lane(config: RequantizerConfig, label: str) -> Twin:
    """One lane."""
    multipliers = ("read.u_scale", *("written[0].u.u_scale",) * config.merged)
    return Twin(
        unit=requantizer, label=label, config=config, module="requantizer_lane",
        parameters=parameters(config), name="requantizer lane", part_of="requantizer",
        ports=requantizer_lane.lane_ports, step=requantizer_lane.lane_step, reset=lambda _, state: state,
        invariant=sums_of_exponents, cuts=(Cut("multiplier", multipliers),),
    )  # fmt: skip


def operation(
    config: RequantizerConfig, elements: int, bits: int, mode: str, raised: bool
) -> Callable[[Terms, Reading], Iterator[Claim]]:
    """One block of any sums under any scales, with its exponent searched, `static`, or its `top` known."""

    def claims(terms: Terms, reading: Reading) -> Iterator[Claim]:
        def any_of(name: str, kind: Any) -> list[Any]:
            return [terms.unknown(f"{name} {i}", kind) for i in range(elements)]

        sums, exponents = any_of("sum", signed(SUM_BITS)), any_of("exponent", signed(EXPONENT_BITS))
        factors, shifts = any_of("multiplier", unsigned(MULTIPLIER_BITS)), any_of("shift", signed(SHIFT_BITS))
        known = {
            "search": {},
            "static": {"stored": terms.unknown("stored", signed(STORED_BITS))},
            "top": {"top": terms.unknown("top", signed(RANK_BITS))},
        }[mode]
        (codes, exponent, clamped, saturated), count = reading.of(requantizer.run)(
            config, sums, exponents, bits, scales=(factors, shifts), raised=raised, **known
        )
        products = [reading.of(requantizer.scaled)(a, m) for a, m in zip(sums, factors, strict=True)]
        totals = [
            reading.of(requantizer.scaled_exponent)(e, x) for e, x in zip(exponents, shifts, strict=True)
        ]
        want = reading.of(requantizer.result)(products, totals, bits, raised=raised, **known)
        yield Claim("cycles", count == requantizer.cycles(config, elements, mode != "search"))
        yield Claim("exponent", exponent == want[1])
        yield Claim("clamped", clamped == want[2])
        under = reading.of(requantizer.result)(products, totals, bits, exponent)  # which is that of `want`
        yield Claim("saturated", saturated == under[3])
        for i in range(elements):
            yield Claim(f"code {i}", codes[i] == under[0][i])

    return claims


def whole(
    config: RequantizerConfig, label: str, bits: int = 8, mode: str = "search", raised: bool = True
) -> Twin:
    """All lanes, each of them cut; a whole operation of two lanes and three elements."""
    instances = tuple(f"lane[{i}].u" for i in range(config.lanes))
    return Twin(
        unit=requantizer, label=label, config=config, module="requantizer",
        parameters={"LANES": config.lanes, **parameters(config)},
        cuts=(Cut("requantizer_lane", instances, requantizer_lane.lane_step, requantizer_lane.lane_ports),),
        operation=operation(replace(config, lanes=2), 3, bits, mode, raised), scope="2 lanes, 3 elements",
    )  # fmt: skip


def twins() -> list[Twin]:
    """The shipped units, and some with separate passes, a longer pipeline and an odd number of lanes.

    A unit of 4096 lanes, as one machine has, differs from these in their number alone.
    """
    shipped, edge, tpu = (load(name).requantizer_config for name in ("bct64", "edge16", "tpu128"))
    odd = RequantizerConfig(lanes=3, merged=False, latency=6)
    single = RequantizerConfig(lanes=1, merged=False, latency=6)
    pair = RequantizerConfig(lanes=2, merged=True, latency=5)
    return [
        lane(shipped, "bct64"),
        whole(shipped, "bct64"),
        whole(edge, "edge16", bits=16),
        lane(odd, "separate passes"),
        lane(pair, "five stages"),
        whole(odd, "separate passes", bits=16),
        whole(single, "one lane", bits=4),
        whole(pair, "two lanes, static", mode="static"),
        whole(pair, "two lanes, never raised", raised=False),
        whole(odd, "three lanes, six bits", bits=6),
        whole(pair, "two lanes, searched before", bits=4, mode="top"),
        replace(whole(tpu, "tpu128"), default=False),
    ]


PARTS = {"requantizer_lane": lane}
"""Modules that others have as parts, and how a twin of one is made from its configuration."""

BY_HAND = (
    Edit("requantizer_round.sv", "kept[1] & (kept[0] | kept[2])", "kept[1]", "rounding"),
    Edit("requantizer_rank.sv", "16'h1fff", "16'h3fff", "rounding"),
    Edit("requantizer_shift.sv", "quotient[0] | lost", "quotient[0]", "sticky"),
    Edit("requantizer_rank.sv", "W'(-acc)", "W'(~acc)", "sign"),
    Edit("requantizer_tree.sv", "logic signed [W-1:0] a, b;", "logic [W-1:0] a, b;", "sign"),
    Edit("requantizer_lane.sv", "own ? joined : top_1", "own ? joined : top", "latency"),
    Edit("requantizer.sv", ".form_4(form_3)", ".form_4(form_2)", "latency"),
    Edit("requantizer_exponent.sv", "RANK_BITS'(2)", "RANK_BITS'(3)", "width"),
    Edit("requantizer_round.sv", "W'(4)", "W'(8)", "width"),
    Edit("requantizer_scale.sv", "(sum_exponent) + SCALED", "(sum_exponent) - SCALED", "sign"),
)
