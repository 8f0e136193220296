"""What a model gives, as one hash: run in a process of its own, whose environment says on what processor."""

from __future__ import annotations

import hashlib

import blocksim as bs
from blocksim.compiler import compile_graph
from blocksim.compiler.precision import load
from hwmodels import machines

CASES = (
    ("bct-int8", "16x16"), ("bct-w4a8", "8x8"), ("layerwise-shift8", None), ("mxfp8", None), ("bl8", None),
)  # fmt: skip


def digest() -> str:
    """Of every stored tensor and count of two images, under a few plans, by one thread and by a team."""
    model, hashed = bs.zoo.load("vit_fashion"), hashlib.sha256()
    graph, images = bs.import_onnx(model.path), model.inputs["image"][:2]
    for plan, block in CASES:
        trace = compile_graph(graph, machines.load("bct64"), load(plan, block))
        linked = bs.link(trace)
        for count, threads in ((2, 1), (1, 2)):
            given = {"image": images[:count]}
            got = bs.execute(linked, given, probe=tuple(trace.manifest.tensors), threads=threads)
            for name in trace.manifest.tensors:
                for codes, exponents in got.probes[name]:
                    hashed.update(codes.astype("<i2").tobytes() + exponents.astype("<i2").tobytes())
            hashed.update(repr(sorted(got.counts.items())).encode())
    return hashed.hexdigest()


if __name__ == "__main__":
    print(digest())
