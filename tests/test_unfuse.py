"""Fused operators taken apart compute what onnxruntime's own kernels do, and what none has is refused."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import helper

from blocksim.errors import BlocksimError
from blocksim.graph.unfuse import RULES, unfuse

MICROSOFT = "com.microsoft"
BATCH, QUERIES, KEYS, HEADS, SIZE = 3, 5, 7, 2, 4
WIDTH = HEADS * SIZE
Arrays = dict[str, NDArray]


def floats(seed: int, *shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def fused(op: str, inputs: Iterable[str], outputs: Iterable[str] = ("y",), domain: str = MICROSOFT, **kw):
    return helper.make_node(op, list(inputs), list(outputs), f"layer.{op}", domain=domain, **kw)


def model_of(
    nodes: list[onnx.NodeProto],
    feeds: Arrays,
    outputs: Iterable[str] = ("y",),
    opset: int = 18,
    free: dict[str, list[str | int | None]] | None = None,
) -> onnx.ModelProto:
    """Weights and inputs alike are graph inputs."""
    inputs = [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(a.dtype), (free or {}).get(name, a.shape)
        )
        for name, a in feeds.items()
    ]
    graph = helper.make_graph(nodes, "fused", inputs, [onnx.ValueInfoProto(name=o) for o in outputs])
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid(MICROSOFT, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def run(model: onnx.ModelProto, feeds: Arrays) -> list[NDArray]:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, feeds)


def apart(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy, taken apart, with nothing fused left and sound."""
    copy = onnx.ModelProto.FromString(model.SerializeToString())
    unfuse(copy, "fused.onnx")
    assert not {(n.domain, n.op_type) for n in copy.graph.node} & set(RULES)
    assert {n.domain for n in copy.graph.node} <= {o.domain for o in copy.opset_import}
    names = [n.name for n in copy.graph.node if n.name]
    assert len(names) == len(set(names))
    made = [o for n in copy.graph.node for o in n.output]
    assert len(made) == len(set(made))
    assert [o.name for o in copy.graph.output] == [o.name for o in model.graph.output]
    return copy


def close(got: NDArray, want: NDArray) -> None:
    assert got.shape == want.shape
    assert got.dtype == want.dtype
    assert np.abs(want).max() > 0
    assert np.abs(got - want).max() <= 1e-5 * np.abs(want).max()


def check(
    nodes: list[onnx.NodeProto],
    feeds: Arrays,
    outputs: Iterable[str] = ("y",),
    opset: int = 18,
    free: dict[str, list[str | int | None]] | None = None,
    want: list[NDArray] | None = None,
) -> list[NDArray]:
    """Compare with onnxruntime's kernel, or with what is wanted where it has none."""
    model = model_of(nodes, feeds, outputs, opset, free)
    want = run(model, feeds) if want is None else want
    got = run(apart(model), feeds)
    for a, b in zip(got, want, strict=True):
        close(a, b)
    return got


def softmax(x: NDArray) -> NDArray:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


# Normalisations and embeddings


@pytest.mark.parametrize("opset", [12, 18])
@pytest.mark.parametrize("skip", [(BATCH, QUERIES, WIDTH), (1, QUERIES, WIDTH), (QUERIES, WIDTH)], ids=str)
@pytest.mark.parametrize("rest", ["g", "gb", "gbc", "g c"])
def test_skip_layer_norm(rest: str, skip: tuple[int, ...], opset: int) -> None:
    feeds = {"x": floats(0, BATCH, QUERIES, WIDTH), "s": floats(1, *skip)}
    feeds |= {n: floats(2 + i, WIDTH) for i, n in enumerate(rest.replace(" ", ""))}
    inputs = ["x", "s", *(n.strip() for n in rest)]
    check([fused("SkipLayerNormalization", inputs, epsilon=0.1)], feeds, opset=opset)
    outputs = ["y", "", "", "z"]
    check([fused("SkipLayerNormalization", inputs, outputs)], feeds, ["y", "z"], opset=opset)


def test_skip_layer_norm_gives_its_bias_to_the_product() -> None:
    feeds = {
        "x": floats(0, BATCH, QUERIES, WIDTH),
        "s": floats(1, BATCH, QUERIES, 6),
        "w": floats(2, 6, WIDTH),
    }
    feeds |= {n: floats(3 + i, WIDTH) for i, n in enumerate("gbc")}
    for inputs in (["x", "p", "g", "b", "c"], ["p", "x", "g", "b", "c"]):
        product = helper.make_node("MatMul", ["s", "w"], ["p"])
        nodes = [product, fused("SkipLayerNormalization", inputs, ["y", "", "", "z"])]
        check(nodes, feeds, ["y", "z"])
        first = apart(model_of(nodes, feeds, ["y", "z"])).graph.node[1]
        assert (first.op_type, list(first.input)) == ("Add", ["p", "c"])


@pytest.mark.parametrize("opset", [12, 18])
@pytest.mark.parametrize("rest", ["g", "gc"])
def test_skip_simplified_layer_norm(rest: str, opset: int) -> None:
    feeds = {"x": floats(0, BATCH, QUERIES, WIDTH), "s": floats(1, BATCH, QUERIES, WIDTH)}
    feeds |= {n: floats(2 + i, WIDTH) for i, n in enumerate(rest)}
    node = fused("SkipSimplifiedLayerNormalization", feeds, ["y", "", "", "z"], epsilon=0.1)
    check([node], feeds, ["y", "z"], opset=opset)


@pytest.mark.parametrize(("axis", "scale"), [(-1, (6,)), (2, (6,)), (1, (QUERIES, 6)), (-2, (QUERIES, 6))])
def test_rms_norm(axis: int, scale: tuple[int, ...]) -> None:
    feeds = {"x": floats(0, BATCH, QUERIES, 6), "g": floats(1, *scale)}
    for opset, op in ((18, "SimplifiedLayerNormalization"), (23, "RMSNormalization")):
        check([fused(op, "xg", domain="", axis=axis, epsilon=0.1)], feeds, opset=opset)
    check([fused("RMSNormalization", "xg"[:2], domain="")], {**feeds, "g": floats(1, 6)}, opset=23)


@pytest.mark.parametrize("opset", [12, 13, 18])
@pytest.mark.parametrize("segments", [False, True])
@pytest.mark.parametrize("positions", [None, 1, BATCH])
def test_embed_layer_norm(positions: int | None, segments: bool, opset: int) -> None:
    rng = np.random.default_rng(0)
    mask = np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 1, 2, 0, 1]], np.int32)
    feeds = {
        "ids": rng.integers(0, 11, (BATCH, QUERIES)).astype(np.int32),
        "segments": rng.integers(0, 2, (BATCH, QUERIES)).astype(np.int32),
        "words": floats(1, 11, WIDTH),
        "places": floats(2, 9, WIDTH),
        "kinds": floats(3, 2, WIDTH),
        "gamma": floats(4, WIDTH),
        "beta": floats(5, WIDTH),
        "mask": mask,
        "at": rng.integers(0, 9, (positions or 1, QUERIES)).astype(np.int32),
    }
    left_out = ([] if segments else ["segments", "kinds"]) + ([] if positions else ["at"])
    feeds = {n: a for n, a in feeds.items() if n not in left_out}
    inputs = ["ids", "segments", "words", "places", "kinds", "gamma", "beta", "mask", "at"]
    inputs = [n if n in feeds else "" for n in inputs]
    node = fused("EmbedLayerNormalization", inputs, ["y", "lengths", "sum"], epsilon=0.01)
    free = {"ids": ["batch", "seq"], "mask": ["batch", "seq"], "segments": ["batch", "seq"]}
    for shapes in (None, free):
        got = check([node], feeds, ["y", "lengths", "sum"], opset, shapes)
    assert got[1].tolist() == [5, 2, 2]


def test_embed_layer_norm_without_mask_gives_no_lengths() -> None:
    feeds = {"i": np.ones((BATCH, QUERIES), np.int32), "w": floats(1, 4, 6), "p": floats(2, 9, 6)}
    feeds |= {"g": floats(3, 6), "b": floats(4, 6)}
    node = fused("EmbedLayerNormalization", ["i", "", "w", "p", "", "g", "b"], ["y", "lengths"])
    model = model_of([node], feeds, ["y", "lengths"])
    got, want = run(apart(model), feeds), run(model, feeds)
    close(got[0], want[0])
    assert np.array_equal(got[1], want[1])
    assert not got[1].any()


# Activations and products


@pytest.mark.parametrize("op", ["BiasGelu", "FastGelu"])
def test_gelu_of_a_sum(op: str) -> None:
    feeds = {"x": 2 * floats(0, BATCH, QUERIES, 6), "b": floats(1, 6)}
    check([fused(op, "xb")], feeds)


def test_gelus_alone() -> None:
    feeds = {"x": 2 * floats(0, BATCH, QUERIES, 6)}
    check([fused("FastGelu", "x")], feeds)
    check([fused("QuickGelu", "x")], feeds)
    check([fused("QuickGelu", "x", alpha=0.7)], feeds)


def test_gelu_and_fused_matmul_stay() -> None:
    feeds = {"x": floats(0, BATCH, QUERIES, 6), "w": floats(1, 4, 6)}
    nodes = [fused("FusedMatMul", "xw", "p", transB=1, alpha=0.5), fused("Gelu", "p")]
    model = model_of(nodes, feeds)
    assert apart(model) == model


@pytest.mark.parametrize("free", [False, True])
@pytest.mark.parametrize(
    ("bias", "axis", "inner"),
    [
        ((BATCH, 1, 1, KEYS), 3, 1),
        ((BATCH, 1, 1, KEYS), -1, 1),
        ((QUERIES, KEYS), 3, 0),
        ((1, 1, QUERIES, KEYS), 3, 0),
        ((BATCH, 1, QUERIES, KEYS), 2, 1),
    ],
)
def test_bias_softmax(bias: tuple[int, ...], axis: int, inner: int, free: bool) -> None:
    feeds = {"x": floats(0, BATCH, HEADS, QUERIES, KEYS), "b": floats(1, *bias)}
    total = feeds["x"] + feeds["b"]
    want = softmax(total.reshape(*total.shape[:axis], -1)).reshape(total.shape)
    node = fused("BiasSoftmax", "xb", axis=axis, is_inner_broadcast=inner)
    shapes = {"x": ["batch", HEADS, "q", "k"]} if free else None
    for opset in (12, 18):
        check([node], feeds, opset=opset, free=shapes, want=[want])


def test_bias_add() -> None:
    feeds = {"x": floats(0, BATCH, QUERIES, 6), "b": floats(1, 6), "s": floats(2, BATCH, QUERIES, 6)}
    check([fused("BiasAdd", "xbs")], feeds, want=[feeds["x"] + feeds["b"] + feeds["s"]])


@pytest.mark.parametrize(
    "settings",
    [
        {"activation": "Relu"},
        {"activation": "Tanh", "transB": 1, "alpha": 0.5, "beta": 2.0},
        {"activation": "LeakyRelu", "activation_alpha": 0.2},
        {"activation": "HardSigmoid", "activation_alpha": 0.3, "activation_beta": 0.4},
        {"activation": "Sigmoid", "transA": 1},
    ],
    ids=str,
)
def test_fused_gemm(settings: dict[str, object]) -> None:
    feeds = {"a": floats(0, 3, 4), "b": floats(1, 4, 6), "c": floats(2, 6)}
    for name, flag in (("a", "transA"), ("b", "transB")):
        if settings.get(flag):
            feeds[name] = np.ascontiguousarray(feeds[name].T)
    check([fused("FusedGemm", "abc", **settings)], feeds)
    check([fused("FusedGemm", "ab", **settings)], {n: feeds[n] for n in "ab"})


# Refusals


@pytest.mark.parametrize(
    ("node", "field", "opset"),
    [
        (fused("SkipLayerNormalization", "xxg", ["y", "z"]), "mean", 18),
        (fused("FusedGemm", "xw", activation="Mish"), "Mish", 18),
        (fused("FastGelu", "x"), "opset 10", 10),
    ],
    ids=lambda v: v if isinstance(v, str) else None,
)
def test_refused(node: onnx.NodeProto, field: str, opset: int) -> None:
    feeds = {"x": floats(0, BATCH, QUERIES, 6), "w": floats(1, 6, 6), "g": floats(0, 6)}
    model = model_of([node], feeds, [o for o in node.output if o], opset)
    with pytest.raises(BlocksimError, match=field) as caught:
        unfuse(model, Path("some.onnx"))
    assert str(caught.value).startswith("some.onnx: ")
    assert node.op_type in str(caught.value)
