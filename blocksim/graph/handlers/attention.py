"""Attention's parts that are no product: softmax, its masks and its guards."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx

from blocksim.errors import BlocksimError
from blocksim.graph.demand import is_float, peek, take_factor, view
from blocksim.graph.handlers.node import attribute, walks_columns
from blocksim.graph.handlers.probe import LOWEST, is_transparent, mask_of
from blocksim.graph.ir import Softmax
from blocksim.graph.state import State


def softmax(state: State, node: onnx.NodeProto) -> bool:
    """Softmax along the columns; what masks its scores becomes a predicate."""
    value = node.input[0]
    found = peek(state, value) or view(state, value)
    if found is None or attribute(node, "axis", -1) not in (-1, len(found.axes) - 1):
        return False
    if not walks_columns(found.axes[-1]) or found.axes[-1].size != state.tensors[found.tensor].columns:
        return False
    padding, constant = "", None
    if found.deferred:
        mask = mask_of(state, found, value)
        if mask is None:
            kinds = "/".join(n.op_type for n in found.deferred)
            raise BlocksimError(
                state.path,
                node.name or "Softmax",
                kinds,
                "what is added to its scores must be a mask of keys",
            )
        padding, constant = mask.padding, mask.constant
        set_padding(state, padding)
        state.holes = state.holes and mask.holes
    scores = replace(found, deferred=(), base="")
    if scores.factor != 1.0:
        before = found.base or value  # the mask is not part of what the factor is taken into
        take_factor(state, before, scores)
        scores = state.values[before]
    name = state.name_near([scores.tensor], "softmax")
    kept = None
    if constant is not None:
        rows = state.tensors[scores.tensor].rows
        matrix = np.tile(constant, (rows // len(constant), 1)).astype(np.float32)
        kept = state.keep(f"{name}.mask", matrix)
    out = state.like(node.output[0], name, scores)
    state.operators.append(Softmax(name, scores.tensor, out, kept, bool(padding)))
    return True


def set_padding(state: State, padding: str) -> None:
    """Note the input that says which tokens are there.

    Raises
    ------
    BlocksimError
        If two inputs claim it.
    """
    if padding and state.padding and padding != state.padding:
        raise BlocksimError(
            state.path,
            padding,
            f"masks tokens beside {state.padding}",
            "one input may say which tokens are there",
        )
    state.padding = padding or state.padding


def where(state: State, node: onnx.NodeProto) -> bool:
    """Where: a mask on scores, or a guard against rows without keys, which the softmax unit has itself."""
    condition, *branches = node.input
    views = [peek(state, name) for name in branches]
    which = next((i for i, v in enumerate(views) if v is not None), None)
    if which is None or views[1 - which] is not None:
        return False
    found = views[which]
    assert found is not None
    guard = state.pending.get(condition)
    if guard is not None and guard.op_type == "IsNaN" and guard.input[0] == branches[which]:
        state.values[node.output[0]] = found
        return True
    known = state.constant(condition) is not None or (
        condition in state.pending and not is_float(state, condition)
    )
    if not known or state.shapes.get(node.output[0], found.shape) != found.shape:
        return False
    waiting = found.deferring(node, branches[which])
    made = next((op for op in state.operators if isinstance(op, Softmax) and op.out == found.tensor), None)
    if made is not None and made.padded and is_transparent(state, waiting, node.output[0]) == state.padding:
        waiting = found
    state.values[node.output[0]] = waiting
    return True


def adds_mask(state: State, node: onnx.NodeProto) -> bool:
    """Add of a constant mask, such as a causal one: zeros and very low numbers."""
    for which in (0, 1):
        found, constant = peek(state, node.input[which]), state.read(node.input[1 - which])
        if found is None or constant is None or constant.dtype.kind != "f":
            continue
        low = constant <= LOWEST
        if low.any() and not constant[~low].any():
            state.values[node.output[0]] = found.deferring(node, node.input[which])
            return True
    return False
