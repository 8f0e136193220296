"""The interpreter: one instruction after the other, over the bytes of modelled DRAM and SRAM.

It computes with the units' plain-integer specs and nothing else. It is slow, and it is the oracle that
`execute` is held against, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blocksim.engine.boundary import (
    HostSession,
    Stored,
    check_samples,
    decode_outputs,
    decode_tensor,
    encode_tensor,
    looked_up,
    walk_of_source,
)
from blocksim.engine.memories import Counters, Machine, Wide, tile_of
from blocksim.engine.packed import mask_of, multipliers_of
from blocksim.engine.segments import segments_of
from blocksim.engine.storing import requantized, top_of
from blocksim.trace.file import Trace
from blocksim.trace.isa import Flag, Opcode
from blocksim.trace.manifest import Blocks, OpSpec, TensorSpec
from hwmodels.formats.packing import pack, packed_bytes, unpack
from hwmodels.units import elementwise, lut, mac_array, norm, requantizer, softmax
from hwmodels.units.ops import ZERO_BLOCK


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


def interpret(
    trace: Trace, inputs: Mapping[str, NDArray[Any]], order: Sequence[int] | None = None
) -> Interpretation:
    """Run one sample, instruction by instruction.

    Parameters
    ----------
    trace : Trace
    inputs : dict of str to array
        Graph inputs with a leading axis of 1.
    order : sequence of int, optional
        The instructions' numbers in the order in which they run; program order by default. Any order that
        the tickets allow gives the same.

    Returns
    -------
    Interpretation
    """
    checked = check_samples(trace.manifest, inputs, "inputs")
    run = _Run(trace, {name: array[:1] for name, array in checked.items()})
    for i in range(len(trace.program)) if order is None else order:
        run.step(trace.program[i])
    outputs = decode_outputs(trace.manifest, {t: [v] for t, v in run.tensors.items()})
    return Interpretation(outputs, run.tensors, run.machine.counters)


class _Run:
    """One sample on its way through the program."""

    def __init__(self, trace: Trace, inputs: dict[str, NDArray[Any]]) -> None:
        self.trace, self.manifest, self.inputs = trace, trace.manifest, inputs
        self.machine = Machine(trace)
        self.config = trace.manifest.machine
        self.tensors: dict[str, Stored] = {}
        self.multipliers: dict[str, tuple[NDArray[np.int64], NDArray[np.int64]]] = {}
        self.present = np.ones(1, np.bool_)
        if self.manifest.padding:
            self.present = inputs[self.manifest.padding].reshape(-1) != 0
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
            Opcode.GATHER: self._gather,
        }

    def step(self, record: Any) -> None:
        op = self.manifest.operators[record["op_id"]]
        self.handlers[Opcode(record["opcode"])](record, op)

    def _load(self, r: Any, _op: OpSpec) -> None:
        flags, m = Flag(int(r["flags"])), self.machine
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

    def _put(
        self, r: Any, op: OpSpec, wide: Wide, row: int, column: int, sums: list[int], exponents: list[int]
    ) -> None:
        """Write a row of sums; on their way to memory, spilled ones pass the search for a top."""
        spilled = Flag(int(r["flags"])) & Flag.SPILL
        for j, (total, e) in enumerate(zip(sums, exponents, strict=True)):
            wide[row, column + j] = (total, e)
            for name in op.writes if spilled else ():
                spec = self.manifest.tensors[name]
                if self._is_present(spec, row):
                    key = (name, int(spec.row_index[row]), int(spec.column_index[column + j]))
                    pairs = self._scaled(op, name, column + j, [(total, e)])
                    top = top_of(spec, *pairs)
                    self.machine.tops[key] = max(self.machine.tops.get(key, top), top)

    def _is_present(self, spec: TensorSpec, row: int) -> bool:
        return not spec.tokens or bool(self.present[row % spec.tokens])

    def _scaled(
        self, op: OpSpec, name: str, column: int, pairs: list[tuple[int, int]]
    ) -> tuple[list[int], list[int]]:
        """Sums of one column on their way to a stored form: times its multiplier, where it has one."""
        multiplier = op.multiplier if name == op.out.tensor else op.copy_multiplier
        if multiplier is None:
            return [a for a, _ in pairs], [e for _, e in pairs]
        if multiplier not in self.multipliers:
            spec, data = self.manifest.constants[multiplier], self.trace.sections[multiplier]
            columns = self.manifest.tensors[name].columns
            self.multipliers[multiplier] = multipliers_of(spec, data, columns)
        factors, shifts = self.multipliers[multiplier]
        m, x = int(factors[column]), int(shifts[column])
        return (
            [requantizer.scaled(a, m) for a, _ in pairs],
            [requantizer.scaled_exponent(e, x) for _, e in pairs],
        )

    def _matmul(self, r: Any, op: OpSpec) -> None:
        assert op.a is not None
        group, row, rows, column, columns = (int(r[n]) for n in ("group", "row", "rows", "column", "columns"))
        a_spec = self.manifest.tensors[op.a.tensor]
        codes, exponents = self._window(r, "a", op.a.tensor)
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
                bias, bias_exponents = values[:, 0].tolist(), one[:, 0].tolist()
                bias_bits = spec.value_bits or spec.bits
        else:
            assert op.b is not None
            b_spec = self.manifest.tensors[op.b.tensor]
            codes, exponents = self._window(r, "b", op.b.tensor)
            r1, c1 = group * op.b.row_step, group * op.b.column_step
            if op.b.transposed:
                w = codes[r1 : r1 + op.k, c1 + column : c1 + column + columns].T
                ew = exponents[r1 : r1 + op.k, c1 + column : c1 + column + columns].T
            else:
                w = codes[r1 + column : r1 + column + columns, c1 : c1 + op.k]
                ew = exponents[r1 + column : r1 + column + columns, c1 : c1 + op.k]
        segments = segments_of(op, group, a_spec, b_spec, self.config.array_config)
        starts = segments.starts.tolist()
        operands = mac_array.MatmulOperands(
            a.tolist(), ea[:, starts].tolist(), w.tolist(), ew[:, starts].tolist(),
            bias, bias_exponents, starts, segments.update.tolist(), w_bits, bias_bits, a_spec.bits,
            a_spec.form.code, b_spec.form.code, a_spec.form.anchor, b_spec.form.anchor,
        )  # fmt: skip
        out = mac_array.result(self.config.array_config, operands)
        counter = self._counter(op)
        counter.flushed += out.flushed
        counter.overflows += out.overflows
        o_row, o_column = group * op.out.row_step + row, group * op.out.column_step + column
        wide = self.machine.fresh(r, op)
        for i, (sums, es) in enumerate(zip(out.sums, out.exponents, strict=True)):
            self._put(r, op, wide, o_row + i, o_column, sums, es)

    def _requant(self, r: Any, op: OpSpec) -> None:
        flags = Flag(int(r["flags"]))
        name = op.writes[1] if flags & Flag.COPY else op.writes[0]
        spec = self.manifest.tensors[name]
        wide = self.machine.held(r, op)
        r0 = int(r["group"]) * op.out.row_step + int(r["row"])
        c0 = int(r["group"]) * op.out.column_step + int(r["column"])
        r1, c1 = r0 + int(r["rows"]), c0 + int(r["columns"])
        codes = np.zeros((r1 - r0, c1 - c0), np.int16)
        row_cuts = sorted({r0, *(int(s) for s in spec.row_starts if r0 < s < r1), r1})
        column_cuts = sorted({c0, *(int(s) for s in spec.column_starts if c0 < s < c1), c1})
        shared = np.zeros((len(row_cuts) - 1, len(column_cuts) - 1), np.int16)
        counter = self._counter(op)
        for i in range(len(row_cuts) - 1):
            for j in range(len(column_cuts) - 1):
                rows = [y for y in range(row_cuts[i], row_cuts[i + 1]) if self._is_present(spec, y)]
                columns = range(column_cuts[j], column_cuts[j + 1])
                place = (int(spec.row_index[row_cuts[i]]), int(spec.column_index[column_cuts[j]]))
                sums: list[int] = []
                exponents: list[int] = []
                for x in columns:
                    some, es = self._scaled(op, name, x, [wide[y, x] for y in rows])
                    sums += some
                    exponents += es
                top = None
                if flags & Flag.SPILL:  # the search is over: of the whole block, of which this may be a part
                    top = self.machine.tops.get((name, *place), top_of(spec, [], []))
                q, e, clamped, saturated = requantized(spec, sums, exponents, top)
                down, across = np.array(rows, int) - r0, np.arange(columns.start, columns.stop) - c0
                codes[np.ix_(down, across)] = np.array(q, np.int16).reshape(len(columns), len(rows)).T
                shared[i, j] = e
                once = int(spec.row_starts[place[0]]) == row_cuts[i]
                once = once and int(spec.column_starts[place[1]]) == column_cuts[j]
                counter.clamped += clamped if once else 0
                counter.saturated += saturated
        address, window = int(r["dst"]), tuple(int(v) for v in r["dst_window"])
        tile = (slice(r0, r1), slice(c0, c1))
        self.machine.store_tile(address, spec, (window[0], window[1]), tile, codes, shared)
        self._remember(spec, tile, codes, shared)

    def _remember(self, spec: TensorSpec, tile: tuple[slice, slice], codes: Any, exponents: Any) -> None:
        """Note a tile of what was stored."""
        if spec.name not in self.tensors:
            blocks = (len(spec.row_starts), len(spec.column_starts))
            self.tensors[spec.name] = (
                np.zeros((spec.rows, spec.columns), np.int16),
                np.zeros(blocks, np.int16),
            )
        own_codes, own_exponents = self.tensors[spec.name]
        rows, columns = tile
        own_codes[rows, columns] = codes
        rb, cb = spec.row_index[rows], spec.column_index[columns]
        own_exponents[rb[0] : rb[-1] + 1, cb[0] : cb[-1] + 1] = exponents

    def _gather(self, r: Any, op: OpSpec) -> None:
        assert op.constant is not None
        table, spec = self.manifest.constants[op.constant], self.manifest.tensors[op.out.tensor]
        ids = looked_up(self.inputs[op.ids], table.rows, op.name)
        first, last = int(r["row"]), int(r["row"]) + int(r["rows"])
        codes = np.zeros((last - first, spec.columns), np.int16)
        exponents = np.full((last - first, len(spec.column_starts)), ZERO_BLOCK, np.int16)
        size = packed_bytes(table.columns, table.bits)
        for row in range(first, last):
            if self._is_present(spec, row):
                at = int(r["a"]) + int(ids[row]) * table.row_bytes
                line = self.machine.dram[at : at + table.row_bytes]
                codes[row - first] = table.form.unpack(line[:size], table.columns)
                exponents[row - first] = unpack(line[size:], len(spec.column_starts), 8)
        window = tuple(int(v) for v in r["dst_window"])
        tile = (slice(first, last), slice(0, spec.columns))
        self.machine.store_tile(int(r["dst"]), spec, (window[0], window[1]), tile, codes, exponents)
        self._remember(spec, tile, codes, exponents)

    def _window(self, r: Any, slot: str, tensor: str) -> tuple[Any, Any]:
        """An operand's codes and exponents, as far as they lie in SRAM."""
        first, count = (int(v) for v in r[f"{slot}_window"])
        spec = self.manifest.tensors[tensor]
        return self.machine.matrix(self.machine.activations, int(r[slot]), spec, (first, count))

    def _rows(self, r: Any, slot: str, tensor: str) -> tuple[Any, Any]:
        codes, exponents = self._window(r, slot, tensor)
        rows, columns = tile_of(r)
        return codes[rows, columns].tolist(), exponents[rows, columns].tolist()

    def _constant(self, r: Any, slot: str, name: str) -> tuple[Any, Any]:
        """A constant's codes and exponents, as far as its rows lie in SRAM."""
        spec = self.manifest.constants[name]
        window = tuple(int(v) for v in r["b_window"]) if slot == "b" else (0, spec.rows)
        held = (window[0], window[1])
        codes, exponents = self.machine.matrix(self.machine.weights, int(r[slot]), spec, held)
        return codes.tolist(), exponents.tolist()

    def _put_rows(self, r: Any, op: OpSpec, rows: list[tuple[list[int], list[int]]]) -> None:
        wide = self.machine.fresh(r, op)
        for i, (sums, exponents) in enumerate(rows):
            self._put(r, op, wide, int(r["row"]) + i, int(r["column"]), sums, exponents)

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
        first, count = int(r["row"]), len(rows)
        keys = np.ones((count, len(rows[0])), np.bool_)
        if op.mask is not None:
            spec, held = self.manifest.constants[op.mask], [int(v) for v in r["b_window"]]
            _, size, _, _ = spec.window(held[0], held[0] + held[1])
            data = bytes(self.machine.weights[int(r["b"]) : int(r["b"]) + size])
            window = spec.model_copy(update={"rows": held[1]})
            keys = mask_of(window, data)[first - held[0] : first - held[0] + count]
        if op.padded:
            keys = keys & self.present
        triples = zip(rows, exponents, keys.tolist(), strict=True)
        self._put_rows(r, op, [softmax.result(config, x, e, k) for x, e, k in triples])

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
        self._put_rows(r, op, [norm.result(config, operands, x, e) for x, e in pairs])

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
        self._put_rows(r, op, [(sums, exponents) for sums, exponents, _ in results])

    def _elementwise(self, r: Any, op: OpSpec) -> None:
        assert op.a is not None
        a, ea = self._rows(r, "a", op.a.tensor)
        if op.b is not None:
            b, eb = self._rows(r, "b", op.b.tensor)
        else:
            assert op.constant is not None
            codes, exponents = self._constant(r, "b", op.constant)
            picks = [(int(r["row"]) + i) % len(codes) for i in range(len(a))]
            columns = tile_of(r)[1]
            b, eb = [codes[i][columns] for i in picks], [exponents[i][columns] for i in picks]
        config = self.config.elementwise_config
        rows = zip(a, ea, b, eb, strict=True)
        if Opcode(r["opcode"]) is Opcode.ADD:
            results = [elementwise.result_add(config, *row) for row in rows]
            self._counter(op).flushed += sum(flushed for *_, flushed in results)
            self._put_rows(r, op, [(sums, exponents) for sums, exponents, _ in results])
        else:
            self._put_rows(r, op, [elementwise.result_mul(*row) for row in rows])

    def _host(self, r: Any, op: OpSpec) -> None:
        assert op.model is not None
        feeds = {}
        for source in op.sources:
            if source.source in self.inputs:
                feeds[source.value] = self.inputs[source.source]
            else:
                spec = self.manifest.tensors[source.source]
                place = self.manifest.dram[source.source]
                held = self.machine.stored(self.machine.dram, place, spec, (0, spec.rows))
                walk = walk_of_source(self.manifest, source)
                feeds[source.value] = walk.to_value(decode_tensor(spec, held))
        session = HostSession(self.manifest, op, self.trace.sections[op.model])
        matrix = session.run(feeds)
        for name, slot in zip(op.writes, ("dst", "c"), strict=False):
            spec = self.manifest.tensors[name]
            q = encode_tensor(spec, matrix)
            data = spec.form.pack(q.codes) + pack(q.exponents, 8)
            self.machine.dram[int(r[slot]) : int(r[slot]) + spec.nbytes] = data
            self.tensors[name] = (q.codes, q.exponents)
            self._counter(op).clamped += q.clamped
            self._counter(op).saturated += q.saturated
