"""Rotary positions taken apart: pairs of each head turned by the angle of their position."""

from __future__ import annotations

from blocksim.graph.unfuse.site import END, Site


def rotary_embedding(site: Site) -> None:
    """ONNX's own RotaryEmbedding (opset 23 and newer)."""
    x, cosine, sine, places = (site.input(i) for i in range(4))
    half = site.dim(cosine, -1)
    if not isinstance(half, int):
        site.refuse(f"cos_cache {cosine}", "its last axis is unknown; save the model with inferred shapes")
    flat = site.rank(x, "X") == 3
    if flat:
        heads = site.attribute("num_heads", 0)
        if not heads:
            site.refuse("num_heads", "an operand of three axes needs it")
        x = site.reshape(x, [0, 0, heads, -1], "split")
    if places:
        cosine = site.emit("Gather", [cosine, places], "cosine.placed", axis=0)
        sine = site.emit("Gather", [sine, places], "sine.placed", axis=0)
    axis = [2] if flat else [1]
    cosine, sine = site.unsqueeze(cosine, axis, "cosine"), site.unsqueeze(sine, axis, "sine")
    interleaved = bool(site.attribute("interleaved", 0))
    if interleaved:
        first, second = (site.slice(x, i, 2 * half, 3, n, 2) for i, n in enumerate(("first", "second")))
    else:
        first, second = (
            site.slice(x, i * half, (i + 1) * half, 3, n) for i, n in ((0, "first"), (1, "second"))
        )
    products = {
        (part, turn): site.emit("Mul", [of, by], f"{part}.{turn}")
        for part, of in (("first", first), ("second", second))
        for turn, by in (("cosine", cosine), ("sine", sine))
    }
    turned = [
        site.emit("Sub", [products["first", "cosine"], products["second", "sine"]], "first.turned"),
        site.emit("Add", [products["first", "sine"], products["second", "cosine"]], "second.turned"),
    ]
    if interleaved:
        pairs = [site.unsqueeze(t, [4], f"pair.{i}") for i, t in enumerate(turned)]
        turned = [site.reshape(site.emit("Concat", pairs, "pairs", axis=4), [0, 0, 0, -1], "turned")]
    if site.attribute("rotary_embedding_dim", 0):
        turned.append(site.slice(x, 2 * half, END, 3, "rest"))
    if not flat:
        site.emit("Concat", turned, "joined", into=site.output(0), axis=3)
        return
    site.reshape(site.emit("Concat", turned, "joined", axis=3), [0, 0, -1], "merged", site.output(0))
