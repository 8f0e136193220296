"""Assigning formats: every tensor of the graph gets its role, its format and its blocks."""

from __future__ import annotations

from blocksim.compiler.precision import Precision
from blocksim.errors import BlocksimError
from blocksim.graph.ir import Graph, Host, Matmul, Tensor, sources_of
from blocksim.trace.manifest import TensorSpec
from hwmodels.formats import Format


def assign(graph: Graph, precision: Precision) -> dict[str, TensorSpec]:
    """The stored form of every tensor.

    Depth lies along the axis that the consuming MATMUL reduces: the columns, unless a consumer reduces
    the rows (the values of attention).

    Raises
    ------
    BlocksimError
        If a plan names a tensor that does not exist, or consumers reduce different axes of a tensor
        whose block is not square.
    """
    by_rows: set[str] = set()
    by_columns: set[str] = set()
    for op in graph.operators:
        if isinstance(op, Matmul):
            for operand in (op.a, op.b):
                if operand is not None:
                    (by_rows if operand.transposed else by_columns).add(operand.tensor)
    unknown = sorted(set(precision.tensors) - set(graph.tensors) - set(graph.constants))
    if unknown:
        close = ", ".join(sorted(graph.tensors)[:4])
        raise BlocksimError(
            precision.where, "tensors", unknown[0], f"the model has no such tensor; it has {close}, ..."
        )
    read = {source for op in graph.operators if not isinstance(op, Host) for source in sources_of(op)}
    specs = {}
    for name, tensor in graph.tensors.items():
        role = "activation" if name in by_rows | by_columns else "vector"
        form = precision.of(role, name)
        if name in by_rows and name in by_columns and form.block.lines != form.block.depth:
            raise BlocksimError(
                precision.where,
                name,
                form.name,
                "its consumers reduce different axes; give it a square block under tensors:",
            )
        if name in read or name in {o.tensor for o in graph.outputs} or _feeds_host(graph, name):
            specs[name] = _spec(tensor, form, role, name in by_rows and name not in by_columns)
    return specs


def _feeds_host(graph: Graph, name: str) -> bool:
    return any(name in sources_of(op) for op in graph.operators if isinstance(op, Host))


def _spec(tensor: Tensor, form: Format, role: str, depth_on_rows: bool) -> TensorSpec:
    across, along = form.block.lines, form.block.depth
    if depth_on_rows:
        across, along = along, across
    return TensorSpec(
        name=tensor.name,
        format=form.name,
        role="activation" if role == "activation" else "vector",
        rows=tensor.rows,
        columns=tensor.columns,
        bits=form.bits,
        row_block=min(across or tensor.row_period, tensor.row_period),
        row_period=tensor.row_period,
        column_block=min(along or tensor.column_period, tensor.column_period),
        column_period=tensor.column_period,
    )
