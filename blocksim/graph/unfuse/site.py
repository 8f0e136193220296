"""Where a fused operator stood: its inputs, what is known of their shapes, and the nodes put there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import onnx
from numpy.typing import ArrayLike
from onnx import helper, numpy_helper

from blocksim.errors import BlocksimError

Dim = int | str | None
"""The size of an axis: a number, the name of a free dimension, or unknown."""

SMALL = 1024
"""Initialisers of up to this many elements may hold shapes; larger ones only have one."""

END = int(np.iinfo(np.int64).max)
"""Where a slice stops that goes to the end."""


class Draft:
    """A model on its way from fused operators to primitives.

    Attributes
    ----------
    nodes : list of onnx.NodeProto
        Those of the new graph so far, in topological order.
    opset : int
        Version of the default domain.
    made : dict
        Values that several fused operators share, by what they hold.
    alike : dict of str to str
        Values that have the type of another one although ONNX cannot tell: broadcasting widens nothing.
    """

    def __init__(self, model: onnx.ModelProto, path: Path | str) -> None:
        self.path = path
        self.nodes: list[onnx.NodeProto] = []
        self.made: dict[object, str] = {}
        self.alike: dict[str, str] = {}
        self.opset = max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=1)
        self._model = model
        graph = model.graph
        self.read = _names_read(graph.node) | {o.name for o in graph.output}
        self._taken = {v.name for v in (*graph.input, *graph.initializer)}
        self._taken |= {n for node in graph.node for n in (node.name, *node.output)}
        self._types = _types(graph)
        self._free = {d for _, shape in self._types.values() for d in shape or () if isinstance(d, str)}
        self._inferred = -1

    def type_of(self, name: str) -> tuple[int, tuple[Dim, ...] | None]:
        """Element type (0 where unknown) and shape (None where even its rank is) of a value."""
        _, shape = self._types.get(name, (0, None))
        if (shape is None or None in shape) and self._inferred != len(self.nodes):
            self._inferred = len(self.nodes)
            self._infer()
        return self._types.get(name, (0, None))

    def _infer(self) -> None:
        """Infer types anew; names that inference makes up for free dimensions say nothing."""
        matrices = {name for name, (_, shape) in self._types.items() if shape is not None and len(shape) == 2}
        nodes = [_plain(node, matrices, self.alike) for node in self.nodes]
        for name, (kind, shape) in _types(_inferred(self._model, nodes)).items():
            known = None
            if shape is not None:
                known = tuple(d if isinstance(d, int) or d in self._free else None for d in shape)
            self._types[name] = kind, known

    def unused(self, name: str) -> str:
        """Reserve a name that no value and no node has: `name`, else `name_1` and so on."""
        candidate, i = name, 0
        while candidate in self._taken:
            i += 1
            candidate = f"{name}_{i}"
        self._taken.add(candidate)
        return candidate

    def keep(self, name: str, array: ArrayLike, dtype: Any) -> str:
        """Add a constant to the model."""
        name = self.unused(name)
        self._model.graph.initializer.append(numpy_helper.from_array(np.asarray(array, dtype), name))
        return name


class Site:
    """Takes one fused node apart.

    Parameters
    ----------
    draft : Draft
    node : onnx.NodeProto
        The fused node.
    """

    def __init__(self, draft: Draft, node: onnx.NodeProto) -> None:
        self.draft, self.node = draft, node
        self.base = node.name or f"{node.output[0]}.{node.op_type.lower()}"
        self._attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}

    def attribute(self, name: str, default: Any) -> Any:
        """An attribute of the fused node, `default` where it has none of that name."""
        return self._attributes.get(name, default)

    def input(self, index: int) -> str:
        """The name of an input, empty where it is left out."""
        return self.node.input[index] if index < len(self.node.input) else ""

    def output(self, index: int) -> str:
        """The name of an output, empty where it is left out."""
        return self.node.output[index] if index < len(self.node.output) else ""

    def read(self, index: int) -> bool:
        """Whether anything reads an output."""
        return self.output(index) in self.draft.read - {""}

    def refuse(self, what: str, remedy: str) -> NoReturn:
        """Give up on the node."""
        raise BlocksimError(self.draft.path, f"{self.node.op_type} {self.base}", what, remedy)

    def refuse_inputs(self, names: dict[int, str], remedy: str) -> None:
        """Give up if one of these inputs is given."""
        for index, name in names.items():
            if self.input(index):
                self.refuse(name, remedy)

    def refuse_outputs(self, names: dict[int, str], remedy: str) -> None:
        """Give up if one of these outputs is read."""
        for index, name in names.items():
            if self.read(index):
                self.refuse(name, remedy)

    def shape(self, name: str) -> tuple[Dim, ...] | None:
        """The shape of a value, None where even its rank is unknown."""
        return self.draft.type_of(name)[1]

    def dim(self, name: str, axis: int) -> Dim:
        """The size of one axis of a value."""
        shape = self.shape(name)
        return shape[axis] if shape is not None and -len(shape) <= axis < len(shape) else None

    def rank(self, name: str, what: str) -> int:
        """The rank of a value.

        Raises
        ------
        BlocksimError
            If it is unknown.
        """
        shape = self.shape(name)
        if shape is None:
            self.refuse(f"{what} {name}", "its rank is unknown; save the model with inferred shapes")
        return len(shape)

    def constant(self, name: str, array: ArrayLike, dtype: Any = np.float32) -> str:
        """A constant named after the fused node."""
        return self.draft.keep(f"{self.base}.{name}", array, dtype)

    def emit(
        self,
        op: str,
        inputs: Iterable[str],
        name: str,
        *,
        into: str = "",
        domain: str = "",
        **attributes: Any,
    ) -> str:
        """Put a node in place of the fused one.

        Parameters
        ----------
        op : str
        inputs : iterable of str
        name : str
            Of the node and of what it makes, after the fused node's.
        into : str
            The output of the fused node that this one writes, if it does.
        domain : str
        **attributes

        Returns
        -------
        str
            The value it makes.
        """
        own = self.draft.unused(f"{self.base}.{name}")
        made = into or own
        self.draft.nodes.append(helper.make_node(op, list(inputs), [made], own, domain=domain, **attributes))
        return made

    def shared(self, key: object, make: Callable[[], str]) -> str:
        """The value that an earlier site made under this key, else a new one."""
        if key not in self.draft.made:
            self.draft.made[key] = make()
        return self.draft.made[key]

    def add(self, a: str, b: str, name: str, into: str = "") -> str:
        """Node Add; an operand left out adds nothing."""
        return self.emit("Add", [a, b], name, into=into) if a and b else a or b

    def slice(self, x: str, start: int, stop: int, axis: int, name: str, step: int = 1) -> str:
        """Node Slice of one axis."""
        bounds = {"starts": start, "ends": stop, "axes": axis, "steps": step}
        inputs = [self.constant(f"{name}.{key}", [number], np.int64) for key, number in bounds.items()]
        return self.emit("Slice", [x, *inputs], name)

    def reshape(self, x: str, shape: Iterable[int], name: str, into: str = "") -> str:
        """Node Reshape."""
        return self.emit(
            "Reshape", [x, self.constant(f"{name}.shape", list(shape), np.int64)], name, into=into
        )

    def unsqueeze(self, x: str, axes: list[int], name: str) -> str:
        """Node Unsqueeze, its axes where the opset has them."""
        if self.draft.opset < 13:
            return self.emit("Unsqueeze", [x], name, axes=axes)
        return self.emit("Unsqueeze", [x, self.constant(f"{name}.axes", axes, np.int64)], name)

    def reduce(self, op: str, x: str, axes: list[int], name: str, into: str = "", keepdims: int = 1) -> str:
        """Node ReduceSum or ReduceMean, its axes where the opset has them."""
        if self.draft.opset < {"ReduceSum": 13}.get(op, 18):
            return self.emit(op, [x], name, into=into, axes=axes, keepdims=keepdims)
        return self.emit(
            op, [x, self.constant(f"{name}.axes", axes, np.int64)], name, into=into, keepdims=keepdims
        )

    def size(self, x: str, axis: int, name: str) -> str:
        """The size of one axis as a scalar: a constant where it is known."""
        dim = self.dim(x, axis)
        if isinstance(dim, int):
            return self.constant(name, dim, np.int64)
        shape = self.emit("Shape", [x], f"{name}.shape")
        return self.emit("Gather", [shape, self.constant(f"{name}.axis", axis, np.int64)], name, axis=0)


def _names_read(nodes: Iterable[onnx.NodeProto]) -> set[str]:
    """Values that nodes read, in their subgraphs too."""
    names: set[str] = set()
    for node in nodes:
        names.update(node.input)
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                names |= _names_read(graph.node) | {o.name for o in graph.output}
    return names


def _types(graph: onnx.GraphProto) -> dict[str, tuple[int, tuple[Dim, ...] | None]]:
    types: dict[str, tuple[int, tuple[Dim, ...] | None]] = {}
    for value in (*graph.value_info, *graph.output, *graph.input):
        tensor = value.type.tensor_type
        if not tensor.elem_type and not tensor.HasField("shape"):
            continue
        dims = tuple(
            d.dim_value if d.HasField("dim_value") else d.dim_param or None for d in tensor.shape.dim
        )
        types[value.name] = tensor.elem_type, dims if tensor.HasField("shape") else None
    types.update({i.name: (i.data_type, tuple(i.dims)) for i in graph.initializer})
    return types


def _inferred(model: onnx.ModelProto, nodes: list[onnx.NodeProto]) -> onnx.GraphProto:
    """The graph so far with inferred shapes; large constants stand aside."""
    graph = helper.make_graph(nodes, "draft", list(model.graph.input), [])
    given = {value.name for value in model.graph.input}
    for initialiser in model.graph.initializer:
        if int(np.prod(initialiser.dims)) <= SMALL:
            graph.initializer.append(initialiser)
        elif initialiser.name not in given:
            graph.input.append(
                helper.make_tensor_value_info(initialiser.name, initialiser.data_type, initialiser.dims)
            )
    graph.value_info.extend(model.graph.value_info)
    draft = helper.make_model(
        graph, opset_imports=model.opset_import, functions=model.functions, ir_version=model.ir_version
    )
    try:
        return onnx.shape_inference.infer_shapes(draft, data_prop=True).graph
    except onnx.shape_inference.InferenceError:
        return graph


def _plain(node: onnx.NodeProto, matrices: set[str], alike: dict[str, str]) -> onnx.NodeProto:
    """A node of ONNX that gives the same shape as this one, which may be one of onnxruntime.

    Parameters
    ----------
    node : onnx.NodeProto
    matrices : set of str
        Values of rank two.
    alike : dict of str to str
        Values of the type of another one.
    """
    if node.output[0] in alike:
        return helper.make_node("Identity", [alike[node.output[0]]], [node.output[0]])
    if (node.domain, node.op_type) in (("com.microsoft", "Gelu"), ("", "LayerNormalization")):
        return helper.make_node("Identity", [node.input[0]], [node.output[0]])
    flags = {a.name: a.i for a in node.attribute}
    if node.op_type != "FusedMatMul" or flags.get("transBatchA") or flags.get("transBatchB"):
        return node
    a, b = ("ki" if flags.get("transA") else "ik"), ("jk" if flags.get("transB") else "kj")
    lead = "" if node.input[1] in matrices else "..."
    return helper.make_node("Einsum", node.input, node.output, equation=f"...{a},{lead}{b}->...ij")
