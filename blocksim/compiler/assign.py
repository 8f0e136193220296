"""Assigning formats: every tensor of the graph gets its roles, its formats and its blocks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from blocksim.compiler.precision import Precision
from blocksim.errors import BlocksimError
from blocksim.graph.ir import Gather, Graph, Host, Matmul, Norm, Softmax, Tensor, out_of, sources_of
from blocksim.trace.manifest import TensorSpec
from hwmodels.formats import Format
from hwmodels.machines import Machine

Calibration = Mapping[str, float]
"""The largest magnitude of each tensor over the calibration samples."""

ROLES: dict[type, str] = {Softmax: "softmax", Norm: "norm"}
"""Roles of activations by what makes them, where it is not ``activation``."""

OPERAND = ".operand"
"""What the second stored form of a tensor adds to its name: the one that MATMUL reads."""


@dataclass(frozen=True)
class Assignment:
    """The stored forms of all tensors.

    Attributes
    ----------
    specs : dict of str to TensorSpec
        By name; a tensor that both MATMUL and the vector units read may be stored twice.
    """

    specs: dict[str, TensorSpec]

    def operand(self, tensor: str) -> str:
        """The form that MATMUL reads."""
        twin = tensor + OPERAND
        return twin if twin in self.specs else tensor

    def copy(self, tensor: str) -> str | None:
        """The second form of a tensor, where it has one."""
        twin = tensor + OPERAND
        return twin if twin in self.specs else None


def assign(
    graph: Graph, machine: Machine, precision: Precision, calibration: Calibration | None
) -> Assignment:
    """The stored forms of every tensor.

    Depth lies along the axis that the consuming MATMUL reduces: the columns, unless a consumer reduces
    the rows (the values of attention); or along the other, if a plan cuts second operands so.

    Raises
    ------
    BlocksimError
        If a plan names a tensor that does not exist, consumers reduce different axes of a tensor whose
        block is not square, or a static exponent or scale lacks calibration.
    """
    by_rows: set[str] = set()
    by_columns: set[str] = set()
    by_vector: set[str] = set()
    elsewhere = {o.tensor for o in graph.outputs}
    for op in graph.operators:
        if isinstance(op, Matmul):
            for read in (op.a, op.b):
                if read is not None:
                    turned = read is op.b and precision.second == "last"
                    (by_rows if read.transposed != turned else by_columns).add(read.tensor)
        else:
            (elsewhere if isinstance(op, Host) else by_vector).update(sources_of(op))
    _refuse_unknown(graph, precision)
    made_by = {out_of(op): op for op in graph.operators}
    maker = _Maker(machine, precision, calibration)
    specs: dict[str, TensorSpec] = {}
    for name, tensor in graph.tensors.items():
        made = made_by.get(name)
        reduced = name in by_rows or name in by_columns
        if not (reduced or name in by_vector or name in elsewhere):
            continue
        if isinstance(made, Gather):
            specs[name] = maker.looked_up(tensor, made)
            continue
        settled = not isinstance(made, Host)
        on_rows = name in by_rows and name not in by_columns
        both = name in by_rows and name in by_columns
        role = ROLES.get(type(made), "activation")
        operand = maker.spec(tensor, role, on_rows, both, settled) if reduced else None
        if operand is None or name in by_vector:
            specs[name] = maker.spec(tensor, "vector", on_rows, False, settled)
        if operand is not None and (name not in specs or specs[name].format != operand.format):
            twin = name + OPERAND if name in specs else name
            copy_of = name if name in specs else ""
            specs[twin] = operand.model_copy(update={"name": twin, "copy_of": copy_of})
    return Assignment(specs)


def _refuse_unknown(graph: Graph, precision: Precision) -> None:
    unknown = sorted(set(precision.tensors) - set(graph.tensors) - set(graph.constants))
    if unknown:
        close = ", ".join(sorted(graph.tensors)[:4])
        raise BlocksimError(
            precision.where, "tensors", unknown[0], f"the model has no such tensor; it has {close}, ..."
        )


@dataclass(frozen=True)
class _Maker:
    """Makes the specs of tensors."""

    machine: Machine
    precision: Precision
    calibration: Calibration | None

    def spec(self, tensor: Tensor, role: str, depth_on_rows: bool, both: bool, settled: bool) -> TensorSpec:
        """One stored form. `settled`: the requantizer makes it, so that its exponents may be static."""
        form = self.precision.of(role, tensor.name)
        if both and form.block.lines != form.block.depth:
            raise BlocksimError(
                self.precision.where,
                tensor.name,
                form.name,
                "its consumers reduce different axes; give it a square block under tensors:",
            )
        across, along = form.block.lines, form.block.depth
        if depth_on_rows:
            across, along = along, across
        made = TensorSpec(
            name=tensor.name,
            format=form.name,
            role="vector" if role == "vector" else "activation",
            rows=tensor.rows,
            columns=tensor.columns,
            bits=form.bits,
            row_block=min(across or tensor.row_period, tensor.row_period),
            row_period=tensor.row_period,
            column_block=min(along or tensor.column_period, tensor.column_period),
            column_period=tensor.column_period,
            tokens=tensor.tokens,
        )
        if form.is_real:
            whole = {"row_block": tensor.rows, "row_period": tensor.rows}
            whole |= {"column_block": tensor.columns, "column_period": tensor.columns}
            scale = (self._peak(tensor.name) or 1.0) / ((1 << (form.bits - 1)) - 1)
            return made.model_copy(update={**whole, "static": 0, "scale": scale})
        if form.anchor is not None and not form.has_exponents:
            return made.model_copy(update={"static": form.anchor})
        if settled and self.machine.requantizer.exponents == "static":
            if form.has_exponents:
                raise BlocksimError(
                    self.machine.name, "requantizer.exponents", "static",
                    f"the encoder of {form.name} finds its blocks' exponents; give dynamic",
                )  # fmt: skip
            return made.model_copy(update={"static": static_exponent(self._peak(tensor.name), form)})
        return made

    def looked_up(self, tensor: Tensor, op: Gather) -> TensorSpec:
        """A row of a table keeps the codes and the exponents that it has there."""
        form = self.precision.of("embedding", op.table)
        return TensorSpec(
            name=tensor.name, format=form.name, role="vector", rows=tensor.rows, columns=tensor.columns,
            bits=form.bits, row_block=1, row_period=tensor.rows,
            column_block=min(form.block.depth or tensor.columns, tensor.columns),
            column_period=tensor.columns, tokens=tensor.tokens,
        )  # fmt: skip

    def _peak(self, name: str) -> float:
        if self.calibration is None or name not in self.calibration:
            raise BlocksimError(
                "command line",
                "--calibration",
                "missing",
                f"static scales and exponents ({name}) need samples",
            )
        return self.calibration[name]


def static_exponent(peak: float, form: Format) -> int:
    """The exponent under which the largest magnitude of the calibration samples just fits."""
    if peak == 0:
        return 0
    return int(form.sharing.exponents(np.array([peak]), form.coding)[0])
