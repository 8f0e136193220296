"""Measurements: figures recounted another way, histograms in plain Python, emulation against the oracle."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from oracle import Oracle

import blocksim as bs
from blocksim.compiler import compile_graph
from blocksim.compiler.precision import load
from blocksim.engine.link import link
from blocksim.engine.packed import lines_of
from blocksim.engine.schedule import schedule
from blocksim.engine.segments import segments_of
from blocksim.graph import Graph
from blocksim.measure.emulate import Emulator, function, softmax
from blocksim.measure.figures import ReportData
from blocksim.measure.histogram import histograms
from blocksim.measure.mechanism import COLUMNS, finer_aligner, finest_tables, gain_of, mechanisms, on_machine
from blocksim.measure.stalls import array_cycles_of, stalls_of
from blocksim.measure.traffic import lower_bound
from blocksim.trace import Trace
from blocksim.trace.isa import Opcode
from blocksim.trace.manifest import OpSpec
from blocksim.zoo import ZooModel
from hwmodels import machines
from hwmodels.costs.area import area
from hwmodels.machines import Machine
from hwmodels.units import aligner, mac_array, prescan
from hwmodels.units.aligner import RUNNING
from hwmodels.units.mac_array import MacArrayConfig, MatmulOperands
from hwmodels.units.ops import ZERO_BLOCK

ROOT = Path(__file__).parent.parent
BCT64 = machines.load("bct64")
Arrays = dict[str, np.ndarray]


def machine(**sections: dict[str, object]) -> Machine:
    """bct64 with some fields changed."""
    fields = BCT64.model_dump()
    for section, changes in sections.items():
        for name, value in changes.items():
            inner = fields[section][name]
            fields[section][name] = {**inner, **value} if isinstance(inner, dict) else value
    return Machine.model_validate(fields)


def compiled(graph: Graph, block: str, on: Machine = BCT64, plan: str = "bct-int8") -> Trace:
    return compile_graph(graph, on, load(plan, block))


def bert(samples: int, seed: int = 3) -> Arrays:
    rng = np.random.default_rng(seed)
    mask = np.ones((samples, 12), np.int64)
    mask[1::2, 9:] = 0
    ids = rng.integers(5, 90, (samples, 12))
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(mask)}


@pytest.fixture(scope="module")
def bert_experiment() -> bs.Experiment:
    return bs.Experiment(
        ROOT / "traces" / "bert_tiny.onnx",
        bert(4),
        bind={"seq": 12},
        weights="generator",
        calibration=bert(8, 4),
    )


@pytest.fixture(scope="module")
def data(vit: ZooModel) -> ReportData:
    experiment = bs.Experiment(vit.path, {"image": vit.inputs["image"][:3]}, vit.labels[:3])
    return experiment.run("bct-int8", "16x16").data


@pytest.mark.parametrize("labels", [np.zeros((3, 1), int), np.zeros(3), np.zeros(3, bool), 1, "y.npy"])
def test_labels_that_are_no_classes_are_refused(vit: ZooModel, labels: np.ndarray) -> None:
    with pytest.raises(bs.BlocksimError, match=r"labels: classes: .*: give a vector of integers"):
        bs.Experiment(vit.path, {"image": vit.inputs["image"][:3]}, labels)


# -- cycles ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "on",
    [
        BCT64,
        machine(aligner={"per_column": 3}),
        machine(array={"dataflow": "os"}, aligner={"depth": "segment"}),
        machine(sram={"activations": {"port_bytes": 24}}),
        machine(aligner={"normalise": "exact"}),
    ],
    ids=["bct64", "three aligners", "outputs stay", "narrow port", "exact"],
)
def test_the_aligners_stall_is_what_more_aligners_save(vit_graph: Graph, on: Machine) -> None:
    trace = compiled(vit_graph, "8x8", on)
    timeline = schedule(trace)
    everything = np.ones(len(trace.program), np.bool_)
    fields = on.model_dump()
    fields["aligner"]["per_column"] = 64  # no fold has more than 64 segments, no column more rows
    full = on_machine(trace, Machine.model_validate(fields))
    saved = array_cycles_of(trace, timeline, everything) - array_cycles_of(full, schedule(full), everything)
    stall = stalls_of(trace, timeline, everything)
    assert stall.aligner == saved > 0
    assert (stall.prescan > 0) == (on.aligner.normalise == "exact")


def test_stalls_are_those_of_the_units(data: ReportData) -> None:
    assert data.stall is not None
    waits = [use.stalls for use in data.units.values()]
    assert data.stall.dram == sum(w["dma"] for w in waits)
    assert data.stall.requantize == sum(w["requantizer"] for w in waits)
    assert data.stall.port == sum(w["port"] for w in waits) + data.array_parts["feed"]
    rest = sum(sum(w.values()) for w in waits) - sum(w["dma"] + w["requantizer"] + w["port"] for w in waits)
    assert data.stall.dependency == rest
    for part in ("aligner", "weight_load", "prescan"):
        assert getattr(data.stall, part) == data.array_parts[part]
    for cause, total in data.stall.model_dump().items():
        assert sum(getattr(layer.stalls, cause) for layer in data.layers) == total
    assert sum(layer.array_cycles for layer in data.layers) == data.array_cycles == data.units["array"].busy


# -- bytes -------------------------------------------------------------------------------------


def touched(trace: Trace) -> int:
    """Bytes of DRAM that are loaded at least once, and bytes that are stored at least once."""
    total = 0
    for opcode, field in ((Opcode.LOAD, "a"), (Opcode.STORE, "dst")):
        mine = trace.program[trace.program["opcode"] == opcode]
        seen = np.zeros(trace.manifest.dram_bytes, np.bool_)
        for record in mine:
            seen[int(record[field]) : int(record[field]) + int(record["size"])] = True
        total += int(seen.sum())
    gathers = trace.program[trace.program["opcode"] == Opcode.GATHER]
    return total + int(gathers["size"].sum())


def test_the_lower_bound_is_every_byte_once(
    vit_graph: Graph, tiny_graph: Graph, bert_experiment: bs.Experiment
) -> None:
    for trace in (
        compiled(vit_graph, "16x16"),
        compiled(tiny_graph, "5x3"),
        bert_experiment.compile("bct-int8", "16x16"),
    ):
        assert sum(lower_bound(trace.manifest).values()) == touched(trace)
    evicting = compiled(tiny_graph, "16x16", machine(sram={"activations": {"kib": 3, "banks": 1}}))
    bound = sum(lower_bound(evicting.manifest).values())
    assert bound == sum(lower_bound(compiled(tiny_graph, "16x16").manifest).values())
    assert bound < touched(evicting)


def test_traffic(data: ReportData, tiny_path: Path, tiny_inputs: Arrays) -> None:
    dram = data.traffic["dram"]
    assert sum(dram.values()) == data.dram_bytes == data.actions["dram.bytes"].count
    assert data.metadata_traffic_share["dram"] == dram["exponents"] / data.dram_bytes
    sram = [data.traffic[m] for m in ("activations", "weights")]
    shares = sum(m["exponents"] for m in sram) / sum(sum(m.values()) for m in sram)
    assert data.metadata_traffic_share["sram"] == shares
    assert data.dram_lower_bound_bytes is not None
    assert data.dram_lower_bound_bytes <= data.dram_bytes <= 1.02 * data.dram_lower_bound_bytes
    assert data.spill_bytes == 0
    assert data.peak_sram_bytes["activations"] == data.footprint.peak_activation_bytes
    assert 0 < data.peak_sram_bytes["weights"] <= BCT64.sram.weights.nbytes
    experiment = bs.Experiment(tiny_path, tiny_inputs)
    spilling = experiment.run("bct-int8", "16x16", machine=machine(accumulator={"rows": 3})).data
    assert spilling.spill_bytes is not None and spilling.spill_bytes > 0
    shares = [experiment.run("bct-int8", b).data.metadata_traffic_share["sram"] for b in ("16x16", "4x4")]
    assert shares[0] < shares[1]


# -- rates, price, area ------------------------------------------------------------------------


def test_rates(data: ReportData) -> None:
    assert data.cycles is not None and data.energy_pj is not None and data.tops is not None
    seconds, operations = data.cycles * 1e-9, 2 * data.coverage.datapath_macs
    assert data.tops == pytest.approx(operations / seconds / 1e12)
    assert data.peak_tops == pytest.approx(2 * 64 * 64 * 1e9 / 1e12)
    assert data.utilisation == pytest.approx(data.tops / data.peak_tops)
    assert data.tops_per_watt == pytest.approx(data.tops / (data.energy_pj * 1e-12 / seconds))
    assert data.edp == pytest.approx(data.energy_pj * 1e-12 * seconds)
    transistors = sum(figure.transistors for figure in area(BCT64).values())
    assert data.tops_per_area == pytest.approx(data.tops / (transistors / 1e6))


def test_the_price_of_the_block(data: ReportData, tiny_path: Path, tiny_inputs: Arrays) -> None:
    price = data.price_of_the_block
    assert list(price) == ["prescan", "align", "requantize", "exponents"]
    assert price["align"].cycles == data.array_parts["aligner"]
    assert price["requantize"].cycles == data.units["requantizer"].busy
    assert all(price[p].pj == data.energy_parts.get(p, 0.0) for p in price)
    assert price["align"].transistors == data.area["aligners"].transistors
    assert all(p.note.count(";") >= 2 for p in price.values())
    exact = bs.run(tiny_path, tiny_inputs, machine(aligner={"normalise": "exact"}), block="4x4").data
    prescan_price = exact.price_of_the_block["prescan"]
    assert prescan_price.cycles and prescan_price.pj and prescan_price.transistors
    assert exact.price_of_the_block["exponents"].transistors > 0


def test_footprints(data: ReportData, bert_experiment: bs.Experiment) -> None:
    f = data.footprint
    assert f.compression_ratio > f.ratio_with_everything > f.ratio_with_padding
    assert f.ratio_with_padding == f.fp32_everything_bits / (f.everything_bits + f.padding_bits)
    report = bert_experiment.run("layerwise-lin8")
    assert report.trace is not None
    constants = report.trace.manifest.constants.values()
    multipliers = sum(c.columns for c in constants if c.role == "multiplier")
    exponents = sum(c.blocks for c in constants if c.role in ("weight", "bias"))
    assert report.data.footprint.metadata_bits == 24 * multipliers + 8 * exponents
    assert multipliers > 0
    fp32 = bert_experiment.run("fp32").data.footprint
    assert (fp32.compression_ratio, fp32.ratio_with_everything) == (1.0, 1.0)
    own = report.data.footprint
    assert fp32.fp32_everything_bits == own.fp32_everything_bits


# -- histograms --------------------------------------------------------------------------------


def operands_of(trace: Trace, op: OpSpec, group: int, probes: Arrays, sample: int) -> MatmulOperands:
    """A group of a product as plain lists."""
    manifest, array = trace.manifest, trace.manifest.machine.array_config
    assert op.a is not None
    a = manifest.tensors[op.a.tensor]
    codes, shared = probes[a.name][sample]
    r, c = group * op.a.row_step, group * op.a.column_step
    bias = bias_exponents = None
    bias_bits = w_bits = 8
    if op.weight is not None:
        b = manifest.constants[op.weight]
        segments = segments_of(op, group, a, b, array)
        w, per_block = lines_of(b, trace.sections[op.weight])
        ew, w_bits = per_block[:, segments.b_blocks], b.bits
        if op.bias is not None:
            spec = manifest.constants[op.bias]
            values, one = lines_of(spec, trace.sections[op.bias])
            bias, bias_exponents, bias_bits = values[:, 0].tolist(), one[:, 0].tolist(), spec.bits
    else:
        assert op.b is not None
        b = manifest.tensors[op.b.tensor]
        segments = segments_of(op, group, a, b, array)
        other, b_shared = probes[b.name][sample]
        spread = b_shared[b.row_index][:, b.column_index]
        r1, c1 = group * op.b.row_step, group * op.b.column_step
        if op.b.transposed:
            w, e = (x[r1 : r1 + op.k, c1 : c1 + op.n].T for x in (other, spread))
        else:
            w, e = (x[r1 : r1 + op.n, c1 : c1 + op.k] for x in (other, spread))
        ew = e[:, segments.starts]
    ea = shared[a.row_index][:, a.column_index][r : r + op.m, c : c + op.k][:, segments.starts]
    return MatmulOperands(
        codes[r : r + op.m, c : c + op.k].tolist(), ea.tolist(), w.tolist(), ew.tolist(), bias,
        bias_exponents, segments.starts.tolist(), segments.update.tolist(), w_bits, bias_bits,
    )  # fmt: skip


def recount(array: MacArrayConfig, o: MatmulOperands) -> tuple[Counter, int, int, Counter]:
    """Shifts, flushed terms, terms of zero blocks and bits of the sums, with nothing but the units."""
    lane, word = array.aligner, array.accumulator
    shifts: Counter = Counter()
    flushed = zero = 0
    for ea in o.a_exponents:
        for j, ew in enumerate(o.w_exponents):
            eb = ZERO_BLOCK if o.bias_exponents is None else o.bias_exponents[j]
            floor = mac_array.bias_floor(eb, o.bias_bits, word.bits, lane.guard_bits, lane.max_shift)
            top = mac_array.start_bound(array.normalise, ea, ew, floor)
            for x, y in zip(ea, ew, strict=True):
                if array.normalise == RUNNING:
                    top = prescan.join(top, x, y, ZERO_BLOCK)
                shift = aligner.distance(top, x + y, lane.guard_bits)
                if ZERO_BLOCK in (x, y):
                    zero += 1
                elif abs(shift) > lane.max_shift:
                    flushed += 1
                else:
                    shifts[shift] += 1
    sums = mac_array.result(array, o).sums
    return shifts, flushed, zero, Counter(abs(x).bit_length() for row in sums for x in row)


@pytest.mark.parametrize(
    "on",
    [
        BCT64,
        machine(aligner={"normalise": "exact"}, array={"rows": 16}),
        machine(aligner={"normalise": "running", "guard_bits": 2}),
        machine(aligner={"max_shift": 2, "guard_bits": 1}),
        machine(array={"dataflow": "os"}, aligner={"depth": "segment"}),
    ],
    ids=["bound", "exact", "running", "short", "outputs stay"],
)
@pytest.mark.parametrize("block", ["5x3", "16x16"])
def test_histograms_are_those_of_a_plain_recount(
    tiny_graph: Graph, tiny_inputs: Arrays, on: Machine, block: str
) -> None:
    inputs = {"tokens": tiny_inputs["tokens"][:2].copy()}
    inputs["tokens"][1, 4:] = 0  # blocks of zeros
    trace = compiled(tiny_graph, block, on)
    linked = link(trace)
    found = histograms(trace, linked, inputs)
    probes = bs.execute(linked, inputs, probe=tuple(trace.manifest.tensors)).probes
    flushed = 0
    for op in trace.manifest.operators:
        if op.kind != "matmul":
            continue
        shifts, bits = Counter(), Counter()
        lost = zero = 0
        for sample in range(2):
            for group in range(op.groups):
                own = recount(on.array_config, operands_of(trace, op, group, probes, sample))
                shifts, bits = shifts + own[0], bits + own[3]
                lost, zero = lost + own[1], zero + own[2]
        got = found[op.name]
        assert got.shifts == dict(shifts)
        assert (got.flushed, got.zero, got.bits) == (lost, zero, dict(bits))
        flushed += lost
    assert set(found) == {op.name for op in trace.manifest.operators if op.kind == "matmul"}
    assert found["embed"].zero > 0 or block == "16x16"  # 10 rows in one block
    assert flushed > 0 or on.aligner.max_shift > 2


# -- error by mechanism ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("plan", "block"), [("bct-int8", "16x16"), ("bct-w4a8", "64x64"), ("layerwise-shift8", None)]
)
def test_the_emulation_is_the_oracle(vit: ZooModel, vit_graph: Graph, plan: str, block: str | None) -> None:
    trace = compile_graph(vit_graph, BCT64, load(plan, block))
    oracle, emulator = Oracle(vit_graph, trace), Emulator(vit_graph, trace)
    for i in range(4):
        one = {"image": vit.inputs["image"][i : i + 1]}
        ours = emulator.run(one)["logits"].ravel()
        assert ours == pytest.approx(oracle.run(one)["logits"], abs=1e-6)


def test_the_exact_emulation_is_the_reference(vit: ZooModel, bert_experiment: bs.Experiment) -> None:
    experiment = bs.Experiment(vit.path, {"image": vit.inputs["image"][:2]})
    for e, plan in (
        (experiment, "bct-int8"),
        (bert_experiment, "bct-int8"),
        (bert_experiment, "layerwise-lin8"),
    ):
        emulator = Emulator(e.graph, e.compile(plan), exact_constants=True, exact_tensors=True)
        for name, want in e.reference.items():
            for s in range(2):
                got = emulator.run({n: a[s : s + 1] for n, a in e.inputs.items()})[name]
                assert got[0] == pytest.approx(want[s], abs=2e-4 * float(np.abs(want).max()))


@pytest.mark.parametrize("plan", ["bct-int8", "bct-w4a8", "layerwise-lin8"])
def test_the_emulation_stands_near_the_simulation(bert_experiment: bs.Experiment, plan: str) -> None:
    """Masks, padding, looked-up rows and tensors stored twice: every stored tensor of a BERT."""
    trace = bert_experiment.compile(plan, None)
    inputs = bert_experiment.inputs
    emulator = Emulator(bert_experiment.graph, trace)
    run = bs.execute(bs.link(trace), inputs)
    for s in range(4):
        one = emulator.run({n: a[s : s + 1] for n, a in inputs.items()})
        for name, value in one.items():
            a, b = value.ravel().astype(float), run.outputs[name][s].ravel().astype(float)
            assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) > 0.998


def test_mechanisms(vit: ZooModel) -> None:
    experiment = bs.Experiment(vit.path, {"image": vit.inputs["image"][:8]})
    trace = experiment.compile("bct-w4a8", "16x16")
    frame = mechanisms(experiment.graph, trace, experiment.inputs, experiment.reference)
    assert tuple(frame.columns) == COLUMNS
    how = dict(zip(zip(frame["mechanism"], frame["how"], strict=True), frame["gain_db"], strict=True))
    assert set(how) == {
        *((m, "simulation") for m in ("none", "align", "accumulate", "lut")),
        *((m, "emulation") for m in ("none", "encode", "requantize")),
    }
    assert how["none", "simulation"] == how["none", "emulation"] == 0
    assert how["encode", "emulation"] > 10  # weights of 4 bits are what costs
    assert abs(how["accumulate", "simulation"]) < 0.1  # 32 bits hold every sum
    report = experiment.run("bct-w4a8", "16x16")
    none = frame[(frame["mechanism"] == "none") & (frame["how"] == "simulation")]
    assert none["sqnr_db"].item() == report.data.outputs["logits"].sqnr_db


def test_a_coarse_machine_gains_where_it_is_coarse(vit: ZooModel) -> None:
    """Each mechanism made the worst one in turn: switching it to exact gains most."""
    experiment = bs.Experiment(vit.path, {"image": vit.inputs["image"][:4]})
    worst = {
        "align": machine(aligner={"guard_bits": -7}),
        "accumulate": machine(accumulator={"bits": 17}, aligner={"guard_bits": 0}),
        "lut": machine(lut={"segments": 4}, softmax={"exp2_segments": 2, "reciprocal_segments": 2}),
    }
    for name, on in worst.items():
        trace = experiment.compile("bct-int8", "16x16", on)
        frame = mechanisms(experiment.graph, trace, experiment.inputs, experiment.reference)
        simulated = frame[frame["how"] == "simulation"].set_index("mechanism")["gain_db"].astype(float)
        assert simulated.idxmax() == name
        assert simulated[name] > 3, simulated


def test_finer_machines_change_only_what_they_say(tiny_graph: Graph, bert_experiment: bs.Experiment) -> None:
    trace = compiled(tiny_graph, "16x16")
    finer, said = finer_aligner(trace)
    assert finer.manifest.machine.aligner.guard_bits == 8 + 24
    assert "guard_bits 8 to 32" in said
    assert finer.manifest.machine.lut == trace.manifest.machine.lut
    assert finer.sections == trace.sections
    assert trace.manifest.machine == BCT64
    fine = finest_tables(trace)
    assert len(fine.sections["table.gelu"]) == 4 * ((1 << 16) + 1)
    assert fine.manifest.machine.aligner == BCT64.aligner
    real, _ = finer_aligner(bert_experiment.compile("layerwise-lin8"))
    assert real.manifest.machine.aligner.guard_bits == 8  # its sums go through a multiplier yet


def test_gains() -> None:
    gain, error = gain_of(np.array([4.0, 4.0, 4.0, 4.0]), np.array([1.0, 2.0, 3.0, 2.0]))
    assert gain == pytest.approx(10 * np.log10(2))
    assert error is not None and 0 < error < 2
    assert gain_of(np.zeros(3), np.ones(3)) == (None, None)
    assert gain_of(np.ones(2), np.ones(2)) == (0.0, None)


def test_functions() -> None:
    rows = softmax(np.array([[1.0, 2.0], [5.0, 5.0]]), np.array([[True, False], [False, False]]))
    assert rows.tolist() == [[1.0, 0.0], [0.0, 0.0]]
    x = np.array([[-40.0, -1.0, 0.0, 0.5, 40.0]])
    assert function("gelu", x)[0, 1] == pytest.approx(-0.158655, abs=1e-6)


def test_a_frame_prints(vit: ZooModel) -> None:
    experiment = bs.Experiment(vit.path, {"image": vit.inputs["image"][:2]})
    trace = experiment.compile("bct-int8", "64x64")
    frame = mechanisms(experiment.graph, trace, experiment.inputs, experiment.reference, samples=2)
    assert isinstance(frame, pd.DataFrame)
    assert frame["gain_se_db"].isna().all()  # two samples say nothing about an error
