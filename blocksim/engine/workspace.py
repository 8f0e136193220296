"""Workspaces: the buffers in which threads take some samples through a linked program."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blocksim.trace.manifest import Blocks, Index, Manifest, OpSpec, TensorSpec
from hwmodels.kernels.team import Team, assembled

COUNTS = ("flushed", "overflows", "clamped", "saturated")


@dataclass
class Workspace:
    """The buffers in which one team of threads takes some samples through the program.

    Attributes
    ----------
    samples : int
    codes : dict of str to int8 or int16 array
        Every tensor's codes, sample after sample along the rows.
    shared : dict of str to int16 array
        Their exponents.
    sums, exponents : int64 and int16, flat
        Wide sums of the operator at hand; 32-bit ones are two in a word.
    counts : int64, shape (threads, operators, 4)
        See `COUNTS`.
    maps : dict of str to Maps
        Of every tensor the block of each row, and where its blocks lie.
    views : dict of int to tuple
        By operator its sums and exponents in these buffers, and for each row of sums that of its exponents.
    there : dict of (int, int) to bool array
        What `valid` gave, by rows and tokens.
    team : Team
        The counters of the threads, see `hwmodels.kernels.team`.
    inputs : dict of str to array
        Graph inputs of these samples.
    present : bool, shape (samples, tokens)
        Which tokens are there; (samples, 1) and true where the model has no padding.
    """

    samples: int
    codes: dict[str, NDArray[Any]]
    shared: dict[str, NDArray[np.int16]]
    sums: NDArray[np.int64]
    exponents: NDArray[np.int16]
    counts: NDArray[np.int64]
    maps: dict[str, Maps]
    views: dict[int, tuple[NDArray[Any], NDArray[np.int16], Index]] = field(default_factory=dict)
    there: dict[tuple[int, int], NDArray[np.bool_]] = field(default_factory=dict)
    team: Team = field(default_factory=lambda: assembled(1))
    inputs: dict[str, NDArray[Any]] = field(default_factory=dict)
    present: NDArray[np.bool_] = field(default_factory=lambda: np.ones((1, 1), np.bool_))

    def feed(self, inputs: dict[str, NDArray[Any]], padding: str) -> None:
        """Give the samples their inputs."""
        self.inputs = inputs
        self.there.clear()
        if padding:
            self.present = np.ascontiguousarray(inputs[padding].reshape(self.samples, -1) != 0)
        else:
            self.present = np.ones((self.samples, 1), np.bool_)

    def restore(self, spec: TensorSpec, ones: Sequence[tuple[NDArray[Any], NDArray[np.int16]]]) -> None:
        """Give the samples a tensor that was made before: codes and exponents of each."""
        for s, one in enumerate(ones):
            for place, array in zip(stored(self, spec, s), one, strict=True):
                place[:] = array

    def valid(self, spec: TensorSpec) -> NDArray[np.bool_]:
        """Which rows of a tensor are there, sample after sample."""
        there = self.there.get((spec.rows, spec.tokens))
        if there is None:
            there = np.ones(self.samples * spec.rows, np.bool_)
            if spec.tokens:
                groups = spec.rows // spec.tokens
                there = np.ascontiguousarray(np.repeat(self.present[:, None], groups, axis=1).reshape(-1))
            self.there[spec.rows, spec.tokens] = there
        return there


@dataclass(frozen=True)
class Maps:
    """Block indices of a tensor over several samples: each sample's blocks are its own.

    `row_edges` and `column_edges` are those of one sample.
    """

    rows: Index
    row_edges: Index
    column_edges: Index


def maps_of(spec: Blocks, samples: int) -> Maps:
    """The block indices of `samples` samples of a tensor, below each other."""
    blocks = len(spec.row_starts)
    rows = np.concatenate([spec.row_index + s * blocks for s in range(samples)])
    return Maps(
        rows,
        np.append(spec.row_starts, spec.rows),
        np.append(spec.column_starts, spec.columns),
    )


def repeated(groups: Index, samples: int, per_sample: int) -> Index:
    """Row numbers of several samples, of which each has so many of its own."""
    return np.ascontiguousarray((np.arange(samples)[:, None] * per_sample + groups).reshape(-1))


Step = Callable[[Workspace, int, int], None]
"""``(workspace, part, parts)``: the share of one thread of so many in a step of an operator."""


@dataclass(frozen=True)
class Linked:
    """A program ready to execute.

    Attributes
    ----------
    manifest : Manifest
    steps : tuple of (OpSpec, tuple of Step)
        Each operator, and its kernel calls.
    tensors : tuple of str
        What these operators read and write.
    spare : dict of (int, int) to list of Workspace
        Buffers that nobody uses at the moment, by their numbers of samples and threads.
    """

    manifest: Manifest
    steps: tuple[tuple[OpSpec, tuple[Step, ...]], ...]
    tensors: tuple[str, ...]
    spare: dict[tuple[int, int], list[Workspace]] = field(default_factory=dict, repr=False)

    @contextmanager
    def workspace(self, samples: int, threads: int = 1) -> Iterator[Workspace]:
        """Buffers for some samples, for one team of threads at a time; kept for the next who asks."""
        try:
            w = self.spare.setdefault((samples, threads), []).pop()
        except IndexError:
            w = self._fresh(samples, threads)
        w.counts[:] = 0
        yield w
        self.spare[samples, threads].append(w)

    def _fresh(self, samples: int, threads: int) -> Workspace:
        specs = {name: self.manifest.tensors[name] for name in self.tensors}
        widest = max(t.rows * t.columns for t in specs.values()) * samples
        return Workspace(
            samples,
            {n: np.zeros((samples * t.rows, t.columns), code_type(t)) for n, t in specs.items()},
            {
                n: np.zeros((samples * len(t.row_starts), len(t.column_starts)), np.int16)
                for n, t in specs.items()
            },
            np.zeros(widest, np.int64),
            np.zeros(widest, np.int16),
            np.zeros((threads, len(self.manifest.operators), len(COUNTS)), np.int64),
            {n: maps_of(t, samples) for n, t in specs.items()},
        )


def code_type(spec: TensorSpec) -> Any:
    """The smallest type that holds a tensor's codes."""
    if spec.bits > 8:
        return np.int16
    return np.uint8 if spec.form.has_exponents else np.int8


def stored(w: Workspace, spec: TensorSpec, sample: int) -> tuple[NDArray[Any], NDArray[np.int16]]:
    """One sample's codes and exponents of a tensor, as views of the workspace."""
    blocks = len(spec.row_starts)
    return (
        w.codes[spec.name][sample * spec.rows : (sample + 1) * spec.rows],
        w.shared[spec.name][sample * blocks : (sample + 1) * blocks],
    )
