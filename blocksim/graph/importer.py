"""ONNX in, typed graph out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from blocksim.errors import BlocksimError
from blocksim.graph.canonical import Canonical, canonicalise, read
from blocksim.graph.demand import view
from blocksim.graph.handlers import HANDLERS
from blocksim.graph.handlers.node import attribute
from blocksim.graph.ir import (
    Graph,
    GraphInput,
    GraphOutput,
    Host,
    Matmul,
    Operator,
    Softmax,
    Tensor,
    out_of,
    sources_of,
)
from blocksim.graph.state import State
from blocksim.graph.unread import Unread
from blocksim.graph.weights import WeightSource


def import_onnx(
    path: Path | str,
    bind: dict[str, int] | None = None,
    weights: WeightSource | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
) -> Graph:
    """Read an ONNX model as a typed graph of one sample.

    Parameters
    ----------
    path : path
        An ONNX file of a transformer in float32.
    bind : dict of str to int
        Sizes of free dimensions other than the batch.
    weights : WeightSource, optional
        What fills a skeleton.
    shapes : dict of str to tuple, optional
        Shapes of the inputs at hand: they bind what `bind` does not.

    Returns
    -------
    Graph

    Raises
    ------
    BlocksimError
        If the file cannot be used; the message names the field and what would be right.
    """
    path = Path(path)
    return build(canonicalise(read(path), path, bind or {}, weights, shapes), path)


def build(canonical: Canonical, path: Path) -> Graph:
    """The typed graph of a canonical model."""
    model = canonical.model
    state = State(path, weights=canonical.weights, inputs=canonical.inputs)
    for initialiser in model.graph.initializer:
        state.constants[initialiser.name] = numpy_helper.to_array(initialiser)
    state.shapes = _shapes(canonical)
    state.outputs = {output.name for output in model.graph.output}
    state.opset = max(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
    for node in model.graph.node:
        for name in node.input:
            state.consumers.setdefault(name, []).append(node)
    for node in model.graph.node:
        if node.op_type == "Constant":
            state.constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
        elif all(not name or state.constant(name) is not None for name in node.input) and node.input:
            _compute(state, node)
        elif node.op_type not in HANDLERS or not HANDLERS[node.op_type](state, node):
            state.pending |= dict.fromkeys(node.output, node)
    outputs = []
    for output in model.graph.output:
        found = view(state, output.name)
        if found is None:
            raise BlocksimError(path, output.name, "not computed", "an output must depend on an input")
        outputs.append(GraphOutput(output.name, found.tensor, found.axes))
    operators, tensors = _settle(state, {o.tensor for o in outputs})
    return Graph(
        source=str(path),
        inputs=tuple(
            GraphInput(name, shape, str(onnx.helper.tensor_dtype_to_np_dtype(dtype)))
            for name, (shape, dtype) in canonical.inputs.items()
        ),
        outputs=tuple(outputs),
        tensors=tensors,
        operators=operators,
        constants=state.used,
        canonical=model.SerializeToString(),
        weights=canonical.weights,
        free_batch=canonical.free_batch,
        padding=state.padding,
        holes=state.holes,
        filled=canonical.filled,
    )


def _compute(state: State, node: onnx.NodeProto) -> None:
    """Compute a node whose inputs are all constants, through onnxruntime; it keeps its weight's name."""
    import onnxruntime as ort

    source = state.constant(node.input[0])
    if isinstance(source, Unread) and node.op_type == "Transpose" and attribute(node, "perm", []) == [1, 0]:
        _enter(state, node, node.output[0], source.T)
        return
    given = {name: state.read(name) for name in node.input if name}
    infos = [
        onnx.helper.make_tensor_value_info(n, onnx.helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
        for n, a in given.items()
        if a is not None
    ]
    wanted = [onnx.ValueInfoProto(name=name) for name in node.output if name]
    graph = onnx.helper.make_graph([node], "constant", infos, wanted)
    opsets = [onnx.helper.make_opsetid("", state.opset)]
    if node.domain:
        opsets.append(onnx.helper.make_opsetid(node.domain, 1))
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=9)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    made = session.run(None, given)
    for info, array in zip(wanted, made, strict=True):
        _enter(state, node, info.name, np.asarray(array))


def _enter(state: State, node: onnx.NodeProto, name: str, array: NDArray[Any] | Unread) -> None:
    """A constant that a node makes of constants."""
    state.constants[name] = array
    origins = [state.origins.get(n, n) for n in node.input if n in state.weights or n in state.origins]
    if origins:
        state.origins[name] = origins[0]


OWN_SHAPE = ("Gelu", "FastGelu", "QuickGelu", "SimplifiedLayerNormalization")
"""onnxruntime's operators that ONNX's inference does not know, and whose output has its input's shape."""


def _shapes(canonical: Canonical) -> dict[str, tuple[int, ...]]:
    model = onnx.ModelProto.FromString(canonical.model.SerializeToString())
    for node in model.graph.node:
        if node.op_type in OWN_SHAPE:
            node.CopyFrom(onnx.helper.make_node("Identity", node.input[:1], node.output[:1]))
    graph = onnx.shape_inference.infer_shapes(model).graph
    shapes = {
        v.name: tuple(d.dim_value for d in v.type.tensor_type.shape.dim)
        for v in (*graph.value_info, *graph.input, *graph.output)
        if v.type.tensor_type.HasField("shape")
        and all(d.HasField("dim_value") for d in v.type.tensor_type.shape.dim)
    }
    shapes.update({i.name: tuple(i.dims) for i in graph.initializer})
    unknown = [o for node in canonical.model.graph.node for o in node.output if o and o not in shapes]
    return {**shapes, **_tried_shapes(canonical, unknown)} if unknown else shapes


def _tried_shapes(canonical: Canonical, names: list[str]) -> dict[str, tuple[int, ...]]:
    """Shapes that ONNX's inference does not know, from a run on zeros."""
    import onnxruntime as ort

    model = onnx.ModelProto.FromString(canonical.model.SerializeToString())
    given = {output.name for output in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in given)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    wanted = {i.name for i in session.get_inputs()}
    feeds = {name: np.asarray(array) for name, array in canonical.weights.items() if name in wanted}
    feeds |= {
        name: np.zeros(shape, onnx.helper.tensor_dtype_to_np_dtype(kind))
        for name, (shape, kind) in canonical.inputs.items()
    }
    return {name: array.shape for name, array in zip(names, session.run(names, feeds), strict=True)}


def _may_drop_rows(state: State, operators: list[Operator], tensors: dict[str, Tensor], length: int) -> bool:
    """Whether nobody reads the rows of absent tokens, so that they need not be computed.

    Whoever mixes rows must leave those out: a softmax that is told which keys are there, and what it
    weighs; a sum over the tokens that are there. The host is not trusted with it.
    """
    made = {out_of(op): op for op in operators}
    for op in operators:
        if isinstance(op, Host) and any(s in tensors and tensors[s].tokens == length for s in sources_of(op)):
            return False
        if (
            isinstance(op, Softmax)
            and tensors[op.a].tokens == length == tensors[op.a].columns
            and not op.padded
        ):
            return False
        if isinstance(op, Matmul) and op.b is not None and op.b.transposed:
            weighing = made[op.a.tensor]
            masked = isinstance(weighing, Softmax) and weighing.padded
            if (
                tensors[op.b.tensor].tokens == length
                and not masked
                and weighing.name != f"{state.padding}.encode"
            ):
                return False
    return True


def _settle(state: State, kept: set[str]) -> tuple[tuple[Operator, ...], dict[str, Tensor]]:
    """Drop what no output needs, and tell tensors about the heads that their consumers walk over."""
    needed = set(kept)
    operators: list[Operator] = []
    for op in reversed(state.operators):
        if out_of(op) in needed:
            operators.insert(0, op)
            needed.update(sources_of(op))
    tensors = {name: t for name, t in state.tensors.items() if name in needed}
    length = state.inputs[state.padding][0][1] if state.padding else 0
    kept_rows = bool(length) and _may_drop_rows(state, operators, tensors, length)
    tensors = {
        name: t if kept_rows and t.tokens == length else replace(t, tokens=0) for name, t in tensors.items()
    }
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
