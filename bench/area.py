"""What every unit and every MAC flavour takes, by fixed flows: ``make area``.

Writes ``hwmodels/costs/synthesis.yaml``, which the area of a machine comes from, and the tables and the plot
of ``docs/area.md``. Two processes of yosys run at a time.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import matplotlib as mpl
import yaml

from hwmodels.costs import synthesis
from hwmodels.costs.synthesis import LUT_FLOW, TRANSISTOR_FLOW, Flavour, Synthesis, Unit
from hwmodels.rtl import area
from hwmodels.rtl.area import FLOWS, UNIT_FLOWS, Counts, Wanted, fingerprint, size, synthesise

mpl.use("Agg")
import matplotlib.pyplot as plt

ROOT = Path(__file__).parent.parent
PAGE, PLOT = ROOT / "docs" / "area.md", ROOT / "docs" / "area.png"
HEADER = "# Written by `make area`; docs/area.md says what the figures mean. Do not edit.\n"
CITED = {"BFP6": 19.0, "int8": 19.0 / 2.5}
"""arXiv 2310.05079, abstract: 6-bit block float against fp32, and 2.5 times what 8-bit methods had."""

Figures = TypeVar("Figures", Unit, Flavour)


def synthesised(
    wanted: Mapping[str, Wanted],
    flows: Sequence[str],
    made: Callable[[Wanted, Counts], Figures],
    before: Mapping[str, Figures],
) -> dict[str, Figures]:
    """The figures of each, with progress; those in `before` stand where nothing has changed since."""
    start = time.perf_counter()
    stale = [
        n for n, w in wanted.items() if n not in before or before[n].fingerprint != fingerprint(w, flows)
    ]

    def run(name: str, flow: str) -> dict[str, int]:
        count = synthesise(wanted[name], flow)
        print(f"{time.perf_counter() - start:6.1f} s  {name}, {flow}: {size(count):,}", flush=True)
        return count

    with ThreadPoolExecutor(2) as pool:
        running = {name: {flow: pool.submit(run, name, flow) for flow in flows} for name in stale}
        counts = {name: {flow: f.result() for flow, f in own.items()} for name, own in running.items()}
    return {name: made(w, counts[name]) if name in counts else before[name] for name, w in wanted.items()}


def tables(found: Synthesis) -> str:
    """The tables of the page, in Markdown."""
    lines = [f"Tool: {found.tool}.", "", "| flow | commands |", "|---|---|"]
    lines += [f"| `{flow}` | `{'; '.join(commands)}` |" for flow, commands in found.flows.items()]
    lines += [
        "",
        f"Units of {found.machine}:",
        "",
        "| module | transistors | flip-flops | LUTs |",
        "|---|---:|---:|---:|",
    ]
    lines += [
        f"| {name} | {u.transistors:,} | {u.flip_flops:,} | {u.luts:,} |" for name, u in found.units.items()
    ]
    lines += ["", "MAC flavours, 16 multiply-accumulates per cycle: transistors or LUTs by flow.", ""]
    lines += _by_flow(found, lambda name, flow: f"{found.flavours[name].sizes[flow]:,}", ())
    lines += [
        "",
        "Arithmetic density relative to fp32 by the same flow, measured here; the last row is cited.",
        "",
    ]
    cited = " | ".join(f"{CITED[name]:.1f}" if name in CITED else "" for name in found.flavours)
    ratio = f"{CITED['BFP6'] / CITED['int8']:.1f}"
    lines += _by_flow(found, lambda name, flow: f"{found.density(name, flow):.1f}", ("BFP6 / int8",))
    spread = [[found.density(name, flow) for flow in found.flows] for name in found.flavours]
    spread += [[found.density("BFP6", flow) / found.density("int8", flow) for flow in found.flows]]
    lines += [f"| spread, measured | {' | '.join(f'{min(v):.1f} to {max(v):.1f}' for v in spread)} |"]
    lines += [f"| cited: arXiv 2310.05079 | {cited} | {ratio} |"]
    return "\n".join(lines)


def _by_flow(found: Synthesis, cell: Callable[[str, str], str], more: tuple[str, ...]) -> list[str]:
    heads = ["flow", *found.flavours, *more]
    rows = [f"| {' | '.join(heads)} |", f"|---{'|---:' * (len(heads) - 1)}|"]
    for flow in found.flows:
        cells = [f"`{flow}`", *(cell(name, flow) for name in found.flavours)]
        if more:
            cells.append(f"{found.density('BFP6', flow) / found.density('int8', flow):.1f}")
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def draw(found: Synthesis, path: Path) -> None:
    """Densities of every flavour by every flow, the cited ones beside them."""
    figure, axes = plt.subplots(figsize=(9, 5), layout="constrained")
    names = [name for name in found.flavours if name != "fp32"]
    markers = dict(zip(found.flows, "osv^D*PX", strict=False))
    for k, (flow, marker) in enumerate(markers.items()):
        at = [i + (k - (len(markers) - 1) / 2) * 0.07 for i in range(len(names))]
        own = flow in (TRANSISTOR_FLOW, LUT_FLOW)
        axes.plot(
            at,
            [found.density(name, flow) for name in names],
            marker,
            markersize=9 if own else 6,
            color="C0" if flow.startswith("cmos") else "C1",
            alpha=1.0 if own else 0.45,
            label=f"{flow}, {'transistors' if flow.startswith('cmos') else 'LUTs'}",
        )
    for name, value in CITED.items():
        at = names.index(name)
        axes.hlines(
            value, at - 0.4, at + 0.4, color="k", linestyle="--",
            label="cited: arXiv 2310.05079" if name == "BFP6" else None,
        )  # fmt: skip
    axes.set_yscale("log")
    axes.set_yticks([2, 5, 10, 20, 50], ["2", "5", "10", "20", "50"])
    axes.minorticks_off()
    axes.set_xticks(range(len(names)), names)
    axes.set_ylabel("arithmetic density, multiples of fp32's (log scale)")
    axes.set_xlabel("MAC flavour, dot products of 16 with accumulation")
    axes.set_title("Multiply-accumulates in the area of one in fp32: what the flow does to it", loc="left")
    axes.grid(axis="y", alpha=0.3)
    axes.legend(fontsize=8, ncols=2, loc="upper left")
    figure.savefig(path, dpi=150)


def write(found: Synthesis) -> None:
    """The figures, the page's tables and the plot."""
    dumped = yaml.safe_dump(found.model_dump(mode="json"), sort_keys=False, width=110)
    synthesis.PATH.write_text(HEADER + dumped)
    page = PAGE.read_text()
    before, rest = page.split("<!-- tables -->", 1)
    _, after = rest.split("<!-- end of tables -->", 1)
    PAGE.write_text(f"{before}<!-- tables -->\n{tables(found)}\n<!-- end of tables -->{after}")
    draw(found, PLOT)


def main() -> None:
    """Synthesise and write it; with ``--stale`` only what has changed."""
    found = synthesis.load() if "--stale" in sys.argv else None
    units = synthesised(area.units(), UNIT_FLOWS, area.unit, found.units if found else {})
    flavours = synthesised(area.FLAVOURS, tuple(FLOWS), area.flavour, found.flavours if found else {})
    write(area.table(units, flavours))


if __name__ == "__main__":
    main()
