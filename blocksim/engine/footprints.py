"""Footprints: which bytes of which memory an instruction touches, and which of them are exponents."""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

from blocksim.trace.isa import Flag, Opcode
from blocksim.trace.manifest import Manifest, OpSpec, TensorSpec

WEIGHTS, ACTIVATIONS = 0, 1
"""The two SRAMs."""


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

    def banks(self, record: Any) -> list[int]:
        """The banks that an instruction holds a port of: those of the weight SRAM, then the other's.

        A bank is a stretch of addresses. An operand that runs over several banks holds a port of each.
        """
        opcode, flags = Opcode(record["opcode"]), Flag(int(record["flags"]))
        op = self.manifest.operators[record["op_id"]]
        touched: set[int] = set()
        size = int(record["size"])
        if opcode in (Opcode.LOAD, Opcode.STORE):
            if not flags & Flag.TO_TABLES:
                memory = WEIGHTS if flags & Flag.TO_WEIGHTS else ACTIVATIONS
                at = int(record["a"] if opcode is Opcode.STORE else record["dst"])
                self._cover(touched, memory, at, size)
        elif opcode is not Opcode.HOST:
            self._operands(touched, opcode, op, record)
        return sorted(touched)

    def _operands(self, touched: set[int], opcode: Opcode, op: OpSpec, r: Any) -> None:
        row, rows, group = int(r["row"]), int(r["rows"]), int(r["group"])
        tensors, flags = self.manifest.tensors, Flag(int(r["flags"]))
        if flags & Flag.SPILL:  # a tile's sums, written or read
            word = self.manifest.machine.buffer_bytes(op.kind)
            at = int(r["a"] if opcode is Opcode.REQUANT else r["dst"])
            self._cover(touched, ACTIVATIONS, at, rows * int(r["columns"]) * word)
        if opcode in (Opcode.REQUANT, Opcode.GATHER):
            copy = bool(flags & Flag.COPY)
            out = tensors[op.writes[1 if copy else 0]]
            first = group * op.out.row_step + row
            self._rows(touched, out, int(r["dst"]), r["dst_window"], first, rows)
            multiplier = op.copy_multiplier if copy else op.multiplier
            if multiplier is not None:
                self._cover(touched, WEIGHTS, int(r["b"]), self.manifest.constants[multiplier].size)
            return
        assert op.a is not None
        first = group * op.a.row_step + row if op.kind == "matmul" else row
        self._rows(touched, tensors[op.a.tensor], int(r["a"]), r["a_window"], first, rows)
        if op.b is not None:
            first, count = row, rows
            if op.kind == "matmul":
                first = group * op.b.row_step + (0 if op.b.transposed else int(r["column"]))
                count = op.k if op.b.transposed else int(r["columns"])
            self._rows(touched, tensors[op.b.tensor], int(r["b"]), r["b_window"], first, count)
        for slot, name in (("b", op.weight or op.constant or op.mask), ("c", op.bias)):
            if name is not None and op.b is None:
                spec, size = self.manifest.constants[name], self.manifest.constants[name].size
                if op.kind == "matmul":
                    size = spec.tile_span(spec.tile_starts.index(int(r["column"])))[1]
                elif spec.rows > 1:
                    _, codes, _, exponents = spec.window(row, row + rows)
                    size = codes + exponents
                self._cover(touched, WEIGHTS, int(r[slot]), size)

    def _rows(self, touched: set[int], spec: TensorSpec, at: int, window: Any, first: int, rows: int) -> None:
        start, _, _, _ = spec.window(int(window[0]), int(window[0]) + int(window[1]))
        codes, n, _, _ = spec.window(first, first + rows)
        self._cover(touched, ACTIVATIONS, at + codes - start, n)

    def _cover(self, touched: set[int], memory: int, at: int, size: int) -> None:
        bank = self.memories[memory].nbytes // self.memories[memory].banks
        base = 0 if memory == WEIGHTS else self.memories[WEIGHTS].banks
        last = self.memories[memory].banks - 1
        first_bank, last_bank = at // bank, max(at, at + size - 1) // bank
        touched.update(base + b for b in range(min(first_bank, last), min(last_bank, last) + 1))
