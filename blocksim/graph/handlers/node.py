"""What every handler shares."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx
from onnx import helper

from blocksim.graph.ir import Axis
from blocksim.graph.state import State

Handler = Callable[[State, onnx.NodeProto], bool]
"""Takes a node over (True), or leaves it pending (False): the host's work if anything asks for it."""


def attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    """An attribute of a node, `default` where it has none of that name."""
    for attribute in node.attribute:
        if attribute.name == name:
            return helper.get_attribute_value(attribute)
    return default


def walks_rows(axis: Axis) -> bool:
    return axis.column_step == 0 and axis.row_step in (0, 1)


def walks_columns(axis: Axis) -> bool:
    return axis.row_step == 0 and axis.column_step in (0, 1)
