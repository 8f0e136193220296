"""Sharing: the power of two that the elements of a block have in common.

For the largest magnitude m of a block, `Sharing` says which exponent is stored: the floor or the ceiling of
``log2 m``, less `top`, which is where the element's own range ends. Some raise it where m would round
beyond that range; the others saturate. A block of zeros has a code of its own, -128.

Elements that share nothing count from their `anchor`. A block of them has an exponent all the same, which
scales nothing: it bounds the values, so that the array's window can follow them.

>>> BCT8 = Sharing("floor", top=6, raised=True)     # int8: significands up to 127, in the binade of 2**6
>>> from hwmodels.formats.coding import Integer
>>> BCT8.exponents(np.array([1.0, 127.6, 0.0]), Integer(8)).tolist()
[-6, 1, -128]
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hwmodels.formats.coding import Floating, Integer
from hwmodels.units.ops import EXPONENT_MAX, EXPONENT_MIN, ZERO_BLOCK

EXPONENT_BITS = 8


@dataclass(frozen=True)
class Sharing:
    """How a block's exponent follows from its largest magnitude.

    Attributes
    ----------
    base : str
        What is taken of ``log2 m``: its ``floor`` or its ``ceiling``; ``mirrored``, the floor not below
        zero, with its sign turned around (a quirk of BM's published code); or ``constant``: the exponent
        is the anchor, as of fixed point.
    top : int
        What is taken off; for ``mirrored`` what it is taken off from.
    raised : bool
        Whether the exponent is one more where m would be rounded beyond the element's range.
    lowest, highest : int
        Range of the stored exponent.
    anchor : int, optional
        The exponent from which all codes count, where it is not that of their block.
    """

    base: Literal["floor", "ceiling", "mirrored", "constant"]
    top: int = 0
    raised: bool = False
    lowest: int = EXPONENT_MIN
    highest: int = EXPONENT_MAX
    anchor: int | None = None

    @property
    def is_shared(self) -> bool:
        """Whether values depend on their block's exponent."""
        return self.anchor is None

    def wanted(self, peaks: NDArray[np.float64], coding: Integer | Floating) -> NDArray[np.int64]:
        """The exponent for each largest magnitude, before it is brought into range."""
        if self.base == "constant":
            return np.full(peaks.shape, self.anchor, np.int64)
        fraction, length = np.frexp(peaks)
        floor = length.astype(np.int64) - 1
        if self.base == "mirrored":
            mirrored: NDArray[np.int64] = self.top - np.clip(floor, 0, 255)
            return mirrored
        raw: NDArray[np.int64] = floor - self.top + ((self.base == "ceiling") & (fraction != 0.5))
        return raw + beyond(np.ldexp(peaks, -raw), coding) if self.raised else raw

    def exponents(self, peaks: NDArray[np.float64], coding: Integer | Floating) -> NDArray[np.int16]:
        """The stored exponent for each largest magnitude."""
        return self.held(self.wanted(peaks, coding), peaks)

    def held(self, wanted: NDArray[np.int64], peaks: NDArray[np.float64]) -> NDArray[np.int16]:
        """Exponents brought into range; that of a block of zeros is `ZERO_BLOCK`."""
        held = np.clip(wanted, self.lowest, self.highest)
        if self.base == "constant":
            return held.astype(np.int16)
        return np.where(peaks == 0, ZERO_BLOCK, held).astype(np.int16)


def beyond(magnitudes: NDArray[np.float64], coding: Integer | Floating) -> NDArray[np.bool_]:
    """Which magnitudes, under a shared exponent of zero, would be rounded beyond the largest code."""
    units = np.ldexp(magnitudes, coding.fraction)
    over: NDArray[np.bool_] = (
        np.rint(units) > coding.largest if isinstance(coding, Integer) else units >= coding.thresholds[-1]
    )
    return over
