"""The shape of LLaMA, without a weight in it: what a model larger than memory is tried with.

The graph is written from the architecture (arXiv 2302.13971): RMSNorm before each sublayer, rotary
positions, causal attention, a gated SiLU feed-forward, no biases. Names and shapes of the weights are those
of transformers' checkpoints, so that one of these, or a generator, fills the skeleton.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


@dataclass(frozen=True)
class Llama:
    """Sizes of a model; the defaults are those of LLaMA-7B (arXiv 2302.13971, table 2)."""

    layers: int = 32
    hidden: int = 4096
    heads: int = 32
    inner: int = 11008
    vocabulary: int = 32000
    tokens: int = 128
    epsilon: float = 1e-6

    @property
    def width(self) -> int:
        """Elements of a head."""
        return self.hidden // self.heads

    @property
    def parameters(self) -> int:
        """Weights of the whole model."""
        layer = 4 * self.hidden**2 + 3 * self.hidden * self.inner + 2 * self.hidden
        return self.layers * layer + 2 * self.vocabulary * self.hidden + self.hidden


@dataclass
class _Writer:
    """Collects nodes, weights and constants of a graph."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: list[onnx.ValueInfoProto] = field(default_factory=list)
    constants: dict[str, onnx.TensorProto] = field(default_factory=dict)

    def __call__(self, op: str, inputs: list[str], name: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op, inputs, [name], name, **attributes))
        return name

    def weight(self, name: str, *shape: int) -> str:
        """A weight that a source fills."""
        self.weights.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
        return name

    def constant(self, name: str, array: np.ndarray) -> str:
        """A number or table that belongs to the graph."""
        self.constants[name] = numpy_helper.from_array(array, name)
        return name

    def linear(self, x: str, name: str, n: int, k: int) -> str:
        """A product with a weight stored as outputs x inputs."""
        flipped = self("Transpose", [self.weight(f"{name}.weight", n, k)], f"{name}.t", perm=[1, 0])
        return self("MatMul", [x, flipped], f"{name}.out")


def skeleton(sizes: Llama = Llama()) -> onnx.ModelProto:
    """A graph with its weights as inputs, for one sequence of `sizes.tokens` tokens.

    Its output are the logits of the last token alone, which is what a prompt's pass is for.
    """
    w = _Writer()
    _positions(w, sizes)
    table = w.weight("model.embed_tokens.weight", sizes.vocabulary, sizes.hidden)
    x = w("Gather", [table, "input_ids"], "embedded")
    for i in range(sizes.layers):
        x = _layer(w, sizes, x, f"model.layers.{i}")
    x = _norm(w, sizes, x, "model.norm")
    w.linear(x, "lm_head", sizes.vocabulary, sizes.hidden)
    logits = helper.make_tensor_value_info(
        "lm_head.out", TensorProto.FLOAT, ["batch", sizes.tokens, sizes.vocabulary]
    )
    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", sizes.tokens])
    graph = helper.make_graph(w.nodes, "llama", [ids, *w.weights], [logits], list(w.constants.values()))
    opsets = [helper.make_opsetid("", 18)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def _positions(w: _Writer, sizes: Llama) -> None:
    """Tables of the rotary positions, and the causal mask."""
    rates = 10_000.0 ** (-np.arange(0, sizes.width, 2) / sizes.width)
    angles = np.outer(np.arange(sizes.tokens), np.concatenate([rates, rates]))
    w.constant("cos", np.cos(angles)[None, None].astype(np.float32))
    w.constant("sin", np.sin(angles)[None, None].astype(np.float32))
    later = np.triu(np.full((sizes.tokens, sizes.tokens), np.finfo(np.float32).min, np.float32), 1)
    w.constant("causal", later[None, None])
    w.constant("by_head", np.array([0, sizes.tokens, sizes.heads, sizes.width], np.int64))
    w.constant("merged", np.array([0, sizes.tokens, sizes.hidden], np.int64))
    half = sizes.width // 2
    for name, number in (("zero", 0), ("half", half), ("width", sizes.width), ("last", 3), ("axis", -1)):
        w.constant(name, np.array([number], np.int64))
    w.constant("two", np.array(2, np.float32))
    w.constant("epsilon", np.array(sizes.epsilon, np.float32))
    w.constant("scale", np.array(sizes.width**-0.5, np.float32))


def _norm(w: _Writer, sizes: Llama, x: str, name: str) -> str:
    mean = w("ReduceMean", [w("Pow", [x, "two"], f"{name}.square"), "axis"], f"{name}.mean", keepdims=1)
    root = w("Sqrt", [w("Add", [mean, "epsilon"], f"{name}.above")], f"{name}.root")
    gamma = w.weight(f"{name}.weight", sizes.hidden)
    return w("Mul", [w("Div", [x, root], f"{name}.scaled"), gamma], f"{name}.out")


def _layer(w: _Writer, sizes: Llama, x: str, name: str) -> str:
    after = _attention(w, sizes, _norm(w, sizes, x, f"{name}.input_layernorm"), f"{name}.self_attn")
    x = w("Add", [x, after], f"{name}.attended")
    after = _feed_forward(w, sizes, _norm(w, sizes, x, f"{name}.post_attention_layernorm"), f"{name}.mlp")
    return w("Add", [x, after], f"{name}.out")


def _attention(w: _Writer, sizes: Llama, x: str, name: str) -> str:
    q, k, v = (_heads(w, sizes, x, f"{name}.{p}_proj") for p in "qkv")
    q, k = (_rotated(w, value) for value in (q, k))
    flipped = w("Transpose", [k], f"{name}.k.t", perm=[0, 1, 3, 2])
    scores = w("Mul", [w("MatMul", [q, flipped], f"{name}.scores"), "scale"], f"{name}.scaled")
    shares = w("Softmax", [w("Add", [scores, "causal"], f"{name}.masked")], f"{name}.shares", axis=-1)
    mixed = w("Transpose", [w("MatMul", [shares, v], f"{name}.mixed")], f"{name}.mixed.t", perm=[0, 2, 1, 3])
    flat = w("Reshape", [mixed, "merged"], f"{name}.flat")
    return w.linear(flat, f"{name}.o_proj", sizes.hidden, sizes.hidden)


def _heads(w: _Writer, sizes: Llama, x: str, name: str) -> str:
    made = w("Reshape", [w.linear(x, name, sizes.hidden, sizes.hidden), "by_head"], f"{name}.by_head")
    return w("Transpose", [made], f"{name}.heads", perm=[0, 2, 1, 3])


def _rotated(w: _Writer, x: str) -> str:
    """Pairs of elements half a head apart, turned by an angle that grows with the position."""
    low = w("Slice", [x, "zero", "half", "last"], f"{x}.low")
    high = w("Slice", [x, "half", "width", "last"], f"{x}.high")
    swapped = w("Concat", [w("Neg", [high], f"{x}.neg"), low], f"{x}.swapped", axis=-1)
    across = w("Mul", [swapped, "sin"], f"{x}.across")
    return w("Add", [w("Mul", [x, "cos"], f"{x}.along"), across], f"{x}.rotated")


def _feed_forward(w: _Writer, sizes: Llama, x: str, name: str) -> str:
    gate = w.linear(x, f"{name}.gate_proj", sizes.inner, sizes.hidden)
    opened = w("Mul", [gate, w("Sigmoid", [gate], f"{name}.sigmoid")], f"{name}.silu")
    up = w.linear(x, f"{name}.up_proj", sizes.inner, sizes.hidden)
    return w.linear(w("Mul", [opened, up], f"{name}.gated"), f"{name}.down_proj", sizes.hidden, sizes.inner)


def main() -> None:
    """Write a skeleton: ``python -m blocksim.zoo.llama --layers 2 --out llama.onnx``."""
    parser = argparse.ArgumentParser(description="Write the skeleton of a LLaMA, by default of the 7B model.")
    for name, default in vars(Llama()).items():
        parser.add_argument(f"--{name}", type=type(default), default=default)
    parser.add_argument("--out", type=Path, required=True)
    given = vars(parser.parse_args())
    out = given.pop("out")
    onnx.save(skeleton(Llama(**given)), out)


if __name__ == "__main__":
    main()
