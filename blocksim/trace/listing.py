"""The trace as text, one line per instruction."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from blocksim.trace.file import Trace
from blocksim.trace.isa import Flag, Opcode, Unit
from blocksim.trace.manifest import Manifest, OpSpec


def listing(trace: Trace) -> Iterator[str]:
    """Lines of text: a header, then one line per instruction.

    An address is followed by the rows that lie there, where they are not the whole tensor.
    """
    manifest = trace.manifest
    yield (
        f"{manifest.model} on {manifest.machine.name}, {manifest.precision}: "
        f"{len(trace.program):,} instructions, {len(manifest.operators)} operators, "
        f"{manifest.dram_bytes:,} bytes of DRAM"
    )
    width = 2 + max((len(op.name) for op in manifest.operators), default=8)
    yield f"{'#':>6}  {'opcode':<9}{'operator':<{width}}{'tile':<32}{'addresses':<46}waits for"
    for i, record in enumerate(trace.program):
        opcode, op = Opcode(record["opcode"]), manifest.operators[record["op_id"]]
        tile, addresses = _tile_and_addresses(manifest, opcode, op, record)
        waits = " ".join(
            f"{Unit(u).name.lower()}#{ticket}" for u, ticket in enumerate(record["wait"]) if ticket
        )
        yield f"{i:>6}  {opcode.name:<9}{op.name:<{width}}{tile:<32}{addresses:<46}{waits}".rstrip()


def _tile_and_addresses(manifest: Manifest, opcode: Opcode, op: OpSpec, r: Any) -> tuple[str, str]:
    flags = Flag(int(r["flags"]))
    if opcode in (Opcode.LOAD, Opcode.STORE):
        sram = "activations"
        if flags & Flag.TO_WEIGHTS:
            sram = "weights"
        elif flags & Flag.TO_TABLES:
            sram = "tables"
        tile = f"{r['size']:,} bytes" + (" of sums" if flags & Flag.SPILL else "")
        ends = ("dram", sram) if opcode is Opcode.LOAD else (sram, "dram")
        return tile, f"{ends[0]}:{r['a']:#x} -> {ends[1]}:{r['dst']:#x}"
    if opcode is Opcode.HOST:
        return "", f"-> dram:{r['dst']:#x}"
    tile = f"[{r['row']}:{r['row'] + r['rows']}, {r['column']}:{r['column'] + r['columns']}]"
    tile += f" group {r['group']}" if r["group"] else ""
    tile += " spilled" if flags & Flag.SPILL else ""
    tile += " operand form" if flags & Flag.COPY else ""
    tensors = {"a": op.a.tensor if op.a else "", "b": op.b.tensor if op.b else ""}
    tensors["dst"] = op.writes[1] if flags & Flag.COPY else op.writes[0]
    if opcode is Opcode.REQUANT:
        tensors["a"] = tensors["b"] = ""
    elif opcode is not Opcode.GATHER:
        tensors["dst"] = ""

    def at(slot: str) -> str:
        first, count = (int(v) for v in r[f"{slot}_window"]) if slot != "c" else (0, 0)
        spec = manifest.tensors.get(tensors.get(slot, ""))
        partial = spec is not None and 0 < count < spec.rows
        return f"{r[slot]:#x}" + (f"[{first}:{first + count}]" if partial else "")

    names = [f"{slot}={at(slot)}" for slot in _operands(opcode, op)]
    return tile, " ".join([*names, f"-> {at('dst')}"])


def _operands(opcode: Opcode, op: OpSpec) -> str:
    """The address fields that an instruction uses."""
    if opcode is Opcode.MATMUL:
        return "ab" if op.bias is None else "abc"
    if opcode is Opcode.SOFTMAX:
        return "a" if op.mask is None else "ab"
    return {Opcode.NORM: "abc", Opcode.ADD: "ab", Opcode.MUL: "ab"}.get(opcode, "a")
