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

BAND = 1 << 16
"""Elements that are quantised at a time: their float64 values fit a cache."""


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
    height = x.shape[-2]
    bands = [slice(r, r + step) for step in (_band(x.shape),) for r in range(0, height, step)]
    by_row = [np.maximum.reduceat(np.abs(x[..., b, :]), column_starts, axis=-1) for b in bands]
    peaks = np.maximum.reduceat(np.concatenate(by_row, axis=-2), row_starts, axis=-2).astype(np.float64)
    _, length = np.frexp(peaks)
    raw = length - (bits - 1)
    raw = raw + (np.rint(np.ldexp(peaks, -raw)) == 1 << (bits - 1))
    clipped = np.clip(raw, EXPONENT_MIN, EXPONENT_MAX)
    exponents = np.where(peaks == 0, ZERO_BLOCK, clipped)
    rows = index_of(row_starts, height)
    columns = index_of(column_starts, x.shape[-1])
    steps = np.ldexp(1.0, -exponents)
    limit = (1 << (bits - 1)) - 1
    codes = np.empty(x.shape, np.int32 if bits > 16 else np.int16)
    saturated = 0
    for b in bands:
        scaled = x[..., b, :] * steps[..., rows[b], :][..., columns]  # exact: by a power of two
        np.rint(scaled, out=scaled)
        beyond = int((np.abs(scaled) > limit).sum())
        codes[..., b, :] = np.clip(scaled, -limit, limit) if beyond else scaled
        saturated += beyond
    clamped = int(((peaks != 0) & (raw != clipped)).sum())
    return Quantised(codes, exponents.astype(np.int16), clamped, saturated)


def _band(shape: tuple[int, ...]) -> int:
    """How many rows of a stack of matrices are taken at a time, so that what is made of them stays small."""
    in_a_row = int(np.prod(shape, dtype=np.int64)) // max(shape[-2], 1)
    return max(1, BAND // max(in_a_row, 1))


def dequantise(
    codes: NDArray[Any], exponents: NDArray[np.int16], row_starts: Starts, column_starts: Starts
) -> NDArray[np.float64]:
    """The values of codes: ``code * 2**exponent``, exact in float64; shapes as in `Quantised`."""
    rows = index_of(row_starts, codes.shape[-2])
    columns = index_of(column_starts, codes.shape[-1])
    spread = exponents.astype(np.int32)[..., rows, :][..., columns]
    values: NDArray[np.float64] = np.ldexp(codes.astype(np.float64), spread)
    return values
