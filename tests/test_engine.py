"""The engine: execute against the interpreter on golden traces, threads, batches, and the schedule."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from variants import BCT64, machine

import blocksim as bs
from blocksim.compiler import compile_graph
from blocksim.compiler.precision import Precision, load
from blocksim.compiler.presets import PRESETS
from blocksim.errors import BlocksimError
from blocksim.graph import Graph
from blocksim.measure.energy import measure_energy
from blocksim.trace import Trace
from blocksim.trace.isa import Flag, Opcode
from blocksim.zoo import ZooModel
from hwmodels import costs
from hwmodels.formats import parse
from hwmodels.machines import Machine


def compiled(graph: Graph, plan: str, block: str | None, on: Machine = BCT64) -> Trace:
    return compile_graph(graph, on, load(plan, block))


def assert_equal_to_interpreter(trace: Trace, inputs: dict[str, np.ndarray]) -> dict[str, int]:
    """Every stored tensor, every output and every count of one sample; returns the counts' totals."""
    want = bs.interpret(trace, inputs)
    got = bs.execute(bs.link(trace), inputs, probe=tuple(trace.manifest.tensors))
    for name, (codes, exponents) in want.tensors.items():
        own_codes, own_exponents = got.probes[name][0]
        assert (own_codes == codes).all(), name
        assert (own_exponents == exponents).all(), name
    assert set(want.tensors) == set(trace.manifest.tensors)
    for name, value in want.outputs.items():
        assert (got.outputs[name] == value).all()
    for name, counter in want.counters.items():
        assert got.counts[name] == vars(counter), name
    return {
        n: sum(c[n] for c in got.counts.values()) for n in ("flushed", "overflows", "clamped", "saturated")
    }


@pytest.mark.parametrize(
    ("plan", "block"),
    [("bct-int8", "64x64"), ("bct-int8", "16x16"), ("bct-w4a8", "8x8"), ("layerwise-shift8", None)],
)
def test_execute_equals_the_interpreter_on_the_vit(
    vit: ZooModel, vit_graph: Graph, plan: str, block: str | None
) -> None:
    assert_equal_to_interpreter(compiled(vit_graph, plan, block), {"image": vit.inputs["image"][7:8]})


@pytest.mark.parametrize("plan", ["bct-int8", "bct-int8-strict", "bct-w4a8"])
@pytest.mark.parametrize("block", ["64x64", "16x16", "5x3", "1x7", "12x1", "row", "tensor"])
def test_execute_equals_the_interpreter_on_odd_blocks(
    tiny_graph: Graph, tiny_inputs: dict[str, np.ndarray], plan: str, block: str
) -> None:
    one = {name: array[:1] for name, array in tiny_inputs.items()}
    assert_equal_to_interpreter(compiled(tiny_graph, plan, block), one)


@pytest.mark.parametrize("plan", [plan for plan in PRESETS if plan != "layerwise-lin8"])
def test_execute_equals_the_interpreter_under_every_plan(
    tiny_graph: Graph, tiny_inputs: dict[str, np.ndarray], plan: str
) -> None:
    """But for real scales, which need calibration and are tried where they have it."""
    one = {name: array[:1] for name, array in tiny_inputs.items()}
    assert_equal_to_interpreter(compiled(tiny_graph, plan, None), one)


@pytest.mark.parametrize(
    ("weight", "activation"),
    [
        ("int4", "mxfp8e4m3"),
        ("bfp6", "int8"),
        ("mxfp4", "bfp9"),
        ("bl8", "int8"),
        ("bfp9", "bfp9"),
        ("e4m3", "log8"),
        ("e5m2", "e5m2"),
        ("fixed8f7", "dmf8e4m3"),
        ("log8", "int8"),
        ("mxfp8e5m2", "e4m3"),
        ("bm7e3m3", "bl5"),
        ("dmf7e3m3", "minifloat6e2m3"),
        ("fixed5f3", "log6"),
        ("bm9e5m3", "bm4e2m1"),
    ],
)
def test_execute_equals_the_interpreter_under_mixed_plans(
    tiny_graph: Graph, tiny_inputs: dict[str, np.ndarray], tmp_path: Path, weight: str, activation: str
) -> None:
    plan = tmp_path / "mixed.yaml"
    plan.write_text(
        f"weight: {weight}@1x8\nactivation: {activation}@1x16\nvector: int16@1x16\nbias: int8@1x8\n"
        "embedding: int8@row\n"
    )
    one = {name: array[:1] for name, array in tiny_inputs.items()}
    assert_equal_to_interpreter(compile_graph(tiny_graph, BCT64, load(plan)), one)


def planned(tmp_path: Path, **roles: str) -> Precision:
    plan = tmp_path / "own.yaml"
    given = {
        "weight": "int8@1x8", "activation": "int8@1x8", "vector": "int16@1x8", "bias": "int8@1x8",
        "embedding": "int8@row",
    }  # fmt: skip
    plan.write_text("\n".join(f"{k}: {v}" for k, v in (given | roles).items()))
    return load(plan)


def test_what_softmax_and_norms_make_may_be_set_apart(tiny_graph: Graph, tmp_path: Path) -> None:
    trace = compile_graph(tiny_graph, BCT64, planned(tmp_path, softmax="log2u4@1x4", norm="e4m3@1x6"))
    made = {op.out.tensor: op.kind for op in trace.manifest.operators}
    operands = {
        (made.get(spec.name.removesuffix(".operand")), spec.format)
        for spec in trace.manifest.tensors.values()
        if spec.role == "activation"
    }
    assert ("softmax", "log2u4@1x4") in operands
    assert ("norm", "e4m3@1x6") in operands
    assert {form for kind, form in operands if kind not in ("softmax", "norm")} == {"int8@1x8"}


def test_second_operands_may_be_cut_along_their_last_axis(tiny_graph: Graph, tmp_path: Path) -> None:
    """K's blocks then lie along its tokens, and V's along its columns; every step of A V is a segment."""
    kinds: dict[str, dict[tuple[bool, bool], set[tuple[int, int]]]] = {}
    for second in ("reduction", "last"):
        trace = compile_graph(tiny_graph, BCT64, planned(tmp_path, second=second))
        manifest = trace.manifest
        found = kinds[second] = {}
        for op in manifest.operators:
            if op.kind == "matmul" and op.b is not None:
                spec = manifest.tensors[op.b.tensor]
                found.setdefault((True, op.b.transposed), set()).add((spec.row_block, spec.column_block))
                a = manifest.tensors[op.a.tensor] if op.a else spec
                found.setdefault((False, op.b.transposed), set()).add((a.row_block, a.column_block))
    for transposed in (False, True):
        assert kinds["reduction"][False, transposed] == kinds["last"][False, transposed]
        turned = {(columns, rows) for rows, columns in kinds["reduction"][True, transposed]}
        assert {min(shape) for shape in kinds["last"][True, transposed]} == {1}
        assert {shape.index(1) for shape in kinds["last"][True, transposed]} == {
            shape.index(1) for shape in turned
        }


@pytest.mark.parametrize(
    ("roles", "said"),
    [
        ({"softmax": "log2u9@1x4"}, "own.yaml: softmax: log2u9@1x4: the datapath takes int4@<block> or"),
        ({"norm": "log2u4@1x4"}, "own.yaml: norm: log2u4@1x4: the datapath takes int4@<block> or"),
        ({"norm": "lin8@tensor"}, "own.yaml: norm: lin8@tensor: weights and activations are both lin8"),
        ({"second": "sideways"}, "own.yaml: second: 'sideways': Input should be"),
        ({"activation": "sulq4@1x4"}, "own.yaml: activation: sulq4@1x4: the datapath takes"),
    ],
)
def test_a_plan_that_asks_for_what_there_is_not(tmp_path: Path, roles: dict[str, str], said: str) -> None:
    with pytest.raises(BlocksimError) as raised:
        planned(tmp_path, **roles)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_static_exponents_are_refused_where_codes_have_their_own(tiny_graph: Graph) -> None:
    static = machine(requantizer={"exponents": "static"})
    peaks = dict.fromkeys(tiny_graph.tensors, 1.0)
    with pytest.raises(BlocksimError, match="give dynamic"):
        compile_graph(tiny_graph, static, load("mxfp8"), calibration=peaks)


def test_a_segment_that_leaves_64_bits_is_refused(tiny_graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    """No model here has segments of 2**15 products: a narrower limit stands for them."""
    monkeypatch.setattr("blocksim.engine.products.SUM_BITS", 40)
    with pytest.raises(BlocksimError, match=r"bct64: window.bits: 37: sums of \d+ products .* at most 3\d"):
        bs.link(compiled(tiny_graph, "mxfp8", None))


@pytest.mark.parametrize("rounding", ["floor", "half_up", "rne", "sticky"])
@pytest.mark.parametrize("plan", ["mxfp8", "bl8"])
def test_execute_equals_the_interpreter_in_narrow_windows(
    tiny_graph: Graph, tiny_inputs: dict[str, np.ndarray], plan: str, rounding: str
) -> None:
    one = {name: array[:1] for name, array in tiny_inputs.items()}
    narrow = machine(window={"bits": 12, "rounding": rounding})
    assert_equal_to_interpreter(compile_graph(tiny_graph, narrow, load(plan)), one)


def test_a_window_of_more_than_48_bits(tiny_graph: Graph, tiny_inputs: dict[str, np.ndarray]) -> None:
    """Products of E5M2 and E4M3 have 51 bits; of far fewer it shows."""
    one, plan = {name: array[:1] for name, array in tiny_inputs.items()}, load("mxfp8")
    plan = replace(plan, roles=plan.roles | {"activation": parse("mxfp8e5m2@1x32")})
    narrow, wide = (compile_graph(tiny_graph, machine(window={"bits": bits}), plan) for bits in (8, 51))
    assert_equal_to_interpreter(wide, one)
    few, exact = (bs.execute(bs.link(trace), one).outputs for trace in (narrow, wide))
    assert any(not np.array_equal(few[name], exact[name]) for name in exact)


MACHINES = {
    "floor": machine(aligner={"rounding": "floor", "guard_bits": 0}),
    "half_up": machine(aligner={"rounding": "half_up", "guard_bits": 2}),
    "negative guard bits": machine(aligner={"guard_bits": -4}),
    "short aligner": machine(aligner={"max_shift": 2, "guard_bits": 1}),
    "narrow, saturating": machine(accumulator={"bits": 18}),
    "narrow, wrapping": machine(accumulator={"bits": 18, "overflow": "wrap"}),
    "short array": machine(array={"rows": 7}),
    "few accumulator rows": machine(accumulator={"rows": 3}),
    "one bank": machine(accumulator={"banks": 1}),
    "coarse tables": machine(
        lut={"segments": 16},
        softmax={"exp2_segments": 4, "reciprocal_segments": 2, "guard_bits": 0},
        norm={"root_segments": 6, "newton_steps": 2, "latency": 15},
    ),
    "tiny vector buffer": machine(vector={"buffer_kib": 1}),
    "SRAM that evicts": machine(sram={"activations": {"kib": 5, "banks": 1}}),
    "SRAM that hardly fits": machine(sram={"activations": {"kib": 3, "banks": 1}}),
    "narrow lanes": machine(vector={"lanes": 3}, requantizer={"lanes": 5, "passes": "separate"}),
}


CASES = [(name, block) for name in MACHINES for block in ("16x16", "5x3")]
CASES.remove(("SRAM that hardly fits", "5x3"))  # its spilled sums need more than 3 KiB


@pytest.mark.parametrize(("name", "block"), CASES)
def test_execute_equals_the_interpreter_on_other_machines(
    tiny_graph: Graph, tiny_inputs: dict[str, np.ndarray], name: str, block: str
) -> None:
    one = {key: array[:1] for key, array in tiny_inputs.items()}
    lost = assert_equal_to_interpreter(compiled(tiny_graph, "bct-int8", block, MACHINES[name]), one)
    if name == "short aligner":
        assert lost["flushed"] > 0
    if name.startswith("narrow,"):
        assert lost["overflows"] > 0


def test_an_sram_that_evicts_gives_the_same_bits_and_more_traffic(
    tiny_graph: Graph, tiny_inputs: dict[str, np.ndarray]
) -> None:
    small = compiled(tiny_graph, "bct-int8", "16x16", MACHINES["SRAM that hardly fits"])
    large = compiled(tiny_graph, "bct-int8", "16x16")
    stores = [int((t.program["opcode"] == Opcode.STORE).sum()) for t in (small, large)]
    assert stores[0] > stores[1]
    first, second = (bs.execute(bs.link(t), tiny_inputs).outputs["logits"] for t in (small, large))
    assert (first == second).all()


def test_spilled_and_direct_sums_give_the_same_bits(
    tiny_graph: Graph, tiny_inputs: dict[str, np.ndarray]
) -> None:
    spilled = compiled(tiny_graph, "bct-int8", "16x16", MACHINES["few accumulator rows"])
    assert (spilled.program["flags"] & Flag.SPILL).any()
    direct = compiled(tiny_graph, "bct-int8", "16x16")
    assert not (direct.program["flags"] & Flag.SPILL).any()
    first, second = (bs.execute(bs.link(t), tiny_inputs).outputs["logits"] for t in (spilled, direct))
    assert (first == second).all()


def test_bits_do_not_depend_on_threads_or_company(vit: ZooModel, vit_graph: Graph) -> None:
    linked = bs.link(compiled(vit_graph, "bct-int8", "16x16"))
    images = vit.inputs["image"][:21]
    probe = ("encoder.3.ffn1",)
    one = bs.execute(linked, {"image": images}, probe, threads=1)
    two = bs.execute(linked, {"image": images}, probe, threads=2)
    assert (one.outputs["logits"] == two.outputs["logits"]).all()
    assert one.counts == two.counts
    batch = bs.execute(linked, {"image": images[8:16]}, probe)
    for i in range(8):
        alone = bs.execute(linked, {"image": images[8 + i : 9 + i]}, probe)
        assert (alone.outputs["logits"][0] == batch.outputs["logits"][i]).all()
        for a, b, c in zip(
            alone.probes[probe[0]][0], batch.probes[probe[0]][i], two.probes[probe[0]][8 + i], strict=True
        ):
            assert (a == b).all()
            assert (a == c).all()


def test_threads_that_cannot_start_leave_nobody_waiting(
    vit: ZooModel, vit_graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second of two further threads fails; the first must not wait for it."""
    linked, one = bs.link(compiled(vit_graph, "bct-int8", "16x16")), {"image": vit.inputs["image"][:1]}
    started, start = [], Thread.start

    def failing(thread: Thread) -> None:
        if started:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    with monkeypatch.context() as patched:
        patched.setattr(Thread, "start", failing)
        with pytest.raises(RuntimeError, match="new thread"):
            bs.execute(linked, one, threads=3)
    started[0].join(10)
    assert not started[0].is_alive()


def test_a_step_that_fails_is_told_and_leaves_nobody_waiting(vit: ZooModel, vit_graph: Graph) -> None:
    linked, one = bs.link(compiled(vit_graph, "bct-int8", "16x16")), {"image": vit.inputs["image"][:1]}

    def failing(_w: object, part: int, _parts: int) -> None:
        if part == 1:
            raise ValueError("this share")

    op, _ = linked.steps[3]
    steps = (*linked.steps[:3], (op, (failing,)), *linked.steps[4:])
    with pytest.raises(ValueError, match="this share"):
        bs.execute(replace(linked, steps=steps, spare={}), one, threads=2)
    assert bs.execute(linked, one, threads=2).outputs["logits"].shape == (1, 10)


def test_a_team_of_more_threads_than_there_is_work_for(vit: ZooModel, vit_graph: Graph) -> None:
    linked, one = bs.link(compiled(vit_graph, "bct-int8", "16x16")), {"image": vit.inputs["image"][:1]}
    alone, team = (bs.execute(linked, one, threads=n) for n in (1, 5))
    assert (alone.outputs["logits"] == team.outputs["logits"]).all()
    assert alone.counts == team.counts


def test_no_float_carries_integers(vit: ZooModel, vit_graph: Graph) -> None:
    """Every buffer between encode and decode is of an integer type, and so is every kernel argument."""
    from hwmodels.kernels import elementwise, lut, matmul, norm, requantizer, softmax

    linked = bs.link(compiled(vit_graph, "bct-int8", "16x16"))
    with linked.workspace(1) as w:
        arrays = [*w.codes.values(), *w.shared.values(), w.sums, w.exponents, w.counts]
        assert {a.dtype.kind for a in arrays} == {"i"}
    bs.execute(linked, {"image": vit.inputs["image"][:1]})
    kernels = [
        *(getattr(matmul, n) for n in ("matmul_static", "matmul_dynamic")),
        requantizer.requantize,
        lut.lut,
        softmax.softmax_rows,
        norm.norm_rows,
        elementwise.add_matrices,
    ]
    for kernel in kernels:
        assert kernel.signatures, kernel
        assert "float" not in str(kernel.signatures), kernel


# -- the trace ---------------------------------------------------------------------------------


def test_a_trace_survives_its_file(
    tmp_path: Path, tiny_graph: Graph, tiny_inputs: dict[str, np.ndarray]
) -> None:
    trace = compiled(tiny_graph, "bct-w4a8", "16x16")
    trace.save(tmp_path / "t.trace")
    opened = Trace.open(tmp_path / "t.trace")
    assert opened.manifest == trace.manifest
    assert (opened.program == trace.program).all()
    assert opened.sections == trace.sections
    first, second = (bs.execute(bs.link(t), tiny_inputs).outputs["logits"] for t in (trace, opened))
    assert (first == second).all()
    assert [p.name for p in tmp_path.iterdir()] == ["t.trace"]


def test_packed_sections_are_the_bits_of_the_footprint(vit_graph: Graph) -> None:
    """Bytes in the trace are the counted bits: payload, exponents (a copy per tile), half-filled bytes."""
    trace = compiled(vit_graph, "bct-w4a8", "16x16")
    for name, spec in trace.manifest.constants.items():
        assert len(trace.sections[name]) == spec.size
        if spec.role == "weight":
            assert 8 * spec.size == spec.payload_bits + spec.metadata_bits
    weights = [c for c in trace.manifest.constants.values() if c.role in ("weight", "bias")]
    ratio = sum(32 * c.rows * c.columns for c in weights) / sum(
        c.payload_bits + c.metadata_bits for c in weights
    )
    assert ratio == pytest.approx(7.886, abs=5e-4)


def test_a_changed_program_is_refused_by_link(tiny_graph: Graph) -> None:
    trace = compiled(tiny_graph, "bct-int8", "16x16")
    program = trace.program.copy()
    index = int(np.argmax(program["opcode"] == Opcode.REQUANT))
    program["rows"][index] -= 1
    with pytest.raises(ValueError, match="do not cover"):
        bs.link(Trace(trace.manifest, program, trace.sections))


# -- energy ------------------------------------------------------------------------------------


def test_energy_is_counts_times_figures(vit_graph: Graph) -> None:
    trace = compiled(vit_graph, "bct-int8", "64x64")
    energy = measure_energy(trace, costs.load("horowitz-45nm"), 1000)
    recount = sum(n * energy.figures[a].pj for a, n in energy.actions.items())
    assert recount == pytest.approx(energy.total, rel=1e-12)
    assert sum(energy.components.values()) == pytest.approx(energy.total, rel=1e-12)
    assert sum(energy.operators.values()) + energy.components["static"] == pytest.approx(
        energy.total, rel=1e-12
    )
    assert energy.actions["mul:8x8"] == vit_graph.datapath_macs
    assert all(
        f.source and f.formula and f.status in ("cited", "derived", "chosen") for f in energy.figures.values()
    )


def test_dram_traffic_is_every_constant_once(vit_graph: Graph) -> None:
    """Weights are read once; activations stay in SRAM, but for what the host exchanges."""
    trace = compiled(vit_graph, "bct-int8", "64x64")
    loads = trace.program[trace.program["opcode"] == Opcode.LOAD]
    constants = [c for c in trace.manifest.constants.values() if c.role != "host"]
    exchanged = sum(trace.manifest.tensors[t].nbytes for t in ("embed.patches", "norm.reducemean"))
    assert int(loads["size"].sum()) == sum(c.size for c in constants) + exchanged


@pytest.mark.parametrize("name", costs.names())
def test_cost_tables_have_every_action(vit_graph: Graph, name: str) -> None:
    trace = compiled(vit_graph, "bct-w4a8", "16x16")
    energy = measure_energy(trace, costs.load(name), 1000)
    assert energy.total > 0
    assert energy.figures["mul:8x4"].status == "derived"
    cited = costs.load(name).figure("mul:8x8")
    assert cited.status == "cited"
    assert energy.figures["mul:8x4"].pj == pytest.approx(cited.pj / 2)


def test_cost_figures_are_their_sources() -> None:
    """The figures that the tables cite, written out again."""
    old, new = costs.load("horowitz-45nm"), costs.load("jouppi-7nm")
    for action, pj45, pj7 in (
        ("add:8", 0.03, 0.007),
        ("add:32", 0.1, 0.03),
        ("mul:8x8", 0.2, 0.07),
        ("mul:32x32", 3.1, 1.48),
    ):
        assert (old.figure(action).pj, new.figure(action).pj) == (pj45, pj7)
    for kib, pj45, pj7 in ((8, 10, 7.5), (32, 20, 8.5), (1024, 100, 14)):
        assert old.figure("sram.weights.bytes", kib).pj == pytest.approx(pj45 / 8)
        assert new.figure("sram.weights.bytes", kib).pj == pytest.approx(pj7 / 8)
    assert old.figure("dram.bytes").pj == new.figure("dram.bytes").pj == 1300 / 8
