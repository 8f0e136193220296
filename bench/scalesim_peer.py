"""SCALE-Sim and blocksim on the same products: the files that SCALE-Sim reads and writes, and both clocks.

Facts about its files are those of version 3.0.0: https://github.com/scalesim-project/SCALE-Sim (MIT). It is
run as a program of its own.
"""

from __future__ import annotations

import csv
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import onnx
from cases import product_model
from environments import SCALESIM, PeerError

import blocksim as bs
from blocksim.compiler import compile_graph
from blocksim.compiler.precision import load
from blocksim.engine.schedule import schedule
from blocksim.trace.isa import Opcode
from hwmodels import machines
from hwmodels.machines import Machine

SCRIPT = Path(__file__).parent / "scalesim_run.py"
GEMMS = ((128, 64, 128), (128, 768, 768), (128, 768, 3072), (128, 3072, 768), (512, 1024, 4096))
"""M x K x N: the scores of an attention head of 128 tokens, and the products of `make bench`."""

PLAN = ("bct-int8", "64x64")
THREADS = 2
STAGES = ("import", "compile", "schedule", "link", "execute")

Given = TypeVar("Given")


@dataclass(frozen=True)
class Case:
    """One product on one array."""

    dataflow: str
    size: int
    m: int
    k: int
    n: int

    @property
    def gemm(self) -> str:
        """M x K x N."""
        return f"{self.m} x {self.k} x {self.n}"

    @property
    def array(self) -> str:
        """The array and what stays in it."""
        return f"{self.size} x {self.size} {self.dataflow}"

    @property
    def closed_form(self) -> int:
        """The published cycles of an array whose folds follow each other.

        >>> Case("os", 32, 128, 768, 768).closed_form
        79680
        """
        r, m, k, n = self.size, self.m, self.k, self.n
        if self.dataflow == "os":
            return -(-m // r) * -(-n // r) * (2 * r + k - 2)
        return -(-k // r) * -(-n // r) * (3 * r + m - 2)


CASES = (*(Case("ws", 64, *gemm) for gemm in GEMMS), *(Case("os", 32, *gemm) for gemm in GEMMS[:3]))
"""The arrays of the machines `bct64` and `scalesim`; on the smaller one, the smaller products."""

CONFIG = """\
[general]
run_name = run

[architecture_presets]
ArrayHeight = {size}
ArrayWidth = {size}
IfmapSramSzkB = 256
FilterSramSzkB = 256
OfmapSramSzkB = 256
IfmapOffset = 0
FilterOffset = 10000000
OfmapOffset = 20000000
Dataflow = {dataflow}
Bandwidth = 10
ReadRequestBuffer = 64
WriteRequestBuffer = 64

[layout]
IfmapCustomLayout = False
IfmapSRAMBankBandwidth = 10
IfmapSRAMBankNum = 10
IfmapSRAMBankPort = 2
FilterCustomLayout = False
FilterSRAMBankBandwidth = 10
FilterSRAMBankNum = 10
FilterSRAMBankPort = 2

[sparsity]
SparsitySupport = false

[run_presets]
InterfaceBandwidth = CALC
UseRamulatorTrace = False
"""
"""Under `CALC` it works out the bandwidth that it would need, and never waits for its memories."""


def write_inputs(case: Case, folder: Path) -> None:
    """The files that SCALE-Sim reads: the array, the product (in its order, M, N, K), and no layout."""
    (folder / "array.cfg").write_text(CONFIG.format(size=case.size, dataflow=case.dataflow))
    (folder / "gemm.csv").write_text(f"Layer, M, N, K,\ngemm, {case.m}, {case.n}, {case.k},\n")
    (folder / "layout.csv").write_text("Layer,\n")


def cycles_of(report: str) -> tuple[int, int]:
    """Cycles and stalled cycles of the only layer in `COMPUTE_REPORT.csv`.

    Raises
    ------
    PeerError
        If it is no such report.
    """
    rows = [[cell.strip() for cell in row] for row in csv.reader(report.splitlines())]
    try:
        header, layer = rows
        named = dict(zip(header, layer, strict=True))
        return int(named["Total Cycles"]), int(named["Stall Cycles"])
    except (ValueError, KeyError) as error:
        raise PeerError(f"COMPUTE_REPORT.csv: {error}: expected one layer with its cycles") from None


def theirs(case: Case, limit: float) -> dict[str, Any]:
    """SCALE-Sim's cycles and seconds; none where it was stopped at the limit.

    Seconds are the processor's: it has one thread, and others on the machine do not lengthen them.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_inputs(case, folder)
        try:
            said = SCALESIM.run(SCRIPT, name, limit=limit)
        except subprocess.TimeoutExpired:
            return {"cycles": None, "stalls": None, "seconds": None, "clock": None, "limit": limit}
        cycles, stalls = cycles_of((folder / "run" / "COMPUTE_REPORT.csv").read_text())
    seconds, clock = (float(word) for word in said.split()[-2:])
    return {"cycles": cycles, "stalls": stalls, "seconds": seconds, "clock": clock, "limit": limit}


def machine_of(case: Case) -> Machine:
    """The machine `scalesim` with the array of a case."""
    fields = machines.load("scalesim").model_dump()
    fields["array"] |= {"dataflow": case.dataflow, "rows": case.size, "columns": case.size}
    fields["aligner"]["depth"] = "segment" if case.dataflow == "os" else "fold"
    return Machine.model_validate(fields)


def ours(case: Case, rounds: int) -> dict[str, Any]:
    """Cycles of blocksim, and the median seconds of every stage from an ONNX file to bits.

    Nothing is kept from one round to the next but compiled kernels. *again* is a second execution, warm.
    """
    on, plan = machine_of(case), load(*PLAN)
    x = {"x": np.random.default_rng(1).standard_normal((1, case.m, case.k)).astype(np.float32)}
    seconds: dict[str, list[float]] = {stage: [] for stage in (*STAGES, "again")}

    def timed(stage: str, function: Callable[[], Given]) -> Given:
        start = time.perf_counter()
        given = function()
        seconds[stage].append(time.perf_counter() - start)
        return given

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "product.onnx"
        onnx.save(product_model(case.m, case.k, case.n), path)
        for _ in range(rounds + 1):
            graph = timed("import", lambda: bs.import_onnx(path))
            trace = timed("compile", lambda g=graph: compile_graph(g, on, plan))  # type: ignore[misc]
            timeline = timed("schedule", lambda t=trace: schedule(t))  # type: ignore[misc]
            linked = timed("link", lambda t=trace: bs.link(t))  # type: ignore[misc]
            for stage in ("execute", "again"):
                timed(stage, lambda p=linked: bs.execute(p, x, threads=THREADS))  # type: ignore[misc]
    mine = trace.program["opcode"] == Opcode.MATMUL
    total = [sum(seconds[stage][i] for stage in STAGES) for i in range(1, rounds + 1)]
    return {
        "cycles": int((timeline.end - timeline.start)[mine].sum()),
        "whole": timeline.cycles,
        "instructions": len(trace.program),
        "seconds": {stage: statistics.median(found[1:]) for stage, found in seconds.items()},
        "total": statistics.median(total),
    }


def measured(case: Case, rounds: int, limit: float) -> dict[str, Any]:
    """Both sides of a case; the cycles have to be the published ones, on SCALE-Sim's side less one."""
    row: dict[str, Any] = {
        "gemm": case.gemm, "array": case.array, "closed_form": case.closed_form,
        "blocksim": ours(case, rounds), "scalesim": theirs(case, limit),
    }  # fmt: skip
    for side, offset in (("blocksim", 0), ("scalesim", -1)):
        found = row[side]["cycles"]
        if found is not None and found != case.closed_form + offset:
            raise PeerError(f"{side}: {case.gemm} on {case.array}: {found} cycles, not {case.closed_form}")
    return row
