"""Measuring: one trace, some samples, one report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blocksim._version import __version__
from blocksim.engine.boundary import Stored, decode_tensor
from blocksim.engine.execute import Execution, execute
from blocksim.engine.link import link
from blocksim.engine.schedule import PARTS, Timeline, schedule, stalls_by_cause
from blocksim.engine.workspace import Linked
from blocksim.graph.ir import Graph, Softmax
from blocksim.graph.reference import Reference
from blocksim.measure.energy import Energy, measure_energy
from blocksim.measure.error import ErrorMeter
from blocksim.measure.figures import (
    Coverage,
    EnergyFigure,
    Layer,
    Measurement,
    OutputError,
    ReportData,
    Saturation,
    UnitUse,
)
from blocksim.measure.footprint import fp32_footprint, measure_footprint
from blocksim.measure.histogram import SAMPLES, histograms
from blocksim.measure.rates import area_of, peak_tops_of, price_of, tops_of
from blocksim.measure.stalls import array_cycles_of, stalls_of
from blocksim.measure.traffic import lower_bound, metadata_shares, peak_sram, spilled, traffic_of
from blocksim.trace.file import Trace
from blocksim.trace.isa import Opcode, Unit
from hwmodels.costs import CostTable
from hwmodels.machines import Machine

LAYER_SAMPLES = 8
"""Samples over which the error per layer is measured: the reference gives every tensor of each."""

Inputs = Mapping[str, NDArray[Any]]
Outputs = dict[str, NDArray[np.float32]]
Probes = dict[str, list[Stored]]
Progress = Callable[[int], None]


def measure(
    graph: Graph,
    trace: Trace,
    costs: CostTable,
    inputs: Inputs,
    reference: Outputs,
    fp32: Reference,
    labels: NDArray[np.integer] | None = None,
    threads: int = 1,
    progress: Progress | None = None,
    layer_samples: int = LAYER_SAMPLES,
    timeline: Timeline | None = None,
) -> Measurement:
    """Execute, schedule and compare.

    Parameters
    ----------
    graph : Graph
    trace : Trace
        Compiled from `graph`.
    costs : CostTable
    inputs : dict of str to array, leading axis N
    reference : dict of str to float32 array, leading axis N
        The fp32 outputs of the same inputs.
    fp32 : Reference
        What gives every tensor of the graph in fp32.
    labels : int array, shape (N,), optional
        Right classes; the first output's largest element is the guess.
    threads : int
    progress : callable, optional
        Told how many more samples are done.
    layer_samples : int
        Samples over which the errors per layer and the histograms are taken, at most.
    timeline : Timeline, optional
        Of the trace, where it is known.

    Returns
    -------
    Measurement
    """
    manifest = trace.manifest
    linked = link(trace)
    names = tuple(name for name, spec in manifest.tensors.items() if not spec.copy_of)
    all_few = len(next(iter(inputs.values()))) <= layer_samples
    run = execute(linked, inputs, names if all_few else (), threads, progress)
    few = {name: array[:layer_samples] for name, array in inputs.items()}
    probes = run.probes if all_few else _few_probes(linked, few, names)
    layer_errors = _layer_errors(fp32, linked, few, probes)
    timeline = timeline or schedule(trace)
    energy = measure_energy(trace, costs, timeline.cycles)
    loss = {
        name: sum(c[name] for c in run.counts.values())
        for name in ("flushed", "overflows", "clamped", "saturated")
    }
    machine = manifest.machine
    multipliers = machine.array.rows * machine.array.columns
    samples = len(next(iter(inputs.values())))
    units = stalls_by_cause(trace, timeline)
    busy = timeline.end - timeline.start
    everything = np.ones(len(trace.program), np.bool_)
    stall = stalls_of(trace, timeline, everything)
    areas = area_of(trace)
    tops = tops_of(graph.datapath_macs, timeline.cycles, machine.clock_ghz)
    traffic = traffic_of(energy.counts.values())
    data = ReportData(
        blocksim=__version__,
        model=manifest.model,
        machine=machine.name,
        machine_parameters=machine.model_dump(mode="json"),
        costs=costs.name,
        precision=manifest.precision,
        formats=manifest.formats,
        samples=samples,
        layer_samples=min(layer_samples, samples),
        accuracy=_accuracy(run.outputs, labels),
        reference_accuracy=_accuracy(reference, labels),
        cycles=timeline.cycles,
        array_cycles=array_cycles_of(trace, timeline, everything),
        clock_ghz=machine.clock_ghz,
        utilisation=graph.datapath_macs / multipliers / timeline.cycles,
        energy_pj=energy.total,
        tops=tops,
        peak_tops=peak_tops_of(machine),
        tops_per_watt=2 * graph.datapath_macs / energy.total,
        tops_per_area=1e6 * tops / sum(a.transistors for a in areas.values()),
        edp=energy.total * 1e-12 * timeline.cycles / (machine.clock_ghz * 1e9),
        footprint=measure_footprint(trace),
        outputs=_output_errors(run.outputs, reference),
        coverage=_coverage(graph, trace),
        saturation=Saturation(**loss, constants=manifest.lost_constants),
        units={
            unit.name.lower(): UnitUse(
                busy=int(busy[trace.program["unit"] == unit].sum()), stalls=units[unit.name.lower()]
            )
            for unit in Unit
            if unit is not Unit.HOST
        },
        array_parts={name: int(n) for name, n in zip(PARTS, timeline.parts.sum(axis=0), strict=True)},
        stall=stall,
        energy=energy.components,
        energy_parts=energy.parts,
        price_of_the_block=price_of(trace, timeline, stall, energy.parts, areas),
        area=areas,
        actions={
            name: EnergyFigure(count=count, **vars(energy.figures[name]))
            for name, count in energy.actions.items()
        },
        dram_bytes=energy.actions.get("dram.bytes", 0),
        dram_lower_bound_bytes=sum(lower_bound(manifest).values()),
        spill_bytes=spilled(traffic),
        peak_sram_bytes=peak_sram(trace),
        traffic=traffic,
        metadata_traffic_share=metadata_shares(traffic),
        histogram_samples=min(SAMPLES, samples, layer_samples),
        histograms=histograms(trace, linked, few) if layer_samples else {},
        layers=_layers(graph, trace, run, timeline, energy, layer_errors),
    )
    return Measurement(data, run.outputs, trace, timeline)


def measure_fp32(
    graph: Graph,
    machine: Machine,
    inputs: Inputs,
    reference: Outputs,
    labels: NDArray[np.integer] | None = None,
) -> Measurement:
    """The reference itself as a measurement: values, and no cycles."""
    linear = sum(graph.constants[n].size for op in graph.matmuls() for n in (op.weight, op.bias) if n)
    activations = sum(t.rows * t.columns for t in graph.tensors.values())
    masks = {op.mask for op in graph.operators if isinstance(op, Softmax)}
    everything = sum(array.size for name, array in graph.constants.items() if name not in masks)
    footprint = fp32_footprint(linear, everything, activations)
    accuracy = _accuracy(reference, labels)
    samples = len(next(iter(inputs.values())))
    data = ReportData(
        blocksim=__version__, model=Path(graph.source).name, machine=machine.name,
        machine_parameters=machine.model_dump(mode="json"), costs=machine.costs,
        precision="fp32", formats={}, samples=samples, layer_samples=0, accuracy=accuracy,
        reference_accuracy=accuracy, cycles=None, array_cycles=None, clock_ghz=machine.clock_ghz,
        utilisation=None, energy_pj=None, tops=None, peak_tops=None, tops_per_watt=None,
        tops_per_area=None, edp=None, footprint=footprint, outputs=_output_errors(reference, reference),
        coverage=Coverage(datapath_macs=0, host_macs=graph.datapath_macs + graph.host_macs, host_ops=()),
        saturation=Saturation(flushed=0, overflows=0, clamped=0, saturated=0, constants=0),
        units={}, array_parts={}, stall=None, energy={}, energy_parts={}, price_of_the_block={},
        area={}, actions={}, dram_bytes=0, dram_lower_bound_bytes=None, spill_bytes=None,
        peak_sram_bytes={}, traffic={}, metadata_traffic_share={}, histogram_samples=0, histograms={},
        layers=(),
    )  # fmt: skip
    return Measurement(data, dict(reference))


def _accuracy(outputs: Outputs, labels: NDArray[np.integer] | None) -> float | None:
    if labels is None:
        return None
    first = next(iter(outputs.values()))
    return float((first.reshape(len(first), -1).argmax(axis=1) == labels).mean())


def _output_errors(outputs: Outputs, reference: Outputs) -> dict[str, OutputError]:
    errors = {}
    for name, value in outputs.items():
        meter = ErrorMeter()
        for r, v in zip(reference[name], value, strict=True):
            meter.add(r, v)
        errors[name] = OutputError(sqnr_db=meter.sqnr_db, max_abs_error=meter.largest, cosine=meter.cosine)
    return errors


def _few_probes(linked: Linked, few: Inputs, names: Sequence[str]) -> Probes:
    """Tensors of the first few samples."""
    return execute(linked, few, names).probes if len(next(iter(few.values()))) else {}


def _layer_errors(fp32: Reference, linked: Linked, inputs: Inputs, probes: Probes) -> dict[str, ErrorMeter]:
    """Error of every tensor that was kept, over the samples of which it was."""
    specs, meters = linked.manifest.tensors, dict[str, ErrorMeter]()
    for s in range(len(next(iter(probes.values()), []))):
        matrices = fp32.matrices({name: array[s : s + 1] for name, array in inputs.items()})
        for name in probes.keys() & matrices.keys():
            decoded = decode_tensor(specs[name], probes[name][s])
            meters.setdefault(name, ErrorMeter()).add(matrices[name], decoded)
    return meters


def _coverage(graph: Graph, trace: Trace) -> Coverage:
    return Coverage(
        datapath_macs=graph.datapath_macs,
        host_macs=graph.host_macs,
        host_ops=tuple(op.name for op in trace.manifest.operators if op.kind == "host"),
    )


def _layers(
    graph: Graph,
    trace: Trace,
    run: Execution,
    timeline: Timeline,
    energy: Energy,
    errors: dict[str, ErrorMeter],
) -> tuple[Layer, ...]:
    program, busy = trace.program, timeline.end - timeline.start
    computes = ~np.isin(program["opcode"], [Opcode.LOAD, Opcode.STORE])
    macs = {op.name: op.groups * op.m * op.k * op.n for op in graph.matmuls()}
    layers = []
    for i, op in enumerate(trace.manifest.operators):
        mine = program["op_id"] == i
        meter = errors.get(op.out.tensor)
        layers.append(
            Layer(
                name=op.name,
                kind=op.kind,
                format=trace.manifest.tensors[op.out.tensor].format,
                macs=macs.get(op.name, op.macs),
                cycles=int(busy[mine].sum()),
                start=int(timeline.start[mine & computes].min()),
                end=int(timeline.end[mine].max()),
                stall=int(timeline.stall[mine].sum()),
                array_cycles=array_cycles_of(trace, timeline, mine),
                stalls=stalls_of(trace, timeline, mine),
                dram_bytes=sum(
                    n for (_, action), n in energy.counts[op.name].items() if action == "dram.bytes"
                ),
                energy_pj=energy.operators[op.name],
                sqnr_db=meter.sqnr_db if meter else None,
                max_abs_error=meter.largest if meter else None,
                cosine=meter.cosine if meter else None,
                **run.counts[op.name],
            )
        )
    return tuple(layers)
