"""Weight sources: what fills a skeleton, a graph whose weights are inputs."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import onnx
from numpy.typing import NDArray

from blocksim.errors import BlocksimError

Array = NDArray[np.float32]


class WeightSource(Protocol):
    """Weights by name."""

    @property
    def where(self) -> str:
        """The file, for messages."""

    def has(self, name: str) -> bool:
        """Whether it has a weight of this name."""

    def load(self, name: str, shape: tuple[int, ...]) -> Array:
        """The weight, which must have this shape."""


@dataclass(frozen=True)
class SafetensorsSource:
    """The tensors of a safetensors file, each read when it is first asked for."""

    path: Path
    names: frozenset[str] = field(init=False, repr=False)
    loaded: dict[str, Array] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self.path, "np") as file:
                object.__setattr__(self, "names", frozenset(file.keys()))
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
        return name in self.names

    def load(self, name: str, shape: tuple[int, ...]) -> Array:
        """The tensor as float32.

        Raises
        ------
        BlocksimError
            If its shape is another, or a value is NaN or infinite.
        """
        from safetensors import safe_open

        if name not in self.loaded:
            with safe_open(self.path, "np") as file:
                self.loaded[name] = np.ascontiguousarray(file.get_tensor(name), np.float32)
        return _checked(self.where, name, self.loaded[name], shape)


@dataclass(frozen=True)
class OnnxSource:
    """The initialisers of an ONNX file."""

    path: Path
    arrays: dict[str, Array] = field(init=False, repr=False)

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

    def load(self, name: str, shape: tuple[int, ...]) -> Array:
        """The initialiser as float32; errors as of `SafetensorsSource.load`."""
        return _checked(self.where, name, self.arrays[name], shape)


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

    def load(self, name: str, shape: tuple[int, ...]) -> Array:
        """A weight of this shape."""
        digest = hashlib.sha256(f"{self.seed}:{name}".encode()).digest()
        rng = np.random.default_rng(int.from_bytes(digest[:8], "little"))
        noise = rng.standard_normal(shape, np.float32)
        if len(shape) > 1:
            return noise / np.float32(np.sqrt(shape[-1]))
        base = 1.0 if name.endswith(".weight") else 0.0
        return np.float32(base) + np.float32(0.1) * noise


def _checked(where: str, name: str, array: NDArray[np.floating], shape: tuple[int, ...]) -> Array:
    if array.shape != shape:
        raise BlocksimError(where, name, f"shape {array.shape}", f"the model needs {shape}")
    values = np.ascontiguousarray(array, np.float32)
    if not np.isfinite(values).all():
        raise BlocksimError(where, name, "NaN or Inf", "weights must be finite; export it again")
    return values


def weight_source(text: str | Path) -> WeightSource:
    """A weight source as the user names it: a safetensors or ONNX file, or ``generator[:SEED]``.

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
    return OnnxSource(path) if path.suffix == ".onnx" else SafetensorsSource(path)
