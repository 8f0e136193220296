"""Demand: what an operator asks for is brought onto the datapath, by the host where nothing else makes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import isclose, prod, sqrt
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from blocksim.errors import BlocksimError
from blocksim.graph import axes as layout
from blocksim.graph.ir import Axes, Elementwise, Host, HostSource, Matmul, out_of
from blocksim.graph.state import State, View
from blocksim.graph.unread import scaled

LAYOUT = ("Reshape", "Transpose", "Identity", "Unsqueeze", "Squeeze", "Expand", "Flatten", "Dropout")
"""Operators that only change how a value walks over its tensor."""


def peek(state: State, name: str) -> View | None:
    """The walk of a value over its tensor, deferred work and all; None if it is not on the datapath."""
    if name not in state.values and state.inputs.get(name, ((), 0))[1] == TensorProto.FLOAT:
        encode_input(state, name)
    return state.values.get(name)


def view(state: State, name: str) -> View | None:
    """A value brought onto the datapath, deferred work done; None for a constant or an integer."""
    found = peek(state, name)
    if found is None and name in state.pending and is_float(state, name):
        to_host(state, name)
    elif found is not None and found.deferred:
        state.pending |= {node.output[0]: node for node in found.deferred}
        for node in found.deferred:
            state.values.pop(node.output[0], None)
        to_host(state, name)
    elif found is not None and found.factor != 1.0:
        take_factor(state, name, found)
    return state.values.get(name)


def is_float(state: State, name: str) -> bool:
    """Whether a value that nothing has made yet depends on the datapath, on a float input or on a table."""
    roots = state.roots(name)
    if any(r in state.values or state.inputs.get(r, ((), 0))[1] == TensorProto.FLOAT for r in roots):
        return True
    tables = [node.input[0] for node in state.chain(name) if node.op_type == "Gather"]
    return any(t in state.weights or t in state.origins for t in tables)


def to_host(state: State, value: str, beside: View | None = None) -> None:
    """Let the host compute a pending value, with all that it needs and nothing has computed yet.

    It is laid out as the value `beside` it is, where one of the same shape meets it.
    """
    nodes = state.chain(value)
    leave_to_host(state, nodes, state.roots(value), value, nodes[-1].op_type.lower(), beside=beside)


def take_factor(state: State, name: str, found: View) -> None:
    """Fold a value's constant factor into the weights before it, or multiply by it."""
    plain = replace(found, factor=1.0)
    before = state.tensors[found.tensor]
    waiting = {
        value: v
        for value, v in state.values.items()
        if v.tensor == found.tensor and v.factor == found.factor and v.deferred
    }
    out = found.tensor
    if fold(state, found.tensor, found.factor):
        # the tensor is now what the value with its factor is
        state.tensors[out] = replace(before, reference=name, axes=found.axes)
        state.values[name] = plain
    else:
        multiplied = state.name_near([found.tensor], "mul")
        constant = state.keep(f"{multiplied}.constant", np.full((1, before.columns), found.factor))
        out = state.like(name, multiplied, plain)
        state.operators.append(Elementwise(multiplied, "mul", found.tensor, None, constant, out))
    state.values |= {value: replace(v, tensor=out, factor=1.0) for value, v in waiting.items()}


def fold(state: State, tensor: str, factor: float) -> bool:
    """Fold a constant factor into the weights that feed a tensor which has only one reader.

    Of a product of activations, the first one's weights take it. A factor within 1e-5 of ``1/sqrt(k)``
    is ``1/sqrt(k)``: exporters round it, and split it between the operands, in ways of their own.
    """
    made = state.tensors[tensor]
    op = next((op for op in state.operators if out_of(op) == tensor), None)
    if not isinstance(op, Matmul) or readers(state, made.reference) != 1:
        return False
    if op.weight is None:
        if isclose(factor, 1 / sqrt(op.k), rel_tol=1e-5):
            factor = 1 / sqrt(op.k)
        if not fold(state, op.a.tensor, factor):
            return False
    else:
        for name in (op.weight, op.bias):
            if name is not None:
                state.used[name] = scaled(state.used[name], factor)
    state.tensors[tensor] = replace(made, scale=made.scale * factor)
    return True


def readers(state: State, value: str) -> int:
    """How many nodes read a value or a view of it; a graph output counts as one."""
    count = int(value in state.outputs)
    for node in state.consumers.get(value, []):
        passes = node.op_type in LAYOUT or _is_scaling(state, node)
        count += readers(state, node.output[0]) if passes else list(node.input).count(value)
    return count


def _is_scaling(state: State, node: onnx.NodeProto) -> bool:
    if node.op_type not in ("Mul", "Div"):
        return False
    factors = [state.constant(n) for n in node.input]
    return any(f is not None and f.size == 1 for f in factors)


def encode_input(state: State, name: str) -> None:
    """Enter a float graph input that the datapath reads: the host hands it over as it is."""
    encoded = f"{name}.encode"
    state.shapes[encoded] = state.inputs[name][0]
    node = helper.make_node("Identity", [name], [encoded], encoded)
    leave_to_host(state, [node], [name], encoded, "encode", encoded)
    state.values[name] = state.values.pop(encoded)


def leave_to_host(
    state: State,
    nodes: list[onnx.NodeProto],
    inputs: Any,
    value: str,
    op: str,
    name: str | None = None,
    beside: View | None = None,
) -> None:
    """Leave nodes to the host: a model of exactly these, its output a fresh tensor."""
    sources: list[HostSource] = []
    inputs_of: list[tuple[str, int, tuple[int, ...]]] = []
    for source in dict.fromkeys(inputs):
        if not source or state.constant(source) is not None:
            continue
        axes: Axes = ()
        made = view(state, source) if source in state.values else None
        if made is not None:
            shape, feed, axes = made.shape, made.tensor, made.axes
            kind: int = TensorProto.FLOAT
        elif source in state.inputs:
            shape, kind = state.inputs[source]
            feed = source
        else:
            raise BlocksimError(
                state.path, nodes[0].op_type, source, "its input is not computed by any operator"
            )
        sources.append(HostSource(source, feed, axes))
        inputs_of.append((source, kind, shape))
    shape = state.shapes.get(value, ())
    if not shape:
        raise BlocksimError(
            state.path,
            nodes[-1].name or nodes[-1].op_type,
            nodes[-1].op_type,
            "not supported: its shape is unknown",
        )
    model = submodel(state, nodes, inputs_of, value, shape)
    tensor = name or state.name_near([s.source for s in sources], op)
    state.distance.setdefault(tensor, (1, tensor))
    walk = layout.contiguous(shape if len(shape) > 1 else (1, *shape))[-len(shape) :]
    if beside is not None and beside.shape == shape and _is_whole(state, beside):
        state.like(value, tensor, beside)
    else:
        state.define(value, tensor, walk, prod(shape[:-1]), shape[-1])
    state.operators.append(
        Host(
            tensor,
            tuple(node.op_type for node in nodes),
            model,
            tuple(sources),
            tensor,
            sum(_macs(state, node) for node in nodes),
        )
    )


def _is_whole(state: State, walk: View) -> bool:
    """Whether a walk passes every element of its tensor, each once."""
    tensor = state.tensors[walk.tensor]
    return tensor.rows * tensor.columns == prod(walk.shape)


def _macs(state: State, node: onnx.NodeProto) -> int:
    """Multiply-accumulates of a node left to the host; element-wise work counts none."""
    if node.op_type in ("MatMul", "FusedMatMul", "Gemm", "FusedGemm"):
        k = state.shapes.get(node.input[0], (0,))[-1]
        return prod(state.shapes.get(node.output[0], (0,))) * k
    if node.op_type in ("Conv", "FusedConv"):
        return prod(state.shapes.get(node.output[0], (0,))) * prod(state.shapes.get(node.input[1], (0,))[1:])
    return 0


def submodel(
    state: State,
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[tuple[str, int, tuple[int, ...]]],
    value: str,
    shape: tuple[int, ...],
) -> bytes:
    """A model of exactly these nodes: inputs with their types and shapes, and one float output."""
    needed = {n for node in nodes for n in node.input}
    made = {o for node in nodes for o in node.output}
    initialisers = [
        numpy_helper.from_array(np.asarray(state.constant(n)), n)
        for n in sorted(needed - made)
        if state.constant(n) is not None
    ]
    graph = helper.make_graph(
        list(nodes),
        "host",
        [helper.make_tensor_value_info(name, kind, of) for name, kind, of in inputs],
        [helper.make_tensor_value_info(value, TensorProto.FLOAT, shape)],
        initialisers,
    )
    domains = {node.domain for node in nodes}
    opsets = [helper.make_opsetid("", state.opset)]
    opsets += [helper.make_opsetid(d, 1) for d in sorted(domains) if d not in ("", "ai.onnx")]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString())
