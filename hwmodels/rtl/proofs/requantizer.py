"""The requantizer: a lane for all sums, the tree, and lanes side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from hwmodels.machines import load
from hwmodels.rtl.reading import Reading
from hwmodels.rtl.twin import Claim, Cut, Edit, Twin
from hwmodels.rtl.words import Terms
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


def sums_of_exponents(config: RequantizerConfig, state: Any) -> int:
    """What searches read is the sum of two exponents, in any state after a cycle."""
    source = state.written[0] if config.merged else state.read
    most = (1 << EXPONENT_BITS - 1) + (1 << SHIFT_BITS - 1)
    return (source.exponent >= -most) & (source.exponent < most)


def lane(config: RequantizerConfig, label: str) -> Twin:
    """One lane."""
    multipliers = ("read.u_scale", *("written[0].u.u_scale",) * config.merged)
    return Twin(
        unit=requantizer, label=label, config=config, module="requantizer_lane",
        parameters=parameters(config), name="requantizer lane",
        ports=requantizer_lane.lane_ports, step=requantizer_lane.lane_step, reset=lambda _, state: state,
        invariant=sums_of_exponents, cuts=(Cut("multiplier", multipliers),),
    )  # fmt: skip


def whole(config: RequantizerConfig, label: str) -> Twin:
    """All lanes, each of them cut."""
    instances = tuple(f"lane[{i}].u" for i in range(config.lanes))
    return Twin(
        unit=requantizer, label=label, config=config, module="requantizer",
        parameters={"LANES": config.lanes, **parameters(config)},
        cuts=(Cut("requantizer_lane", instances, requantizer_lane.lane_step, requantizer_lane.lane_ports),),
    )  # fmt: skip


def twins() -> list[Twin]:
    """The shipped unit, and some with separate passes, a longer pipeline and an odd number of lanes."""
    shipped = load("bct64").requantizer_config
    other = RequantizerConfig(lanes=3, merged=False, latency=6)
    return [lane(shipped, "bct64"), lane(other, "separate"), whole(other, "separate"), whole(replace(shipped,lanes=8), "8"),whole(replace(shipped,lanes=1), "1"), whole(shipped, "bct64")]
