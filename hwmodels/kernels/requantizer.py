"""The REQUANT kernel: `units.requantizer` over a matrix of wide sums."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwmodels.kernels.jit import kernel
from hwmodels.units.ops import largest
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
    row_starts: NDArray[np.int64],
    column_starts: NDArray[np.int64],
    bits: int,
    codes: NDArray[np.int16],
    shared: NDArray[np.int16],
    counts: NDArray[np.int64],
) -> None:
    """Cut at `row_starts` and `column_starts` (ends included) and fill `codes` and `shared`."""
    for rb in range(row_starts.shape[0] - 1):
        for cb in range(column_starts.shape[0] - 1):
            top = 2 * NO_KEY
            for i in range(row_starts[rb], row_starts[rb + 1]):
                for j in range(column_starts[cb], column_starts[cb + 1]):
                    top = largest(top, rank(sums[i, j], exponents[i, j], bits))
            stored = block_exponent(top, bits)
            shared[rb, cb] = stored
            clamped = is_clamped(top, bits)
            counts[0] += clamped
            for i in range(row_starts[rb], row_starts[rb + 1]):
                for j in range(column_starts[cb], column_starts[cb + 1]):
                    codes[i, j] = code(sums[i, j], exponents[i, j], stored, bits)
            if clamped:  # only a clamped exponent can leave a code to saturate
                for i in range(row_starts[rb], row_starts[rb + 1]):
                    for j in range(column_starts[cb], column_starts[cb + 1]):
                        e = exponents[i, j]
                        counts[1] += is_saturated(sums[i, j], e, stored, bits)
