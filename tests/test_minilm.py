"""MiniLM with its trained weights: needs what ``make models`` fetches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from oracle import Oracle

import blocksim as bs
from blocksim.zoo import texts
from blocksim.zoo.minilm import MiniLM

FOLDER = Path(__file__).parents[1] / ".models" / "minilm"
DOCUMENTS = 8

OTHERS = (
    "bfp-w6a6-strict", "bfp-w6a6-last", "bfp-w4a4", "bm8", "bl8", "minifloat8", "dmf8", "fixed8", "mxint8",
    "mxfp8", "mxfp6", "mxfp4", "bct-int8-fp8", "bct-int8-log2", "bct-int8-logsqrt2",
)  # fmt: skip
"""Plans that are held against their oracle alone: how near they come to fp32 is for the README to say."""

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="MiniLM is not there; make models fetches it")


@pytest.fixture(scope="module")
def model() -> MiniLM:
    return MiniLM(FOLDER, threads=2, snippets=60)


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a.ravel() @ b.ravel() / np.linalg.norm(a) / np.linalg.norm(b))


@pytest.mark.parametrize(
    ("plan", "block", "at_least"),
    [
        ("bct-int8", "128x128", 0.97),
        ("bct-int8", "64x64", 0.985),
        ("bct-int8", "32x32", 0.99),
        ("bct-int8", "16x16", 0.995),
        ("layerwise-lin8", None, 0.97),
        ("bfp-w6a6", None, 0.985),
        *(pytest.param(plan, None, -1, marks=pytest.mark.verify) for plan in OTHERS),
    ],
)
def test_lee_documents_as_the_oracle_has_them(
    model: MiniLM, plan: str, block: str | None, at_least: float
) -> None:
    """Mean cosine to fp32 within 0.005 of the float64 emulation of the same plan."""
    configured = model.configure(plan, block)
    tokens = model.lee_tokens[:DOCUMENTS]
    ours, reference = configured.embed(tokens), model.reference(tokens)
    by_oracle = []
    constants: dict[str, np.ndarray] = {}
    for ids, wanted in zip(tokens, reference, strict=True):
        oracle = Oracle(model.graph(len(ids)), configured.trace(len(ids)), constants)
        inputs = {"input_ids": ids[None], "attention_mask": np.ones((1, len(ids)), np.int64)}
        inputs["token_type_ids"] = np.zeros_like(inputs["input_ids"])
        by_oracle.append(cosine(wanted, oracle.run(inputs)["sentence_embedding"]))
    by_us = [cosine(r, o) for r, o in zip(reference, ours, strict=True)]
    assert abs(np.mean(by_us) - np.mean(by_oracle)) <= 0.005
    assert np.mean(by_us) >= at_least


def test_correlations_with_human_ratings(model: MiniLM) -> None:
    """fp32 as published for these texts, and int8 in blocks of 64x64 near it."""
    reference, _ = texts.lee_correlations(model.lee_reference, model.lee.ratings)
    ours, _ = texts.lee_correlations(
        model.configure("bct-int8", "64x64").embed(model.lee_tokens), model.lee.ratings
    )
    assert reference == pytest.approx(0.656, abs=0.001)
    assert abs(ours - reference) < 0.02


def test_padding_changes_no_bit(model: MiniLM) -> None:
    """Eight snippets of mixed lengths, alone and padded in one batch."""
    configured = model.configure("bct-int8", "64x64")
    tokens = model.test_tokens[:8]
    alone = []
    for own in tokens:
        linked = bs.link(configured.trace(len(own)))
        alone.append(bs.execute(linked, texts.padded([own], len(own))).outputs["sentence_embedding"][0])
    longest = max(map(len, tokens)) + 2
    linked = bs.link(configured.trace(longest))
    together = bs.execute(linked, texts.padded(tokens, longest), threads=2).outputs["sentence_embedding"]
    assert (together == np.stack(alone)).all()
    assert (configured.embed(tokens) == together).all()
