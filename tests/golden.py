"""Golden hashes: the codes and exponents of every stored tensor, as the plain-integer specs give them.

`python tests/golden.py` writes golden.json anew. It uses the interpreter, which computes with the units'
specs alone; the tests hold the compiled kernels against what is committed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from variants import BCT64, machine

import blocksim as bs
from blocksim import Experiment, zoo
from blocksim.engine.boundary import Stored
from blocksim.trace import Trace
from hwmodels import machines

FILE = Path(__file__).parent / "golden.json"
TRACES = Path(__file__).parents[1] / "traces"

PLANS = (
    ("bct-int8", "64x64"),
    ("bct-int8", "16x16"),
    ("bct-int8", "8x8"),
    ("bct-int8-strict", "16x16"),
    ("bct-w4a8", "16x16"),
    ("layerwise-shift8", None),
)

FORMATS = (
    "bfp-w6a6", "bfp-w6a6-strict", "bfp-w6a6-last", "bm8", "bl8", "minifloat8", "dmf8", "fixed8", "mxint8",
    "mxfp8", "mxfp6", "mxfp4", "bct-int8-fp8", "bct-int8-log2", "bct-int8-logsqrt2",
)  # fmt: skip
"""Plans of other formats, on the shipped machine."""

MACHINES = {
    "bct64": BCT64,
    "edge16": machines.load("edge16"),
    "tpu128": machines.load("tpu128"),
    "output-stationary": machine(array={"dataflow": "os"}, aligner={"depth": "segment"}),
    "input-stationary": machine(array={"dataflow": "is"}),
    "exact bound": machine(aligner={"normalise": "exact"}),
    "running bound": machine(aligner={"normalise": "running"}),
    "wrapping, half up": machine(
        accumulator={"bits": 18, "overflow": "wrap"}, aligner={"rounding": "half_up", "guard_bits": 2}
    ),
}

Case = tuple[Trace, Mapping[str, Any]]


def vit(plan: str, block: str | None) -> Case:
    """The embedded ViT on one image."""
    model = zoo.load("vit_fashion")
    inputs = {"image": model.inputs["image"][3:4]}
    return Experiment(model.path, inputs, threads=1).compile(plan, block), inputs


def bert(plan: str, block: str | None, on: str) -> Case:
    """A small BERT with made-up weights on one padded sentence."""
    rng = np.random.default_rng(4)
    ids = rng.integers(1, 290, (1, 12))
    mask = (np.arange(12) < 9).astype(np.int64)[None]
    inputs = {"input_ids": ids * mask, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    experiment = Experiment(
        TRACES / "bert_tiny.onnx", inputs, bind={"seq": 12}, weights="generator", threads=1
    )
    return experiment.compile(plan, block, MACHINES[on]), inputs


def cases() -> dict[str, Any]:
    """Every case by name: what makes it, and with what."""
    small = {f"vit {plan} {block or ''}".strip(): (vit, plan, block) for plan, block in PLANS}
    formats = {f"bert_tiny {plan} bct64": (bert, plan, None, "bct64") for plan in FORMATS}
    return (
        small
        | formats
        | {
            f"bert_tiny {plan} {block} {on}": (bert, plan, block, on)
            for on in MACHINES
            for plan, block in (("bct-int8", "16x16"), ("bct-w4a8", "8x8"))
        }
    )


def made(name: str) -> Case:
    """The trace and the inputs of a case."""
    make, *arguments = cases()[name]
    return make(*arguments)  # type: ignore[no-any-return]


def certain(trace: Trace) -> list[str]:
    """The tensors that no floating-point arithmetic of the host precedes: the same bits on any CPU.

    A host's operator before the first of the datapath only lays inputs out.
    """
    computed: list[str] = []
    for op in trace.manifest.operators:
        if op.kind == "host":
            if computed:
                break
            continue
        computed += [operand.tensor for operand in (op.out, op.copy_) if operand is not None]
    return sorted(computed)


def digest(trace: Trace, tensors: Mapping[str, Stored]) -> str:
    """One hash of codes and exponents."""
    total = hashlib.sha256()
    for name in certain(trace):
        codes, exponents = tensors[name]
        total.update(name.encode())
        total.update(np.ascontiguousarray(codes, np.int16).tobytes())
        total.update(np.ascontiguousarray(exponents, np.int16).tobytes())
    return total.hexdigest()


def interpreted(name: str) -> str:
    """The hash as the plain-integer specs give it."""
    trace, inputs = made(name)
    return digest(trace, bs.interpret(trace, inputs).tensors)


if __name__ == "__main__":
    FILE.write_text(json.dumps({name: interpreted(name) for name in cases()}, indent=1) + "\n")
