"""The products of a run in the columns of SCALE-Sim's ``COMPUTE_REPORT.csv``."""

from __future__ import annotations

import io

from blocksim.measure.figures import Measurement
from blocksim.trace.manifest import OpSpec
from hwmodels.machines import Machine

COMPUTE_REPORT = "COMPUTE_REPORT.csv"
HEADER = "LayerID, Total Cycles, Stall Cycles, Overall Util %, Mapping Efficiency %, Compute Util %,"


def compute_report(measurement: Measurement) -> str:
    """A row for each product, in the order of the trace.

    *Total Cycles* are those from a product's first instruction that computes to its last, *Stall Cycles*
    those of them in which the array does not work on it. *Overall Util* is its multiply-accumulates over
    elements and total cycles, *Compute Util* over the array's cycles alone, and *Mapping Efficiency* the
    share of elements that its folds fill.
    """
    trace = measurement.trace
    assert trace is not None
    machine, layers = trace.manifest.machine, {layer.name: layer for layer in measurement.data.layers}
    elements = machine.array.rows * machine.array.columns
    out = io.StringIO(newline="")
    out.write(f"{HEADER}\n")
    products = [op for op in trace.manifest.operators if op.kind == "matmul"]
    for number, op in enumerate(products):
        layer = layers[op.name]
        total = layer.end - layer.start
        figures = (
            100 * layer.macs / (elements * total), 100 * mapping(machine, op),
            100 * layer.macs / (elements * layer.array_cycles),
        )  # fmt: skip
        own = ", ".join(f"{x:.4f}" for x in figures)
        out.write(f"{number}, {total}, {total - layer.array_cycles}, {own},\n")
    return out.getvalue()


def mapping(machine: Machine, op: OpSpec) -> float:
    """The share of elements that a product's folds fill."""
    down, across = {"ws": (op.k, op.n), "is": (op.k, op.m), "os": (op.m, op.n)}[machine.array.dataflow]
    rows, columns = machine.array.rows, machine.array.columns
    return down * across / (-(-down // rows) * rows * -(-across // columns) * columns)
