"""Energy: every action of every instruction times its figure in the cost table."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from blocksim.engine.cost import CostModel
from blocksim.trace.file import Trace
from blocksim.trace.isa import Unit
from hwmodels.costs import CostTable, Figure
from hwmodels.machines import Machine

MEMORIES = {
    "sram.activations.bytes": "activation SRAM",
    "sram.weights.bytes": "weight SRAM",
    "accumulator.bits": "accumulators",
    "vector.bits": "vector buffer",
    "dram.bytes": "DRAM",
}
"""Actions that belong to a memory rather than to the unit that causes them."""


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
    """

    total: float
    components: dict[str, float]
    parts: dict[str, float]
    operators: dict[str, float]
    actions: dict[str, int]
    figures: dict[str, Figure]


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
    components: dict[str, float] = defaultdict(float)
    operators: dict[str, float] = defaultdict(float)
    parts: dict[str, float] = defaultdict(float)
    totals: dict[str, int] = defaultdict(int)
    figures: dict[str, Figure] = {}
    for record in trace.program:
        unit = Unit(record["unit"]).name.lower()
        name = trace.manifest.operators[record["op_id"]].name
        for (part, action), count in model.actions(record).items():
            if action not in figures:
                figures[action] = costs.figure(action, bank_kib(machine, action), machine.dram.type)
            pj = count * figures[action].pj
            components[MEMORIES.get(action, unit)] += pj
            parts[part] += pj
            operators[name] += pj
            totals[action] += count
    bits = array_register_bits(machine)
    per_cycle = costs.static.fraction * costs.register_.pj_per_bit * bits
    figures["static.cycles"] = Figure(
        per_cycle,
        f"{costs.static.fraction} x {costs.register_.pj_per_bit} pJ x {bits:,} register bits",
        costs.static.source,
        costs.static.status,
    )
    totals["static.cycles"] = cycles
    components["static"] = parts["static"] = cycles * per_cycle
    return Energy(
        sum(components.values()), dict(components), dict(parts), dict(operators), dict(totals), figures
    )
