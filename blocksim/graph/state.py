"""The state of an import: values as walks over tensors, names, and what is left to the host."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from blocksim.errors import BlocksimError
from blocksim.graph import axes as layout
from blocksim.graph.ir import Axes, Host, HostSource, Matrix, Operator, Tensor


@dataclass(frozen=True)
class View:
    """An ONNX value as a walk over a tensor."""

    tensor: str
    axes: Axes

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(a.size for a in self.axes)


@dataclass
class State:
    """An import on its way.

    Attributes
    ----------
    path : Path
        The ONNX file, for messages.
    values, constants, weights : dict
        ONNX values on the datapath, small constants, and large weights, by their ONNX name.
    used : dict of str to array
        Constants that operators use, by the operators' names for them.
    tensors, operators
        The graph so far.
    consumers : dict of str to list of nodes
        Who reads an ONNX value.
    distance : dict of str to (int, str)
        Of each operator, the steps to the nearest one named after a weight, and that one's name.
    shapes, inputs, outputs, opset
        Of the canonical model.
    """

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
    outputs: set[str] = field(default_factory=set)
    opset: int = 18

    def view(self, name: str) -> View | None:
        """The walk of a value over its tensor; None for a constant or an integer input."""
        if name not in self.values and self.inputs.get(name, ((), 0))[1] == TensorProto.FLOAT:
            encode_input(self, name)
        return self.values.get(name)

    def constant(self, name: str) -> NDArray[Any] | None:
        """The value of a constant or weight, None for anything else."""
        found = self.constants.get(name)
        return self.weights.get(name) if found is None else found

    def keep(self, name: str, array: NDArray[Any]) -> str:
        """Enter a constant that an operator uses; a name that holds another array gets a number."""
        kept = np.ascontiguousarray(array, np.float32)
        base, i = name, 0
        while name in self.used and not np.array_equal(self.used[name], kept):
            i += 1
            name = f"{base}_{i}"
        self.used[name] = kept
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


def encode_input(state: State, name: str) -> None:
    """Enter a float graph input that the datapath reads: the host hands it over as it is."""
    encoded = f"{name}.encode"
    state.shapes[encoded] = state.inputs[name][0]
    node = helper.make_node("Identity", [name], [encoded], encoded)
    leave_to_host(state, [node], [name], encoded, "encode", encoded)
    state.values[name] = state.values.pop(encoded)


def leave_to_host(
    state: State, nodes: list[onnx.NodeProto], inputs: Any, value: str, op: str, name: str | None = None
) -> None:
    """Leave nodes to the host: a model of exactly these, its output a fresh tensor."""
    sources, graph_inputs = [], []
    for source in dict.fromkeys(inputs):
        if not source or state.constant(source) is not None:
            continue
        axes: Axes = ()
        if source in state.values:
            view = state.values[source]
            shape, feed, axes = view.shape, view.tensor, view.axes
            kind: int = TensorProto.FLOAT
        elif source in state.inputs:
            shape, kind = state.inputs[source]
            feed = source
        else:
            raise BlocksimError(
                state.path, nodes[0].op_type, source, "its input is not computed by any operator"
            )
        sources.append(HostSource(source, feed, axes))
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
    opsets = [helper.make_opsetid("", state.opset)]
    opsets += [helper.make_opsetid(d, 1) for d in sorted(domains) if d not in ("", "ai.onnx")]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    tensor = name or state.name_near([s.source for s in sources], op)
    state.distance.setdefault(tensor, (1, tensor))
    walk = layout.contiguous(shape if len(shape) > 1 else (1, *shape))[-len(shape) :]
    rows = prod(shape[:-1])
    state.define(value, tensor, walk, rows, shape[-1])
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


def _macs(state: State, node: onnx.NodeProto) -> int:
    """Multiply-accumulates of a node left to the host; element-wise work counts none."""
    if node.op_type in ("MatMul", "FusedMatMul", "Gemm"):
        k = state.shapes.get(node.input[0], (0,))[-1]
        return prod(state.shapes.get(node.output[0], (0,))) * k
    if node.op_type == "Conv":
        return prod(state.shapes.get(node.output[0], (0,))) * prod(state.shapes.get(node.input[1], (0,))[1:])
    return 0
