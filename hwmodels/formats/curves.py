"""Curves: quantisers of attention weights whose steps are uniform on a curve, with real parameters per block.

`sulq` is I&S-ViT's shift-uniform-log2: the steps are uniform in ``log2(x + eta)``, and a code stands for
``2**round(q * step + low) - eta``. Its ``-paper`` variant divides the range by ``2**b`` and so has one code
more than b bits hold, as the published code has; it is stored in a bit more.

`tanq` is a reconstruction of DopQ-ViT's tangent quantiser, whose formula was not found: steps are uniform in
``tan(a (2 x - 1))``, which makes them fine near 0 and near 1, as the paper says its are.

Such codes are no significands and exponents of anything: they encode and decode, and no plan takes them.

>>> import numpy as np
>>> sulq = curve("sulq3")
>>> sulq.values(sulq.fit(np.array([1.0, 0.25, 0.015625, 0.0]))).round(4).tolist()
[-0.0011, 0.0028, 0.0263, 0.0575, 0.12, 0.245, 0.495, 0.995]
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from hwmodels.formats.block import Starts

Real = NDArray[np.float64]
Parameters = NDArray[np.float32]

ETAS = (0.001, 0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Shifts that `sulq` tries, from I&S-ViT's code."""

ANGLES = tuple(0.5 * np.pi * i / 20 for i in range(2, 20))
"""Values of a that `tanq` tries: chosen."""


@dataclass(frozen=True)
class Curve:
    """One quantiser.

    Attributes
    ----------
    name : str
    bits : int
        Width of a stored code.
    codes : int
        How many codes there are.
    parameters : tuple of str
        What a block stores, a float32 each.
    source : str
    candidates : callable
        Parameters to try on a block.
    positions : callable
        ``(x, parameters)``: where values lie, in steps.
    of_code : callable
        ``(codes, parameters)``: what codes stand for.
    """

    name: str
    bits: int
    codes: int
    parameters: tuple[str, ...]
    source: str
    candidates: Callable[[Real, int], list[tuple[float, ...]]]
    positions: Callable[[Real, Real, int], Real]
    of_code: Callable[[Real, Real, int], Real]

    def fit(self, x: Real) -> Parameters:
        """The parameters with the least sum of squared errors over a block, and of equals the first."""
        tried = [np.array(c, np.float32) for c in self.candidates(x, self.codes)]
        errors = [float(((self.values(p)[self.encode(x, p)] - x) ** 2).sum()) for p in tried]
        return tried[int(np.argmin(errors))]

    def encode(self, x: Real, parameters: Parameters) -> NDArray[np.int16]:
        """The nearest code, ties to even, in steps of the curve."""
        where = np.rint(self.positions(x, parameters.astype(np.float64), self.codes))
        return where.clip(0, self.codes - 1).astype(np.int16)

    def values(self, parameters: Parameters) -> Real:
        """What each code stands for."""
        return self.of_code(
            np.arange(self.codes, dtype=np.float64), parameters.astype(np.float64), self.codes
        )


def quantise(
    x: NDArray[np.floating], row_starts: Starts, column_starts: Starts, own: Curve
) -> tuple[NDArray[np.int16], Parameters]:
    """Encode the last two axes of `x`: codes, and parameters of shape (..., row blocks, column blocks, n).

    Raises
    ------
    ValueError
        If a value is not between 0 and 1.
    """
    if x.size and (x.min() < 0 or x.max() > 1):
        worst = float(x.min() if x.min() < 0 else x.max())
        raise ValueError(f"{own.name}: {worst:g}: attention weights are between 0 and 1")
    codes = np.empty(x.shape, np.int16)
    blocks = (*x.shape[:-2], len(row_starts), len(column_starts))
    shared = np.empty((*blocks, len(own.parameters)), np.float32)
    for place, block in _walk(x.shape, row_starts, column_starts):
        values = x[block].astype(np.float64)
        shared[place] = own.fit(values)
        codes[block] = own.encode(values, shared[place])
    return codes, shared


def dequantise(
    codes: NDArray[np.int16], shared: Parameters, row_starts: Starts, column_starts: Starts, own: Curve
) -> Real:
    """The values of codes; shapes as of `quantise`."""
    out = np.empty(codes.shape)
    for place, block in _walk(codes.shape, row_starts, column_starts):
        out[block] = own.values(shared[place])[codes[block]]
    return out


def _walk(
    shape: tuple[int, ...], row_starts: Starts, column_starts: Starts
) -> Iterator[tuple[tuple[int, ...], tuple[int | slice, ...]]]:
    """Every block of a stack of matrices: its place among them, and where its elements lie."""
    down, across = [*row_starts.tolist(), shape[-2]], [*column_starts.tolist(), shape[-1]]
    for place in np.ndindex(*shape[:-2], len(row_starts), len(column_starts)):
        *lead, i, j = place
        yield place, (*lead, slice(down[i], down[i + 1]), slice(across[j], across[j + 1]))


# -- shift-uniform-log2 --------------------------------------------------------------------------


def _sulq_candidates(x: Real, codes: int) -> list[tuple[float, ...]]:
    found: list[tuple[float, ...]] = []
    for eta in ETAS:
        low, high = np.log2(x.min() + eta), np.log2(x.max() + eta)
        found.append((eta, float(low), float(high - low) / (codes - 1) or 1.0))
    return found


def _sulq_positions(x: Real, parameters: Real, _: int) -> Real:
    eta, low, step = parameters
    where: Real = (np.log2(x + eta) - low) / step
    return where


def _sulq_values(codes: Real, parameters: Real, _: int) -> Real:
    eta, low, step = parameters
    values: Real = np.exp2(np.rint(codes * step + low)) - eta
    return values


# -- tangent -------------------------------------------------------------------------------------


def _tanq_candidates(_: Real, __: int) -> list[tuple[float, ...]]:
    return [(float(a),) for a in ANGLES]


def _tanq_positions(x: Real, parameters: Real, codes: int) -> Real:
    a = parameters[0]
    where: Real = (np.tan(a * (2 * x - 1)) / np.tan(a) + 1) / 2 * (codes - 1)
    return where


def _tanq_values(codes: Real, parameters: Real, count: int) -> Real:
    a = parameters[0]
    values: Real = (np.arctan((2 * codes / (count - 1) - 1) * np.tan(a)) / a + 1) / 2
    return values


CURVES = ("sulq4", "sulq4-paper", "tanq4")
"""What is listed."""


@cache
def curve(name: str) -> Curve | None:
    """The quantiser of a name such as ``sulq4``, ``sulq4-paper`` or ``tanq4``; None if there is none."""
    found = re.fullmatch(r"(sulq|tanq)([3-8])(-paper)?", name)
    if not found or (found[1] == "tanq" and found[3]):
        return None
    count, more = 1 << int(found[2]), found[3] is not None
    bits = int(found[2]) + more
    if found[1] == "tanq":
        source = "reconstruction of DopQ-ViT's"
        return Curve(name, bits, count, ("a",), source, _tanq_candidates, _tanq_positions, _tanq_values)
    return Curve(
        name, bits, count + more, ("eta", "low", "step"), "I&S-ViT's code",
        _sulq_candidates, _sulq_positions, _sulq_values,
    )  # fmt: skip
