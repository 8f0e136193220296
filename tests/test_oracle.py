"""The simulator against a float64 emulation of the same plan."""

from __future__ import annotations

import numpy as np
import pytest
from oracle import Oracle

from blocksim import Experiment
from blocksim.zoo import ZooModel

SAMPLES = 40


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a.ravel() @ b.ravel() / np.linalg.norm(a) / np.linalg.norm(b))


@pytest.fixture(scope="module")
def experiment(vit: ZooModel) -> Experiment:
    return Experiment(vit.path, {"image": vit.inputs["image"][:SAMPLES]}, vit.labels[:SAMPLES])


OTHERS = (
    "bfp-w6a6", "bfp-w6a6-strict", "bfp-w6a6-last", "bfp-w4a4", "bm8", "bl8", "mxint8", "mxfp8", "mxfp6",
    "mxfp4", "minifloat8", "dmf8", "fixed8", "bct-int8-fp8", "bct-int8-log2", "bct-int8-logsqrt2",
)  # fmt: skip
"""Plans with blocks of their own."""

COARSE = {"bfp-w6a6-strict": 0.996, "bfp-w4a4": 0.99, "mxfp4": 0.99, "bl8": 0.96}
"""How near outputs and oracle stand where few codes are left, in which a step to the next is large."""


@pytest.mark.parametrize(
    ("plan", "block"),
    [
        ("bct-int8", "64x64"),
        ("bct-int8", "16x16"),
        ("bct-int8", "8x8"),
        ("bct-int8", "1x16"),
        ("bct-int8-strict", "64x64"),
        ("bct-w4a8", "64x64"),
        ("bct-w4a8", "16x16"),
        ("layerwise-shift8", None),
        *((plan, None) for plan in OTHERS),
    ],
)
def test_mean_cosine_is_that_of_the_oracle(experiment: Experiment, plan: str, block: str | None) -> None:
    report = experiment.run(plan, block)
    assert report.trace is not None
    oracle = Oracle(experiment.graph, report.trace)
    reference, ours = experiment.reference["logits"], report.outputs["logits"]
    images = experiment.inputs["image"]
    exact = [oracle.run({"image": images[i : i + 1]})["logits"] for i in range(SAMPLES)]
    by_oracle = np.mean([cosine(r, e) for r, e in zip(reference, exact, strict=True)])
    by_us = np.mean([cosine(r, o) for r, o in zip(reference, ours, strict=True)])
    assert abs(by_us - by_oracle) <= 0.005
    # and not by luck: the two stand nearer to each other than a wrong unit would let them
    assert np.mean([cosine(o, e) for o, e in zip(ours, exact, strict=True)]) > COARSE.get(plan, 0.9985)
