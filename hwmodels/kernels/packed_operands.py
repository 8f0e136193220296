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
from hwmodels.kernels.microkernel import BLOCK, pack_block, pack_step
from hwmodels.kernels.target import OFFSET, PANEL, STEP, TILE
from hwmodels.units.ops import magnitude

LARGEST = 1 << 7
"""The largest magnitude of a code of A."""

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
                sources[r] = address(a) + places[i] * a.shape[1] + column
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
    b: Codes,
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
    the other way round where `b` is `transposed`.
    """
    for s in range(first.shape[0] - 1):
        out[first[s + 1] - 1] = 0  # the last step may be short
        for k in range(segments[s], segments[s + 1]):
            step, q = first[s] + (k - segments[s]) // STEP, (k - segments[s]) % STEP
            if transposed:
                for j in range(width):
                    out[step, j, q] = b[top + k, left + j]
            else:
                for j in range(width):
                    out[step, j, q] = b[top + j, left + k]
        for j in range(PANEL):
            offset[s, j] = limit[s, j] = 0
        for k in range(first[s], first[s + 1]):
            for j in range(PANEL):
                for q in range(STEP):
                    code: Any = np.int32(out[k, j, q])
                    offset[s, j] -= OFFSET * code
                    limit[s, j] += LARGEST * magnitude(code)


@kernel
def pack_lines(
    lines: Codes, segments: Index
) -> tuple[NDArray[np.int8], NDArray[np.int32], NDArray[np.int32]]:
    """Weights by lines, (N, K), as panels (panels, steps, PANEL, STEP) with their offsets and limits."""
    n = lines.shape[0]
    first = packed_steps(segments)
    panels = (n + PANEL - 1) // PANEL
    out = np.zeros((panels, first[-1], PANEL, STEP), np.int8)
    offsets = np.zeros((panels, segments.shape[0] - 1, PANEL), np.int32)
    limits = np.zeros_like(offsets)
    for t in range(panels):
        width = min(PANEL, n - t * PANEL)
        pack_panel(lines, t * PANEL, 0, width, False, segments, first, out[t], offsets[t], limits[t])
    return out, offsets, limits
