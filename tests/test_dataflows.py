"""Cycles of the array, counted from compiled traces, against formulas written out here once more."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from models import one_product
from variants import machine

import blocksim as bs
from blocksim.compiler import compile_graph
from blocksim.compiler.precision import load
from blocksim.engine.schedule import PARTS, Timeline, schedule
from blocksim.graph import Graph, import_onnx
from blocksim.measure.energy import measure_energy
from blocksim.trace import Trace
from blocksim.trace.isa import Opcode
from hwmodels import costs, machines
from hwmodels.machines import Machine

SCALESIM = machines.load("scalesim")


def serial(dataflow: str, rows: int, columns: int, aligners: int = 64) -> Machine:
    """The SCALE-Sim preset with another array."""
    depth = "segment" if dataflow == "os" else "fold"
    array = {"dataflow": dataflow, "rows": rows, "columns": columns}
    return machine(SCALESIM, array=array, aligner={"depth": depth, "per_column": aligners})


def product(folder: Path, m: int, k: int, n: int) -> Graph:
    path = folder / f"{m}x{k}x{n}.onnx"
    if not path.exists():
        one_product(path, m, k, n, np.random.default_rng(1).normal(size=(n, k)))
    return import_onnx(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("products")


def timed(graph: Graph, on: Machine, block: str) -> tuple[Trace, Timeline, int]:
    plan = load("layerwise-shift8") if block == "tensor" else load("bct-int8", block)
    trace = compile_graph(graph, on, plan)
    timeline = schedule(trace)
    mine = trace.program["opcode"] == Opcode.MATMUL
    return trace, timeline, int((timeline.end - timeline.start)[mine].sum())


def ceil(a: int, b: int) -> int:
    return -(-a // b)


def closed_form(dataflow: str, r: int, c: int, m: int, k: int, n: int) -> int:
    """The published cycles of a serial systolic array."""
    return {
        "os": ceil(m, r) * ceil(n, c) * (r + c + k - 2),
        "ws": ceil(k, r) * ceil(n, c) * (2 * r + c + m - 2),
        "is": ceil(k, r) * ceil(m, c) * (2 * r + c + n - 2),
    }[dataflow]


@pytest.mark.parametrize(
    ("dataflow", "size", "shape", "cycles"),
    [
        ("os", 32, (128, 768, 768), 79_680),
        ("os", 32, (128, 768, 3072), 318_720),
        ("ws", 128, (128, 3072, 768), 73_440),
        ("is", 128, (128, 3072, 768), 27_600),
    ],
)
def test_published_cycles(
    folder: Path, dataflow: str, size: int, shape: tuple[int, int, int], cycles: int
) -> None:
    _, timeline, array = timed(product(folder, *shape), serial(dataflow, size, size), "tensor")
    assert array == cycles == closed_form(dataflow, size, size, *shape)
    assert timeline.cycles > array  # what fills and drains the memories comes on top


def test_the_preset_is_the_published_array(folder: Path) -> None:
    assert timed(product(folder, 128, 768, 768), SCALESIM, "tensor")[2] == 79_680


@pytest.mark.parametrize("dataflow", ["os", "ws", "is"])
@pytest.mark.parametrize("array", [(8, 8), (16, 32), (32, 8)])
def test_closed_forms_over_ragged_shapes(folder: Path, dataflow: str, array: tuple[int, int]) -> None:
    for m in (1, 17, 50):
        for k in (33, 64, 97):
            for n in (5, 40, 65):
                on = serial(dataflow, *array)
                assert timed(product(folder, m, k, n), on, "tensor")[2] == closed_form(
                    dataflow, *array, m, k, n
                ), (m, k, n)


M, K, N, R, C = 64, 192, 48, 64, 16
"""A product on an array of R x C; every block size below divides R and K."""


def with_aligners(dataflow: str, block: int, aligners: int) -> int:
    """What aligners and blocks make of the cycles: each row stays for as many as its segments need."""
    if dataflow == "os":
        per_tile = K // block * max(block, ceil(R, aligners)) + R + C - 2
        return ceil(M, R) * ceil(N, C) * per_tile
    interval = max(1, ceil(R // block, aligners))
    streamed, tiles = (M, ceil(N, C)) if dataflow == "ws" else (N, ceil(M, C))
    return ceil(K, R) * tiles * (2 * R + C - 2 + streamed * interval)


@pytest.mark.parametrize("dataflow", ["os", "ws", "is"])
@pytest.mark.parametrize("block", [8, 16, 32, 64])
@pytest.mark.parametrize("aligners", [1, 2, 4, 8])
def test_aligners_and_blocks(folder: Path, dataflow: str, block: int, aligners: int) -> None:
    graph = product(folder, M, K, N)
    trace, timeline, array = timed(graph, serial(dataflow, R, C, aligners), f"16x{block}")
    full = timed(graph, serial(dataflow, R, C, 64), f"16x{block}")[2]
    assert array == with_aligners(dataflow, block, aligners)
    mine = trace.program["opcode"] == Opcode.MATMUL
    stalled = int(timeline.parts[mine, PARTS.index("aligner")].sum())
    assert stalled == array - full


@pytest.mark.parametrize(
    ("slower", "than"),
    [
        ({"aligner": {"per_column": 1}}, {"aligner": {"per_column": 8}}),
        ({"dram": {"bytes_per_cycle": 2}}, {"dram": {"bytes_per_cycle": 32}}),
        ({"dram": {"latency": 1000}}, {"dram": {"latency": 10}}),
        ({"vector": {"lanes": 4}, "requantizer": {"lanes": 4}}, {}),
        ({"requantizer": {"passes": "separate"}}, {}),
        ({"sram": {"activations": {"ports": 1, "banks": 1}}}, {"sram": {"activations": {"banks": 1}}}),
        ({"sram": {"activations": {"port_bytes": 8}}}, {}),
        ({"accumulator": {"latency": 60}}, {}),
    ],
)
def test_a_slower_machine_saves_no_energy(
    tiny_graph: Graph, slower: dict[str, dict[str, object]], than: dict[str, dict[str, object]]
) -> None:
    # `overlap: none` is not among them: it is slower and has no shadow registers, a smaller machine
    table = costs.load("horowitz-45nm")
    results = []
    for changes in (slower, than):
        trace = compile_graph(tiny_graph, machine(**changes), load("bct-int8", "8x8"))
        cycles = schedule(trace).cycles
        results.append((cycles, measure_energy(trace, table, cycles).total))
    assert results[0][0] > results[1][0]
    assert results[0][1] >= results[1][1]


def test_two_int4_in_an_element_halve_the_folds(folder: Path, tmp_path: Path) -> None:
    """int4 x int4 packed along K: folds of 32 codes; along N: of 32 outputs; on the same elements."""
    plan = tmp_path / "w4a4.yaml"
    formats = {"weight": "int4", "activation": "int4", "vector": "int16", "bias": "int8", "embedding": "int8"}
    plan.write_text("".join(f"{role}: {element}@tensor\n" for role, element in formats.items()))
    graph = product(folder, 32, 128, 64)
    counted = {}
    for axis in ("none", "K", "N"):
        on = machine(serial("ws", 16, 16), array={"pack_axis": axis})
        trace = compile_graph(graph, on, load(plan))
        timeline = schedule(trace)
        mine = trace.program["opcode"] == Opcode.MATMUL
        counted[axis] = int((timeline.end - timeline.start)[mine].sum())
    assert counted == {
        "none": closed_form("ws", 16, 16, 32, 128, 64),
        "K": closed_form("ws", 16, 16, 32, 128 // 2, 64),
        "N": closed_form("ws", 16, 16, 32, 128, 64 // 2),
    }


def test_the_depth_of_a_fold_shows_where_low_terms_are_rounded(folder: Path, tmp_path: Path) -> None:
    """128x128 blocks, a low block under a high one: 16-deep and 128-deep folds round its terms apart,
    and `depth: segment` does not.
    """
    rng = np.random.default_rng(4)
    weight = rng.normal(size=(16, 256)) * np.where(np.arange(256) < 128, 2.0**-9, 1.0)
    one_product(tmp_path / "m.onnx", 8, 256, 16, weight)
    graph = import_onnx(tmp_path / "m.onnx")
    x = {"x": rng.normal(size=(1, 8, 256)).astype(np.float32)}
    for depth, same in (("fold", False), ("segment", True)):
        outputs = []
        for name in ("edge16", "tpu128"):
            on = machine(machines.load(name), aligner={"depth": depth, "guard_bits": 0})
            trace = compile_graph(graph, on, load("bct-int8", "128x128"))
            outputs.append(bs.execute(bs.link(trace), x, probe=("linear",)).probes["linear"][0][0])
        assert (outputs[0] == outputs[1]).all() == same
