"""Fused operators taken apart into the primitives that the importer reads.

Exporters and onnxruntime's tools save models whose attention, normalisations and activations are single
operators. They are put back in terms of ONNX's own, before anything else looks at the graph.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx

from blocksim.errors import BlocksimError
from blocksim.graph.unfuse.attention import attention, multi_head_attention, onnx_attention
from blocksim.graph.unfuse.rotary import rotary_embedding
from blocksim.graph.unfuse.simple import (
    bias_add,
    bias_gelu,
    bias_softmax,
    embed_layer_norm,
    fast_gelu,
    fused_gemm,
    quick_gelu,
    rms_norm,
    skip_layer_norm,
    skip_rms_norm,
)
from blocksim.graph.unfuse.site import Draft, Site

CONTRIB = "com.microsoft"
"""The domain of onnxruntime's own operators."""

OLDEST = 11
"""Oldest opset whose primitives these are."""

RULES: dict[tuple[str, str], Callable[[Site], None]] = {
    ("", "Attention"): onnx_attention,
    ("", "RMSNormalization"): rms_norm,
    ("", "RotaryEmbedding"): rotary_embedding,
    ("", "SimplifiedLayerNormalization"): rms_norm,
    (CONTRIB, "Attention"): attention,
    (CONTRIB, "BiasAdd"): bias_add,
    (CONTRIB, "BiasGelu"): bias_gelu,
    (CONTRIB, "BiasSoftmax"): bias_softmax,
    (CONTRIB, "EmbedLayerNormalization"): embed_layer_norm,
    (CONTRIB, "FastGelu"): fast_gelu,
    (CONTRIB, "FusedGemm"): fused_gemm,
    (CONTRIB, "MultiHeadAttention"): multi_head_attention,
    (CONTRIB, "QuickGelu"): quick_gelu,
    (CONTRIB, "SkipLayerNormalization"): skip_layer_norm,
    (CONTRIB, "SkipSimplifiedLayerNormalization"): skip_rms_norm,
}
"""How to take each fused operator apart, by its domain and type."""


def unfuse(model: onnx.ModelProto, path: Path | str) -> None:
    """Take the fused operators of a model apart, in place.

    Values keep their names; nodes and constants made here are named after the fused node. Operators in
    subgraphs and in functions of the model stay as they are.

    Parameters
    ----------
    model : onnx.ModelProto
        Its weights may be initialisers or inputs.
    path : path
        Its file, for messages.

    Raises
    ------
    BlocksimError
        If a fused operator cannot be taken apart, such as attention with keys of earlier steps.
    """
    own = {(f.domain, f.name) for f in model.functions}
    draft = Draft(model, path)
    for node in model.graph.node:
        kind = ("" if node.domain == "ai.onnx" else node.domain, node.op_type)
        rule = None if kind in own else RULES.get(kind)
        if rule is None:
            draft.nodes.append(node)
            continue
        if draft.opset < OLDEST:
            raise BlocksimError(
                path, node.op_type, f"opset {draft.opset}", f"export the model with opset {OLDEST} or newer"
            )
        rule(Site(draft, node))
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in draft.nodes]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    known = {o.domain for o in model.opset_import}
    if CONTRIB not in known and any(node.domain == CONTRIB for node in nodes):
        model.opset_import.append(onnx.helper.make_opsetid(CONTRIB, 1))
