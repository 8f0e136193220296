"""The state of an import: values as walks over tensors, names, and what nothing has asked for yet."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from blocksim.graph.ir import Axes, Operator, Tensor
from blocksim.graph.unread import Unread, Weight, same


@dataclass(frozen=True)
class View:
    """An ONNX value as a walk over a tensor.

    Attributes
    ----------
    tensor : str
    axes : tuple of Axis
    factor : float
        A constant factor that the value has over the walk and that no operator has taken yet.
    deferred : tuple of nodes
        Nodes between the walk and the value that no operator has taken yet: a mask that is added, a
        division by the number of tokens.
    base : str
        The ONNX value that the first of the deferred nodes reads.
    """

    tensor: str
    axes: Axes
    factor: float = 1.0
    deferred: tuple[onnx.NodeProto, ...] = ()
    base: str = ""

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(a.size for a in self.axes)

    def deferring(self, node: onnx.NodeProto, value: str) -> View:
        """The view behind a node that reads it as `value`, and that waits for who knows its meaning."""
        return replace(self, deferred=(*self.deferred, node), base=self.base or value)


@dataclass
class State:
    """An import on its way.

    Attributes
    ----------
    path : Path
        The ONNX file, for messages.
    values, constants, weights : dict
        ONNX values on the datapath, small constants, and large weights, by their ONNX name.
    origins : dict of str to str
        The weight that a computed constant is made of.
    pending : dict of str to node
        Values that nothing has asked for yet, and the node that makes each: the host's work if anything
        ever asks, and nobody's if an operator takes its meaning over, as of a mask.
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
    padding : str
        The input that says which tokens are there; empty where there is none.
    holes : bool
        Whether tokens may be absent before others that are there.
    """

    path: Path
    values: dict[str, View] = field(default_factory=dict)
    constants: dict[str, NDArray[Any] | Unread] = field(default_factory=dict)
    weights: dict[str, Weight] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    pending: dict[str, onnx.NodeProto] = field(default_factory=dict)
    used: dict[str, Weight] = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    operators: list[Operator] = field(default_factory=list)
    consumers: dict[str, list[onnx.NodeProto]] = field(default_factory=dict)
    distance: dict[str, tuple[int, str]] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    inputs: dict[str, tuple[tuple[int, ...], int]] = field(default_factory=dict)
    outputs: set[str] = field(default_factory=set)
    opset: int = 18
    padding: str = ""
    holes: bool = True

    def chain(self, name: str) -> list[onnx.NodeProto]:
        """The pending nodes that a value needs, in an order in which they can run."""
        nodes: dict[int, onnx.NodeProto] = {}

        def visit(value: str) -> None:
            node = self.pending.get(value)
            if node is None or id(node) in nodes or value in self.values:
                return
            for source in node.input:
                visit(source)
            nodes[id(node)] = node

        visit(name)
        return list(nodes.values())

    def roots(self, name: str) -> list[str]:
        """The graph inputs and datapath values that a value depends on."""
        nodes = self.chain(name)
        made = {output for node in nodes for output in node.output}
        sources = [s for node in nodes for s in node.input] or [name]
        return [
            s
            for s in dict.fromkeys(sources)
            if s and s not in made and self.constant(s) is None and (s in self.values or s in self.inputs)
        ]

    def constant(self, name: str) -> NDArray[Any] | Unread | None:
        """The value of a constant or weight, read or not; None for anything else."""
        found = self.constants.get(name)
        return self.weights.get(name) if found is None else found

    def origin(self, name: str) -> str:
        """The weight that a constant is made of, or the constant itself."""
        return self.origins.get(name, name)

    def read(self, name: str) -> NDArray[Any] | None:
        """The values of a constant, read; None for anything else."""
        found = self.constant(name)
        return None if found is None else np.asarray(found)

    def keep(self, name: str, array: NDArray[Any] | Unread) -> str:
        """Enter a constant that an operator uses; a name that holds another array gets a number."""
        kept = array if isinstance(array, Unread) else np.ascontiguousarray(array, np.float32)
        base, i = name, 0
        while name in self.used and not same(self.used[name], kept):
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
        name = self.unused(self.origin(weight).removesuffix(".weight").removesuffix(".bias"))
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

    def define(
        self, value: str, name: str, axes: Axes, row_period: int, column_period: int, tokens: int = 0
    ) -> str:
        """Enter the tensor that an operator writes as the ONNX value `value`."""
        rows = 1 + sum((a.size - 1) * a.row_step for a in axes)
        columns = 1 + sum((a.size - 1) * a.column_step for a in axes)
        self.tensors[name] = Tensor(
            name, rows, columns, row_period, column_period, value, axes, tokens=tokens
        )
        self.values[value] = View(name, axes)
        return name

    def like(self, value: str, name: str, view: View) -> str:
        """Enter an element-wise result, laid out as its operand."""
        source = self.tensors[view.tensor]
        return self.define(value, name, view.axes, source.row_period, source.column_period, source.tokens)
