"""Execution: the bits of many samples, by compiled kernels.

Samples are independent: each thread takes a few at a time through the whole program in buffers of its
own. Where there are fewer samples than threads, the threads are one team that shares every operator. The
bits depend neither on the number of threads nor on the company a sample keeps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Thread
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blocksim.engine.boundary import Stored, check_samples, decode_outputs
from blocksim.engine.workspace import COUNTS, Linked, Workspace, stored
from blocksim.errors import BlocksimError
from blocksim.trace.manifest import Manifest
from hwmodels.kernels.team import assembled, begin, leave

CHUNK = 8
"""Samples that a thread takes at a time: few enough for its cache, enough to spread a call's cost."""

Progress = Callable[[int], None]
"""Told how many more samples are done."""


@dataclass(frozen=True)
class Execution:
    """What the samples gave.

    Attributes
    ----------
    outputs : dict of str to float32 array, leading axis N
        Graph outputs under their ONNX names.
    probes : dict of str to list of (codes, exponents)
        The tensors asked for, one entry per sample.
    counts : dict of str to dict of str to int
        Per operator, over all samples: flushed terms, accumulator overflows, clamped exponents and
        saturated codes.
    """

    outputs: dict[str, NDArray[np.float32]]
    probes: dict[str, list[Stored]]
    counts: dict[str, dict[str, int]]


def execute(
    linked: Linked,
    inputs: Mapping[str, NDArray[Any]],
    probe: Sequence[str] = (),
    threads: int = 1,
    progress: Progress | None = None,
) -> Execution:
    """Run samples through a linked program.

    Parameters
    ----------
    linked : Linked
    inputs : dict of str to array
        Graph inputs, leading axis N: N samples.
    probe : sequence of str
        Tensors to keep.
    threads : int
        Threads to use; the bits are the same for any number.
    progress : callable, optional
        Told how many more samples are done.

    Returns
    -------
    Execution

    Raises
    ------
    BlocksimError
        If an input does not fit the model, or a probe names no tensor.
    """
    manifest = linked.manifest
    checked, wanted = asked_of(manifest, inputs, probe, threads)
    tensors, counts = passed(linked, checked, {}, wanted, threads, progress)
    return told(manifest, tensors, counts, probe)


def asked_of(
    manifest: Manifest, inputs: Mapping[str, NDArray[Any]], probe: Sequence[str], threads: int
) -> tuple[dict[str, NDArray[Any]], list[str]]:
    """Checked inputs, and the tensors to keep: outputs and what is probed."""
    for name in probe:
        if name not in manifest.tensors:
            close = ", ".join(list(manifest.tensors)[:4])
            raise BlocksimError("probe", "tensor", name, f"the model has {close}, ...")
    if threads < 1:
        raise BlocksimError("execute", "threads", threads, "give 1 or more")
    checked = check_samples(manifest, inputs, "inputs")
    return checked, [*dict.fromkeys([*(o.tensor for o in manifest.outputs), *probe])]


def told(
    manifest: Manifest, tensors: Mapping[str, list[Stored]], counts: NDArray[np.int64], probe: Sequence[str]
) -> Execution:
    """What the samples gave, from the tensors kept and the counts of all operators."""
    return Execution(
        decode_outputs(manifest, tensors),
        {name: tensors[name] for name in probe},
        {
            op.name: {name: int(v) for name, v in zip(COUNTS, row, strict=True)}
            for op, row in zip(manifest.operators, counts, strict=True)
        },
    )


def passed(
    linked: Linked,
    inputs: Mapping[str, NDArray[Any]],
    before: Mapping[str, list[Stored]],
    wanted: Sequence[str],
    threads: int,
    progress: Progress | None,
) -> tuple[dict[str, list[Stored]], NDArray[np.int64]]:
    """Take all samples through a linked program or a stretch of one.

    `before` are the tensors that earlier stretches made, sample by sample. Gives those of `wanted` that this
    one makes, and the counts of its operators.
    """
    total = len(next(iter(inputs.values())))
    team = threads if total < threads else 1
    chunk = max(1, min(CHUNK, -(-total // threads)))
    starts = range(0, total, chunk if team == 1 else total)

    def run(start: int) -> tuple[dict[str, list[Stored]], NDArray[np.int64]]:
        stop = total if team > 1 else min(start + chunk, total)
        with linked.workspace(stop - start, team) as w:
            w.feed({name: array[start:stop] for name, array in inputs.items()}, linked.manifest.padding)
            for name in before:
                w.restore(linked.manifest.tensors[name], before[name][start:stop])
            kept = through(linked, w, wanted, team)
            counts = w.counts.sum(axis=0)
        if progress:
            progress(stop - start)
        return kept, counts

    if threads == 1 or team > 1:
        parts = [run(s) for s in starts]
    else:
        pool = ThreadPoolExecutor(threads)
        try:
            parts = list(pool.map(run, starts))
        finally:
            pool.shutdown(cancel_futures=True)  # after an error or Ctrl-C the rest is not worth computing
    tensors = {name: [one for kept, _ in parts for one in kept[name]] for name in parts[0][0]}
    return tensors, sum((c for _, c in parts), np.zeros_like(parts[0][1]))


def through(linked: Linked, w: Workspace, wanted: Sequence[str], threads: int) -> dict[str, list[Stored]]:
    """Take the samples of a workspace through the program, by one thread or a team; keep what is wanted."""
    kept: dict[str, list[Stored]] = {}
    w.team = assembled(threads)
    failures: list[BaseException] = []

    def work(part: int) -> None:
        try:
            for op, steps in linked.steps:
                for step in steps:
                    step(w, part, threads)
                    if failures:
                        return
                if part == 0:
                    kept.update({name: _copies(linked, w, name) for name in op.writes if name in wanted})
            begin(w.team, threads)  # the next thread may go on to its end
        except BaseException as error:
            failures.append(error)
            leave(w.team)

    others = [Thread(target=work, args=(part,)) for part in range(1, threads)]
    try:
        for thread in others:
            thread.start()
        work(0)
    except BaseException as error:  # whoever has started must not wait for the rest
        failures.append(error)
    finally:
        leave(w.team)
        for thread in others:
            if thread.ident is not None:
                thread.join()
    if failures:
        raise failures[0]
    return kept


def _copies(linked: Linked, w: Workspace, name: str) -> list[Stored]:
    spec = linked.manifest.tensors[name]
    pairs = (stored(w, spec, s) for s in range(w.samples))
    return [(codes.copy(), shared.copy()) for codes, shared in pairs]
