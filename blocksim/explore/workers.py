"""Workers: who evaluates configurations. Spawned processes of this machine, or a Dask cluster.

Either way a worker opens the workload once, computes with one thread, and gives rows in whatever order they
are done. Which worker gave a row shows in its timing columns alone.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

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
    signal.signal(signal.SIGINT, lambda *_: os._exit(1))  # rows are whole or not there
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


def _row_of(common: Common, configuration: Configuration) -> Row:
    """A row on a worker of a cluster, which opens a workload when it first sees it."""
    key = common.workload.identity
    if key not in _benches:
        _benches.clear()
        _benches[key] = Bench(common)
    return _benches[key].row(configuration)


def lost(configuration: Configuration) -> Row:
    """The row of a configuration whose workers end before their time."""
    own: Row = {"config_id": configuration.id, "label": configuration.label, "error": ENDED}
    return {**configuration.settings, **own}


class Crew(Protocol):
    """Whoever evaluates configurations."""

    def rows(self, configurations: Sequence[Configuration]) -> Iterator[Row]:
        """Rows, as they are done."""


@contextmanager
def crew(common: Common | None, jobs: int | None, scheduler: str | None) -> Iterator[Crew]:
    """Workers for as long as they are needed.

    Parameters
    ----------
    common : Common, optional
        None where there is nothing to evaluate.
    jobs : int, optional
        Processes of this machine; as many as it has cores if it is left out.
    scheduler : str, optional
        The address of a Dask scheduler instead.

    Raises
    ------
    BlocksimError
        If there is no scheduler at the address, it has no workers, or they have more than one thread.
    """
    if common is None:
        yield Nobody()
        return
    if scheduler is not None:
        with _client(scheduler) as (client, count):
            yield Cluster(client, count, client.scatter(common, broadcast=True))
        return
    processes = Processes(common, jobs or os.cpu_count() or 1)
    try:
        yield processes
    finally:
        processes.close()


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


class Nobody:
    """No workers, for whom there is no work."""

    def rows(self, configurations: Sequence[Configuration]) -> Iterator[Row]:
        """No rows."""
        assert not configurations
        return iter(())


class Processes:
    """Spawned processes of this machine.

    After one has ended before its time, what was in hand is tried again, one at a time: a configuration with
    which alone workers end `TRIES` times is a row that says so.
    """

    def __init__(self, common: Common, count: int) -> None:
        self.common, self.count = common, count
        self._pool: ProcessPoolExecutor | None = None

    def rows(self, configurations: Sequence[Configuration]) -> Iterator[Row]:
        """Rows, as they are done."""
        waiting = list(configurations)
        while waiting:
            done: set[str] = set()
            try:
                for row in self._together(waiting):
                    done.add(str(row["config_id"]))
                    yield row
            except EndedError as ended:
                for suspect in ended.in_hand:
                    done.add(suspect.id)
                    yield self._alone(suspect)
            waiting = [c for c in waiting if c.id not in done]

    def close(self) -> None:
        """End the processes."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None

    def _alone(self, configuration: Configuration) -> Row:
        for _ in range(TRIES):
            try:
                (row,) = self._together([configuration])
            except EndedError:
                continue
            return row
        return lost(configuration)

    def _together(self, configurations: Sequence[Configuration]) -> Iterator[Row]:
        """Rows of all workers at once; `EndedError` if one ends before its time."""
        if self._pool is None:
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self.count, context, _begin, (self.common,))
        waiting, in_hand = iter(configurations), dict[Future[Row], Configuration]()
        try:
            while True:
                for taken in itertools.islice(waiting, self.count * AHEAD - len(in_hand)):
                    in_hand[self._pool.submit(_row, taken)] = taken
                if not in_hand:
                    return
                for future in wait(in_hand, return_when=FIRST_COMPLETED).done:
                    row = future.result()
                    del in_hand[future]
                    yield row
        except BrokenProcessPool:
            self.close()
            raise EndedError(list(in_hand.values())) from None


class Cluster:
    """The workers of a Dask cluster."""

    def __init__(self, client: Any, count: int, common: Any) -> None:
        self.client, self.count, self.common = client, count, common

    def rows(self, configurations: Sequence[Configuration]) -> Iterator[Row]:
        """Rows, as they are done."""
        from distributed import as_completed

        queue = iter(configurations)
        first = [self._submitted(c) for c in itertools.islice(queue, AHEAD * self.count)]
        running = as_completed(first, loop=self.client.loop)
        asked = {future.key: c for future, c in zip(first, configurations, strict=False)}
        for future in running:
            yield self._result(future, asked[future.key])
            for taken in itertools.islice(queue, 1):
                further = self._submitted(taken)
                asked[further.key] = taken
                running.add(further)

    def _result(self, future: Any, configuration: Configuration) -> Row:
        from distributed import KilledWorker

        try:
            row: Row = future.result()
        except KilledWorker:
            return lost(configuration)
        except BlocksimError:
            raise
        except Exception as error:  # whatever comes of a cluster that is gone
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise BlocksimError("--scheduler", "cluster", type(error).__name__, reason) from None
        return row

    def _submitted(self, configuration: Configuration) -> Any:
        return self.client.submit(_row_of, self.common, configuration, pure=False)


def _reach(address: str) -> None:
    """Raise OSError where nothing listens, before there is a client that would go on asking."""
    from distributed.comm.addressing import parse_address, parse_host_port

    kind, place = parse_address(address)
    if kind in ("tcp", "tls"):
        socket.create_connection(parse_host_port(place, 8786), CONNECT_SECONDS).close()


@contextmanager
def _client(address: str) -> Iterator[tuple[Any, int]]:
    """A cluster's client, and the number of its workers, which have one thread each."""
    try:
        from distributed import Client
    except ImportError:
        raise BlocksimError(
            "blocksim", "extra", "sweep is not installed", "pip install 'blocksim[sweep]'"
        ) from None
    try:
        _reach(address)
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise BlocksimError("command line", "--scheduler", address, f"no Dask scheduler: {reason}") from None
    with client:
        found = client.scheduler_info(n_workers=-1)["workers"]
        if not found:
            raise BlocksimError(address, "workers", "none", "start some: dask worker ADDRESS --nthreads 1")
        for name, about in found.items():
            if about["nthreads"] != 1:
                threads = f"{about['nthreads']} threads"
                raise BlocksimError(address, name, threads, "start workers with --nthreads 1")
        yield client, len(found)
