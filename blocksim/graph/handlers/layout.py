"""Layout: reshape, transpose and their kin only change how a value walks over its tensor."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np
import onnx

from blocksim.graph import axes as layout
from blocksim.graph.demand import peek
from blocksim.graph.handlers.node import attribute
from blocksim.graph.ir import Axis
from blocksim.graph.state import State, View


def _walked(state: State, node: onnx.NodeProto, shape: list[int]) -> bool:
    """Enter a node's output as its first input in another shape, where no element has to move."""
    found = peek(state, node.input[0])
    if found is None or found.deferred:
        return False
    walked = layout.reshape(found.axes, shape)
    if walked is not None:
        state.values[node.output[0]] = replace(found, axes=walked)
    return walked is not None


def identity(state: State, node: onnx.NodeProto) -> bool:
    """Identity and its kin."""
    found = peek(state, node.input[0])
    if found is not None:
        state.values[node.output[0]] = found
    return found is not None


def reshape(state: State, node: onnx.NodeProto) -> bool:
    """Reshape to a constant shape; 0 keeps an axis, -1 takes what is left."""
    found, shape = peek(state, node.input[0]), state.read(node.input[1])
    if found is None or shape is None:
        return False
    sizes = [found.shape[i] if s == 0 else int(s) for i, s in enumerate(shape)]
    if -1 in sizes:
        sizes[sizes.index(-1)] = prod(found.shape) // -prod(sizes)
    return _walked(state, node, sizes)


def as_inferred(state: State, node: onnx.NodeProto) -> bool:
    """Unsqueeze, Squeeze, Flatten: the shape that ONNX infers."""
    return node.output[0] in state.shapes and _walked(state, node, list(state.shapes[node.output[0]]))


def expand(state: State, node: onnx.NodeProto) -> bool:
    """Expand to the shape that a value has already."""
    found = peek(state, node.input[0])
    same = found is not None and state.shapes.get(node.output[0]) == found.shape
    return same and identity(state, node)


def transpose(state: State, node: onnx.NodeProto) -> bool:
    """Transpose: the axes in another order."""
    found = peek(state, node.input[0])
    if found is None or found.deferred:
        return False
    order = attribute(node, "perm", list(reversed(range(len(found.axes)))))
    state.values[node.output[0]] = replace(found, axes=layout.transpose(found.axes, order))
    return True


def select_first(state: State, node: onnx.NodeProto) -> bool:
    """Gather of position 0, as of a class token: the walk without that axis."""
    found, index = peek(state, node.input[0]), state.read(node.input[1])
    axis = attribute(node, "axis", 0)
    if found is None or found.deferred or index is None or index.size != 1 or int(index.reshape(-1)[0]):
        return False
    axes = list(found.axes)
    axes[axis : axis + 1] = [Axis(1, 0, 0)] * index.ndim
    state.values[node.output[0]] = View(found.tensor, tuple(axes), found.factor)
    return True


def slice_first(state: State, node: onnx.NodeProto) -> bool:
    """Slice from position 0 in steps of 1: shorter axes."""
    found = peek(state, node.input[0])
    given = [state.read(name) for name in node.input[1:]]
    if found is None or found.deferred or len(given) < 3 or any(g is None for g in given):
        return False
    begins, ends, axes, *steps = (np.asarray(g).tolist() for g in given)
    if any(begins) or (steps and any(s != 1 for s in steps[0])):
        return False
    shortened = list(found.axes)
    for end, axis in zip(ends, axes, strict=True):
        size = shortened[axis].size
        shortened[axis] = replace(shortened[axis], size=min(end if end >= 0 else size + end, size))
    state.values[node.output[0]] = View(found.tensor, tuple(shortened), found.factor)
    return True
