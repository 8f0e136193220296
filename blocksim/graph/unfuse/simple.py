"""Fused normalisations, embeddings, activations and products, taken apart."""

from __future__ import annotations

import math

import numpy as np
from onnx import TensorProto

from blocksim.graph.unfuse.site import Site

CONTRIB_EPSILON = 1e-12
"""Default of the contrib normalisations; those of ONNX have 1e-5."""

ACTIVATIONS: dict[str, tuple[str, ...]] = {
    "Relu": (),
    "Sigmoid": (),
    "Tanh": (),
    "Softplus": (),
    "Softsign": (),
    "LeakyRelu": ("alpha",),
    "Elu": ("alpha",),
    "ThresholdedRelu": ("alpha",),
    "HardSigmoid": ("alpha", "beta"),
}
"""Activations of FusedGemm, and the attributes of each."""

STATISTICS = "no operator may read a normalisation's statistics; export the model for inference"


def layer_norm(site: Site, x: str, gamma: str, beta: str) -> None:
    """LayerNormalization of the last axis into the first output.

    Below opset 17 it is onnxruntime's operator of that name in the default domain.
    """
    epsilon = site.attribute("epsilon", CONTRIB_EPSILON)
    inputs = [x, gamma, beta] if beta else [x, gamma]
    site.emit("LayerNormalization", inputs, "norm", into=site.output(0), axis=-1, epsilon=epsilon)


def _rms(site: Site, x: str, gamma: str, axes: list[int], epsilon: float) -> None:
    square = site.emit("Pow", [x, site.constant("two", 2.0)], "square")
    mean = site.reduce("ReduceMean", square, axes, "mean")
    root = site.emit("Sqrt", [site.add(mean, site.constant("epsilon", epsilon), "shifted")], "root")
    site.emit("Mul", [site.emit("Div", [x, root], "normed"), gamma], "norm", into=site.output(0))


def rms_norm(site: Site) -> None:
    """SimplifiedLayerNormalization and ONNX's RMSNormalization."""
    site.refuse_outputs({1: "inv_std_var"}, STATISTICS)
    axis = site.attribute("axis", -1)
    last = 0 if axis < 0 else site.rank(site.input(0), "input")
    _rms(site, site.input(0), site.input(1), list(range(axis, last)), site.attribute("epsilon", 1e-5))


def _skip_sum(site: Site, bias: str) -> str:
    """Input, skip and bias; the bias goes to the product that it belongs to, where there is one."""
    made_by = {output: node.op_type for node in site.draft.nodes for output in node.output}
    operands = [site.input(0), site.input(1)]
    into = site.output(3)
    products = [i for i in (0, 1) if made_by.get(operands[i]) in ("MatMul", "FusedMatMul")]
    if bias and products:
        i = products[0]
        operands[i] = site.add(operands[i], bias, "biased")
        bias = ""
    total = site.add(operands[0], operands[1], "sum", "" if bias else into)
    return site.add(total, bias, "sum_biased", into) if bias else total


def skip_layer_norm(site: Site) -> None:
    """SkipLayerNormalization: LayerNormalization of input + skip + bias."""
    site.refuse_outputs({1: "mean", 2: "inv_std_var"}, STATISTICS)
    layer_norm(site, _skip_sum(site, site.input(4)), site.input(2), site.input(3))


def skip_rms_norm(site: Site) -> None:
    """SkipSimplifiedLayerNormalization: the RMS norm of input + skip + bias."""
    site.refuse_outputs({1: "mean", 2: "inv_std_var"}, STATISTICS)
    total = _skip_sum(site, site.input(3))
    _rms(site, total, site.input(2), [-1], site.attribute("epsilon", CONTRIB_EPSILON))


def embed_layer_norm(site: Site) -> None:
    """EmbedLayerNormalization: words, positions and segments summed and normalised; mask to lengths."""
    ids, segments, words, positions, segment_table, gamma, beta, mask, position_ids = map(
        site.input, range(9)
    )
    word = site.emit("Gather", [words, ids], "word", axis=0)
    if position_ids:
        position = site.emit("Gather", [positions, position_ids], "position", axis=0)
    else:
        length = site.reshape(site.size(ids, 1, "length"), [1], "length.row")
        start, axis = (site.constant(f"position.{n}", [0], np.int64) for n in ("start", "axis"))
        position = site.emit("Slice", [positions, start, length, axis], "position")
    last = bool(segments and segment_table)
    total = site.add(word, position, "sum", "" if last else site.output(2))
    if last:
        segment = site.emit("Gather", [segment_table, segments], "segment", axis=0)
        total = site.add(total, segment, "sum_segment", site.output(2))
    layer_norm(site, total, gamma, beta)
    if site.read(1):
        mask = mask or site.emit("Sub", [ids, ids], "no_mask")
        real = site.emit("Equal", [mask, site.constant("one", 1, np.int32)], "real")
        counted = site.emit("Cast", [real], "counted", to=TensorProto.INT32)
        site.reduce("ReduceSum", counted, [1], "lengths", site.output(1), keepdims=0)


def bias_gelu(site: Site) -> None:
    """BiasGelu: the exact GELU of a sum."""
    total = site.add(site.input(0), site.input(1), "sum")
    site.emit("Gelu", [total], "gelu", into=site.output(0), domain="com.microsoft")


def fast_gelu(site: Site) -> None:
    """FastGelu: the tanh approximation of the GELU of a sum."""
    x = site.add(site.input(0), site.input(1), "sum")
    cube = site.emit("Mul", [site.emit("Mul", [x, x], "square"), x], "cube")
    inner = site.add(x, site.emit("Mul", [cube, site.constant("cubic", 0.044715)], "cubed"), "inner")
    scaled = site.emit("Mul", [inner, site.constant("root", math.sqrt(2 / math.pi))], "scaled")
    gate = site.add(site.emit("Tanh", [scaled], "tanh"), site.constant("one", 1.0), "gate")
    half = site.emit("Mul", [x, site.constant("half", 0.5)], "halved")
    site.emit("Mul", [half, gate], "gelu", into=site.output(0))


def quick_gelu(site: Site) -> None:
    """QuickGelu: x * sigmoid(alpha * x)."""
    x = site.input(0)
    scaled = site.emit("Mul", [x, site.constant("alpha", site.attribute("alpha", 1.702))], "scaled")
    site.emit("Mul", [x, site.emit("Sigmoid", [scaled], "gate")], "gelu", into=site.output(0))


def bias_softmax(site: Site) -> None:
    """BiasSoftmax: the softmax of a sum over all axes from `axis` on.

    Both of its ways to broadcast are those of Add, as the bias has the rank of the data or aligns right.
    """
    axis, shape = site.attribute("axis", 1), site.shape(site.input(0))
    total = site.add(site.input(0), site.input(1), "sum")
    if axis == -1 or (shape is not None and axis == len(shape) - 1):
        site.emit("Softmax", [total], "softmax", into=site.output(0), axis=-1)
        return
    flat = site.emit("Softmax", [site.emit("Flatten", [total], "flat", axis=axis)], "softmax", axis=-1)
    site.emit("Reshape", [flat, site.emit("Shape", [total], "shape")], "softmax.shaped", into=site.output(0))


def bias_add(site: Site) -> None:
    """BiasAdd: input + bias + skip."""
    biased = site.add(site.input(0), site.input(1), "biased")
    site.add(biased, site.input(2), "sum", site.output(0))


def fused_gemm(site: Site) -> None:
    """FusedGemm: Gemm and an activation."""
    activation = site.attribute("activation", b"").decode()
    if activation not in ACTIVATIONS:
        known = ", ".join(ACTIVATIONS)
        site.refuse(f"activation {activation!r}", f"only {known} can be taken apart; save it without fusions")
    settings = {n: site.attribute(n, None) for n in ("alpha", "beta", "transA", "transB")}
    given = {n: value for n, value in settings.items() if value is not None}
    product = site.emit("Gemm", site.node.input, "gemm", **given)
    extra = {n: site.attribute(f"activation_{n}", None) for n in ACTIVATIONS[activation]}
    chosen = {n: value for n, value in extra.items() if value is not None}
    site.emit(activation, [product], activation.lower(), into=site.output(0), **chosen)
