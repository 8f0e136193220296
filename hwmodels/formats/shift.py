"""Shift quantisation: two's complement codes under one power-of-two exponent per block.

For a block with maximum magnitude m and b bits: ``e = ceil(log2 m) - (b - 1)``, raised by one where
rounding would saturate; ``q = rne(x / 2**e)`` with ``|q| <= 2**(b-1) - 1``. e is clamped to
[-127, 127]; the exponent code -128 marks a block of zeros. This is BCT's symmetric shift
quantisation (arXiv 2304.01483) with every rounding stated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwmodels.formats.block import Starts, index_of
from hwmodels.units.ops import EXPONENT_MAX, EXPONENT_MIN, ZERO_BLOCK


@dataclass(frozen=True)
class Quantised:
    """Codes and exponents of a stack of matrices.

    Attributes
    ----------
    codes : int16 (int32 of 32 bits), shape (..., rows, columns)
    exponents : int16, shape (..., row blocks, column blocks)
    clamped, saturated : int
        Exponents brought into range; codes brought into range.
    """

    codes: NDArray[Any]
    exponents: NDArray[np.int16]
    clamped: int
    saturated: int


def quantise(x: NDArray[np.floating], row_starts: Starts, column_starts: Starts, bits: int) -> Quantised:
    """Encode the last two axes of `x`, cut at `row_starts` and `column_starts`.

    Parameters
    ----------
    x : float, shape (..., rows, columns)
        Finite values.
    row_starts, column_starts : int64
        Where the blocks start, see `block.starts`.
    bits : int
        Width of a code.
    """
    values = np.asarray(x, np.float64)
    peaks = np.maximum.reduceat(np.abs(values), row_starts, axis=-2)
    peaks = np.maximum.reduceat(peaks, column_starts, axis=-1)
    _, length = np.frexp(peaks)
    raw = length - (bits - 1)
    raw = raw + (np.rint(np.ldexp(peaks, -raw)) == 1 << (bits - 1))
    clipped = np.clip(raw, EXPONENT_MIN, EXPONENT_MAX)
    exponents = np.where(peaks == 0, ZERO_BLOCK, clipped)
    rows = index_of(row_starts, values.shape[-2])
    columns = index_of(column_starts, values.shape[-1])
    scaled = np.rint(np.ldexp(values, -exponents[..., rows, :][..., columns]))
    limit = (1 << (bits - 1)) - 1
    codes = np.clip(scaled, -limit, limit)
    return Quantised(
        codes.astype(np.int32 if bits > 16 else np.int16),
        exponents.astype(np.int16),
        int(((peaks != 0) & (raw != clipped)).sum()),
        int((codes != scaled).sum()),
    )


def dequantise(
    codes: NDArray[Any], exponents: NDArray[np.int16], row_starts: Starts, column_starts: Starts
) -> NDArray[np.float64]:
    """The values of codes: ``code * 2**exponent``, exact in float64; shapes as in `Quantised`."""
    rows = index_of(row_starts, codes.shape[-2])
    columns = index_of(column_starts, codes.shape[-1])
    spread = exponents.astype(np.int32)[..., rows, :][..., columns]
    values: NDArray[np.float64] = np.ldexp(codes.astype(np.float64), spread)
    return values
