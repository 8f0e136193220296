"""Energy: every action of every instruction times its figure in the cost table.

Actions are whole numbers and are summed before they are multiplied, so that the rows of an explanation
add up to the report's figures exactly: a layer's energy is `math.fsum` over its (part, action) rows, and
the total is `math.fsum` over the layers and the static energy.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from blocksim.engine.cost import CostModel
from blocksim.trace.file import Trace
from blocksim.trace.isa import Unit
from hwmodels.costs import CostTable, Figure
from hwmodels.machines import Machine
from hwmodels.units.actions import Actions

MEMORIES = {
    "sram.activations.bytes": "activation SRAM",
    "sram.weights.bytes": "weight SRAM",
    "accumulator.bits": "accumulators",
    "vector.bits": "vector buffer",
    "dram.bytes": "DRAM",
}
"""Actions that belong to a memory rather than to the unit that causes them."""

STATIC = "static.cycles"
"""The action that stands for clock and leakage, once per cycle."""

Spent = dict[tuple[str, str, str], int]
"""How often each action happens, by component, part and action."""


@dataclass(frozen=True)
class Energy:
    """Energy of one sample, in pJ.

    Attributes
    ----------
    total : float
    components : dict of str to float
        By unit, memory, and ``static`` (clock and leakage).
    parts : dict of str to float
        By what it is spent on: multiply, align, requantize, exponents, operands, ...
    operators : dict of str to float
        By operator, static energy apart.
    actions : dict of str to int
        How often each action happens.
    figures : dict of str to Figure
        What one of it costs, and why.
    counts : dict of str to Actions
        By operator, how often each part's actions happen.
    """

    total: float
    components: dict[str, float]
    parts: dict[str, float]
    operators: dict[str, float]
    actions: dict[str, int]
    figures: dict[str, Figure]
    counts: dict[str, Actions]


def array_register_bits(machine: Machine) -> int:
    """Register bits of the array: activation, weight (twice with a shadow) and running sum per element."""
    sum_bits = 16 + (machine.array.rows - 1).bit_length()
    weights = 8 * (2 if machine.array.overlap == "weights" else 1)
    return machine.array.rows * machine.array.columns * (8 + weights + sum_bits)


def bank_kib(machine: Machine, action: str) -> float:
    """Capacity of the bank that a memory action reaches, in KiB."""
    return {
        "sram.activations.bytes": machine.sram.activations.bank_kib,
        "sram.weights.bytes": machine.sram.weights.bank_kib,
        "accumulator.bits": machine.accumulator.rows * machine.accumulator.bits / 8 / 1024,
        "vector.bits": machine.vector.buffer_kib / 2,
    }.get(action, 0.0)


def spent_by(model: CostModel, records: Iterable[Any]) -> Spent:
    """The actions of some instructions, by component, part and action."""
    spent: Spent = {}
    for record in records:
        unit = Unit(record["unit"]).name.lower()
        for (part, action), count in model.actions(record).items():
            key = MEMORIES.get(action, unit), part, action
            spent[key] = spent.get(key, 0) + count
    return {key: count for key, count in spent.items() if count}


def by_part(spent: Spent) -> Actions:
    """The same by part and action alone."""
    counts: Actions = {}
    for (_, part, action), count in spent.items():
        counts[part, action] = counts.get((part, action), 0) + count
    return counts


def energy_of(counts: Actions, pj: Mapping[str, float]) -> float:
    """Energy of counted actions, given what one of each costs."""
    return math.fsum(count * pj[action] for (_, action), count in counts.items())


def static_figure(machine: Machine, costs: CostTable) -> Figure:
    """Clock and leakage of one cycle."""
    bits = array_register_bits(machine)
    return Figure(
        costs.static.fraction * costs.register_.pj_per_bit * bits,
        f"{costs.static.fraction} x {costs.register_.pj_per_bit} pJ x {bits:,} register bits",
        costs.static.source,
        costs.static.status,
    )


def measure_energy(trace: Trace, costs: CostTable, cycles: int) -> Energy:
    """The energy of one sample.

    Parameters
    ----------
    trace : Trace
    costs : CostTable
    cycles : int
        Of the whole schedule, for the static part.
    """
    machine, model = trace.manifest.machine, CostModel(trace.manifest)
    records: dict[int, list[Any]] = defaultdict(list)
    for record in trace.program:
        records[int(record["op_id"])].append(record)
    whole: Spent = {}
    counts: dict[str, Actions] = {}
    for i, op in enumerate(trace.manifest.operators):
        spent = spent_by(model, records[i])
        counts[op.name] = by_part(spent)
        for key, count in spent.items():
            whole[key] = whole.get(key, 0) + count
    actions: dict[str, int] = {}
    for (_, _, action), count in whole.items():
        actions[action] = actions.get(action, 0) + count
    figures = {a: costs.figure(a, bank_kib(machine, a), machine.dram.type) for a in actions}
    pj = {action: figure.pj for action, figure in figures.items()}
    figures[STATIC] = static_figure(machine, costs)
    static = cycles * figures[STATIC].pj
    operators = {name: energy_of(own, pj) for name, own in counts.items()}
    return Energy(
        math.fsum([*operators.values(), static]),
        {**_summed(whole, 0, pj), "static": static},
        {**_summed(whole, 1, pj), "static": static},
        operators,
        {**actions, STATIC: cycles},
        figures,
        counts,
    )


def _summed(spent: Spent, place: int, pj: Mapping[str, float]) -> dict[str, float]:
    """Energy by component (place 0) or by part (place 1)."""
    counts: dict[str, Actions] = {}
    for key, count in spent.items():
        own = counts.setdefault(key[place], {})
        own["", key[2]] = own.get(("", key[2]), 0) + count
    return {name: energy_of(own, pj) for name, own in counts.items()}
