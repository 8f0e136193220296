"""One weight panel of the MATMUL kernel: `units.mac_array` over rows that lie anywhere in `a`.

The inner loop runs over the columns of one weight panel, so that a compiler turns it into vector
instructions. Products of a segment are summed in 32 bits: exact up to a depth of 2**17. Under `BOUND`
rows that share their exponents go four at a time (`panel_bound`); under `EXACT` and `RUNNING` every
output has an E of its own and rows go one by one (`panel_each`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwmodels.kernels.jit import kernel
from hwmodels.units.accumulator import add, overflows
from hwmodels.units.aligner import BOUND, EXACT, RUNNING, align, bound, distance, is_flushed
from hwmodels.units.ops import ZERO_BLOCK, largest, smallest
from hwmodels.units.prescan import join

PANEL = 64
"""Columns of a weight panel."""

Codes = NDArray[np.int16]
Index = NDArray[np.int64]
Part = NDArray[np.int32]
Flags = NDArray[np.bool_]


@kernel
def sums_of_four(
    a: Codes,
    rows: Index,
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
    a0, a1, a2, a3 = a[rows[0]], a[rows[1]], a[rows[2]], a[rows[3]]
    for j in range(PANEL):
        p0[j] = 0
        p1[j] = 0
        p2[j] = 0
        p3[j] = 0
    for k in range(first, last):
        x0, x1 = np.int32(a0[column + k]), np.int32(a1[column + k])
        x2, x3 = np.int32(a2[column + k]), np.int32(a3[column + k])
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
def panel_bound(
    a: Codes,
    places: Index,
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
    update: Flags,
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
    """Multiply the rows of `a` at `places` with one panel under `BOUND`."""
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
                sums_of_four(
                    a, places[i : i + 4], a_column, panel, first, last, part[0], part[1], part[2], part[3]
                )
            else:
                sums_of_one(a, places[i], a_column, panel, first, last, part[0])
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
                if update[s]:
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
def panel_each(
    a: Codes,
    places: Index,
    a_column: int,
    a_exponents: Codes,
    panel: Codes,
    w_exponents: Codes,
    floor: Index,
    bias: Codes,
    bias_exponents: Codes,
    segments: Index,
    update: Flags,
    sums: Index,
    exponents: NDArray[np.int16],
    o_row: int,
    o_column: int,
    width: int,
    normalise: int,
    guard_bits: int,
    max_shift: int,
    rounding: int,
    bits: int,
    saturating: bool,
    counts: Index,
) -> None:
    """Multiply the rows of `a` at `places` with one panel under `EXACT` or `RUNNING`."""
    rows, depth = a_exponents.shape
    part = np.empty(PANEL, np.int32)
    total, acc, top = np.empty(PANEL, np.int64), np.empty(PANEL, np.int64), np.empty(PANEL, np.int64)
    for i in range(rows):
        top[:] = floor
        if normalise == EXACT:
            for s in range(depth):
                for j in range(PANEL):
                    top[j] = join(top[j], a_exponents[i, s], w_exponents[s, j], ZERO_BLOCK)
        for j in range(PANEL):
            shift = distance(top[j], bias_exponents[j], guard_bits)
            acc[j], total[j] = align(bias[j], shift, max_shift, rounding), 0
            counts[0] += is_flushed(bias[j], shift, max_shift)
        for s in range(depth):
            sums_of_one(a, places[i], a_column, panel, segments[s], segments[s + 1], part)
            ea = a_exponents[i, s]
            flushed, over = 0, 0
            for j in range(PANEL):
                if normalise == RUNNING:
                    higher = join(top[j], ea, w_exponents[s, j], ZERO_BLOCK)
                    flushed += is_flushed(acc[j], top[j] - higher, max_shift)
                    acc[j] = align(acc[j], top[j] - higher, max_shift, rounding)
                    top[j] = higher
                shift = distance(top[j], ea + w_exponents[s, j], guard_bits)
                total[j] += align(part[j], shift, max_shift, rounding)
                flushed += is_flushed(part[j], shift, max_shift)
                if update[s]:
                    over += overflows(acc[j], total[j], bits)
                    acc[j] = add(acc[j], total[j], bits, saturating)
                    total[j] = 0
            counts[0] += flushed
            counts[1] += over
        for j in range(width):
            sums[o_row + i, o_column + j] = acc[j]
            exponents[o_row + i, o_column + j] = top[j] - guard_bits


@kernel
def matmul_panel(
    a: Codes,
    places: Index,
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
    update: Flags,
    sums: Index,
    exponents: NDArray[np.int16],
    o_row: int,
    o_column: int,
    width: int,
    normalise: int,
    guard_bits: int,
    max_shift: int,
    rounding: int,
    bits: int,
    saturating: bool,
    counts: Index,
) -> None:
    """Multiply the rows of `a` at `places` with one panel; `counts` are flushed terms and overflows."""
    if normalise == BOUND:
        panel_bound(
            a, places, a_column, a_exponents, row_top, panel, w_exponents, column_top,
            floor, bias, bias_exponents, segments, update, sums, exponents, o_row, o_column, width,
            guard_bits, max_shift, rounding, bits, saturating, counts,
        )  # fmt: skip
    else:
        panel_each(
            a, places, a_column, a_exponents, panel, w_exponents,
            floor, bias, bias_exponents, segments, update, sums, exponents, o_row, o_column, width,
            normalise, guard_bits, max_shift, rounding, bits, saturating, counts,
        )  # fmt: skip
