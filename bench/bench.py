"""How fast blocksim is, side by side with what one would use instead, or with another commit of itself.

``make bench`` writes ``bench/bench.json``, ``docs/bench.md`` and ``docs/bench.png``. Turns are interleaved,
so that a machine whose speed drifts slows all sides; ratios are taken turn by turn, and medians are quoted.
``make bench REF=<commit>`` takes turns with another commit of blocksim instead, and only prints.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
ROUNDS = 11
COMPARED = ("ViT, batch 64, bct-int8 64x64", "MiniLM, 128 tokens, bct-int8 64x64")
"""What is timed against another commit."""


def machine() -> dict[str, Any]:
    """What it ran on."""
    import llvmlite
    import numba
    import numpy as np
    import onnxruntime as ort

    from hwmodels.kernels.target import KIND

    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "microkernel": KIND,
        "python": platform.python_version(),
        "numba": numba.__version__,
        "llvmlite": llvmlite.__version__,
        "numpy": np.__version__,
        "onnxruntime": ort.__version__,
    }


def measure(rounds: int) -> list[dict[str, Any]]:
    """Every case: medians of both sides, and of their ratios turn by turn."""
    from cases import cases

    rows = []
    for case in cases():
        ours: list[float] = []
        theirs: dict[str, list[float]] = {name: [] for name in case.theirs}
        for _ in range(rounds):
            ours.append(case.ours())
            for name, turn in case.theirs.items():
                theirs[name].append(turn())
        row: dict[str, Any] = {
            "group": case.group, "name": case.name, "ms": 1e3 * statistics.median(ours),
            "gmacs": case.work / statistics.median(ours) / 1e9,
        }  # fmt: skip
        for name, times in theirs.items():
            ratios = [t / o for t, o in zip(times, ours, strict=True)]
            row[name] = {
                "ms": 1e3 * statistics.median(times), "speed": statistics.median(ratios),
                "lowest": min(ratios), "highest": max(ratios),
            }  # fmt: skip
        rows.append(row)
        beside = "; ".join(f"{row[name]['speed']:.2f}x the speed of {name}" for name in theirs)
        print(f"{case.name}: {row['ms']:.2f} ms{'; ' if beside else ''}{beside}", flush=True)
    return rows


def page(figures: dict[str, Any]) -> str:
    """The figures as a page."""
    about = ", ".join(f"{k} {v}" for k, v in figures["machine"].items())
    lines = [
        "# Speed", "",
        f"Written by `make bench`: warm, two threads, medians of {figures['rounds']} interleaved turns. "
        "*Speed* is how many times as fast as the other side, turn by turn, with its range. *Product* is "
        "MATMUL alone, from codes to wide sums, every term aligned and every overflow counted. *Model* is "
        "everything from encoding the inputs to decoding the outputs. Beside SCALE-Sim and RTL simulators: "
        "[peers.md](peers.md).",
        "", f"Machine: {about}.", "", "![speed](bench.png)", "",
        "| product (M x K x N, plan) | ms | GMAC/s | to MatMulInteger | range | to NumPy fp32 "
        "| to one thread |",
        "|---|---:|---:|---:|---|---:|---:|",
    ]  # fmt: skip
    for row in figures["cases"]:
        if row["group"] == "product":
            other, fp32, one = row["MatMulInteger"], row["NumPy fp32"], row["one thread"]
            lines.append(
                f"| {row['name']} | {row['ms']:.2f} | {row['gmacs']:.0f} | {other['speed']:.2f} "
                f"| {other['lowest']:.2f} to {other['highest']:.2f} | {fp32['speed']:.2f} "
                f"| {one['speed']:.2f} |"
            )
    lines += ["", "| model | ms | onnxruntime fp32 ms | speed | range |", "|---|---:|---:|---:|---|"]
    for row in figures["cases"]:
        if row["group"] == "model":
            other = row["onnxruntime fp32"]
            lines.append(
                f"| {row['name']} | {row['ms']:.1f} | {other['ms']:.1f} | {other['speed']:.2f} "
                f"| {other['lowest']:.2f} to {other['highest']:.2f} |"
            )
    lines += ["", "| schedule | ms |", "|---|---:|"]
    lines += [f"| {r['name']} | {r['ms']:.1f} |" for r in figures["cases"] if r["group"] == "schedule"]
    return "\n".join(lines) + "\n"


def draw(figures: dict[str, Any], path: Path) -> None:
    """One bar for each product and model: how many times as fast as the other side."""
    import matplotlib.pyplot as plt

    groups = (("product", "MatMulInteger"), ("model", "onnxruntime fp32"))
    plotted = [[r for r in figures["cases"] if r["group"] == group] for group, _ in groups]
    figure, axes = plt.subplots(
        2, 1, figsize=(8, 8), height_ratios=[len(rows) for rows in plotted], layout="constrained"
    )
    for ax, rows, (group, other) in zip(axes, plotted, groups, strict=True):
        names, speeds = [r["name"] for r in rows], [r[other]["speed"] for r in rows]
        errors = [
            [s - r[other]["lowest"], r[other]["highest"] - s] for s, r in zip(speeds, rows, strict=True)
        ]
        ax.barh(names, speeds, xerr=list(zip(*errors, strict=True)), color="#4477aa", ecolor="#888888")
        ax.axvline(1, color="black", linewidth=0.8)
        ax.invert_yaxis()
        ax.set_xlabel(f"speed of a bit-exact {group}, {other} = 1 (median and range)")
        ax.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


@contextmanager
def files_of(ref: str) -> Iterator[Path]:
    """The project as it was at a commit, in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        git = ["git", "-C", str(ROOT), "archive", "--format=zip", ref]
        packed = subprocess.run(git, check=True, capture_output=True).stdout
        with zipfile.ZipFile(io.BytesIO(packed)) as files:
            files.extractall(folder)
        yield Path(folder)


@contextmanager
def at_work(name: str, place: Path) -> Iterator[Callable[[], float]]:
    """A process that holds a model, compiled with the blocksim at `place`; each call has it take a turn."""
    command = [sys.executable, str(Path(__file__).parent / "one_model.py"), name]
    environment = os.environ | {"PYTHONPATH": str(place)}
    with subprocess.Popen(
        command, env=environment, cwd=place, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        to, answers = process.stdin, process.stdout

        def answer() -> str:
            line = answers.readline().strip()
            if not line:
                raise RuntimeError(f"{name}: {place}: ended with {process.wait()}")
            return line

        def turn() -> float:
            print(flush=True, file=to)
            return float(answer())

        loaded = Path(answer())
        if not loaded.is_relative_to(place):
            raise RuntimeError(f"{loaded}: not of {place}")
        yield turn


def compare(ref: str, rounds: int) -> None:
    """Time a few models here and at another commit, in two processes that take turns."""
    with files_of(ref) as other:
        for name in COMPARED:
            with at_work(name, ROOT) as ours, at_work(name, other) as theirs:
                turns = [(ours(), theirs()) for _ in range(rounds)]
            here, there = (1e3 * statistics.median(t) for t in zip(*turns, strict=True))
            ratios = sorted(a / b for a, b in turns)
            print(
                f"{name}: {here:.2f} ms here, {there:.2f} ms at {ref}: {statistics.median(ratios):.3f} "
                f"of its time ({ratios[0]:.3f} to {ratios[-1]:.3f})", flush=True
            )  # fmt: skip


def main() -> None:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ref", default="", help="another commit to compare with")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    given = parser.parse_args()
    if given.ref:
        compare(given.ref, given.rounds)
        return
    figures = {"machine": machine(), "rounds": given.rounds, "cases": measure(given.rounds)}
    (ROOT / "bench" / "bench.json").write_text(json.dumps(figures, indent=2) + "\n")
    (ROOT / "docs" / "bench.md").write_text(page(figures))
    draw(figures, ROOT / "docs" / "bench.png")
    print(page(figures))


if __name__ == "__main__":
    main()
