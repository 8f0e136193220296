"""Operands of MATMUL as the microkernel reads them: tiles of rows and panels of columns.

`STEP` steps of the reduction lie together. Each segment starts a packed step of its own, and is filled up
with zeros, which add nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwmodels.kernels.instructions import address
from hwmodels.kernels.jit import kernel
from hwmodels.kernels.packing import BLOCK, column_sums, lay_block, lay_step, pack_block, pack_step
from hwmodels.kernels.target import OFFSET, PANEL, ROW_BYTES, STEP, TILE

Codes = NDArray[Any]
Index = NDArray[np.int64]


@kernel
def packed_steps(segments: Index) -> Index:
    """The first packed step of every segment, and their number; `segments` are the edges along K."""
    first = np.zeros(segments.shape[0], np.int64)
    for s in range(segments.shape[0] - 1):
        first[s + 1] = first[s] + (segments[s + 1] - segments[s] + STEP - 1) // STEP
    return first


@kernel
def line_of(codes: NDArray[np.int8], i: int, j: int) -> int:
    """Where row `i` lies from column `j` on."""
    start: int = address(codes) + i * codes.shape[1] + j
    return start


@kernel
def pack_rows(
    a: NDArray[np.int8], places: Index, column: int, segments: Index, first: Index, out: Codes
) -> None:
    """Rows of `a` at `places`, from one column on, as tiles; missing rows are zeros."""
    size = STEP * out.itemsize
    nothing, sources = np.zeros(segments[-1], np.int8), np.empty(TILE, np.int64)
    for t in range((places.shape[0] + TILE - 1) // TILE):
        for r in range(TILE):
            i = t * TILE + r
            sources[r] = address(nothing)
            if i < places.shape[0]:
                sources[r] = line_of(a, places[i], column)
        for s in range(first.shape[0] - 1):
            to = address(out) + (t * out.shape[1] + first[s]) * TILE * size
            k = segments[s]
            while k + BLOCK <= segments[s + 1]:
                pack_block(to, address(sources), k)
                to += BLOCK // STEP * TILE * size
                k += BLOCK
            while k + STEP <= segments[s + 1]:
                for r in range(TILE):
                    pack_step(to + r * size, sources[r] + k)
                to += TILE * size
                k += STEP
            if k < segments[s + 1]:
                for r in range(TILE):
                    i = t * TILE + r
                    for q in range(STEP):
                        inside = i < places.shape[0] and k + q < segments[s + 1]
                        code = a[places[i], column + k + q] if inside else 0
                        out[t, first[s + 1] - 1, r, q] = code + OFFSET


@kernel
def pack_panel(
    b: NDArray[np.int8],
    top: int,
    left: int,
    width: int,
    transposed: bool,
    segments: Index,
    first: Index,
    out: NDArray[np.int8],
    offset: NDArray[np.int32],
    limit: NDArray[np.int32],
) -> None:
    """`width` columns of a panel, and what takes off `OFFSET` and the largest sum for each segment.

    The reduction runs along the columns of `b` from `left` on, and lines along its rows from `top` on; or
    the other way round where `b` is `transposed`. Columns beyond are left as they are.
    """
    nothing, sources = np.zeros(segments[-1], np.int8), np.empty(TILE, np.int64)
    size = PANEL * STEP
    for s in range(first.shape[0] - 1):
        out[first[s + 1] - 1] = 0  # the last step may be short
        to, done = address(out) + first[s] * size, segments[s]
        if transposed and width == PANEL:
            while done + STEP <= segments[s + 1]:
                lay_step(to + (done - segments[s]) * PANEL, line_of(b, top + done, left), b.shape[1])
                done += STEP
        if not transposed:
            done += (segments[s + 1] - done) // BLOCK * BLOCK
            for j in range(0, PANEL if done > segments[s] else 0, TILE):
                for r in range(TILE):
                    inside = j + r < width
                    sources[r] = line_of(b, top + j + r, left) if inside else address(nothing)
                for k in range(segments[s], done, BLOCK):
                    lay_block(to + (k - segments[s]) * PANEL + j * STEP, address(sources), k)
        for k in range(done, segments[s + 1]):
            step, q = first[s] + (k - segments[s]) // STEP, (k - segments[s]) % STEP
            for j in range(width):
                out[step, j, q] = b[top + k, left + j] if transposed else b[top + j, left + k]
        at = s * ROW_BYTES
        column_sums(to, first[s + 1] - first[s], address(offset) + at, address(limit) + at)


@kernel
def pack_lines(
    lines: Codes, segments: Index
) -> tuple[NDArray[np.int8], NDArray[np.int32], NDArray[np.int32]]:
    """Weights by lines, (N, K), as panels (panels, steps, PANEL, STEP) with their offsets and limits."""
    n, codes = lines.shape[0], lines.astype(np.int8)
    first = packed_steps(segments)
    panels = (n + PANEL - 1) // PANEL
    out = np.zeros((panels, first[-1], PANEL, STEP), np.int8)
    offsets = np.zeros((panels, segments.shape[0] - 1, PANEL), np.int32)
    limits = np.zeros_like(offsets)
    for t in range(panels):
        width = min(PANEL, n - t * PANEL)
        pack_panel(codes, t * PANEL, 0, width, False, segments, first, out[t], offsets[t], limits[t])
    return out, offsets, limits
