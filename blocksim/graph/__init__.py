"""ONNX in; a small typed graph of transformer operators out."""

from blocksim.graph.importer import import_onnx
from blocksim.graph.ir import Graph

__all__ = ["Graph", "import_onnx"]
