"""The interpreter: one instruction after the other, over the bytes of modelled DRAM and SRAM.

It computes with the units' plain-integer specs and nothing else. It is slow, and it is the oracle that
`execute` is held against, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blocksim.engine.boundary import (
    HostSession,
    Stored,
    check_inputs,
    decode_outputs,
    decode_tensor,
    encode_tensor,
    walk_of_source,
)
from blocksim.engine.segments import segments_of
from blocksim.trace.file import Trace
from blocksim.trace.isa import Flag, Opcode
from blocksim.trace.manifest import Blocks, ConstantSpec, OpSpec, TensorSpec
from hwmodels.formats.packing import pack, packed_bytes, unpack
from hwmodels.units import elementwise, lut, mac_array, norm, requantizer, softmax

Wide = dict[tuple[int, int], tuple[int, int]]
"""Wide sums of one memory: the output's row and column to a sum and its exponent."""


@dataclass
class Counters:
    """What was lost on the way: see `blocksim.engine.execute.Counts`."""

    flushed: int = 0
    overflows: int = 0
    clamped: int = 0
    saturated: int = 0


@dataclass
class Machine:
    """The modelled memories."""

    trace: Trace
    dram: bytearray = field(init=False)
    weights: bytearray = field(init=False)
    activations: bytearray = field(init=False)
    tables: bytearray = field(init=False)
    wide: dict[tuple[str, int], Wide] = field(default_factory=dict)
    counters: dict[str, Counters] = field(default_factory=dict)

    def __post_init__(self) -> None:
        manifest = self.trace.manifest
        self.dram = bytearray(manifest.dram_bytes)
        self.weights = bytearray(manifest.machine.sram.weights.nbytes)
        self.activations = bytearray(manifest.machine.sram.activations.nbytes)
        self.tables = bytearray(
            max(
                (a + manifest.constants[n].size for op in manifest.operators for n, a in op.tables.items()),
                default=0,
            )
        )
        for name, spec in manifest.constants.items():
            self.dram[spec.address : spec.address + spec.size] = self.trace.sections[name]

    # -- bytes to integers -------------------------------------------------------------------

    def matrix(self, memory: bytearray, address: int, spec: Blocks) -> tuple[Any, Any]:
        """Codes and exponents of a row-major matrix at an address, one exponent per element."""
        codes = unpack(memory[address : address + spec.codes_bytes], spec.rows * spec.columns, spec.bits)
        at = address + spec.codes_bytes
        exponents = unpack(memory[at : at + spec.blocks], spec.blocks, 8)
        grid = exponents.reshape(len(spec.row_starts), len(spec.column_starts))
        spread = grid[spec.row_index][:, spec.column_index]
        return codes.reshape(spec.rows, spec.columns), spread

    def store_tile(
        self, address: int, spec: TensorSpec, tile: tuple[slice, slice], codes: Any, exponents: Any
    ) -> None:
        """Write codes and block exponents of a tile of whole blocks into a row-major matrix."""
        rows, columns = tile
        whole = self.matrix_codes(address, spec)
        whole[rows, columns] = codes
        self.activations[address : address + spec.codes_bytes] = pack(whole, spec.bits)
        at = address + spec.codes_bytes
        grid = unpack(self.activations[at : at + spec.blocks], spec.blocks, 8)
        grid = grid.reshape(len(spec.row_starts), len(spec.column_starts))
        rb, cb = spec.row_index[rows], spec.column_index[columns]
        grid[rb[0] : rb[-1] + 1, cb[0] : cb[-1] + 1] = exponents
        self.activations[at : at + spec.blocks] = pack(grid, 8)

    def matrix_codes(self, address: int, spec: TensorSpec) -> NDArray[np.int16]:
        """The codes of a row-major matrix in the activation SRAM."""
        data = self.activations[address : address + spec.codes_bytes]
        return unpack(data, spec.rows * spec.columns, spec.bits).reshape(spec.rows, spec.columns)

    def weight_tile(self, address: int, spec: ConstantSpec, column: int) -> tuple[Any, Any]:
        """Codes (N x K) of the weight tile at an address, and one exponent per line and depth block."""
        first, last, b0, b1, _ = spec.tiles[spec.tile_starts.index(column)]
        count = (last - first) * spec.columns
        size = packed_bytes(count, spec.bits)
        codes = unpack(self.weights[address : address + size], count, spec.bits)
        depth = len(spec.column_starts)
        at = address + size
        exponents = unpack(self.weights[at : at + (b1 - b0) * depth], (b1 - b0) * depth, 8)
        lines = spec.row_index[first:last] - b0
        return codes.reshape(spec.columns, last - first).T, exponents.reshape(depth, b1 - b0)[:, lines].T

    def table(self, op: OpSpec, name: str) -> tuple[int, ...]:
        """A lookup table from the units' table memory."""
        at = op.tables[name]
        size = self.trace.manifest.constants[name].size
        return tuple(int(v) for v in np.frombuffer(bytes(self.tables[at : at + size]), "<i4"))


@dataclass(frozen=True)
class Interpretation:
    """What one sample gave.

    Attributes
    ----------
    outputs : dict of str to float32 array
        Graph outputs, leading axis 1.
    tensors : dict of str to (codes, exponents)
        Every activation as it was last stored.
    counters : dict of str to Counters
        By operator.
    """

    outputs: dict[str, NDArray[np.float32]]
    tensors: dict[str, tuple[NDArray[np.int16], NDArray[np.int16]]]
    counters: dict[str, Counters]


def interpret(trace: Trace, inputs: Mapping[str, NDArray[Any]]) -> Interpretation:
    """Run one sample, instruction by instruction.

    Parameters
    ----------
    trace : Trace
    inputs : dict of str to array
        Graph inputs with a leading axis of 1.

    Returns
    -------
    Interpretation
    """
    checked = check_inputs(trace.manifest.inputs, inputs, "inputs")
    run = _Run(trace, {name: array[:1] for name, array in checked.items()})
    for record in trace.program:
        run.step(record)
    outputs = decode_outputs(trace.manifest, {t: [v] for t, v in run.tensors.items()})
    return Interpretation(outputs, run.tensors, run.machine.counters)


class _Run:
    """One sample on its way through the program."""

    def __init__(self, trace: Trace, inputs: dict[str, NDArray[Any]]) -> None:
        self.trace, self.manifest, self.inputs = trace, trace.manifest, inputs
        self.machine = Machine(trace)
        self.config = trace.manifest.machine
        self.tensors: dict[str, tuple[NDArray[np.int16], NDArray[np.int16]]] = {}
        self.handlers: dict[Opcode, Callable[[Any, OpSpec], None]] = {
            Opcode.LOAD: self._load,
            Opcode.STORE: self._store,
            Opcode.MATMUL: self._matmul,
            Opcode.REQUANT: self._requant,
            Opcode.SOFTMAX: self._softmax,
            Opcode.NORM: self._norm,
            Opcode.LUT: self._lut,
            Opcode.ADD: self._elementwise,
            Opcode.MUL: self._elementwise,
            Opcode.HOST: self._host,
        }

    def step(self, record: Any) -> None:
        op = self.manifest.operators[record["op_id"]]
        self.handlers[Opcode(record["opcode"])](record, op)

    def _load(self, r: Any, _op: OpSpec) -> None:
        flags, m = Flag(r["flags"]), self.machine
        target = (
            m.weights if flags & Flag.TO_WEIGHTS else m.tables if flags & Flag.TO_TABLES else m.activations
        )
        at, source, size = int(r["dst"]), int(r["a"]), int(r["size"])
        target[at : at + size] = m.dram[source : source + size]

    def _store(self, r: Any, _op: OpSpec) -> None:
        at, source, size = int(r["dst"]), int(r["a"]), int(r["size"])
        self.machine.dram[at : at + size] = self.machine.activations[source : source + size]

    def _counter(self, op: OpSpec) -> Counters:
        return self.machine.counters.setdefault(op.name, Counters())

    def _wide(self, r: Any, space: str, address: str) -> Wide:
        name = "spill" if Flag(r["flags"]) & Flag.SPILL else space
        return self.machine.wide.setdefault((name, int(r[address])), {})

    def _matmul(self, r: Any, op: OpSpec) -> None:
        assert op.a is not None
        group, row, rows, column, columns = (int(r[n]) for n in ("group", "row", "rows", "column", "columns"))
        a_spec = self.manifest.tensors[op.a.tensor]
        codes, exponents = self.machine.matrix(self.machine.activations, int(r["a"]), a_spec)
        r0, c0 = group * op.a.row_step + row, group * op.a.column_step
        a, ea = codes[r0 : r0 + rows, c0 : c0 + op.k], exponents[r0 : r0 + rows, c0 : c0 + op.k]
        bias = bias_exponents = None
        w_bits = bias_bits = 8
        b_spec: Blocks
        if op.weight is not None:
            spec = self.manifest.constants[op.weight]
            b_spec, w_bits = spec, spec.bits
            w, per_block = self.machine.weight_tile(int(r["b"]), spec, column)
            ew = per_block[:, spec.column_index]
            if op.bias is not None:
                spec = self.manifest.constants[op.bias]
                values, one = self.machine.weight_tile(int(r["c"]), spec, column)
                bias, bias_exponents, bias_bits = values[:, 0].tolist(), one[:, 0].tolist(), spec.bits
        else:
            assert op.b is not None
            b_spec = self.manifest.tensors[op.b.tensor]
            codes, exponents = self.machine.matrix(self.machine.activations, int(r["b"]), b_spec)
            r1, c1 = group * op.b.row_step, group * op.b.column_step
            if op.b.transposed:
                w = codes[r1 : r1 + op.k, c1 + column : c1 + column + columns].T
                ew = exponents[r1 : r1 + op.k, c1 + column : c1 + column + columns].T
            else:
                w = codes[r1 + column : r1 + column + columns, c1 : c1 + op.k]
                ew = exponents[r1 + column : r1 + column + columns, c1 : c1 + op.k]
        segments = segments_of(op, group, a_spec, b_spec, self.config.array.rows)
        starts = segments.starts.tolist()
        operands = mac_array.MatmulOperands(
            a.tolist(), ea[:, starts].tolist(), w.tolist(), ew[:, starts].tolist(),
            bias, bias_exponents, starts, w_bits, bias_bits,
        )  # fmt: skip
        out = mac_array.result(self.config.array_config, operands)
        counter = self._counter(op)
        counter.flushed += out.flushed
        counter.overflows += out.overflows
        wide = self._wide(r, "accumulator", "dst")
        o_row, o_column = group * op.out.row_step + row, group * op.out.column_step + column
        for i, (sums, es) in enumerate(zip(out.sums, out.exponents, strict=True)):
            for j, (total, e) in enumerate(zip(sums, es, strict=True)):
                wide[o_row + i, o_column + j] = (total, e)

    def _requant(self, r: Any, op: OpSpec) -> None:
        spec = self.manifest.tensors[op.out.tensor]
        space = "accumulator" if op.kind == "matmul" else "vector"
        wide = self._wide(r, space, "a")
        r0 = int(r["group"]) * op.out.row_step + int(r["row"])
        c0 = int(r["group"]) * op.out.column_step + int(r["column"])
        r1, c1 = r0 + int(r["rows"]), c0 + int(r["columns"])
        codes = np.zeros((r1 - r0, c1 - c0), np.int16)
        row_cuts = [*(int(s) for s in spec.row_starts if r0 <= s < r1), r1]
        column_cuts = [*(int(s) for s in spec.column_starts if c0 <= s < c1), c1]
        shared = np.zeros((len(row_cuts) - 1, len(column_cuts) - 1), np.int16)
        counter = self._counter(op)
        for i in range(len(row_cuts) - 1):
            for j in range(len(column_cuts) - 1):
                block_rows = range(row_cuts[i], row_cuts[i + 1])
                block_columns = range(column_cuts[j], column_cuts[j + 1])
                block = [wide[y, x] for y in block_rows for x in block_columns]
                q, e, clamped, saturated = requantizer.result(
                    [s for s, _ in block], [x for _, x in block], spec.bits
                )
                shape = (len(block_rows), len(block_columns))
                y, x = row_cuts[i] - r0, column_cuts[j] - c0
                codes[y : y + shape[0], x : x + shape[1]] = np.array(q).reshape(shape)
                shared[i, j] = e
                counter.clamped += clamped
                counter.saturated += saturated
        address = int(r["dst"])
        self.machine.store_tile(address, spec, (slice(r0, r1), slice(c0, c1)), codes, shared)
        self._remember(spec, address)

    def _remember(self, spec: TensorSpec, address: int) -> None:
        self.tensors[spec.name] = self._stored(self.machine.activations, address, spec)

    @staticmethod
    def _stored(memory: bytearray, address: int, spec: TensorSpec) -> Stored:
        at = address + spec.codes_bytes
        codes = unpack(memory[address:at], spec.rows * spec.columns, spec.bits)
        exponents = unpack(memory[at : at + spec.blocks], spec.blocks, 8)
        return (
            codes.reshape(spec.rows, spec.columns),
            exponents.reshape(len(spec.row_starts), len(spec.column_starts)),
        )

    def _rows(self, r: Any, slot: str, tensor: str) -> tuple[Any, Any]:
        spec = self.manifest.tensors[tensor]
        codes, exponents = self.machine.matrix(self.machine.activations, int(r[slot]), spec)
        span = slice(int(r["row"]), int(r["row"]) + int(r["rows"]))
        return codes[span].tolist(), exponents[span].tolist()

    def _constant(self, r: Any, slot: str, name: str) -> tuple[Any, Any]:
        spec = self.manifest.constants[name]
        codes, exponents = self.machine.matrix(self.machine.weights, int(r[slot]), spec)
        return codes.tolist(), exponents.tolist()

    def _put(self, r: Any, rows: list[tuple[list[int], list[int]]]) -> None:
        wide = self._wide(r, "vector", "dst")
        for i, (sums, exponents) in enumerate(rows):
            for j, pair in enumerate(zip(sums, exponents, strict=True)):
                wide[int(r["row"]) + i, j] = pair

    def _softmax(self, r: Any, op: OpSpec) -> None:
        assert op.a is not None
        shipped = self.config.softmax_config
        config = softmax.SoftmaxConfig(
            shipped.lanes,
            shipped.guard_bits,
            self.machine.table(op, "table.exp2"),
            self.machine.table(op, "table.reciprocal"),
            shipped.latency,
        )
        rows, exponents = self._rows(r, "a", op.a.tensor)
        keys = [True] * len(rows[0])
        pairs = zip(rows, exponents, strict=True)
        self._put(r, [softmax.result(config, x, e, keys) for x, e in pairs])

    def _norm(self, r: Any, op: OpSpec) -> None:
        assert op.a is not None and op.weight is not None and op.bias is not None and op.epsilon is not None
        shipped = self.config.norm_config
        table = self.machine.table(op, "table.root")
        config = norm.NormConfig(shipped.lanes, table, shipped.newton_steps, shipped.latency)
        (gamma, gamma_exponents), (beta, beta_exponents) = (
            self._constant(r, slot, name) for slot, name in (("b", op.weight), ("c", op.bias))
        )
        operands = norm.NormOperands(
            self.manifest.tensors[op.a.tensor].bits, op.centred, op.epsilon,
            tuple(gamma[0]), tuple(gamma_exponents[0]), tuple(beta[0]), tuple(beta_exponents[0]),
        )  # fmt: skip
        rows, exponents = self._rows(r, "a", op.a.tensor)
        pairs = zip(rows, exponents, strict=True)
        self._put(r, [norm.result(config, operands, x, e) for x, e in pairs])

    def _lut(self, r: Any, op: OpSpec) -> None:
        assert op.a is not None and op.function is not None
        shipped = self.config.lut_config(op.function)
        table = self.machine.table(op, f"table.{op.function}")
        config = lut.LutConfig(
            shipped.lanes, shipped.in_bits, shipped.fraction, shipped.step_bits, table, shipped.latency
        )
        pairs = zip(*self._rows(r, "a", op.a.tensor), strict=True)
        results = [lut.result(config, x, e) for x, e in pairs]
        self._counter(op).saturated += sum(clipped for *_, clipped in results)
        self._put(r, [(sums, exponents) for sums, exponents, _ in results])

    def _elementwise(self, r: Any, op: OpSpec) -> None:
        assert op.a is not None
        a, ea = self._rows(r, "a", op.a.tensor)
        if op.b is not None:
            b, eb = self._rows(r, "b", op.b.tensor)
        else:
            assert op.constant is not None
            codes, exponents = self._constant(r, "b", op.constant)
            picks = [(int(r["row"]) + i) % len(codes) for i in range(len(a))]
            b, eb = [codes[i] for i in picks], [exponents[i] for i in picks]
        config = self.config.elementwise_config
        rows = zip(a, ea, b, eb, strict=True)
        if Opcode(r["opcode"]) is Opcode.ADD:
            results = [elementwise.result_add(config, *row) for row in rows]
            self._counter(op).flushed += sum(flushed for *_, flushed in results)
            self._put(r, [(sums, exponents) for sums, exponents, _ in results])
        else:
            self._put(r, [elementwise.result_mul(*row) for row in rows])

    def _host(self, r: Any, op: OpSpec) -> None:
        assert op.model is not None
        feeds = {}
        for source in op.sources:
            if source.source in self.inputs:
                feeds[source.value] = self.inputs[source.source]
            else:
                spec = self.manifest.tensors[source.source]
                stored = self._stored(self.machine.dram, self.manifest.dram[source.source], spec)
                walk = walk_of_source(self.manifest, source)
                feeds[source.value] = walk.to_value(decode_tensor(spec, stored))
        session = HostSession(self.manifest, op, self.trace.sections[op.model])
        matrix = session.run(feeds)
        spec = self.manifest.tensors[op.out.tensor]
        q = encode_tensor(spec, matrix)
        data = pack(q.codes, spec.bits) + pack(q.exponents, 8)
        self.machine.dram[int(r["dst"]) : int(r["dst"]) + spec.nbytes] = data
        self.tensors[spec.name] = (q.codes, q.exponents)
        self._counter(op).clamped += q.clamped
        self._counter(op).saturated += q.saturated
