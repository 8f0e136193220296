"""Linking: a trace becomes a short list of kernel calls, one or two per operator.

Instructions are grouped by their operator; that their tiles cover the operator's output exactly once is
checked, and copies between memories then change no bit and are dropped. Packed constants are laid out
as the kernels read them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blocksim.engine.boundary import HostSession, decode_tensor, encode_tensor, looked_up, walk_of_source
from blocksim.engine.packed import (
    mask_of,
    matrix_of,
    multipliers_of,
    table_of,
)
from blocksim.engine.products import Panels, ProductLinker
from blocksim.engine.storing import is_raised
from blocksim.engine.workspace import Linked, Step, Workspace, repeated, stored
from blocksim.trace.file import Trace
from blocksim.trace.isa import Flag, Opcode
from blocksim.trace.manifest import Blocks, Index, OpSpec, SourceSpec
from hwmodels.formats import Floating
from hwmodels.kernels.elementwise import add_matrices, multiply_matrices
from hwmodels.kernels.encoder import encode_floating, fields
from hwmodels.kernels.lut import lut
from hwmodels.kernels.norm import norm_rows
from hwmodels.kernels.requantizer import NO_STATIC, requantize
from hwmodels.kernels.rows import LONGEST_GUARD
from hwmodels.kernels.softmax import softmax_rows
from hwmodels.kernels.team import pass_by
from hwmodels.units import norm, softmax
from hwmodels.units.aligner import BOUND
from hwmodels.units.ops import ZERO_BLOCK


def link(trace: Trace, panels: Panels | None = None, stretch: range | None = None) -> Linked:
    """Link a trace, or a stretch of its operators.

    Parameters
    ----------
    trace : Trace
    panels : dict, optional
        Weights that other traces of the same model laid out already; what is new is entered.
    stretch : range, optional
        Which operators; all of them by default.

    Returns
    -------
    Linked

    Raises
    ------
    ValueError
        If the instructions of an operator do not cover its output exactly once.
    """
    _check_cover(trace)
    linker = _Linker(trace, {} if panels is None else panels)
    manifest = trace.manifest
    stretch = range(len(manifest.operators)) if stretch is None else stretch
    operators = [manifest.operators[i] for i in stretch]
    touched = dict.fromkeys(t for op in operators for t in (*op.reads, *op.writes) if t in manifest.tensors)
    steps = tuple((op, linker.step(i, op)) for i, op in zip(stretch, operators, strict=True))
    return Linked(manifest, steps, tuple(touched))


def _check_cover(trace: Trace) -> None:
    """Every output element is computed by one instruction, and requantized once into each stored form."""
    program, manifest = trace.program, trace.manifest
    area = program["rows"].astype(np.int64) * program["columns"]
    is_requant = program["opcode"] == Opcode.REQUANT
    is_copy = (program["flags"] & Flag.COPY) > 0
    computes = ~is_requant & ~np.isin(program["opcode"], [Opcode.LOAD, Opcode.STORE, Opcode.HOST])
    for i, op in enumerate(manifest.operators):
        if op.kind == "host":
            continue
        parts = [computes]
        if op.kind != "gather":
            parts += [is_requant & ~is_copy] + ([is_requant & is_copy] if op.copy_ is not None else [])
        spec, mine = manifest.tensors[op.out.tensor], program["op_id"] == i
        for part in parts:
            if int(area[mine & part].sum()) != spec.rows * spec.columns:
                raise ValueError(f"{op.name}: its instructions do not cover its output exactly once")


class _Linker:
    """Turns operators into steps."""

    def __init__(self, trace: Trace, panels: Panels) -> None:
        self.trace, self.manifest = trace, trace.manifest
        self.products = ProductLinker(trace, panels)
        self.machine = trace.manifest.machine

    def step(self, index: int, op: OpSpec) -> tuple[Step, ...]:
        """The kernel calls of one operator: each waits until all threads have done the one before."""
        if op.kind == "host":
            return (self._host(index, op),)
        if op.kind == "gather":
            return (self._gather(op),)
        build = {
            "matmul": self.products.linked,
            "softmax": self._softmax,
            "norm": self._norm,
            "lut": self._lut,
            "add": self._elementwise,
            "mul": self._elementwise,
        }[op.kind]
        compute = build(op)
        out = self.manifest.tensors[op.out.tensor]
        store = [
            self._requant(name, m)
            for name, m in zip(op.writes, (op.multiplier, op.copy_multiplier), strict=False)
        ]

        beyond = op.kind == "add" and self.machine.elementwise_config.guard_bits > LONGEST_GUARD
        wide = np.int64 if beyond or self.machine.wide_bits(op.kind) > 32 else np.int32
        groups, per_sample = self._groups(op)

        def sums_of(w: Workspace) -> tuple[Any, Any, Index]:
            view = w.views.get(index)
            if view is None:
                rows, owners = w.samples * out.rows, repeated(groups, w.samples, per_sample)
                sums = w.sums.view(wide)[: rows * out.columns].reshape(rows, out.columns)
                exponents = w.exponents[: (int(owners[-1]) + 1) * out.columns].reshape(-1, out.columns)
                view = w.views[index] = (sums, exponents, owners)
            return view

        def first(w: Workspace, part: int, parts: int) -> None:
            compute(w, part, parts, *sums_of(w), w.counts[part, index])

        def then(w: Workspace, part: int, parts: int) -> None:
            for form in store:
                form(w, part, parts, *sums_of(w), w.counts[part, index, 2:])

        return first, then

    def _groups(self, op: OpSpec) -> tuple[Index, int]:
        """For each row of an operator's sums the row of their exponents; and how many a sample has of them.

        They are alike where the blocks of its operands are. Of a product whose bounds are searched for
        output by output, every row has exponents of its own.
        """
        out = self.manifest.tensors[op.out.tensor]
        if op.kind in ("softmax", "norm", "lut"):
            return np.zeros(out.rows, np.int64), 0
        if op.kind == "matmul" and self.machine.array_config.normalise != BOUND:
            return np.arange(out.rows), out.rows
        changes = np.zeros(out.rows, np.bool_)
        for rows, first in self._row_blocks(op):
            changes[first] = True
            changes[first + 1 : first + len(rows)] |= np.diff(rows) != 0
        groups = np.cumsum(changes) - 1
        return groups, int(groups[-1]) + 1

    def _row_blocks(self, op: OpSpec) -> Iterator[tuple[Index, int]]:
        """Blocks of the rows of what an operator reads, and the first row of its sums that they make."""
        specs, constants = self.manifest.tensors, self.manifest.constants
        assert op.a is not None
        a = specs[op.a.tensor]
        if op.kind == "matmul":
            for g in range(op.groups):
                first = g * op.a.row_step
                yield a.row_index[first : first + op.m], g * op.out.row_step
            return
        yield a.row_index, 0
        b: Blocks = specs[op.b.tensor] if op.b is not None else constants[str(op.constant)]
        for first in range(0, a.rows, b.rows):
            yield b.row_index, first

    def _requant(self, name: str, multiplier: str | None) -> Callable[..., None]:
        """Wide sums into one stored form."""
        out = self.manifest.tensors[name]
        factors = (np.zeros(0, np.int64), np.zeros(0, np.int64))
        if multiplier is not None:
            spec = self.manifest.constants[multiplier]
            factors = multipliers_of(spec, self.trace.sections[multiplier], out.columns)
            if spec.columns not in (1, out.columns):
                raise ValueError(f"{multiplier}: one factor for each column")
        coding = out.form.coding
        call: Callable[..., None] = requantize
        config: tuple[Any, ...] = (
            *factors, NO_STATIC if out.static is None else out.static, out.bits, is_raised(out)
        )  # fmt: skip
        if isinstance(coding, Floating):
            call, config = encode_floating, (fields(coding.encoder, out.form.anchor),)

        def run(
            w: Workspace, part: int, parts: int, sums: Any, exponents: Any, groups: Index, counts: Any
        ) -> None:
            maps = w.maps[name]
            call(
                w.team, part, parts, w.samples, sums, exponents, groups, w.valid(out), maps.row_edges,
                maps.column_edges, *config, w.codes[name], w.shared[name], counts,
            )  # fmt: skip

        return run

    def _gather(self, op: OpSpec) -> Step:
        """Rows of a table, as they are."""
        assert op.constant is not None
        out = self.manifest.tensors[op.out.tensor]
        table = self.manifest.constants[op.constant]
        codes, exponents = table_of(table, self.trace.sections[op.constant])
        name = op.name

        def run(w: Workspace, part: int, parts: int) -> None:
            if part:
                pass_by(w.team, part, parts)
                return
            ids = looked_up(w.inputs[op.ids], table.rows, name)
            valid = w.valid(out)[:, None]
            w.codes[out.name][:] = np.where(valid, codes[ids], 0)
            w.shared[out.name][:] = np.where(valid, exponents[ids], ZERO_BLOCK)
            pass_by(w.team, part, parts)

        return run

    def _softmax(self, op: OpSpec) -> Callable[..., None]:
        assert op.a is not None
        name, config = op.a.tensor, self.machine.softmax_config
        spec = self.manifest.tensors[name]
        keys = np.ones((1, spec.columns), np.bool_)
        if op.mask is not None:
            keys = mask_of(self.manifest.constants[op.mask], self.trace.sections[op.mask])
        exp2, reciprocal = self._table("table.exp2"), self._table("table.reciprocal")
        lows = softmax.step_bits(len(exp2)), softmax.step_bits(len(reciprocal))

        def compute(
            w: Workspace, part: int, parts: int, sums: Any, exponents: Any, _groups: Index, _counts: Any
        ) -> None:
            maps = w.maps[name]
            present = w.present if op.padded else np.ones((w.samples, spec.columns), np.bool_)
            softmax_rows(
                w.team, part, parts, w.codes[name], w.shared[name], maps.rows, maps.column_edges,
                keys, present, spec.rows, config.guard_bits, softmax.lowest(config.guard_bits),
                exp2, lows[0], reciprocal, lows[1], sums, exponents,
            )  # fmt: skip

        return compute

    def _norm(self, op: OpSpec) -> Callable[..., None]:
        assert op.a is not None and op.weight is not None and op.bias is not None and op.epsilon is not None
        name, config, epsilon = op.a.tensor, self.machine.norm_config, op.epsilon
        bits = self.manifest.tensors[name].bits
        gamma, beta = self._row(op.weight), self._row(op.bias)
        root = self._table("table.root")
        low = norm.step_bits(len(root))

        def compute(
            w: Workspace, part: int, parts: int, sums: Any, exponents: Any, _groups: Index, _counts: Any
        ) -> None:
            maps = w.maps[name]
            norm_rows(
                w.team, part, parts, w.codes[name], w.shared[name], maps.rows, maps.column_edges,
                bits, op.centred, *epsilon, *gamma, *beta,
                root, low, config.newton_steps, sums, exponents,
            )  # fmt: skip

        return compute

    def _lut(self, op: OpSpec) -> Callable[..., None]:
        assert op.a is not None and op.function is not None
        name, config = op.a.tensor, self.machine.lut_config(op.function)
        table = self._table(f"table.{op.function}")
        span = config.span

        def compute(
            w: Workspace, part: int, parts: int, sums: Any, exponents: Any, _groups: Index, counts: Any
        ) -> None:
            maps = w.maps[name]
            lut(
                w.team, part, parts, w.codes[name], w.shared[name], maps.rows, maps.column_edges,
                table, config.fraction, config.in_bits, span, config.step_bits, sums, exponents, counts[3:],
            )  # fmt: skip

        return compute

    def _elementwise(self, op: OpSpec) -> Callable[..., None]:
        assert op.a is not None
        a = op.a.tensor
        config = self.machine.elementwise_config
        aligner: tuple[Any, ...] = (
            (config.guard_bits, config.max_shift, config.rounding) if op.kind == "add" else ()
        )
        call: Callable[..., None] = add_matrices if op.kind == "add" else multiply_matrices
        fixed: tuple[Any, ...] = ()
        b_spec: Blocks
        if op.b is not None:
            b_spec = self.manifest.tensors[op.b.tensor]
        else:
            assert op.constant is not None
            b_spec = self.manifest.constants[op.constant]
            fixed = (*matrix_of(b_spec, self.trace.sections[op.constant]), b_spec.row_index)
        b_edges = np.append(b_spec.column_starts, b_spec.columns)

        def compute(
            w: Workspace, part: int, parts: int, sums: Any, exponents: Any, groups: Index, counts: Any
        ) -> None:
            other = fixed
            if op.b is not None:
                b = op.b.tensor
                other = (w.codes[b], w.shared[b], w.maps[b].rows)
            call(
                w.team, part, parts, w.codes[a], w.shared[a], w.maps[a].rows, w.maps[a].column_edges,
                *other, b_edges, *aligner, sums, exponents, groups, counts,
            )  # fmt: skip

        return compute

    def _host(self, index: int, op: OpSpec) -> Step:
        assert op.model is not None
        session = HostSession(self.manifest, op, self.trace.sections[op.model])
        specs = self.manifest.tensors
        walks = {s.value: walk_of_source(self.manifest, s) for s in op.sources if s.source in specs}
        forms = [specs[t] for t in op.writes]

        def feed(w: Workspace, source: SourceSpec, sample: int) -> NDArray[Any]:
            if source.source in w.inputs:
                return w.inputs[source.source][sample : sample + 1]
            spec = specs[source.source]
            return walks[source.value].to_value(decode_tensor(spec, stored(w, spec, sample)))

        def run(w: Workspace, part: int, parts: int) -> None:
            if part:
                pass_by(w.team, part, parts)
                return
            for s in range(w.samples):
                matrix = session.run({source.value: feed(w, source, s) for source in op.sources})
                for form in forms:
                    q = encode_tensor(form, matrix)
                    codes, shared = stored(w, form, s)
                    codes[:], shared[:] = q.codes, q.exponents
                    w.counts[0, index, 2:] += q.clamped, q.saturated
            pass_by(w.team, part, parts)

        return run

    def _table(self, name: str) -> NDArray[np.int32]:
        return np.frombuffer(self.trace.sections[name], "<i4").astype(np.int32)

    def _row(self, name: str) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
        """The codes of a one-row constant, and an exponent for each."""
        spec = self.manifest.constants[name]
        codes, shared = matrix_of(spec, self.trace.sections[name])
        return codes[0], np.ascontiguousarray(shared[0][spec.column_index])
