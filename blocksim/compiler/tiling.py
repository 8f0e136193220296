"""Tiling: how an operator's output is cut into instructions, and where its wide sums wait.

A tile is *direct* when it holds whole blocks: the requantizer then finds all sums of a block in the
accumulators or the vector buffer. Where a block outgrows the tile, sums are *spilled* to SRAM.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from blocksim.trace.manifest import Index, TensorSpec
from hwmodels.machines import Machine

PIPELINE_ROWS = 16
"""Vector units work on bands of at least so many rows: short enough that units overlap."""


@dataclass(frozen=True)
class Tiling:
    """Bands of rows and tiles of columns of one group of an operator's output.

    Attributes
    ----------
    bands, tiles : tuple of (int, int)
        First and last row of each band; first and last column of each tile.
    spill : bool
        Whether wide sums go to SRAM until the whole group is done.
    """

    bands: tuple[tuple[int, int], ...]
    tiles: tuple[tuple[int, int], ...]
    spill: bool


def _cut(length: int, starts: Index, at_most: int, at_least: int = 1) -> tuple[tuple[int, int], ...] | None:
    """Stretches of whole blocks, each of `at_least` elements where `at_most` allows; None if none fits."""
    edges = [int(s) for s in starts if s < length] + [length]
    out, first = [], 0
    for i in range(1, len(edges)):
        if edges[i] - edges[i - 1] > at_most:
            return None
        full = i + 1 < len(edges) and edges[i + 1] - first > at_most
        if i + 1 == len(edges) or full or edges[i] - first >= at_least:
            out.append((first, edges[i]))
            first = edges[i]
    return tuple(out)


def _even(length: int, size: int) -> tuple[tuple[int, int], ...]:
    return tuple((i, min(i + size, length)) for i in range(0, length, size))


def tile_matmul(machine: Machine, out: TensorSpec, m: int, n: int) -> Tiling:
    """Tiles of a product's group: as many columns as the array, M cut only by accumulator rows."""
    rows, columns = machine.accumulator.rows, machine.array.columns
    bands = _cut(m, _local(out.row_starts, m), rows, rows)
    tiles = _cut(n, _local(out.column_starts, n), columns, columns)
    if bands is None or tiles is None:
        return Tiling(_even(m, rows), _even(n, columns), True)
    return Tiling(bands, tiles, False)


def tile_vector(machine: Machine, out: TensorSpec, wide_bytes: int) -> Tiling:
    """Bands of a vector operator: whole rows, as many as half of the vector buffer holds."""
    fit = machine.vector.buffer_kib * 1024 // 2 // (out.columns * wide_bytes)
    bands = _cut(out.rows, out.row_starts, fit, PIPELINE_ROWS) if fit else None
    tiles = ((0, out.columns),)
    if bands is None:
        return Tiling(_even(out.rows, PIPELINE_ROWS), tiles, True)
    return Tiling(bands, tiles, False)


def _local(starts: Index, length: int) -> Index:
    """Block starts of the first group."""
    return np.asarray(starts[starts < length])
