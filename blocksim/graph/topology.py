"""SCALE-Sim topologies as models: a linear layer for each row, each with an input and an output of its own.

Two kinds of rows, as the header says: ``Layer, M, N, K,`` of matrix products, and those of convolutions,
which become the products of their unrolled windows: ``M`` output pixels, ``K`` values of a filter, ``N``
filters.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import TensorProto, helper

from blocksim.errors import BlocksimError

GEMM = ("M", "N", "K")
CONVOLUTION = (
    "IFMAP Height", "IFMAP Width", "Filter Height", "Filter Width", "Channels", "Num Filter", "Strides",
)  # fmt: skip
"""Columns after the layer's name, in SCALE-Sim's order."""


@dataclass(frozen=True)
class Layer:
    """One matrix product, ``M x K`` times ``K x N``."""

    name: str
    m: int
    n: int
    k: int


def read_topology(path: Path | str) -> list[Layer]:
    """The layers of a topology file.

    Raises
    ------
    BlocksimError
        If the file is missing, or a row is none of either kind.
    """
    path = Path(path)
    try:
        rows = [[cell.strip() for cell in row] for row in csv.reader(path.read_text().splitlines())]
    except (OSError, UnicodeDecodeError) as error:
        raise BlocksimError(path, "file", "unreadable", str(error)) from None
    if not rows:
        raise BlocksimError(path, "file", "empty", f"begin with Layer, {', '.join(GEMM)},")
    width = len([cell for cell in rows[0] if cell]) - 1
    layers: list[Layer] = []
    for number, row in enumerate(rows[1:], 2):
        if not any(row):
            continue
        name, *cells = row
        columns = GEMM if width == len(GEMM) else CONVOLUTION
        values = [x for x in cells if x][: len(columns)]
        bad = next((x for x in values if not (x.isascii() and x.isdigit() and int(x) > 0)), None)
        if len(values) < len(columns) or bad is not None:
            want = ", ".join(columns)
            raise BlocksimError(path, f"row {number}", bad or f"{len(values)} values", f"give {want}")
        if not name or name in {layer.name for layer in layers}:
            raise BlocksimError(path, f"row {number}", name or "no name", "give each layer a name of its own")
        layers.append(_layer(path, number, name, [int(x) for x in values]))
    if not layers:
        raise BlocksimError(path, "rows", "none", "give a layer in each row after the header")
    return layers


def _layer(path: Path, number: int, name: str, values: list[int]) -> Layer:
    if len(values) == len(GEMM):
        m, n, k = values
        return Layer(name, m, n, k)
    height, width, tall, wide, channels, filters, stride = values
    if tall > height or wide > width:
        raise BlocksimError(path, f"row {number}", f"a filter of {tall} x {wide}", "larger than its input")
    pixels = ((height - tall) // stride + 1) * ((width - wide) // stride + 1)
    return Layer(name, pixels, filters, tall * wide * channels)


def model_of(layers: list[Layer]) -> onnx.ModelProto:
    """A skeleton with a linear layer for each product: its weights are inputs, named ``<layer>.weight``."""
    nodes, inputs, outputs = [], [], []
    for layer in layers:
        x, w, y = f"{layer.name}_in", f"{layer.name}.weight", f"{layer.name}_out"
        nodes.append(helper.make_node("MatMul", [x, w], [y], layer.name))
        inputs.append(helper.make_tensor_value_info(x, TensorProto.FLOAT, ["N", layer.m, layer.k]))
        inputs.append(helper.make_tensor_value_info(w, TensorProto.FLOAT, [layer.k, layer.n]))
        outputs.append(helper.make_tensor_value_info(y, TensorProto.FLOAT, ["N", layer.m, layer.n]))
    graph = helper.make_graph(nodes, "topology", inputs, outputs)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
