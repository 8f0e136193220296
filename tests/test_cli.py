"""The command line: what it writes, and one line for every bad input."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jsonschema
import numpy as np
import onnx
import pytest
from models import TOKENS, WIDTH, WIDTH_IN, Builder

import blocksim as bs
from blocksim import BlocksimError, Report
from blocksim.trace import Trace
from blocksim.zoo.llama import Llama, skeleton
from hwmodels import machines

ROOT = Path(__file__).parent.parent
Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """Runs the program in an empty folder."""

    def run(*words: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "blocksim.cli", *(str(w) for w in words)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)

    return run


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    path = tmp_path / "x.npz"
    np.savez(path, tokens=np.random.default_rng(0).normal(size=(4, TOKENS, WIDTH_IN)).astype(np.float32))
    return path


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """Exit 2 and one line on standard error that has all of these words."""
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert done.returncode == 2, done.stderr
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("blocksim: ")
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in lines[0], lines[0]


def test_run_writes_report_layers_and_page(cli: Cli, tiny_path: Path, inputs: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "y.npy", np.zeros(4, np.int64))
    words = ["run", tiny_path, "--inputs", inputs, "--out", "out", "--block", "16x16"]
    done = cli(*words, "--machine", "bct64", "--precision", "bct-int8", "--costs", "jouppi-7nm")
    assert done.returncode == 0, done.stderr
    assert "bct-int8 16x16" in done.stdout
    out = tmp_path / "out"
    assert {p.name for p in out.iterdir()} == {
        "report.json",
        "layers.csv",
        "report.html",
        "model.trace",
        "COMPUTE_REPORT.csv",
    }
    report = json.loads((out / "report.json").read_text())
    schema = json.loads((ROOT / "docs" / "report.schema.json").read_text())
    jsonschema.validate(report, schema)
    assert {"model", "machine", "precision", "cycles", "energy_pj", "footprint", "outputs"} <= set(report)
    assert {"coverage", "saturation", "layers"} <= set(report)
    assert set(report["outputs"]["logits"]) == {"sqnr_db", "max_abs_error", "cosine"}
    with (out / "layers.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [r["name"] for r in rows] == [layer["name"] for layer in report["layers"]]
    page = (out / "report.html").read_text()
    assert page.count("<svg") >= 4
    assert "http://" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    )
    opened = Report.open(out)
    assert opened.data.model_dump(mode="json") == report
    assert len(opened.layers) == len(rows)
    assert "cycles" in opened.plot.timeline().svg


def test_schema_is_current() -> None:
    from blocksim.measure.schema import schema_text

    assert (ROOT / "docs" / "report.schema.json").read_text() == schema_text()


def test_accuracy_from_labels(cli: Cli, tiny_path: Path, inputs: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "y.npy", np.zeros(4, np.int64))
    b = Builder()
    axes = b.constant("axes", np.array([1], np.int64))
    b.node("ReduceMean", [b.linear("tokens", "layer", WIDTH_IN, 3), axes], "y", keepdims=0)
    b.save(tmp_path / "m.onnx", "y", ["batch", 3], {"tokens": ["batch", TOKENS, WIDTH_IN]})
    done = cli("run", "m.onnx", "--inputs", inputs, "--labels", "y.npy", "--out", "out", "--no-html")
    assert done.returncode == 0, done.stderr
    data = Report.open(tmp_path / "out").data
    assert data.accuracy is not None
    assert data.coverage.host_ops == ("tokens.encode", "layer.reducemean")
    assert not (tmp_path / "out" / "report.html").exists()
    for labels, said in (([0, 1, 2, 3], ["label", "3", "0 to 2"]), ([0, 1], ["length", "2", "4 samples"])):
        np.save(tmp_path / "bad.npy", np.array(labels))
        refused(
            cli("run", "m.onnx", "--inputs", inputs, "--labels", "bad.npy", "--out", "o"), "bad.npy", *said
        )


def test_fp32_has_values_and_no_cycles(cli: Cli, tiny_path: Path, inputs: Path, tmp_path: Path) -> None:
    done = cli("run", tiny_path, "--inputs", inputs, "--precision", "fp32", "--out", "out")
    assert done.returncode == 0, done.stderr
    data = Report.open(tmp_path / "out").data
    assert (data.cycles, data.energy_pj, data.outputs["logits"].cosine) == (None, None, pytest.approx(1))


def test_compile_and_show(cli: Cli, tiny_path: Path, tmp_path: Path) -> None:
    assert cli("compile", tiny_path, "-o", "m.trace", "--block", "8x8").returncode == 0
    shown = cli("trace", "show", "m.trace")
    trace = Trace.open(tmp_path / "m.trace")
    assert len(shown.stdout.splitlines()) == len(trace.program) + 2
    assert "MATMUL   encoder.0.ffn1" in shown.stdout
    manifest = json.loads(cli("trace", "show", "m.trace", "--manifest").stdout)
    assert manifest["machine"]["name"] == "bct64"
    refused(cli("compile", tiny_path, "-o", "m.trace"), "m.trace", "exists", "--force")
    assert cli("compile", tiny_path, "-o", "m.trace", "--force").returncode == 0
    assert cli("compile", tiny_path, "-o", "again.trace").returncode == 0
    assert (tmp_path / "m.trace").read_bytes() == (tmp_path / "again.trace").read_bytes()


def test_execute_gives_the_outputs_of_a_trace(
    cli: Cli, tiny_path: Path, inputs: Path, tmp_path: Path
) -> None:
    assert cli("compile", tiny_path, "-o", "m.trace", "--block", "8x8").returncode == 0
    words = ["execute", "m.trace", "--inputs", inputs, "--out", "out"]
    done = cli(*words)
    assert done.returncode == 0, done.stderr
    assert "logits: float32 (4, 10, 5)" in done.stdout
    assert "cycles a sample, 4 samples" in done.stdout
    with np.load(inputs) as given, np.load(tmp_path / "out" / "outputs.npz") as found:
        want = bs.execute(bs.link(Trace.open(tmp_path / "m.trace")), dict(given))
        assert (found["logits"] == want.outputs["logits"]).all()
    rows = list(csv.DictReader((tmp_path / "out" / "counts.csv").open()))
    assert {row.pop("operator"): {n: int(v) for n, v in row.items()} for row in rows} == want.counts
    assert sorted(f.name for f in tmp_path.iterdir()) == ["m.trace", "out", "x.npz"]
    refused(cli(*words), "out", "exists", "--force")
    assert cli(*words, "--force").returncode == 0
    refused(cli("execute", "x.npz", "--inputs", inputs, "--out", "other"), "x.npz", "not a whole trace")
    np.savez(tmp_path / "y.npz", tokens=np.zeros((4, 3, 3), np.float32))
    refused(cli("execute", "m.trace", "--inputs", "y.npz", "--out", "other"), "tokens", "(4, 3, 3)")
    assert sorted(f.name for f in tmp_path.iterdir()) == ["m.trace", "out", "x.npz", "y.npz"]


def test_help_and_version(cli: Cli) -> None:
    for words in (
        ["--help"],
        ["run", "--help"],
        ["demo", "--help"],
        ["compile", "--help"],
        ["execute", "--help"],
        ["trace", "show", "-h"],
    ):
        done = cli(*words)
        assert done.returncode == 0
        assert "Usage" in done.stdout
        if len(words) > 1:
            assert "Example: blocksim" in done.stdout
    assert cli("--version").stdout.strip() == "0.1.0"


# -- bad input ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["fly"], ["No such command", "fly"]),
        (["run", "m.onnx", "--block"], ["--block"]),
        (["run", "m.onnx", "--inputs", "x.npz", "--out", "o", "--blok", "8x8"], ["--blok"]),
        (
            ["run", "m.onnx", "--inputs", "x.npz", "--out", "o", "--threads", "0"],
            ["--threads", "0", "1 or more"],
        ),
        (["run", "m.onnx", "--out", "o"], ["--inputs"]),
    ],
)
def test_usage_errors(cli: Cli, words: list[str], said: list[str]) -> None:
    refused(cli(*words), "command line", *said)


def run_words(model: object, inputs: object, *more: object) -> list[object]:
    return ["run", model, "--inputs", inputs, "--out", "out", *more]


def test_model_missing_not_onnx_truncated(cli: Cli, tiny_path: Path, inputs: Path, tmp_path: Path) -> None:
    refused(cli(*run_words("no.onnx", inputs)), "no.onnx", "missing")
    (tmp_path / "text.onnx").write_text("this is no model\n" * 40)
    refused(cli(*run_words("text.onnx", inputs)), "text.onnx", "not a whole ONNX model")
    (tmp_path / "empty.onnx").write_bytes(b"")
    refused(cli(*run_words("empty.onnx", inputs)), "empty.onnx", "not a whole ONNX model")
    whole = tiny_path.read_bytes()
    for share in (0.1, 0.5, 0.9, 0.999):
        (tmp_path / "cut.onnx").write_bytes(whole[: int(len(whole) * share)])
        refused(cli(*run_words("cut.onnx", inputs)), "cut.onnx")
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.partial").exists()


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"pixels": np.zeros((1, TOKENS, WIDTH_IN), np.float32)}, ["pixels", "tokens"]),
        (
            {"tokens": np.zeros((1, TOKENS, 7), np.float32)},
            ["tokens", "(1, 10, 7)", f"(N, {TOKENS}, {WIDTH_IN})"],
        ),
        ({"tokens": np.zeros((TOKENS, WIDTH_IN), np.float32)}, ["tokens", "shape"]),
        ({"tokens": np.zeros((0, TOKENS, WIDTH_IN), np.float32)}, ["tokens", "shape"]),
        ({"tokens": np.zeros((1, TOKENS, WIDTH_IN), np.int64)}, ["tokens", "int64", "float32"]),
        ({"tokens": np.full((1, TOKENS, WIDTH_IN), np.nan, np.float32)}, ["tokens", "NaN"]),
        ({"tokens": np.full((1, TOKENS, WIDTH_IN), np.inf, np.float32)}, ["tokens", "Inf"]),
        ({}, ["tokens", "missing"]),
    ],
)
def test_wrong_inputs(
    cli: Cli, tiny_path: Path, tmp_path: Path, arrays: dict[str, np.ndarray], said: list[str]
) -> None:
    np.savez(tmp_path / "bad.npz", **arrays)
    refused(cli(*run_words(tiny_path, "bad.npz")), "bad.npz", *said)


def test_input_files(cli: Cli, tiny_path: Path, tmp_path: Path, inputs: Path) -> None:
    refused(cli(*run_words(tiny_path, "no.npz")), "no.npz", "missing")
    (tmp_path / "text.npz").write_text("not numbers")
    refused(cli(*run_words(tiny_path, "text.npz")), "text.npz", "not a whole .npz")
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    refused(cli(*run_words(tiny_path, "objects.npy")), "objects.npy")
    np.save(tmp_path / "y.npy", np.zeros(3, np.int64))
    refused(cli(*run_words(tiny_path, inputs, "--labels", "y.npy")), "y.npy", "(N, 10, 5)", "(N, classes)")
    (tmp_path / "folder").mkdir()
    refused(cli(*run_words(tiny_path, "folder")), "folder", "a folder")
    refused(cli(*run_words("folder", inputs)), "folder", "a folder")
    np.save(tmp_path / "f.npy", np.zeros(4))
    refused(cli(*run_words(tiny_path, inputs, "--labels", "f.npy")), "f.npy", "integers")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_that_are_not_finite(
    cli: Cli, tiny_path: Path, inputs: Path, tmp_path: Path, bad: float
) -> None:
    model = onnx.load(str(tiny_path))
    for initialiser in model.graph.initializer:
        if initialiser.name == "encoder.0.ffn1.weight":
            array = onnx.numpy_helper.to_array(initialiser).copy()
            array[3, 3] = bad
            initialiser.CopyFrom(onnx.numpy_helper.from_array(array, initialiser.name))
    onnx.save(model, str(tmp_path / "bad.onnx"))
    word = "NaN" if np.isnan(bad) else "Inf"
    refused(cli(*run_words("bad.onnx", inputs)), "bad.onnx", "encoder.0.ffn1.weight", word)


def test_a_mask_constant_may_be_infinite(cli: Cli, tmp_path: Path) -> None:
    b = Builder()
    mask = np.where(np.tri(TOKENS) > 0, 0, -np.inf).astype(np.float32)[None]
    x = b.node("MatMul", ["tokens", b.weight("w", WIDTH_IN, TOKENS)], "scores")
    x = b.node("Softmax", [b.node("Add", [x, b.constant("mask", mask)], "masked")], "weights", axis=-1)
    b.linear(x, "layer", TOKENS, 3)
    b.save(tmp_path / "m.onnx", "layer_out", ["batch", TOKENS, 3], {"tokens": ["batch", TOKENS, WIDTH_IN]})
    from blocksim.graph.canonical import canonicalise, read

    path = tmp_path / "m.onnx"
    canonical = canonicalise(read(path), path, {})
    assert np.isneginf(canonical.weights["mask"]).any()


def test_dimensions(cli: Cli, inputs: Path, tmp_path: Path) -> None:
    b = Builder()
    b.linear("tokens", "layer", WIDTH_IN, 3)
    b.save(tmp_path / "m.onnx", "layer_out", ["batch", "seq", 3], {"tokens": ["batch", "seq", WIDTH_IN]})
    refused(cli("compile", "m.onnx", "-o", "m.trace"), "m.onnx", "tokens", "seq", "--bind seq=SIZE")
    assert cli(*run_words("m.onnx", inputs, "--no-html", "--force")).returncode == 0  # bound from the inputs
    again = ("--no-html", "--force")
    refused(cli(*run_words("m.onnx", inputs, "--bind", "sek=10", "--bind", "seq=10", *again)), "sek", "seq")
    refused(cli(*run_words("m.onnx", inputs, "--bind", "seq", *again)), "--bind", "seq=128")
    assert cli(*run_words("m.onnx", inputs, "--bind", "seq=10", "--no-html", "--force")).returncode == 0
    refused(cli(*run_words("m.onnx", inputs, "--bind", "seq=9", "--force")), "tokens", "(4, 10, 12)", "(N, 9")


SKELETON = Path(__file__).parents[1] / "traces" / "bert_tiny.onnx"


def test_skeletons(cli: Cli, tmp_path: Path) -> None:
    """Weights by name, calibration, a listing with windows, spilled sums and operand forms."""
    ids = np.arange(20).reshape(2, 10)
    same = {"attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    np.savez(tmp_path / "ids.npz", input_ids=ids, **same)
    np.savez(tmp_path / "far.npz", input_ids=ids + 1000, **same)
    run = ["run", SKELETON, "--inputs", "ids.npz", "--out", "out", "--no-html", "--force"]
    refused(cli(*run), "bert_tiny.onnx", "word_embeddings.weight", "skeleton", "--weights")
    refused(cli(*run, "--weights", "none.safetensors"), "none.safetensors", "--weights", "missing")
    (tmp_path / "bad.safetensors").write_bytes(b"not a file of tensors")
    refused(cli(*run, "--weights", "bad.safetensors"), "bad.safetensors", "not a whole safetensors")
    given = [*run, "--weights", "generator:7"]
    assert cli(*given).returncode == 0
    refused(cli(*given, "--precision", "layerwise-lin8"), "--calibration", "missing", "samples")
    assert cli(*given, "--precision", "layerwise-lin8", "--calibration", "ids.npz").returncode == 0
    given[3] = "far.npz"
    refused(cli(*given), "embeddings.word_embeddings", "1000", "0 to 299")
    compiled = ["compile", SKELETON, "--bind", "seq=10", "--weights", "generator", "-o", "m.trace"]
    assert cli(*compiled, "--machine", "edge16", "--block", "tensor").returncode == 0
    shown = cli("trace", "show", "m.trace").stdout
    assert " spilled" in shown and " operand form" in shown
    assert "GATHER   embeddings.word_embeddings" in shown


def test_a_trace_is_the_same_bytes_in_every_process(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where tensors come and go, nothing may depend on how a process hashes its strings."""
    compiled = []
    for seed in ("1", "2", "3"):
        monkeypatch.setenv("PYTHONHASHSEED", seed)
        words = ["compile", SKELETON.parent / "minilm" / "dynamo18.onnx", "--bind", "seq=48"]
        words += ["--weights", "generator", "--machine", "edge16", "--block", "16x16", "--force"]
        assert cli(*words, "-o", "m.trace").returncode == 0
        compiled.append((tmp_path / "m.trace").read_bytes())
    assert compiled[0] == compiled[1] == compiled[2]


def test_explain_refuses_another_runs_trace(cli: Cli, tiny_path: Path, inputs: Path, tmp_path: Path) -> None:
    for out, block in (("a", "8x8"), ("b", "16x16")):
        words = ["run", tiny_path, "--inputs", inputs, "--no-html", "--out", out, "--block", block]
        assert cli(*words).returncode == 0
    assert "cycles = " in cli("explain", "a", "--figure", "cycles").stdout
    (tmp_path / "a" / "model.trace").write_bytes((tmp_path / "b" / "model.trace").read_bytes())
    for more in (["--figure", "cycles"], ["encoder.0.ffn1"]):
        refused(cli("explain", "a", *more), "model.trace", "not the report's trace")
    refused(cli("explain", tmp_path / "b" / "model.trace"), "model.trace", "not a report")


@pytest.mark.parametrize("out", ["", ".", "/"])
def test_a_folder_without_a_name_is_refused(cli: Cli, inputs: Path, out: str) -> None:
    words = ["run", "m.onnx", "--inputs", inputs, "--no-html", "--out", out, "--force"]
    refused(cli(*words), "--out", "name of a folder")


def test_fetch_and_evaluate_refuse(cli: Cli) -> None:
    refused(cli("fetch", "maxilm"), "fetch", "name", "maxilm", "minilm")
    refused(cli("evaluate", "nowhere", "--out", "scores"), "nowhere", "model.safetensors", "blocksim fetch")
    refused(cli("evaluate", "nowhere", "--out", "scores", "--snippets", "0"), "--snippets", "1")


def test_strict_refuses_products_on_the_host(cli: Cli, tmp_path: Path) -> None:
    b = Builder()
    x = b.linear("tokens", "layer", WIDTH_IN, WIDTH)
    b.node("Conv", [x, b.weight("conv.weight", 4, TOKENS, 3)], "y", pads=[1, 1])
    b.save(tmp_path / "m.onnx", "y", ["batch", 4, WIDTH], {"tokens": ["batch", TOKENS, WIDTH_IN]})
    x = np.zeros((2, TOKENS, WIDTH_IN), np.float32) + 1
    np.savez(tmp_path / "x.npz", tokens=x)
    refused(cli(*run_words("m.onnx", "x.npz", "--strict")), "m.onnx", "conv", "--strict", "4,320")
    assert cli(*run_words("m.onnx", "x.npz", "--no-html")).returncode == 0
    report = Report.open(tmp_path / "out").data
    assert report.coverage.host_macs == 4 * WIDTH * TOKENS * 3
    assert report.coverage.host_ops == ("tokens.encode", "layer.conv")


BAD_MACHINES = {
    "unknown field": ("array:\n  rows: 64", "array:\n  rowz: 64", ["array.rowz", "unknown", "rows"]),
    "unknown section": ("clock_ghz: 1.0", "clock_ghz: 1.0\nspeed: 3", ["speed", "unknown"]),
    "wrong type": ("rows: 64", "rows: many", ["array.rows", "many", "integer"]),
    "impossible value": ("bits: 32", "bits: 3", ["accumulator.bits", "3", "16"]),
    "impossible choice": ("rounding: rne", "rounding: up", ["aligner.rounding", "up", "half_up"]),
    "missing field": ("clock_ghz: 1.0\n", "", ["clock_ghz", "missing"]),
    "inconsistent": ("segments: 256", "segments: 255", ["lut", "powers of two"]),
    "not YAML": ("name: bct64", "name: [bct64", ["not YAML"]),
    "unknown costs": ("costs: horowitz-45nm", "costs: none-3nm", ["none-3nm", "horowitz-45nm"]),
    "small weights": ("weights: {kib: 512", "weights: {kib: 1", ["sram.weights.kib", "too small", "or more"]),
    "small activations": (
        "activations: {kib: 1024",
        "activations: {kib: 1",
        ["sram.activations.kib", "too small"],
    ),
}


@pytest.mark.parametrize("name", BAD_MACHINES)
def test_bad_machines(cli: Cli, tiny_path: Path, inputs: Path, tmp_path: Path, name: str) -> None:
    old, new, said = BAD_MACHINES[name]
    text = (machines.FOLDER / "bct64.yaml").read_text()
    assert old in text
    (tmp_path / "my.yaml").write_text(text.replace(old, new))
    words = run_words(tiny_path, inputs, "--machine", "my.yaml")
    refused(cli(*words), "my.yaml", *said)


PLAN = (
    "weight: int8@16x16\nactivation: int8@16x16\nvector: int16@16x16\nbias: int8@1x16\nembedding: int8@row\n"
)
BAD_PLANS = {
    "unknown field": (PLAN + "wieght: int8@8x8\n", ["wieght", "unknown", "weight"]),
    "missing field": (PLAN.replace("bias: int8@1x16\n", ""), ["bias", "missing"]),
    "bad format": (
        PLAN.replace("weight: int8@16x16", "weight: int9@16x16"),
        ["weight", "int9@16x16", "int4@<block>"],
    ),
    "bad block": (PLAN.replace("weight: int8@16x16", "weight: int8@16"), ["weight", "16", "<lines>x<depth>"]),
    "bad width": (
        PLAN.replace("activation: int8", "activation: int16"),
        ["activation", "int16@16x16", "int8"],
    ),
    "wrong type": (PLAN.replace("int8@row", "7"), ["embedding", "7", "string"]),
    "unknown tensor": (PLAN + "tensors: {encoder.9.ffn1: int16@8x8}\n", ["encoder.9.ffn1", "no such tensor"]),
    "not a mapping": ("- 1\n", ["list", "mapping"]),
}


@pytest.mark.parametrize("name", BAD_PLANS)
def test_bad_plans(cli: Cli, tiny_path: Path, inputs: Path, tmp_path: Path, name: str) -> None:
    text, said = BAD_PLANS[name]
    (tmp_path / "plan.yaml").write_text(text)
    refused(cli(*run_words(tiny_path, inputs, "--precision", "plan.yaml")), "plan", *said)


def test_a_good_plan_with_an_exception(cli: Cli, tiny_path: Path, inputs: Path, tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(PLAN + "tensors: {encoder.0.ffn1: int8@8x8}\n")
    assert cli(*run_words(tiny_path, inputs, "--precision", "plan.yaml", "--no-html")).returncode == 0
    layers = {layer.name: layer.format for layer in Report.open(tmp_path / "out").data.layers}
    assert (layers["encoder.0.ffn1"], layers["encoder.0.ffn2"]) == ("int8@8x8", "int16@16x16")


def test_names_that_do_not_exist(cli: Cli, tiny_path: Path, inputs: Path) -> None:
    refused(cli(*run_words(tiny_path, inputs, "--machine", "bct65")), "bct65", "bct64")
    refused(cli(*run_words(tiny_path, inputs, "--precision", "bct-int9")), "bct-int9", "bct-int8")
    refused(cli(*run_words(tiny_path, inputs, "--costs", "free")), "free", "horowitz-45nm")
    refused(cli(*run_words(tiny_path, inputs, "--block", "0x16")), "--block", "0x16", "<lines>x<depth>")
    refused(cli(*run_words(tiny_path, inputs, "--weight-block", "8")), "--weight-block", "8")


def test_bad_traces(cli: Cli, tiny_path: Path, tmp_path: Path) -> None:
    assert cli("compile", tiny_path, "-o", "m.trace").returncode == 0
    whole = (tmp_path / "m.trace").read_bytes()
    refused(cli("trace", "show", "no.trace"), "no.trace", "missing")
    (tmp_path / "text.trace").write_text("no trace")
    refused(cli("trace", "show", "text.trace"), "text.trace", "not a whole trace")
    (tmp_path / "cut.trace").write_bytes(whole[: len(whole) // 2])
    refused(cli("trace", "show", "cut.trace"), "cut.trace", "not a whole trace")
    old = whole.replace(rb"\"version\": \"2\"", rb"\"version\": \"7\"")
    assert old != whole
    (tmp_path / "old.trace").write_bytes(old)
    refused(cli("trace", "show", "old.trace"), "old.trace", "version", "7", "compile it again")
    rng = np.random.default_rng(0)
    start = 8 + int.from_bytes(whole[:8], "little")
    for position in rng.integers(start, len(whole), 12):
        changed = bytearray(whole)
        changed[position] ^= 1 << int(rng.integers(8))
        (tmp_path / "changed.trace").write_bytes(bytes(changed))
        with pytest.raises(BlocksimError, match="changed since it was compiled"):
            Trace.open(tmp_path / "changed.trace")
    refused(cli("trace", "show", "changed.trace"), "changed.trace", "hash differs")
    manifest = whole.index(b"clock_ghz")
    (tmp_path / "manifest.trace").write_bytes(whole[:manifest] + b"CLOCK" + whole[manifest + 5 :])
    refused(cli("trace", "show", "manifest.trace"), "manifest", "hash differs")


def test_output_folders(cli: Cli, tiny_path: Path, inputs: Path, tmp_path: Path) -> None:
    words = run_words(tiny_path, inputs, "--no-html")
    assert cli(*words).returncode == 0
    before = (tmp_path / "out" / "report.json").read_text()
    refused(cli(*words), "out", "exists", "--force")
    assert (tmp_path / "out" / "report.json").read_text() == before
    assert cli(*words, "--force", "--block", "8x8").returncode == 0
    assert (tmp_path / "out" / "report.json").read_text() != before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    refused(
        cli("run", tiny_path, "--inputs", inputs, "--out", "mine", "--force"),
        "mine",
        "thesis.txt",
        "not blocksim's",
    )
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"
    (tmp_path / "file").write_text("a file")
    refused(cli("run", tiny_path, "--inputs", inputs, "--out", "file"), "file", "give a folder")
    refused(
        cli("run", tiny_path, "--inputs", inputs, "--out", "/proc/none/out"),
        "/proc/none/out",
        "cannot be written",
    )
    refused(cli("compile", tiny_path, "-o", "/proc/none/m.trace"), "/proc/none/m.trace", "cannot be written")


def test_nothing_of_the_users_is_replaced(cli: Cli, tiny_path: Path, inputs: Path, tmp_path: Path) -> None:
    """Not in an earlier run's folder, not where the partial output goes, not a model taken for a trace."""
    words = run_words(tiny_path, inputs, "--no-html")
    assert cli(*words).returncode == 0
    (tmp_path / "out" / "notes.txt").write_text("my notes")
    refused(cli(*words, "--force"), "out", "notes.txt", "not blocksim's")
    (tmp_path / "new.partial").mkdir()
    (tmp_path / "new.partial" / "notes.txt").write_text("my notes")
    refused(cli("run", tiny_path, "--inputs", inputs, "--out", "new"), "new.partial", "notes.txt")
    assert (tmp_path / "new.partial" / "notes.txt").read_text() == "my notes"
    (tmp_path / "copy.onnx").write_bytes(tiny_path.read_bytes())
    refused(cli("compile", "copy.onnx", "-o", "copy.onnx", "--force"), "copy.onnx", "not a trace")
    assert (tmp_path / "copy.onnx").read_bytes() == tiny_path.read_bytes()
    (tmp_path / "m.trace.partial").write_text("my notes")
    refused(cli("compile", tiny_path, "-o", "m.trace"), "m.trace.partial is a file", "another name")
    assert (tmp_path / "m.trace.partial").read_text() == "my notes"
    (tmp_path / "link").symlink_to(tmp_path / "out")
    refused(cli("run", tiny_path, "--inputs", inputs, "--out", "link", "--force"), "link", "a link")


def test_models_that_the_datapath_cannot_run(cli: Cli, inputs: Path, tmp_path: Path) -> None:
    b = Builder()
    b.node("Sin", ["tokens"], "y")
    b.save(tmp_path / "sin.onnx", "y", ["batch", TOKENS, WIDTH_IN], {"tokens": ["batch", TOKENS, WIDTH_IN]})
    refused(cli(*run_words("sin.onnx", inputs)), "sin.onnx", "no operator of the datapath")
    b = Builder()
    axes = b.constant("axes", np.array([0], np.int64))
    b.node("ReduceMean", [b.linear("tokens", "layer", WIDTH_IN, 3), axes], "y")
    b.save(tmp_path / "mix.onnx", "y", [1, TOKENS, 3], {"tokens": ["batch", TOKENS, WIDTH_IN]})
    refused(cli(*run_words("mix.onnx", inputs)), "mix.onnx", "mixes the samples of a batch")
    model = onnx.load(str(tmp_path / "sin.onnx"))
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.DOUBLE
    model.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.DOUBLE
    onnx.save(model, str(tmp_path / "double.onnx"))
    refused(cli(*run_words("double.onnx", inputs)), "double.onnx", "tokens", "double", "float32")


def test_options_that_contradict(cli: Cli, tiny_path: Path, inputs: Path, tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(PLAN)
    refused(
        cli(*run_words(tiny_path, inputs, "--precision", "plan.yaml", "--block", "8x8")),
        "plan.yaml",
        "--block",
    )
    (tmp_path / "plan.yaml").write_text(PLAN + "weight: int4@8x8\n")
    refused(
        cli(*run_words(tiny_path, inputs, "--precision", "plan.yaml")), "plan.yaml", "weight stands twice"
    )
    done = cli(
        *run_words(tiny_path, inputs, "--precision", "layerwise-shift8", "--block", "8x8", "--no-html")
    )
    assert done.returncode == 0
    assert "keeps its own block" in done.stderr


def test_energy_tables(cli: Cli, tiny_path: Path, inputs: Path, tmp_path: Path) -> None:
    """A table beside the machine's file is found; one without the machine's DRAM is refused."""
    from hwmodels import costs

    machine = (machines.FOLDER / "bct64.yaml").read_text()
    table = (costs.FOLDER / "jouppi-7nm.yaml").read_text()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "costs.yaml").write_text(table)
    (tmp_path / "mine" / "m.yaml").write_text(machine.replace("horowitz-45nm", "costs.yaml"))
    assert cli(*run_words(tiny_path, inputs, "--machine", "mine/m.yaml", "--no-html")).returncode == 0
    (tmp_path / "c.yaml").write_text("\n".join(x for x in table.splitlines() if "gddr6" not in x))
    (tmp_path / "g.yaml").write_text(machine.replace("type: ddr", "type: gddr6"))
    words = ["--machine", "g.yaml", "--costs", "c.yaml", "--force"]
    refused(cli(*run_words(tiny_path, inputs, *words)), "c.yaml", "dram", "gddr6", "ddr, hbm2")


def test_losses_are_told(cli: Cli, tiny_path: Path, inputs: Path, tmp_path: Path) -> None:
    text = (machines.FOLDER / "bct64.yaml").read_text()
    (tmp_path / "narrow.yaml").write_text(text.replace("bits: 32", "bits: 18"))
    done = cli(*run_words(tiny_path, inputs, "--machine", "narrow.yaml", "--no-html"))
    assert "accumulator overflows" in done.stdout
    assert Report.open(tmp_path / "out").data.machine_parameters["accumulator"]["bits"] == 18


def test_a_failed_run_keeps_the_earlier_one(cli: Cli, tiny_path: Path, inputs: Path, tmp_path: Path) -> None:
    words = run_words(tiny_path, inputs, "--no-html")
    assert cli(*words).returncode == 0
    before = (tmp_path / "out" / "report.json").read_text()
    refused(cli(*words, "--force", "--block", "zero"), "zero")
    assert (tmp_path / "out" / "report.json").read_text() == before


AS_IN_A_TERMINAL = [
    sys.executable,
    "-c",
    "import signal, runpy; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "runpy.run_module('blocksim.cli', run_name='__main__')",
]
"""The program as Ctrl-C reaches it."""


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_compilation_goes_on(tmp_path: Path, end: signal.Signals, cli: Cli) -> None:
    onnx.save(skeleton(Llama(layers=6, hidden=512, inner=1024, vocabulary=100)), tmp_path / "m.onnx")
    words = ["compile", "m.onnx", "--weights", "generator", "--machine", "tpu128", "-o", "m.trace"]
    command = [*AS_IN_A_TERMINAL, *words]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    half, deadline = tmp_path / "m.trace.partial", time.monotonic() + 60
    while len(list(half.glob("*.json"))) < 5 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(end)
    _, stderr = process.communicate(timeout=60)
    assert "Traceback" not in stderr
    assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143}.get(end, -end), stderr
    if end == signal.SIGINT:
        assert "m.trace.partial has what is done: the same command goes on" in stderr
    assert not (tmp_path / "m.trace").exists()
    assert len(list(half.glob("*.json"))) >= 5
    assert cli(*words).returncode == 0
    assert sorted(f.name for f in tmp_path.iterdir()) == ["m.onnx", "m.trace"]


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("threads", ["1", "2"])
def test_ctrl_c_leaves_nothing_behind(tmp_path: Path, threads: str) -> None:
    command = [*AS_IN_A_TERMINAL, "demo", "--out", "demo", "--threads", threads]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (tmp_path / "demo.partial").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr
    assert "interrupted" in stderr.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("holds", "code"), [(True, 0), (False, 1)])
def test_a_proof_that_fails_is_an_exit_code(holds: bool, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from blocksim import cli
    from blocksim.report import proofs

    asked: list[tuple[list[str], bool]] = []

    def told(units: list[str], every: bool) -> bool:
        asked.append((units, every))
        return holds

    monkeypatch.setattr(proofs, "prove_units", told)
    monkeypatch.setattr(sys, "argv", ["blocksim", "prove", "lut"])
    handler = signal.getsignal(signal.SIGTERM)
    try:
        cli.main()
    except SystemExit as done:
        assert done.code == code
    else:
        assert code == 0
    finally:
        signal.signal(signal.SIGTERM, handler)
    assert asked == [(["lut"], False)]


def test_formats_are_listed(cli: Cli) -> None:
    told = cli("formats").stdout
    assert all(name in told for name in ("mxfp6e2m3@1x32", "bfp6@1x16", "e4m3", "arXiv 2310.05079"))


def test_compare_runs_the_plans_that_are_named(
    cli: Cli, tiny_path: Path, inputs: Path, tmp_path: Path
) -> None:
    done = cli(
        "compare", tiny_path, "--inputs", inputs, "--out", "c", "--plan", "mxfp8", "--plan", "bfp-w6a6"
    )
    assert done.returncode == 0, done.stderr
    rows = (tmp_path / "c" / "comparison.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["configuration", "fp32", "mxfp8", "bfp-w6a6"]
    assert "every plan" in (tmp_path / "c" / "report.html").read_text()
    refused(
        cli("compare", tiny_path, "--inputs", inputs, "--out", "d", "--plan", "mxfp7"),
        "--precision", "plan", "mxfp7", "give one of",
    )  # fmt: skip
    assert not (tmp_path / "d").exists()
