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
from hwmodels.units.ops import ZERO_BLOCK

PANEL = 64
"""Columns of a weight panel."""


@kernel
def matmul_panel(
    a: NDArray[np.int16],
    a_exponents: NDArray[np.int16],
    row_top: NDArray[np.int16],
    panel: NDArray[np.int16],
    w_exponents: NDArray[np.int16],
    column_top: NDArray[np.int16],
    floor: NDArray[np.int32],
    bias: NDArray[np.int16],
    bias_exponents: NDArray[np.int16],
    segments: NDArray[np.int64],
    last_of_fold: NDArray[np.bool_],
    sums: NDArray[np.int64],
    exponents: NDArray[np.int32],
    guard_bits: int,
    max_shift: int,
    rounding: int,
    bits: int,
    saturating: bool,
    counts: NDArray[np.int64],
) -> None:
    width = sums.shape[1]
    part = np.empty(PANEL, np.int32)
    fold = np.empty(PANEL, np.int64)
    acc = np.empty(PANEL, np.int64)
    top = np.empty(PANEL, np.int64)
    for i in range(a.shape[0]):
        for j in range(PANEL):
            top[j] = bound(row_top[i], column_top[j], floor[j], ZERO_BLOCK)
        for j in range(PANEL):
            shift = distance(top[j], bias_exponents[j], guard_bits)
            acc[j] = align(bias[j], shift, max_shift, rounding)
            counts[0] += is_flushed(bias[j], shift, max_shift)
            fold[j] = 0
        for s in range(last_of_fold.shape[0]):
            for j in range(PANEL):
                part[j] = 0
            for k in range(segments[s], segments[s + 1]):
                x = np.int32(a[i, k])
                for j in range(PANEL):
                    part[j] += x * np.int32(panel[k, j])
            e = a_exponents[i, s]
            flushed = 0
            for j in range(PANEL):
                shift = distance(top[j], e + w_exponents[s, j], guard_bits)
                fold[j] += align(part[j], shift, max_shift, rounding)
                flushed += is_flushed(part[j], shift, max_shift)
            counts[0] += flushed
            if last_of_fold[s]:
                over = 0
                for j in range(PANEL):
                    over += overflows(acc[j], fold[j], bits)
                    acc[j] = add(acc[j], fold[j], bits, saturating)
                    fold[j] = 0
                counts[1] += over
        for j in range(width):
            sums[i, j] = acc[j]
            exponents[i, j] = top[j] - guard_bits


@kernel
def spread_exponents(
    shared: NDArray[np.int16],
    rows: NDArray[np.int64],
    segment_blocks: NDArray[np.int64],
    out: NDArray[np.int16],
    top: NDArray[np.int16],
) -> None:
    """One exponent per line and segment, and each line's largest."""
    for i in range(out.shape[0]):
        largest = ZERO_BLOCK
        for s in range(out.shape[1]):
            e = shared[rows[i], segment_blocks[s]]
            out[i, s] = e
            if e > largest:
                largest = e
        top[i] = largest


@kernel
def matmul_static(
    a: NDArray[np.int16],
    a_exponents: NDArray[np.int16],
    row_top: NDArray[np.int16],
    panels: NDArray[np.int16],
    w_exponents: NDArray[np.int16],
    column_top: NDArray[np.int16],
    floor: NDArray[np.int32],
    bias: NDArray[np.int16],
    bias_exponents: NDArray[np.int16],
    segments: NDArray[np.int64],
    last_of_fold: NDArray[np.bool_],
    sums: NDArray[np.int64],
    exponents: NDArray[np.int32],
    guard_bits: int,
    max_shift: int,
    rounding: int,
    bits: int,
    saturating: bool,
    counts: NDArray[np.int64],
) -> None:
    """A times weights that lie in panels of `PANEL` columns: (tiles, K, PANEL)."""
    n = sums.shape[1]
    for t in range(panels.shape[0]):
        j0, j1 = t * PANEL, min((t + 1) * PANEL, n)
        matmul_panel(
            a,
            a_exponents,
            row_top,
            panels[t],
            w_exponents[t],
            column_top[t],
            floor[t],
            bias[t],
            bias_exponents[t],
            segments,
            last_of_fold,
            sums[:, j0:j1],
            exponents[:, j0:j1],
            guard_bits,
            max_shift,
            rounding,
            bits,
            saturating,
            counts,
        )


@kernel
def pack_panel(
    w: NDArray[np.int16],
    w_exponents: NDArray[np.int16],
    top: NDArray[np.int16],
    panel: NDArray[np.int16],
    panel_exponents: NDArray[np.int16],
    column_top: NDArray[np.int16],
) -> None:
    """Lay up to `PANEL` lines of the second operand, (N, K), as a panel (K, PANEL), zeros behind."""
    for j in range(PANEL):
        inside = j < w.shape[0]
        column_top[j] = top[j] if inside else ZERO_BLOCK
        for s in range(panel_exponents.shape[0]):
            panel_exponents[s, j] = w_exponents[j, s] if inside else ZERO_BLOCK
        for k in range(panel.shape[0]):
            panel[k, j] = w[j, k] if inside else 0
