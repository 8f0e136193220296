"""Operands of MATMUL as the microkernel reads them: tiles of rows and panels of columns.

Four steps of the reduction lie together. Each segment starts a packed step of its own, and is filled up
with zeros, which add nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwmodels.kernels.instructions import address
from hwmodels.kernels.jit import kernel
from hwmodels.kernels.microkernel import pack_step
from hwmodels.kernels.target import OFFSET, PANEL, STEP, TILE

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
    for t in range((places.shape[0] + TILE - 1) // TILE):
        for r in range(TILE):
            i = t * TILE + r
            if i >= places.shape[0]:
                out[t, :, r] = OFFSET
                continue
            row = address(a) + places[i] * a.shape[1] + column
            to = address(out) + (t * out.shape[1] * TILE + r) * size
            for s in range(first.shape[0] - 1):
                length = segments[s + 1] - segments[s]
                for k in range(length // STEP):
                    pack_step(to + (first[s] + k) * TILE * size, row + segments[s] + k * STEP)
                if length % STEP:
                    k = length // STEP
                    for q in range(STEP):
                        x = segments[s] + k * STEP + q
                        code = a[places[i], column + x] if x < segments[s + 1] else 0
                        out[t, first[s] + k, r, q] = code + OFFSET


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
) -> None:
    """`width` columns of a panel, and what takes off `OFFSET` for each segment.

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
            offset[s, j] = 0
        if OFFSET:
            for k in range(first[s], first[s + 1]):
                for j in range(PANEL):
                    for q in range(STEP):
                        offset[s, j] -= OFFSET * np.int32(out[k, j, q])


@kernel
def pack_lines(lines: Codes, segments: Index) -> tuple[NDArray[np.int8], NDArray[np.int32]]:
    """Weights by lines, (N, K), as panels (panels, steps, PANEL, STEP) with their offsets."""
    n = lines.shape[0]
    first = packed_steps(segments)
    panels = (n + PANEL - 1) // PANEL
    out = np.zeros((panels, first[-1], PANEL, STEP), np.int8)
    offsets = np.zeros((panels, segments.shape[0] - 1, PANEL), np.int32)
    for t in range(panels):
        width = min(PANEL, n - t * PANEL)
        pack_panel(lines, t * PANEL, 0, width, False, segments, first, out[t], offsets[t])
    return out, offsets
