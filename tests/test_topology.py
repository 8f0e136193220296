"""SCALE-Sim's files: topologies in, its report out."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from typer.testing import CliRunner

import blocksim as bs
from blocksim.cli import app
from blocksim.errors import BlocksimError
from blocksim.graph.topology import Layer, read_topology
from blocksim.report.scalesim import HEADER


def test_both_kinds_of_rows(tmp_path: Path) -> None:
    """By hand: a 5 x 5 x 2 filter over 9 x 8 in steps of 2 gives 3 x 2 pixels of 50 products each."""
    path = tmp_path / "layers.csv"
    path.write_text("Layer, M, N, K,\nscores, 128, 64, 32,\n\nffn, 10, 20, 30,\n")
    assert read_topology(path) == [Layer("scores", 128, 64, 32), Layer("ffn", 10, 20, 30)]
    path.write_text(
        "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,\n"
        "conv1, 9, 8, 5, 5, 2, 7, 2,\n"
    )
    assert read_topology(path) == [Layer("conv1", 6, 7, 50)]


REFUSED = {
    "a,1,2,3\n": "rows: none: give a layer",
    "": "file: empty: begin with Layer, M, N, K,",
    "Layer, M, N, K,\n\na, 1, \u00b2, 3,\n": "row 3: \u00b2: give M, N, K",
    "Layer, M, N, K,\na, 1, 2,\n": "row 2: 2 values: give M, N, K",
    "Layer, M, N, K,\na, 1, x, 3,\n": "row 2: x: give M, N, K",
    "Layer, M, N, K,\na, 1, 2, 3,\na, 1, 2, 3,\n": "row 3: a: give each layer a name of its own",
    "L, a, b, c, d, e, f, g,\nconv, 3, 3, 5, 5, 1, 1, 1,\n": "row 2: a filter of 5 x 5: larger than its",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_no_topology_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "layers.csv"
    path.write_text(text)
    with pytest.raises(BlocksimError) as refused:
        read_topology(path)
    assert REFUSED[text] in str(refused.value)


def test_from_a_topology_to_its_report(tmp_path: Path) -> None:
    (tmp_path / "layers.csv").write_text("Layer, M, N, K,\nwide.0, 100, 96, 64,\n\nragged, 7, 65, 130,\n")
    model, out = tmp_path / "layers.onnx", tmp_path / "out"
    run = CliRunner().invoke(app, ["topology", str(tmp_path / "layers.csv"), "-o", str(model)])
    assert run.exit_code == 0, run.output
    words = ["run", str(model), "--weights", "generator", "--inputs", str(tmp_path / "layers.npz")]
    run = CliRunner().invoke(app, [*words, "--out", str(out), "--no-html"])
    assert run.exit_code == 0, run.output
    data = bs.Report.open(out).data
    macs = {layer.name: layer.macs for layer in data.layers if layer.kind == "matmul"}
    assert macs == {"wide.0": 100 * 96 * 64, "ragged": 7 * 65 * 130}
    rows = list(csv.reader((out / "COMPUTE_REPORT.csv").read_text().splitlines()))
    assert ",".join(rows[0]) == HEADER
    for number, (row, layer) in enumerate(
        zip(rows[1:], [x for x in data.layers if x.kind == "matmul"], strict=True)
    ):
        own = [float(cell) for cell in row if cell.strip()]
        total = layer.end - layer.start
        share = {"wide.0": 96 * 64 / (64 * 128), "ragged": 65 * 130 / (192 * 128)}[layer.name]  # K, N
        assert own[:3] == [number, total, total - layer.array_cycles]
        want = [layer.macs / 4096 / total, share, layer.macs / 4096 / layer.array_cycles]
        assert own[3:] == pytest.approx([100 * x for x in want], abs=1e-4)
