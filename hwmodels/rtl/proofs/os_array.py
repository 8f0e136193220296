"""The array in which outputs stay: an element and an aligner for all states, and arrays made of them."""

from __future__ import annotations

from dataclasses import replace

from hwmodels.machines import load
from hwmodels.rtl.twin import Cut, Edit, Twin
from hwmodels.units import os_array, os_element
from hwmodels.units.accumulator import AccumulatorConfig
from hwmodels.units.aligner import BOUND, EXACT, RUNNING, AlignerConfig
from hwmodels.units.mac_array import MacArrayConfig
from hwmodels.units.ops import FLOOR, HALF_UP, RNE


def element(config: MacArrayConfig, label: str) -> Twin:
    """One element."""
    return Twin(
        unit=os_element, label=label, config=config, module="os_element",
        parameters={"BITS": config.accumulator.bits},
        name="os element", part_of="os array",
        ports=os_element.element_ports, step=os_element.element_step, reset=lambda _, state: state,
        cuts=(Cut("multiplier", ("u_product",)),),
    )  # fmt: skip


def parameters(config: MacArrayConfig) -> dict[str, int]:
    """Those that the array and its aligners share."""
    lane, word = config.aligner, config.accumulator
    return {
        "BITS": word.bits,
        "SATURATING": int(word.saturating),
        "GUARD_BITS": lane.guard_bits,
        "MAX_SHIFT": lane.max_shift,
        "ROUNDING": lane.rounding,
        "NORMALISE": config.normalise,
    }


def aligner(config: MacArrayConfig, label: str) -> Twin:
    """One aligner."""
    return Twin(
        unit=os_element, label=label, config=config, module="os_aligner",
        parameters={"GROUP": os_element.group(config), **parameters(config)},
        name="os aligner", part_of="os array",
        ports=os_element.aligner_ports, step=os_element.aligner_step, reset=os_element.aligner_reset,
    )  # fmt: skip


def array(config: MacArrayConfig) -> dict[str, int]:
    """Those of the array."""
    sizes = {"ROWS": config.rows, "COLUMNS": config.columns, "GROUP": os_element.group(config)}
    return {**sizes, **parameters(config)}


def small(config: MacArrayConfig, label: str) -> Twin:
    """An array with all that is in it, but for the products."""
    places = [f"element[{i}].at[{j}].u.u_product" for i in range(config.rows) for j in range(config.columns)]
    return Twin(
        unit=os_array, label=label, config=config, module="os_array", parameters=array(config),
        name="os array", cuts=(Cut("multiplier", tuple(places)),), tested="tests/units/test_os_array_step.py",
    )  # fmt: skip


def large(config: MacArrayConfig, label: str) -> Twin:
    """An array whose elements and aligners are cut."""
    columns = range(config.columns)
    elements = [f"element[{i}].at[{j}].u" for i in range(config.rows) for j in columns]
    aligners = [f"aligner[{g}].at[{j}].u" for g in range(os_element.groups(config)) for j in columns]
    return Twin(
        unit=os_array, label=label, config=config, module="os_array", parameters=array(config),
        name="os array", tested="tests/units/test_os_array_step.py",
        cuts=(
            Cut("os_aligner", tuple(aligners), os_element.aligner_step, os_element.aligner_ports),
            Cut("os_element", tuple(elements), os_element.element_step, os_element.element_ports),
        ),
    )  # fmt: skip


def twins() -> list[Twin]:
    """The shipped one."""
    shipped = load("scalesim").array_config
    small = replace(shipped, rows=3, columns=3, aligners=2)
    return [
        element(shipped, "scalesim"),
        element(replace(shipped, accumulator=AccumulatorConfig(48, False, 8, 2, 1)), "48 bits"),
        aligner(shipped, "scalesim"),
        aligner(replace(small, normalise=EXACT, aligner=AlignerConfig(-3, 40, FLOOR)), "exact"),
        aligner(
            replace(small, normalise=RUNNING, accumulator=AccumulatorConfig(20, False, 8, 2, 1), aligner=AlignerConfig(2, 20, HALF_UP)), "running"
        ),
        aligner(replace(small, aligners=3, normalise=RUNNING), "running, 1 row"),
        aligner(replace(small, aligners=3, normalise=BOUND, accumulator=AccumulatorConfig(48, True, 8, 2, 1), aligner=AlignerConfig(15, 62, RNE)), "48 bits"),
        aligner(replace(small, accumulator=AccumulatorConfig(16, True, 8, 2, 1)), "16 bits"),
    ]


BY_HAND: tuple[Edit, ...] = ()
