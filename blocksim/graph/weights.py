"""Weight sources: what fills a skeleton, a graph whose weights are inputs.

A source says what a weight is; its values are read when somebody wants them, one weight at a time.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnx
from numpy.typing import NDArray

from blocksim.errors import BlocksimError
from blocksim.graph.unread import Matrix, Unread, identity_of
from blocksim.stretches import Entry, entries

FLOATS = {"F32": "<f4", "F16": "<f2", "BF16": "<u2", "F64": "<f8"}
"""Types of a safetensors file that weights may have."""


class WeightSource(Protocol):
    """Weights by name."""

    @property
    def where(self) -> str:
        """The file, for messages."""

    def has(self, name: str) -> bool:
        """Whether it has a weight of this name."""

    def weight(self, name: str, shape: tuple[int, ...]) -> Unread:
        """The weight, which must have this shape.

        Raises
        ------
        BlocksimError
            If its shape is another; when its values are read, if one is NaN or infinite.
        """


@dataclass(frozen=True)
class SafetensorsSource:
    """The tensors of a safetensors file."""

    path: Path
    tensors: dict[str, Entry] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        from safetensors import SafetensorError

        try:
            object.__setattr__(self, "tensors", entries(self.path)[1])
        except (SafetensorError, OSError) as error:
            raise BlocksimError(
                self.path, "file", "not a whole safetensors file", f"save it again ({error})"
            ) from None

    @property
    def where(self) -> str:
        """The file."""
        return str(self.path)

    def has(self, name: str) -> bool:
        """Whether the file has a tensor of this name."""
        return name in self.tensors

    def weight(self, name: str, shape: tuple[int, ...]) -> Unread:
        """The tensor as float32, see `WeightSource.weight`."""
        entry = self.tensors[name]
        _refuse_shape(self.where, name, entry.shape, shape)
        if entry.dtype not in FLOATS:
            known = ", ".join(FLOATS)
            raise BlocksimError(self.path, name, entry.dtype, f"weights must be of {known}; save it as F32")
        stat = self.path.stat()
        identity = f"{self.path.resolve()} {stat.st_size} {stat.st_mtime_ns} {name}"
        return Unread(shape, partial(self._read, name), identity)

    def _read(self, name: str) -> Matrix:
        entry = self.tensors[name]
        values = np.frombuffer(entry.data.read(), FLOATS[entry.dtype]).reshape(entry.shape)
        if entry.dtype == "BF16":  # the upper half of a float32
            values = (values.astype(np.uint32) << 16).view(np.float32)
        return finite(self.where, name, values)


@dataclass(frozen=True)
class ShardedSource:
    """Safetensors files under one index, as large checkpoints are saved: ``*.safetensors.index.json``."""

    path: Path
    shards: dict[str, SafetensorsSource] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        try:
            names = json.loads(self.path.read_text())["weight_map"]
            files = {file: SafetensorsSource(self.path.parent / file) for file in sorted(set(names.values()))}
        except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
            reason = str(error).splitlines()[0]
            raise BlocksimError(
                self.path, "weight_map", "not an index of safetensors", f"download it again ({reason})"
            ) from None
        object.__setattr__(self, "shards", {name: files[file] for name, file in names.items()})

    @property
    def where(self) -> str:
        """The index."""
        return str(self.path)

    def has(self, name: str) -> bool:
        """Whether the index has a tensor of this name."""
        return name in self.shards and self.shards[name].has(name)

    def weight(self, name: str, shape: tuple[int, ...]) -> Unread:
        """The tensor from its file."""
        return self.shards[name].weight(name, shape)


@dataclass(frozen=True)
class OnnxSource:
    """The initialisers of an ONNX file."""

    path: Path
    arrays: dict[str, NDArray[Any]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        try:
            model = onnx.load(str(self.path))
        except Exception as error:  # protobuf and file errors have no common base
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise BlocksimError(
                self.path, "file", "not a whole ONNX model", f"export it again ({reason})"
            ) from None
        arrays = {i.name: onnx.numpy_helper.to_array(i) for i in model.graph.initializer}
        object.__setattr__(self, "arrays", arrays)

    @property
    def where(self) -> str:
        """The file."""
        return str(self.path)

    def has(self, name: str) -> bool:
        """Whether the file has an initialiser of this name."""
        return name in self.arrays

    def weight(self, name: str, shape: tuple[int, ...]) -> Unread:
        """The initialiser as float32."""
        array = self.arrays[name]
        _refuse_shape(self.where, name, array.shape, shape)
        identity = f"{name} {identity_of(array)}"
        return Unread(shape, partial(finite, self.where, name, array), identity)


@dataclass(frozen=True)
class GeneratorSource:
    """Weights made up, for shapes without a trained model: the same for the same seed and name.

    Matrices are normal with the deviation ``1/sqrt(fan in)``, norm weights are near 1, biases near 0.
    """

    seed: int = 0

    @property
    def where(self) -> str:
        """What the user typed."""
        return f"generator:{self.seed}"

    def has(self, name: str) -> bool:
        """Whether the name is that of a parameter: it has a path."""
        return "." in name

    def weight(self, name: str, shape: tuple[int, ...]) -> Unread:
        """A weight of this shape."""
        return Unread(shape, partial(self._made, name, shape), f"{self.where} {name} {shape}")

    def _made(self, name: str, shape: tuple[int, ...]) -> Matrix:
        digest = hashlib.sha256(f"{self.seed}:{name}".encode()).digest()
        rng = np.random.default_rng(int.from_bytes(digest[:8], "little"))
        noise = rng.standard_normal(shape, np.float32)
        if len(shape) > 1:
            noise /= np.float32(np.sqrt(shape[-1]))
            return noise
        base = 1.0 if name.endswith(".weight") else 0.0
        return np.float32(base) + np.float32(0.1) * noise


def _refuse_shape(where: str, name: str, found: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    if found != wanted:
        raise BlocksimError(where, name, f"shape {found}", f"the model needs {wanted}")


def finite(where: object, name: str, array: NDArray[Any]) -> Matrix:
    """The values of a weight as float32.

    Raises
    ------
    BlocksimError
        If one is NaN or infinite; `where` is the file.
    """
    values = np.ascontiguousarray(array, np.float32)
    if not np.isfinite(values).all():
        raise BlocksimError(where, name, "NaN or Inf", "weights must be finite; export it again")
    return values


def weight_source(text: str | Path) -> WeightSource:
    """A weight source as the user names it.

    A safetensors file, an index of some (``*.safetensors.index.json``), an ONNX file, or
    ``generator[:SEED]``.

    Raises
    ------
    BlocksimError
        If it is none of these.
    """
    kind, _, seed = str(text).partition(":")
    if kind == "generator" and (not seed or seed.isdigit()):
        return GeneratorSource(int(seed or 0))
    path = Path(text)
    if not path.is_file():
        raise BlocksimError(path, "--weights", "missing", "give a .safetensors or .onnx file, or generator")
    if path.suffix == ".json":
        return ShardedSource(path)
    return OnnxSource(path) if path.suffix == ".onnx" else SafetensorsSource(path)
