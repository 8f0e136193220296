"""A bound: how good any coding of the weights could be in so many bits, from their measured statistics.

Shannon's lower bound for a source of independent values with entropy h: at R bits a value no code has less
mean squared error than ``2**(2 h) 2**(-2 R) / (2 pi e)``, which a Gaussian source attains. Weights are taken
as blocks of one density, each with a scale of its own that the decoder is told for nothing: more than any
format gives away. It bounds what can be done with such *statistics*: weights that already lie on a format's
grid lose nothing in it. Bits go where they lower the error most (reverse water-filling): blocks below the
water level get none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from blocksim.explore.distortion import Weights

GAUSSIAN = 2 * math.pi * math.e
"""Of a Gaussian source of unit variance, two to the power of twice its entropy."""

DEPTH = 16
"""Values that share a scale, along the reduction: as many as the smallest blocks that the presets have."""

BIN = 1 / 64
"""Width of a bin of the histogram that the entropy is taken from, in root mean squares."""

STEPS = 400


@dataclass(frozen=True)
class Statistics:
    """What is measured of the weights.

    Attributes
    ----------
    powers : float64 array
        Mean square of each block.
    entropy : float
        Of a value in units of its block's root mean square, in bits.
    """

    powers: NDArray[np.float64]
    entropy: float

    @property
    def shape(self) -> float:
        """Error at no bits over that of a Gaussian source of the same variance, 1 at most."""
        return min(2 ** (2 * self.entropy) / GAUSSIAN, 1.0)


def bound_of(weights: Weights) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """The bound of all weights of linear layers; None where they are too few, or all zero."""
    found = measured(weights)
    return bound(found) if found.powers.any() else None


def measured(weights: Weights, depth: int = DEPTH) -> Statistics:
    """The statistics of all weights of linear layers, in blocks of `depth` along the reduction."""
    blocks = []
    for name in weights.names:
        matrix = np.asarray(weights.graph.constant(name), np.float64)
        whole = matrix.shape[1] // depth * depth
        if whole:
            blocks.append(matrix[:, :whole].reshape(-1, depth))
    return statistics(np.concatenate(blocks) if blocks else np.zeros((1, depth)))


def statistics(blocks: NDArray[np.float64]) -> Statistics:
    """The statistics of blocks, a row each."""
    powers = np.square(blocks).mean(axis=1)
    kept = powers > 0
    values = (blocks[kept] / np.sqrt(powers[kept])[:, None]).ravel()
    if not values.size:
        return Statistics(powers, 0.0)
    counts = np.unique(np.floor(values / BIN), return_counts=True)[1]
    shares = counts / values.size
    return Statistics(powers, float(-(shares * np.log2(shares)).sum() + math.log2(BIN)))


def bound(statistics: Statistics) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The best signal to error that there could be, over bits.

    Returns
    -------
    bits : float64 array
        Of a value on average, rising.
    sqnr_db : float64 array
        Signal over error of all values together, in dB.
    """
    powers = np.sort(statistics.powers[statistics.powers > 0]) * statistics.shape
    # of the blocks above a water level: their number, and the sum of their logarithms; below it, their powers
    logs, below = np.cumsum(np.log2(powers)[::-1])[::-1], np.concatenate([[0.0], np.cumsum(powers)])
    levels = powers.max() * np.geomspace(1, 2.0**-40, STEPS)
    first = np.searchsorted(powers, levels, side="right")
    above = len(powers) - first
    total = np.where(above > 0, logs[np.minimum(first, len(powers) - 1)], 0.0)
    bits = 0.5 * (total - above * np.log2(levels)) / len(statistics.powers)
    error = (below[first] + above * levels) / len(statistics.powers)
    return bits, 10 * np.log10(statistics.powers.mean() / error)
