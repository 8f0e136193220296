"""The REQUANT kernel: `units.requantizer` over a matrix of wide sums.

Both passes run along whole rows, whatever the width of a block. Rows that share the exponents of their sums
come in runs: under one exponent the rank grows with the magnitude, so that pass 1 keeps the highest and the
lowest sum of every column and ranks them once for a run; pass 2 shifts each column by the same distance.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwmodels.kernels.instructions import address
from hwmodels.kernels.jit import kernel
from hwmodels.kernels.lanes import Number, largest, magnitude, reading, smallest
from hwmodels.kernels.stream import ADD, Read, Scalar, signed, stream
from hwmodels.kernels.team import Team, begin, finish
from hwmodels.units import requantizer_lane as lane
from hwmodels.units.ops import ZERO_BLOCK
from hwmodels.units.requantizer import NO_STATIC
from hwmodels.units.requantizer_lane import (
    NO_KEY,
    REST_BITS,
    block_exponent,
    is_clamped,
    scaled_exponent,
)

__all__ = ["NO_STATIC", "requantize"]

Index = NDArray[np.int64]
Codes = NDArray[Any]

_rank, _code, _is_saturated, _scaled = (
    reading.of(f) for f in (lane.rank, lane.code, lane.is_saturated, lane.scaled)
)

WIDE, EXPONENT = signed(lane.SUM_BITS, 64), Read(32, -2048, 2047)
WIDTH = Scalar(2, 16)
FACTOR = Read(32, 0, (1 << lane.MULTIPLIER_BITS) - 1)

NEAR = -(30 + REST_BITS)
"""The longest distance that matters: of a 32-bit sum so far to the right nothing but zero is left."""


def _spread(given: Sequence[Number], *_: Any) -> Sequence[Number]:
    x, high, low = given
    return largest(high, x), smallest(low, x)


def _ranked(given: Sequence[Number], scalars: Sequence[Number], _: Any) -> Sequence[Number]:
    high, low, exponent, factor, top = given
    peak = largest(magnitude(high), magnitude(low))
    return (largest(top, _rank(_scaled(peak, factor), exponent, scalars[0])),)


def _coded_near(given: Sequence[Number], scalars: Sequence[Number], _: Any) -> Sequence[Number]:
    x, distance = given
    return (_code(x, distance, 0, scalars[0]),)


def _coded(given: Sequence[Number], scalars: Sequence[Number], _: Any) -> Sequence[Number]:
    x, factor, distance = given
    y = _scaled(x, factor)
    return _code(y, distance, 0, scalars[0]), _is_saturated(y, distance, 0, scalars[0])


_SUM_32, _RANK = signed(32, 32), Read(32, -(1 << 13), 1 << 13)
spread_32 = stream(_spread, (_SUM_32, _SUM_32, _SUM_32), (32, 32))
spread_64 = stream(_spread, (WIDE, WIDE, WIDE), (64, 64))
ranked_32 = stream(_ranked, (_SUM_32, _SUM_32, EXPONENT, FACTOR, _RANK), (32,), (WIDTH,))
ranked_64 = stream(_ranked, (WIDE, WIDE, EXPONENT, FACTOR, _RANK), (32,), (WIDTH,))
_TO_THE_RIGHT = Read(32, NEAR, 0)
near_8 = stream(_coded_near, (_SUM_32, _TO_THE_RIGHT), (8,), (WIDTH,))
near_16 = stream(_coded_near, (_SUM_32, _TO_THE_RIGHT), (16,), (WIDTH,))
coded_32_8, coded_32_16 = (
    stream(_coded, (_SUM_32, FACTOR, EXPONENT), (bits,), (WIDTH,), folds=(ADD,)) for bits in (8, 16)
)
coded_64_8, coded_64_16 = (
    stream(_coded, (WIDE, FACTOR, EXPONENT), (bits,), (WIDTH,), folds=(ADD,)) for bits in (8, 16)
)


@kernel
def run_ranks(
    sums: Codes, first: int, last: int, left: int, exponents: Index, factors: Index, bits: int, high: Codes,
    low: Codes, tops: NDArray[np.int32],
) -> None:  # fmt: skip
    """Raise every column's rank to the largest of the rows from `first` to `last`, of one exponent each."""
    n, across, size = tops.shape[0], sums.shape[1], sums.itemsize
    high[:], low[:] = 0, 0
    for i in range(first, last):
        row = address(sums) + (i * across + left) * size
        if size == 4:
            spread_32(n, (row, address(high), address(low)), (address(high), address(low)), (), (), 0)
        else:
            spread_64(n, (row, address(high), address(low)), (address(high), address(low)), (), (), 0)
    given = (address(high), address(low), address(exponents), address(factors), address(tops))
    if size == 4:
        ranked_32(n, given, (address(tops),), (bits,), (), 0)
    else:
        ranked_64(n, given, (address(tops),), (bits,), (), 0)


@kernel
def run_codes(
    sums: Codes, i: int, left: int, near: NDArray[np.int32], distance: NDArray[np.int32],
    factors: NDArray[np.int32], bits: int, is_near: bool, codes: Codes, row: int, saturated: Index,
) -> None:  # fmt: skip
    """The codes of row `i` of the sums, of columns whose sums go as far as `distance` says."""
    n = distance.shape[0]
    source = address(sums) + (i * sums.shape[1] + left) * sums.itemsize
    to = address(codes) + (row * codes.shape[1] + left) * codes.itemsize
    given = (source, address(factors), address(distance))
    if sums.itemsize == 4:
        if is_near and codes.itemsize == 1:
            near_8(n, (source, address(near)), (to,), (bits,), (), 0)
        elif is_near:
            near_16(n, (source, address(near)), (to,), (bits,), (), 0)
        elif codes.itemsize == 1:
            coded_32_8(n, given, (to,), (bits,), (), address(saturated))
        else:
            coded_32_16(n, given, (to,), (bits,), (), address(saturated))
    elif codes.itemsize == 1:
        coded_64_8(n, given, (to,), (bits,), (), address(saturated))
    else:
        coded_64_16(n, given, (to,), (bits,), (), address(saturated))


@kernel
def requantize(
    team: Team,
    part: int,
    parts: int,
    samples: int,
    sums: Codes,
    exponents: NDArray[np.int16],
    groups: Index,
    valid: NDArray[np.bool_],
    row_edges: Index,
    column_edges: Index,
    multipliers: Index,
    multiplier_exponents: Index,
    static: int,
    bits: int,
    codes: Codes,
    shared: NDArray[np.int16],
    counts: Index,
) -> None:
    """Fill `codes` and `shared`; `counts` are the clamped exponents and the saturated codes.

    Samples lie below each other in the sums, in `codes` and in `shared`; `row_edges` are those of one
    sample, and of each sample of `codes` and `shared` the first rows are written. Row i of the sums has
    the exponents in row ``groups[i]``. Rows that are not `valid` get zero codes and enter no maximum.
    `multipliers` holds one per column, or none at all. `static` is the exponent of every block, or
    `NO_STATIC`. Of `parts` threads each takes its share of rows of blocks, or of their columns.
    """
    begin(team, parts)
    m = sums.shape[0] // samples
    height, tall = codes.shape[0] // samples, shared.shape[0] // samples
    rows, columns = row_edges.shape[0] - 1, column_edges.shape[0] - 1
    by_columns = samples * rows < parts
    c0, c1 = (columns * part // parts, columns * (part + 1) // parts) if by_columns else (0, columns)
    left, n = column_edges[c0], column_edges[c1] - column_edges[c0]
    if n == 0:
        finish(team, part, parts)
        return
    high, low = np.empty(n, sums.dtype), np.empty(n, sums.dtype)
    tops, stored = np.empty(n, np.int32), np.full(n, static, np.int64)
    under, factors = np.empty(n, np.int32), np.ones(n, np.int32)
    distance, near = np.empty(n, np.int32), np.empty(n, np.int32)
    real, searched, saturated = multipliers.shape[0] > 0, static == NO_STATIC, np.zeros(1, np.int64)
    if real:
        for j in range(n):
            factors[j] = multipliers[left + j]
    units = samples * rows
    u0, u1 = (0, units) if by_columns else (units * part // parts, units * (part + 1) // parts)
    for unit in range(u0, u1):
        q, rb = unit // rows, unit % rows
        first, last = q * m + row_edges[rb], q * m + row_edges[rb + 1]
        own_shared = shared[q * tall + rb]
        clamped = 0
        if searched:
            tops[:] = 2 * NO_KEY
            start = first
            while start < last:  # runs of valid rows with the same exponents
                end = start + 1
                while end < last and groups[end] == groups[start] and valid[end] == valid[start]:
                    end += 1
                if valid[start]:
                    _exponents_of(exponents, groups[start], left, multiplier_exponents, real, under)
                    run_ranks(sums, start, end, left, under, factors, bits, high, low, tops)
                start = end
            for cb in range(c0, c1):
                top = 2 * NO_KEY
                for j in range(column_edges[cb] - left, column_edges[cb + 1] - left):
                    top = max(top, tops[j])
                e = block_exponent(top, bits)
                own_shared[cb] = e
                clamped += is_clamped(top, bits)
                for j in range(column_edges[cb] - left, column_edges[cb + 1] - left):
                    stored[j] = e
        else:
            own_shared[c0:c1] = static
        counts[0] += clamped
        may_saturate = clamped > 0 or not searched
        known, is_near = -1, False
        for i in range(first, last):
            row = q * height + i - q * m
            if not valid[i]:
                codes[row, left : left + n] = 0
                continue
            if groups[i] != known:
                known = groups[i]
                _exponents_of(exponents, known, left, multiplier_exponents, real, under)
                is_near = not (real or may_saturate)
                for j in range(n):
                    zero = searched & (stored[j] == ZERO_BLOCK)  # then all sums are
                    d = 0 if zero else under[j] - stored[j]
                    distance[j], near[j] = max(-2000, min(d, 2000)), max(d, NEAR)
                    is_near = is_near & (d <= 0)
            run_codes(
                sums, i, left, near, distance, factors, bits, is_near, codes, row, saturated
            )  # fmt: skip
    counts[1] += saturated[0]
    finish(team, part, parts)


@kernel
def _exponents_of(
    exponents: NDArray[np.int16], g: int, left: int, of_factors: Index, real: bool, out: NDArray[np.int32]
) -> None:
    """The exponent of every column's sums, or of their products with the multipliers."""
    for j in range(out.shape[0]):
        e: Any = np.int64(exponents[g, left + j])
        out[j] = scaled_exponent(e, of_factors[left + j]) if real else e
