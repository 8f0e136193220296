"""The REQUANT kernel: `units.requantizer` over a matrix of wide sums.

Both passes run along whole rows, whatever the width of a block: pass 1 keeps the largest rank of every
column and joins the columns of a block at the end, pass 2 has its block's exponent for every column.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwmodels.kernels.jit import kernel
from hwmodels.units.ops import largest, magnitude
from hwmodels.units.requantizer import (
    NO_KEY,
    block_exponent,
    code,
    is_clamped,
    is_saturated,
    rank,
)


@kernel
def requantize(
    sums: NDArray[np.int64],
    exponents: NDArray[np.int16],
    row_edges: NDArray[np.int64],
    column_edges: NDArray[np.int64],
    bits: int,
    codes: NDArray[np.int16],
    shared: NDArray[np.int16],
    counts: NDArray[np.int64],
) -> None:
    """Fill `codes` and `shared`; `counts` are the clamped exponents and the saturated codes."""
    n = sums.shape[1]
    peaks = np.empty(n, np.int64)
    tops = np.empty(n, np.int64)
    stored = np.empty(n, np.int64)
    for rb in range(row_edges.shape[0] - 1):
        first, same = exponents[row_edges[rb]], True
        for j in range(n):
            peaks[j] = 0
        for i in range(row_edges[rb], row_edges[rb + 1]):
            row, own = sums[i], exponents[i]
            for j in range(n):
                same = same & (own[j] == first[j])
                peaks[j] = largest(peaks[j], magnitude(row[j]))
        for j in range(n):
            tops[j] = rank(peaks[j], first[j], bits)  # under one exponent the rank grows with the magnitude
        if not same:
            for j in range(n):
                tops[j] = 2 * NO_KEY
            for i in range(row_edges[rb], row_edges[rb + 1]):
                row, own = sums[i], exponents[i]
                for j in range(n):
                    tops[j] = largest(tops[j], rank(row[j], own[j], bits))
        clamped = 0
        for cb in range(column_edges.shape[0] - 1):
            top = 2 * NO_KEY
            for j in range(column_edges[cb], column_edges[cb + 1]):
                top = largest(top, tops[j])
            e = block_exponent(top, bits)
            shared[rb, cb] = e
            clamped += is_clamped(top, bits)
            for j in range(column_edges[cb], column_edges[cb + 1]):
                stored[j] = e
        counts[0] += clamped
        for i in range(row_edges[rb], row_edges[rb + 1]):
            row, own, out = sums[i], exponents[i], codes[i]
            for j in range(n):
                out[j] = code(row[j], own[j], stored[j], bits)
            if clamped > 0:  # only a clamped exponent leaves a code to saturate
                for j in range(n):
                    counts[1] += is_saturated(row[j], own[j], stored[j], bits)
