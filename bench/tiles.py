"""Tiles for the RTL simulators and the kernel: one output tile of a product on a small array.

The array is that of `bct64` with fewer elements; the operands lie in blocks of 64 along the reduction, drawn
from a seed, so that two processes make the same ones.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hwmodels.machines import load
from hwmodels.units import array_cycles
from hwmodels.units.built_array import BuiltArray
from hwmodels.units.mac_array import MatmulOperands

SIZES = (8, 16)
"""Rows and columns of the arrays."""

ROWS, DEPTH, BLOCK = 128, 256, 64
"""Moving rows of a tile, its whole reduction, and the block along that."""

SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class Tile:
    """One output tile on an array of ``size x size``.

    >>> Tile(8, 0).macs
    262144
    """

    size: int
    seed: int

    @property
    def macs(self) -> int:
        """Multiply-accumulates."""
        return ROWS * DEPTH * self.size

    @property
    def name(self) -> str:
        """M x K x N."""
        return f"{ROWS} x {DEPTH} x {self.size}"


def built(size: int) -> BuiltArray:
    """The array that a tile is for."""
    return BuiltArray(replace(load("bct64").array_config, rows=size, columns=size))


def operands(tile: Tile) -> MatmulOperands:
    """Codes and exponents of a tile, without a bias."""
    rng, config = np.random.default_rng(tile.seed), built(tile.size).array
    segments = array_cycles.segment_starts(config, tile.size, DEPTH, range(0, DEPTH, BLOCK))
    whole = np.searchsorted(range(0, DEPTH, BLOCK), segments, side="right") - 1  # the block of each segment

    def lines(count: int) -> tuple[list[list[int]], list[list[int]]]:
        exponents = rng.integers(-12, -4, (count, DEPTH // BLOCK))
        return rng.integers(-127, 128, (count, DEPTH)).tolist(), exponents[:, whole].tolist()

    (a, a_exponents), (w, w_exponents) = lines(ROWS), lines(tile.size)
    update = array_cycles.updates(config, tile.size, DEPTH, segments)
    return MatmulOperands(a, a_exponents, w, w_exponents, None, None, segments, update)
