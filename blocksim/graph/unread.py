"""Weights that are read when somebody wants their values: a model may be larger than memory."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Unread:
    """A float32 array that is read anew whenever NumPy asks for its values; nothing is kept.

    Attributes
    ----------
    shape : tuple of int
    read : callable
        Gives the array.
    identity : str
        What the values are: equal identities mean equal values.
    """

    shape: tuple[int, ...]
    read: Callable[[], Matrix]
    identity: str

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def dtype(self) -> np.dtype[np.float32]:
        """Always float32."""
        return np.dtype(np.float32)

    @property
    def T(self) -> Unread:  # noqa: N802 (as of an array)
        """The array with its axes reversed."""
        return Unread(self.shape[::-1], lambda: self.read().T, f"{self.identity}.T")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """The values, for NumPy."""
        return np.asarray(self.read(), dtype)

    def __getitem__(self, where: tuple[slice, ...]) -> Unread:
        """A stretch of every axis."""
        shape = tuple(len(range(n)[s]) for n, s in zip(self.shape, where, strict=True))
        return Unread(shape, lambda: self.read()[where], f"{self.identity}{where}")

    def __mul__(self, factor: float | np.floating[Any]) -> Unread:
        """Every value times a number, in the number's precision, rounded to float32."""
        return Unread(
            self.shape,
            lambda: (self.read() * factor).astype(np.float32),
            f"{self.identity}*{type(factor).__name__} {factor!r}",
        )

    def reshape(self, *shape: int) -> Unread:
        """The values in another shape."""
        whole = tuple(self.size // -int(np.prod(shape)) if n == -1 else n for n in shape)
        return Unread(whole, lambda: self.read().reshape(whole), f"{self.identity}{whole}")


Weight = Matrix | Unread
"""A constant of a model, at hand or not."""


def identity_of(weight: Weight) -> str:
    """What the values of a weight are, in a line."""
    if isinstance(weight, Unread):
        return weight.identity
    return f"{weight.shape} {hashlib.sha256(np.ascontiguousarray(weight).data).hexdigest()}"


def scaled(weight: Weight, factor: float) -> Weight:
    """A weight times a factor, rounded once to float32."""
    if isinstance(weight, Unread):
        return weight * np.float64(factor)
    return (weight * np.float64(factor)).astype(np.float32)


def same(a: Weight, b: Weight) -> bool:
    """Whether two weights have the same values; those unread tell by what they are."""
    if isinstance(a, Unread) or isinstance(b, Unread):
        return isinstance(a, Unread) and isinstance(b, Unread) and a.identity == b.identity
    return np.array_equal(a, b)
