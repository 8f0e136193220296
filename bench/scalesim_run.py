"""Runs in SCALE-Sim's own environment: one product, its reports left in a folder.

Its command line always writes the addresses of every cycle into files, whatever ``-s`` says. Here it is
called so that it does not, and importing it is not timed. Prints the processor's seconds and the clock's.
"""

from __future__ import annotations

import sys
import time

from scalesim.scale_sim import scalesim


def main() -> None:
    """Run what the folder's files describe."""
    folder = sys.argv[1]
    start, worked = time.perf_counter(), time.process_time()
    simulator = scalesim(
        save_disk_space=True, verbose=False, input_type_gemm=True,
        config=f"{folder}/array.cfg", topology=f"{folder}/gemm.csv", layout=f"{folder}/layout.csv",
    )  # fmt: skip
    simulator.run_scale(top_path=folder)
    print("seconds", time.process_time() - worked, time.perf_counter() - start)


if __name__ == "__main__":
    main()
