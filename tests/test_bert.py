"""BERT-shaped models: exporters, masks, and every knob of the machine, held against the interpreter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from oracle import Oracle
from test_engine import assert_equal_to_interpreter
from variants import machine

import blocksim as bs
from blocksim import Experiment
from blocksim.graph.ir import Gather, Host, Lut, Matmul, Norm, Softmax
from blocksim.measure.footprint import measure_footprint
from hwmodels import machines

TRACES = Path(__file__).parents[1] / "traces"
EXPORTS = ("dynamo18", "dynamo23", "tracing11", "tracing14", "tracing17")
TOKENS = 10

Inputs = dict[str, np.ndarray]


def sentences(lengths: list[int], tokens: int, vocabulary: int, seed: int = 0) -> Inputs:
    """Random sentences, padded."""
    rng = np.random.default_rng(seed)
    mask = (np.arange(tokens) < np.array(lengths)[:, None]).astype(np.int64)
    ids = rng.integers(1, vocabulary, mask.shape) * mask
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}


def tiny(inputs: Inputs, name: str = "bert_tiny", calibrated: bool = True) -> Experiment:
    tokens = inputs["input_ids"].shape[1]
    samples = sentences([tokens] * 4, tokens, 290, seed=9)
    known = {k: v for k, v in inputs.items() if k != "token_type_ids" or name == "bert_tiny"}
    return Experiment(
        TRACES / f"{name}.onnx",
        known,
        bind={"seq": tokens},
        weights="generator",
        threads=1,
        calibration={k: samples[k] for k in known} if calibrated else None,
    )


@pytest.fixture(scope="module")
def bert() -> Experiment:
    return tiny(sentences([7], TOKENS, 290))


TIGHT = {"array": {"rows": 8, "columns": 8}, "vector": {"buffer_kib": 1}}
"""Small tiles, so that blocks outgrow them."""

MACHINES: dict[str, dict[str, dict[str, object]]] = {
    "as it is": {},
    "output-stationary": {"array": {"dataflow": "os"}, "aligner": {"depth": "segment"}},
    "input-stationary": {"array": {"dataflow": "is"}},
    "raw bank": {"array": {"rows": 16}, "aligner": {"depth": "segment"}},
    "exact bound": {"aligner": {"normalise": "exact"}},
    "running bound": {"aligner": {"normalise": "running", "guard_bits": 2}},
    "running, flooring": {"aligner": {"normalise": "running", "guard_bits": -2, "rounding": "floor"}},
    "static exponents": {"requantizer": {"exponents": "static"}},
    "separate passes": {"requantizer": {"passes": "separate"}},
    "windows": {"sram": {"activations": {"kib": 2, "banks": 1}}, **TIGHT},
    "windows, output-stationary": {
        "sram": {"activations": {"kib": 3, "banks": 1}},
        "aligner": {"depth": "segment"},
        "array": {"rows": 8, "columns": 8, "dataflow": "os"},
        "vector": {"buffer_kib": 1},
    },
}


@pytest.mark.parametrize("on", MACHINES)
@pytest.mark.parametrize(
    ("plan", "block"), [("bct-int8", "16x16"), ("bct-w4a8", "5x7"), ("layerwise-lin8", None)]
)
def test_execute_equals_the_interpreter(bert: Experiment, plan: str, block: str | None, on: str) -> None:
    trace = bert.compile(plan, block, machine(**MACHINES[on]))
    lost = assert_equal_to_interpreter(trace, bert.inputs)
    assert lost["overflows"] == 0
    if on.startswith("windows"):
        held = trace.program["a_window"][:, 1]
        assert ((held > 0) & (held < TOKENS)).any()


@pytest.mark.parametrize("axis", ["none", "K", "N"])
def test_int4_by_int4(bert: Experiment, tmp_path: Path, axis: str) -> None:
    plan = tmp_path / "w4a4.yaml"
    formats = {"weight": "int4", "activation": "int4", "vector": "int16", "bias": "int8", "embedding": "int8"}
    plan.write_text("".join(f"{role}: {element}@8x8\n" for role, element in formats.items()))
    trace = bert.compile(plan, machine=machine(array={"rows": 16, "columns": 16, "pack_axis": axis}))
    assert_equal_to_interpreter(trace, bert.inputs)


@pytest.mark.parametrize("name", ["edge16", "tpu128", "scalesim"])
def test_shipped_machines(bert: Experiment, name: str) -> None:
    assert_equal_to_interpreter(bert.compile("bct-int8", "128x128", name), bert.inputs)


# -- exporters ---------------------------------------------------------------------------------

HOST_OPS = ("attention_mask.encode",)
"""All that MiniLM leaves to the host: handing the mask over as a row, for the mean over tokens."""


def minilm(export: str, inputs: Inputs) -> Experiment:
    tokens = inputs["input_ids"].shape[1]
    path = TRACES / "minilm" / f"{export}.onnx"
    return Experiment(path, inputs, bind={"seq": tokens}, weights="generator:3", threads=2)


@pytest.fixture(scope="module")
def padded() -> Inputs:
    return sentences([12, 3, 9, 1, 12, 5, 7, 11], 12, 30_000)


@pytest.fixture(scope="module")
def exported(padded: Inputs) -> dict[str, Experiment]:
    return {export: minilm(export, padded) for export in EXPORTS}


@pytest.mark.parametrize(
    ("plan", "block"), [("bct-int8", "64x64"), ("bct-int8", "5x7"), ("layerwise-shift8", None)]
)
def test_exports_and_padding_change_no_bit(
    exported: dict[str, Experiment], padded: Inputs, plan: str, block: str | None
) -> None:
    results = {}
    for export, experiment in exported.items():
        trace = experiment.compile(plan, block)
        assert tuple(op.name for op in trace.manifest.operators if op.kind == "host") == HOST_OPS
        results[export] = bs.execute(bs.link(trace), padded, threads=2).outputs["sentence_embedding"]
    first = results["dynamo18"]
    assert np.isfinite(first).all() and np.ptp(first) > 0
    for export in EXPORTS:
        assert (results[export] == first).all(), export
    for i, length in enumerate(padded["attention_mask"].sum(axis=1)):
        alone = {name: array[i : i + 1, :length] for name, array in padded.items()}
        trace = minilm("dynamo18", alone).compile(plan, block)
        assert (bs.execute(bs.link(trace), alone).outputs["sentence_embedding"][0] == first[i]).all(), i


def test_the_graph_is_the_model(exported: dict[str, Experiment]) -> None:
    for experiment in exported.values():
        kinds = [type(op) for op in experiment.graph.operators]
        assert kinds.count(Gather) == 2
        assert kinds.count(Softmax) == kinds.count(Lut) == 6
        assert kinds.count(Norm) == 6 * 2 + 1 + 1
        assert kinds.count(Matmul) == 6 * 8 + 1
        assert kinds.count(Host) == 1
        assert experiment.graph.host_macs == 0
        assert experiment.graph.padding == "attention_mask"


@pytest.mark.parametrize("export", EXPORTS)
def test_canonical_is_the_file(exported: dict[str, Experiment], export: str) -> None:
    """The fp32 reference, sample by sample, is the file's own graph on the padded batch."""
    import onnxruntime as ort

    experiment = exported[export]
    session = ort.InferenceSession(experiment.graph.source, providers=["CPUExecutionProvider"])
    names = {i.name for i in session.get_inputs()}
    feeds = {
        **{k: np.asarray(v) for k, v in experiment.graph.filled.items() if k in names},
        **experiment.inputs,
    }
    (want,) = session.run(None, feeds)
    assert np.abs(experiment.reference["sentence_embedding"] - want).max() < 1e-5


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("bert_tiny", {"pooler.dense.tanh": ("Tanh",)}),
        ("distilbert_tiny", {}),
        ("roberta_tiny", {"input.gather": None, "input.gather_1": None}),
    ],
)
def test_other_encoders(name: str, host: dict[str, tuple[str, ...] | None]) -> None:
    experiment = tiny(sentences([7, 10, 4], TOKENS, 290), name, calibrated=False)
    left = {op.name: op for op in experiment.graph.operators if isinstance(op, Host)}
    assert set(left) == set(host)
    assert experiment.graph.host_macs == 0
    report = experiment.run("bct-int8", "8x8")
    (error,) = report.data.outputs.values()
    assert error.cosine is not None and error.cosine > 0.99


@pytest.mark.parametrize("name", ["vit_tiny", "deit_tiny"])
def test_vision_transformers_with_class_tokens(name: str) -> None:
    images = np.random.default_rng(2).normal(size=(3, 3, 32, 32)).astype(np.float32)
    experiment = Experiment(TRACES / f"{name}.onnx", {"pixel_values": images}, weights="generator", threads=1)
    assert experiment.graph.host_macs == 0
    assert {t for op in experiment.graph.operators if isinstance(op, Host) for t in op.op_types} <= {
        "Slice", "Reshape", "Transpose", "Pad", "Gather",
    }  # fmt: skip
    report = experiment.run("bct-int8", "8x8")
    (error,) = report.data.outputs.values()
    assert error.cosine is not None and error.cosine > 0.99
    assert report.trace is not None
    assert_equal_to_interpreter(report.trace, {"pixel_values": images[:1]})


# -- the oracle --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("plan", "block", "on"),
    [
        ("bct-int8", "16x16", "as it is"),
        ("bct-int8", "16x16", "exact bound"),
        ("bct-int8", "16x16", "running bound"),
        ("bct-int8-strict", "16x16", "as it is"),
        ("layerwise-shift8", None, "as it is"),
        ("layerwise-lin8", None, "as it is"),
        ("bct-int8", "16x16", "static exponents"),
    ],
)
def test_mean_cosine_is_that_of_the_oracle(plan: str, block: str | None, on: str) -> None:
    lengths = [7, 10, 3, 10, 5, 9]
    experiment = tiny(sentences(lengths, TOKENS, 290))
    trace = experiment.compile(plan, block, machine(**MACHINES[on]))
    ours = bs.execute(bs.link(trace), experiment.inputs).outputs["pooler_output"]
    oracle = Oracle(experiment.graph, trace)
    cosines = []
    for i, (reference, mine) in enumerate(zip(experiment.reference["pooler_output"], ours, strict=True)):
        exact = oracle.run({name: array[i : i + 1] for name, array in experiment.inputs.items()})
        exact = exact["pooler_output"]
        cosines.append([cosine(reference, mine), cosine(reference, exact), cosine(mine, exact)])
    by_us, by_oracle, between = np.mean(cosines, axis=0)
    assert abs(by_us - by_oracle) <= 0.005
    assert between > 0.995


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a.ravel() @ b.ravel() / np.linalg.norm(a) / np.linalg.norm(b))


# -- where machines must agree -----------------------------------------------------------------


@pytest.mark.parametrize("block", ["tensor", "row", "channel", "128x128"])
@pytest.mark.parametrize("depth", ["fold", "segment"])
def test_small_and_large_machines(bert: Experiment, block: str, depth: str) -> None:
    """Under one exponent along the reduction nothing is rounded before the requantizer, so that the
    array's depth cannot show; nor can it where whole segments are aligned (`depth: segment`). With
    blocks and `depth: fold`, 16 or 128 products are rounded together: bits may differ.
    """
    outputs = []
    for name in ("edge16", "tpu128"):
        on = machine(machines.load(name), aligner={"depth": depth})
        outputs.append(bs.execute(bs.link(bert.compile("bct-int8", block, on)), bert.inputs).outputs)
    same = all((outputs[0][n] == outputs[1][n]).all() for n in outputs[0])
    if block != "128x128" or depth == "segment":
        assert same


def test_layer_errors_do_not_depend_on_padding() -> None:
    """Absent keys are no error of the scores."""
    padded = sentences([6, 6], TOKENS, 290)
    cut = {name: array[:, :6] for name, array in padded.items()}
    reports = [tiny(inputs, calibrated=False).run("bct-int8", "8x8") for inputs in (padded, cut)]
    for long, short in zip(*(report.data.layers for report in reports), strict=True):
        assert long.name == short.name
        assert long.sqnr_db is None or long.sqnr_db == pytest.approx(short.sqnr_db, abs=1e-3), long.name


BLOCKS = ["tensor", "row", "channel", "512x512", "3x1000", "1x16", "128x128", "7x5", "1x1"]


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("on", ["edge16", "bct64"])
def test_no_block_size_is_refused(
    exported: dict[str, Experiment], padded: Inputs, block: str, on: str
) -> None:
    """A machine of 16 x 16 with 128 KiB takes MiniLM in blocks of any size, and gives good sentences."""
    experiment = exported["dynamo18"]
    trace = experiment.compile("bct-int8", block, on)
    two = {name: array[:2] for name, array in padded.items()}
    ours = bs.execute(bs.link(trace), two).outputs["sentence_embedding"]
    near = [cosine(r, o) for r, o in zip(experiment.reference["sentence_embedding"], ours, strict=False)]
    assert min(near) > 0.97


def test_the_ratio_of_bert_base() -> None:
    """int4 weights, int8 biases, one 8-bit exponent per 64 of them: 7.988, from the packed sections."""
    trace = bs.compile_model(
        TRACES / "bert_base.onnx", precision="bct-w4a8", block="64x64", bind={"seq": 16}, weights="generator"
    )
    linear = [c for c in trace.manifest.constants.values() if c.role in ("weight", "bias")]
    elements = sum(c.rows * c.columns for c in linear)
    assert elements == 12 * (7_077_888 + 6_912)
    stored = sum(len(trace.sections[c.name]) for c in linear)
    assert abs(32 * elements / (8 * stored) - 7.988) <= 0.0005
    footprint = measure_footprint(trace)
    assert footprint.compression_ratio == pytest.approx(32 * elements / (8 * stored), rel=1e-9)
