"""Execution in stages: a trace larger than memory, a few operators at a time.

Each stage links its own operators, takes all samples through them and is dropped again; between two stages
there is nothing but the tensors that later ones read. What a stage leaves can be kept in a folder, from
which an interrupted execution goes on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blocksim.engine.boundary import Stored
from blocksim.engine.execute import Execution, Progress, asked_of, passed, told
from blocksim.engine.link import link
from blocksim.engine.workspace import COUNTS
from blocksim.trace.file import Trace
from blocksim.trace.manifest import Manifest, OpSpec

BUDGET = 256 << 20
"""Packed bytes of constants that a stage takes, where one operator does not have more."""

CHECKPOINT = "checkpoint.safetensors"
"""What the stages so far have left, in the folder of an execution."""


def execute_in_stages(
    trace: Trace,
    inputs: Mapping[str, NDArray[Any]],
    probe: Sequence[str] = (),
    threads: int = 1,
    progress: Progress | None = None,
    folder: Path | None = None,
    budget: int = BUDGET,
) -> Execution:
    """Execute a trace in bounded memory; the bits are those of `execute`.

    Parameters
    ----------
    trace : Trace
        Opened from its file, so that its constants are read when they are wanted.
    inputs, probe, threads
        As of `execute`.
    progress : callable, optional
        Told how many more operators are done.
    folder : path, optional
        An existing folder that keeps what is done: the same call goes on from there.
    budget : int
        Bytes of constants that are taken at a time.

    Returns
    -------
    Execution

    Raises
    ------
    BlocksimError
        If an input does not fit the model, or a probe names no tensor.
    """
    manifest = trace.manifest
    checked, wanted = asked_of(manifest, inputs, probe, threads)
    kept = _Kept(folder, _fingerprint(trace, checked, probe)) if folder else None
    state = (kept and kept.load()) or _State(
        0, {}, np.zeros((len(manifest.operators), len(COUNTS)), np.int64)
    )
    if progress and state.done:
        progress(state.done)
    for stage in stages(manifest, state.done, budget):
        live = _live_after(manifest, stage.stop, wanted)
        linked = link(trace, stretch=stage)
        before = {name: state.tensors[name] for name in linked.tensors if name in state.tensors}
        made, counts = passed(linked, checked, before, live, threads, None)
        tensors = {name: one for name, one in {**state.tensors, **made}.items() if name in live}
        state = _State(stage.stop, tensors, state.counts + counts)
        if kept:
            kept.save(state)
        if progress:
            progress(len(stage))
    return told(manifest, state.tensors, state.counts, probe)


def stages(manifest: Manifest, first: int, budget: int) -> Iterator[range]:
    """Stretches of operators whose constants take up to `budget` bytes, or one operator with more."""
    total = 0
    for i in range(first, len(manifest.operators)):
        size = _constant_bytes(manifest, manifest.operators[i])
        if i > first and total + size > budget:
            yield range(first, i)
            first, total = i, 0
        total += size
    if first < len(manifest.operators):
        yield range(first, len(manifest.operators))


def _constant_bytes(manifest: Manifest, op: OpSpec) -> int:
    names = {op.weight, op.bias, op.constant, op.mask, op.model}
    return sum(manifest.constants[name].size for name in names if name in manifest.constants)


def _live_after(manifest: Manifest, done: int, wanted: Sequence[str]) -> list[str]:
    """The tensors that operators from `done` on read, and those that are wanted in the end."""
    read = [t for op in manifest.operators[done:] for t in op.reads if t in manifest.tensors]
    return [*dict.fromkeys([*read, *wanted])]


@dataclass(frozen=True)
class _State:
    """What the first `done` operators have left: counts, and tensors that are needed yet, by sample."""

    done: int
    tensors: dict[str, list[Stored]]
    counts: NDArray[np.int64]


def _fingerprint(trace: Trace, inputs: Mapping[str, NDArray[Any]], probe: Sequence[str]) -> str:
    """A hash of all that the bits depend on."""
    digest = hashlib.sha256(trace.manifest.model_dump_json().encode())
    digest.update(trace.program.tobytes())
    for name, array in inputs.items():
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    digest.update(" ".join(probe).encode())
    return digest.hexdigest()


@dataclass(frozen=True)
class _Kept:
    """The state in a file, replaced whole after every stage."""

    folder: Path
    fingerprint: str

    def save(self, state: _State) -> None:
        from safetensors.numpy import save_file

        arrays = {"counts": state.counts}
        for name, ones in state.tensors.items():
            arrays[f"codes/{name}"] = np.stack([codes for codes, _ in ones])
            arrays[f"shared/{name}"] = np.stack([shared for _, shared in ones])
        about = {"fingerprint": self.fingerprint, "done": state.done}
        partial = self.folder / f"{CHECKPOINT}.partial"
        save_file(arrays, str(partial), {"about": json.dumps(about)})
        partial.replace(self.folder / CHECKPOINT)

    def load(self) -> _State | None:
        """What an earlier call with the same trace and inputs left; None where there is nothing."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(str(self.folder / CHECKPOINT), "np") as file:
                about = json.loads((file.metadata() or {})["about"])
                if about["fingerprint"] != self.fingerprint:
                    return None
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        except (FileNotFoundError, SafetensorError, KeyError, ValueError):
            return None
        counts = arrays.pop("counts")
        names = [name.removeprefix("codes/") for name in arrays if name.startswith("codes/")]
        tensors = {
            name: list(zip(arrays[f"codes/{name}"], arrays[f"shared/{name}"], strict=True)) for name in names
        }
        return _State(int(about["done"]), tensors, counts)
