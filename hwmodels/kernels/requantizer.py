"""The REQUANT kernel: `units.requantizer` over a matrix of wide sums.

Both passes run along whole rows, whatever the width of a block: pass 1 keeps the largest rank of every
column and joins the columns of a block at the end, pass 2 has its block's exponent for every column.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwmodels.kernels.jit import kernel
from hwmodels.units.ops import largest, magnitude
from hwmodels.units.requantizer import NO_STATIC
from hwmodels.units.requantizer_lane import (
    NO_KEY,
    block_exponent,
    code,
    is_clamped,
    is_saturated,
    rank,
    scaled,
    scaled_exponent,
)

__all__ = ["NO_STATIC", "requantize"]

Index = NDArray[np.int64]


@kernel
def column_ranks(
    sums: Index,
    exponents: NDArray[np.int16],
    valid: NDArray[np.bool_],
    first: int,
    last: int,
    multipliers: Index,
    multiplier_exponents: Index,
    bits: int,
    tops: Index,
) -> None:
    """The largest rank of every column over the valid rows from `first` to `last`."""
    n = sums.shape[1]
    peaks = np.zeros(n, np.int64)
    start = first
    while start < last - 1 and not valid[start]:
        start += 1
    common, same = exponents[start], True
    for i in range(start, last):
        if valid[i]:
            row, own = sums[i], exponents[i]
            for j in range(n):
                same = same & (own[j] == common[j])
                peaks[j] = largest(peaks[j], magnitude(row[j]))
    real = multipliers.shape[0] > 0
    if same and real:  # under one exponent and one multiplier the rank grows with the magnitude
        for j in range(n):
            e = scaled_exponent(common[j], multiplier_exponents[j])
            tops[j] = rank(scaled(peaks[j], multipliers[j]), e, bits)
    elif same:
        for j in range(n):
            tops[j] = rank(peaks[j], common[j], bits)
    else:
        for j in range(n):
            tops[j] = 2 * NO_KEY
        for i in range(start, last):
            if valid[i]:
                row, own = sums[i], exponents[i]
                if real:
                    for j in range(n):
                        e = scaled_exponent(own[j], multiplier_exponents[j])
                        tops[j] = largest(tops[j], rank(scaled(row[j], multipliers[j]), e, bits))
                else:
                    for j in range(n):
                        tops[j] = largest(tops[j], rank(row[j], own[j], bits))


@kernel
def requantize(
    samples: int,
    sums: Index,
    exponents: NDArray[np.int16],
    valid: NDArray[np.bool_],
    row_edges: Index,
    column_edges: Index,
    multipliers: Index,
    multiplier_exponents: Index,
    static: int,
    bits: int,
    codes: NDArray[np.int16],
    shared: NDArray[np.int16],
    counts: Index,
) -> None:
    """Fill `codes` and `shared`; `counts` are the clamped exponents and the saturated codes.

    Samples lie below each other in the sums, in `codes` and in `shared`; `row_edges` are those of one
    sample, and of each sample of `codes` and `shared` the first rows are written. Rows that are not
    `valid` get zero codes and enter no maximum. `multipliers` holds one per column, or none at all.
    `static` is the exponent of every block, or `NO_STATIC`.
    """
    m, n = sums.shape[0] // samples, sums.shape[1]
    height, tall = codes.shape[0] // samples, shared.shape[0] // samples
    tops, stored = np.empty(n, np.int64), np.full(n, static, np.int64)
    real, searched = multipliers.shape[0] > 0, static == NO_STATIC
    for q in range(samples):
        for rb in range(row_edges.shape[0] - 1):
            first, last = q * m + row_edges[rb], q * m + row_edges[rb + 1]
            own_shared = shared[q * tall + rb]
            clamped = 0
            if searched:
                column_ranks(
                    sums, exponents, valid, first, last, multipliers, multiplier_exponents, bits, tops
                )
                for cb in range(column_edges.shape[0] - 1):
                    top = 2 * NO_KEY
                    for j in range(column_edges[cb], column_edges[cb + 1]):
                        top = largest(top, tops[j])
                    e = block_exponent(top, bits)
                    own_shared[cb] = e
                    clamped += is_clamped(top, bits)
                    for j in range(column_edges[cb], column_edges[cb + 1]):
                        stored[j] = e
            else:
                own_shared[:] = static
            counts[0] += clamped
            may_saturate = clamped > 0 or not searched
            for i in range(first, last):
                row, own, out = sums[i], exponents[i], codes[q * height + i - q * m]
                saturated = 0
                if not valid[i]:
                    out[:] = 0
                elif real:
                    for j in range(n):
                        acc = scaled(row[j], multipliers[j])
                        e = scaled_exponent(own[j], multiplier_exponents[j])
                        out[j] = code(acc, e, stored[j], bits)
                        saturated += is_saturated(acc, e, stored[j], bits)
                else:
                    for j in range(n):
                        out[j] = code(row[j], own[j], stored[j], bits)
                    if may_saturate:
                        for j in range(n):
                            saturated += is_saturated(row[j], own[j], stored[j], bits)
                counts[1] += saturated
