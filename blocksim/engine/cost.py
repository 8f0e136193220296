"""What one instruction takes: cycles from its unit's formula, and the actions that cost energy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from blocksim.engine.footprints import Footprints
from blocksim.engine.segments import Segments, segments_of
from blocksim.trace.isa import Flag, Opcode, Program
from blocksim.trace.manifest import Blocks, Manifest, OpSpec, TensorSpec, spanned
from hwmodels.formats.packing import packed_bytes
from hwmodels.units import array_cycles, dma, elementwise, encoder, lut, norm, os_array, requantizer, softmax
from hwmodels.units.actions import Actions
from hwmodels.units.array_cycles import ArrayCycles

BUSY_FIELDS = ("opcode", "flags", "op_id", "group", "rows", "columns", "size")
"""What the cycles of an instruction depend on."""

PRICE_PARTS = ("prescan", "align", "requantize", "exponents")
"""The price of the block: what would not be there if no tensor had blocks."""


class Busy(NamedTuple):
    """Cycles of one instruction.

    Attributes
    ----------
    cycles : int
        How long it keeps its unit.
    latency : int
        Further cycles until others see its result.
    aligner, weight_load, fill, feed, prescan : int
        Of the cycles: waiting for aligners, for weights, filling and draining the array, a narrow port,
        and the search for exact bounds.
    """

    cycles: int
    latency: int = 0
    aligner: int = 0
    weight_load: int = 0
    fill: int = 0
    feed: int = 0
    prescan: int = 0


class CostModel:
    """Cycles and actions of the instructions of one trace.

    Instructions of the same operator and shape cost the same and are computed once.
    """

    def __init__(self, manifest: Manifest) -> None:
        self.manifest, self.machine = manifest, manifest.machine
        self.footprints = Footprints(manifest)
        self._busy: dict[tuple[int, ...], Busy] = {}
        self._array: dict[tuple[object, ...], ArrayCycles] = {}
        self._segments: dict[tuple[int, int], Segments] = {}

    def busy(self, record: Any) -> Busy:
        """Cycles of one instruction, given as a tuple of the fields of `isa.INSTRUCTION`."""
        opcode, _, flags, op_id, group, _, rows, _, columns, _, _, _, _, size, *_ = record
        return self._busy_at((opcode, flags, op_id, group, rows, columns, size))

    def cycles_of(self, program: Program) -> NDArray[np.int64]:
        """`busy` of many instructions, a row each: cycles, latency, and what `Busy` says of the cycles."""
        fields = np.stack([program[name].astype(np.int64) for name in BUSY_FIELDS], axis=1)
        kinds, inverse = np.unique(fields, axis=0, return_inverse=True)
        found = [self._busy_at(tuple(row)) for row in kinds.tolist()]
        return np.array(found, np.int64).reshape(-1, 7)[inverse.reshape(-1)]

    def _busy_at(self, key: tuple[int, ...]) -> Busy:
        """Cycles of an instruction, given as `BUSY_FIELDS`."""
        opcode, flags, op_id, group, rows, columns, size = key
        found = self._busy.get(key)
        if found is None:
            found = self._busy[key] = self._busy_of(Opcode(opcode), op_id, flags, group, rows, columns, size)
        return found

    def _busy_of(
        self, opcode: Opcode, op_id: int, flags: int, group: int, rows: int, columns: int, size: int
    ) -> Busy:
        m, n, op = self.machine, rows * columns, self.manifest.operators[op_id]
        if opcode is Opcode.MATMUL:
            c = self.array_cycles(op_id, group, rows, columns)
            drain = os_array.DRAIN if m.array_config.dataflow == "os" else 0
            return Busy(c.total, drain, c.aligner, c.weight_load, c.fill, c.port, c.prescan)
        if opcode in (Opcode.LOAD, Opcode.STORE):
            return Busy(dma.cycles(m.dma_config, size), m.dma_config.latency)
        if opcode is Opcode.GATHER:
            return Busy(dma.cycles(m.dma_config, size, rows), m.dma_config.latency)
        static = self.stored_form(op, flags).static is not None
        simple: dict[Opcode, Callable[[], int]] = {
            Opcode.REQUANT: lambda: requantizer.cycles(
                m.requantizer_config, n, static or bool(flags & Flag.SPILL)
            ),
            Opcode.SOFTMAX: lambda: softmax.cycles(m.softmax_config, rows, columns),
            Opcode.NORM: lambda: norm.cycles(m.norm_config, rows, columns),
            Opcode.LUT: lambda: lut.cycles(m.lut_config(str(op.function)), n),
            Opcode.ADD: lambda: elementwise.cycles(m.elementwise_config, n),
            Opcode.MUL: lambda: elementwise.cycles(m.elementwise_config, n),
            Opcode.HOST: lambda: 0,
        }
        return Busy(simple[opcode]())

    def stored_form(self, op: OpSpec, flags: int) -> TensorSpec:
        """The stored form that a REQUANT writes."""
        return self.manifest.tensors[op.writes[1 if flags & Flag.COPY else 0]]

    def array_cycles(self, op_id: int, group: int, rows: int, columns: int) -> ArrayCycles:
        """Cycles of a tile of a product."""
        op = self.manifest.operators[op_id]
        a, b = self.manifest.operands(op)
        starts = self.segments(op_id, group).starts.tolist()
        key = (rows, columns, op.k, tuple(starts), a.bits, b.bits)
        if key not in self._array:
            config = self.machine.array_config
            self._array[key] = array_cycles.cycles(config, rows, columns, op.k, starts, a.bits, b.bits)
        return self._array[key]

    def segments(self, op_id: int, group: int) -> Segments:
        """The segments of one group of a product."""
        if (op_id, group) not in self._segments:
            op = self.manifest.operators[op_id]
            config = self.machine.array_config
            self._segments[op_id, group] = segments_of(op, group, *self.manifest.operands(op), config)
        return self._segments[op_id, group]

    def actions(self, record: Any) -> Actions:
        """Actions of one instruction by part: the unit's own, and the bytes that it reads and writes."""
        opcode = Opcode(record["opcode"])
        op = self.manifest.operators[record["op_id"]]
        flags = Flag(int(record["flags"]))
        counts: Actions = {}
        if opcode is Opcode.MATMUL:
            self._matmul(counts, op, record)
        elif opcode in (Opcode.LOAD, Opcode.STORE, Opcode.GATHER):
            self._transfer(counts, opcode, record)
        elif opcode is Opcode.REQUANT:
            self._requant(counts, op, record)
        elif opcode is not Opcode.HOST:
            self._vector(counts, opcode, op, record)
            n, wide = int(record["rows"]) * int(record["columns"]), self.machine.wide_bits(op.kind)
            self._write_wide(counts, flags, n, wide, "vector.bits")
        return counts

    def _write_wide(self, counts: Actions, flags: Flag, n: int, wide: int, buffer: str) -> None:
        if flags & Flag.SPILL:
            _add(counts, "spill", "sram.activations.bytes", n * -(-wide // 8))
        else:
            _add(counts, "wide", buffer, n * wide)

    def _transfer(self, counts: Actions, opcode: Opcode, record: Any) -> None:
        size, flags = int(record["size"]), Flag(int(record["flags"]))
        runs = int(record["rows"]) if opcode is Opcode.GATHER else 1
        counts.update(dma.actions(self.machine.dma_config, size, runs))
        memory = "weights" if flags & Flag.TO_WEIGHTS else "activations"
        shared = self.footprints.exponents(record)
        if flags & Flag.SPILL:
            counts["spill", "dram.bytes"] = counts.pop(("dram", "dram.bytes"))
            _add(counts, "spill", "sram.activations.bytes", size)
        elif flags & Flag.TO_TABLES:
            _add(counts, "operands", "register.bits", 8 * size)
        else:
            counts["dram", "dram.bytes"] -= shared
            _add(counts, "exponents", "dram.bytes", shared)
            _add(counts, "operands", f"sram.{memory}.bytes", size - shared)
            _add(counts, "exponents", f"sram.{memory}.bytes", shared)

    def _requant(self, counts: Actions, op: OpSpec, record: Any) -> None:
        flags, wide = Flag(int(record["flags"])), self.machine.wide_bits(op.kind)
        out, n = self.stored_form(op, flags), int(record["rows"]) * int(record["columns"])
        blocks = self._tile_blocks(out, op, record)
        static = out.static is not None
        multiplier = op.copy_multiplier if flags & Flag.COPY else op.multiplier
        if out.form.has_exponents:
            counts.update(encoder.actions(n, blocks, wide, out.bits))
        else:
            counts.update(requantizer.actions(n, blocks, wide, out.bits, static, multiplier is not None))
        _add(counts, "operands", "sram.activations.bytes", packed_bytes(n, out.bits))
        _add(counts, "exponents", "sram.activations.bytes", blocks)
        if multiplier is not None:
            factors = min(self.manifest.constants[multiplier].columns, int(record["columns"]))
            _add(counts, "exponents", "sram.weights.bytes", 3 * factors)
        if flags & Flag.SPILL:
            _add(counts, "spill", "sram.activations.bytes", n * -(-wide // 8))
        else:
            passes = 1 if self.machine.requantizer_config.merged or static else 2
            buffer = "accumulator.bits" if op.kind == "matmul" else "vector.bits"
            _add(counts, "wide", buffer, passes * n * wide)

    def _vector(self, counts: Actions, opcode: Opcode, op: OpSpec, record: Any) -> None:
        rows, columns, m = int(record["rows"]), int(record["columns"]), self.machine
        n = rows * columns
        own: dict[Opcode, Callable[[], Actions]] = {
            Opcode.SOFTMAX: lambda: softmax.actions(m.softmax_config, rows, columns),
            Opcode.NORM: lambda: norm.actions(m.norm_config, rows, columns),
            Opcode.LUT: lambda: lut.actions(m.lut_config(str(op.function)), n),
            Opcode.ADD: lambda: elementwise.actions_add(n),
            Opcode.MUL: lambda: elementwise.actions_mul(n),
        }
        counts.update(own[opcode]())
        first, left = int(record["row"]), (int(record["column"]), columns)
        for operand in (op.a, op.b):
            if operand is not None:
                self._read(counts, self.manifest.tensors[operand.tensor], (first, rows), left, "activations")
        for name in (op.weight, op.bias, op.constant):
            if name is not None:
                fixed = self.manifest.constants[name]
                span = (0, 1) if fixed.rows == 1 else (first, rows)
                self._read(counts, fixed, span, left, "weights")
        if op.mask is not None:
            _add(counts, "operands", "sram.weights.bytes", packed_bytes(n, 1))

    @staticmethod
    def _read(
        counts: Actions, spec: Blocks, rows: tuple[int, int], columns: tuple[int, int], memory: str
    ) -> None:
        """Bytes of a tile of a matrix, given as first row and count, first column and count."""
        action = f"sram.{memory}.bytes"
        _add(counts, "operands", action, packed_bytes(rows[1] * columns[1], spec.bits))
        shared = spanned(spec.row_index, *rows) * spanned(spec.column_index, *columns)
        _add(counts, "exponents", action, shared)

    def _matmul(self, counts: Actions, op: OpSpec, record: Any) -> None:
        assert op.a is not None
        rows, columns = int(record["rows"]), int(record["columns"])
        group, column = int(record["group"]), int(record["column"])
        a, b = self.manifest.operands(op)
        array = self.machine.array_config
        segments = self.segments(int(record["op_id"]), group)
        starts = segments.starts.tolist()
        counts.update(array_cycles.actions(array, rows, columns, op.k, starts, a.form.code, b.form.code))
        first = group * op.a.row_step + int(record["row"])
        _add(counts, "operands", "sram.activations.bytes", packed_bytes(rows * op.k, a.bits))
        blocks = spanned(a.row_index, first, rows) * len(set(segments.a_blocks.tolist()))
        _add(counts, "exponents", "sram.activations.bytes", blocks)
        line_index, line = b.row_index, column
        if op.b is not None:
            line += group * (op.b.column_step if op.b.transposed else op.b.row_step)
            line_index = b.column_index if op.b.transposed else b.row_index
        memory = "sram.activations.bytes" if op.b is not None else "sram.weights.bytes"
        _add(counts, "operands", memory, packed_bytes(columns * op.k, b.bits))
        blocks = spanned(line_index, line, columns) * len(set(segments.b_blocks.tolist()))
        _add(counts, "exponents", memory, blocks)
        bits = array.accumulator.bits
        if op.bias is not None:
            bias = self.manifest.constants[op.bias]
            _add(counts, "operands", "sram.weights.bytes", packed_bytes(columns, bias.bits))
            _add(counts, "exponents", "sram.weights.bytes", spanned(bias.row_index, column, columns))
            _add(counts, "align", f"shift:{bits}", rows * columns)
            _add(counts, "align", f"add:{bits}", rows * columns)
        if Flag(int(record["flags"])) & Flag.SPILL:
            _add(counts, "spill", "sram.activations.bytes", rows * columns * -(-bits // 8))

    def _tile_blocks(self, out: Blocks, op: OpSpec, record: Any) -> int:
        """Blocks of a REQUANT's tile."""
        first = int(record["group"]) * op.out.row_step + int(record["row"])
        left = int(record["group"]) * op.out.column_step + int(record["column"])
        down = spanned(out.row_index, first, int(record["rows"]))
        return down * spanned(out.column_index, left, int(record["columns"]))


def _add(counts: Actions, part: str, action: str, count: int) -> None:
    if count:
        counts[part, action] = counts.get((part, action), 0) + count
