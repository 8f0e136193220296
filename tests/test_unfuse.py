"""Fused operators taken apart compute what onnxruntime's own kernels do, and what none has is refused."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from blocksim import Experiment
from blocksim.errors import BlocksimError
from blocksim.graph.unfuse import RULES, unfuse

MICROSOFT = "com.microsoft"
BATCH, QUERIES, KEYS, HEADS, SIZE = 3, 5, 7, 2, 4
WIDTH = HEADS * SIZE
Arrays = dict[str, NDArray]

MASKS = {
    "lengths": np.array([5, 2, 3]),
    "lengths and starts": np.array([5, 4, 3, 0, 1, 2]),
    "key lengths and offsets": np.array([5, 2, 3, 0, 5, 10, 15, 0, 5, 7, 10]),
    "raw": np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 1, 1, 0, 1]]),
    "raw, a sample masked whole": np.array([[1, 1, 1, 1, 1], [0, 0, 0, 0, 0], [0, 1, 1, 0, 1]]),
    "by query": np.random.default_rng(7).integers(0, 2, (BATCH, QUERIES, QUERIES)),
}


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


def attention_feeds(seed: int = 0, value_width: int = WIDTH) -> Arrays:
    total = 2 * WIDTH + value_width
    return {
        "x": floats(seed, BATCH, QUERIES, 6),
        "w": floats(seed + 1, 6, total),
        "b": floats(seed + 2, total),
    }


# com.microsoft Attention


@pytest.mark.parametrize("unidirectional", [0, 1])
@pytest.mark.parametrize("mask", [None, *MASKS])
@pytest.mark.parametrize("opset", [11, 12, 13, 18])
def test_attention(mask: str | None, unidirectional: int, opset: int) -> None:
    feeds = attention_feeds()
    plain = check([fused("Attention", "xwb", num_heads=HEADS)], feeds, opset=opset)[0]
    if mask is not None:
        feeds["m"] = MASKS[mask].astype(np.int32)
    node = fused("Attention", feeds, num_heads=HEADS, unidirectional=unidirectional)
    (y,) = check([node], feeds, opset=opset)
    if mask is not None or unidirectional:
        assert np.abs(y - plain).max() > 1e-2


@pytest.mark.parametrize("mask", ["lengths", "lengths and starts", "raw", "by query"])
def test_attention_with_free_dimensions(mask: str) -> None:
    feeds = {**attention_feeds(), "m": MASKS[mask].astype(np.int32)}
    for first in (None, "batch"):
        free = {"x": [first, "seq", 6], "m": [f"m{i}" for i in range(feeds["m"].ndim)]}
        check([fused("Attention", feeds, num_heads=HEADS, unidirectional=1)], feeds, free=free)
    free = {"x": ["batch", "seq", 6], "m": ["batch", *["seq"] * (feeds["m"].ndim - 1)]}
    if len(feeds["m"]) == BATCH:
        check([fused("Attention", feeds, num_heads=HEADS)], feeds, free=free)


def test_attention_bias_scale_filter_and_sizes() -> None:
    feeds = {
        **attention_feeds(value_width=12),
        "m": MASKS["raw"].astype(np.int32),
        "added": floats(5, 1, HEADS, QUERIES, QUERIES),
    }
    node = fused(
        "Attention",
        ["x", "w", "b", "m", "", "added"],
        num_heads=HEADS,
        scale=0.3,
        mask_filter_value=-3.0,
        qkv_hidden_sizes=[WIDTH, WIDTH, 12],
    )
    check([node], feeds)
    feeds["added"] = floats(6, BATCH, 1, QUERIES, QUERIES)
    check([node], feeds)


def test_attention_without_bias_is_that_with_zeros() -> None:
    feeds = attention_feeds()
    feeds["b"] = np.zeros_like(feeds["b"])
    want = run(model_of([fused("Attention", "xwb", num_heads=HEADS)], feeds), feeds)
    del feeds["b"]
    check([fused("Attention", "xw", num_heads=HEADS)], feeds, want=want)


def test_attention_with_a_mask_of_four_axes_is_that_of_its_corner() -> None:
    feeds = attention_feeds()
    big = np.random.default_rng(3).integers(0, 2, (BATCH, 1, 9, 9)).astype(np.int32)
    node = fused("Attention", "xwbm", num_heads=HEADS)
    small = {**feeds, "m": np.ascontiguousarray(big[:, 0, :QUERIES, :QUERIES])}
    check([node], {**feeds, "m": big}, want=run(model_of([node], small), small))


def test_attention_emits_one_scale_and_one_mask() -> None:
    feeds = {**attention_feeds(), "m": MASKS["raw"].astype(np.int32), "a": floats(5, 1, 1, QUERIES, QUERIES)}
    node = fused("Attention", ["x", "w", "b", "m", "", "a"], num_heads=HEADS, unidirectional=1)
    model = apart(model_of([node], feeds))
    by_output = {n.output[0]: n for n in model.graph.node}
    (norm,) = [n for n in model.graph.node if n.op_type == "Softmax"]
    masked = by_output[norm.input[0]]
    scaled = by_output[masked.input[0]]
    assert (masked.op_type, scaled.op_type, by_output[scaled.input[0]].op_type) == ("Add", "Mul", "MatMul")
    assert [n.op_type for n in model.graph.node].count("Mul") == 1
    (scale,) = [numpy_helper.to_array(i) for i in model.graph.initializer if i.name == scaled.input[1]]
    assert scale == np.float32(SIZE**-0.5)


@pytest.mark.parametrize("free", [False, True])
@pytest.mark.parametrize("mask", ["lengths", "raw", "by query"])
def test_layers_share_a_mask(mask: str, free: bool) -> None:
    feeds = attention_feeds(value_width=WIDTH)
    feeds = {"x": floats(0, BATCH, QUERIES, WIDTH), "w": floats(1, WIDTH, 3 * WIDTH), "b": feeds["b"]}
    feeds["m"] = MASKS[mask].astype(np.int32)
    nodes = [
        helper.make_node(
            "Attention", [x, "w", "b", "m"], [y], y, domain=MICROSOFT, num_heads=HEADS, unidirectional=1
        )
        for x, y in (("x", "h"), ("h", "i"), ("i", "y"))
    ]
    shapes = {"x": ["batch", "seq", WIDTH], "m": ["batch", *["seq"] * (feeds["m"].ndim - 1)]}
    check(nodes, feeds, free=shapes if free else None)
    kinds = [n.op_type for n in apart(model_of(nodes, feeds, free=shapes if free else None)).graph.node]
    assert kinds.count("Where") == 2
    assert "Concat" not in kinds


def test_sequences_of_unknown_length_do_not_share_masks() -> None:
    big = np.random.default_rng(3).integers(0, 2, (BATCH, 1, 9, 9)).astype(np.int32)
    feeds = {**attention_feeds(), "keep": np.array([1, 0, 1, 1, 0], bool)}
    short = helper.make_node("Compress", ["x", "keep"], ["short"], axis=1)
    lengths = {**feeds, "m": np.array([2, 3, 1], np.int32)}
    for settings, inputs, given in (({"unidirectional": 1}, "wb", feeds), ({}, "wbm", lengths)):
        nodes = [
            helper.make_node("Attention", [x, *inputs], [y], y, domain=MICROSOFT, num_heads=HEADS, **settings)
            for x, y in (("short", "y"), ("x", "z"))
        ]
        for free in (None, {"x": ["batch", None, 6]}):
            check([short, *nodes], given, ["y", "z"], free=free)
    corners = [np.ascontiguousarray(big[:, 0, :n, :n]) for n in (3, QUERIES)]
    nodes = [
        helper.make_node("Attention", [x, "w", "b", m], [y], y, domain=MICROSOFT, num_heads=HEADS)
        for x, m, y in (("short", "m0", "y"), ("x", "m1", "z"))
    ]
    small = {**feeds, "m0": corners[0], "m1": corners[1]}
    want = run(model_of([short, *nodes], small, ["y", "z"]), small)
    for node in nodes:
        node.input[3] = "m"
    check([short, *nodes], {**feeds, "m": big}, ["y", "z"], want=want)


@pytest.mark.parametrize("mask", ["lengths", "raw", "by query"])
def test_layers_with_other_fill_values_or_biases_do_not_share_masks(mask: str) -> None:
    feeds = {**attention_feeds(), "m": MASKS[mask].astype(np.int32)}
    feeds |= {n: floats(i, 1, HEADS, QUERIES, QUERIES) for i, n in enumerate("cd")}
    nodes = [
        fused("Attention", ["x", "w", "b", "m", "", c], [y], num_heads=HEADS, mask_filter_value=fill)
        for c, fill, y in (("c", -1.0, "y"), ("d", -1.0, "z"), ("c", -2.0, "u"))
    ]
    for i, node in enumerate(nodes):
        node.name = f"layer{i}"
    check(nodes, feeds, ["y", "z", "u"])


# com.microsoft MultiHeadAttention


def mha_feeds(value_width: int = WIDTH) -> Arrays:
    return {
        "q": floats(0, BATCH, QUERIES, WIDTH),
        "k": floats(1, BATCH, KEYS, WIDTH),
        "v": floats(2, BATCH, KEYS, value_width),
        "b": floats(3, 2 * WIDTH + value_width),
    }


MHA_MASKS = {
    "lengths": np.array([7, 2, 3]),
    "key lengths and offsets": np.array([7, 2, 3, 0, 5, 10, 15, 0, 7, 9, 12]),
    "raw": np.random.default_rng(8).integers(0, 2, (BATCH, KEYS)),
    "by query": np.random.default_rng(9).integers(0, 2, (BATCH, QUERIES, KEYS)),
}


@pytest.mark.parametrize("value_width", [WIDTH, 12])
@pytest.mark.parametrize("mask", [None, *MHA_MASKS])
def test_multi_head_attention(mask: str | None, value_width: int) -> None:
    feeds = mha_feeds(value_width)
    inputs = [*feeds, "" if mask is None else "m", "a"]
    feeds["a"] = floats(4, 1, HEADS, QUERIES, KEYS)
    if mask is not None:
        feeds["m"] = MHA_MASKS[mask].astype(np.int32)
    free = {"q": ["batch", "seq", WIDTH], "k": ["batch", "keys", WIDTH], "v": ["batch", "keys", value_width]}
    for shapes in (None, free):
        check([fused("MultiHeadAttention", inputs, num_heads=HEADS)], feeds, free=shapes)
    del feeds["a"]
    check([fused("MultiHeadAttention", inputs[:5], num_heads=HEADS, mask_filter_value=-2.0)], feeds)


@pytest.mark.parametrize("mask", [None, "raw"])
def test_multi_head_attention_unidirectional_and_unbiased(mask: str | None) -> None:
    x = floats(0, BATCH, QUERIES, WIDTH)
    feeds = {"q": x, "k": floats(1, *x.shape), "v": floats(2, *x.shape)}
    inputs = ["q", "k", "v"]
    if mask is not None:
        feeds["m"] = MASKS[mask].astype(np.int32)
        inputs += ["", "m"]
    y = [
        check([fused("MultiHeadAttention", inputs, num_heads=HEADS, unidirectional=u, scale=0.4)], feeds)[0]
        for u in (0, 1)
    ]
    assert np.abs(y[0] - y[1]).max() > 1e-2


@pytest.mark.parametrize("biased", [False, True])
def test_multi_head_attention_keys_and_values_by_heads(biased: bool) -> None:
    feeds = {
        "q": floats(0, BATCH, QUERIES, WIDTH),
        "k": floats(1, BATCH, HEADS, KEYS, SIZE),
        "v": floats(2, BATCH, HEADS, KEYS, SIZE),
    }
    if biased:
        feeds["b"] = floats(3, 3 * WIDTH)
    check([fused("MultiHeadAttention", feeds, num_heads=HEADS)], feeds)


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("form", ["qkv", "kv"])
def test_multi_head_attention_packed_is_that_apart(form: str, biased: bool) -> None:
    feeds = mha_feeds()
    if form == "qkv":
        feeds["k"], feeds["v"] = (floats(s, BATCH, QUERIES, WIDTH) for s in (1, 2))
    names = ["q", "k", "v", "b"] if biased else ["q", "k", "v"]
    feeds = {n: feeds[n] for n in names}
    want = run(model_of([fused("MultiHeadAttention", names, num_heads=HEADS)], feeds), feeds)
    parts = [feeds[n].reshape(*feeds[n].shape[:2], HEADS, SIZE) for n in form]
    packed = {"p": np.stack(parts, axis=3)} | {n: feeds[n] for n in names if n not in form}
    inputs = ["p", "", ""] if form == "qkv" else ["q", "p", ""]
    check([fused("MultiHeadAttention", inputs + ["b"] * biased, num_heads=HEADS)], packed, want=want)


# ONNX Attention


@pytest.mark.parametrize("opset", [23, 24])
@pytest.mark.parametrize("kv_heads", [4, 2, 1])
@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("settings", [{}, {"scale": 0.3}, {"softcap": 1.5}, {"is_causal": 1}], ids=str)
def test_onnx_attention(settings: dict[str, float], flat: bool, kv_heads: int, opset: int) -> None:
    shapes = {"q": (4, QUERIES, SIZE), "k": (kv_heads, KEYS, SIZE), "v": (kv_heads, KEYS, 6)}
    feeds = {n: floats(i, BATCH, *shape) for i, (n, shape) in enumerate(shapes.items())}
    heads = {}
    free = {n: ["batch", shape[0], f"{n}s", shape[2]] for n, shape in shapes.items()}
    if flat:
        feeds = {n: a.transpose(0, 2, 1, 3).reshape(BATCH, a.shape[2], -1) for n, a in feeds.items()}
        heads = {"q_num_heads": 4, "kv_num_heads": kv_heads}
        free = {n: ["batch", f"{n}s", a.shape[2]] for n, a in feeds.items()}
    keys = np.random.default_rng(5).random((BATCH, 1, 1, KEYS)) > 0.4
    keys[..., 0] = True
    queries = np.random.default_rng(6).random((QUERIES, KEYS)) > 0.4
    queries[:, 0] = True
    node = fused("Attention", "qkv", domain="", **settings, **heads)
    plain = check([node], feeds, opset=opset)[0]
    check([node], feeds, opset=opset, free=free)
    for mask in (keys & queries, np.broadcast_to(keys, (BATCH, 1, QUERIES, KEYS)), queries):
        for m in (mask, np.where(mask, floats(8, *mask.shape), -1e4).astype(np.float32)):
            node = fused("Attention", "qkvm", domain="", **settings, **heads)
            (y,) = check([node], {**feeds, "m": np.ascontiguousarray(m)}, opset=opset)
            assert np.abs(y - plain).max() > 1e-2


def test_onnx_attention_layers_with_other_masks() -> None:
    feeds = {n: floats(i, BATCH, HEADS, QUERIES, SIZE) for i, n in enumerate("qkv")}
    masks = np.random.default_rng(5).random((2, QUERIES, QUERIES)) > 0.4
    masks[..., 0] = True
    feeds |= {"m": masks[0], "n": masks[1]}
    nodes = [
        helper.make_node("Attention", ["q", "k", "v", m], [y], y, is_causal=causal)
        for m, y, causal in (("m", "x", 0), ("n", "y", 0), ("n", "z", 1))
    ]
    check(nodes, feeds, ["x", "y", "z"], opset=23)


def test_onnx_attention_with_lengths() -> None:
    shapes = {"q": (HEADS, QUERIES, SIZE), "k": (HEADS, KEYS, SIZE), "v": (HEADS, KEYS, SIZE)}
    feeds = {n: floats(i, BATCH, *shape) for i, (n, shape) in enumerate(shapes.items())}
    feeds["n"] = np.array([7, 2, 5])
    node = fused("Attention", ["q", "k", "v", "", "", "", "n"], domain="")
    check([node], feeds, opset=24)
    feeds["m"] = floats(4, QUERIES, KEYS)
    node = fused("Attention", ["q", "k", "v", "m", "", "", "n"], domain="")
    check([node], feeds, opset=24)


# Rotary positions


@pytest.mark.parametrize("interleaved", [0, 1])
@pytest.mark.parametrize("partial", [0, 4])
@pytest.mark.parametrize("placed", [False, True])
@pytest.mark.parametrize("flat", [False, True])
def test_rotary_embedding(flat: bool, placed: bool, partial: int, interleaved: int) -> None:
    head = 6
    half = (partial or head) // 2
    feeds = {"x": floats(0, BATCH, QUERIES, HEADS * head) if flat else floats(0, BATCH, HEADS, QUERIES, head)}
    rows = (9,) if placed else (BATCH, QUERIES)
    feeds |= {"c": floats(1, *rows, half), "s": floats(2, *rows, half)}
    if placed:
        feeds["p"] = np.random.default_rng(3).integers(0, 9, (BATCH, QUERIES))
    settings = {"rotary_embedding_dim": partial, "num_heads": HEADS} if flat or partial else {}
    node = fused("RotaryEmbedding", feeds, domain="", interleaved=interleaved, **settings)
    free = {"x": ["batch", "seq", HEADS * head] if flat else ["batch", HEADS, "seq", head]}
    for shapes in (None, free):
        check([node], feeds, opset=23, free=shapes)


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


def test_shapes_are_known_behind_operators_that_stay() -> None:
    feeds = {"x": floats(0, BATCH, QUERIES, 6), "w": floats(1, WIDTH, 6), "b": floats(2, 3 * WIDTH)}
    nodes = [
        fused("FusedMatMul", "xw", "p", transB=1),
        fused("Gelu", "p", "g"),
        fused("MultiHeadAttention", "gggb", num_heads=HEADS),
    ]
    check(nodes, feeds, free={"x": ["batch", "seq", 6]})


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

CACHE = {"p": floats(0, 2, BATCH, HEADS, 1, SIZE)}


@pytest.mark.parametrize(
    ("node", "field", "opset"),
    [
        (fused("Attention", ["x", "w", "b", "", "p"], num_heads=HEADS), "past", 18),
        (fused("Attention", "xwb", ["y", "z"], num_heads=HEADS), "present", 18),
        (fused("Attention", "xwb", num_heads=HEADS, do_rotary=1), "do_rotary", 18),
        (fused("Attention", "xwb"), "num_heads", 18),
        (fused("MultiHeadAttention", ["x", "x", "x", "", "", "", "p", "p"], num_heads=2), "past_key", 18),
        (fused("MultiHeadAttention", "xxx", ["y", "", "", "z"], num_heads=2), "qk", 18),
        (fused("Attention", ["x", "x", "x", "", "p", "p"], domain=""), "past_key", 23),
        (fused("Attention", "xxx", ["y", "", "", "z"], domain=""), "qk_matmul_output", 23),
        (fused("Attention", "xxx", domain=""), "q_num_heads", 23),
        (fused("Attention", "qqqw", domain=""), "attn_mask", 23),
        (fused("Attention", "qqqm", domain=""), "attn_mask", 23),
        (fused("RotaryEmbedding", "xww", domain=""), "num_heads", 23),
        (fused("SkipLayerNormalization", "xxg", ["y", "z"]), "mean", 18),
        (fused("FusedGemm", "xw", activation="Mish"), "Mish", 18),
        (fused("FastGelu", "x"), "opset 10", 10),
    ],
    ids=lambda v: v if isinstance(v, str) else None,
)
def test_refused(node: onnx.NodeProto, field: str, opset: int) -> None:
    feeds = {**attention_feeds(), **CACHE, "g": floats(0, 6), "q": floats(0, BATCH, HEADS, QUERIES, SIZE)}
    feeds["m"] = np.ones((QUERIES, QUERIES), np.int32)
    model = model_of([node], feeds, [o for o in node.output if o], opset)
    with pytest.raises(BlocksimError, match=field) as caught:
        unfuse(model, Path("some.onnx"))
    assert str(caught.value).startswith("some.onnx: ")
    assert node.op_type in str(caught.value)


def test_outputs_that_nobody_reads_are_no_reason_to_refuse() -> None:
    feeds = attention_feeds()
    model = model_of([fused("Attention", "xwb", ["y", "z"], num_heads=HEADS)], feeds)
    close(
        run(apart(model), feeds)[0],
        run(model_of([fused("Attention", "xwb", num_heads=HEADS)], feeds), feeds)[0],
    )


# A whole encoder, fused by onnxruntime's own tools


LONGEST, WORDS, ENCODER, INNER, LAYERS = 12, 30, 16, 32, 2


class Encoder:
    """A BERT of two layers, in the primitives that exporters write; batch and sequence are free."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initialisers: list[onnx.TensorProto] = []

    def constant(self, name: str, array: NDArray) -> str:
        self.initialisers.append(numpy_helper.from_array(array, name))
        return name

    def weight(self, name: str, *shape: int, around: float = 0.0) -> str:
        return self.constant(name, around + np.float32(0.4) * floats(len(self.initialisers), *shape))

    def node(self, op: str, inputs: list[str], output: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(op, inputs, [output], f"node_{output}", **attributes))
        return output

    def linear(self, x: str, name: str, k: int, n: int) -> str:
        product = self.node("MatMul", [x, self.weight(f"{name}.weight", k, n)], f"{name}.product")
        return self.node("Add", [self.weight(f"{name}.bias", n), product], f"{name}.out")

    def norm(self, x: str, name: str) -> str:
        gamma, beta = self.weight(f"{name}.weight", ENCODER, around=1.0), self.weight(f"{name}.bias", ENCODER)
        return self.node("LayerNormalization", [x, gamma, beta], f"{name}.out", axis=-1, epsilon=1e-12)

    def embed(self, name: str, ids: str, rows: int) -> str:
        return self.node("Gather", [self.weight(f"{name}.weight", rows, ENCODER), ids], f"{name}.out", axis=0)

    def gelu(self, x: str, name: str) -> str:
        root, one, half = (self.constant(f"{name}.{v}", np.float32(v)) for v in (np.sqrt(2.0), 1.0, 0.5))
        erf = self.node("Erf", [self.node("Div", [x, root], f"{name}.div")], f"{name}.erf")
        gate = self.node("Mul", [x, self.node("Add", [erf, one], f"{name}.add")], f"{name}.gate")
        return self.node("Mul", [gate, half], f"{name}.out")

    def heads(self, x: str, name: str, perm: list[int]) -> str:
        shape = self.constant(f"{name}.shape", np.array([0, 0, HEADS, ENCODER // HEADS]))
        return self.node("Transpose", [self.node("Reshape", [x, shape], f"{name}.split")], name, perm=perm)

    def mask(self) -> str:
        first, second = (self.constant(f"mask.axis{i}", np.array([i])) for i in (1, 2))
        broad = self.node("Unsqueeze", ["attention_mask", first], "mask.broader")
        broad = self.node("Unsqueeze", [broad, second], "mask.broad")
        real = self.node("Cast", [broad], "mask.float", to=onnx.TensorProto.FLOAT)
        padding = self.node("Sub", [self.constant("mask.one", np.float32(1)), real], "mask.padding")
        return self.node("Mul", [padding, self.constant("mask.low", np.float32(-10000))], "mask.added")

    def layer(self, x: str, mask: str, name: str) -> str:
        perms = {"query": [0, 2, 1, 3], "key": [0, 2, 3, 1], "value": [0, 2, 1, 3]}
        query, key, value = (
            self.heads(self.linear(x, f"{name}.{n}", ENCODER, ENCODER), f"{name}.{n}.heads", perm)
            for n, perm in perms.items()
        )
        scores = self.node("MatMul", [query, key], f"{name}.scores")
        root = self.constant(f"{name}.root", np.float32(np.sqrt(ENCODER // HEADS)))
        scores = self.node(
            "Add", [self.node("Div", [scores, root], f"{name}.scaled"), mask], f"{name}.masked"
        )
        mixed = self.node(
            "MatMul", [self.node("Softmax", [scores], f"{name}.softmax", axis=-1), value], f"{name}.mixed"
        )
        rows = self.node("Transpose", [mixed], f"{name}.rows", perm=[0, 2, 1, 3])
        merge = self.constant(f"{name}.merge", np.array([0, 0, ENCODER]))
        merged = self.node("Reshape", [rows, merge], f"{name}.merged")
        out = self.linear(merged, f"{name}.dense", ENCODER, ENCODER)
        x = self.norm(self.node("Add", [out, x], f"{name}.middle"), f"{name}.norm1")
        inner = self.gelu(self.linear(x, f"{name}.up", ENCODER, INNER), f"{name}.gelu")
        out = self.linear(inner, f"{name}.down", INNER, ENCODER)
        return self.norm(self.node("Add", [out, x], f"{name}.end"), f"{name}.norm2")

    def model(self) -> onnx.ModelProto:
        words = self.embed("words", "input_ids", WORDS)
        kinds = self.embed("kinds", "token_type_ids", 2)
        places = self.embed("places", "position_ids", LONGEST)
        x = self.node("Add", [self.node("Add", [words, kinds], "words.kinds"), places], "embedded")
        x = self.norm(x, "embedding")
        mask = self.mask()
        for i in range(LAYERS):
            x = self.layer(x, mask, f"layer{i}")
        names = ["input_ids", "token_type_ids", "position_ids", "attention_mask"]
        int64, real = onnx.TensorProto.INT64, onnx.TensorProto.FLOAT
        graph = helper.make_graph(
            self.nodes,
            "encoder",
            [helper.make_tensor_value_info(n, int64, ["batch", "sequence"]) for n in names],
            [helper.make_tensor_value_info(x, real, ["batch", "sequence", ENCODER])],
            self.initialisers,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(model)
        return model


def padded_batch(holes: bool) -> Arrays:
    """Samples of several lengths; with holes, masked inside too."""
    rng = np.random.default_rng(11)
    mask = (np.arange(9) < np.array([9, 4, 6])[:, None]).astype(np.int64)
    if holes:
        mask[0, 2] = mask[1, 0] = mask[2, 3] = 0
    return {
        "input_ids": rng.integers(0, WORDS, (3, 9)),
        "token_type_ids": rng.integers(0, 2, (3, 9)),
        "position_ids": np.tile(np.arange(9), (3, 1)),
        "attention_mask": mask,
    }


def weights_as_inputs(model: onnx.ModelProto) -> Arrays:
    """Turn matrices into inputs, as the importer does before."""
    weights = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer if len(i.dims) > 1}
    kept = [i for i in model.graph.initializer if i.name not in weights]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    model.graph.input.extend(
        helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, a.shape) for n, a in weights.items()
    )
    return weights


@pytest.mark.parametrize("attention", ["Attention", "MultiHeadAttention"])
@pytest.mark.parametrize("mask", ["lengths", "raw"])
def test_encoder_fused_by_the_transformer_optimiser(tmp_path: Path, mask: str, attention: str) -> None:
    optimizer = pytest.importorskip("onnxruntime.transformers.optimizer")
    from onnxruntime.transformers.fusion_options import AttentionMaskFormat, FusionOptions

    plain = Encoder().model()
    onnx.save(plain, str(tmp_path / "plain.onnx"))
    options = FusionOptions("bert")
    options.attention_mask_format = {
        "lengths": AttentionMaskFormat.MaskIndexEnd,
        "raw": AttentionMaskFormat.AttentionMask,
    }[mask]
    options.use_multi_head_attention = attention == "MultiHeadAttention"
    model = optimizer.optimize_model(
        str(tmp_path / "plain.onnx"),
        "bert",
        num_heads=HEADS,
        hidden_size=ENCODER,
        optimization_options=options,
        opt_level=0,
    ).model
    kinds = [n.op_type for n in model.graph.node]
    assert {k: kinds.count(k) for k in set(kinds) & {k for _, k in RULES}} == {
        attention: LAYERS,
        "BiasGelu": LAYERS,
        "EmbedLayerNormalization": 1,
        "SkipLayerNormalization": 2 * LAYERS,
    }
    (embedding,) = [n for n in model.graph.node if n.op_type == "EmbedLayerNormalization"]
    masks = {
        n.input[3 if attention == "Attention" else 4] for n in model.graph.node if n.op_type == attention
    }
    assert (masks == {embedding.output[1]}) == (mask == "lengths")

    feeds = padded_batch(holes=mask == "raw")
    want = run(model, feeds)
    close(want[0], run(plain, feeds)[0])
    unmasked = run(model, {**feeds, "attention_mask": np.ones_like(feeds["attention_mask"])})
    assert np.abs(unmasked[0] - want[0]).max() > 1e-2
    weights = weights_as_inputs(model)
    close(run(apart(model), {**feeds, **weights})[0], want[0])


def test_encoder_fused_by_a_session(tmp_path: Path) -> None:
    plain = Encoder().model()
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(tmp_path / "fused.onnx")
    ort.InferenceSession(plain.SerializeToString(), options, providers=["CPUExecutionProvider"])
    model = onnx.load(str(tmp_path / "fused.onnx"))
    assert {"SkipLayerNormalization", "BiasGelu"} <= {n.op_type for n in model.graph.node}
    feeds = padded_batch(holes=True)
    want = run(model, feeds)
    weights = weights_as_inputs(model)
    close(run(apart(model), {**feeds, **weights})[0], want[0])


@pytest.mark.parametrize("fusing", [True, False])
def test_a_fused_encoder_runs_on_the_datapath(tmp_path: Path, fusing: bool) -> None:
    """What onnxruntime fused is imported as what it was: nothing is left to the host."""
    model = Encoder().model()
    path = tmp_path / "encoder.onnx"
    if fusing:
        optimizer = pytest.importorskip("onnxruntime.transformers.optimizer")
        onnx.save(model, str(path))
        made = optimizer.optimize_model(str(path), "bert", num_heads=HEADS, hidden_size=ENCODER, opt_level=0)
        made.save_model_to_file(str(path))
        assert {"Attention", "SkipLayerNormalization"} <= {n.op_type for n in onnx.load(path).graph.node}
    else:
        onnx.save(model, str(path))
    experiment = Experiment(path, padded_batch(holes=not fusing), threads=1)
    kinds = [type(op).__name__ for op in experiment.graph.operators]
    assert {k: kinds.count(k) for k in ("Host", "Gather", "Softmax", "Lut", "Norm", "Matmul")} == {
        "Host": 0,
        "Gather": 3,
        "Softmax": LAYERS,
        "Lut": LAYERS,
        "Norm": 2 * LAYERS + 1,
        "Matmul": 8 * LAYERS,
    }
    (error,) = experiment.run("bct-int8", "8x8").data.outputs.values()
    assert error.cosine is not None and error.cosine > 0.995
    if fusing:  # it counts the tokens of a mask
        with pytest.raises(BlocksimError, match="pad at the end"):
            Experiment(path, padded_batch(holes=True), threads=1).run("bct-int8", "8x8")
