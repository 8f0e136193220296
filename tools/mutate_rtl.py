"""Mutants of every unit's module, by yosys with a fixed seed: each is refused, or proved to be none.

    python tools/mutate_rtl.py [UNIT...] [--jobs N]

Writes the rows of docs/mutants_rtl.md. Exit 1 if a mutant survives, or if a module has none.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from rich.progress import track

from hwmodels.rtl.mutants import EQUAL, REFUSED, SEED, SURVIVED, Judgement, judge, listed
from hwmodels.rtl.proof import one_cycle
from hwmodels.rtl.suite import twins, units

PAGE = Path(__file__).parent.parent / "docs" / "mutants_rtl.md"
PER_UNIT, PER_MODULE = 72, 24
"""Mutants of a unit, shared out evenly among its modules, and the fewest of a module that has as many."""

HEADING = f"""\
# Mutants of the modules

yosys changes one bit of one cell (inverted, stuck, or tied to another bit), {PER_UNIT} times per unit and no
less than {PER_MODULE} times per module, with seed {SEED} (`python tools/mutate_rtl.py`). The proof of a
cycle has to refuse each; one that it accepts has to be shown to be the same function, netlist against
netlist. Before that, every module is accepted as it is.

| unit | module | parameters | mutants | refused | the same function | survived |
|---|---|---|---|---|---|---|
"""


def quickest(unit: str) -> list[int]:
    """For each module of a unit the parameters proved in the least time, of those with enough to change."""
    times: dict[str, tuple[bool, float, int]] = {}
    for i, twin in enumerate(twins(unit)):
        if not twin.default:
            continue
        proof = one_cycle(twin)
        if not proof.holds:
            sys.exit(f"{unit}: {twin.label}: not proved as it is: {proof.counterexample}")
        found = (len(listed(twin, PER_UNIT)) < PER_MODULE, proof.seconds, i)
        times[twin.module] = min(times.get(twin.module, found), found)
    return [i for *_, i in times.values()]


def tasks(unit: str) -> list[tuple[str, int, str]]:
    """All mutants of a unit: what a small module has too few of, the others have more of."""
    found: list[tuple[str, int, str]] = []
    chosen = sorted(quickest(unit), key=lambda i: len(listed(twins(unit)[i], PER_UNIT)))
    for place, i in enumerate(chosen):
        share = -(-(PER_UNIT - len(found)) // (len(chosen) - place))
        found += [(unit, i, change) for change in listed(twins(unit)[i], max(PER_MODULE, share))]
    return found


def judged(task: tuple[str, int, str]) -> tuple[tuple[str, str, str], Judgement]:
    """What became of one mutant."""
    unit, i, change = task
    twin = twins(unit)[i]
    return (unit, twin.module, twin.label), judge(twin, change)


def unit_of(row: str) -> str:
    """The unit of a row of the page."""
    return row.split("|")[1].strip() if row.count("|") > 1 else ""


def main() -> int:
    """Judge, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("units", nargs="*", metavar="UNIT")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    chosen = given.units or units()
    counts: dict[tuple[str, str, str], Counter[str]] = {}
    survivors: list[Judgement] = []
    with ProcessPoolExecutor(given.jobs, multiprocessing.get_context("spawn")) as pool:
        lists = [pool.submit(tasks, unit) for unit in chosen]
        futures = [pool.submit(judged, t) for done in lists for t in done.result()]
        for future in track(as_completed(futures), "judging", len(futures)):
            place, judgement = future.result()
            counts.setdefault(place, Counter())[judgement.verdict] += 1
            survivors += [judgement] * (judgement.verdict == SURVIVED)
    lines = []
    for place, c in sorted(counts.items()):
        figures = (c.total(), c[REFUSED], c[EQUAL], c[SURVIVED])
        lines.append(f"| {' | '.join(place)} | {' | '.join(map(str, figures))} |")
    print("\n".join(lines))
    for s in survivors:
        print(f"survived: {s.unit}: {s.change}")
    few = [u for u in chosen if sum(c.total() for place, c in counts.items() if place[0] == u) < 60]
    if few:
        print(f"fewer than 60 mutants: {', '.join(few)}")
    # lines of other units stay as they were judged before
    kept = [row for row in PAGE.read_text().splitlines()[HEADING.count("\n") :] if unit_of(row) in units()]
    lines += [row for row in kept if unit_of(row) not in chosen]
    PAGE.write_text(HEADING + "\n".join(sorted(lines)) + "\n")
    return 1 if survivors or few else 0


if __name__ == "__main__":
    sys.exit(main())
