"""The workload: a model and its samples, by the names of their files, and opened as an experiment."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from blocksim.arguments import arrays, classes
from blocksim.errors import BlocksimError

if TYPE_CHECKING:
    from blocksim.experiment import Experiment

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Workload:
    """A model and its samples.

    Attributes
    ----------
    model, inputs, labels, calibration, weights : str or None
        As of `blocksim.run`: files, or a model of the zoo, which has inputs and labels of its own.
    bind : tuple of (str, int)
    samples : int or None
        How many, from the first on.
    """

    model: str
    inputs: str | None = None
    labels: str | None = None
    calibration: str | None = None
    weights: str | None = None
    bind: tuple[tuple[str, int], ...] = ()
    samples: int | None = None

    @classmethod
    def beside(
        cls,
        folder: Path,
        model: str,
        inputs: str | None = None,
        labels: str | None = None,
        calibration: str | None = None,
        weights: str | None = None,
        bind: Mapping[str, int] | None = None,
        samples: int | None = None,
    ) -> Workload:
        """A workload whose files are named as seen from a folder.

        Raises
        ------
        BlocksimError
            If a file is missing, or a model that is none of the zoo's has no inputs.
        """
        from blocksim import zoo

        folder = folder.resolve()

        def found(field: str, name: str | None) -> str | None:
            if name is None:
                return None
            if not (folder / name).is_file():
                raise BlocksimError(folder / name, field, "missing", "give the path of a file")
            return str(folder / name)

        own = cls(
            model, found("inputs", inputs), found("labels", labels), found("calibration", calibration),
            weights, tuple(sorted((bind or {}).items())), samples,
        )  # fmt: skip
        if model in zoo.names():
            if labels is not None and inputs is None:
                raise BlocksimError(labels, "labels", "without inputs", f"{model} has labels of its own")
        else:
            if not (folder / model).is_file():
                known = ", ".join(zoo.names())
                raise BlocksimError(folder / model, "model", "missing", f"give an ONNX file, or {known}")
            if inputs is None:
                raise BlocksimError(folder / model, "inputs", "missing", "give the samples to run it on")
            own = replace(own, model=str(folder / model))
        if weights is not None and (folder / weights).is_file():
            own = replace(own, weights=str(folder / weights))
        return own

    @cached_property
    def identity(self) -> str:
        """A hash of all that the figures of a configuration depend on, but for its settings."""
        path, given, labels = self.data()
        digest = hashlib.sha256()
        for name in (str(path), self.weights, self.calibration):
            digest.update(_content(name))
        samples = [("input", name, array) for name, array in given.items()]
        for kind, name, array in (*samples, *([] if labels is None else [("labels", "", labels)])):
            digest.update(f"{kind} {name} {array.dtype} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        digest.update(repr(self.bind).encode())
        return digest.hexdigest()

    def data(self) -> tuple[Path, Arrays, NDArray[np.integer] | None]:
        """The model's file, the inputs by name (by ``""`` where there is one), and the labels."""
        from blocksim import zoo

        known = zoo.load(self.model) if self.model in zoo.names() else None
        path = Path(self.model) if known is None else known.path
        labels = None if self.labels is None else classes(Path(self.labels))
        named: Arrays = {}
        if self.inputs is not None:
            given = arrays(Path(self.inputs))
            named = given if isinstance(given, dict) else {"": given}
        elif known is not None:
            named, labels = dict(known.inputs), known.labels
        have = max((len(x) for x in named.values() if x.ndim), default=0)
        if self.samples is not None and self.samples > have:
            raise BlocksimError(self.inputs or self.model, "samples", self.samples, f"there are {have}")
        taken = {name: x[: self.samples] if x.ndim else x for name, x in named.items()}
        return path, taken, None if labels is None else labels[: self.samples]

    def open(self, reference: Arrays | None = None, peaks: Mapping[str, float] | None = None) -> Experiment:
        """The workload as an experiment of one thread.

        Parameters
        ----------
        reference, peaks
            The fp32 outputs and the calibrated magnitudes, where they are known.
        """
        from blocksim.experiment import Experiment

        path, given, labels = self.data()
        calibration = None if self.calibration is None else arrays(Path(self.calibration))
        return Experiment(
            path, given.get("", given), labels, dict(self.bind), 1, False, self.inputs or self.model,
            self.labels or "labels", self.weights, calibration, reference, peaks,
        )  # fmt: skip


def _content(name: str | None) -> bytes:
    """What a file's name stands for: a hash of its bytes, and of those of the files that it names itself."""
    if name is None or not Path(name).is_file():
        return repr(name).encode()
    digest = hashlib.sha256()
    for path in (Path(name), *_further(Path(name))):
        with path.open("rb") as file:
            while block := file.read(1 << 24):
                digest.update(block)
    return digest.digest()


def _further(path: Path) -> list[Path]:
    """The files that hold what an ONNX file or the index of a checkpoint names."""
    names: set[str] = set()
    if path.suffix == ".json":
        names = set(json.loads(path.read_text()).get("weight_map", {}).values())
    elif path.suffix == ".onnx":
        import onnx

        graph = onnx.load(str(path), load_external_data=False).graph
        entries = [entry for tensor in graph.initializer for entry in tensor.external_data]
        names = {entry.value for entry in entries if entry.key == "location"}
    return [path.parent / name for name in sorted(names) if (path.parent / name).is_file()]
