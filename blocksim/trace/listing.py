"""The trace as text, one line per instruction."""

from __future__ import annotations

from collections.abc import Iterator

from blocksim.trace.file import Trace
from blocksim.trace.isa import Flag, Opcode, Unit
from blocksim.trace.manifest import OpSpec

HEADER = f"{'#':>6}  {'opcode':<8}{'operator':<28}{'tile':<34}{'addresses':<46}waits for"


def listing(trace: Trace) -> Iterator[str]:
    """Lines of text: a header, then one line per instruction."""
    manifest = trace.manifest
    yield (
        f"{manifest.model} on {manifest.machine.name}, {manifest.precision}: "
        f"{len(trace.program):,} instructions, {len(manifest.operators)} operators, "
        f"{manifest.dram_bytes:,} bytes of DRAM"
    )
    yield HEADER
    for i, record in enumerate(trace.program):
        opcode, flags = Opcode(record["opcode"]), Flag(record["flags"])
        if opcode in (Opcode.LOAD, Opcode.STORE):
            tile = f"{record['size']:,} bytes"
            to = (
                "weights"
                if flags & Flag.TO_WEIGHTS
                else "tables"
                if flags & Flag.TO_TABLES
                else "activations"
            )
            pair = (f"dram:{record['a']:#x}", f"{to}:{record['dst']:#x}")
            if opcode is Opcode.STORE:
                pair = (f"activations:{record['a']:#x}", f"dram:{record['dst']:#x}")
            addresses = " -> ".join(pair)
        elif opcode is Opcode.HOST:
            tile, addresses = "", f"-> dram:{record['dst']:#x}"
        else:
            rows = f"[{record['row']}:{record['row'] + record['rows']}"
            columns = f"{record['column']}:{record['column'] + record['columns']}]"
            tile = f"{rows}, {columns}" + (f" group {record['group']}" if record["group"] else "")
            tile += " spilled" if flags & Flag.SPILL else ""
            names = [f"{n}={record[n]:#x}" for n in _operands(opcode, manifest.operators[record["op_id"]])]
            addresses = " ".join([*names, f"-> {record['dst']:#x}"])
        waits = " ".join(
            f"{Unit(u).name.lower()}#{ticket}" for u, ticket in enumerate(record["wait"]) if ticket
        )
        name = manifest.operators[record["op_id"]].name
        yield f"{i:>6}  {opcode.name:<8}{name:<28}{tile:<34}{addresses:<46}{waits}".rstrip()


def _operands(opcode: Opcode, op: OpSpec) -> str:
    """The address fields that an instruction uses."""
    if opcode is Opcode.MATMUL:
        return "ab" if op.bias is None else "abc"
    return {Opcode.NORM: "abc", Opcode.ADD: "ab", Opcode.MUL: "ab"}.get(opcode, "a")
