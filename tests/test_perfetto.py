"""The timeline for Perfetto: slices are the schedule's, and traffic adds up to the report's bytes."""

from __future__ import annotations

import json
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import pytest
from typer.testing import CliRunner
from variants import BCT64

import blocksim as bs
from blocksim.cli import app
from blocksim.compiler import compile_graph
from blocksim.compiler.precision import load
from blocksim.graph import Graph
from blocksim.measure.energy import measure_energy
from blocksim.trace.isa import Opcode, Unit
from hwmodels import costs


def test_slices_and_traffic(vit_graph: Graph, tmp_path: Path) -> None:
    trace = compile_graph(vit_graph, BCT64, load("bct-int8", "16x16"))
    trace.save(tmp_path / "vit.trace")
    out = tmp_path / "timeline.json"
    run = CliRunner().invoke(app, ["trace", "timeline", str(tmp_path / "vit.trace"), "-o", str(out)])
    assert run.exit_code == 0, run.output
    again = CliRunner().invoke(app, ["trace", "timeline", str(tmp_path / "vit.trace"), "-o", str(out)])
    assert "timeline.json: --out: exists" in str(again.exception)
    events = json.loads(out.read_text())["traceEvents"]
    timeline = bs.schedule(trace)
    slices = [e for e in events if e["ph"] == "X"]
    assert [e["ts"] for e in slices] == timeline.start.tolist()
    assert [e["ts"] + e["dur"] for e in slices] == timeline.end.tolist()
    assert [e["cat"] for e in slices] == [Opcode(x).name for x in trace.program["opcode"]]
    names = [trace.manifest.operators[i].name for i in trace.program["op_id"]]
    assert [e["name"] for e in slices] == names
    tracks = {e["tid"]: e["args"]["name"] for e in events if e["name"] == "thread_name"}
    assert tracks == {int(u) + 2: u.name.lower() for u in Unit}  # threads 0 and 1 mean something to readers
    by_track = defaultdict(list)
    for e in slices:
        by_track[e["tid"]].append((e["ts"], e["ts"] + e["dur"]))
    for own in by_track.values():  # one at a time
        assert all(before[1] <= after[0] for before, after in pairwise(own))
    counted = measure_energy(trace, costs.load("horowitz-45nm"), timeline.cycles).actions
    for action, name in (
        ("dram.bytes", "DRAM"),
        ("sram.weights.bytes", "weight SRAM"),
        ("sram.activations.bytes", "activation SRAM"),
    ):
        levels = [(e["ts"], e["args"]["bytes per cycle"]) for e in events if e["name"] == name]
        total = sum(level * (after - ts) for (ts, level), (after, _) in pairwise(levels))
        assert total == pytest.approx(counted[action], rel=1e-4)
        assert levels[-1][1] == 0
        assert all(level >= 0 for _, level in levels)
