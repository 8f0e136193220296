"""What one instruction takes: cycles from its unit's formula, and the actions that cost energy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from blocksim.engine.segments import segments_of
from blocksim.trace.isa import Flag, Opcode
from blocksim.trace.manifest import Blocks, Index, Manifest, OpSpec
from hwmodels.formats.packing import packed_bytes
from hwmodels.units import dma, elementwise, lut, mac_array, norm, requantizer, softmax
from hwmodels.units.mac_array import ArrayCycles

Actions = dict[str, int]


@dataclass(frozen=True)
class Busy:
    """Cycles of one instruction.

    Attributes
    ----------
    cycles : int
        How long it keeps its unit.
    latency : int
        Further cycles until others see its result.
    aligner, weight_load, fill : int
        Of the cycles: waiting for aligners, waiting for weights, filling and draining the array.
    """

    cycles: int
    latency: int = 0
    aligner: int = 0
    weight_load: int = 0
    fill: int = 0


class CostModel:
    """Cycles and actions of the instructions of one trace.

    Instructions of the same operator and shape cost the same and are computed once.
    """

    def __init__(self, manifest: Manifest) -> None:
        self.manifest, self.machine = manifest, manifest.machine
        self._busy: dict[tuple[int, ...], Busy] = {}
        self._array: dict[tuple[int, tuple[int, ...]], ArrayCycles] = {}

    def busy(self, record: Any) -> Busy:
        """Cycles of one instruction, given as a tuple of the fields of `isa.INSTRUCTION`."""
        opcode, _, flags, op_id, group, _, rows, _, columns, *_, size, _ = record
        key = (opcode, flags, op_id, group, rows, columns, size)
        found = self._busy.get(key)
        if found is None:
            op = self.manifest.operators[op_id]
            found = self._busy[key] = self._busy_of(Opcode(opcode), op, flags, group, rows, columns, size)
        return found

    def _busy_of(
        self, opcode: Opcode, op: OpSpec, flags: int, group: int, rows: int, columns: int, size: int
    ) -> Busy:
        m, n = self.machine, rows * columns
        if opcode is Opcode.MATMUL:
            c = self._array_cycles(op, group, rows)
            return Busy(c.total, 0, c.aligner, c.weight_load, c.fill)
        if opcode in (Opcode.LOAD, Opcode.STORE):
            return Busy(dma.cycles(m.dma_config, size), m.dma_config.latency)
        simple: dict[Opcode, Callable[[], int]] = {
            Opcode.REQUANT: lambda: requantizer.cycles(m.requantizer_config, n, bool(flags & Flag.SPILL)),
            Opcode.SOFTMAX: lambda: softmax.cycles(m.softmax_config, rows, columns),
            Opcode.NORM: lambda: norm.cycles(m.norm_config, rows, columns),
            Opcode.LUT: lambda: lut.cycles(m.lut_config(str(op.function)), n),
            Opcode.ADD: lambda: elementwise.cycles(m.elementwise_config, n),
            Opcode.MUL: lambda: elementwise.cycles(m.elementwise_config, n),
            Opcode.HOST: lambda: 0,
        }
        return Busy(simple[opcode]())

    def _array_cycles(self, op: OpSpec, group: int, rows: int) -> ArrayCycles:
        a, b = self._operands(op)
        segments = segments_of(op, group, a, b, self.machine.array.rows)
        per_fold = mac_array.segments_per_fold(segments.starts.tolist(), self.machine.array.rows)
        key = (rows, per_fold)
        if key not in self._array:
            self._array[key] = mac_array.cycles(self.machine.array_config, *key)
        return self._array[key]

    def _operands(self, op: OpSpec) -> tuple[Blocks, Blocks]:
        assert op.a is not None
        a: Blocks = self.manifest.tensors[op.a.tensor]
        if op.weight is not None:
            return a, self.manifest.constants[op.weight]
        assert op.b is not None
        return a, self.manifest.tensors[op.b.tensor]

    def actions(self, record: Any) -> Actions:
        """Actions of one instruction: the unit's own, and the bytes that it reads and writes."""
        opcode = Opcode(record["opcode"])
        op = self.manifest.operators[record["op_id"]]
        rows, columns, size = int(record["rows"]), int(record["columns"]), int(record["size"])
        flags, n = Flag(record["flags"]), rows * columns
        if opcode is Opcode.MATMUL:
            return self._matmul_actions(op, record)
        if opcode in (Opcode.LOAD, Opcode.STORE):
            moved = dma.actions(self.machine.dma_config, size)
            if flags & Flag.TO_TABLES:
                return {**moved, "register.bits": 8 * size}
            memory = "weights" if flags & Flag.TO_WEIGHTS else "activations"
            return {**moved, f"sram.{memory}.bytes": size}
        if opcode is Opcode.HOST:
            return {}
        wide = self.machine.wide_bits(op.kind)
        if opcode is Opcode.REQUANT:
            out = self.manifest.tensors[op.out.tensor]
            blocks = self._tile_blocks(out, op, record)
            counts = requantizer.actions(n, blocks, wide, out.bits)
            _add(counts, "sram.activations.bytes", packed_bytes(n, out.bits) + blocks)
            if flags & Flag.SPILL:
                _add(counts, "sram.activations.bytes", 2 * n * -(-wide // 8))
            else:
                passes = 1 if self.machine.requantizer_config.merged else 2
                _add(counts, "accumulator.bits" if op.kind == "matmul" else "vector.bits", passes * n * wide)
            return counts
        counts = self._vector_actions(opcode, op, rows, columns)
        counts.update(self._operand_bytes(op, int(record["row"]), rows))
        if flags & Flag.SPILL:
            _add(counts, "sram.activations.bytes", n * -(-wide // 8))
        else:
            _add(counts, "vector.bits", n * wide)
        return counts

    def _vector_actions(self, opcode: Opcode, op: OpSpec, rows: int, columns: int) -> Actions:
        m, n = self.machine, rows * columns
        if opcode is Opcode.SOFTMAX:
            return softmax.actions(m.softmax_config, rows, columns)
        if opcode is Opcode.NORM:
            return norm.actions(m.norm_config, rows, columns)
        if opcode is Opcode.LUT:
            assert op.function is not None
            return lut.actions(m.lut_config(op.function), n)
        return elementwise.actions_add(n) if opcode is Opcode.ADD else elementwise.actions_mul(n)

    def _operand_bytes(self, op: OpSpec, first: int, rows: int) -> Actions:
        """Bytes that a vector instruction reads, exponents included."""
        counts: Actions = {}
        for operand in (op.a, op.b):
            if operand is not None:
                spec = self.manifest.tensors[operand.tensor]
                _add(counts, "sram.activations.bytes", _row_bytes(spec, first, rows))
        for name in (op.weight, op.bias, op.constant):
            if name is not None:
                fixed = self.manifest.constants[name]
                span = (0, 1) if fixed.rows == 1 else (first, rows)
                _add(counts, "sram.weights.bytes", _row_bytes(fixed, *span))
        return counts

    def _matmul_actions(self, op: OpSpec, record: Any) -> Actions:
        rows, columns = int(record["rows"]), int(record["columns"])
        a, b = self._operands(op)
        array = self.machine.array_config
        segments = segments_of(op, int(record["group"]), a, b, array.rows)
        count, folds = len(segments.starts), int(segments.last_of_fold.sum())
        counts = mac_array.actions(array, rows, op.k, columns, count, folds, a.bits, b.bits)
        assert op.a is not None
        group, column = int(record["group"]), int(record["column"])
        first = group * op.a.row_step + int(record["row"])
        a_blocks = _spanned(a.row_index, first, rows) * len(set(segments.a_blocks.tolist()))
        _add(counts, "sram.activations.bytes", packed_bytes(rows * op.k, a.bits) + a_blocks)
        line_index, line = b.row_index, column
        if op.b is not None:
            line += group * (op.b.column_step if op.b.transposed else op.b.row_step)
            line_index = b.column_index if op.b.transposed else b.row_index
        b_blocks = _spanned(line_index, line, columns) * len(set(segments.b_blocks.tolist()))
        memory = "sram.activations.bytes" if op.b is not None else "sram.weights.bytes"
        _add(counts, memory, packed_bytes(columns * op.k, b.bits) + b_blocks)
        if op.bias is not None:
            bias = self.manifest.constants[op.bias]
            bias_blocks = _spanned(bias.row_index, column, columns)
            _add(counts, "sram.weights.bytes", packed_bytes(columns, bias.bits) + bias_blocks)
            _add(counts, f"shift:{array.accumulator.bits}", rows * columns)
            _add(counts, f"add:{array.accumulator.bits}", rows * columns)
        if Flag(record["flags"]) & Flag.SPILL:
            _add(counts, "sram.activations.bytes", rows * columns * -(-array.accumulator.bits // 8))
        return counts

    def _tile_blocks(self, out: Blocks, op: OpSpec, record: Any) -> int:
        """Blocks of a REQUANT's tile."""
        first = int(record["group"]) * op.out.row_step + int(record["row"])
        left = int(record["group"]) * op.out.column_step + int(record["column"])
        r, c = out.row_index, out.column_index
        return _spanned(r, first, int(record["rows"])) * _spanned(c, left, int(record["columns"]))


def _spanned(index: Index, first: int, count: int) -> int:
    """How many blocks a stretch of an axis touches."""
    return int(index[first + count - 1] - index[first]) + 1


def _row_bytes(spec: Blocks, first: int, rows: int) -> int:
    exponents = _spanned(spec.row_index, first, rows) * len(spec.column_starts)
    return packed_bytes(rows * spec.columns, spec.bits) + exponents


def _add(counts: Actions, name: str, count: int) -> None:
    counts[name] = counts.get(name, 0) + count
