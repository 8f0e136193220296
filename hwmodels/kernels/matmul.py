"""The MATMUL kernel: `units.mac_array` over whole operands.

The inner loop runs over the columns of one weight panel, so that a compiler turns it into vector
instructions. Products of a segment are summed in 32 bits: exact up to a depth of 2**17.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwmodels.kernels.jit import kernel
from hwmodels.units.accumulator import add, overflows
from hwmodels.units.aligner import align, bound, distance, is_flushed
from hwmodels.units.ops import ZERO_BLOCK, largest, smallest

PANEL = 64
"""Columns of a weight panel."""

Codes = NDArray[np.int16]
Index = NDArray[np.int64]
Part = NDArray[np.int32]


@kernel
def sums_of_four(
    a: Codes,
    row: int,
    column: int,
    panel: Codes,
    first: int,
    last: int,
    p0: Part,
    p1: Part,
    p2: Part,
    p3: Part,
) -> None:
    """Products of four rows with one panel over the reduction from `first` to `last`."""
    for j in range(PANEL):
        p0[j] = 0
        p1[j] = 0
        p2[j] = 0
        p3[j] = 0
    for k in range(first, last):
        x0, x1 = np.int32(a[row, column + k]), np.int32(a[row + 1, column + k])
        x2, x3 = np.int32(a[row + 2, column + k]), np.int32(a[row + 3, column + k])
        for j in range(PANEL):
            w = np.int32(panel[k, j])
            p0[j] += x0 * w
            p1[j] += x1 * w
            p2[j] += x2 * w
            p3[j] += x3 * w


@kernel
def sums_of_one(a: Codes, row: int, column: int, panel: Codes, first: int, last: int, part: Part) -> None:
    """Products of one row with one panel over the reduction from `first` to `last`."""
    for j in range(PANEL):
        part[j] = 0
    for k in range(first, last):
        x = np.int32(a[row, column + k])
        for j in range(PANEL):
            part[j] += x * np.int32(panel[k, j])


@kernel
def same_exponents(a_exponents: Codes, row_top: Codes, i: int, k: int) -> bool:
    """Whether two rows have the same exponent in every segment."""
    differ = row_top[i] != row_top[k]
    for s in range(a_exponents.shape[1]):
        differ = differ or a_exponents[i, s] != a_exponents[k, s]
    return not differ


@kernel
def matmul_panel(
    a: Codes,
    a_row: int,
    a_column: int,
    a_exponents: Codes,
    row_top: Codes,
    panel: Codes,
    w_exponents: Codes,
    column_top: Codes,
    floor: Index,
    bias: Codes,
    bias_exponents: Codes,
    segments: Index,
    last_of_fold: NDArray[np.bool_],
    sums: Index,
    exponents: NDArray[np.int16],
    o_row: int,
    o_column: int,
    width: int,
    guard_bits: int,
    max_shift: int,
    rounding: int,
    bits: int,
    saturating: bool,
    counts: Index,
) -> None:
    """Multiply rows of `a` with one panel; `counts` are the flushed terms and the overflows."""
    lost_bias = 0
    rows, depth = a_exponents.shape
    part = (
        np.empty(PANEL, np.int32),
        np.empty(PANEL, np.int32),
        np.empty(PANEL, np.int32),
        np.empty(PANEL, np.int32),
    )
    fold = np.empty((4, PANEL), np.int64)
    acc = np.empty((4, PANEL), np.int64)
    top = np.empty(PANEL, np.int64)
    start = np.empty(PANEL, np.int64)
    shifts = np.empty((depth, PANEL), np.int64)
    only_left = np.empty(depth, np.bool_)
    i = 0
    while i < rows:
        # the rows of a block share their exponents, and so their shifts: up to four are taken at a time
        taken = 1
        while taken < 4 and i + taken < rows and same_exponents(a_exponents, row_top, i, i + taken):
            taken += 1
        taken = 4 if taken == 4 else 1
        if i == 0 or not same_exponents(a_exponents, row_top, i - 1, i):
            lost_bias = 0
            for j in range(PANEL):
                top[j] = bound(row_top[i], column_top[j], floor[j], ZERO_BLOCK)
                shift = distance(top[j], bias_exponents[j], guard_bits)
                start[j] = align(bias[j], shift, max_shift, rounding)
                lost_bias += is_flushed(bias[j], shift, max_shift)
            for s in range(depth):
                lowest, highest = max_shift, 0
                for j in range(PANEL):
                    shift = distance(top[j], a_exponents[i, s] + w_exponents[s, j], guard_bits)
                    shifts[s, j] = shift
                    lowest, highest = smallest(lowest, shift), largest(highest, shift)
                only_left[s] = lowest >= 0 and highest <= max_shift
        counts[0] += taken * lost_bias
        for r in range(taken):
            for j in range(PANEL):
                acc[r, j] = start[j]
                fold[r, j] = 0
        for s in range(depth):
            first, last = segments[s], segments[s + 1]
            if taken == 4:
                sums_of_four(a, a_row + i, a_column, panel, first, last, part[0], part[1], part[2], part[3])
            else:
                sums_of_one(a, a_row + i, a_column, panel, first, last, part[0])
            for r in range(taken):
                own, total = part[r], fold[r]
                if only_left[s]:  # align() is then a plain left shift, and flushes nothing
                    for j in range(PANEL):
                        total[j] += np.int64(own[j]) << shifts[s, j]
                else:
                    flushed = 0
                    for j in range(PANEL):
                        total[j] += align(own[j], shifts[s, j], max_shift, rounding)
                        flushed += is_flushed(own[j], shifts[s, j], max_shift)
                    counts[0] += flushed
                if last_of_fold[s]:
                    over = 0
                    word = acc[r]
                    for j in range(PANEL):
                        over += overflows(word[j], total[j], bits)
                        word[j] = add(word[j], total[j], bits, saturating)
                        total[j] = 0
                    counts[1] += over
        for r in range(taken):
            out = sums[o_row + i + r, o_column : o_column + width]
            out_exponents = exponents[o_row + i + r, o_column : o_column + width]
            for j in range(width):
                out[j] = acc[r, j]
                out_exponents[j] = top[j] - guard_bits
        i += taken


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
    a: Codes,
    a_shared: Codes,
    a_rows: Index,
    a_blocks: Index,
    panels: Codes,
    edges: Index,
    w_exponents: Codes,
    column_top: Codes,
    floor: Index,
    bias: Codes,
    bias_exponents: Codes,
    segments: Index,
    last_of_fold: NDArray[np.bool_],
    sums: Index,
    exponents: NDArray[np.int16],
    guard_bits: int,
    max_shift: int,
    rounding: int,
    bits: int,
    saturating: bool,
    counts: Index,
) -> None:
    """A times weights that lie in panels, (tiles, K, PANEL); `edges` are the tiles' first columns and N."""
    m = sums.shape[0]
    a_exponents = np.empty((m, a_blocks.shape[0]), np.int16)
    row_top = np.empty(m, np.int16)
    spread_exponents(a_shared, a_rows, a_blocks, False, a_exponents, row_top)
    for t in range(panels.shape[0]):
        first = edges[t]
        matmul_panel(
            a, 0, 0, a_exponents, row_top,
            panels[t], w_exponents[t], column_top[t], floor[t], bias[t], bias_exponents[t],
            segments, last_of_fold, sums, exponents, 0, first, edges[t + 1] - first,
            guard_bits, max_shift, rounding, bits, saturating, counts,
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
    last_of_fold: NDArray[np.bool_],
    sums: Index,
    exponents: NDArray[np.int16],
    o_places: Index,
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
                    a, q * a_height + a_places[g, 0], a_places[g, 1], a_exponents, row_top,
                    panel, w_exponents, column_top, floor, no_bias, no_exponents,
                    segments, last_of_fold, sums, exponents,
                    q * o_height + o_places[g, 0], o_places[g, 1] + first, width,
                    guard_bits, max_shift, rounding, bits, saturating, counts,
                )  # fmt: skip
