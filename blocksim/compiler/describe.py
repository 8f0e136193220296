"""Describing: operators of the graph as the trace names them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from blocksim.compiler.assign import Assignment
from blocksim.compiler.constants import ConstantStore, units_of
from blocksim.graph.ir import (
    Axes,
    Elementwise,
    Gather,
    Graph,
    Host,
    Lut,
    Matmul,
    Norm,
    Operand,
    Operator,
    Softmax,
    out_of,
)
from blocksim.trace.manifest import OperandSpec, OpSpec, SourceSpec
from hwmodels.units.norm import epsilon_of


@dataclass(frozen=True)
class Describer:
    """Turns operators into entries of the manifest.

    Attributes
    ----------
    graph : Graph
    assignment : Assignment
    store : ConstantStore
        Gets the multipliers that real scales ask for.
    tables : dict of str to int
        Addresses in the units' table memory.
    """

    graph: Graph
    assignment: Assignment
    store: ConstantStore
    tables: dict[str, int]

    def __call__(self, op: Operator) -> OpSpec:
        """One operator."""
        made = out_of(op)
        twin = self.assignment.copy(made)
        out = self._operand(op.out) if isinstance(op, Matmul) else OperandSpec(tensor=made)
        common: dict[str, Any] = {"name": op.name, "out": out}
        if twin is not None:
            common["copy_"] = out.model_copy(update={"tensor": twin})
        if not isinstance(op, Host | Gather):
            common["multiplier"] = self._multiplier(op, made)
            common["copy_multiplier"] = self._multiplier(op, twin) if twin is not None else None
        return OpSpec(**common, **self._own(op))

    def _own(self, op: Operator) -> dict[str, Any]:
        """What the kinds of operators do not share."""
        if isinstance(op, Host):
            sources = tuple(
                SourceSpec(value=s.value, source=s.source, axes=plain(s.axes)) for s in op.sources
            )
            return {
                "kind": "host", "op_types": op.op_types, "model": f"{op.name}.model", "macs": op.macs,
                "out_axes": plain(self.graph.tensors[op.out].axes), "sources": sources,
            }  # fmt: skip
        if isinstance(op, Gather):
            return {"kind": "gather", "constant": op.table, "ids": op.ids}
        if isinstance(op, Matmul):
            return {
                "kind": "matmul", "a": self._read(op.a), "b": self._read(op.b) if op.b else None,
                "weight": op.weight, "bias": op.bias, "groups": op.groups, "m": op.m, "k": op.k, "n": op.n,
            }  # fmt: skip
        a = OperandSpec(tensor=op.a)
        if isinstance(op, Norm):
            epsilon = epsilon_of(op.epsilon, self.graph.tensors[op.a].columns)
            return {
                "kind": "norm", "a": a, "weight": op.gamma, "bias": op.beta, "epsilon": epsilon,
                "centred": op.centred, "tables": self._tables("table.root"),
            }  # fmt: skip
        if isinstance(op, Softmax):
            tables = self._tables("table.exp2", "table.reciprocal")
            return {"kind": "softmax", "a": a, "mask": op.mask, "padded": op.padded, "tables": tables}
        if isinstance(op, Lut):
            tables = self._tables(f"table.{op.function}")
            return {"kind": "lut", "a": a, "function": op.function, "tables": tables}
        assert isinstance(op, Elementwise)
        b = OperandSpec(tensor=op.b) if op.b else None
        return {"kind": "add" if op.kind == "add" else "mul", "a": a, "b": b, "constant": op.constant}

    def _tables(self, *names: str) -> dict[str, int]:
        return {name: self.tables[name] for name in names}

    def _multiplier(self, op: Operator, form: str) -> str | None:
        """The factors from an operator's sums to one stored form, where either has a real scale."""
        units = units_of(self.store, self.assignment, op) if isinstance(op, Matmul) else np.ones(1)
        factors = units / self.assignment.specs[form].scale
        if (factors == 1.0).all():
            return None
        if (factors == factors[0]).all():
            factors = factors[:1]
        name = f"{form}.multiplier"
        self.store.add_multiplier(name, factors)
        return name

    def _read(self, o: Operand) -> OperandSpec:
        """The form of a tensor that MATMUL reads."""
        return self._operand(o).model_copy(update={"tensor": self.assignment.operand(o.tensor)})

    @staticmethod
    def _operand(o: Operand) -> OperandSpec:
        return OperandSpec(
            tensor=o.tensor, row_step=o.row_step, column_step=o.column_step, transposed=o.transposed
        )


def plain(axes: Axes) -> tuple[tuple[int, int, int], ...]:
    """Axes as the manifest holds them."""
    return tuple((a.size, a.row_step, a.column_step) for a in axes)
