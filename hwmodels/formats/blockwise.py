"""Encoding and decoding of whole matrices: codes, and one exponent per block.

`Sharing` gives each block its exponent e. A significand is then ``rne(x / 2**e)`` where codes are
significands; else a code is looked up by the thresholds of its `Floating` element. BCT's shift quantisation
(arXiv 2304.01483) is the first kind: ``e = ceil(log2 m) - (b - 1)``, raised by one where rounding would
saturate, ``|q| <= 2**(b-1) - 1``, e in [-127, 127], and -128 for a block of zeros.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwmodels.formats.block import Starts, index_of
from hwmodels.formats.coding import Floating, Integer
from hwmodels.formats.sharing import Sharing

BAND = 1 << 16
"""Elements that are quantised at a time: their float64 values fit a cache."""


Units = NDArray[np.float64]
"""Values in units of their codes."""


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


def quantise(
    x: NDArray[np.floating],
    row_starts: Starts,
    column_starts: Starts,
    coding: Integer | Floating,
    sharing: Sharing,
) -> Quantised:
    """Encode the last two axes of `x`, cut at `row_starts` and `column_starts`.

    Parameters
    ----------
    x : float, shape (..., rows, columns)
        Finite values.
    row_starts, column_starts : int64
        Where the blocks start, see `block.starts`.
    coding, sharing
        What a code means, and what the codes of a block share.

    Returns
    -------
    Quantised
    """
    height = x.shape[-2]
    bands = [slice(r, r + step) for step in (_band(x.shape),) for r in range(0, height, step)]
    by_row = [np.maximum.reduceat(np.abs(x[..., b, :]), column_starts, axis=-1) for b in bands]
    peaks = np.maximum.reduceat(np.concatenate(by_row, axis=-2), row_starts, axis=-2).astype(np.float64)
    wanted = sharing.wanted(peaks, coding)
    exponents = sharing.held(wanted, peaks)
    rows = index_of(row_starts, height)
    columns = index_of(column_starts, x.shape[-1])
    unit = exponents if sharing.anchor is None else np.full_like(exponents, sharing.anchor)
    steps = np.ldexp(1.0, coding.fraction - unit)
    codes = np.empty(x.shape, np.int32 if coding.bits > 16 else np.int16)
    saturated = 0
    for b in bands:
        scaled = np.multiply(x[..., b, :], steps[..., rows[b], :][..., columns])  # exact: by a power of two
        codes[..., b, :], beyond = codes_of(scaled, coding)
        saturated += beyond
    clamped = int(((peaks != 0) & (wanted != exponents)).sum()) if sharing.anchor is None else 0
    return Quantised(codes, exponents, clamped, saturated)


def codes_of(scaled: Units, coding: Integer | Floating) -> tuple[NDArray[Any], int]:
    """Values in units, which may be overwritten, as codes; and how many saturate."""
    return significands(scaled, coding) if isinstance(coding, Integer) else magnitudes(scaled, coding)


def significands(scaled: Units, coding: Integer) -> tuple[NDArray[Any], int]:
    """Values in units, which are overwritten, as significands; and how many saturate."""
    lowest = -coding.largest if coding.lowest is None else coding.lowest
    np.rint(scaled, out=scaled)
    beyond = int(((scaled > coding.largest) | (scaled < lowest)).sum())
    return (np.clip(scaled, lowest, coding.largest) if beyond else scaled), beyond


def magnitudes(scaled: Units, coding: Floating) -> tuple[NDArray[np.int16], int]:
    """Values in units as codes of a floating element; and how many saturate. Zero has no sign.

    Without a sign what is negative is held at zero.
    """
    size = np.abs(scaled) if coding.signed else np.maximum(scaled, 0)
    values, known = coding.ladder
    step = np.searchsorted(coding.thresholds, size, side="right")
    beyond = step >= len(known)
    held = np.minimum(step, len(known) - 1)
    codes = known[held]
    if coding.signed:
        negative = (scaled < 0) & (values[held] != 0)
        codes = np.where(negative, codes + len(coding.numbers), codes).astype(np.int16)
    return codes, int((beyond if coding.signed else beyond | (scaled < 0)).sum())


def _band(shape: tuple[int, ...]) -> int:
    """How many rows of a stack of matrices are taken at a time, so that what is made of them stays small."""
    in_a_row = int(np.prod(shape, dtype=np.int64)) // max(shape[-2], 1)
    return max(1, BAND // max(in_a_row, 1))


def dequantise(
    codes: NDArray[Any],
    exponents: NDArray[np.int16],
    row_starts: Starts,
    column_starts: Starts,
    coding: Integer | Floating,
    anchor: int | None = None,
) -> NDArray[np.float64]:
    """The values of codes, exact in float64; shapes as in `Quantised`. What is no number is NaN.

    `anchor` is the exponent of all codes, where it is not that of their block.
    """
    units = codes.astype(np.float64) if isinstance(coding, Integer) else coding.values[codes]
    if anchor is not None:
        fixed: Units = np.ldexp(units, anchor - coding.fraction)
        return fixed
    rows = index_of(row_starts, codes.shape[-2])
    columns = index_of(column_starts, codes.shape[-1])
    spread = exponents.astype(np.int32)[..., rows, :][..., columns]
    values: Units = np.ldexp(units, spread - coding.fraction)
    return values
