"""Sweeps: spaces and their refusals, rows that equal single runs, fronts, and what is kept after an end."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from variants import BCT64
from variants import machine as machine_with

import blocksim as bs
from blocksim.compiler import compile_graph
from blocksim.compiler import precision as plans
from blocksim.compiler.precision import OPERANDS
from blocksim.engine.schedule import Schedules, schedule
from blocksim.errors import BlocksimError
from blocksim.experiment import Experiment
from blocksim.explore.bound import bound, bound_of, statistics
from blocksim.explore.columns import COLUMNS
from blocksim.explore.distortion import Weights
from blocksim.explore.front import front, hypervolume, undominated
from blocksim.explore.local import local_errors
from blocksim.explore.sensitivity import sensitivities
from blocksim.explore.settings import chosen, effective, is_known, machine_fields
from blocksim.explore.space import load
from blocksim.explore.store import ROWS, TABLE, opened
from blocksim.explore.sweep import sweep
from blocksim.graph import Graph
from blocksim.graph.topology import model_of, read_topology
from blocksim.graph.weights import weight_source
from blocksim.measure.error import ErrorMeter
from blocksim.yamlfile import load_machine
from hwmodels import costs
from hwmodels import machines as machines_package
from hwmodels.formats import parse
from hwmodels.formats.catalogue import EXAMPLES

ROOT = Path(__file__).parent.parent
TIMING = [c.name for c in COLUMNS if c.timing]


def space(folder: Path, **fields: Any) -> Path:
    """A space's file, of eight images of the embedded model if nothing else is said."""
    path = folder / "space.yaml"
    path.write_text(yaml.safe_dump({"model": "vit_fashion", "samples": 8} | fields, sort_keys=False))
    return path


SMALL = {"block": ["8x8", "64x64"], "machine.aligner.per_column": [1, 2]}


def test_a_row_is_what_a_single_run_gives(tmp_path: Path) -> None:
    grid = {"plan": ["bct-int8", "mxfp8"], "machine.accumulator.bits": [20, 32]}
    frame = sweep(space(tmp_path, grid=grid), tmp_path / "out", jobs=2).frame
    assert frame["error"].isna().all()
    assert frame["plan"].tolist() == ["bct-int8", "bct-int8", "mxfp8", "mxfp8"]
    assert frame["machine.accumulator.bits"].tolist() == [20, 32] * 2
    vit = bs.zoo.load("vit_fashion")
    inputs = {name: x[:8] for name, x in vit.inputs.items()}
    for (_, row), (plan, bits) in zip(
        frame.iterrows(), [(p, b) for p in grid["plan"] for b in (20, 32)], strict=True
    ):
        machine = load_machine("bct64")
        machine = machine.model_copy(
            update={"accumulator": machine.accumulator.model_copy(update={"bits": bits})}
        )
        data = bs.run(vit.path, inputs, machine, plan, labels=vit.labels[:8], threads=1).data
        out = data.outputs["logits"]
        assert (row["cosine"], row["sqnr_db"], row["accuracy"]) == (out.cosine, out.sqnr_db, data.accuracy)
        assert (row["cycles"], row["energy_pj"], row["overflows"]) == (
            data.cycles, data.energy_pj, data.saturation.overflows,
        )  # fmt: skip
        assert row["weight_bits"] == data.footprint.weight_bits + data.footprint.metadata_bits
        assert row["density"] == data.footprint.compression_ratio
    done = bs.sweep(tmp_path / "space.yaml", tmp_path / "out")
    assert len(done.plot("cosine").subfigs[0].axes) == 3
    assert set(bs.front(done.frame)["config_id"]) <= set(frame["config_id"])
    assert frame["cycles"].nunique() == 2
    assert (frame["energy_pj"].nunique(), frame["transistors"].nunique()) == (4, 4)


def test_what_cannot_be_built_says_why(tmp_path: Path) -> None:
    listed = [
        {"block": "16x16"},
        {"weight": "int3@1x16"},
        {"machine.aligner.guard_bits": 99},
        {"tensors.nope": "int8@1x16"},
    ]
    frame = sweep(space(tmp_path, configurations=listed), tmp_path / "out", jobs=1).frame
    assert frame["error"].isna().tolist() == [True, False, False, False]
    said = frame["error"].tolist()[1:]
    assert "weight: int3@1x16: the datapath takes" in said[0]
    assert "aligner.guard_bits: 99: Input should be less than or equal to 15" in said[1]
    assert "tensors: nope: the model has no such tensor" in said[2]
    assert frame["cycles"].isna().tolist() == [False, True, True, True]


def test_the_same_command_does_nothing_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, path = tmp_path / "out", space(tmp_path, grid=SMALL)
    first = sweep(path, out, jobs=2).frame
    rows = {p.name: p.stat().st_mtime_ns for p in (out / ROWS).iterdir()}
    assert len(rows) == 4
    lost = sorted(rows)[2]
    (out / ROWS / lost).unlink()
    (out / ROWS / f"{lost}.77.partial").write_text("half")
    second = sweep(path, out, jobs=1).frame
    pd.testing.assert_frame_equal(first.drop(columns=TIMING), second.drop(columns=TIMING))
    now = {p.name: p.stat().st_mtime_ns for p in (out / ROWS).iterdir()}
    assert now.keys() == rows.keys()
    assert {name for name in rows if now[name] != rows[name]} == {lost}
    wider = space(tmp_path, grid=SMALL | {"block": ["8x8", "64x64", "16x16"]})
    third = sweep(wider, out, jobs=1).frame  # what both spaces have is there
    assert len(third) == 6
    assert {p.name for p in (out / ROWS).iterdir()} > rows.keys()
    assert all((out / ROWS / name).stat().st_mtime_ns == now[name] for name in rows)


def test_columns_carry_their_meaning(tmp_path: Path) -> None:
    from pyarrow import parquet

    sweep(space(tmp_path, grid={"block": ["64x64"]}), tmp_path / "out", jobs=1)
    schema = parquet.read_schema(tmp_path / "out" / TABLE)
    assert schema.names == ["config_id", "label", "error", "block", *(c.name for c in COLUMNS[3:])]
    own = {name: schema.field(name).metadata for name in schema.names}
    assert own["energy_pj"] == {b"unit": b"pJ", b"description": b"of a sample", b"timing": b"false"}
    assert [n for n in own if own[n][b"timing"] == b"true"] == TIMING == ["seconds", "worker"]


REFUSED = {
    "unknown field": ({"grid": SMALL, "sample": 3}, "sample: unknown field: known fields: model, inputs"),
    "unknown setting": ({"grid": {"blok": ["1x16"]}}, "grid: blok: no such setting; give plan, block"),
    "unknown machine field": (
        {"configurations": [{"machine.aligner.guards": 3}]},
        "configurations.0: machine.aligner.guards: no such setting",
    ),
    "nothing on an axis": ({"grid": {"block": []}}, "grid.block"),
    "an empty range": (
        {"grid": {"machine.aligner.guard_bits": {"from": 8, "to": 4}}}, "the range is empty: from is above to"
    ),
    "twice on an axis": ({"grid": {"block": ["1x16", "1x16"]}}, "grid.block: 1x16: stands twice"),
    "two kinds": ({"grid": SMALL, "configurations": [{}]}, "give exactly one of grid, random and"),
    "none": ({}, "give exactly one of grid, random and configurations"),
    "too many": (
        {"grid": {f"machine.{n}": {"from": 1, "to": 100} for n in ("array.rows", "dram.burst", "clock_ghz")}},
        "grid: 1,000,000 configurations: at most 10,000: draw some at random, or raise limit:",
    ),
    "no such model": ({"model": "resnet", "grid": SMALL}, "model: missing: give an ONNX file, or vit"),
    "no such plan": ({"settings": {"plan": "bct-int9"}, "grid": SMALL}, "settings.plan: bct-int9: give one"),
    "the reference": ({"grid": {"plan": ["fp32"]}}, "grid.plan: fp32: the reference has no trace"),
    "no such machine": ({"configurations": [{"machine": "bct46"}]}, "configurations.0.machine: bct46: give"),
    "no such block": ({"grid": {"block": ["16by16"]}}, "grid.block: 16by16: a block is"),
    "too many samples": ({"samples": 5000, "grid": SMALL}, "vit_fashion: samples: 5000: there are 1000"),
    "no such file": ({"inputs": "x.npz", "grid": SMALL}, "x.npz: inputs: missing: give the path of a file"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_space_is_refused_in_a_line(tmp_path: Path, case: str) -> None:
    fields, said = REFUSED[case]
    path = space(tmp_path, **fields)
    done = subprocess.run(
        [sys.executable, "-m", "blocksim.cli", "sweep", str(path), "--out", str(tmp_path / "out")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("blocksim: ")
    assert done.stderr.count("\n") == 1
    assert said in done.stderr
    assert not (tmp_path / "out").exists()


def test_what_no_sweep_wrote_is_left_alone(tmp_path: Path) -> None:
    out, path = tmp_path / "out", space(tmp_path, grid=SMALL)
    out.mkdir()
    (out / "thesis.tex").write_text("mine")
    with pytest.raises(BlocksimError, match=r"it holds thesis.tex: not a sweep's"):
        sweep(path, out)
    assert [p.name for p in out.iterdir()] == ["thesis.tex"]
    (out / "thesis.tex").unlink()
    with opened(out), pytest.raises(BlocksimError, match="another sweep is at work there"):
        sweep(path, out)


def test_draws_are_fixed_by_their_seed(tmp_path: Path) -> None:
    axes = {"block": ["1x16", "16x16", "64x64"], "machine.aligner.guard_bits": {"from": 0, "to": 9}}

    def drawn(count: int, seed: int) -> list[dict[str, Any]]:
        path = space(tmp_path, random={"count": count, "seed": seed, "axes": axes})
        return [c.settings for c in load(path).configurations]

    assert drawn(12, 3) == drawn(12, 3) != drawn(12, 4)
    whole = drawn(99, 0)
    assert len(whole) == 30 == len({json.dumps(s, sort_keys=True) for s in whole})


def test_settings_without_effect_are_no_configurations(tmp_path: Path) -> None:
    grid = {"plan": ["bct-int8", "layerwise-shift8"], "block": ["8x8", "64x64"]}
    asked = load(space(tmp_path, grid=grid))
    assert (len(asked.configurations), asked.same) == (3, 1)
    assert [c.label for c in asked.configurations] == [
        "plan bct-int8, block 8x8", "plan bct-int8, block 64x64", "plan layerwise-shift8",
    ]  # fmt: skip


def test_what_settings_stand_for() -> None:
    meant = chosen(
        {
            "block": "16x16", "vector_block": "1x8", "weight": "int4", "softmax": "e4m3@1x4", "norm": "@1x32",
            "tensors.embed.weight": "bfp6@1x16", "machine.array.rows": 32, "machine.clock_ghz": 0.5,
            "second": "last",
        }
    )  # fmt: skip
    formats = {role: form.name for role, form in meant.plan.roles.items()}
    assert formats["weight"] == "int4@16x16"
    assert (formats["activation"], formats["vector"]) == ("int8@16x16", "int16@1x8")
    assert (formats["softmax"], formats["norm"], meant.plan.second) == ("e4m3@1x4", "int8@1x32", "last")
    assert meant.plan.tensors["embed.weight"].name == "bfp6@1x16"
    assert (meant.machine.array.rows, meant.machine.array.columns, meant.machine.clock_ghz) == (32, 64, 0.5)
    assert effective({}) == {"plan": "bct-int8", "machine": "bct64"}
    assert "machine.sram.weights.kib" in machine_fields()
    assert not is_known("machine.name")
    assert not is_known("tensors.")


def test_an_id_is_what_figures_depend_on(tmp_path: Path) -> None:
    """Not where files lie, nor in which order settings are; but what is in them."""

    def ids(folder: str, plan: dict[str, Any], **fields: Any) -> list[str]:
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "own.yaml").write_text(yaml.safe_dump(plan))
        listed = [{"plan": "own.yaml", "machine.aligner.guard_bits": 4}]
        return [c.id for c in load(space(tmp_path / folder, configurations=listed, **fields)).configurations]

    plan = {
        "weight": "int8@1x16", "activation": "int8@1x16", "vector": "int16@1x16", "bias": "int8@1x16",
        "embedding": "int8@row",
    }  # fmt: skip
    first = ids("a", plan)
    assert first == ids("b", plan)
    assert first != ids("b", plan | {"vector": "int8@1x16"})
    assert first != ids("b", plan, samples=9)


numbers = st.lists(st.tuples(*[st.integers(0, 6)] * 3), min_size=1, max_size=12)


@given(numbers)
def test_fronts_and_volumes(rows: list[tuple[int, int, int]]) -> None:
    """Against every pair, and against a count of unit cubes."""
    given_ = np.array(rows, float)

    def beats(a: np.ndarray, b: np.ndarray) -> bool:
        return bool((a <= b).all() and (a < b).any())

    want = [not any(beats(o, x) for o in given_) for x in given_]
    assert undominated(given_).tolist() == want
    cubes = np.array([(x, y, z) for x in range(7) for y in range(7) for z in range(7)])
    covered = (given_[:, None] <= cubes[None]).all(axis=2).any(axis=0).sum()
    assert hypervolume(given_, (7, 7, 7)) == covered
    assert hypervolume(given_[undominated(given_)], (7, 7, 7)) == covered


def test_the_front_of_a_table() -> None:
    frame = pd.DataFrame(
        {"label": list("abcd"), "sqnr_db": [30.0, 20.0, 25.0, None], "weight_bits": [8, 4, 9, 1]}
    )
    assert front(frame)["label"].tolist() == ["b", "a"]
    with pytest.raises(BlocksimError, match="objective: label: give some of accuracy, cosine"):
        front(frame, ("label",))


def test_the_bound_is_tight_for_gaussian_values() -> None:
    """Long blocks of one variance: the distortion-rate function of a Gaussian source, 6.02 dB a bit.

    Of two variances, bits go by water-filling: at 1 bit on average with variances of 16 and 1, level 2 would
    give 1.5 and 0 bits; so 2 and 0 bits at level 1, and errors of 1 each.
    """
    rng = np.random.default_rng(0)
    rates = np.array([0.5, 1.0, 2.0, 4.0, 8.0])
    bits, sqnr = bound(statistics(rng.normal(size=(2000, 1000))))
    np.testing.assert_allclose(np.interp(rates, bits, sqnr), 20 * np.log10(2) * rates, atol=0.05)
    two = rng.normal(size=(2000, 1000)) * np.repeat([4.0, 1.0], 1000)[:, None]
    bits, sqnr = bound(statistics(two))
    assert np.interp(1.0, bits, sqnr) == pytest.approx(10 * np.log10(17 / 2), abs=0.05)
    assert np.interp(0.5, bits, sqnr) == pytest.approx(10 * np.log10(17 / 5), abs=0.05)


@pytest.mark.parametrize("draw", ["normal", "laplace", "uniform"])
def test_no_quantiser_passes_the_bound(draw: str) -> None:
    """Steps of one size whose codes are stored in as many bits as their entropy: 1.53 dB away, where fine."""
    rng = np.random.default_rng(1)
    x = rng.uniform(-1, 1, (1000, 1000)) if draw == "uniform" else getattr(rng, draw)(size=(1000, 1000))
    x /= np.sqrt(np.square(x).mean())
    bits, sqnr = bound(statistics(x))
    for step in (1.0, 0.5, 0.1, 0.02):
        codes = np.rint(x / step)
        counts = np.unique(codes, return_counts=True)[1] / codes.size
        rate = float(-(counts * np.log2(counts)).sum())
        gap = np.interp(rate, bits, sqnr) + 10 * np.log10(np.square(x - codes * step).mean())
        assert gap > 0.5
        if step <= 0.1:
            assert gap == pytest.approx(10 * np.log10(2 * np.pi * np.e / 12), abs=0.1)


def test_every_format_lies_below_the_bound(vit_graph: Graph) -> None:
    weights = Weights(vit_graph)
    bits, sqnr = bound_of(weights)
    size = sum(vit_graph.constants[name].size for name in weights.names)
    for element in (e for e in EXAMPLES if any(re.fullmatch(known, e) for known in OPERANDS)):
        for block in ("1x16", "4x4", "64x64"):
            if element == "lin8" or (element.startswith("mx") and block != "1x16"):
                continue
            stored = [weights.stored(name, parse(f"{element}@{block}")) for name in weights.names]
            rate = sum(s.bits for s in stored) / size
            got = 10 * np.log10(sum(s.signal for s in stored) / sum(s.noise for s in stored))
            assert got < np.interp(rate, bits, sqnr) - 1, (element, block)


def test_local_errors_are_of_operators_on_their_own() -> None:
    """A product's against its encoded operands in float64, and those of a whole run against its report."""
    vit = bs.zoo.load("vit_fashion")
    experiment = Experiment(vit.path, {"image": vit.inputs["image"][:3]}, threads=1)
    trace = experiment.compile("bct-int8", "16x16")
    frame = local_errors(experiment, trace, 2)
    report = experiment.measure(trace, costs.load("horowitz-45nm"), layer_samples=2).data
    layers = {layer.name: layer for layer in report.layers}
    assert len(frame) > 40
    for name, row in frame.iterrows():
        assert row["propagated_sqnr_db"] == pytest.approx(layers[str(name)].sqnr_db, rel=1e-12)
    # the first operators have the same inputs either way; later ones do better on exact ones
    assert (frame["local_sqnr_db"] >= frame["propagated_sqnr_db"] - 0.5).all()
    assert frame["local_sqnr_db"].iloc[-1] > frame["propagated_sqnr_db"].iloc[-1] + 3
    fc = next(op for op in experiment.graph.matmuls() if op.name.endswith("encoder.0.ffn1"))
    exact = experiment.fp32.matrices({"image": vit.inputs["image"][:1]})
    form = parse("int8@16x16")
    a = form.encode(exact[fc.a.tensor]).decode().astype(np.float64)
    w = form.encode(experiment.graph.constant(fc.weight)).decode().astype(np.float64)
    near = a @ w.T + experiment.graph.constant(fc.bias)
    meter = ErrorMeter()
    meter.add(exact[fc.out.tensor], near)
    one = local_errors(experiment, trace, 1)["local_sqnr_db"][fc.name]
    assert one == pytest.approx(meter.sqnr_db, abs=1.0)


def test_how_much_the_output_minds(tmp_path: Path) -> None:
    """Each row is the run of a plan with that exception, and the most sensitive weight comes first."""
    vit = bs.zoo.load("vit_fashion")
    experiment = Experiment(vit.path, {"image": vit.inputs["image"][:2]}, threads=1)
    plan, machine = plans.load("bct-int8", "16x16"), load_machine("bct64")
    frame = sensitivities(experiment, plan, machine, "int4@64x64")
    assert sorted(frame.index) == sorted(Weights(experiment.graph).names)
    assert frame["lost_db"].is_monotonic_decreasing
    assert frame["lost_db"].iloc[0] > 3
    name = str(frame.index[0])
    own = plans.changed(plan, tensors={name: "int4@64x64"})
    data = experiment.measure(experiment.trace(own, machine), costs.load("horowitz-45nm")).data
    assert frame["output_sqnr_db"].iloc[0] == data.outputs["logits"].sqnr_db
    base = experiment.measure(experiment.trace(plan, machine), costs.load("horowitz-45nm")).data
    assert frame["lost_db"].iloc[0] == base.outputs["logits"].sqnr_db - data.outputs["logits"].sqnr_db
    saved = base.footprint.weight_bits - data.footprint.weight_bits
    saved += base.footprint.metadata_bits - data.footprint.metadata_bits
    assert frame["saved_bits"].iloc[0] == saved


@pytest.mark.parametrize(
    "fields",
    [
        {"aligner": {"guard_bits": 2, "max_shift": 9, "rounding": "floor"}},
        {"window": {"bits": 20, "rounding": "rne"}},
        {"accumulator": {"overflow": "wrap"}},
    ],
)
@pytest.mark.parametrize("plan", ["bct-int8", "mxfp8"])
def test_what_changes_no_cycle_is_scheduled_once(
    vit_graph: Graph, fields: dict[str, Any], plan: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedules, chosen_plan = Schedules(), plans.load(plan, "16x16")
    first = compile_graph(vit_graph, BCT64, chosen_plan)
    one = schedules.of(first)
    other = compile_graph(vit_graph, machine_with(**fields), chosen_plan)
    assert schedules.of(other) is one
    anew = schedule(other)
    assert anew.cycles == one.cycles
    assert all((getattr(anew, n) == getattr(one, n)).all() for n in ("start", "end", "stall", "parts"))
    slower = compile_graph(vit_graph, machine_with(dram={"latency": 300}), chosen_plan)
    assert schedules.of(slower).cycles > one.cycles
    renamed = BCT64.model_copy(update={"costs": "jouppi-7nm", "name": "other"})
    assert schedules.of(compile_graph(vit_graph, renamed, chosen_plan)) is one


def test_a_bare_array_and_its_labels_are_in_the_identity(tmp_path: Path) -> None:
    vit = bs.zoo.load("vit_fashion")
    (tmp_path / "model.onnx").write_bytes(vit.path.read_bytes())
    np.save(tmp_path / "y.npy", vit.labels[:4])

    def key(first: int, **fields: Any) -> str:
        np.save(tmp_path / "x.npy", vit.inputs["image"][first : first + 4])
        given = {"model": "model.onnx", "inputs": "x.npy", "configurations": [{"block": "8x8"}], "samples": 4}
        return load(space(tmp_path, **(given | fields))).configurations[0].id

    keys = [key(0), key(4), key(0, labels="y.npy"), key(0, samples=2)]
    assert len(set(keys)) == 4
    assert keys[0] == key(0, samples=None)
    frame = sweep(tmp_path / "space.yaml", tmp_path / "out", jobs=1).frame
    assert frame["accuracy"].isna().all()
    assert frame["cosine"].notna().all()


def test_a_model_of_the_zoo_takes_other_inputs(tmp_path: Path) -> None:
    vit = bs.zoo.load("vit_fashion")
    np.savez(tmp_path / "x.npz", image=vit.inputs["image"][10:12])
    path = space(tmp_path, inputs="x.npz", samples=None, configurations=[{"block": "8x8"}])
    frame = sweep(path, tmp_path / "out", jobs=1).frame
    alone = bs.run(vit.path, {"image": vit.inputs["image"][10:12]}, block="8x8", threads=1)
    assert frame["sqnr_db"].iloc[0] == alone.data.outputs["logits"].sqnr_db
    np.save(tmp_path / "y.npy", vit.labels[:8])
    with pytest.raises(BlocksimError, match="labels: without inputs: vit_fashion has labels of its own"):
        load(space(tmp_path, labels="y.npy", configurations=[{}]))


def test_files_lie_beside_the_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the command is given; an energy table that a machine's file names is a part of the machine."""
    folder = tmp_path / "here"
    folder.mkdir()
    shipped = Path(machines_package.__file__).parent
    table = (shipped.parent / "costs" / "horowitz-45nm.yaml").read_text()
    (folder / "own.yaml").write_text(
        (shipped / "bct64.yaml").read_text().replace("horowitz-45nm", "mine.yaml")
    )
    (folder / "mine.yaml").write_text(table)
    path = space(folder, configurations=[{"machine": "own.yaml"}])
    monkeypatch.chdir(folder)
    first = sweep("space.yaml", tmp_path / "out", jobs=1).frame
    monkeypatch.chdir(tmp_path)
    assert first["error"].isna().all()
    assert load(path).configurations[0].id == first["config_id"].iloc[0]
    (folder / "mine.yaml").write_text(table.replace("pj: 0.03,", "pj: 0.06,"))
    second = sweep(path, tmp_path / "out", jobs=1).frame
    assert second["energy_pj"].iloc[0] > first["energy_pj"].iloc[0]


def test_what_could_not_be_built_is_tried_again(tmp_path: Path) -> None:
    plan = {
        "weight": "int8@1x16", "activation": "int8@1x16", "vector": "int16@1x16", "bias": "int8@1x16",
        "embedding": "int8@row",
    }  # fmt: skip
    wrong = plan | {"tensors": {"nope": "int8@1x16"}}
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(wrong))
    path = space(tmp_path, configurations=[{"plan": "plan.yaml"}])
    assert "nope" in sweep(path, tmp_path / "out", jobs=1).frame["error"].iloc[0]
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan))
    assert sweep(path, tmp_path / "out", jobs=1).frame["error"].isna().all()


def test_long_ranges_are_not_written_out(tmp_path: Path) -> None:
    axis = {"machine.dram.latency": {"from": 0, "to": 1 << 40}}
    asked = load(space(tmp_path, random={"count": 3, "axes": axis}))
    assert len(asked.configurations) == 3
    with pytest.raises(BlocksimError, match="1,099,511,627,777 configurations: at most 10,000"):
        load(space(tmp_path, grid=axis))


def test_numbers_that_no_column_holds_are_told_as_text(tmp_path: Path) -> None:
    path = space(tmp_path, grid={"machine.sram.weights.kib": [512, 10**20]})
    frame = sweep(path, tmp_path / "out", jobs=1).frame
    assert frame["machine.sram.weights.kib"].tolist() == ["512", str(10**20)]
    assert frame["error"].isna().tolist() == [True, False]


def test_nothing_to_bound(tmp_path: Path) -> None:
    """Products of eight, and weights of zero."""
    (tmp_path / "few.csv").write_text("Layer, M, N, K,\nshort, 4, 4, 8,\n")
    onnx.save(model_of(read_topology(tmp_path / "few.csv")), tmp_path / "few.onnx")
    graph = bs.import_onnx(tmp_path / "few.onnx", weights=weight_source("generator"))
    assert bound_of(Weights(graph)) is None
    assert not statistics(np.zeros((3, 16))).powers.any()


def test_only_its_own_unfinished_files_are_removed(tmp_path: Path) -> None:
    out, path = tmp_path / "out", space(tmp_path, configurations=[{"block": "8x8"}])
    out.mkdir()
    (out / "film.partial").write_text("mine")
    with pytest.raises(BlocksimError, match=r"it holds film.partial: not a sweep's"):
        sweep(path, out)
    (out / "film.partial").rename(out / f"{TABLE}.123.partial")
    sweep(path, out, jobs=1)
    assert not list(out.glob("*.partial"))


def test_a_refusal_goes_from_process_to_process() -> None:
    error = BlocksimError("a", "b", 3, "give 4")
    assert str(ForkingPickler.loads(ForkingPickler.dumps(error))) == str(error) == "a: b: 3: give 4"
