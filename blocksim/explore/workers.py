"""Workers: who evaluates configurations. Spawned processes of this machine, or a Dask cluster.

Either way a worker opens the workload once, computes with one thread, and gives rows in whatever order they
are done. Which worker gave a row shows in its timing columns alone.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blocksim.compiler.cache import ConstantFolder
from blocksim.errors import BlocksimError
from blocksim.explore.columns import Row
from blocksim.explore.distortion import Weights
from blocksim.explore.evaluate import evaluate
from blocksim.explore.space import Configuration
from blocksim.explore.workload import Workload

TRIES = 3
"""How often a configuration whose worker ends before its time is tried."""

ENDED = f"its worker ended {TRIES} times before it was done; give the machine more memory, or fewer workers"
"""What is said of it then."""

CONNECT_SECONDS = 10
"""How long a scheduler is waited for."""

AHEAD = 2
"""Configurations in hand for each worker: one at work, and one that waits."""


@dataclass(frozen=True)
class Common:
    """What all configurations share, worked out before any of them.

    Attributes
    ----------
    workload : Workload
    reference : dict of str to float32 array
        The fp32 outputs.
    peaks : dict of str to float, optional
        Magnitudes over the calibration samples.
    constants : str, optional
        A folder of packed constants that workers share.
    """

    workload: Workload
    reference: Mapping[str, NDArray[np.float32]]
    peaks: Mapping[str, float] | None
    constants: str | None = None


class Bench:
    """A worker's workload, opened, and what it does with a configuration."""

    def __init__(self, common: Common) -> None:
        self.experiment = common.workload.open(dict(common.reference), common.peaks)
        if common.constants is not None:
            self.experiment.constants = ConstantFolder(Path(common.constants))
        self.weights = Weights(self.experiment.graph)

    def row(self, configuration: Configuration) -> Row:
        """The row of a configuration."""
        return evaluate(self.experiment, self.weights, configuration)


_bench: Bench | None = None
"""Of this process."""

_benches: dict[str, Bench] = {}
"""The same on a worker of a cluster, by its workload."""


def _begin(common: Common) -> None:
    """Open the workload in a new process, which ends with the one that it works for."""
    global _bench  # noqa: PLW0603 (a process's own)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    _bench = Bench(common)


def _end_with(parent: Any) -> None:
    parent.join()
    os._exit(1)


def _row(configuration: Configuration) -> Row:
    assert _bench is not None
    return _bench.row(configuration)


class EndedError(Exception):
    """A worker has ended before its time.

    Attributes
    ----------
    in_hand : list of Configuration
        What it and the others were at, or would have been at next.
    """

    def __init__(self, in_hand: list[Configuration]) -> None:
        super().__init__()
        self.in_hand = in_hand


def local(common: Common, configurations: Sequence[Configuration], workers: int) -> Iterator[Row]:
    """Rows from so many processes of this machine, as they are done.

    After a worker has ended before its time, what was in hand is tried again, one at a time: a configuration
    with which alone workers end `TRIES` times is a row that says so.
    """
    waiting = list(configurations)
    while waiting:
        done: set[str] = set()
        try:
            for row in together(common, waiting, workers):
                done.add(str(row["config_id"]))
                yield row
        except EndedError as ended:
            for suspect in ended.in_hand:
                done.add(suspect.id)
                yield from _alone(common, suspect)
        waiting = [c for c in waiting if c.id not in done]


def _alone(common: Common, configuration: Configuration) -> Iterator[Row]:
    for _ in range(TRIES):
        try:
            yield from together(common, [configuration], 1)
        except EndedError:
            continue
        return
    yield {
        "config_id": configuration.id,
        "label": configuration.label,
        **configuration.settings,
        "error": ENDED,
    }


def together(common: Common, configurations: Sequence[Configuration], workers: int) -> Iterator[Row]:
    """Rows from one pool of processes.

    Raises
    ------
    EndedError
        If a worker ends before its time.
    """
    waiting = iter(configurations)
    in_hand: dict[Future[Row], Configuration] = {}
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, _begin, (common,))
    try:
        while True:
            for taken in itertools.islice(waiting, workers * AHEAD - len(in_hand)):
                in_hand[pool.submit(_row, taken)] = taken
            if not in_hand:
                return
            for future in wait(in_hand, return_when=FIRST_COMPLETED).done:
                row = future.result()
                del in_hand[future]
                yield row
    except BrokenProcessPool:
        raise EndedError(list(in_hand.values())) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def on_cluster(common: Common, configurations: Sequence[Configuration], address: str) -> Iterator[Row]:
    """Rows from the workers of a Dask cluster, as they are done.

    Raises
    ------
    BlocksimError
        If there is no scheduler at the address, it has no workers, or they have more than one thread.
    """
    try:
        from distributed import Client, as_completed
    except ImportError:
        raise BlocksimError(
            "blocksim", "extra", "sweep is not installed", "pip install 'blocksim[sweep]'"
        ) from None
    try:
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BlocksimError(
            "command line", "--scheduler", address, f"no Dask scheduler there: {reason}"
        ) from None
    with client:
        found = client.scheduler_info(n_workers=-1)["workers"]
        if not found:
            raise BlocksimError(address, "workers", "none", "start some: dask worker ADDRESS --nthreads 1")
        wide = next((name for name, w in found.items() if w["nthreads"] != 1), None)
        if wide is not None:
            threads = f"{found[wide]['nthreads']} threads"
            raise BlocksimError(address, wide, threads, "start workers with --nthreads 1")
        shared = client.scatter(common, broadcast=True)
        queue = iter(configurations)
        first = [
            client.submit(_row_of, shared, c, pure=False) for c in itertools.islice(queue, AHEAD * len(found))
        ]
        running = as_completed(first)
        for future in running:
            yield future.result()
            for taken in itertools.islice(queue, 1):
                running.add(client.submit(_row_of, shared, taken, pure=False))


def _row_of(common: Common, configuration: Configuration) -> Row:
    """A row on a worker of a cluster, which opens a workload when it first sees it."""
    key = common.workload.identity
    if key not in _benches:
        _benches.clear()
        _benches[key] = Bench(common)
    return _benches[key].row(configuration)
