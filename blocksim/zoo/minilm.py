"""MiniLM, judged by what it is for: how near its sentences lie, and what a linear head makes of them.

Texts are padded to the next 16 tokens, a trace for each such length; weights are encoded once for all. Absent
tokens are masked, and a text has the same bits alone and padded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blocksim.compiler import ConstantCache, Precision, compile_graph
from blocksim.compiler import precision as plans
from blocksim.engine.execute import execute
from blocksim.engine.link import link
from blocksim.engine.products import Panels
from blocksim.errors import BlocksimError
from blocksim.graph import Graph, import_onnx
from blocksim.graph.reference import Reference, peaks
from blocksim.graph.weights import SafetensorsSource
from blocksim.trace import Trace
from blocksim.yamlfile import load_machine
from blocksim.zoo import texts
from hwmodels.machines import Machine

Tokens = list[NDArray[np.int64]]
Embeddings = NDArray[np.float32]
Progress = Callable[[int], None]

OUTPUT = "sentence_embedding"
STEP = 16
"""Lengths that texts are padded to are multiples of this."""

COMMON_LENGTH = 128
"""Tokens of the trace whose cycles, energy and footprint are reported."""


def skeleton() -> Path:
    """The graph without weights: in the wheel beside this file, in a checkout under ``traces``."""
    packed = Path(__file__).parent / "minilm.onnx"
    return packed if packed.is_file() else Path(__file__).parents[2] / "traces" / "minilm" / "dynamo18.onnx"


@dataclass(frozen=True)
class Scores:
    """What one configuration is worth on the texts.

    Attributes
    ----------
    cosine : float
        Mean cosine between its embeddings and those of fp32, over the 50 Lee documents.
    pearson, spearman : float
        Correlation of its cosines with the human ratings.
    accuracy : float
        Share of test snippets that a linear head, fitted on fp32 embeddings, gets right.
    """

    cosine: float
    pearson: float
    spearman: float
    accuracy: float


@dataclass
class MiniLM:
    """The model with its texts.

    Parameters
    ----------
    folder : Path
        What ``blocksim fetch minilm`` made.
    threads : int
    snippets : int
        How many of the 1,000 test snippets are judged.

    Raises
    ------
    BlocksimError
        If the folder lacks a file.
    """

    folder: Path
    threads: int = 1
    snippets: int = 1000
    _graphs: dict[int, Graph] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        weights = self.folder / "model.safetensors"
        if not weights.is_file():
            raise BlocksimError(
                self.folder, "folder", "no model.safetensors", "run blocksim fetch minilm first"
            )
        self.source = SafetensorsSource(weights)
        self.lee = texts.lee50(self.folder)
        rated = texts.snippets(self.folder)
        split = texts.split(rated)
        self.labels = np.array(rated.labels)
        self.fit, self.test = np.array(split.fit), np.array(split.test[: self.snippets])
        tokens = texts.tokenise(self.folder, list(rated.texts))
        self.lee_tokens = texts.tokenise(self.folder, list(self.lee.texts))
        self.fit_tokens, self.test_tokens, self.calibration_tokens = (
            [tokens[i] for i in part] for part in (self.fit, self.test, split.calibrate)
        )

    def graph(self, length: int) -> Graph:
        """The typed graph for texts of some length."""
        if length not in self._graphs:
            self._graphs[length] = import_onnx(skeleton(), {"seq": length}, self.source)
        return self._graphs[length]

    # -- fp32 --------------------------------------------------------------------------------

    def reference(self, tokens: Tokens, progress: Progress | None = None) -> Embeddings:
        """Embeddings in fp32."""

        def run(graph: Graph, inputs: dict[str, NDArray[Any]]) -> Embeddings:
            return Reference(graph).outputs(inputs)[OUTPUT]

        return self._by_length(tokens, run, progress)

    @cached_property
    def lee_reference(self) -> Embeddings:
        """The Lee documents in fp32."""
        return self.reference(self.lee_tokens)

    @cached_property
    def head(self) -> NDArray[np.float64]:
        """A linear head fitted on fp32 embeddings of 2,000 snippets."""
        return texts.fit_head(self.reference(self.fit_tokens), self.labels[self.fit])

    @cached_property
    def calibration(self) -> dict[str, float]:
        """The largest magnitude of every tensor over 32 texts that are judged nowhere."""
        largest: dict[str, float] = {}
        for length, group in texts.grouped(self.calibration_tokens).items():
            own = texts.padded([self.calibration_tokens[i] for i in group], length)
            found = peaks(self.graph(length), own)
            largest = {name: max(peak, largest.get(name, 0.0)) for name, peak in found.items()}
        return largest

    def scores_fp32(self, progress: Progress | None = None) -> Scores:
        """The reference itself."""
        embedded = self.reference(self.test_tokens, progress)
        return self._scores(self.lee_reference, embedded)

    # -- one configuration -------------------------------------------------------------------

    def configure(
        self, precision: str | Path, block: str | None = None, machine: str | Path | Machine = "bct64"
    ) -> Configured:
        """The model on a machine under a precision plan; names as of `blocksim.run`."""
        loaded = load_machine(machine)
        plan = plans.load(precision, block)
        static = loaded.requantizer.exponents == "static" or any(f.is_real for f in plan.roles.values())
        return Configured(self, plan, loaded, self.calibration if static else None)

    def _by_length(
        self,
        tokens: Tokens,
        run: Callable[[Graph, dict[str, NDArray[Any]]], Embeddings],
        progress: Progress | None,
    ) -> Embeddings:
        out: Embeddings | None = None
        for length, group in texts.grouped(tokens, STEP).items():
            made = run(self.graph(length), texts.padded([tokens[i] for i in group], length))
            out = np.zeros((len(tokens), made.shape[1]), np.float32) if out is None else out
            out[group] = made
            if progress:
                progress(len(group))
        assert out is not None
        return out

    def _scores(self, lee: Embeddings, test: Embeddings) -> Scores:
        pearson, spearman = texts.lee_correlations(lee, self.lee.ratings)
        norms = np.linalg.norm(lee, axis=1) * np.linalg.norm(self.lee_reference, axis=1)
        return Scores(
            float(((lee * self.lee_reference).sum(axis=1) / norms).mean()),
            pearson,
            spearman,
            texts.head_accuracy(self.head, test, self.labels[self.test]),
        )


@dataclass(frozen=True)
class Configured:
    """MiniLM on a machine under a precision plan."""

    model: MiniLM
    plan: Precision
    machine: Machine
    calibration: dict[str, float] | None = field(repr=False)
    constants: ConstantCache = field(default_factory=ConstantCache, repr=False)
    panels: Panels = field(default_factory=dict, repr=False)

    @property
    def texts(self) -> int:
        """How many texts `scores` embeds."""
        return len(self.model.lee_tokens) + len(self.model.test_tokens)

    def trace(self, length: int = COMMON_LENGTH) -> Trace:
        """The trace for texts of some length."""
        return compile_graph(
            self.model.graph(length),
            self.machine,
            self.plan,
            calibration=self.calibration,
            cache=self.constants,
        )

    def embed(self, tokens: Tokens, progress: Progress | None = None) -> Embeddings:
        """Embeddings, bit for bit as the machine gives them.

        Parameters
        ----------
        tokens : list of int array
            Texts, see `texts.tokenise`.
        progress : callable, optional
            Told how many more texts are done.

        Returns
        -------
        float32 array, shape (texts, 384)
        """

        def run(_graph: Graph, inputs: dict[str, NDArray[Any]]) -> Embeddings:
            length = inputs["input_ids"].shape[1]
            linked = link(self.trace(length), self.panels)
            return execute(linked, inputs, threads=self.model.threads).outputs[OUTPUT]

        return self.model._by_length(tokens, run, progress)

    def scores(self, progress: Progress | None = None) -> Scores:
        """What the configuration is worth."""
        lee = self.embed(self.model.lee_tokens, progress)
        test = self.embed(self.model.test_tokens, progress)
        return self.model._scores(lee, test)
