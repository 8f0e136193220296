"""The softmax unit: its parts with any tables for all states, and the whole of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from hwmodels.machines import load
from hwmodels.rtl.reading import Reading
from hwmodels.rtl.twin import Claim, Cut, Edit, Twin
from hwmodels.rtl.words import AnyTable, Terms
from hwmodels.units import softmax, softmax_parts, softmax_step
from hwmodels.units.ports import FLAG, signed, unsigned
from hwmodels.units.softmax import CODE_BITS, ENTRY_BITS, EXPONENT_BITS, FRACTION, SUM_BITS, SoftmaxConfig, word_bits
from hwmodels.units.softmax_parts import COUNT_BITS, lane_sum_bits

TESTS = "tests/units/test_softmax_step.py"


def control(config: SoftmaxConfig, label: str) -> Twin:
    """The controller."""
    return Twin(
        unit=softmax_parts, label=label, config=config, module="softmax_control",
        parameters={"LATENCY": config.latency, "COUNT": COUNT_BITS},
        tested=TESTS, name="softmax control", ports=softmax_parts.control_ports,
        step=softmax_parts.control_step, reset=lambda _, state: softmax_parts.IDLE,
    )  # fmt: skip


def lane(config: SoftmaxConfig, label: str) -> Twin:
    """One lane."""
    return Twin(
        unit=softmax_parts, label=label, config=config, module="softmax_lane",
        parameters={
            "CODE_BITS": CODE_BITS, "GUARD": config.guard_bits, "FRACTION": FRACTION,
            "SEGMENTS": len(config.exp2) - 1, "LATENCY": config.latency,
        },
        cuts=(Cut("multiplier", ("u_line.u_slope", "u_quotient")),),
        tested=TESTS, name="softmax lane", ports=softmax_parts.lane_ports, step=softmax_parts.lane_step,
        reset=lambda _, state: state,
    )  # fmt: skip


def of_row(config: SoftmaxConfig, label: str) -> Twin:
    """The part for rows."""
    return Twin(
        unit=softmax_parts, label=label, config=config, module="softmax_row",
        parameters={
            "GUARD": config.guard_bits, "FRACTION": FRACTION, "SUM_BITS": SUM_BITS,
            "SEGMENTS": len(config.reciprocal) - 1,
        },
        cuts=(Cut("multiplier", ("u_inverse.u_slope",)),),
        tested=TESTS, name="softmax row", ports=softmax_parts.row_ports, step=softmax_parts.row_step,
        reset=lambda _, state: state,
    )  # fmt: skip


def totals(config: SoftmaxConfig, label: str) -> Twin:
    """The part for totals."""
    return Twin(
        unit=softmax_parts, label=label, config=config, module="softmax_totals",
        parameters={
            "BITS": word_bits(config.guard_bits), "SUM_BITS": SUM_BITS,
            "LANE_BITS": lane_sum_bits(config.lanes), "LATENCY": config.latency,
        },
        tested=TESTS, name="softmax totals", ports=softmax_parts.total_ports, step=softmax_parts.total_step,
        reset=lambda _, state: state,
    )  # fmt: skip


def parameters(config: SoftmaxConfig) -> dict[str, int]:
    """Those of the module `softmax`."""
    return {
        "LANES": config.lanes,
        "LATENCY": config.latency,
        "CODE_BITS": CODE_BITS,
        "GUARD": config.guard_bits,
        "FRACTION": FRACTION,
        "SUM_BITS": SUM_BITS,
        "COUNT": COUNT_BITS,
        "EXP2_SEGMENTS": len(config.exp2) - 1,
        "RECIPROCAL_SEGMENTS": len(config.reciprocal) - 1,
    }


def whole(config: SoftmaxConfig, label: str) -> Twin:
    """All of it, with the lanes and the part for rows cut: the controller, the trees and the totals are not."""
    instances = tuple(f"lane[{i}].u" for i in range(config.lanes))
    return Twin(
        unit=softmax_step, label=label, config=config, module="softmax", parameters=parameters(config),
        cuts=(
            Cut("softmax_row", ("of_row",), softmax_parts.row_step, softmax_parts.row_ports),
            Cut("softmax_lane", instances, softmax_parts.lane_step, softmax_parts.lane_ports),
        ),
        tested=TESTS, name="softmax",
    )  # fmt: skip


def uncut(config: SoftmaxConfig, label: str) -> Twin:
    """All of it, with only the multipliers cut."""
    instances = [f"lane[{i}].u.{u}" for i in range(config.lanes) for u in ("u_line.u_slope", "u_quotient")]
    return replace(
        whole(config, label), cuts=(Cut("multiplier", ("of_row.u_inverse.u_slope", *instances)),)
    )


def twins() -> list[Twin]:
    """The shipped unit, and others with more or fewer guard bits, other tables and a longer pipeline."""
    shipped = load("bct64").softmax_config
    other = SoftmaxConfig(lanes=3, guard_bits=0, exp2=(0,) * 9, reciprocal=(0,) * 129, latency=10)
    wide = SoftmaxConfig(lanes=2, guard_bits=8, exp2=(0,) * 3, reciprocal=(0,) * 3, latency=8)
    one = replace(shipped, lanes=1)
    return [
        *(part(shipped, "bct64") for part in (control, lane, of_row, totals, whole)),
        *(part(other, "no guard bits") for part in (control, lane, of_row, totals, uncut)),
        *(part(wide, "8 guard bits") for part in (lane, of_row, uncut)),
        uncut(one, "1 lane"),
    ]


BY_HAND = ()
