"""The MATMUL kernel: `units.mac_array` over whole operands, panel by panel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwmodels.kernels.jit import kernel
from hwmodels.kernels.panel import PANEL, Codes, Flags, Index, matmul_panel
from hwmodels.units.ops import ZERO_BLOCK, largest

__all__ = ["PANEL", "matmul_dynamic", "matmul_static"]


@kernel
def spread_exponents(
    shared: Codes, rows: Index, blocks: Index, transposed: bool, out: Codes, top: Codes
) -> None:
    """One exponent per line and segment, and each line's largest.

    `rows` is the block of each line and `blocks` the block of each segment; `transposed` says that the
    segments run along the rows of `shared`.
    """
    for i in range(out.shape[0]):
        highest = ZERO_BLOCK
        for s in range(out.shape[1]):
            e = shared[blocks[s], rows[i]] if transposed else shared[rows[i], blocks[s]]
            out[i, s] = e
            highest = largest(highest, e)
        top[i] = highest


@kernel
def matmul_static(
    samples: int,
    a: Codes,
    a_shared: Codes,
    a_rows: Index,
    a_blocks: Index,
    panels: Codes,
    w_exponents: Codes,
    column_top: Codes,
    floor: Index,
    bias: Codes,
    bias_exponents: Codes,
    segments: Index,
    update: Flags,
    sums: Index,
    exponents: NDArray[np.int16],
    n: int,
    normalise: int,
    guard_bits: int,
    max_shift: int,
    rounding: int,
    bits: int,
    saturating: bool,
    counts: Index,
) -> None:
    """A times weights of `n` columns that lie in panels, (ceil(n / PANEL), K, PANEL).

    Samples lie below each other, in `a` and in the sums; of each sample of `a` the first rows are read,
    as many as the sums have. `a_rows` is the block of every row of `a`.
    """
    m, height = sums.shape[0] // samples, a.shape[0] // samples
    places = np.empty(samples * m, np.int64)
    for i in range(places.shape[0]):
        places[i] = i // m * height + i % m
    a_exponents = np.empty((places.shape[0], a_blocks.shape[0]), np.int16)
    row_top = np.empty(places.shape[0], np.int16)
    spread_exponents(a_shared, a_rows[places], a_blocks, False, a_exponents, row_top)
    for t in range(panels.shape[0]):
        first = t * PANEL
        matmul_panel(
            a, places, 0, a_exponents, row_top,
            panels[t], w_exponents[t], column_top[t], floor[t], bias[t], bias_exponents[t],
            segments, update, sums, exponents, 0, first, min(PANEL, n - first),
            normalise, guard_bits, max_shift, rounding, bits, saturating, counts,
        )  # fmt: skip


@kernel
def matmul_dynamic(
    samples: int,
    k: int,
    a: Codes,
    a_shared: Codes,
    a_rows: Index,
    a_blocks: Index,
    a_places: Index,
    b: Codes,
    b_shared: Codes,
    b_lines: Index,
    b_blocks: Index,
    b_places: Index,
    transposed: bool,
    floor: Index,
    segments: Index,
    update: Flags,
    sums: Index,
    exponents: NDArray[np.int16],
    o_places: Index,
    normalise: int,
    guard_bits: int,
    max_shift: int,
    rounding: int,
    bits: int,
    saturating: bool,
    counts: Index,
) -> None:
    """Groups of A times B, both activations, for every sample; samples lie below each other.

    Per group: `a_rows` and `b_lines` are the block of each row and line, `a_blocks` and `b_blocks` that
    of each segment, and the places its first row and column in a, b and the sums.
    """
    groups, m = a_rows.shape
    n, depth = b_lines.shape[1], a_blocks.shape[1]
    a_exponents, row_top = np.empty((m, depth), np.int16), np.empty(m, np.int16)
    b_exponents, line_top = np.empty((n, depth), np.int16), np.empty(n, np.int16)
    panel = np.zeros((k, PANEL), np.int16)
    w_exponents, column_top = np.empty((depth, PANEL), np.int16), np.empty(PANEL, np.int16)
    rows = np.arange(m)
    no_bias = np.zeros(PANEL, np.int16)
    no_exponents = np.full(PANEL, ZERO_BLOCK, np.int16)
    a_height, b_height = a.shape[0] // samples, b.shape[0] // samples
    a_tall, b_tall = a_shared.shape[0] // samples, b_shared.shape[0] // samples
    o_height = sums.shape[0] // samples
    for q in range(samples):
        own_a = a_shared[q * a_tall : (q + 1) * a_tall]
        own_b = b_shared[q * b_tall : (q + 1) * b_tall]
        for g in range(groups):
            spread_exponents(own_a, a_rows[g], a_blocks[g], False, a_exponents, row_top)
            spread_exponents(own_b, b_lines[g], b_blocks[g], transposed, b_exponents, line_top)
            top_row, left = q * b_height + b_places[g, 0], b_places[g, 1]
            for first in range(0, n, PANEL):
                width = min(PANEL, n - first)
                for j in range(PANEL):
                    inside = j < width
                    column_top[j] = line_top[first + j] if inside else ZERO_BLOCK
                    for s in range(depth):
                        w_exponents[s, j] = b_exponents[first + j, s] if inside else ZERO_BLOCK
                panel[:, width:] = 0  # columns of an earlier panel must not count as flushed
                for j in range(width):
                    for x in range(k):
                        if transposed:
                            panel[x, j] = b[top_row + x, left + first + j]
                        else:
                            panel[x, j] = b[top_row + first + j, left + x]
                matmul_panel(
                    a, q * a_height + a_places[g, 0] + rows, a_places[g, 1], a_exponents, row_top,
                    panel, w_exponents, column_top, floor, no_bias, no_exponents,
                    segments, update, sums, exponents,
                    q * o_height + o_places[g, 0], o_places[g, 1] + first, width,
                    normalise, guard_bits, max_shift, rounding, bits, saturating, counts,
                )  # fmt: skip
