"""Real scales: int8 codes under one float32 per block, and the integers that stand for such a scale.

For a block with maximum magnitude m: ``scale = m / 127`` in float32, and ``q = rne(x / scale)`` with
``|q| <= 127``, the division in float32 as onnxruntime's QuantizeLinear has it. Where that scale is zero
in float32 it is 1. The datapath has no floats: it multiplies by `multiplier_of` a product of scales.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwmodels.formats.block import Starts, index_of

SCALE_BITS, LIMIT = 32, 127
"""Bits of a stored scale, and the largest code."""


def quantise(
    x: NDArray[Any], row_starts: Starts, column_starts: Starts
) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
    """Encode the last two axes of `x`; codes and scales, shaped as in `shift.Quantised`.

    By hand: a block 1.0, -0.5, 0.25, 0.1 has the scale 1/127 and the codes 127, -64 (63.5 to even), 32
    (31.75) and 13 (12.7).

    Raises
    ------
    ValueError
        If a value is beyond float32.
    """
    with np.errstate(over="ignore"):
        values = np.asarray(x, np.float32)
    if not np.isfinite(values).all():
        raise ValueError("lin8: a value beyond float32 cannot be encoded; give smaller values")
    peaks = np.maximum.reduceat(np.abs(values), row_starts, axis=-2)
    peaks = np.maximum.reduceat(peaks, column_starts, axis=-1)
    scales: NDArray[np.float32] = np.divide(peaks, LIMIT, dtype=np.float32)
    scales[scales == 0] = 1
    each = spread(scales, values.shape, row_starts, column_starts)
    q = np.rint(np.divide(values, each, dtype=np.float32))
    return np.clip(q, -LIMIT, LIMIT).astype(np.int16), scales


def dequantise(
    codes: NDArray[np.int16], scales: NDArray[np.float32], row_starts: Starts, column_starts: Starts
) -> NDArray[np.float32]:
    """The values of codes: ``code * scale``, rounded once to float32 and held in its range."""
    limit = np.finfo(np.float32).max
    exact = codes.astype(np.float64) * spread(scales, codes.shape, row_starts, column_starts)
    return exact.clip(-limit, limit).astype(np.float32)


def spread(
    scales: NDArray[np.float32], shape: tuple[int, ...], row_starts: Starts, column_starts: Starts
) -> NDArray[np.float32]:
    """One scale per element."""
    rows, columns = index_of(row_starts, shape[-2]), index_of(column_starts, shape[-1])
    each: NDArray[np.float32] = scales[..., rows, :][..., columns]
    return each


def multiplier_of(scale: float) -> tuple[int, int]:
    """A real scale as the requantizer's 16-bit multiplier and exponent: ``scale ~= m * 2**e``.

    By hand: 0.75 = 49152 x 2**-16.

    Parameters
    ----------
    scale : float
        Positive.

    Returns
    -------
    m, e : int
        ``2**15 <= m < 2**16``, to nearest, ties to even.

    Raises
    ------
    ValueError
        If the scale is not a positive number.
    """
    if not (math.isfinite(scale) and scale > 0):
        raise ValueError(f"scale: {scale}: give a positive number")
    mantissa, exponent = math.frexp(scale)
    m = round(mantissa * (1 << 16))
    return (m >> 1, exponent - 15) if m == 1 << 16 else (m, exponent - 16)
