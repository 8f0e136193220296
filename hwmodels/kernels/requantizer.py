"""The REQUANT kernel: `units.requantizer` over a matrix of wide sums.

Both passes run along whole rows, whatever the width of a block. Rows that share the exponents of their sums
come in runs: under one exponent the rank grows with the magnitude, so that pass 1 keeps the highest and the
lowest sum of every column and ranks them once for a run; pass 2 shifts each column by the same distance.

Where the exponents were found, raised and not clamped, and no column goes to the left, no code saturates:
a code is then the sum shifted to the right and rounded, in 32 bits where the largest sum leaves room for
that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwmodels.kernels.instructions import address, item_size
from hwmodels.kernels.jit import kernel
from hwmodels.kernels.lanes import Number, largest, magnitude, reading, select, smallest
from hwmodels.kernels.stream import ADD_32, MOST, MOST_32, Read, Scalar, grid, signed, stream
from hwmodels.kernels.team import Team, begin, finish
from hwmodels.units import ops
from hwmodels.units import requantizer_lane as lane
from hwmodels.units.ops import ZERO_BLOCK
from hwmodels.units.requantizer import NO_STATIC
from hwmodels.units.requantizer_lane import NO_RANK, block_exponent, is_clamped

__all__ = ["NO_STATIC", "requantize"]

Index = NDArray[np.int64]
Codes = NDArray[Any]

_rank, _code, _is_saturated, _scaled, _scaled_exponent, _rounded_shift, _clamp = (
    reading.of(f)
    for f in (
        lane.rank, lane.code, lane.is_saturated, lane.scaled, lane.scaled_exponent, ops.shift_right, ops.clamp
    )
)  # fmt: skip

WIDE, EXPONENT, DISTANCE = signed(lane.SUM_BITS, 64), Read(16, -2048, 2047), Read(32, -2048, 2047)
WIDTH, RAISED, SEARCHED = Scalar(2, 16), Scalar(0, 1), Scalar(0, 1)
FACTOR = Read(32, 0, (1 << lane.MULTIPLIER_BITS) - 1)

NARROW, NEAR = 3 << 29, 30
"""Sums below the first have room for the half that rounds them, however far they go up to the second."""

VANISHING = 1 << NEAR - 1
"""Of sums below this nothing is left so far to the right."""

TOGETHER = 4
"""Rows that pass 1 takes at once, to load and store what it keeps of a column as rarely."""


def _spread(given: Sequence[Number], *_: Any) -> Sequence[Number]:
    *sums, high, low = given
    for x in sums:
        high, low = largest(high, x), smallest(low, x)
    return high, low


def _ranked(given: Sequence[Number], scalars: Sequence[Number], _: Any) -> Sequence[Number]:
    high, low, exponent, top = given
    peak = largest(magnitude(high), magnitude(low))
    return largest(top, _rank(peak, exponent, scalars[0], scalars[1] != 0)), peak


def _ranked_scaled(given: Sequence[Number], scalars: Sequence[Number], _: Any) -> Sequence[Number]:
    high, low, exponent, top, factor = given
    peak = largest(magnitude(high), magnitude(low))
    return largest(top, _rank(_scaled(peak, factor), exponent, scalars[0], scalars[1] != 0)), peak


def _distances(given: Sequence[Number], scalars: Sequence[Number], _: Any) -> Sequence[Number]:
    """How far left a column goes; not at all where its block is zero, as then all its sums are."""
    exponent, stored = given
    zero = (stored == ZERO_BLOCK) & (scalars[0] != 0)
    distance = select(zero, 0, _clamp(exponent - stored, -2000, 2000))
    return distance, distance, -distance


def _added_exponents(given: Sequence[Number], *_: Any) -> Sequence[Number]:
    return (_scaled_exponent(*given),)


def _coded_near(given: Sequence[Number], *_: Any) -> Sequence[Number]:
    x, distance = given
    return (_rounded_shift(x, -distance, ops.RNE),)


def _coded(given: Sequence[Number], scalars: Sequence[Number], _: Any) -> Sequence[Number]:
    x, distance, factor = given
    y = _scaled(x, factor)
    return _code(y, distance, 0, scalars[0]), _is_saturated(y, distance, 0, scalars[0])


_SUM_32, _RANK = signed(32, 32), Read(32, -(1 << 13), 1 << 13)
_STORED, _SHIFT = Read(32, -128, 127), Read(32, -1024, 1023)
spread_32, spread_64 = (grid(_spread, (x, x, x), (x.bits, x.bits)) for x in (_SUM_32, WIDE))
together_32, together_64 = (
    grid(_spread, (x,) * TOGETHER + (x, x), (x.bits, x.bits)) for x in (_SUM_32, WIDE)
)
ranked_32, ranked_64 = (
    stream(_ranked, (x, x, EXPONENT, _RANK), (32,), (WIDTH, RAISED), folds=(MOST,)) for x in (_SUM_32, WIDE)
)
ranked_scaled_32, ranked_scaled_64 = (
    stream(_ranked_scaled, (x, x, EXPONENT, _RANK, FACTOR), (32,), (WIDTH, RAISED), folds=(MOST,))
    for x in (_SUM_32, WIDE)
)
distances = stream(_distances, (EXPONENT, _STORED), (32,), (SEARCHED,), folds=(MOST_32, MOST_32))
added_exponents = stream(_added_exponents, (EXPONENT, _SHIFT), (16,))
narrow_32_8, narrow_32_16, narrow_64_8, narrow_64_16 = (
    grid(_coded_near, (Read(wide, 1 - NARROW, NARROW - 1), Read(32, -NEAR, 0)), (bits,))
    for wide in (32, 64)
    for bits in (8, 16)
)
right_64_8, right_64_16 = (
    grid(_coded_near, (WIDE, Read(32, -ops.LONGEST_SHIFT, 0)), (bits,)) for bits in (8, 16)
)
coded_32_8, coded_32_16, coded_64_8, coded_64_16 = (
    grid(_coded, (x, DISTANCE, FACTOR), (bits,), (WIDTH,), folds=(ADD_32,))
    for x in (_SUM_32, WIDE)
    for bits in (8, 16)
)

ANYHOW, RIGHT, NARROWLY = 0, 1, 2
"""How the sums of some rows become codes: by the unit's function; by a shift to the right; in 32 bits."""


@kernel
def run_ranks(
    sums: Codes, first: int, last: int, left: int, exponents: int, factors: NDArray[np.int32], real: bool,
    bits: int, raised: bool, high: Codes, low: Codes, tops: NDArray[np.int32], peak: Index,
) -> None:  # fmt: skip
    """Raise every column's rank, and the peak, to the largest of the rows from `first` to `last`.

    `exponents` is the address of those that these rows share.
    """
    n, step = tops.shape[0], sums.shape[1] * item_size(sums)
    row = address(sums) + first * step + left * item_size(sums)
    highest, lowest = row, row  # of a single row
    if last > first + 1:
        high[:], low[:] = 0, 0
        highest, lowest = address(high), address(low)
        kept, rounds, far = (highest, lowest), (last - first) // TOGETHER, TOGETHER * step
        own, together = (step, 0, 0, 0, 0), (far, far, far, far, 0, 0, 0, 0)
        four = (row, row + step, row + 2 * step, row + 3 * step)
        rest, row = last - first - TOGETHER * rounds, row + TOGETHER * rounds * step
        if item_size(sums) == 4:
            together_32(rounds, n, (*four, *kept), kept, together, (), (), 0)
            spread_32(rest, n, (row, *kept), kept, own, (), (), 0)
        else:
            together_64(rounds, n, (*four, *kept), kept, together, (), (), 0)
            spread_64(rest, n, (row, *kept), kept, own, (), (), 0)
    given, to = (highest, lowest, exponents, address(tops)), (address(tops),)
    if item_size(sums) == 4:
        if real:
            ranked_scaled_32(n, (*given, address(factors)), to, (bits, raised), (), address(peak))
        else:
            ranked_32(n, given, to, (bits, raised), (), address(peak))
    elif real:
        ranked_scaled_64(n, (*given, address(factors)), to, (bits, raised), (), address(peak))
    else:
        ranked_64(n, given, to, (bits, raised), (), address(peak))


@kernel
def way_of(distance: NDArray[np.int32], ends: Index, peak: int, size: int) -> int:
    """How to code rows whose columns go as far as `distance` says, none of whose codes saturates.

    `ends` are the longest distances to the left and to the right, and `peak` is the largest of the rows'
    sums, which have `size` bytes. Distances beyond which nothing is left are cut.
    """
    if ends[0] > 0:
        return ANYHOW
    narrow = (peak < NARROW) & ((ends[1] <= NEAR) | (peak < VANISHING))
    if not narrow and size == 4:
        return ANYHOW
    reach = NEAR if narrow else ops.LONGEST_SHIFT
    if ends[1] > reach:
        for j in range(distance.shape[0]):
            distance[j] = max(distance[j], -reach)
    return NARROWLY if narrow else RIGHT


@kernel
def run_codes(
    way: int, sums: Codes, first: int, last: int, left: int, distance: NDArray[np.int32],
    factors: NDArray[np.int32], bits: int, codes: Codes, row: int, saturated: Index,
) -> None:  # fmt: skip
    """The codes, from `row` on, of the rows from `first` to `last`, columns of which start at `left`."""
    n, rows, size, code_size = distance.shape[0], last - first, item_size(sums), item_size(codes)
    step, code_step = sums.shape[1] * size, codes.shape[1] * code_size
    given, steps = (address(sums) + first * step + left * size, address(distance)), (step, 0, code_step)
    out = (address(codes) + row * code_step + left * code_size,)
    if way == NARROWLY:
        if size == 4 and code_size == 1:
            narrow_32_8(rows, n, given, out, steps, (), (), 0)
        elif size == 4:
            narrow_32_16(rows, n, given, out, steps, (), (), 0)
        elif code_size == 1:
            narrow_64_8(rows, n, given, out, steps, (), (), 0)
        else:
            narrow_64_16(rows, n, given, out, steps, (), (), 0)
    elif way == RIGHT:
        if code_size == 1:
            right_64_8(rows, n, given, out, steps, (), (), 0)
        else:
            right_64_16(rows, n, given, out, steps, (), (), 0)
    else:
        scaled, steps_, found = (*given, address(factors)), (step, 0, 0, code_step), address(saturated)
        if size == 4 and code_size == 1:
            coded_32_8(rows, n, scaled, out, steps_, (bits,), (), found)
        elif size == 4:
            coded_32_16(rows, n, scaled, out, steps_, (bits,), (), found)
        elif code_size == 1:
            coded_64_8(rows, n, scaled, out, steps_, (bits,), (), found)
        else:
            coded_64_16(rows, n, scaled, out, steps_, (bits,), (), found)


@kernel
def run_end(groups: Index, valid: NDArray[np.bool_], start: int, last: int) -> int:
    """Where the run of rows ends that are all there, or not, and share the exponents of the first."""
    end = start + 1
    while end < last and groups[end] == groups[start] and valid[end] == valid[start]:
        end += 1
    return end


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
    raised: bool,
    codes: Codes,
    shared: NDArray[np.int16],
    counts: Index,
) -> None:
    """Fill `codes` and `shared`; `counts` are the clamped exponents and the saturated codes.

    Samples lie below each other in the sums, in `codes` and in `shared`; `row_edges` are those of one
    sample, and of each sample of `codes` and `shared` the first rows are written. Row i of the sums has
    the exponents in row ``groups[i]``. Rows that are not `valid` get zero codes and enter no maximum.
    `multipliers` holds one per column, or none at all. `static` is the exponent of every block, or
    `NO_STATIC`; `raised` is that of `units.requantizer`. Of `parts` threads each takes its share of rows
    of blocks, or of their columns.
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
    tops, stored, distance = np.empty(n, np.int32), np.full(n, static, np.int32), np.empty(n, np.int32)
    real, searched, saturated = multipliers.shape[0] > 0, static == NO_STATIC, np.zeros(1, np.int64)
    scales = n if real else 0
    factors, shifts, added = np.ones(n, np.int32), np.empty(scales, np.int32), np.empty(scales, np.int16)
    for j in range(scales):
        factors[j], shifts[j] = multipliers[left + j], multiplier_exponents[left + j]
    peak, ends = np.empty(1, np.int64), np.empty(2, np.int64)
    units = samples * rows
    u0, u1 = (0, units) if by_columns else (units * part // parts, units * (part + 1) // parts)
    for unit in range(u0, u1):
        q, rb = unit // rows, unit % rows
        first, last = q * m + row_edges[rb], q * m + row_edges[rb + 1]
        own_shared, clamped = shared[q * tall + rb], 0
        peak[0] = 0
        if searched:
            tops[:] = NO_RANK
            start = first
            while start < last:
                end = run_end(groups, valid, start, last)
                if valid[start]:
                    under = exponents_of(exponents, groups[start], left, shifts, added)
                    run_ranks(
                        sums, start, end, left, under, factors, real, bits, raised, high, low, tops, peak
                    )
                start = end
            for cb in range(c0, c1):
                begins, stops = column_edges[cb] - left, column_edges[cb + 1] - left
                top = tops[begins:stops].max()
                own_shared[cb] = block_exponent(top, bits)
                stored[begins:stops] = own_shared[cb]
                clamped += is_clamped(top, bits)
        else:
            own_shared[c0:c1] = static
        counts[0] += clamped
        start = first
        while start < last:
            end, row = run_end(groups, valid, start, last), q * height + start - q * m
            if valid[start]:
                ends[:], way = -ops.LONGEST_SHIFT, ANYHOW
                under = exponents_of(exponents, groups[start], left, shifts, added)
                distances(
                    n, (under, address(stored)), (address(distance),), (searched,), (), address(ends)
                )  # fmt: skip
                if searched and raised and not real and clamped == 0:
                    way = way_of(distance, ends, peak[0], item_size(sums))
                run_codes(way, sums, start, end, left, distance, factors, bits, codes, row, saturated)
            else:
                codes[row : row + end - start, left : left + n] = 0
            start = end
    counts[1] += saturated[0]
    finish(team, part, parts)


@kernel
def exponents_of(
    exponents: NDArray[np.int16], g: int, left: int, shifts: NDArray[np.int32], added: NDArray[np.int16]
) -> int:
    """The address of the exponents of every column's sums, or in `added` of their products with factors."""
    own: int = address(exponents) + (g * exponents.shape[1] + left) * item_size(exponents)
    if shifts.shape[0] == 0:
        return own
    to: int = address(added)
    added_exponents(shifts.shape[0], (own, address(shifts)), (to,), (), (), 0)
    return to
