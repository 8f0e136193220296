"""Numerical error against the fp32 reference."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass
class ErrorMeter:
    """Collects the error of one tensor over samples.

    `sqnr_db` is ``10 log10(sum ref**2 / sum (ref - x)**2)`` over all elements of all samples,
    `max_abs_error` the largest absolute difference, `cosine` the mean over samples of the cosine between
    the flattened tensors. None stands for an exact match (no finite ratio) or for no signal at all.
    """

    signal: float = 0.0
    noise: float = 0.0
    largest: float = 0.0
    cosines: list[float] = field(default_factory=list)

    def add(self, reference: NDArray[np.floating], value: NDArray[np.floating]) -> None:
        """Enter one sample."""
        r = np.asarray(reference, np.float64).ravel()
        v = np.asarray(value, np.float64).ravel()
        signal, difference = _dot(r, r), r - v
        self.signal += signal
        self.noise += _dot(difference, difference)
        self.largest = max(self.largest, float(difference.max()), -float(difference.min()))
        norms = math.sqrt(signal) * math.sqrt(_dot(v, v))
        self.cosines.append(_dot(r, v) / norms if norms else float(np.array_equal(r, v)))

    @property
    def sqnr_db(self) -> float | None:
        """Signal to quantisation noise in dB."""
        if self.noise == 0 or self.signal == 0:
            return None
        return 10 * math.log10(self.signal / self.noise)

    @property
    def cosine(self) -> float | None:
        """Mean cosine over samples."""
        return float(np.mean(self.cosines)) if self.cosines else None


def _dot(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """The inner product, summed pairwise: the same on any CPU, and without a pool of threads to wake."""
    return float(np.add.reduce(a * b))
