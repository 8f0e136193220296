"""Products: linear layers, products of activations, patch embedding."""

from __future__ import annotations

from dataclasses import replace
from math import isclose, prod, sqrt

import numpy as np
import onnx
from onnx import helper

from blocksim.graph import axes as layout
from blocksim.graph.demand import fold, leave_to_host, peek, view
from blocksim.graph.handlers.node import attribute, walks_columns, walks_rows
from blocksim.graph.ir import Axes, Axis, Matmul, Operand
from blocksim.graph.state import State, View
from blocksim.graph.unread import Weight


def _matrix_axes(walk: View, operand_of_groups: bool) -> tuple[int, tuple[int, int], Axis, Axis] | None:
    """Groups, their step, and the last two axes of a value; None where groups do not step evenly."""
    lead = [a for a in walk.axes[:-2] if a.size > 1]
    if len(lead) > 1 or (lead and not operand_of_groups):
        return None
    groups, step = (lead[0].size, (lead[0].row_step, lead[0].column_step)) if lead else (1, (0, 0))
    return groups, step, walk.axes[-2], walk.axes[-1]


def linear(
    state: State, value: str, source: View, weight: str, array: Weight, bias: str | None, scale: float
) -> bool:
    """A product with constant weights, given as (n, k)."""
    flat = layout.reshape(source.axes, (prod(source.shape[:-1]), source.shape[-1]))
    if flat is None or not (walks_rows(flat[0]) and walks_columns(flat[1])):
        return False
    n, k = array.shape
    name = state.name_after(weight)
    bias_array = None if bias is None else state.read(bias)
    weight_name = state.keep(f"{name}.weight", array if scale == 1.0 else array * np.float32(scale))
    bias_name = None
    if bias_array is not None:
        bias_name = state.keep(f"{name}.bias", np.broadcast_to(bias_array.reshape(-1), (n,)))
    shape = (*source.shape[:-1], n)
    before = state.tensors[source.tensor]
    tokens = before.tokens if before.rows == flat[0].size else 0
    state.define(value, name, layout.contiguous(shape), flat[0].size, n, tokens)
    state.operators.append(
        Matmul(
            name, Operand(source.tensor), None, weight_name, bias_name, Operand(name), 1, flat[0].size, k, n
        )
    )
    return True


def gemm(state: State, node: onnx.NodeProto) -> bool:
    """Gemm with constant weights."""
    weight = state.constant(node.input[1])
    bias = node.input[2] if len(node.input) > 2 else None
    plain = attribute(node, "transA", 0) == 0 and attribute(node, "beta", 1.0) == 1.0
    if weight is None or not plain or (bias and state.constant(bias) is None):
        return False
    source = view(state, node.input[0])
    if source is None:
        return False
    array = weight if attribute(node, "transB", 0) else weight.T
    scale = attribute(node, "alpha", 1.0)
    return linear(state, node.output[0], source, node.input[1], array, bias, scale)


def matmul(state: State, node: onnx.NodeProto) -> bool:
    """MatMul and FusedMatMul: with constant weights, or of two activations."""
    if any(attribute(node, flag, 0) for flag in ("transBatchA", "transBatchB", "transA")):
        return False
    alpha, flipped = attribute(node, "alpha", 1.0), attribute(node, "transB", 0)
    weight = state.constant(node.input[1])
    if weight is not None:
        source = view(state, node.input[0])
        array = weight if flipped else weight.T
        if source is None or weight.ndim != 2:
            return False
        return linear(state, node.output[0], source, node.input[1], array, None, alpha)
    a, b = (_operand(state, name) for name in node.input)
    return a is not None and b is not None and _of_activations(state, node, a, b, alpha, flipped)


def _operand(state: State, name: str) -> View | None:
    """A value as an operand: its constant factor, if it has one, is left for the product to take."""
    found = peek(state, name)
    return found if found is not None and not found.deferred else view(state, name)


def _of_activations(
    state: State, node: onnx.NodeProto, a: View, b: View, alpha: float, flipped: bool
) -> bool:
    left, right = _matrix_axes(a, True), _matrix_axes(b, True)
    if left is None or right is None or left[0] != right[0]:
        return False
    groups, a_step, row, depth = left
    _, b_step, b_first, b_last = right
    b_depth, b_line = (b_last, b_first) if flipped else (b_first, b_last)
    along = walks_columns(b_depth) and walks_rows(b_line)
    across = walks_rows(b_depth) and walks_columns(b_line)
    if not (walks_rows(row) and walks_columns(depth)) or not (along or across):
        return False
    factor = alpha * a.factor * b.factor
    if isclose(factor, 1 / sqrt(depth.size), rel_tol=1e-5):
        factor = 1 / sqrt(depth.size)
    folded = factor == 1.0 or fold(state, a.tensor, factor)
    name = state.name_near([a.tensor, b.tensor] if along else [b.tensor, a.tensor], "matmul")
    m, k, n = row.size, depth.size, b_line.size
    axes, out = _product_layout(state, node.output[0], (*a.shape[:-1], n), groups, m, n, name)
    tokens = state.tensors[a.tensor].tokens
    state.define(node.output[0], name, axes, m, n, tokens if tokens == m else 0)
    left_side, right_side = Operand(a.tensor, *a_step), Operand(b.tensor, *b_step, across)
    state.operators.append(Matmul(name, left_side, right_side, None, None, out, groups, m, k, n))
    if not folded:
        state.tensors[name] = replace(state.tensors[name], scale=1 / factor)
        state.values[node.output[0]] = replace(state.values[node.output[0]], factor=factor)
    return True


def _product_layout(
    state: State, value: str, shape: tuple[int, ...], groups: int, m: int, n: int, name: str
) -> tuple[Axes, Operand]:
    """Where the groups of a product go: side by side where heads are merged next, else below each other."""
    if groups > 1 and _merges_heads(state, value):
        return (Axis(1, 0, 0), Axis(groups, 0, n), Axis(m, 1, 0), Axis(n, 0, 1)), Operand(name, 0, n)
    return layout.contiguous(shape), Operand(name, m if groups > 1 else 0, 0)


def _merges_heads(state: State, value: str) -> bool:
    """Whether the only reader of a value swaps its heads with its rows."""
    users = state.consumers.get(value, [])
    if len(users) != 1:
        return False
    user = users[0]
    if user.op_type in ("Reshape", "Identity"):
        same = state.shapes.get(user.output[0]) == state.shapes.get(value)
        return same and _merges_heads(state, user.output[0])
    return user.op_type == "Transpose" and list(attribute(user, "perm", [])) == [0, 2, 1, 3]


def conv(state: State, node: onnx.NodeProto) -> bool:
    """A convolution whose stride is its kernel: patches cut on the host, then a MATMUL."""
    weight = state.constant(node.input[1])
    shape = state.inputs.get(node.input[0], (None, 0))[0]
    if weight is None or shape is None or weight.ndim != 4:
        return False
    n, channels, kh, kw = weight.shape
    plain = (
        list(attribute(node, "strides", [1, 1])) == [kh, kw]
        and not any(attribute(node, "pads", [0, 0, 0, 0]))
        and list(attribute(node, "dilations", [1, 1])) == [1, 1]
        and attribute(node, "group", 1) == 1
        and attribute(node, "auto_pad", b"NOTSET") in (b"NOTSET", b"VALID")
    )
    if not plain:
        return False
    h, w = shape[2] // kh, shape[3] // kw
    name = node.input[1].removesuffix(".weight")
    cut = f"{name}.patches"
    nodes = [
        helper.make_node(
            "Slice", [node.input[0], f"{cut}.from", f"{cut}.to", f"{cut}.axes"], [f"{cut}.0"], f"{cut}.slice"
        ),
        helper.make_node("Reshape", [f"{cut}.0", f"{cut}.split"], [f"{cut}.1"], f"{cut}.reshape"),
        helper.make_node(
            "Transpose", [f"{cut}.1"], [f"{cut}.2"], f"{cut}.transpose", perm=[0, 2, 4, 1, 3, 5]
        ),
        helper.make_node("Reshape", [f"{cut}.2", f"{cut}.join"], [cut], f"{cut}.reshape2"),
    ]
    for key, numbers in {
        "from": [0, 0],
        "to": [h * kh, w * kw],
        "axes": [2, 3],
        "split": [1, channels, h, kh, w, kw],
        "join": [1, h * w, channels * kh * kw],
    }.items():
        state.constants[f"{cut}.{key}"] = np.array(numbers, np.int64)
    state.shapes[cut] = (1, h * w, channels * kh * kw)
    leave_to_host(state, nodes, [node.input[0]], cut, "patches", f"{name}.patches")
    source = state.values[cut]
    bias = node.input[2] if len(node.input) > 2 else None
    flat = np.asarray(weight, np.float32).reshape(n, -1)
    if not linear(state, node.output[0], source, node.input[1], flat, bias, 1.0):
        raise AssertionError("patches are a plain matrix")
    axes = (Axis(1, 0, 0), Axis(n, 0, 1), Axis(h, w, 0), Axis(w, 1, 0))
    made = state.values[node.output[0]].tensor
    state.tensors[made] = replace(state.tensors[made], axes=axes)
    state.values[node.output[0]] = View(made, axes)
    return True
