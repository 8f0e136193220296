"""Fused attention taken apart: products, one scale, one mask, a softmax.

Every form comes down to query, key and value as (batch, heads, sequence, head size); the scale is one
Mul of the scores by a scalar, and all masks and biases are one Add before the softmax.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from blocksim.graph.unfuse.site import END, Dim, Site

LOWEST = float(np.finfo(np.float32).min)
"""What a masked score gets where the operator has no value of its own for it: finite, unlike -inf."""

CACHE = "keys and values of earlier steps are not supported; export the model without a cache"


@dataclass(frozen=True)
class Heads:
    """Query, key and value by heads, each (batch, heads, sequence, head size)."""

    query: str
    key: str
    value: str


def attention(site: Site) -> None:
    """com.microsoft Attention: the projections of query, key and value are one product."""
    site.refuse_inputs({4: "past", 6: "past_sequence_length"}, CACHE)
    site.refuse_outputs({1: "present"}, CACHE)
    if site.attribute("do_rotary", 0):
        site.refuse("do_rotary", "rotary positions are not supported here; save the model without fusions")
    x, weight, bias, mask = (site.input(i) for i in range(4))
    width = site.dim(weight, 1)
    sizes = site.attribute("qkv_hidden_sizes", None)
    if not sizes and not isinstance(width, int):
        site.refuse(f"weights {weight}", "their shape is unknown; save the model with inferred shapes")
    if not sizes:
        assert isinstance(width, int)
        sizes = [width // 3] * 3
    parts, start = [], 0
    for name, size in zip(("query", "key", "value"), sizes, strict=True):
        part = site.slice(weight, start, start + size, 1, f"{name}.weight")
        made = site.emit("MatMul", [x, part], name)
        if bias:
            made = site.add(made, site.slice(bias, start, start + size, 0, f"{name}.bias"), f"{name}.biased")
        parts.append(made)
        start += size
    heads = Heads(*(_split(site, p, n) for p, n in zip(parts, ("query", "key", "value"), strict=True)))
    added = _contrib_mask(site, heads, mask, site.input(5))
    _attend(site, heads, added, sizes[0] // _heads(site))


def multi_head_attention(site: Site) -> None:
    """com.microsoft MultiHeadAttention: query, key and value apart, or packed by head."""
    cache = {6: "past_key", 7: "past_value", 8: "past_sequence_length", 9: "cache_indirection"}
    site.refuse_inputs(cache, CACHE)
    site.refuse_outputs({1: "present_key", 2: "present_value"}, CACHE)
    site.refuse_outputs({3: "qk"}, "the scores may not be read; export the model without this output")
    query, key, value, bias, mask, added = (site.input(i) for i in range(6))
    by_heads = False
    if not key:
        query, key, value = (_unpack(site, query, i, n) for i, n in enumerate(("query", "key", "value")))
    elif not value:
        key, value = (_unpack(site, key, i, n) for i, n in enumerate(("key", "value")))
    else:
        by_heads = site.rank(key, "key") == 4
    width = site.dim(query, -1)
    names = ["query"] if by_heads else ["query", "key", "value"]
    parts = {"query": query, "key": key, "value": value}
    if bias:
        if not isinstance(width, int):
            site.refuse(f"query {query}", "its last axis is unknown; save the model with inferred shapes")
        for i, name in enumerate(names):
            stop = END if name == "value" else (i + 1) * width
            part = site.slice(bias, i * width, stop, 0, f"{name}.bias")
            parts[name] = site.add(parts[name], part, f"{name}.biased")
    for name in names:
        parts[name] = _split(site, parts[name], name)
    heads = Heads(**parts)
    head = width // _heads(site) if isinstance(width, int) else None
    _attend(site, heads, _contrib_mask(site, heads, mask, added), head)


def onnx_attention(site: Site) -> None:
    """ONNX's own Attention (opset 23 and newer)."""
    site.refuse_inputs({4: "past_key", 5: "past_value"}, CACHE)
    site.refuse_outputs({1: "present_key", 2: "present_value"}, CACHE)
    unread = "the scores may not be read; export the model without this output"
    site.refuse_outputs({3: "qk_matmul_output"}, unread)
    for name in ("left_window_size", "right_window_size"):
        if site.attribute(name, -1) != -1:
            site.refuse(name, "sliding windows are not supported; give the window as attn_mask")
    if site.attribute("softmax_precision", TensorProto.FLOAT) not in (TensorProto.FLOAT, TensorProto.DOUBLE):
        site.refuse("softmax_precision", "the softmax must be float32; export the model in float32")
    query, key, value = (site.input(i) for i in range(3))
    flat = site.rank(query, "Q") == 3
    query_heads, heads = site.attribute("q_num_heads", 0), site.attribute("kv_num_heads", 0)
    if flat and not (query_heads and heads):
        site.refuse("q_num_heads", "operands of three axes need q_num_heads and kv_num_heads")
    width = site.dim(query, -1)
    head = (width // query_heads if flat else width) if isinstance(width, int) else None
    if flat:
        query = _split(site, query, "query", query_heads)
        key, value = _split(site, key, "key", heads), _split(site, value, "value", heads)
    else:
        found = site.dim(query, 1), site.dim(key, 1)
        if not (isinstance(found[0], int) and isinstance(found[1], int)):
            site.refuse("heads", "their number is unknown; save the model with inferred shapes")
        query_heads, heads = found
    if query_heads != heads:
        owners = site.constant("owners", np.repeat(np.arange(heads), query_heads // heads), np.int64)
        key = site.emit("Gather", [key, owners], "key.repeated", axis=1)
        value = site.emit("Gather", [value, owners], "value.repeated", axis=1)
    parts = Heads(query, key, value)
    _attend(site, parts, _onnx_mask(site, parts), head, merge=flat)


def _heads(site: Site) -> int:
    return int(site.attribute("num_heads", 0)) or site.refuse("num_heads", "it must be given")


def _split(site: Site, x: str, name: str, heads: int = 0) -> str:
    """(batch, sequence, heads * size) as (batch, heads, sequence, size)."""
    split = site.reshape(x, [0, 0, heads or _heads(site), -1], f"{name}.split")
    return site.emit("Transpose", [split], f"{name}.heads", perm=[0, 2, 1, 3])


def _unpack(site: Site, packed: str, index: int, name: str) -> str:
    """One of those packed as (batch, sequence, heads, parts, size), as (batch, sequence, heads * size)."""
    part = site.constant(f"{name}.part", index, np.int64)
    return site.reshape(site.emit("Gather", [packed, part], f"{name}.unpacked", axis=3), [0, 0, -1], name)


def _attend(site: Site, heads: Heads, mask: str, head_size: int | None, merge: bool = True) -> None:
    """Scores, scale, softcap, mask, softmax and the mix of values into the first output."""
    keys = site.emit("Transpose", [heads.key], "key.transposed", perm=[0, 1, 3, 2])
    scores = site.emit("MatMul", [heads.query, keys], "scores")
    softcap = float(site.attribute("softcap", 0.0))
    scores = site.emit("Mul", [scores, _scale(site, heads.query, head_size, softcap)], "scaled")
    if softcap:
        capped = site.emit("Tanh", [scores], "squashed")
        scores = site.emit("Mul", [capped, site.constant("softcap", softcap)], "capped")
    masked = site.add(scores, mask, "masked")
    if mask:
        site.draft.alike[masked] = scores
    weights = site.emit("Softmax", [masked], "softmax", axis=-1)
    if not merge:
        site.emit("MatMul", [weights, heads.value], "mixed", into=site.output(0))
        return
    mixed = site.emit("MatMul", [weights, heads.value], "mixed")
    rows = site.emit("Transpose", [mixed], "mixed.rows", perm=[0, 2, 1, 3])
    site.reshape(rows, [0, 0, -1], "merged", site.output(0))


def _scale(site: Site, query: str, head_size: int | None, softcap: float) -> str:
    """The factor of the scores, with that of the softcap; 1 / sqrt(head size) unless it is given."""
    cap = softcap or 1.0
    scale = float(site.attribute("scale", 0.0))
    if scale or head_size is not None:
        return site.constant("scale", (scale or 1 / math.sqrt(head_size or 1)) / cap)
    size = site.emit("Cast", [site.size(query, 3, "head_size")], "head_size.float", to=TensorProto.FLOAT)
    root = site.emit("Mul", [site.emit("Sqrt", [size], "head_size.root"), site.constant("cap", cap)], "root")
    return site.emit("Reciprocal", [root], "scale")


def _onnx_mask(site: Site, heads: Heads) -> str:
    """What is added to the scores of ONNX's Attention; empty where nothing is."""
    mask, lengths, causal = site.input(3), site.input(6), site.attribute("is_causal", 0)
    if lengths and causal:
        site.refuse("nonpad_kv_seqlen", "not together with is_causal; give both as attn_mask")
    added = ""
    if mask:
        last, keys = site.dim(mask, -1), site.dim(heads.key, 2)
        if isinstance(last, int) and isinstance(keys, int) and last != keys:
            site.refuse(f"attn_mask {mask} of {last} keys", f"it must cover all {keys}")
        kind = site.draft.type_of(mask)[0]
        if kind == TensorProto.BOOL:
            added = site.shared(("bool", mask), lambda: _chosen(site, mask, LOWEST, "mask"))
        elif kind == TensorProto.FLOAT:
            added = mask
        else:
            site.refuse(f"attn_mask {mask}", "its type must be known, and bool or float32")
    if lengths:
        covered = _length_mask(site, heads, lengths, LOWEST, with_starts=False)
        added = site.add(added, covered, "mask.both")
    return _causal_mask(site, heads, added) if causal else added


def _contrib_mask(site: Site, heads: Heads, mask: str, bias: str) -> str:
    """What is added to the scores of onnxruntime's attention; empty where nothing is."""
    padding = _padding_mask(site, heads, mask) if mask else ""
    key = ("sum", padding, bias)
    added = site.shared(key, lambda: site.add(padding, bias, "mask.biased")) if padding or bias else ""
    return _causal_mask(site, heads, added) if site.attribute("unidirectional", 0) else added


def _padding_mask(site: Site, heads: Heads, mask: str) -> str:
    """A mask of ones and zeros, or of lengths, as what is added: the filter value where it is zero."""
    fill = float(site.attribute("mask_filter_value", -10000.0))
    rank = site.rank(mask, "mask")
    if rank == 1:
        attention = site.node.op_type == "Attention"
        return _length_mask(site, heads, mask, fill, with_starts=attention)

    def make() -> str:
        real = mask
        if rank == 4:  # (batch, 1, longest, longest): the first queries and keys of it
            zeros = site.constant("mask.from", [0, 0], np.int64)
            sizes = [site.size(heads.query, 2, "queries"), site.size(heads.key, 2, "keys")]
            rows = [site.reshape(size, [1], "mask.size") for size in sizes]
            stops = site.emit("Concat", rows, "mask.to", axis=0)
            axes = site.constant("mask.axes", [2, 3], np.int64)
            real = site.emit("Slice", [real, zeros, stops, axes], "mask.cut")
        positive = site.emit("Greater", [real, site.constant("mask.zero", 0, np.int32)], "mask.real")
        if rank < 4:
            positive = site.unsqueeze(positive, [1, 2] if rank == 2 else [1], "mask.broad")
        return _chosen(site, positive, fill, "mask")

    if rank not in (2, 3, 4):
        site.refuse(f"mask {mask} of {rank} axes", "it must have one to four; give a mask (batch, sequence)")
    sizes = (_extent(site, heads.query), _extent(site, heads.key)) if rank == 4 else ()
    return site.shared(("padding", mask, fill, sizes), make)


def _length_mask(site: Site, heads: Heads, lengths: str, fill: float, with_starts: bool) -> str:
    """Lengths (batch), or those, then starts (2 * batch), as what is added to the scores.

    Where neither the axis of lengths nor the batch is known to tell the two apart, zeros after the
    lengths stand in for starts that are not given.
    """
    key = "lengths", lengths, fill, _extent(site, heads.key), with_starts
    batch, given = site.dim(heads.query, 0), site.dim(lengths, 0)
    known = isinstance(batch, int) and isinstance(given, int)
    exact = batch is not None and batch == given
    with_starts = with_starts and not exact and not (known and given != 2 * int(batch or 0))

    def positions(kind: str, of: str) -> str:
        wide = site.emit("Cast", [of], f"{kind}.wide", to=TensorProto.INT64)
        return site.reshape(wide, [-1, 1, 1, 1], f"{kind}.column")

    def make() -> str:
        zero, one = (site.constant(f"positions.{n}", i, np.int64) for i, n in enumerate(("from", "by")))
        place = site.emit("Range", [zero, site.size(heads.key, 2, "keys"), one], "positions")
        if exact:
            return _chosen(site, site.emit("Less", [place, positions("ends", lengths)], "real"), fill, "mask")
        count = site.reshape(site.size(heads.query, 0, "batch"), [1], "batch.row")
        first, axis = (site.constant(f"ends.{n}", [0], np.int64) for n in ("from", "axis"))
        ends = site.emit("Slice", [lengths, first, count, axis], "ends")
        real = site.emit("Less", [place, positions("ends", ends)], "before_end")
        if with_starts:
            none = site.emit("Sub", [lengths, lengths], "no_starts")
            both = site.emit("Concat", [lengths, none], "ends_and_starts", axis=0)
            twice = site.emit("Add", [count, count], "batch.twice")
            starts = site.emit("Slice", [both, count, twice, axis], "starts")
            before = site.emit("Less", [place, positions("starts", starts)], "before_start")
            real = site.emit("And", [real, site.emit("Not", [before], "after_start")], "real")
        return _chosen(site, real, fill, "mask")

    return site.shared(key, make)


def _causal_mask(site: Site, heads: Heads, added: str) -> str:
    """What is added already, and the lowest number for the keys after each query's own."""

    def allowed() -> str:
        zero, one = (site.constant(f"causal.{n}", i, np.int64) for i, n in enumerate(("from", "by")))
        queries = site.emit("Range", [zero, site.size(heads.query, 2, "queries"), one], "causal.queries")
        keys = site.emit("Range", [zero, site.size(heads.key, 2, "keys"), one], "causal.keys")
        later = site.emit("Less", [site.unsqueeze(queries, [1], "causal.column"), keys], "causal.later")
        return site.emit("Not", [later], "causal.allowed")

    sizes = _extent(site, heads.query), _extent(site, heads.key)
    triangle = site.shared(("causal", sizes), allowed)
    key = ("causal", sizes, added)
    return site.shared(key, lambda: _chosen(site, triangle, LOWEST, "causal", added))


def _chosen(site: Site, real: str, fill: float, name: str, otherwise: str = "") -> str:
    """Zero, or another value, where a condition holds, else the fill value."""
    kept = otherwise or site.constant(f"{name}.none", 0.0)
    return site.emit("Where", [real, kept, site.constant(f"{name}.fill", fill)], name)


def _extent(site: Site, x: str) -> tuple[Dim, str]:
    """How long a sequence is, to tell two apart: its known size, else the value itself."""
    dim = site.dim(x, 2)
    return (dim, "") if dim is not None else (None, x)
