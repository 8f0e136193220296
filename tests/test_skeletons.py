"""Skeletons: nothing trained and nothing of the machine in them, and filled they compute the model.

Weights are generated, or are the real ones where ``.models/minilm`` was fetched.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file

from blocksim.zoo import texts

ROOT = Path(__file__).parents[1]
TRACES = ROOT / "traces"
MINILM = sorted((TRACES / "minilm").glob("*.onnx"))
SKELETONS = [*sorted(TRACES.glob("*.onnx")), *MINILM]
TEXT = ["bert_base", "bert_tiny", "distilbert_tiny", "roberta_tiny"]
IMAGE = ["deit_tiny", "vit_tiny"]
REAL = ("input_ids", "attention_mask", "token_type_ids", "pixel_values")
LARGE = 1024
LENGTHS = (9, 21, 2, 14)

Arrays = Mapping[str, NDArray[Any]]


def test_all_are_there() -> None:
    assert [path.stem for path in MINILM] == ["dynamo18", "dynamo23", "tracing11", "tracing14", "tracing17"]
    assert {path.stem for path in SKELETONS} >= {*TEXT, *IMAGE}


@pytest.mark.parametrize("path", SKELETONS, ids=lambda path: path.stem)
def test_only_structure(path: Path) -> None:
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert model.ir_version <= 13
    assert path.stat().st_size < 200_000
    tensors = [*model.graph.initializer, *(a.t for node in model.graph.node for a in node.attribute)]
    assert max(np.prod(tensor.dims, dtype=int) for tensor in tensors) < LARGE
    floats = [t for t in tensors if t.data_type in (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE)]
    assert max(np.prod(tensor.dims, dtype=int) for tensor in floats) == 1
    assert not any(re.search(r"\.(weight|bias)$", tensor.name) for tensor in tensors)


@pytest.mark.parametrize("path", SKELETONS, ids=lambda path: path.stem)
def test_nothing_of_the_machine(path: Path) -> None:
    model, data = onnx.load(path), path.read_bytes()
    assert not re.search(rb"/(root|tmp|home|usr|opt|work|Users|mnt|var)/|\.py\b|[A-Z]:\\|site-packages", data)
    assert b"/root" not in data
    assert b"/tmp" not in data
    assert not model.metadata_props
    assert not model.producer_name
    parts = [model, model.graph, *model.graph.node, *model.graph.input, *model.graph.output]
    assert not any(part.doc_string or part.metadata_props for part in parts)


@pytest.mark.parametrize("path", SKELETONS, ids=lambda path: path.stem)
def test_inputs_and_output(path: Path) -> None:
    model = onnx.load(path)
    shapes = {
        value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in [*model.graph.input, *model.graph.output]
    }
    for name in REAL[:3]:
        assert shapes.get(name, ["batch", "seq"]) == ["batch", "seq"]
    assert shapes.get("pixel_values", ["batch", 3, 32, 32]) == ["batch", 3, 32, 32]
    for value in model.graph.input:
        if value.name not in REAL:
            assert all(isinstance(size, int) for size in shapes[value.name])
            assert value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    if path in MINILM:
        assert shapes["sentence_embedding"] == ["batch", 384]


def weights_of(model: onnx.ModelProto) -> dict[str, NDArray[np.float32]]:
    """Weights by name: norms about one, biases about zero, matrices that keep the size of what they carry."""
    made = {}
    for value in model.graph.input:
        if value.name in REAL:
            continue
        shape = [d.dim_value for d in value.type.tensor_type.shape.dim]
        noise = np.random.default_rng(zlib.crc32(value.name.encode())).normal(size=shape)
        if len(shape) == 1:
            noise = 0.1 * noise + (re.search(r"norm.*\.weight$", value.name, re.IGNORECASE) is not None)
        elif "embedding" not in value.name:
            noise /= np.sqrt(np.prod(shape[1:]))
        made[value.name] = noise.astype(np.float32)
    return made


def batch_of(lengths: tuple[int, ...], vocabulary: int) -> dict[str, NDArray[np.int64]]:
    """Padded texts; what stands under the padding is not zero, and must not matter."""
    ids = np.random.default_rng(1).integers(3, vocabulary, (len(lengths), max(lengths)))
    mask = (np.arange(max(lengths)) < np.array(lengths)[:, None]).astype(np.int64)
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}


class Encoder:
    """A skeleton in onnxruntime, given what it asks for and no more."""

    def __init__(self, model: onnx.ModelProto) -> None:
        options = ort.SessionOptions()
        options.log_severity_level = 3
        self.session = ort.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, *feeds: Arrays) -> NDArray[np.float32]:
        every = {name: array for feed in feeds for name, array in feed.items()}
        (output,) = self.session.run(None, {i.name: every[i.name] for i in self.session.get_inputs()})
        return np.asarray(output)


@pytest.fixture(scope="module")
def minilm_weights() -> dict[str, NDArray[np.float32]]:
    path = ROOT / ".models" / "minilm" / "model.safetensors"
    if not path.exists():
        pytest.skip("no .models/minilm: run 'blocksim fetch minilm --out .models'")
    return load_file(path)


def agree(weights: Arrays) -> None:
    batch = batch_of(LENGTHS, 30522)
    outputs = [Encoder(onnx.load(path))(batch, weights) for path in MINILM]
    assert outputs[0].shape == (len(LENGTHS), 384)
    np.testing.assert_allclose(np.linalg.norm(outputs[0], axis=1), 1, atol=1e-5)
    assert np.abs(outputs[0][0] - outputs[0][1]).max() > 0.01
    for output in outputs[1:]:
        np.testing.assert_allclose(output, outputs[0], rtol=0, atol=1e-5)


def test_all_ways_of_export_agree_on_generated_weights() -> None:
    models = [onnx.load(path) for path in MINILM]
    names = [{value.name for value in model.graph.input} for model in models]
    assert all(set_of_names == names[0] for set_of_names in names)
    assert len(names[0]) == 3 + 101
    agree(weights_of(models[0]))


def test_all_ways_of_export_agree_on_real_weights(minilm_weights: Arrays) -> None:
    for value in onnx.load(MINILM[0]).graph.input:
        if value.name not in REAL:
            shape = tuple(d.dim_value for d in value.type.tensor_type.shape.dim)
            assert minilm_weights[value.name].shape == shape, value.name
    agree(minilm_weights)


@pytest.mark.parametrize("name", [*TEXT, "minilm/dynamo18", "minilm/tracing11"])
def test_padding_does_not_matter(name: str) -> None:
    """Each text alone gives what it gives in a padded batch."""
    model = onnx.load(TRACES / f"{name}.onnx")
    weights, encode = weights_of(model), Encoder(model)
    (vocabulary,) = [len(array) for key, array in weights.items() if "word_embeddings" in key]
    batch = batch_of(LENGTHS, vocabulary)
    if name == "roberta_tiny":
        batch["input_ids"] = np.where(batch["attention_mask"], batch["input_ids"], 1)  # its positions skip 1
    together = encode(batch, weights)
    assert np.isfinite(together).all()
    for row, length in enumerate(LENGTHS):
        alone = encode({key: value[row : row + 1, :length] for key, value in batch.items()}, weights)
        want = together[row, :length] if together.ndim == 3 else together[row]
        np.testing.assert_allclose(alone[0], want, rtol=0, atol=2e-5 * np.abs(want).max())


@pytest.mark.parametrize("name", IMAGE)
def test_images_do_not_mix(name: str) -> None:
    model = onnx.load(TRACES / f"{name}.onnx")
    weights, classify = weights_of(model), Encoder(model)
    images = np.random.default_rng(2).normal(size=(4, 3, 32, 32)).astype(np.float32)
    together = classify({"pixel_values": images}, weights)
    assert together.shape == (4, 10)
    assert np.std(together, axis=0).min() > 1e-3
    for row in range(4):
        alone = classify({"pixel_values": images[row : row + 1]}, weights)
        np.testing.assert_allclose(alone[0], together[row], rtol=0, atol=1e-5)


def test_fp32_scores(minilm_weights: Arrays) -> None:
    """What the trained model reaches in float32: the figures that any quantised run is held against."""
    pytest.importorskip("tokenizers", reason="the extra 'models' is not installed")
    folder, encode = ROOT / ".models" / "minilm", Encoder(onnx.load(TRACES / "minilm" / "tracing17.onnx"))

    def embed(given: list[str]) -> NDArray[np.float32]:
        tokens, made = texts.tokenise(folder, given), np.zeros((len(given), 384), np.float32)
        for rows in texts.grouped(tokens).values():
            ids = np.stack([tokens[row] for row in rows])
            feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
            made[rows] = encode(feeds | {"token_type_ids": np.zeros_like(ids)}, minilm_weights)
        return made

    lee = texts.lee50(folder)
    pearson, spearman = texts.lee_correlations(embed(list(lee.texts)), lee.ratings)
    assert pearson == pytest.approx(0.6564, abs=2e-4)
    assert spearman == pytest.approx(0.5083, abs=1e-3)

    snippets = texts.snippets(folder)
    parts = texts.split(snippets)
    fit, test = (embed([snippets.texts[i] for i in part]) for part in (parts.fit, parts.test))
    weights = texts.fit_head(fit, snippets.labels[parts.fit])
    assert texts.head_accuracy(weights, test, snippets.labels[parts.test]) == pytest.approx(0.767, abs=0.003)
