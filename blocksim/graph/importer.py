"""ONNX in, typed graph out: one handler per canonical ONNX operator, the host for what is left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from blocksim.errors import BlocksimError
from blocksim.graph import axes as layout
from blocksim.graph.canonical import Canonical, canonicalise, read
from blocksim.graph.ir import (
    Axes,
    Axis,
    Elementwise,
    Graph,
    GraphInput,
    Host,
    Lut,
    Matmul,
    Matrix,
    Norm,
    Operand,
    Operator,
    Softmax,
    Tensor,
    out_of,
    sources_of,
)

OPSET = 18
DTYPES: dict[int, str] = {
    TensorProto.FLOAT: "float32",
    TensorProto.INT64: "int64",
    TensorProto.INT32: "int32",
}


@dataclass(frozen=True)
class View:
    """An ONNX value as a walk over a tensor."""

    tensor: str
    axes: Axes

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(a.size for a in self.axes)


@dataclass
class _State:
    path: Path
    values: dict[str, View] = field(default_factory=dict)
    constants: dict[str, NDArray[Any]] = field(default_factory=dict)
    weights: dict[str, Matrix] = field(default_factory=dict)
    used: dict[str, Matrix] = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    operators: list[Operator] = field(default_factory=list)
    consumers: dict[str, list[onnx.NodeProto]] = field(default_factory=dict)
    distance: dict[str, tuple[int, str]] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    inputs: dict[str, tuple[tuple[int, ...], int]] = field(default_factory=dict)

    def constant(self, name: str) -> NDArray[Any] | None:
        """The value of a constant or weight, None for anything else."""
        found = self.constants.get(name)
        return self.weights.get(name) if found is None else found

    def keep(self, name: str, array: NDArray[Any]) -> str:
        """Enter a constant that an operator uses."""
        self.used[name] = np.ascontiguousarray(array, np.float32)
        return name

    def unused(self, name: str) -> str:
        """A name that no operator has yet: `name`, else `name_1` and so on."""
        taken, candidate, i = self.tensors, name, 0
        while candidate in taken:
            i += 1
            candidate = f"{name}_{i}"
        return candidate

    def name_after(self, weight: str) -> str:
        """The operator's name from its weight's path."""
        name = self.unused(weight.removesuffix(".weight").removesuffix(".bias"))
        self.distance[name] = (0, name)
        return name

    def name_near(self, sources: list[str], op: str) -> str:
        """``<nearest named>.<op>``: the named operator the fewest steps up the data's way."""
        steps, nearest = min(
            (self.distance[s] for s in sources if s in self.distance),
            key=lambda d: d[0],
            default=(0, "input"),
        )
        name = self.unused(f"{nearest}.{op}")
        self.distance[name] = (steps + 1, nearest)
        return name

    def define(self, value: str, name: str, axes: Axes, row_period: int, column_period: int) -> str:
        """Enter the tensor that an operator writes as the ONNX value `value`."""
        rows = 1 + sum((a.size - 1) * a.row_step for a in axes)
        columns = 1 + sum((a.size - 1) * a.column_step for a in axes)
        self.tensors[name] = Tensor(name, rows, columns, row_period, column_period, value, axes)
        self.values[value] = View(name, axes)
        return name

    def like(self, value: str, name: str, view: View) -> str:
        """Enter an element-wise result, laid out as its operand."""
        source = self.tensors[view.tensor]
        return self.define(value, name, view.axes, source.row_period, source.column_period)


Handler = Callable[[_State, onnx.NodeProto], bool]
"""Takes a node over (True), or leaves it to the host (False)."""


def import_onnx(path: Path | str, bind: dict[str, int] | None = None) -> Graph:
    """Read an ONNX model as a typed graph of one sample.

    Parameters
    ----------
    path : path
        An ONNX file of a transformer in float32.
    bind : dict of str to int
        Sizes of free dimensions other than the batch.

    Returns
    -------
    Graph

    Raises
    ------
    BlocksimError
        If the file cannot be used; the message names the field and what would be right.
    """
    path = Path(path)
    return build(canonicalise(read(path), path, bind or {}), path)


def build(canonical: Canonical, path: Path) -> Graph:
    """The typed graph of a canonical model."""
    model = canonical.model
    state = _State(path, weights=canonical.weights, inputs=canonical.inputs)
    for initialiser in model.graph.initializer:
        state.constants[initialiser.name] = numpy_helper.to_array(initialiser)
    state.shapes = _shapes(model)
    for node in model.graph.node:
        for name in node.input:
            state.consumers.setdefault(name, []).append(node)
    for node in model.graph.node:
        if node.op_type == "Constant":
            state.constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
        elif not HANDLERS.get(node.op_type, _leave)(state, node):
            _host(state, [node], node.input, node.output[0], f"{node.op_type.lower()}")
    outputs = []
    for output in model.graph.output:
        view = state.values.get(output.name)
        if view is None:
            raise BlocksimError(path, output.name, "not computed", "an output must depend on an input")
        outputs.append((output.name, view.tensor))
    operators, tensors = _settle(state, {t for _, t in outputs})
    return Graph(
        source=str(path),
        inputs=tuple(
            GraphInput(name, shape, DTYPES.get(dtype, str(dtype)))
            for name, (shape, dtype) in canonical.inputs.items()
        ),
        outputs=tuple(outputs),
        tensors=tensors,
        operators=operators,
        constants=state.used,
        canonical=model.SerializeToString(),
        weights=canonical.weights,
    )


def _shapes(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    inferred = onnx.shape_inference.infer_shapes(model)
    graph = inferred.graph
    shapes = {
        v.name: tuple(d.dim_value for d in v.type.tensor_type.shape.dim)
        for v in (*graph.value_info, *graph.input, *graph.output)
    }
    shapes.update({i.name: tuple(i.dims) for i in graph.initializer})
    return shapes


def _settle(state: _State, kept: set[str]) -> tuple[tuple[Operator, ...], dict[str, Tensor]]:
    """Drop what no output needs, and tell tensors about the heads that their consumers walk over."""
    needed = set(kept)
    operators: list[Operator] = []
    for op in reversed(state.operators):
        if out_of(op) in needed:
            operators.insert(0, op)
            needed.update(sources_of(op))
    tensors = {name: t for name, t in state.tensors.items() if name in needed}
    for op in operators:
        if isinstance(op, Matmul) and op.groups > 1:
            for operand in (op.a, op.b):
                if operand is None:
                    continue
                t = tensors[operand.tensor]
                tensors[t.name] = replace(
                    t,
                    row_period=operand.row_step or t.row_period,
                    column_period=operand.column_step or t.column_period,
                )
    return tuple(operators), tensors


def _attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    for attribute in node.attribute:
        if attribute.name == name:
            return helper.get_attribute_value(attribute)
    return default


def _leave(_state: _State, _node: onnx.NodeProto) -> bool:
    return False


def _identity(state: _State, node: onnx.NodeProto) -> bool:
    view = state.values.get(node.input[0])
    if view is not None:
        state.values[node.output[0]] = view
    return view is not None


def _reshape(state: _State, node: onnx.NodeProto) -> bool:
    view, shape = state.values.get(node.input[0]), state.constant(node.input[1])
    if view is None or shape is None:
        return False
    sizes = [view.shape[i] if s == 0 else int(s) for i, s in enumerate(shape)]
    if -1 in sizes:
        sizes[sizes.index(-1)] = prod(view.shape) // -prod(sizes)
    walked = layout.reshape(view.axes, sizes)
    if walked is not None:
        state.values[node.output[0]] = View(view.tensor, walked)
    return walked is not None


def _transpose(state: _State, node: onnx.NodeProto) -> bool:
    view = state.values.get(node.input[0])
    if view is None:
        return False
    order = _attribute(node, "perm", list(reversed(range(len(view.axes)))))
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
    state: _State, value: str, view: View, weight: str, array: Matrix, bias: str | None, scale: float
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


def _gemm(state: _State, node: onnx.NodeProto) -> bool:
    view, weight = state.values.get(node.input[0]), state.constant(node.input[1])
    bias = node.input[2] if len(node.input) > 2 else None
    plain = _attribute(node, "transA", 0) == 0 and _attribute(node, "beta", 1.0) == 1.0
    if view is None or weight is None or not plain or (bias and state.constant(bias) is None):
        return False
    array = weight if _attribute(node, "transB", 0) else weight.T
    scale = _attribute(node, "alpha", 1.0)
    return scale == 1.0 and _linear(state, node.output[0], view, node.input[1], array, bias, scale)


def _matmul(state: _State, node: onnx.NodeProto) -> bool:
    if any(_attribute(node, flag, 0) for flag in ("transBatchA", "transBatchB", "transA")):
        return False
    a, b = state.values.get(node.input[0]), state.values.get(node.input[1])
    alpha, flipped = _attribute(node, "alpha", 1.0), _attribute(node, "transB", 0)
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
    if alpha != 1.0 and not _fold_scale(state, a.tensor, alpha, node.input[0]):
        return False
    name = state.name_near([a.tensor, b.tensor] if not transposed else [b.tensor, a.tensor], "matmul")
    m, k, n = row.size, depth.size, b_line.size
    axes, out = _product_layout(state, node.output[0], (*a.shape[:-1], n), groups, m, n, name)
    periods = (m, n)
    state.define(node.output[0], name, axes, *periods)
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
    return True


def _product_layout(
    state: _State, value: str, shape: tuple[int, ...], groups: int, m: int, n: int, name: str
) -> tuple[Axes, Operand]:
    """Where the groups of a product go: side by side where heads are merged next, else below each other."""
    users = state.consumers.get(value, [])
    merged = (
        groups > 1
        and len(users) == 1
        and users[0].op_type == "Transpose"
        and list(_attribute(users[0], "perm", [])) == [0, 2, 1, 3]
    )
    if merged:
        return (Axis(1, 0, 0), Axis(groups, 0, n), Axis(m, 1, 0), Axis(n, 0, 1)), Operand(name, 0, n)
    return layout.contiguous(shape), Operand(name, m if groups > 1 else 0, 0)


def _fold_scale(state: _State, tensor: str, alpha: float, value: str) -> bool:
    """Fold a constant factor into the weights of the only operator that feeds it."""
    for i, op in enumerate(state.operators):
        if out_of(op) == tensor and isinstance(op, Matmul) and op.weight is not None:
            users = [o for o in state.operators if tensor in sources_of(o)]
            if users or len(state.consumers.get(value, [])) != 1:
                return False
            for name in (op.weight, op.bias):
                if name is not None:
                    state.used[name] = state.used[name] * np.float32(alpha)
            state.tensors[tensor] = replace(state.tensors[tensor], scale=state.tensors[tensor].scale * alpha)
            state.operators[i] = op
            return True
    return False


def _conv(state: _State, node: onnx.NodeProto) -> bool:
    """A convolution whose stride is its kernel: patches cut on the host, then a MATMUL."""
    weight = state.constant(node.input[1])
    shape = state.inputs.get(node.input[0], (None, 0))[0]
    if weight is None or shape is None or weight.ndim != 4:
        return False
    n, channels, kh, kw = weight.shape
    plain = (
        list(_attribute(node, "strides", [1, 1])) == [kh, kw]
        and not any(_attribute(node, "pads", [0, 0, 0, 0]))
        and list(_attribute(node, "dilations", [1, 1])) == [1, 1]
        and _attribute(node, "group", 1) == 1
        and _attribute(node, "auto_pad", b"NOTSET") in (b"NOTSET", b"VALID")
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
    _host(state, nodes, [node.input[0]], cut, "patches", f"{name}.patches")
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
    def handle(state: _State, node: onnx.NodeProto) -> bool:
        views = [state.values.get(n) for n in node.input]
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
        name = state.name_near([view.tensor], kind)
        used = state.keep(node.input[1 - index], matrix)
        out = state.like(node.output[0], name, view)
        state.operators.append(Elementwise(name, kind, view.tensor, None, used, out))
        return True

    return handle


def _norm(state: _State, node: onnx.NodeProto) -> bool:
    view = state.values.get(node.input[0])
    gamma = state.constant(node.input[1])
    axis = _attribute(node, "axis", -1)
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
            float(_attribute(node, "epsilon", 1e-5)),
            True,
            out,
        )
    )
    return True


def _softmax(state: _State, node: onnx.NodeProto) -> bool:
    view = state.values.get(node.input[0])
    if view is None or _attribute(node, "axis", -1) not in (-1, len(view.axes) - 1):
        return False
    if not _walks_columns(view.axes[-1]) or view.axes[-1].size != state.tensors[view.tensor].columns:
        return False
    name = state.name_near([view.tensor], "softmax")
    state.operators.append(Softmax(name, view.tensor, state.like(node.output[0], name, view)))
    return True


def _gelu(state: _State, node: onnx.NodeProto) -> bool:
    view = state.values.get(node.input[0])
    if view is None or _attribute(node, "approximate", b"none") != b"none":
        return False
    name = state.name_near([view.tensor], "gelu")
    state.operators.append(Lut(name, "gelu", view.tensor, state.like(node.output[0], name, view)))
    return True


def _host(
    state: _State, nodes: list[onnx.NodeProto], inputs: Any, value: str, op: str, name: str | None = None
) -> None:
    """Leave nodes to the host: a model of exactly these, its output a fresh tensor."""
    sources, graph_inputs = [], []
    for source in inputs:
        if not source or state.constant(source) is not None:
            continue
        if source in state.values:
            view = state.values[source]
            shape, feed = view.shape, view.tensor
            kind: int = TensorProto.FLOAT
        elif source in state.inputs:
            shape, kind = state.inputs[source]
            feed = source
        else:
            raise BlocksimError(
                state.path, nodes[0].op_type, source, "its input is not computed by any operator"
            )
        sources.append((source, feed))
        graph_inputs.append(helper.make_tensor_value_info(source, kind, shape))
    shape = state.shapes.get(value, ())
    if not shape or len(nodes[-1].output) != 1:
        raise BlocksimError(
            state.path,
            nodes[-1].name or nodes[-1].op_type,
            nodes[-1].op_type,
            "not supported: its shape is unknown",
        )
    needed = {n for node in nodes for n in node.input}
    made = {o for node in nodes for o in node.output}
    initialisers = [
        numpy_helper.from_array(np.asarray(state.constant(n)), n)
        for n in sorted(needed - made)
        if state.constant(n) is not None
    ]
    graph = helper.make_graph(
        nodes,
        op,
        graph_inputs,
        [helper.make_tensor_value_info(value, TensorProto.FLOAT, shape)],
        initialisers,
    )
    domains = {node.domain for node in nodes}
    opsets = [helper.make_opsetid("", OPSET)]
    opsets += [helper.make_opsetid(d, 1) for d in sorted(domains) if d not in ("", "ai.onnx")]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    tensor = name or state.name_near([feed for _, feed in sources], op)
    state.distance.setdefault(tensor, (1, tensor))
    axes = layout.contiguous(shape if len(shape) > 1 else (1, *shape))
    if len(shape) == 1:
        axes = axes[1:]
    rows = prod(shape[:-1])
    state.define(value, tensor, axes, rows, shape[-1])
    state.operators.append(
        Host(
            tensor,
            tuple(node.op_type for node in nodes),
            model.SerializeToString(),
            tuple(sources),
            tensor,
            sum(_macs(state, node) for node in nodes),
        )
    )


def _macs(state: _State, node: onnx.NodeProto) -> int:
    """Multiply-accumulates of a node left to the host; element-wise work counts none."""
    if node.op_type in ("MatMul", "FusedMatMul", "Gemm"):
        k = state.shapes.get(node.input[0], (0,))[-1]
        return prod(state.shapes.get(node.output[0], (0,))) * k
    if node.op_type == "Conv":
        return prod(state.shapes.get(node.output[0], (0,))) * prod(state.shapes.get(node.input[1], (0,))[1:])
    return 0


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
