"""Explanations: formulas that give the cost model's cycles, rows that add up exactly, one-line errors."""

from __future__ import annotations

import math
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

import blocksim as bs
from blocksim.compiler import compile_graph
from blocksim.compiler.precision import load
from blocksim.engine.cost import CostModel
from blocksim.graph import Graph
from blocksim.measure.derive import derive, figure_names
from blocksim.measure.explain import explain_layer, unit_shares
from blocksim.measure.formulas import evaluate, formula_of
from blocksim.trace.isa import Opcode
from blocksim.zoo import ZooModel
from hwmodels import machines
from hwmodels.machines import Machine

ROOT = Path(__file__).parent.parent
BCT64 = machines.load("bct64")


def machine(**sections: dict[str, object]) -> Machine:
    """bct64 with some fields changed."""
    fields = BCT64.model_dump()
    for section, changes in sections.items():
        fields[section] |= changes
    return Machine.model_validate(fields)


MACHINES = {
    **{name: machines.load(name) for name in machines.names()},
    "inputs stay": machine(array={"dataflow": "is"}),
    "outputs stay": machine(array={"dataflow": "os"}, aligner={"depth": "segment"}),
    "serial": machine(array={"overlap": "none", "rows": 16, "columns": 16}, accumulator={"latency": 40}),
    "exact bounds": machine(aligner={"normalise": "exact", "prescan_lanes": 7}),
    "running": machine(aligner={"normalise": "running", "per_column": 2}),
    "raw bank": machine(array={"rows": 16}, aligner={"depth": "segment"}),
    "packed": machine(array={"pack_axis": "K", "rows": 16}),
    "narrow": machine(vector={"lanes": 3}, requantizer={"lanes": 5, "passes": "separate"}),
    "spilling": machine(accumulator={"rows": 3}),
}


@pytest.mark.parametrize("name", MACHINES)
@pytest.mark.parametrize(("plan", "block"), [("bct-int8", "5x3"), ("bct-w4a8", "16x16")])
def test_formulas_give_the_cycles_of_the_cost_model(
    tiny_graph: Graph, name: str, plan: str, block: str
) -> None:
    trace = compile_graph(tiny_graph, MACHINES[name], load(plan, block))
    model = CostModel(trace.manifest)
    for record in trace.program:
        formula = formula_of(model, record)
        assert formula.value == evaluate(formula.text) == model.busy(tuple(record.tolist())).cycles
        assert formula.rule


@pytest.mark.parametrize("pack_axis", ["K", "N"])
@pytest.mark.parametrize("overlap", ["weights", "none"])
def test_formulas_of_a_packed_array(tiny_graph: Graph, tmp_path: Path, pack_axis: str, overlap: str) -> None:
    """int4 x int4: load and wave are those of the elements, folds and ports those of their codes."""
    plan = tmp_path / "w4a4.yaml"
    formats = {"weight": "int4", "activation": "int4", "vector": "int16", "bias": "int8", "embedding": "int8"}
    plan.write_text(yaml.safe_dump({name: f"{form}@16x16" for name, form in formats.items()}))
    on = machine(array={"pack_axis": pack_axis, "rows": 16, "columns": 16, "overlap": overlap})
    trace = compile_graph(tiny_graph, on, load(str(plan), None))
    model, packed = CostModel(trace.manifest), False
    for record in trace.program[trace.program["opcode"] == Opcode.MATMUL]:
        formula = formula_of(model, record)
        assert formula.value == evaluate(formula.text) == model.busy(tuple(record.tolist())).cycles
        packed = packed or "16 + 16 - 2" in formula.text
    assert packed


def test_the_formula_of_a_tile_by_hand(tiny_graph: Graph) -> None:
    """10 rows through two folds of 36 = 16 + 16 + 4 on 16 rows: three, of one segment each."""
    on = machine(array={"rows": 16, "columns": 16})
    trace = compile_graph(tiny_graph, on, load("bct-int8", "16x16"))
    op = next(i for i, o in enumerate(trace.manifest.operators) if o.name == "encoder.0.query")
    tile = next(r for r in trace.program if r["op_id"] == op and r["opcode"] == 2)
    formula = formula_of(CostModel(trace.manifest), tile)
    stream = "(10 x max(1, ceil(1 / 1), ceil(17 / 128)))"
    assert formula.text == f"16 + 2 x max({stream}, 16) + {stream} + 16 + 16 - 2"
    assert formula.value == 16 + 32 + 10 + 30


@pytest.fixture(scope="module", params=[("bct-int8", "16x16"), ("layerwise-shift8", None)])
def report(request: pytest.FixtureRequest, vit: ZooModel) -> bs.Report:
    experiment = bs.Experiment(vit.path, {"image": vit.inputs["image"][:3]}, vit.labels[:3])
    return experiment.run(*request.param, costs="jouppi-7nm")


def test_layers_add_up_exactly(report: bs.Report) -> None:
    data = report.data
    assert report.trace is not None
    explained = [explain_layer(data, report.trace, layer.name) for layer in data.layers]
    for layer, one in zip(data.layers, explained, strict=True):
        assert one.cycles == layer.cycles
        assert one.energy_pj == layer.energy_pj
        assert sum(r.count for r in one.of("cycles")) == np.count_nonzero(
            report.trace.program["op_id"] == data.layers.index(layer)
        )
        assert sum(r.total for r in one.of("DRAM")) == layer.dram_bytes
        assert sum(r.total for r in one.of("stall")) == sum(layer.stalls.model_dump().values())
        assert all(r.total == r.count * r.each for r in one.rows)
        assert all(r.source and r.status and r.formula for r in one.of("energy"))
    assert sum(one.cycles for one in explained) == sum(use.busy for use in data.units.values())
    assert math.fsum([*(one.energy_pj for one in explained), data.energy["static"]]) == data.energy_pj


def test_a_data_frame_of_a_layer(report: bs.Report) -> None:
    frame = report.explain("encoder.0.ffn1")
    layer = report.layers.set_index("name").loc["encoder.0.ffn1"]
    assert frame[frame["figure"] == "cycles"]["total"].sum() == layer["cycles"]
    assert math.fsum(frame[frame["figure"] == "energy"]["total"]) == layer["energy_pj"]
    assert {"count", "each", "total", "formula", "source", "status"} <= set(frame.columns)


def test_the_cycles_of_a_run_are_those_of_each_unit(report: bs.Report) -> None:
    shares = unit_shares(report.data)
    assert all(s.busy + sum(s.waits.values()) + s.after == report.cycles for s in shares)
    assert all(s.after >= 0 for s in shares)
    assert shares[0].busy == max(use.busy for use in report.data.units.values())
    text = report.explanation()
    assert f"The {shares[0].unit} is the critical resource" in text
    assert all(layer.name in text for layer in report.data.layers)


def test_every_figure_has_a_formula_that_gives_it(report: bs.Report) -> None:
    names = figure_names(report.data)
    top = {n for n, v in report.data if isinstance(v, int | float) and n != "version"}
    assert top <= set(names)
    for name in names:
        derivation = derive(report.data, report.trace, name)
        assert derivation.formula and derivation.source and derivation.meaning, name
        assert derivation.inputs or name.startswith("area."), name
        if derivation.exact:
            assert derivation.evaluated() == derivation.value, name
        else:
            assert name.startswith("outputs."), name
        assert str(derivation.name) in report.explanation(figure=name)


def test_evaluate() -> None:
    assert evaluate("2 x (3 + 4) - ceil(7 / 2) + max(1, 5)") == 15
    assert evaluate("sum(a, b) / n", {"a": [0.1] * 10, "b": 1, "n": 2}) == 1.0
    with pytest.raises(KeyError):
        evaluate("unknown + 1")


# -- the command line ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tiny_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("runs")
    x = np.random.default_rng(0).normal(size=(2, 10, 12)).astype(np.float32)
    experiment = bs.Experiment(tiny_path, {"tokens": x})
    experiment.run("bct-int8", "16x16").save(where / "run", html=False)
    experiment.run("fp32").save(where / "fp32", html=False)
    return where


def explain(folder: Path, run: str, *words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "blocksim.cli", "explain", str(folder / run), *(str(w) for w in words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def test_explain_a_layer_a_figure_and_a_run(folder: Path) -> None:
    assert {p.name for p in (folder / "run").iterdir()} == {
        "report.json",
        "layers.csv",
        "model.trace",
        "COMPUTE_REPORT.csv",
    }
    done = explain(folder, "run", "encoder.0.ffn1")
    assert done.returncode == 0, done.stderr
    opened = bs.Report.open(folder / "run")
    layer = opened.layers.set_index("name").loc["encoder.0.ffn1"]
    assert f"{layer['cycles']:,}" in done.stdout
    assert f"{layer['energy_pj']:,.3f}" in done.stdout
    assert "Horowitz, ISSCC 2014" in done.stdout
    assert "MATMUL" in explain(folder, "run", "encoder.0.query").stdout
    done = explain(folder, "run", "--figure", "tops_per_watt")
    assert "2 x datapath_macs / energy_pj" in done.stdout
    assert "critical resource" in explain(folder, "run").stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "encoder.0.ffn"), ["layer", "encoder.0.ffn", "encoder.0.ffn1"]),
        (("run", "zzz"), ["layer", "zzz", "tokens.encode"]),
        (("run", "--figure", "tops_per_wat"), ["--figure", "tops_per_watt"]),
        (("run", "embed", "--figure", "tops"), ["--figure", "not both"]),
        (("nowhere",), ["nowhere", "missing"]),
        ((".",), ["report.json", "missing", "fp32, run"]),
        (("fp32",), ["fp32", "no cycles"]),
        (("fp32", "embed"), ["fp32", "no cycles"]),
    ],
)
def test_one_line_for_what_cannot_be_explained(folder: Path, words: tuple[str, ...], said: list[str]) -> None:
    done = explain(folder, words[0], *words[1:])
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("blocksim: ")
    assert all(word in line for word in said), line


def test_a_report_without_its_trace(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "run", tmp_path / "run")
    (tmp_path / "run" / "model.trace").unlink()
    opened = bs.Report.open(tmp_path / "run")
    assert opened.explain_figure("tops_per_watt").value == opened.data.tops_per_watt
    with pytest.raises(bs.BlocksimError, match=r"model\.trace: missing"):
        opened.explain("embed")
    with pytest.raises(bs.BlocksimError, match="trace"):
        opened.explain_figure("energy_parts.align")
    opened.save(tmp_path / "again", html=False)
    assert not (tmp_path / "again" / "model.trace").exists()


def test_a_report_that_was_read_keeps_its_trace(folder: Path, tmp_path: Path) -> None:
    opened = bs.Report.open(folder / "run")
    opened.save(tmp_path / "again", html=False)
    again = bs.Report.open(tmp_path / "again" / "report.json")
    assert again.explain("embed").equals(opened.explain("embed"))
    (tmp_path / "again" / "model.trace").write_bytes(b"no trace")
    broken = bs.Report.open(tmp_path / "again")  # its figures can still be read
    assert broken.data == opened.data
    with pytest.raises(bs.BlocksimError, match=r"model\.trace"):
        broken.explain("embed")


def test_another_trace_is_refused(folder: Path, tiny_graph: Graph) -> None:
    opened = bs.Report.open(folder / "run")
    other = compile_graph(tiny_graph, BCT64, load("bct-int8", "8x8"))
    with pytest.raises(bs.BlocksimError, match="other figures"):
        explain_layer(opened.data, other, "encoder.0.ffn1")
