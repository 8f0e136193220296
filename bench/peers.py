"""blocksim beside SCALE-Sim on whole products, and beside RTL simulators on tiles: ``make bench-peers``.

Writes ``bench/peers.json``, ``docs/peers.md`` and ``docs/peers.png``. Every peer runs in a process of its own
with the packages of its own environment, see `environments`. Exit 2 where one is missing, 1 where one fails
or where bits or cycles differ.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from environments import EVERY, MissingPeerError, PeerError

ROOT = Path(__file__).parent.parent
ROUNDS, LIMIT = 5, 1200.0

NAMES = {"verilator": "Verilator", "cxxrtl": "CXXRTL"}


def versions() -> dict[str, str]:
    """The peers that are installed, every one; and their versions."""
    for env in EVERY:
        env.packages()
    return {env.name: f"{env.package} {env.pins[env.package]}" for env in EVERY}


def measure(rounds: int, limit: float) -> dict[str, Any]:
    """Every tile and every product, with progress."""
    import rtl_peer
    import scalesim_peer
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    steps: list[tuple[str, str, Callable[[], dict[str, Any]]]] = [
        ("tiles", f"{name}, {size} x {size}", lambda n=name, s=size: rtl_peer.measured(n, s, rounds))  # type: ignore[misc]
        for name, size in rtl_peer.RUNS
    ]
    steps += [
        ("gemms", f"{c.gemm} on {c.array}", lambda c=c: scalesim_peer.measured(c, rounds, limit))  # type: ignore[misc]
        for c in scalesim_peer.CASES
    ]
    found: dict[str, Any] = {"gemms": [], "tiles": []}
    with Progress(
        SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), transient=True
    ) as progress:
        for i, (group, name, step) in enumerate(steps, 1):
            task = progress.add_task(f"{i} of {len(steps)}: {name}")
            row = step()
            progress.remove_task(task)
            found[group].append(row)
            progress.console.print(f"{i} of {len(steps)}: {name}: {said(row)}", highlight=False)
    return found


def said(row: dict[str, Any]) -> str:
    """One line about a row."""
    if "scalesim" in row:
        return f"SCALE-Sim {taken(row)} s, blocksim {shown(row['blocksim']['total'])} s"
    return f"{row['tool']} {shown(row['seconds'])} s, kernel {shown(row['kernel'])} s"


def shown(value: float) -> str:
    """Three digits.

    >>> [shown(x) for x in (1234.5, 12.345, 1.2345, 0.00012345)]
    ['1,230', '12.3', '1.23', '0.000123']
    """
    if value >= 100:
        return f"{float(f'{value:.3g}'):,.0f}"
    return f"{float(f'{value:.3g}'):.7f}".rstrip("0").rstrip(".")


def taken(row: dict[str, Any]) -> str:
    """SCALE-Sim's seconds, or the limit at which it was stopped."""
    theirs = row["scalesim"]
    if theirs["seconds"] is None:
        return f"more than {theirs['limit']:g} of the clock"
    return shown(theirs["seconds"])


def ratio(row: dict[str, Any], seconds: float) -> str:
    """SCALE-Sim's time over some seconds; at least that of the limit."""
    theirs = row["scalesim"]
    least = theirs["seconds"] is None
    return ("more than " if least else "") + shown(
        (theirs["limit"] if least else theirs["seconds"]) / seconds
    )


def crowding(rows: Sequence[dict[str, Any]]) -> str:
    """How much longer SCALE-Sim took by the clock than by the processor, at most: 1 on a quiet machine."""
    sides = [row["scalesim"] for row in rows]
    return shown(max((side["clock"] / side["seconds"] for side in sides if side["seconds"]), default=1))


def warm(row: dict[str, Any]) -> float:
    """Seconds of blocksim for cycles and bits of a compiled product."""
    stages = row["blocksim"]["seconds"]
    return float(stages["schedule"] + stages["again"])


def page(figures: dict[str, Any]) -> str:
    """The figures as a page."""
    about = ", ".join(f"{k} {v}" for k, v in figures["machine"].items())
    peers = "; ".join(f"{name}: {version}" for name, version in figures["peers"].items())
    lines = [
        "# blocksim and its peers", "",
        "Written by `make bench-peers`, which installs every peer in an environment of its own in `.peers/`.",
        "", f"Machine: {about}.", "", f"Peers: {peers}.", "", "![seconds](peers.png)", "",
        "## SCALE-Sim", "",
        "SCALE-Sim walks through a systolic array's cycles and lists the addresses of each; it computes no "
        "values. blocksim's cycles are its units' formulas, tile by tile, in a schedule of all units; it "
        "computes every bit. So the two do not do the same work: this compares what one waits for.", "",
        "*schedule*: the cycles of a compiled trace. *and bits*: also one warm execution, from encoding the "
        "input to decoding the output. *from a file*: importing an ONNX file, compiling and encoding the "
        "weights, scheduling, linking and a first execution; nothing is kept but compiled kernels. "
        f"blocksim: medians of {figures['rounds']}, two threads, `bct-int8 64x64`, the machine `scalesim` "
        "with this array. SCALE-Sim: one run, its import not counted, no files of addresses written, "
        "memories of 256 KiB that it never waits for. Its seconds are those of the processor, for it has one "
        "thread; blocksim's are those of the clock, which other work on the machine can only lengthen. "
        f"In this run the clock said up to {crowding(figures['gemms'])} times SCALE-Sim's seconds.", "",
        "| M x K x N | array | cycles, SCALE-Sim | cycles, blocksim | SCALE-Sim s | schedule ms | times "
        "| and bits ms | times | from a file s | times |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]  # fmt: skip
    for row in figures["gemms"]:
        own, stages = row["blocksim"], row["blocksim"]["seconds"]
        cycles = row["scalesim"]["cycles"]
        lines.append(
            f"| {row['gemm']} | {row['array']} | {'not done' if cycles is None else f'{cycles:,}'} "
            f"| {own['cycles']:,} | {taken(row)} | {shown(1e3 * stages['schedule'])} "
            f"| {ratio(row, stages['schedule'])} | {shown(1e3 * warm(row))} | {ratio(row, warm(row))} "
            f"| {shown(own['total'])} | {ratio(row, own['total'])} |"
        )
    lines += [
        "", "*times*: SCALE-Sim's seconds over those to the left. Cycles are those of the array, in serial "
        "folds (`overlap: none`): each of blocksim's is checked against the published closed form, which "
        "SCALE-Sim's are one below, for it prints the number of the last cycle, and counts from 0. *os*: "
        "outputs stay; *ws*: weights stay.", "",
        "## The project's own RTL, simulated", "",
        "`hwmodels/rtl/mac_array.sv`, the array of `bct64` with fewer elements, on whole output tiles with "
        "operands in blocks of 64. Bits and cycles of every tile are equal on both sides, or nothing is "
        "written. What enters the module in every cycle is worked out before, and only a loop over the "
        "cycles is timed; the module is compiled with `-O1`, as in co-simulation. The kernel starts from "
        "codes and exponents, with packed weights, on one thread, and computes 64 columns at a time, however "
        "few the array has. Both are timed in seconds of the processor. "
        f"Medians of {figures['rounds']} turns, and of "
        f"{figures['tiles'][0]['tiles']} tiles.", "",
        "| simulator | array | tile (M x K x N) | cycles | build s | ms | million MACs a second | kernel ms "
        "| million MACs a second | times |",
        "|---|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]  # fmt: skip
    for row in figures["tiles"]:
        theirs, own = (row["macs"] / row[side] / 1e6 for side in ("seconds", "kernel"))
        lines.append(
            f"| {NAMES[row['tool']]} | {row['array']} | {row['tile']} | {row['cycles']:,} "
            f"| {shown(row['build'])} | {shown(1e3 * row['seconds'])} | {shown(theirs)} "
            f"| {shown(1e3 * row['kernel'])} | {shown(own)} "
            f"| {shown(row['seconds'] / row['kernel'])} |"
        )
    return "\n".join(lines) + "\n"


def draw(figures: dict[str, Any], path: Path) -> None:
    """Seconds of every tool: a panel for each array of SCALE-Sim's, and one for the tiles."""
    import matplotlib.pyplot as plt

    gemms = figures["gemms"]
    panels = [
        (array, [row for row in gemms if row["array"] == array])
        for array in dict.fromkeys(r["array"] for r in gemms)
    ]
    figure, axes = plt.subplots(
        len(panels) + 1, 1, figsize=(8.5, 11), layout="constrained",
        height_ratios=[len(rows) + 0.5 for _, rows in panels] + [len(figures["tiles"]) * 0.75 + 0.5],
    )  # fmt: skip
    for ax, (array, rows) in zip(axes, panels, strict=False):
        stopped = [row["scalesim"]["seconds"] is None for row in rows]
        bars = {
            "SCALE-Sim": [row["scalesim"]["seconds"] or row["scalesim"]["limit"] for row in rows],
            "blocksim, from a file": [row["blocksim"]["total"] for row in rows],
            "blocksim, schedule and bits": [warm(row) for row in rows],
            "blocksim, schedule": [row["blocksim"]["seconds"]["schedule"] for row in rows],
        }
        names = [
            f"{row['gemm']}{' (stopped)' if late else ''}" for row, late in zip(rows, stopped, strict=True)
        ]
        _bars(ax, names, bars, ("#cc6677", "#4477aa", "#66ccee", "#bbccee"))
        ax.set_title(f"M x K x N on {array}", loc="left", fontsize=10)
    tiles = figures["tiles"]
    _bars(
        axes[-1], [f"{row['tile']},\n{NAMES[row['tool']]}" for row in tiles],
        {"RTL simulator": [r["seconds"] for r in tiles], "blocksim, kernel": [r["kernel"] for r in tiles]},
        ("#cc6677", "#4477aa"),
    )  # fmt: skip
    axes[-1].set_title("one tile on the project's own RTL", loc="left", fontsize=10)
    axes[-1].set_xlabel("seconds (log scale)")
    shortest = min([row["blocksim"]["seconds"]["schedule"] for row in gemms] + [r["kernel"] for r in tiles])
    for ax in axes:
        ax.set_xlim(
            shortest / 3, 4 * max(row["scalesim"]["seconds"] or row["scalesim"]["limit"] for row in gemms)
        )
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _bars(ax: Any, names: Sequence[str], bars: dict[str, list[float]], colours: Sequence[str]) -> None:
    """Groups of horizontal bars with their seconds beside them."""
    high = 0.8 / len(bars)
    for k, ((label, values), colour) in enumerate(zip(bars.items(), colours, strict=True)):
        places = [i + (k - (len(bars) - 1) / 2) * high for i in range(len(names))]
        drawn = ax.barh(places, values, high, label=label, color=colour)
        ax.bar_label(drawn, [shown(v) for v in values], padding=2, fontsize=7)
    ax.set_xscale("log")
    ax.set_yticks(range(len(names)), names)
    ax.invert_yaxis()
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(fontsize=7, loc="lower right", bbox_to_anchor=(1, 0.97), ncols=2, frameon=False)


def write(figures: dict[str, Any]) -> None:
    """The figures, the page and the plot."""
    (ROOT / "bench" / "peers.json").write_text(json.dumps(figures, indent=2) + "\n")
    (ROOT / "docs" / "peers.md").write_text(page(figures))
    draw(figures, ROOT / "docs" / "peers.png")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write, print; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument(
        "--limit", type=float, default=LIMIT, help="seconds of the clock after which SCALE-Sim is stopped"
    )
    given = parser.parse_args(arguments)
    try:
        peers = versions()
        from bench import machine

        print("; ".join(f"{name}: {version}" for name, version in peers.items()), flush=True)
        figures = {"machine": machine(), "peers": peers, "rounds": given.rounds}
        figures |= measure(given.rounds, given.limit)
    except (MissingPeerError, PeerError) as error:
        print(f"peers: {error}", file=sys.stderr)
        return 2 if isinstance(error, MissingPeerError) else 1
    write(figures)
    print(page(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
