"""Handlers: one per canonical ONNX operator; each takes a node over or leaves it to the host."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
import onnx
from onnx import helper

from blocksim.graph import axes as layout
from blocksim.graph.ir import (
    Axes,
    Axis,
    Elementwise,
    Lut,
    Matmul,
    Matrix,
    Norm,
    Operand,
    Softmax,
    out_of,
)
from blocksim.graph.state import State, View, leave_to_host

Handler = Callable[[State, onnx.NodeProto], bool]
"""Takes a node over (True), or leaves it to the host (False)."""


def attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    """An attribute of a node, `default` where it has none of that name."""
    for attribute in node.attribute:
        if attribute.name == name:
            return helper.get_attribute_value(attribute)
    return default


def leave(_state: State, _node: onnx.NodeProto) -> bool:
    """Leave any node to the host."""
    return False


def _identity(state: State, node: onnx.NodeProto) -> bool:
    view = state.view(node.input[0])
    if view is not None:
        state.values[node.output[0]] = view
    return view is not None


def _reshape(state: State, node: onnx.NodeProto) -> bool:
    view, shape = state.view(node.input[0]), state.constant(node.input[1])
    if view is None or shape is None:
        return False
    sizes = [view.shape[i] if s == 0 else int(s) for i, s in enumerate(shape)]
    if -1 in sizes:
        sizes[sizes.index(-1)] = prod(view.shape) // -prod(sizes)
    walked = layout.reshape(view.axes, sizes)
    if walked is not None:
        state.values[node.output[0]] = View(view.tensor, walked)
    return walked is not None


def _transpose(state: State, node: onnx.NodeProto) -> bool:
    view = state.view(node.input[0])
    if view is None:
        return False
    order = attribute(node, "perm", list(reversed(range(len(view.axes)))))
    state.values[node.output[0]] = View(view.tensor, layout.transpose(view.axes, order))
    return True


def _matrix_axes(view: View, operand_of_groups: bool) -> tuple[int, tuple[int, int], Axis, Axis] | None:
    """Groups, their step, and the last two axes of a value; None where groups do not step evenly."""
    lead = [a for a in view.axes[:-2] if a.size > 1]
    if len(lead) > 1 or (lead and not operand_of_groups):
        return None
    groups, step = (lead[0].size, (lead[0].row_step, lead[0].column_step)) if lead else (1, (0, 0))
    return groups, step, view.axes[-2], view.axes[-1]


def _walks_rows(axis: Axis) -> bool:
    return axis.column_step == 0 and axis.row_step in (0, 1)


def _walks_columns(axis: Axis) -> bool:
    return axis.row_step == 0 and axis.column_step in (0, 1)


def _linear(
    state: State, value: str, view: View, weight: str, array: Matrix, bias: str | None, scale: float
) -> bool:
    """A product with constant weights, given as (n, k)."""
    flat = layout.reshape(view.axes, (prod(view.shape[:-1]), view.shape[-1]))
    if flat is None or not (_walks_rows(flat[0]) and _walks_columns(flat[1])):
        return False
    n, k = array.shape
    name = state.name_after(weight)
    bias_array = None if bias is None else state.constant(bias)
    weight_name = state.keep(f"{name}.weight", array * np.float32(scale))
    bias_name = None
    if bias_array is not None:
        bias_name = state.keep(f"{name}.bias", np.broadcast_to(bias_array.reshape(-1), (n,)))
    shape = (*view.shape[:-1], n)
    state.define(value, name, layout.contiguous(shape), flat[0].size, n)
    state.operators.append(
        Matmul(name, Operand(view.tensor), None, weight_name, bias_name, Operand(name), 1, flat[0].size, k, n)
    )
    return True


def _gemm(state: State, node: onnx.NodeProto) -> bool:
    view, weight = state.view(node.input[0]), state.constant(node.input[1])
    bias = node.input[2] if len(node.input) > 2 else None
    plain = attribute(node, "transA", 0) == 0 and attribute(node, "beta", 1.0) == 1.0
    if view is None or weight is None or not plain or (bias and state.constant(bias) is None):
        return False
    array = weight if attribute(node, "transB", 0) else weight.T
    scale = attribute(node, "alpha", 1.0)
    return _linear(state, node.output[0], view, node.input[1], array, bias, scale)


def _matmul(state: State, node: onnx.NodeProto) -> bool:
    if any(attribute(node, flag, 0) for flag in ("transBatchA", "transBatchB", "transA")):
        return False
    a, b = state.view(node.input[0]), state.view(node.input[1])
    alpha, flipped = attribute(node, "alpha", 1.0), attribute(node, "transB", 0)
    if a is None:
        return False
    weight = state.constant(node.input[1])
    if b is None and weight is not None:
        array = weight if flipped else weight.T
        return weight.ndim == 2 and _linear(state, node.output[0], a, node.input[1], array, None, alpha)
    if b is None:
        return False
    left, right = _matrix_axes(a, True), _matrix_axes(b, True)
    if left is None or right is None or left[0] != right[0]:
        return False
    groups, a_step, row, depth = left
    _, b_step, b_first, b_last = right
    b_depth, b_line = (b_last, b_first) if flipped else (b_first, b_last)
    a_ok = _walks_rows(row) and _walks_columns(depth)
    if not a_ok or not (
        (_walks_columns(b_depth) and _walks_rows(b_line)) or (_walks_rows(b_depth) and _walks_columns(b_line))
    ):
        return False
    transposed = not (_walks_columns(b_depth) and _walks_rows(b_line))
    scaled = alpha != 1.0 and not _fold_scale(state, a.tensor, alpha)
    name = state.name_near([a.tensor, b.tensor] if not transposed else [b.tensor, a.tensor], "matmul")
    m, k, n = row.size, depth.size, b_line.size
    axes, out = _product_layout(state, node.output[0], (*a.shape[:-1], n), groups, m, n, name)
    value = f"{name}.unscaled" if scaled else node.output[0]
    state.define(value, name, axes, m, n)
    state.operators.append(
        Matmul(
            name,
            Operand(a.tensor, *a_step),
            Operand(b.tensor, *b_step, transposed),
            None,
            None,
            out,
            groups,
            m,
            k,
            n,
        )
    )
    if scaled:
        _multiply_by(state, state.values[value], alpha, node.output[0])
    return True


def _multiply_by(state: State, view: View, factor: float, value: str) -> None:
    """A constant factor that no weight could take: an element-wise multiply."""
    name = state.name_near([view.tensor], "mul")
    columns = state.tensors[view.tensor].columns
    constant = state.keep(f"{name}.constant", np.full((1, columns), factor))
    out = state.like(value, name, view)
    state.operators.append(Elementwise(name, "mul", view.tensor, None, constant, out))


def _product_layout(
    state: State, value: str, shape: tuple[int, ...], groups: int, m: int, n: int, name: str
) -> tuple[Axes, Operand]:
    """Where the groups of a product go: side by side where heads are merged next, else below each other."""
    users = state.consumers.get(value, [])
    merged = (
        groups > 1
        and len(users) == 1
        and users[0].op_type == "Transpose"
        and list(attribute(users[0], "perm", [])) == [0, 2, 1, 3]
    )
    if merged:
        return (Axis(1, 0, 0), Axis(groups, 0, n), Axis(m, 1, 0), Axis(n, 0, 1)), Operand(name, 0, n)
    return layout.contiguous(shape), Operand(name, m if groups > 1 else 0, 0)


def _fold_scale(state: State, tensor: str, alpha: float) -> bool:
    """Fold a constant factor into the weights of the only operator that feeds it."""
    for op in state.operators:
        if out_of(op) == tensor and isinstance(op, Matmul) and op.weight is not None:
            if _readers(state, state.tensors[tensor].reference) != 1:
                return False
            for name in (op.weight, op.bias):
                if name is not None:
                    state.used[name] = state.used[name] * np.float32(alpha)
            state.tensors[tensor] = replace(state.tensors[tensor], scale=state.tensors[tensor].scale * alpha)
            return True
    return False


def _readers(state: State, value: str) -> int:
    """How many nodes read a value or a view of it; a graph output counts as one."""
    count = int(value in state.outputs)
    for node in state.consumers.get(value, []):
        layout_only = node.op_type in ("Reshape", "Transpose", "Identity")
        count += _readers(state, node.output[0]) if layout_only else list(node.input).count(value)
    return count


def _conv(state: State, node: onnx.NodeProto) -> bool:
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
    view = state.values[cut]
    bias = node.input[2] if len(node.input) > 2 else None
    flat = np.asarray(weight, np.float32).reshape(n, -1)
    if not _linear(state, node.output[0], view, node.input[1], flat, bias, 1.0):
        raise AssertionError("patches are a plain matrix")
    axes = (Axis(1, 0, 0), Axis(n, 0, 1), Axis(h, w, 0), Axis(w, 1, 0))
    made = state.values[node.output[0]].tensor
    state.tensors[made] = replace(state.tensors[made], axes=axes)
    state.values[node.output[0]] = View(made, axes)
    return True


def _elementwise(kind: str) -> Handler:
    def handle(state: State, node: onnx.NodeProto) -> bool:
        views = [state.view(n) for n in node.input]
        if views[0] is not None and views[1] is not None:
            a, b = views
            assert a is not None and b is not None
            if a.axes != b.axes or state.tensors[a.tensor].rows != state.tensors[b.tensor].rows:
                return False
            name = state.name_near([b.tensor, a.tensor], kind)
            out = state.like(node.output[0], name, a)
            state.operators.append(Elementwise(name, kind, a.tensor, b.tensor, None, out))
            return True
        index = 0 if views[0] is not None else 1
        view, constant = views[index], state.constant(node.input[1 - index])
        if view is None or constant is None or constant.dtype.kind != "f":
            return False
        tensor = state.tensors[view.tensor]
        matrix = np.empty((tensor.rows, tensor.columns), np.float32)
        if prod(view.shape) != matrix.size:
            return False
        matrix = replace(tensor, axes=view.axes, scale=1.0).to_matrix(np.broadcast_to(constant, view.shape))
        if (matrix == matrix[:1]).all():
            matrix = matrix[:1]
            if kind == "add" and _absorb_bias(state, view, matrix[0], node.output[0]):
                return True
        name = state.name_near([view.tensor], kind)
        used = state.keep(node.input[1 - index], matrix)
        out = state.like(node.output[0], name, view)
        state.operators.append(Elementwise(name, kind, view.tensor, None, used, out))
        return True

    return handle


def _absorb_bias(state: State, view: View, bias: Matrix, value: str) -> bool:
    """Make an added row the bias of the product before it, where nobody reads the product alone."""
    tensor = state.tensors[view.tensor]
    for i, op in enumerate(state.operators):
        if out_of(op) != view.tensor:
            continue
        plain = isinstance(op, Matmul) and op.weight is not None and op.bias is None
        if not plain or _readers(state, tensor.reference) != 1:
            return False
        assert isinstance(op, Matmul)
        state.operators[i] = replace(op, bias=state.keep(f"{op.name}.bias", bias * np.float32(tensor.scale)))
        state.tensors[tensor.name] = replace(tensor, reference=value, axes=view.axes)
        state.values[value] = view
        return True
    return False


def _norm(state: State, node: onnx.NodeProto) -> bool:
    view = state.view(node.input[0])
    gamma = state.constant(node.input[1])
    axis = attribute(node, "axis", -1)
    if (
        view is None
        or gamma is None
        or axis not in (-1, len(view.axes) - 1)
        or not _walks_columns(view.axes[-1])
    ):
        return False
    if view.axes[-1].size != state.tensors[view.tensor].columns:
        return False
    beta = state.constant(node.input[2]) if len(node.input) > 2 and node.input[2] else np.zeros_like(gamma)
    if beta is None:
        return False
    name = state.name_after(node.input[1])
    out = state.like(node.output[0], name, view)
    state.operators.append(
        Norm(
            name,
            view.tensor,
            state.keep(f"{name}.weight", gamma),
            state.keep(f"{name}.bias", beta),
            float(attribute(node, "epsilon", 1e-5)),
            True,
            out,
        )
    )
    return True


def _softmax(state: State, node: onnx.NodeProto) -> bool:
    view = state.view(node.input[0])
    if view is None or attribute(node, "axis", -1) not in (-1, len(view.axes) - 1):
        return False
    if not _walks_columns(view.axes[-1]) or view.axes[-1].size != state.tensors[view.tensor].columns:
        return False
    name = state.name_near([view.tensor], "softmax")
    state.operators.append(Softmax(name, view.tensor, state.like(node.output[0], name, view)))
    return True


def _gelu(state: State, node: onnx.NodeProto) -> bool:
    view = state.view(node.input[0])
    if view is None or attribute(node, "approximate", b"none") != b"none":
        return False
    name = state.name_near([view.tensor], "gelu")
    state.operators.append(Lut(name, "gelu", view.tensor, state.like(node.output[0], name, view)))
    return True


HANDLERS: dict[str, Handler] = {
    "Identity": _identity,
    "Reshape": _reshape,
    "Transpose": _transpose,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "FusedMatMul": _matmul,
    "Conv": _conv,
    "Add": _elementwise("add"),
    "Mul": _elementwise("mul"),
    "LayerNormalization": _norm,
    "Softmax": _softmax,
    "Gelu": _gelu,
}
