"""Small ONNX models with awkward sizes, made with onnx.helper."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

TOKENS, WIDTH_IN, WIDTH, HEADS, MLP, CLASSES = 10, 12, 36, 3, 70, 5


class Builder:
    """Collects nodes and initialisers."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.initialisers: list[onnx.TensorProto] = []

    def constant(self, name: str, array: np.ndarray) -> str:
        self.initialisers.append(numpy_helper.from_array(array, name))
        return name

    def weight(self, name: str, *shape: int, scale: float = 0.3) -> str:
        return self.constant(name, (self.rng.normal(size=shape) * scale).astype(np.float32))

    def node(self, op: str, inputs: list[str], output: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(op, inputs, [output], f"node_{output}", **attributes))
        return output

    def linear(self, x: str, name: str, k: int, n: int) -> str:
        w = self.weight(f"{name}.weight", n, k)
        t = self.node("Transpose", [w], f"{name}_t", perm=[1, 0])
        y = self.node("MatMul", [x, t], f"{name}_mm")
        return self.node("Add", [y, self.weight(f"{name}.bias", n)], f"{name}_out")

    def norm(self, x: str, name: str, width: int) -> str:
        gamma = self.constant(f"{name}.weight", (1 + 0.2 * self.rng.normal(size=width)).astype(np.float32))
        beta = self.weight(f"{name}.bias", width)
        return self.node("LayerNormalization", [x, gamma, beta], f"{name}_out", axis=-1, epsilon=1e-5)

    def gelu(self, x: str, name: str) -> str:
        root = self.constant(f"{name}_root", np.float32(np.sqrt(2.0)))
        one = self.constant(f"{name}_one", np.float32(1.0))
        half = self.constant(f"{name}_half", np.float32(0.5))
        e = self.node("Erf", [self.node("Div", [x, root], f"{name}_div")], f"{name}_erf")
        inner = self.node("Mul", [half, self.node("Add", [e, one], f"{name}_add")], f"{name}_in")
        return self.node("Mul", [x, inner], f"{name}_out")

    def heads(self, x: str, name: str, order: list[int]) -> str:
        shape = self.constant(f"{name}_shape", np.array([-1, TOKENS, HEADS, WIDTH // HEADS], np.int64))
        split = self.node("Reshape", [x, shape], f"{name}_split")
        return self.node("Transpose", [split], f"{name}_heads", perm=order)

    def save(self, path: Path, output: str, shape: list[object], inputs: dict[str, list[object]]) -> None:
        graph = helper.make_graph(
            self.nodes,
            "tiny",
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs.items()],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)],
            self.initialisers,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        onnx.checker.check_model(model)
        onnx.save(model, str(path))


def encoder_layer(b: Builder, x: str, name: str) -> str:
    """One pre-norm encoder layer."""
    h = b.norm(x, f"{name}.norm1", WIDTH)
    q = b.heads(b.linear(h, f"{name}.query", WIDTH, WIDTH), f"{name}_q", [0, 2, 1, 3])
    k = b.heads(b.linear(h, f"{name}.key", WIDTH, WIDTH), f"{name}_k", [0, 2, 3, 1])
    v = b.heads(b.linear(h, f"{name}.value", WIDTH, WIDTH), f"{name}_v", [0, 2, 1, 3])
    scores = b.node("MatMul", [q, k], f"{name}_scores")
    root = b.constant(f"{name}_scale", np.float32(np.sqrt(WIDTH // HEADS)))
    weights = b.node("Softmax", [b.node("Div", [scores, root], f"{name}_scaled")], f"{name}_weights", axis=-1)
    mixed = b.node(
        "Transpose", [b.node("MatMul", [weights, v], f"{name}_av")], f"{name}_back", perm=[0, 2, 1, 3]
    )
    shape = b.constant(f"{name}_merge", np.array([-1, TOKENS, WIDTH], np.int64))
    merged = b.node("Reshape", [mixed, shape], f"{name}_merged")
    x = b.node("Add", [x, b.linear(merged, f"{name}.out", WIDTH, WIDTH)], f"{name}_mid")
    f = b.linear(b.norm(x, f"{name}.norm2", WIDTH), f"{name}.ffn1", WIDTH, MLP)
    return b.node("Add", [x, b.linear(b.gelu(f, f"{name}_gelu"), f"{name}.ffn2", MLP, WIDTH)], f"{name}_end")


def tiny_vit(path: Path, layers: int = 1) -> None:
    """An encoder over 10 tokens of 12 features: widths that no block size divides."""
    b = Builder()
    x = b.linear("tokens", "embed", WIDTH_IN, WIDTH)
    x = b.node("Add", [x, b.weight("position", 1, TOKENS, WIDTH)], "positioned")
    for i in range(layers):
        x = encoder_layer(b, x, f"encoder.{i}")
    gate = b.constant("gate", (1 + 0.1 * b.rng.normal(size=WIDTH)).astype(np.float32))
    x = b.node("Mul", [b.norm(x, "norm", WIDTH), gate], "gated")
    b.linear(x, "head", WIDTH, CLASSES)
    b.nodes[-1].output[0] = "logits"
    b.save(path, "logits", ["batch", TOKENS, CLASSES], {"tokens": ["batch", TOKENS, WIDTH_IN]})


def one_product(path: Path, m: int, k: int, n: int, weight: np.ndarray) -> None:
    """A single MatMul with constant weights, given as (n, k)."""
    b = Builder()
    w = b.constant("linear.weight", np.ascontiguousarray(weight.T.astype(np.float32)))
    b.node("MatMul", ["x", w], "y")
    b.save(path, "y", ["batch", m, n], {"x": ["batch", m, k]})
