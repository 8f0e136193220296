"""One model of whatever commit of blocksim is on the path, executed again whenever a line comes in.

``python bench/one_model.py "ViT, batch 64, bct-int8 64x64"`` prints where blocksim lies, then for each line
that it reads the seconds of a warm execution, the median of some. It uses nothing but the public face, so
that it also runs at commits before it was written.
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

REST, WARM, CALLS = 0.3, 3, 7
"""Seconds before a turn, calls that are not timed, and calls that are."""


def main() -> None:
    """Compile and link, then take turns until the input ends."""
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
    print(bs.__file__, flush=True)
    for _ in sys.stdin:
        time.sleep(REST)
        times = []
        for _ in range(WARM + CALLS):
            start = time.perf_counter()
            bs.execute(linked, x, threads=2)
            times.append(time.perf_counter() - start)
        print(statistics.median(times[WARM:]), flush=True)


if __name__ == "__main__":
    main()
