"""How fast execution is, against fp32 inference of the same model: side by side, in one run.

``make bench`` writes ``bench/bench.json`` and ``docs/bench.md``. Pairs are interleaved, so that a
machine whose speed drifts slows both; a pause before each call lets the other's worker threads, which
spin for a while after theirs, fall asleep. Ratios are taken pair by pair, and medians are quoted.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numba
import numpy as np
import onnxruntime as ort

import blocksim as bs
from blocksim.compiler import compile_graph
from blocksim.compiler.precision import load
from hwmodels import machines

ROOT = Path(__file__).parent.parent
PAIRS, THREADS, BATCHES = 20, 2, (1, 8, 64)
CONFIGURATIONS = (("bct-int8", "64x64"), ("bct-int8", "16x16"), ("bct-int8", "8x8"), ("bct-w4a8", "64x64"))


def seconds(function: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def rested(function: Callable[[], object]) -> float:
    """Wall time of one call, after a pause in which the other side's threads stop spinning."""
    time.sleep(0.02)
    return seconds(function)


def pairs(ours: Callable[[], object], theirs: Callable[[], object]) -> dict[str, float]:
    """Medians of both, and of their ratio pair by pair, after two warm calls of each."""
    for function in (ours, theirs) * 2:
        function()
    times = [(rested(ours), rested(theirs)) for _ in range(PAIRS)]
    return {
        "ours_ms": 1e3 * statistics.median(a for a, _ in times),
        "theirs_ms": 1e3 * statistics.median(b for _, b in times),
        "ratio": statistics.median(a / b for a, b in times),
        "ratio_min": min(a / b for a, b in times),
        "ratio_max": max(a / b for a, b in times),
    }


def measure() -> dict[str, object]:
    """Every figure of the benchmark."""
    model = bs.zoo.load("vit_fashion")
    graph = bs.import_onnx(model.path)
    options = ort.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = ort.InferenceSession(str(model.path), options, providers=["CPUExecutionProvider"])
    executions, schedules = [], []
    for plan, block in CONFIGURATIONS:
        trace = compile_graph(graph, machines.load("bct64"), load(plan, block))
        linked = bs.link(trace)
        bs.schedule(trace)
        times = [seconds(lambda t=trace: bs.schedule(t)) for _ in range(PAIRS)]
        schedules.append(
            {
                "configuration": f"{plan} {block}",
                "instructions": len(trace.program),
                "ms": 1e3 * statistics.median(times),
            }
        )
        for batch in BATCHES:
            images = {"image": model.inputs["image"][:batch]}
            result = pairs(
                lambda p=linked, x=images: bs.execute(p, x, threads=THREADS),
                lambda x=images: session.run(None, x),
            )
            executions.append({"configuration": f"{plan} {block}", "batch": batch, **result})
            row = executions[-1]
            print(
                f"{row['configuration']:<18} batch {batch:>3}: {row['ratio']:.2f}x onnxruntime fp32",
                flush=True,
            )
    return {
        "machine": {
            "processor": processor(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "numba": numba.__version__,
            "numpy": np.__version__,
            "onnxruntime": ort.__version__,
        },
        "pairs": PAIRS,
        "threads": THREADS,
        "execute": executions,
        "schedule": schedules,
    }


def processor() -> str:
    """The processor's name, where the system tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def page(figures: dict[str, object]) -> str:
    """The figures as a page."""
    machine = figures["machine"]
    assert isinstance(machine, dict)
    lines = [
        "# Speed",
        "",
        "Written by `make bench`: the embedded ViT, warm, both with "
        f"{figures['threads']} threads, medians of {figures['pairs']} interleaved pairs. *Execute* is "
        "everything from encoding the inputs to decoding the outputs, bit-exact; *fp32* is "
        "`session.run` of onnxruntime.",
        "",
        "Machine: " + ", ".join(f"{k} {v}" for k, v in machine.items()) + ".",
        "",
        "| configuration | batch | execute ms | fp32 ms | ratio | range |",
        "|---|---:|---:|---:|---:|---|",
    ]
    for row in figures["execute"]:  # type: ignore[attr-defined]
        lines.append(
            f"| {row['configuration']} | {row['batch']} | {row['ours_ms']:.2f} | {row['theirs_ms']:.2f} "
            f"| {row['ratio']:.2f} | {row['ratio_min']:.2f} to {row['ratio_max']:.2f} |"
        )
    lines += ["", "| configuration | instructions | schedule ms |", "|---|---:|---:|"]
    for row in figures["schedule"]:  # type: ignore[attr-defined]
        lines.append(f"| {row['configuration']} | {row['instructions']} | {row['ms']:.2f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, write, print."""
    figures = measure()
    (ROOT / "bench" / "bench.json").write_text(json.dumps(figures, indent=2) + "\n")
    (ROOT / "docs" / "bench.md").write_text(page(figures))
    print(page(figures))


if __name__ == "__main__":
    main()
