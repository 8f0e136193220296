"""How blocksim grows: a model of LLaMA's shape by its layers, and one layer of it by its tokens.

``make bench-scale`` writes ``bench/scale.json``, ``docs/scale.md`` and ``docs/scale.png``. Every point is a
process of its own, whose largest resident memory is the operating system's figure. The weights are
generated, and are packed anew for every number of layers.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx

import blocksim as bs
from bench import ROOT, machine
from blocksim.api import compile_model
from blocksim.engine.stages import execute_in_stages
from blocksim.zoo.llama import Llama, skeleton

MACHINE, PLAN, BLOCK = "tpu128", "bct-int8", "64x64"
LAYERS = (1, 2, 4, 8, 16, 32)
TOKENS = (32, 64, 128, 256, 512)
THREADS = 2
SCHEDULES = 5
LIMIT_GB = 3.0


def point(layers: int, tokens: int, runs: int, folder: Path) -> dict[str, Any]:
    """Compile and schedule a model, and execute it `runs` times: seconds, bytes, instructions, cycles."""
    sizes = Llama(layers=layers, tokens=tokens)
    model, out = folder / "llama.onnx", folder / "llama.trace"
    onnx.save(skeleton(sizes), model)
    start = time.perf_counter()
    compile_model(model, MACHINE, PLAN, BLOCK, weights="generator", out=out)
    compiled = time.perf_counter()
    trace = bs.Trace.open(out)
    opened = time.perf_counter()
    schedules = []
    for _ in range(SCHEDULES):
        again = replace(trace)  # what is known of a trace is known of this one alone
        begun = time.perf_counter()
        timeline = bs.schedule(again)
        schedules.append(time.perf_counter() - begun)
    ids = {"input_ids": np.random.default_rng(0).integers(0, sizes.vocabulary, (1, tokens))}
    executions = []
    for _ in range(runs):
        begun = time.perf_counter()
        execute_in_stages(trace, ids, threads=THREADS)
        executions.append(time.perf_counter() - begun)
    return {
        "layers": layers, "tokens": tokens, "parameters": sizes.parameters,
        "trace_gb": out.stat().st_size / 1e9, "instructions": len(trace.program), "cycles": timeline.cycles,
        "compile_s": compiled - start, "open_s": opened - compiled, "schedule_s": min(schedules),
        "execute_s": min(executions, default=None),
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
    }  # fmt: skip


def measured(layers: int, tokens: int, runs: int, scratch: Path) -> dict[str, Any]:
    """A point, in a process and a folder of its own."""
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        command = [sys.executable, __file__, "--point", str(layers), str(tokens), str(runs), folder]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    said = (f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items())
    print(", ".join(said), flush=True)
    return row


def line(x: list[float], y: list[float]) -> tuple[float, float, float]:
    """Slope, start and R^2 of the straight line of least squares."""
    slope, start = np.polyfit(x, y, 1)
    rest = np.asarray(y) - (slope * np.asarray(x) + start)
    return float(slope), float(start), float(1 - (rest**2).sum() / ((np.asarray(y) - np.mean(y)) ** 2).sum())


STEPS = (("compile_s", "compile"), ("schedule_s", "schedule"), ("execute_s", "execute"))


def page(figures: dict[str, Any]) -> str:
    """The figures as a page."""
    about = ", ".join(f"{k} {v}" for k, v in figures["machine"].items())
    peak = max(row["peak_gb"] for row in figures["layers"] + figures["tokens"])
    lines = [
        "# Scale", "",
        "Written by `make bench-scale`: a model of the shape of LLaMA-7B (arXiv 2302.13971: 32 layers, 4096 "
        "wide, 32 heads, 11008 inside, 32,000 words), its weights made by a generator, compiled for "
        f"`{MACHINE}` as `{PLAN}` {BLOCK}. Weights are packed one at a time into files, and execution takes "
        "a few operators at a time, so that memory does not grow with the model: at most "
        f"**{peak:.2f} GB** were resident, in any process. Rotary positions are the host's: see `coverage`.",
        "", f"Machine: {about}.", "", "![scale](scale.png)", "",
        "| layers | parameters | trace GB | instructions | compile s | schedule s | execute s | peak GB |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]  # fmt: skip
    for row in figures["layers"]:
        lines.append(
            f"| {row['layers']} | {row['parameters'] / 1e9:.2f} G | {row['trace_gb']:.2f} "
            f"| {row['instructions']:,} | {row['compile_s']:.1f} | {row['schedule_s']:.2f} "
            f"| {row['execute_s']:.1f} | {row['peak_gb']:.2f} |"
        )
    lines += ["", "Seconds against layers are straight lines:", ""]
    for key, name in STEPS:
        slope, start, fit = figures["lines"][key]
        lines.append(f"- {name}: {start:.2f} s and {slope:.3f} s a layer, R^2 {fit:.4f}")
    lines += [
        "", "One layer and the head of 32,000 words, by tokens:", "",
        "| tokens | cycles | compile s | schedule s | execute s | peak GB |",
        "|---:|---:|---:|---:|---:|---:|",
    ]  # fmt: skip
    for row in figures["tokens"]:
        lines.append(
            f"| {row['tokens']} | {row['cycles']:,} | {row['compile_s']:.1f} | {row['schedule_s']:.2f} "
            f"| {row['execute_s']:.1f} | {row['peak_gb']:.2f} |"
        )
    return "\n".join(lines) + "\n"


def draw(figures: dict[str, Any], path: Path) -> None:
    """Seconds against layers, with the lines, and seconds against tokens."""
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    layers = [row["layers"] for row in figures["layers"]]
    for (key, name), color in zip(STEPS, ("#4477aa", "#228833", "#cc6677"), strict=True):
        slope, start, fit = figures["lines"][key]
        left.plot(layers, [row[key] for row in figures["layers"]], "o", color=color)
        ends = np.array([0, max(layers)])
        left.plot(ends, start + slope * ends, color=color, label=f"{name}, R² {fit:.4f}", linewidth=1)
        rows = figures["tokens"]
        right.plot([r["tokens"] for r in rows], [r[key] for r in rows], "o-", color=color, label=name)
    left.set(xlabel="layers", ylabel="seconds", title="a model of LLaMA's shape, 128 tokens")
    right.set(xlabel="tokens", ylabel="seconds", title="one layer, with the head")
    for ax in (left, right):
        ax.set_ylim(bottom=0)
        ax.legend(frameon=False)
        ax.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main() -> None:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--point", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--layers", type=int, nargs="+", default=LAYERS)
    parser.add_argument("--tokens", type=int, nargs="+", default=TOKENS)
    parser.add_argument("--scratch", type=Path, help="where traces go for a while, up to 15 GB")
    given = parser.parse_args()
    if given.point:
        layers, tokens, runs = map(int, given.point[:3])
        print(json.dumps(point(layers, tokens, runs, Path(given.point[3]))))
        return
    measured(1, 32, 1, given.scratch)  # compiles the kernels, which is not to be counted
    rows = [measured(layers, 128, 1, given.scratch) for layers in given.layers]
    by_tokens = [measured(1, tokens, 3, given.scratch) for tokens in given.tokens]
    x = [float(row["layers"]) for row in rows]
    lines = {key: line(x, [row[key] for row in rows]) for key, _ in STEPS}
    figures = {"machine": machine(), "layers": rows, "tokens": by_tokens, "lines": lines}
    (ROOT / "bench" / "scale.json").write_text(json.dumps(figures, indent=2) + "\n")
    (ROOT / "docs" / "scale.md").write_text(page(figures))
    draw(figures, ROOT / "docs" / "scale.png")
    print(page(figures))
    if any(row["peak_gb"] > LIMIT_GB for row in rows + by_tokens):
        sys.exit(f"more than {LIMIT_GB} GB were resident")


if __name__ == "__main__":
    main()
