"""Footprints: which bytes of which memory an instruction touches, and which of them are exponents."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blocksim.trace.isa import Flag, Opcode, Program
from blocksim.trace.manifest import Index, Manifest, OpSpec, TensorSpec
from hwmodels.formats.packing import packed_bytes

WEIGHTS, ACTIVATIONS = 0, 1
"""The two SRAMs."""

OPERANDS = 4
"""Operands of an instruction that lie in an SRAM, at the most."""

FIELDS = (
    "opcode", "flags", "op_id", "group", "row", "rows", "column", "columns", "dst", "a", "b", "c", "size",
)  # fmt: skip

Banks = NDArray[np.int64]
"""See `Footprints.banks`."""


class Footprints:
    """Answers for the instructions of one trace."""

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest
        places = [(c.address, name, True) for name, c in manifest.constants.items()]
        places += [(at, name, False) for name, at in manifest.dram.items()]
        self.places = sorted(places)
        self.starts = [at for at, *_ in self.places]
        self.memories = (manifest.machine.sram.weights, manifest.machine.sram.activations)

    def exponents(self, record: Any) -> int:
        """How many of the bytes that a LOAD, STORE or GATHER moves are exponents or scales."""
        opcode, size = Opcode(record["opcode"]), int(record["size"])
        address = int(record["dst"] if opcode is Opcode.STORE else record["a"])
        at, name, is_constant = self.places[bisect_right(self.starts, address) - 1]
        offset = address - at
        if not is_constant:
            spec = self.manifest.tensors[name]
            return max(0, min(offset + size, spec.nbytes) - max(offset, spec.codes_bytes))
        constant = self.manifest.constants[name]
        if constant.role == "multiplier":
            return size
        if constant.role in ("table", "host", "mask"):
            return 0
        if constant.by_row:
            return int(record["rows"]) * len(constant.column_starts)
        if constant.role in ("weight", "bias"):
            tile = next(t for t in constant.tiles if t[-1] == offset)
            return (tile[3] - tile[2]) * len(constant.column_starts)
        return max(0, offset + size - max(offset, constant.codes_bytes))

    def banks(self, program: Program) -> Banks:
        """The banks that instructions hold a port of: those of the weight SRAM, then the other's.

        A bank is a stretch of addresses. An operand that runs over several banks holds a port of each.

        Returns
        -------
        int64, shape (instructions, `OPERANDS`, 2)
            Of every operand the first bank, and the first after its last; both zero where there is none.
        """
        held = np.zeros((len(program), OPERANDS, 2), np.int64)
        fields = {name: program[name].astype(np.int64) for name in FIELDS}
        fields |= {
            f"{name}_window": program[f"{name}_window"][:, 0].astype(np.int64) for name in ("dst", "a", "b")
        }
        kind = (fields["op_id"] << 24) | (fields["opcode"] << 16) | fields["flags"]
        order = np.argsort(kind, kind="stable")
        for alike in np.split(order, np.flatnonzero(np.diff(kind[order])) + 1) if len(order) else []:
            opcode, flags = Opcode(fields["opcode"][alike[0]]), Flag(int(fields["flags"][alike[0]]))
            op = self.manifest.operators[fields["op_id"][alike[0]]]
            own = _Alike(self, held, alike, {name: values[alike] for name, values in fields.items()})
            if opcode in (Opcode.LOAD, Opcode.STORE):
                if not flags & Flag.TO_TABLES:
                    memory = WEIGHTS if flags & Flag.TO_WEIGHTS else ACTIVATIONS
                    own.cover(0, memory, own["a" if opcode is Opcode.STORE else "dst"], own["size"])
            elif opcode is not Opcode.HOST:
                self._operands(own, opcode, flags, op)
        return held

    def _operands(self, own: _Alike, opcode: Opcode, flags: Flag, op: OpSpec) -> None:
        row, rows, group = own["row"], own["rows"], own["group"]
        tensors = self.manifest.tensors
        if flags & Flag.SPILL:  # a tile's sums, written or read
            word = self.manifest.machine.buffer_bytes(op.kind)
            own.cover(
                3, ACTIVATIONS, own["a" if opcode is Opcode.REQUANT else "dst"], rows * own["columns"] * word
            )
        if opcode in (Opcode.REQUANT, Opcode.GATHER):
            copy = bool(flags & Flag.COPY)
            out = tensors[op.writes[1 if copy else 0]]
            own.rows(0, out, "dst", group * op.out.row_step + row, rows)
            multiplier = op.copy_multiplier if copy else op.multiplier
            if multiplier is not None:
                own.cover(1, WEIGHTS, own["b"], np.full_like(row, self.manifest.constants[multiplier].size))
            return
        assert op.a is not None
        is_product = op.kind == "matmul"
        own.rows(0, tensors[op.a.tensor], "a", group * op.a.row_step + row if is_product else row, rows)
        if op.b is not None:
            first, count = row, rows
            if is_product:
                first = group * op.b.row_step + (0 if op.b.transposed else own["column"])
                count = np.full_like(row, op.k) if op.b.transposed else own["columns"]
            own.rows(1, tensors[op.b.tensor], "b", first, count)
            return
        for slot, place, name in ((1, "b", op.weight or op.constant or op.mask), (2, "c", op.bias)):
            if name is not None:
                spec = self.manifest.constants[name]
                size = np.full_like(row, spec.size)
                if is_product:
                    spans = np.array([spec.tile_span(t)[1] for t in range(len(spec.tile_starts))])
                    size = spans[np.searchsorted(spec.tile_starts, own["column"])]
                elif spec.rows > 1:
                    size = np.array(
                        [sum(spec.window(r, r + n)[1::2]) for r, n in zip(row, rows, strict=True)]
                    )
                own.cover(slot, WEIGHTS, own[place], size)


@dataclass(frozen=True)
class _Alike:
    """Instructions of one operator, opcode and flags, and the banks that they hold."""

    prints: Footprints
    held: Banks
    index: Index
    fields: dict[str, Index]

    def __getitem__(self, name: str) -> Index:
        return self.fields[name]

    def rows(self, slot: int, spec: TensorSpec, place: str, first: Index, rows: Index) -> None:
        """An operand that is some rows of a tensor."""
        start = packed_bytes(self[f"{place}_window"] * spec.columns, spec.bits)
        codes = packed_bytes(first * spec.columns, spec.bits)
        end = packed_bytes((first + rows) * spec.columns, spec.bits)
        self.cover(slot, ACTIVATIONS, self[place] + codes - start, end - codes)

    def cover(self, slot: int, memory: int, at: Index, size: Index) -> None:
        """An operand that is some bytes of a memory."""
        part = self.prints.memories[memory]
        bank, last = part.nbytes // part.banks, part.banks - 1
        base = 0 if memory == WEIGHTS else self.prints.memories[WEIGHTS].banks
        self.held[self.index, slot, 0] = base + np.minimum(at // bank, last)
        self.held[self.index, slot, 1] = base + np.minimum(np.maximum(at, at + size - 1) // bank, last) + 1
