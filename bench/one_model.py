"""Seconds of one warm execution of a model, with whatever commit of blocksim is on the path.

It uses nothing but the public face, so that it also runs at commits before it was written.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

import numpy as np

import blocksim as bs
from blocksim.compiler import compile_graph
from blocksim.compiler.precision import load
from blocksim.graph.weights import weight_source
from hwmodels import machines

CALLS = 9


def main() -> None:
    """Print the median."""
    model, size, plan = sys.argv[1].split(", ")
    name, block = plan.split()
    if model == "ViT":
        vit = bs.zoo.load("vit_fashion")
        graph = bs.import_onnx(vit.path)
        x = {"image": vit.inputs["image"][: int(size.split()[1])]}
    else:
        tokens = int(size.split()[0])
        skeleton = Path(__file__).parent.parent / "traces" / "minilm" / "dynamo18.onnx"
        source = weight_source("generator")
        graph = bs.import_onnx(skeleton, weights=source, bind={"batch": 1, "seq": tokens})
        ids = np.random.default_rng(0).integers(5, 20_000, (1, tokens))
        x = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    linked = bs.link(compile_graph(graph, machines.load("bct64"), load(name, block)))
    times = []
    for _ in range(CALLS + 2):
        start = time.perf_counter()
        bs.execute(linked, x, threads=2)
        times.append(time.perf_counter() - start)
    print(statistics.median(times[2:]))


if __name__ == "__main__":
    main()
