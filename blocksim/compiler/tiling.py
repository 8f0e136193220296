"""Tiling: how an operator's output is cut into instructions, and whether its wide sums must wait.

A tile is *direct* when it holds whole blocks: the requantizer then finds all sums of a block in the
accumulators or the vector buffer. Where a block outgrows the tile, sums are *spilled* to memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from blocksim.trace.manifest import Index, TensorSpec
from hwmodels.machines import Machine
from hwmodels.units import array_cycles

PIPELINE_ROWS = 16
"""Vector units work on bands of at least so many rows: short enough that units overlap."""

Spans = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Tiling:
    """Bands of rows and tiles of columns of one group of an operator's output.

    Attributes
    ----------
    bands, tiles : tuple of (int, int)
        First and last row of each band; first and last column of each tile.
    spill : bool
        Whether wide sums go to memory until all of a block's are there.
    """

    bands: Spans
    tiles: Spans
    spill: bool


def _cut(length: int, starts: Index, at_most: int, at_least: int = 1) -> Spans | None:
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


def _even(length: int, size: int) -> Spans:
    return tuple((i, min(i + size, length)) for i in range(0, length, size))


def _common(starts: Sequence[Index], length: int) -> Index:
    """Where an output may be cut within its first group: at the starts of every form's blocks.

    Forms with static exponents are not among `starts`: nothing of a block has to be waited for.
    """
    return np.asarray(reduce(np.intersect1d, starts, np.arange(length)))


def limits(machine: Machine, a_bits: int, w_bits: int) -> tuple[int, int]:
    """The largest output tile, rows and columns, of the machine's dataflow."""
    rows, columns = array_cycles.effective(machine.array_config, a_bits, w_bits)
    held = machine.accumulator.rows
    return {"ws": (held, columns), "os": (rows, columns), "is": (columns, held)}[machine.array.dataflow]


def tile_matmul(
    machine: Machine,
    stored: Sequence[TensorSpec],
    m: int,
    n: int,
    widths: tuple[int, int],
    at_most: int | None = None,
) -> Tiling:
    """Tiles of a product's group.

    Parameters
    ----------
    machine : Machine
    stored : sequence of TensorSpec
        The forms in which the output is stored.
    m, n : int
        Its rows and columns.
    widths : (int, int)
        Bits of the two operands.
    at_most : int, optional
        Rows of a band, where memory asks for fewer than the dataflow.
    """
    rows, columns = limits(machine, *widths)
    rows = min(rows, at_most or rows)
    searched = [s for s in stored if s.static is None]
    bands = _cut(m, _common([s.row_starts for s in searched], m), rows, rows)
    tiles = _cut(n, _common([s.column_starts for s in searched], n), columns, columns)
    if bands is None or tiles is None:
        return Tiling(_even(m, rows), tiles or _even(n, columns), True)
    return Tiling(bands, tiles, False)


def tile_rows(out: TensorSpec, at_most: int | None = None) -> Tiling:
    """Bands of a table's rows that are copied: no sums wait anywhere."""
    return Tiling(_even(out.rows, min(PIPELINE_ROWS, at_most or PIPELINE_ROWS)), ((0, out.columns),), False)


def tile_elements(
    machine: Machine, stored: Sequence[TensorSpec], wide_bytes: int, at_most: int | None = None
) -> Tiling:
    """Tiles of an operator that works element by element: whole blocks that half of the vector buffer holds.

    As many columns as fit a band of `PIPELINE_ROWS` rows, or of the tallest block; where that is less
    than a block, the operator is tiled as any other of the vector kind.
    """
    out, rows = tile_vector(machine, stored, wide_bytes, at_most), stored[0].rows
    if not out.spill:
        return out
    searched = [s for s in stored if s.static is None]
    bands = _cut(rows, _common([s.row_starts for s in searched], rows), at_most or rows, PIPELINE_ROWS)
    if bands is None:
        return out
    held = machine.vector.buffer_kib * 1024 // 2 // wide_bytes // max(r1 - r0 for r0, r1 in bands)
    columns = stored[0].columns
    tiles = _cut(columns, _common([s.column_starts for s in searched], columns), held, held) if held else None
    return out if tiles is None else Tiling(bands, tiles, False)


def tile_vector(
    machine: Machine, stored: Sequence[TensorSpec], wide_bytes: int, at_most: int | None = None
) -> Tiling:
    """Bands of a vector operator: whole rows, as many as half of the vector buffer holds."""
    out = stored[0]
    fit = machine.vector.buffer_kib * 1024 // 2 // (out.columns * wide_bytes)
    fit = min(fit, at_most or fit)
    starts = _common([s.row_starts for s in stored if s.static is None], out.rows)
    bands = _cut(out.rows, starts, fit, PIPELINE_ROWS) if fit else None
    tiles = ((0, out.columns),)
    if bands is None:
        return Tiling(_even(out.rows, min(PIPELINE_ROWS, max(1, fit))), tiles, True)
    return Tiling(bands, tiles, False)
