"""Functions of rows and elements: LayerNorm, RMSNorm, GELU, SiLU."""

from __future__ import annotations

import numpy as np
import onnx

from blocksim.graph.demand import view
from blocksim.graph.handlers.node import Handler, attribute, walks_columns
from blocksim.graph.ir import Lut, Norm
from blocksim.graph.state import State


def norm(centred: bool) -> Handler:
    """LayerNormalization (`centred`) or RMSNorm of every row."""

    def handle(state: State, node: onnx.NodeProto) -> bool:
        gamma = state.constant(node.input[1])
        source = view(state, node.input[0])
        if source is None or gamma is None or attribute(node, "axis", -1) not in (-1, len(source.axes) - 1):
            return False
        if not walks_columns(source.axes[-1]) or source.axes[-1].size != state.tensors[source.tensor].columns:
            return False
        has_beta = len(node.input) > 2 and node.input[2]
        beta = state.constant(node.input[2]) if has_beta else np.zeros(gamma.shape, np.float32)
        if beta is None:
            return False
        name = state.name_after(node.input[1])
        out = state.like(node.output[0], name, source)
        weight, bias = state.keep(f"{name}.weight", gamma), state.keep(f"{name}.bias", beta)
        epsilon = float(attribute(node, "epsilon", 1e-5))
        state.operators.append(Norm(name, source.tensor, weight, bias, epsilon, centred, out))
        return True

    return handle


def gelu(state: State, node: onnx.NodeProto) -> bool:
    """GELU by table: exact, or as its tanh approximation."""
    approximate = attribute(node, "approximate", b"none") == b"tanh" or node.op_type == "FastGelu"
    if len(node.input) > 1 and node.input[1]:
        return False
    source = view(state, node.input[0])
    if source is None:
        return False
    name = state.name_near([source.tensor], "gelu")
    function = "gelu_tanh" if approximate else "gelu"
    state.operators.append(Lut(name, function, source.tensor, state.like(node.output[0], name, source)))
    return True


def silu(state: State, node: onnx.NodeProto) -> bool:
    """SiLU by table: a value times its own sigmoid, which nothing else has asked for."""
    for value, gate in (node.input, reversed(node.input)):
        sigmoid = state.pending.get(gate)
        if sigmoid is None or sigmoid.op_type != "Sigmoid" or sigmoid.input[0] != value:
            continue
        source = view(state, value)
        if source is None:
            return False
        name = state.name_near([source.tensor], "silu")
        state.operators.append(Lut(name, "silu", source.tensor, state.like(node.output[0], name, source)))
        return True
    return False
