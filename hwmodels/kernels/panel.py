"""One weight panel of the MATMUL kernel: `units.mac_array` over packed rows.

Under `BOUND` the rows of a block share their exponents, and so their shifts: a tile is multiplied,
aligned and accumulated in registers (`panel_bound`), where no sum leaves 32 bits. Everything else goes
through the units' own functions in 64 bits, from the raw sums on (`panel_each`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwmodels.kernels.alignment import FAR, WATCHED, aligned_run, segment_shifts
from hwmodels.kernels.instructions import address, copy
from hwmodels.kernels.jit import kernel
from hwmodels.kernels.microkernel import Packed, Panel, Part, accumulate, dot, multiply
from hwmodels.kernels.target import PANEL, ROW_BYTES, TILE
from hwmodels.units.accumulator import add, overflows
from hwmodels.units.aligner import BOUND, EXACT, RUNNING, align, bound, distance, is_flushed
from hwmodels.units.ops import ZERO_BLOCK
from hwmodels.units.prescan import join

Codes = NDArray[Any]
Index = NDArray[np.int64]
Flags = NDArray[np.bool_]
Exponents = NDArray[np.int16]


@kernel
def panel_bound(
    a: Packed,
    rows: int,
    first_row: int,
    a_exponents: Exponents,
    row_top: Exponents,
    runs: Index,
    groups: Index,
    panel: Panel,
    first: Index,
    offset: Part,
    limit: Part,
    w_exponents: Exponents,
    column_top: Exponents,
    floor: Index,
    bias: Codes,
    bias_exponents: Exponents,
    update: Flags,
    sums: Codes,
    exponents: Exponents,
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
    """Multiply `rows` packed rows, from row `first_row` on, with one panel under `BOUND`, in 32 bits.

    A tile whose rows are of one run is accumulated in registers. Where that may have overflowed, or a shift
    is too long, or rows differ, it goes segment by segment, and what is lost or overflows is counted.
    """
    depth = w_exponents.shape[0]
    total, words = np.empty((TILE, PANEL), np.int32), np.empty((TILE, PANEL), np.int32)
    top, start = np.empty((TILE, PANEL), np.int32), np.empty((TILE, PANEL), np.int32)
    shifts = np.zeros((depth * TILE, PANEL), np.int32)  # where rows are alike, of the first `depth` only
    modes = np.empty(depth, np.int8)
    lost_bias = np.zeros(TILE, np.int64)
    lost, known = 0, FAR
    run = -1  # whose exponents `shifts`, `known` and `start[0]` are of
    for row in range(0, rows, TILE):
        t, i, taken = row // TILE, first_row + row, min(TILE, rows - row)
        alike = runs[i] == runs[i + taken - 1]
        if not (alike and runs[i] == run):
            for r in range(1 if alike else taken):
                lost_bias[r] = 0
                for j in range(PANEL):
                    top[r, j] = bound(row_top[i + r], column_top[j], floor[j], ZERO_BLOCK)
                    shift = distance(top[r, j], bias_exponents[j], guard_bits)
                    start[r, j] = align(bias[j], shift, max_shift, rounding)
                    lost_bias[r] += is_flushed(bias[j], shift, max_shift)
                if not alike:
                    segment_shifts(a_exponents, i + r, w_exponents, top, guard_bits, shifts, TILE, r)
            run, known = -1, FAR
            if alike:
                run, known = runs[i], aligned_run(
                    a_exponents, i, w_exponents, top, limit, start, guard_bits, max_shift, bits, shifts, modes
                )  # fmt: skip
        for r in range(taken):
            lost += lost_bias[0 if alike else r]
        again = known == FAR or accumulate(
            a, t, panel, first, offset, shifts, modes, start,
            known == WATCHED, max_shift, rounding, bits, words,
        )  # fmt: skip
        if again:
            for r in range(TILE):
                from_row = 0 if alike else min(r, taken - 1)
                copy(address(words) + r * ROW_BYTES, address(start) + from_row * ROW_BYTES, ROW_BYTES)
            is_first = True
            for s in range(depth):
                lost += multiply(
                    a, t, panel, first, s, offset, shifts, total, words,
                    is_first, update[s], alike, max_shift, rounding, bits, saturating,
                )  # fmt: skip
                is_first = update[s]
        for r in range(taken):
            place = (o_row + row + r) * sums.shape[1] + o_column
            if width == PANEL:  # a known size is copied by a few instructions
                copy(address(sums) + 4 * place, address(words) + r * ROW_BYTES, ROW_BYTES)
            else:
                copy(address(sums) + 4 * place, address(words) + r * ROW_BYTES, 4 * width)
            g = groups[i + r]
            if t + r == 0 or g != groups[i + r - 1]:
                under = exponents[g, o_column : o_column + width]
                for j in range(width):
                    under[j] = top[0 if alike else r, j] - guard_bits
    counts[0] += lost & 0xFFFFFFFF
    counts[1] += lost >> 32


@kernel
def begin_tile(
    i: int,
    taken: int,
    a_exponents: Exponents,
    row_top: Exponents,
    w_exponents: Exponents,
    column_top: Exponents,
    floor: Index,
    bias: Codes,
    bias_exponents: Exponents,
    normalise: int,
    guard_bits: int,
    max_shift: int,
    rounding: int,
    top: Index,
    acc: Index,
) -> int:
    """Bounds E of a tile from row `i` on, and its words, which begin with the bias; returns lost terms."""
    lost = 0
    for r in range(taken):
        for j in range(PANEL):
            top[r, j] = floor[j]
            if normalise == BOUND:
                top[r, j] = bound(row_top[i + r], column_top[j], floor[j], ZERO_BLOCK)
            if normalise == EXACT:
                for s in range(w_exponents.shape[0]):
                    top[r, j] = join(top[r, j], a_exponents[i + r, s], w_exponents[s, j], ZERO_BLOCK)
            shift = distance(top[r, j], bias_exponents[j], guard_bits)
            acc[r, j] = align(bias[j], shift, max_shift, rounding)
            lost += is_flushed(bias[j], shift, max_shift)
    return lost


@kernel
def raise_tile(
    i: int,
    taken: int,
    s: int,
    a_exponents: Exponents,
    w_exponents: Exponents,
    max_shift: int,
    rounding: int,
    top: Index,
    acc: Index,
) -> int:
    """Bounds of a tile raised to what segment `s` asks for, and its words with them; returns lost words."""
    lost = 0
    for r in range(taken):
        for j in range(PANEL):
            higher = join(top[r, j], a_exponents[i + r, s], w_exponents[s, j], ZERO_BLOCK)
            lost += is_flushed(acc[r, j], top[r, j] - higher, max_shift)
            acc[r, j] = align(acc[r, j], top[r, j] - higher, max_shift, rounding)
            top[r, j] = higher
    return lost


@kernel
def end_tile(
    i: int,
    taken: int,
    groups: Index,
    top: Index,
    acc: Index,
    guard_bits: int,
    sums: Codes,
    exponents: Exponents,
    o_row: int,
    o_column: int,
    width: int,
) -> None:
    """The words of a tile, and what they count in, to where its sums lie."""
    for r in range(taken):
        for j in range(width):
            sums[o_row + r, o_column + j] = acc[r, j]
            exponents[groups[i + r], o_column + j] = top[r, j] - guard_bits


@kernel
def panel_each(
    a: Packed,
    rows: int,
    first_row: int,
    a_exponents: Exponents,
    row_top: Exponents,
    groups: Index,
    panel: Panel,
    first: Index,
    offset: Part,
    w_exponents: Exponents,
    column_top: Exponents,
    floor: Index,
    bias: Codes,
    bias_exponents: Exponents,
    update: Flags,
    sums: Codes,
    exponents: Exponents,
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
    """Multiply `rows` packed rows with one panel in 64 bits; every output may have an E of its own."""
    depth = w_exponents.shape[0]
    part = np.empty((TILE, PANEL), np.int32)
    total, acc = np.empty((TILE, PANEL), np.int64), np.empty((TILE, PANEL), np.int64)
    top = np.empty((TILE, PANEL), np.int64)
    for row in range(0, rows, TILE):
        t, i, taken = row // TILE, first_row + row, min(TILE, rows - row)
        total[:] = 0
        counts[0] += begin_tile(
            i, taken, a_exponents, row_top, w_exponents, column_top, floor, bias, bias_exponents,
            normalise, guard_bits, max_shift, rounding, top, acc,
        )  # fmt: skip
        for s in range(depth):
            dot(a, t, panel, first, s, offset, part)
            if normalise == RUNNING:
                counts[0] += raise_tile(
                    i, taken, s, a_exponents, w_exponents, max_shift, rounding, top, acc
                )  # fmt: skip
            for r in range(taken):
                e, flushed, over = a_exponents[i + r, s], 0, 0
                for j in range(PANEL):
                    x: Any = np.int64(part[r, j])
                    shift = distance(top[r, j], e + w_exponents[s, j], guard_bits)
                    total[r, j] += align(x, shift, max_shift, rounding)
                    flushed += is_flushed(x, shift, max_shift)
                    if update[s]:
                        over += overflows(acc[r, j], total[r, j], bits)
                        acc[r, j] = add(acc[r, j], total[r, j], bits, saturating)
                        total[r, j] = 0
                counts[0] += flushed
                counts[1] += over
        end_tile(
            i, taken, groups, top, acc, guard_bits, sums, exponents, o_row + row, o_column, width
        )  # fmt: skip
