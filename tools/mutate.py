"""Mutation testing of the units and the kernels: does a test fail for every small change?

A mutant (see `mutants`) is run in a copy of the packages against the tests that concern its module, with
loops that check the ranges of what they read, and the proofs of its unit; one that none rejects has
*survived*. Survivors that compute the same as the original are explained in ``tools/survivors.yaml``; any
other is a hole in the tests.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from queue import SimpleQueue

import yaml
from mutants import Mutant, mutants
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from hwmodels.rtl.suite import units

ROOT = Path(__file__).resolve().parent.parent
REASONS = ROOT / "tools" / "survivors.yaml"
PAGE = ROOT / "docs" / "mutants.md"
COPIED = ("hwmodels", "blocksim", "tests", "pyproject.toml")
"""What a mutant is run in a copy of."""

LEAST = 0.95
"""Share of the mutants that have to be rejected."""

VECTOR_TESTS = ("exact_kernels_vector", "exact_kernels_narrow", "vector_units")

TESTS = {
    "units/accumulator": ("exact_ops", "array_cycles", "vector_units", "mac_array"),
    "units/actions": ("array_cycles", "vector_units"),
    "units/array_cycles": ("array_cycles", "mac_array_step", "os_array_step"),
    "units/array_row": ("mac_array_step",),
    "units/array_run": ("mac_array_step",),
    "units/built_array": ("exact_mac_array_built", "mac_array_step", "os_array_step"),
    "units/array_step": ("exact_mac_array_built", "mac_array_step"),
    "units/aligner": ("exact_ops", "ops", "vector_units", "mac_array"),
    "units/column": ("mac_array_step",),
    "units/dma": ("vector_units",),
    "units/elementwise": ("vector_units",),
    "units/lut": ("vector_units",),
    "units/mac_array": ("exact_array_cycles", "array_cycles", "mac_array"),
    "units/norm": ("exact_kernels_vector", "vector_units"),
    "units/os_array": ("os_array_step",),
    "units/os_element": ("os_array_step",),
    "units/ops": ("ops", "requantizer", "vector_units", "mac_array"),
    "units/ports": ("vector_units",),
    "units/prescan": ("array_cycles", "mac_array"),
    "units/requantizer": ("requantizer",),
    "units/sequencer": ("mac_array_step",),
    "units/softmax": ("exact_kernels_vector", "vector_units"),
    "units/tables": ("vector_units",),
    "kernels/jit": ("ops", "vector_units"),
    "kernels/alignment": ("exact_kernels_tiles", "exact_kernels_matmul", "mac_array"),
    "kernels/matmul": ("mac_array", "exact_kernels_tiles"),
    "kernels/panel": ("exact_kernels_tiles", "exact_kernels_matmul", "mac_array"),
    "kernels/requantizer": ("requantizer",),
    "kernels/elementwise": VECTOR_TESTS,
    "kernels/instructions": ("lanes", "mac_array", "exact_kernels_vector"),
    "kernels/lanes": ("lanes", "requantizer"),
    "kernels/lut": VECTOR_TESTS,
    "kernels/microkernel": ("mac_array", "exact_kernels_tiles", "exact_kernels_matmul"),
    "kernels/norm": VECTOR_TESTS,
    "kernels/packed_operands": ("mac_array", "exact_kernels_tiles", "exact_kernels_matmul"),
    "kernels/packing": ("mac_array", "exact_kernels_tiles", "exact_kernels_matmul"),
    "kernels/rows": VECTOR_TESTS,
    "kernels/softmax": VECTOR_TESTS,
    "kernels/stream": ("lanes", "exact_kernels_vector"),
    "kernels/target": ("mac_array", "exact_kernels_tiles", "exact_kernels_matmul"),
    "kernels/team": ("team",),
    "kernels/encoder": ("encoder",),
    "kernels/window": ("product",),
    "kernels/matmul_window": ("product",),
    "units/encoder": ("encoder",),
    "units/product": ("product", "exact_mac_array_built", "processing_element_step"),
    "units/processing_element": ("mac_array_step",),
    "units/reading": ("lanes", "requantizer"),
    "kernels/tile": ("mac_array", "exact_kernels_tiles", "exact_kernels_matmul"),
}
"""Tests that concern a module, ``tests/units/test_<name>.py``, besides its own doctests, those called
``exact_<module>`` and ``<module>_step``, and for a unit ``exact_units``. A module that is not here, such as
``norm_root``, has those of the longest name that its own begins with, or else those called like it."""

PROOFS = {"units/ops": "shared", "units/os_element": "os_array"}
"""Unit whose proofs concern a module, where neither is called like the start of the other."""

RUN = '''
import json, resource, sys
from pathlib import Path

import pytest
from hypothesis import Phase, settings

TIMES = Path("../times.json")

class Quickest:
    """Runs the tests in the order of their times, and without looking for smaller examples."""

    def __init__(self):
        self.times = {}

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self):
        settings.register_profile("unshrunk", settings.default, phases=[Phase.explicit, Phase.generate])
        settings.load_profile("unshrunk")

    def pytest_sessionstart(self):
        import blocksim, hwmodels
        for package in (blocksim, hwmodels):
            assert Path(package.__file__).parent.parent == Path.cwd(), package.__file__

    def pytest_collection_modifyitems(self, items):
        self.known = json.loads(TIMES.read_text()) if TIMES.exists() else {}
        items.sort(key=lambda item: self.known.get(item.nodeid, 0.0))

    def pytest_runtest_logreport(self, report):
        self.times[report.nodeid] = self.times.get(report.nodeid, 0.0) + report.duration

    def pytest_sessionfinish(self, exitstatus):
        if not self.known.keys() >= self.times.keys():
            TIMES.write_text(json.dumps({**self.times, **self.known}))

resource.setrlimit(resource.RLIMIT_AS, (12 << 30, 12 << 30))
sys.exit(pytest.main(["-x", "-q", "--tb=no", "-p", "no:cacheprovider", *sys.argv[1:]], [Quickest()]))
'''
"""Runs tests until one fails, with a bound on memory; the first run, of the original, times them."""

PROVE = """
import sys

from hwmodels.rtl.proof import one_cycle
from hwmodels.rtl.suite import twins

sys.exit(not all(one_cycle(twin).holds for twin in twins(sys.argv[1]) if twin.default))
"""
"""Proves a cycle of each module of a unit: sees what no run of a spec shows, as the width of a register."""

WAYS = ("portable", "plain")
"""Microkernels besides the one that the processor has, in which these modules are run too."""

IN_ALL_WAYS = tuple(
    f"kernels/{name}"
    for name in (
        "alignment", "microkernel", "packed_operands", "packing", "panel", "target", "tile", "window"
    )
)  # fmt: skip

PATIENCE = 90.0
"""Seconds for the proofs of a mutant; with no answer by then it has survived."""


def modules() -> list[str]:
    """Every module with something to change."""
    files = [p for kind in ("units", "kernels") for p in sorted((ROOT / "hwmodels" / kind).glob("*.py"))]
    return [f"{p.parent.name}/{p.stem}" for p in files if p.stem != "__init__"]


def tests_of(module: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The tests of a module itself, and the others that concern it, as arguments of pytest."""
    kind, stem = module.split("/")
    known = [name for name in TESTS if f"{module}_".startswith(f"{name}_")]
    family = max(known, key=len).split("/")[1] if known else stem
    globs = [f"exact_{kind}*", f"exact_{stem}*", f"exact_{family}*", f"{stem}_step", f"{family}_step"]
    if kind == "kernels":
        globs = [f"exact_{kind}_{stem}*"]
    others = TESTS[f"{kind}/{family}"] if known else (f"{stem}*", f"{family}*")
    own = f"hwmodels/{module}.py"
    steps = [name for name in others if name.endswith("_step")]  # which compile nothing
    first = [*([own] if ">>> " in (ROOT / own).read_text() else []), *_files([*globs, *steps])]
    return tuple(first), tuple(file for file in _files(others) if file not in first)


def _files(globs: Sequence[str]) -> list[str]:
    found = [p for glob in globs for p in sorted((ROOT / "tests" / "units").glob(f"test_{glob}.py"))]
    return list(dict.fromkeys(p.relative_to(ROOT).as_posix() for p in found))


def unit_of(module: str) -> str:
    """The unit with whose proofs a module is concerned, if with any."""
    stem = module.removeprefix("units/")
    called = [unit for unit in units() if f"{stem}_".startswith(f"{unit}_")]
    return PROOFS.get(module, max(called, key=len, default=""))


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant: ``survived``, ``rejected``, or ``timeout``."""

    mutant: Mutant
    outcome: str


class Bench:
    """A copy of the packages in which one mutant after the other is run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process: subprocess.Popen[bytes] | None = None
        folder.mkdir()
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(source, folder / name)

    def run(self, program: str, arguments: Sequence[str], seconds: float, way: str = "") -> int | None:
        """Run a program in the copy: its exit code, or None if it took too long."""
        cache = self.folder / "cache"
        environment = {**os.environ, "PYTHONPATH": str(self.folder), "BLOCKSIM_CACHE": str(cache)}
        environment |= {"BLOCKSIM_CHECKED": "1"} | ({"BLOCKSIM_MICROKERNEL": way} if way else {})
        self.process = process = subprocess.Popen(
            [sys.executable, "-c", program, *arguments], cwd=self.folder, env=environment,
            start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        finally:
            self.stop()
            shutil.rmtree(cache, ignore_errors=True)

    def stop(self) -> None:
        """End what is running, if anything is."""
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def judge(self, mutant: Mutant, seconds: float) -> Verdict:
        """Put a mutant to the tests of its module, the proofs of its unit, and the other tests."""
        path = self.folder / "hwmodels" / f"{mutant.module}.py"
        original = path.read_bytes()
        try:
            self._write(path, mutant.source.encode())
            code = next((code for code in self._codes(mutant.module, seconds) if code != 0), 0)
        finally:
            self._write(path, original)
        return Verdict(mutant, {0: "survived", None: "timeout"}.get(code, "rejected"))

    def _codes(self, module: str, seconds: float) -> Iterator[int | None]:
        own, others = tests_of(module)
        if own:
            yield self.run(RUN, own, seconds)
        if unit := unit_of(module):
            yield self.run(PROVE, [unit], PATIENCE) or 0
        if others:  # many of these compile kernels first
            yield self.run(RUN, others, seconds)
        for way in WAYS if module in IN_ALL_WAYS else ():
            yield self.run(RUN, (*own, *others), 3 * seconds, way)

    def _write(self, path: Path, content: bytes) -> None:
        path.write_bytes(content)
        for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*"):
            compiled.unlink()  # its time stamp has whole seconds, too coarse to notice two mutants


def chosen(arguments: argparse.Namespace) -> list[Mutant]:
    """The mutants to run: some of every module, or all of the modules or lines that were named."""
    picked = []
    for name in arguments.modules or modules():
        module, _, line = name.removeprefix("hwmodels/").partition(":")
        module = module.removesuffix(".py")
        found = mutants(module, (ROOT / "hwmodels" / f"{module}.py").read_text())
        if line:
            picked += [m for m in found if m.number == int(line)]
        else:
            picked += islice(found, None if arguments.all else arguments.per_module)
    return picked


def told(m: Mutant) -> str:
    """A mutant in one line."""
    return f"{m.place}: {m.before}  ->  {m.after}"


def run_all(picked: Sequence[Mutant], jobs: int, console: Console) -> list[Verdict]:
    """Run every mutant; first, once, the tests of all of them on the original, which has to pass."""
    verdicts: list[Verdict] = []
    columns = [TextColumn("{task.description:20}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()]
    with tempfile.TemporaryDirectory(prefix="mutants-") as name, Progress(*columns, console=console) as bar:
        every = [Bench(Path(name) / str(i)) for i in range(jobs)]
        benches: SimpleQueue[Bench] = SimpleQueue()
        for bench in every:
            benches.put(bench)
        first = benches.get()
        needed = {m.module: sum(tests_of(m.module), ()) for m in picked}
        every_test = sorted({test for tests in needed.values() for test in tests})
        task = bar.add_task("original", total=1)
        if first.run(RUN, every_test, 3600) != 0:
            sys.exit(f"mutate: {' '.join(every_test)}: fail without any change: mend them first")
        for unit in sorted({unit_of(module) for module in needed} - {""}):
            if first.run(PROVE, [unit], PATIENCE):
                sys.exit(f"mutate: {unit}: not proved without any change: mend it first")
        bar.advance(task)
        seconds: defaultdict[str, float] = defaultdict(float)
        for test, own in json.loads((Path(name) / "times.json").read_text()).items():
            seconds[test.partition("::")[0]] += own
        limits = {module: 30 + 5 * sum(seconds[t] for t in tests) for module, tests in needed.items()}
        benches.put(first)

        def judge(mutant: Mutant) -> Verdict:
            bench = benches.get()
            try:
                return bench.judge(mutant, limits[mutant.module])
            finally:
                benches.put(bench)

        task = bar.add_task("mutants", total=len(picked))
        pool = ThreadPoolExecutor(jobs)
        try:
            for done in as_completed([pool.submit(judge, m) for m in picked]):
                verdict = done.result()
                verdicts.append(verdict)
                if verdict.outcome == "survived":
                    bar.console.print(told(verdict.mutant), markup=False, highlight=False, soft_wrap=True)
                bar.advance(task)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            for bench in every:
                bench.stop()
            pool.shutdown()
    order = {id(m): i for i, m in enumerate(picked)}
    return sorted(verdicts, key=lambda v: order[id(v.mutant)])


# -- what comes out ------------------------------------------------------------------------------


Reasons = dict[tuple[str, str, str], str]
UNSAID = "Not explained."


def reasons() -> Reasons:
    """Why a survivor computes the same, by module, line, and changed line."""
    entries = yaml.safe_load(REASONS.read_text()) or []
    return {(e["module"], e["line"], e["becomes"]): " ".join(e["why"].split()) for e in entries}


Figures = tuple[int, ...]
"""Of a module, in the order of `HEADINGS`: from how many mutants to how many explained."""


def figures_of(verdicts: Sequence[Verdict], known: Reasons) -> dict[str, Figures]:
    """The figures of each module."""
    made = {}
    for module in dict.fromkeys(v.mutant.module for v in verdicts):
        own = [v for v in verdicts if v.mutant.module == module]
        alive = [v.mutant for v in own if v.outcome == "survived"]
        late = sum(v.outcome == "timeout" for v in own)
        made[module] = len(own), len(own) - len(alive), late, len(alive), sum(m.key in known for m in alive)
    return made


def rows(figures: dict[str, Figures]) -> Iterator[list[str]]:
    """A line for each module and one for all, see `HEADINGS`."""
    whole = tuple(sum(column) for column in zip(*figures.values(), strict=True))
    order = [module for module in modules() if module in figures]
    for module, own in (*((m, figures[m]) for m in order), ("all", whole)):
        yield [module, *map(str, own), f"{100 * own[1] / own[0]:.1f} %"]


@dataclass(frozen=True)
class Kept:
    """What the page says of modules that are not judged now: their figures, and their survivors' lines."""

    figures: dict[str, Figures]
    survivors: list[str]


def kept(text: str, verdicts: Sequence[Verdict]) -> Kept:
    """What stays of the page as it is."""
    judged = {v.mutant.module for v in verdicts}
    others = [module for module in modules() if module not in judged]
    figures = {}
    for line in text.splitlines():
        name, *cells = [cell.strip() for cell in line.strip("|").split("|")]
        if name in others:
            figures[name] = tuple(int(cell) for cell in cells[:-1])
    alive = [line for line in text.splitlines() if line.startswith("- `hwmodels/")]
    own = [line for line in alive if line[len("- `hwmodels/") :].partition(".py")[0] in others]
    return Kept(figures, own)


HEADINGS = ("module", "mutants", "rejected", "by time", "survivors", "explained", "share")


def page(verdicts: Sequence[Verdict], known: Reasons, before: Kept) -> Iterator[str]:
    """The lines of ``docs/mutants.md``."""
    yield "# Mutants of the units and kernels"
    yield ""
    yield "Written by `tools/mutate.py --per-module 10 --write`, in one run or module by module. A mutant is"
    yield "a module with one token changed: an operator, a comparison, a constant, the arms of a `select`,"
    yield "`largest` for `smallest`, one rounding for another. It is rejected if a test or a proof of its"
    yield "unit fails, or if the tests take longer than 30 s and five times their usual time. Loops check"
    yield "the ranges of what they read. A proof that takes too long rejects nothing."
    yield ""
    yield f"| {' | '.join(HEADINGS)} |"
    yield f"|---|{'---:|' * (len(HEADINGS) - 1)}"
    for row in rows(before.figures | figures_of(verdicts, known)):
        yield f"| {' | '.join(row)} |"
    yield ""
    yield "## Survivors"
    yield ""
    alive = [v.mutant for v in verdicts if v.outcome == "survived"]
    ordered = sorted(alive, key=lambda m: (m.module, m.number, m.after))
    lines = [f"- `{m.place}`: `{m.before}` becomes `{m.after}`. {known.get(m.key, UNSAID)}" for m in ordered]
    yield from sorted([*before.survivors, *lines]) or ["None."]


def main() -> None:
    """Run the mutants and say which survived."""
    parser = argparse.ArgumentParser(description="Mutation testing of the units and the kernels.")
    parser.add_argument("modules", nargs="*", help="such as units/ops or units/ops:93 (a line); default: all")
    parser.add_argument("--per-module", type=int, default=25, help="mutants of each module (%(default)s)")
    parser.add_argument("--all", action="store_true", help="every mutant")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (%(default)s)")
    parser.add_argument("--list", action="store_true", help="only list the mutants")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.relative_to(ROOT)}")
    arguments = parser.parse_args()
    console = Console()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    picked = chosen(arguments)
    if arguments.list:
        for m in sorted(picked, key=lambda m: (m.module, m.number)):
            print(told(m))
        return
    verdicts, known = run_all(picked, arguments.jobs, console), reasons()
    table = Table()
    table.add_column(HEADINGS[0], no_wrap=True)
    for heading in HEADINGS[1:]:
        table.add_column(heading, justify="right")
    for row in rows(figures_of(verdicts, known)):
        table.add_row(*row)
    console.print(table)
    for module, line, becomes in known:
        path = ROOT / "hwmodels" / f"{module}.py"
        if not path.exists() or line not in path.read_text():
            console.print(f"no longer there: {module}: {line} -> {becomes}", markup=False, highlight=False)
    if arguments.write:
        PAGE.write_text("\n".join([*page(verdicts, known, kept(PAGE.read_text(), verdicts)), ""]))
    alive = [v.mutant for v in verdicts if v.outcome == "survived"]
    unexplained = [m for m in alive if m.key not in known]
    for m in unexplained:
        print(f"survived, not explained: {told(m)}")
    if unexplained or len(alive) > (1 - LEAST) * len(picked):
        sys.exit(1)


if __name__ == "__main__":
    main()
