"""The schedule: tickets and ports are kept, and every cycle is accounted for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from variants import machine

from blocksim.compiler import compile_graph
from blocksim.compiler.precision import load
from blocksim.engine.cost import CostModel
from blocksim.engine.interpret import interpret
from blocksim.engine.schedule import schedule, stalls_by_cause
from blocksim.graph import Graph
from blocksim.measure.energy import measure_energy
from blocksim.trace import Trace
from blocksim.trace.isa import Flag, Opcode, Unit
from hwmodels import costs
from hwmodels.machines import Machine

MACHINES: dict[str, dict[str, dict[str, object]]] = {
    "SRAM that evicts": {"sram": {"activations": {"kib": 5, "banks": 1}}},
    "SRAM for windows": {
        "sram": {"activations": {"kib": 2, "banks": 1}},
        "array": {"rows": 8, "columns": 8},
        "vector": {"buffer_kib": 1},
    },
    "one bank": {"accumulator": {"banks": 1}},
    "few accumulator rows": {"accumulator": {"rows": 3}},
}


def compiled(graph: Graph, plan: str, block: str | None, on: Machine | None = None) -> Trace:
    return compile_graph(graph, on or machine(), load(plan, block))


@pytest.mark.parametrize(("plan", "block"), [("bct-int8", "16x16"), ("layerwise-shift8", None)])
@pytest.mark.parametrize("on", MACHINES)
def test_no_two_instructions_touch_a_byte_at_once(
    tiny_graph: Graph, plan: str, block: str | None, on: str
) -> None:
    """Replayed from the schedule's times: who writes a region overlaps nobody who reads or writes it."""
    trace = compiled(tiny_graph, plan, block, machine(**MACHINES[on]))
    t = schedule(trace)
    model = CostModel(trace.manifest)
    done = t.end + np.array([model.busy(r).latency for r in trace.program.tolist()])
    touched = [regions(trace, r) for r in trace.program]
    for i in range(len(touched)):
        for j in range(i):
            conflict = any(
                a[0] == b[0] and a[1] < b[2] and b[1] < a[2] and (a[3] or b[3])
                for a in touched[i]
                for b in touched[j]
            )
            if conflict:
                assert t.start[i] >= done[j], (i, j)


def regions(trace: Trace, r: np.void) -> list[tuple[str, int, int, bool]]:
    """What an instruction reads and writes, codes alone: memory, first, last, whether it is written."""
    m, op = trace.manifest, trace.manifest.operators[r["op_id"]]
    opcode, flags = Opcode(r["opcode"]), Flag(int(r["flags"]))
    if opcode in (Opcode.LOAD, Opcode.STORE):
        sram = "weights" if flags & Flag.TO_WEIGHTS else "tables" if flags & Flag.TO_TABLES else "activations"
        ends = ("dram", sram) if opcode is Opcode.LOAD else (sram, "dram")
        a, dst, size = int(r["a"]), int(r["dst"]), int(r["size"])
        return [(ends[0], a, a + size, False), (ends[1], dst, dst + size, True)]
    if opcode is Opcode.HOST:
        out = m.tensors[op.out.tensor]
        return [("dram", int(r["dst"]), int(r["dst"]) + out.nbytes, True)]

    def rows_of(name: str, slot: str, first: int, count: int, write: bool) -> tuple[str, int, int, bool]:
        spec = m.tensors[name]
        width = spec.columns * spec.bits // 8
        at = int(r[slot]) + (first - int(r[f"{slot}_window"][0])) * width
        assert int(r[f"{slot}_window"][0]) <= first
        assert first + count <= int(r[f"{slot}_window"].sum())
        return ("activations", at, at + count * width, write)

    row, rows, columns = int(r["row"]), int(r["rows"]), int(r["columns"])
    word = -(-m.machine.wide_bits(op.kind) // 8) if op.kind != "gather" else 0

    def wide(slot: str, write: bool) -> tuple[str, int, int, bool]:
        if flags & Flag.SPILL:
            return ("activations", int(r[slot]), int(r[slot]) + rows * columns * word, write)
        return ("accumulator" if op.kind == "matmul" else "vector", int(r[slot]), int(r[slot]) + 1, write)

    first = int(r["group"]) * op.out.row_step + row
    if opcode is Opcode.GATHER:
        return [rows_of(op.out.tensor, "dst", first, rows, True)]
    if opcode is Opcode.REQUANT:
        form = op.writes[1] if flags & Flag.COPY else op.writes[0]
        read = [wide("a", False)]
        multiplier = op.copy_multiplier if flags & Flag.COPY else op.multiplier
        if multiplier is not None:
            at = int(r["b"])
            read.append(("weights", at, at + m.constants[multiplier].size, False))
        return [*read, rows_of(form, "dst", first, rows, True)]
    assert op.a is not None
    touched = [wide("dst", True)]
    first = int(r["group"]) * op.a.row_step + row
    touched.append(rows_of(op.a.tensor, "a", first, rows, False))
    if op.b is not None:
        first, count = row, rows
        if op.kind == "matmul":
            first = int(r["group"]) * op.b.row_step + (0 if op.b.transposed else int(r["column"]))
            count = op.k if op.b.transposed else columns
        touched.append(rows_of(op.b.tensor, "b", first, count, False))
    for slot, name in (("b", op.weight or op.constant), ("c", op.bias)):
        if name is None or (slot == "b" and op.b is not None):
            continue
        spec = m.constants[name]
        size = spec.size
        if op.kind == "matmul":
            size = spec.tile_span(spec.tile_starts.index(int(r["column"])))[1]
        elif spec.rows > 1:
            size = rows * spec.columns * spec.bits // 8
        touched.append(("weights", int(r[slot]), int(r[slot]) + size, False))
    for name, at in op.tables.items():
        touched.append(("tables", at, at + m.constants[name].size, False))
    return touched


def legal_order(trace: Trace, seed: int) -> list[int]:
    """A random order of instructions that the tickets allow."""
    rng = np.random.default_rng(seed)
    queues = [np.flatnonzero(trace.program["unit"] == u).tolist() for u in Unit]
    done = [0] * len(queues)
    order: list[int] = []
    eager = rng.random(len(queues))
    while len(order) < len(trace.program):
        ready = [
            u
            for u, queue in enumerate(queues)
            if done[u] < len(queue)
            and all(done[v] >= w for v, w in enumerate(trace.program["wait"][queue[done[u]]]))
        ]
        if rng.random() < 0.02:
            eager = rng.random(len(queues))
        u = max(ready, key=lambda u: eager[u])
        order.append(queues[u][done[u]])
        done[u] += 1
    return order


@pytest.mark.parametrize(("plan", "block"), [("bct-int8", "16x16"), ("layerwise-shift8", None)])
@pytest.mark.parametrize("on", [*MACHINES, "small tiles"])
def test_every_order_that_the_tickets_allow_gives_the_same(
    tiny_graph: Graph, tiny_inputs: dict[str, np.ndarray], plan: str, block: str | None, on: str
) -> None:
    tight = {"array": {"rows": 8, "columns": 8}, "accumulator": {"rows": 4}, "vector": {"buffer_kib": 1}}
    trace = compiled(tiny_graph, plan, block, machine(**MACHINES.get(on, tight)))
    one = {name: array[:1] for name, array in tiny_inputs.items()}
    want = interpret(trace, one)
    for seed in range(3):
        order = legal_order(trace, seed)
        assert order != sorted(order)
        got = interpret(trace, one, order)
        for name, (codes, exponents) in want.tensors.items():
            assert (got.tensors[name][0] == codes).all(), name
            assert (got.tensors[name][1] == exponents).all(), name


@pytest.mark.parametrize("ports", [1, 2])
def test_no_more_hold_a_bank_than_it_has_ports(tiny_graph: Graph, ports: int) -> None:
    one = {"banks": 2, "ports": ports}
    on = machine(sram={"activations": one, "weights": one})
    trace = compiled(tiny_graph, "bct-int8", "5x3", on)
    t, spans = schedule(trace), CostModel(trace.manifest).footprints.banks(trace.program)
    held = [{bank for first, last in own for bank in range(first, last)} for own in spans]
    assert any(held)
    for bank in range(4):
        mine = [i for i, banks in enumerate(held) if bank in banks and t.end[i] > t.start[i]]
        for i in mine:
            together = sum(t.start[k] <= t.start[i] < t.end[k] for k in mine)
            assert together <= ports
    waited = int(t.port.sum())
    free = schedule(compiled(tiny_graph, "bct-int8", "5x3", machine(sram={"activations": {"ports": 4}})))
    assert (waited > 0) == (ports == 1)
    assert free.cycles <= t.cycles


def test_units_run_in_order_and_wait_for_their_tickets(vit_graph: Graph) -> None:
    trace = compiled(vit_graph, "bct-int8", "16x16")
    t = schedule(trace)
    for unit in Unit:
        mine = trace.program["unit"] == unit
        assert (t.start[mine][1:] >= t.end[mine][:-1]).all()
        busy, stalled = (t.end - t.start)[mine].sum(), t.stall[mine].sum()
        assert busy + stalled <= t.cycles
    for i, waits in enumerate(trace.program["wait"]):
        for unit, ticket in enumerate(waits):
            if ticket:
                other = np.flatnonzero(trace.program["unit"] == unit)[ticket - 1]
                assert t.start[i] >= t.end[other]


def test_stalls_and_busy_cycles_fill_each_unit(vit_graph: Graph) -> None:
    trace = compiled(vit_graph, "bct-int8", "64x64")
    t = schedule(trace)
    table = stalls_by_cause(trace, t)
    for unit in Unit:
        mine = trace.program["unit"] == unit
        if mine.any():
            last = t.end[mine].max()
            assert (t.end - t.start)[mine].sum() + sum(table[unit.name.lower()].values()) == last


def test_array_cycles_are_the_units_formula(vit_graph: Graph) -> None:
    """Every MATMUL of the trace, recounted by hand from its shape."""
    trace = compiled(vit_graph, "bct-int8", "16x16")
    t = schedule(trace)
    for i, r in enumerate(trace.program):
        op = trace.manifest.operators[r["op_id"]]
        if r["opcode"] == Opcode.MATMUL:
            streams = [int(r["rows"]) * -(-min(op.k - k, 64) // 16) for k in range(0, op.k, 64)]
            want = 64 + sum(max(s, 64) for s in streams[:-1]) + streams[-1] + 126
            assert t.end[i] - t.start[i] == want


def test_a_smaller_block_costs_aligner_cycles_and_nothing_else_changes_macs(vit_graph: Graph) -> None:
    cycles = [schedule(compiled(vit_graph, "bct-int8", b)).cycles for b in ("64x64", "16x16", "8x8")]
    assert cycles == sorted(cycles)
    wide = machine(aligner={"per_column": 8})
    assert schedule(compiled(vit_graph, "bct-int8", "8x8", wide)).cycles < cycles[2] * 0.6


@given(st.integers(1, 3), st.sampled_from([1, 2, 8, 64]), st.integers(0, 50))
@settings(max_examples=12)
def test_a_slower_memory_never_makes_it_faster(
    tiny_graph: Graph, banks: int, rate: int, latency: int
) -> None:
    slow = machine(dram={"bytes_per_cycle": rate, "latency": latency}, accumulator={"banks": banks})
    fast = machine(dram={"bytes_per_cycle": 64, "latency": 0}, accumulator={"banks": 4})
    table = costs.load("horowitz-45nm")
    results = []
    for on in (slow, fast):
        trace = compiled(tiny_graph, "bct-int8", "16x16", on)
        cycles = schedule(trace).cycles
        results.append((cycles, measure_energy(trace, table, cycles).total))
    assert results[0][0] >= results[1][0]
    assert results[0][1] >= results[1][1]
