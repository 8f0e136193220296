"""Handlers: one per canonical ONNX operator; each takes a node over or leaves it pending."""

from __future__ import annotations

from blocksim.graph.handlers import attention, elementwise, functions, layout, products, tokens
from blocksim.graph.handlers.node import Handler

HANDLERS: dict[str, Handler] = {
    "Identity": layout.identity,
    "Dropout": layout.identity,
    "Reshape": layout.reshape,
    "Unsqueeze": layout.as_inferred,
    "Squeeze": layout.as_inferred,
    "Flatten": layout.as_inferred,
    "Expand": layout.expand,
    "Transpose": layout.transpose,
    "Slice": layout.slice_first,
    "Gather": tokens.gather,
    "Gemm": products.gemm,
    "MatMul": products.matmul,
    "FusedMatMul": products.matmul,
    "Conv": products.conv,
    "Add": elementwise.add,
    "Mul": elementwise.multiply,
    "Div": elementwise.divide,
    "ReduceSum": tokens.reduce_sum,
    "LayerNormalization": functions.norm(centred=True),
    "RMSNormalization": functions.norm(centred=False),
    "SimplifiedLayerNormalization": functions.norm(centred=False),
    "Softmax": attention.softmax,
    "Where": attention.where,
    "Gelu": functions.gelu,
    "FastGelu": functions.gelu,
}

__all__ = ["HANDLERS", "Handler"]
