"""Element by element: add, multiply, and the additions that a product takes as its bias."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np
import onnx

from blocksim.graph.demand import is_float, peek, readers, to_host, view
from blocksim.graph.handlers.attention import adds_mask
from blocksim.graph.handlers.functions import silu
from blocksim.graph.handlers.node import Handler
from blocksim.graph.handlers.tokens import normalise, with_class_token
from blocksim.graph.ir import Elementwise, Matmul, out_of
from blocksim.graph.state import State, View
from blocksim.graph.unread import Matrix


def add(state: State, node: onnx.NodeProto) -> bool:
    """Add: of two tensors, of a constant, or of a mask that nothing has taken yet."""
    return (
        with_class_token(state, node)
        or adds_mask(state, node)
        or _defer(state, node)
        or _elementwise("add")(state, node)
    )


def multiply(state: State, node: onnx.NodeProto) -> bool:
    """Mul: by its own sigmoid, by a constant factor, which waits for who can take it, or by an element."""
    return (
        silu(state, node)
        or _scale(state, node, False)
        or _defer(state, node)
        or _elementwise("mul")(state, node)
    )


def divide(state: State, node: onnx.NodeProto) -> bool:
    """Div: by a constant factor, or by the row's own length."""
    return _scale(state, node, True) or normalise(state, node) or _defer(state, node)


def _scale(state: State, node: onnx.NodeProto, inverse: bool) -> bool:
    for which in (0,) if inverse else (0, 1):
        found, factor = peek(state, node.input[which]), state.read(node.input[1 - which])
        if found is None or found.deferred or factor is None or factor.size != 1:
            continue
        by = float(np.asarray(factor, np.float64).reshape(-1)[0])
        if by <= 0 or factor.ndim > len(found.axes):
            return False
        state.values[node.output[0]] = replace(
            found, factor=found.factor / by if inverse else found.factor * by
        )
        return True
    return False


def _defer(state: State, node: onnx.NodeProto) -> bool:
    """A datapath value together with one that depends on integer inputs alone: it waits for its meaning."""
    views = [peek(state, name) for name in node.input]
    for which, found in enumerate(views):
        other = node.input[1 - which]
        depends = other in state.pending and not is_float(state, other)
        if found is None or not depends:
            continue
        same_shape = state.shapes.get(node.output[0], found.shape) == found.shape
        if same_shape:
            state.values[node.output[0]] = found.deferring(node, node.input[which])
        return same_shape
    return False


def _elementwise(kind: str) -> Handler:
    def handle(state: State, node: onnx.NodeProto) -> bool:
        if all(peek(state, n) is None for n in node.input):
            return False
        views = _views(state, node)
        if views[0] is not None and views[1] is not None:
            a, b = views
            assert a is not None and b is not None
            if a.axes != b.axes or state.tensors[a.tensor].rows != state.tensors[b.tensor].rows:
                return False
            products = {out_of(op) for op in state.operators if isinstance(op, Matmul)}
            nearest = sorted([b.tensor, a.tensor], key=lambda t: t not in products)
            name = state.name_near(nearest, kind)
            out = state.like(node.output[0], name, a)
            state.operators.append(Elementwise(name, kind, a.tensor, b.tensor, None, out))
            return True
        index = 0 if views[0] is not None else 1
        found, constant = views[index], state.read(node.input[1 - index])
        if found is None or constant is None or constant.dtype.kind != "f":
            return False
        tensor = state.tensors[found.tensor]
        matrix = np.empty((tensor.rows, tensor.columns), np.float32)
        if prod(found.shape) != matrix.size:
            return False
        matrix = replace(tensor, axes=found.axes, scale=1.0).to_matrix(np.broadcast_to(constant, found.shape))
        if (matrix == matrix[:1]).all():
            matrix = matrix[:1]
            if kind == "add" and _absorb_bias(state, found, matrix[0], node.output[0]):
                return True
        name = state.name_near([found.tensor], kind)
        used = state.keep(state.origin(node.input[1 - index]), matrix)
        out = state.like(node.output[0], name, found)
        state.operators.append(Elementwise(name, kind, found.tensor, None, used, out))
        return True

    return handle


def _views(state: State, node: onnx.NodeProto) -> list[View | None]:
    """Both inputs on the datapath, as far as they can be; what the host makes is laid out as the other is."""
    for name, other in (node.input, reversed(node.input)):
        if peek(state, name) is None and name in state.pending and is_float(state, name):
            to_host(state, name, view(state, other))
    return [view(state, name) for name in node.input]


def _absorb_bias(state: State, found: View, bias: Matrix, value: str) -> bool:
    """Make an added row the bias of the product before it, where nobody reads the product alone."""
    tensor = state.tensors[found.tensor]
    for i, op in enumerate(state.operators):
        if out_of(op) != found.tensor:
            continue
        plain = isinstance(op, Matmul) and op.weight is not None and op.bias is None
        if not plain or readers(state, tensor.reference) != 1:
            return False
        assert isinstance(op, Matmul)
        state.operators[i] = replace(op, bias=state.keep(f"{op.name}.bias", bias * np.float32(tensor.scale)))
        state.tensors[tensor.name] = replace(tensor, reference=value, axes=found.axes)
        state.values[value] = found
        return True
    return False
