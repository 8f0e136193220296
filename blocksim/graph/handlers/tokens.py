"""Tokens: embeddings looked up, class tokens put in front, sentences pooled and normalised."""

from __future__ import annotations

from dataclasses import replace
from math import prod, sqrt

import numpy as np
import onnx
from onnx import TensorProto, helper

from blocksim.graph import axes as layout
from blocksim.graph.demand import leave_to_host, peek, readers, view
from blocksim.graph.handlers.attention import set_padding
from blocksim.graph.handlers.layout import select_first
from blocksim.graph.handlers.node import attribute, walks_columns, walks_rows
from blocksim.graph.handlers.probe import is_positive_scaling, is_transparent
from blocksim.graph.ir import Elementwise, Gather, Host, Matmul, Norm, Operand, Operator, out_of
from blocksim.graph.state import State, View


def gather(state: State, node: onnx.NodeProto) -> bool:
    """Gather: rows of an embedding table by an integer input, or the first position of an axis."""
    table = state.constant(node.input[0])
    if table is None:
        return select_first(state, node)
    ids = node.input[1]
    while ids in state.pending and state.pending[ids].op_type in ("Identity", "Cast"):
        ids = state.pending[ids].input[0]
    looked_up = ids in state.inputs and table.ndim == 2 and table.dtype.kind == "f"
    if not looked_up or attribute(node, "axis", 0):
        return False
    shape = (*state.inputs[ids][0], table.shape[1])
    name = state.name_after(node.input[0])
    rows = prod(shape[:-1])
    tokens = rows if len(shape) == 3 else 0
    kept = state.keep(f"{name}.weight", table)
    state.define(node.output[0], name, layout.contiguous(shape), 1, shape[-1], tokens)
    state.operators.append(Gather(name, kept, ids, name))
    return True


def reduce_sum(state: State, node: onnx.NodeProto) -> bool:
    """ReduceSum over the tokens that are there: a product with the row that says which are."""
    value = node.input[0]
    found, axes = peek(state, value), _axes_of(state, node)
    if found is None or axes not in ([1], [-2]) or len(found.axes) != 3 or found.factor != 1.0:
        return False
    tensor = state.tensors[found.tensor]
    _, rows, columns = found.axes
    whole = (rows.size, columns.size) == (tensor.tokens, tensor.columns)
    if not tensor.tokens or not (whole and walks_rows(rows) and walks_columns(columns)):
        return False
    padding = is_transparent(state, found, value) if found.deferred else None
    if padding is None:
        return False
    set_padding(state, padding)
    present = _present_row(state, padding)
    name = state.name_near([found.tensor], "sum")
    shape = (1, 1, columns.size) if attribute(node, "keepdims", 1) else (1, columns.size)
    state.define(node.output[0], name, layout.contiguous(shape), 1, columns.size)
    b = Operand(found.tensor, 0, 0, True)
    state.operators.append(
        Matmul(name, Operand(present), b, None, None, Operand(name), 1, 1, rows.size, columns.size)
    )
    return True


def _present_row(state: State, padding: str) -> str:
    """The row of ones and zeros that says which tokens are there, as a tensor."""
    value = f"{padding}.encode"
    if value not in state.values:
        state.shapes[value] = state.inputs[padding][0]
        node = helper.make_node("Cast", [padding], [value], value, to=TensorProto.FLOAT)
        leave_to_host(state, [node], [padding], value, "encode", value)
    return state.values[value].tensor


def _axes_of(state: State, node: onnx.NodeProto) -> list[int]:
    given = state.read(node.input[1]) if len(node.input) > 1 and node.input[1] else None
    return [int(a) for a in (attribute(node, "axes", []) if given is None else given.reshape(-1))]


NORM_GUARDS = ("Expand", "Clip", "Max", "Identity", "Cast", "Unsqueeze", "Reshape")
"""What may stand between a length and the division by it."""


def normalise(state: State, node: onnx.NodeProto) -> bool:
    """A division by the Euclidean length of the same row: RMSNorm with gamma ``1/sqrt(n)``."""
    value, divisor = node.input
    if not _is_length_of(state, divisor, value):
        return False
    found = peek(state, value)
    if found is None or (found.deferred and not is_positive_scaling(state, found, value)):
        return False
    tensor = state.tensors[found.tensor]
    if not walks_columns(found.axes[-1]) or found.axes[-1].size != tensor.columns or found.factor <= 0:
        return False
    name = state.name_near([found.tensor], "normalise")
    gamma = state.keep(f"{name}.weight", np.full(tensor.columns, 1 / sqrt(tensor.columns)))
    beta = state.keep(f"{name}.bias", np.zeros(tensor.columns))
    plain = View(found.tensor, found.axes)
    out = state.like(node.output[0], name, plain)
    state.operators.append(Norm(name, found.tensor, gamma, beta, 0.0, False, out))
    return True


def _is_length_of(state: State, divisor: str, value: str) -> bool:
    """Whether a pending value is the Euclidean length of the rows of another, but for a lower limit."""
    node = state.pending.get(divisor)
    while node is not None and node.op_type in NORM_GUARDS:
        node = state.pending.get(node.input[0])
    if node is None:
        return False
    last = len(state.shapes.get(value, ())) - 1
    if node.op_type == "ReduceL2":
        return node.input[0] == value and _axes_of(state, node) in ([-1], [last])
    total = state.pending.get(node.input[0]) if node.op_type == "Sqrt" else None
    if total is None or total.op_type != "ReduceSum" or _axes_of(state, total) not in ([-1], [last]):
        return False
    squared = next((n for n in state.consumers.get(value, []) if total.input[0] in n.output), None)
    if squared is None:
        return False
    exponent = state.read(squared.input[1]) if len(squared.input) > 1 else None
    by_itself = squared.op_type == "Mul" and list(squared.input) == [value, value]
    by_power = squared.op_type == "Pow" and exponent is not None and exponent.size == 1 and exponent == 2
    return by_itself or bool(by_power)


def with_class_token(state: State, node: onnx.NodeProto) -> bool:
    """Add of positions to ``[class token; patches W + b]``: one product and one added constant.

    The patches get a row of zeros in front for each class token. The product has no bias then: it is
    added to the positions of the patches, and the class token to its own.
    """
    which = next((i for i, name in enumerate(node.input) if _is_concat(state, name)), None)
    positions = None if which is None else state.read(node.input[1 - which])
    if which is None or positions is None:
        return False
    concat = state.pending[node.input[which]]
    *leading, last = concat.input
    first, patches = np.concatenate([state.read(name) for name in leading], axis=1), view(state, last)
    assert patches is not None
    op = next((o for o in state.operators if out_of(o) == patches.tensor), None)
    if not isinstance(op, Matmul) or op.weight is None or readers(state, node.input[which]) != 1:
        return False
    source = next((o for o in state.operators if out_of(o) == op.a.tensor), None)
    tensor = state.tensors[patches.tensor]
    if readers(state, tensor.reference) != 1:
        return False
    if not isinstance(source, Host) or source.op_types[-1] != "Reshape" or tensor.rows != patches.shape[1]:
        return False
    extra = first.shape[1]
    rows = np.zeros((extra + op.m, op.n), np.float32)
    rows[:extra] = first.reshape(extra, op.n)
    if op.bias is not None:
        rows[extra:] = state.used.pop(op.bias)
    rows += np.broadcast_to(positions, (1, *rows.shape))[0]
    _replace(state, source, _padded(source, extra))
    _replace(state, op, replace(op, bias=None, m=op.m + extra))
    for t in (op.a.tensor, tensor.name):
        old = state.tensors[t]
        grown = old.rows + extra
        walk = layout.contiguous((1, grown, old.columns))
        state.tensors[t] = replace(old, rows=grown, row_period=grown, axes=walk, reference=f"{t}.padded")
    plain = View(tensor.name, state.tensors[tensor.name].axes)
    name = state.name_near([tensor.name], "add")
    used = state.keep(state.origin(node.input[1 - which]), rows)
    out = state.like(node.output[0], name, plain)
    state.operators.append(Elementwise(name, "add", tensor.name, None, used, out))
    return True


def _is_concat(state: State, name: str) -> bool:
    node = state.pending.get(name)
    if node is None or node.op_type != "Concat" or attribute(node, "axis", 0) != 1:
        return False
    *leading, last = node.input
    tokens, patches = [state.read(n) for n in leading], peek(state, last)
    rows_first = bool(tokens) and all(t is not None and t.ndim == 3 for t in tokens)
    return rows_first and patches is not None and not patches.deferred


def _replace(state: State, old: Operator, new: Operator) -> None:
    state.operators[state.operators.index(old)] = new


def _padded(host: Host, extra: int) -> Host:
    """The host's patches with rows of zeros in front."""
    model = onnx.ModelProto.FromString(host.model)
    output = model.graph.output[0]
    padded = f"{output.name}.padded"
    pads = onnx.numpy_helper.from_array(np.array([0, extra, 0, 0, 0, 0], np.int64), f"{padded}.pads")
    model.graph.initializer.append(pads)
    model.graph.node.append(helper.make_node("Pad", [output.name, pads.name], [padded], padded))
    output.name = padded
    output.type.tensor_type.shape.dim[1].dim_value += extra
    return replace(host, op_types=(*host.op_types, "Pad"), model=model.SerializeToString())
