"""The MATMUL kernel: `units.mac_array` over whole operands, panel by panel.

Sums have a row each; their exponents are those of a group of rows, see `groups`, which is what a block of A
has in common. Of `parts` threads that work on one product, each takes its share of rows, panels or groups.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwmodels.kernels.alignment import runs_of
from hwmodels.kernels.jit import kernel
from hwmodels.kernels.packed_operands import pack_panel, pack_rows, packed_steps
from hwmodels.kernels.panel import Codes, Exponents, Flags, Index, panel_bound, panel_each
from hwmodels.kernels.target import A_TYPE, PANEL, STEP, TILE
from hwmodels.kernels.team import Team, begin, finish
from hwmodels.units.aligner import BOUND
from hwmodels.units.mac_array import MacArrayConfig
from hwmodels.units.ops import ZERO_BLOCK, largest

__all__ = ["PANEL", "matmul_dynamic", "matmul_static", "stays_narrow"]

STRIP = 128
"""Rows that are packed at a time: they stay in a cache while all panels pass."""

LEAST_ROWS = 32
"""Rows of each thread from which on threads share rows: each packs its own, and reads all panels."""


def stays_narrow(config: MacArrayConfig, a_bits: int, b_bits: int, segments: Index, update: Flags) -> bool:
    """Whether no sum of such a product can leave 32 bits, so that `panel_bound` may keep it there.

    A raw sum has to leave room for a rounding addend, and the terms of one update for the word itself.
    """
    # two's complement has one value more, in codes that are not of a symmetric format
    largest_product = 1 << (a_bits - 1) + (b_bits - 1)
    updates = np.append(0, segments[1:][update])
    longest, guard = int(np.diff(segments).max()), max(config.aligner.guard_bits, 0)
    together = int(np.diff(updates).max()) * largest_product << guard
    fits = longest * largest_product < 1 << 29 and together + len(segments) < 1 << 30
    return config.normalise == BOUND and config.accumulator.bits <= 32 and fits


@kernel
def share(count: int, part: int, parts: int, unit: int) -> tuple[int, int]:
    """Where the share of one thread of so many starts and ends; shares are whole units but for the last."""
    first, last = count * part // parts // unit * unit, count * (part + 1) // parts // unit * unit
    return first, count if part + 1 == parts else last


@kernel
def spread_exponents(
    shared: Codes, rows: Index, blocks: Index, transposed: bool, out: Exponents, top: Exponents
) -> None:
    """One exponent per line and segment, and each line's largest.

    `rows` is the block of each line and `blocks` the block of each segment; `transposed` says that the
    segments run along the rows of `shared`.
    """
    for i in range(out.shape[0]):
        highest = ZERO_BLOCK
        for s in range(out.shape[1]):
            e = shared[blocks[s], rows[i]] if transposed else shared[rows[i], blocks[s]]
            out[i, s] = e
            highest = largest(highest, e)
        top[i] = highest


@kernel
def own_share(
    samples: int, sums: Codes, a: Codes, panels: int, part: int, parts: int
) -> tuple[int, int, int, Index]:
    """A thread's share of a product: its first row of sums, its panels from and to, its rows' places in A.

    Threads share rows where each gets enough of them, and else panels.
    """
    m, height = sums.shape[0] // samples, a.shape[0] // samples
    by_rows = samples * m >= parts * LEAST_ROWS
    top, bottom = share(samples * m, part, parts, TILE) if by_rows else (0, samples * m)
    left, right = (0, panels) if by_rows else share(panels, part, parts, 1)
    places = np.empty(bottom - top if left < right else 0, np.int64)
    for i in range(places.shape[0]):
        places[i] = (top + i) // m * height + (top + i) % m
    return top, left, right, places


@kernel
def exponents_of_panel(
    b_exponents: Exponents,
    line_top: Exponents,
    column: int,
    width: int,
    out: Exponents,
    top: Exponents,
) -> None:
    """Of `width` lines from `column` on their exponents by segment, and each one's largest; zeros beyond."""
    for j in range(PANEL):
        inside = j < width
        top[j] = line_top[column + j] if inside else ZERO_BLOCK
        for s in range(out.shape[0]):
            out[s, j] = b_exponents[column + j, s] if inside else ZERO_BLOCK


@kernel
def matmul_static(
    team: Team,
    part: int,
    parts: int,
    samples: int,
    a: Codes,
    a_shared: Codes,
    a_rows: Index,
    a_blocks: Index,
    panels: NDArray[np.int8],
    offsets: NDArray[np.int32],
    limits: NDArray[np.int32],
    w_exponents: Exponents,
    column_top: Exponents,
    floor: Index,
    bias: Codes,
    bias_exponents: Exponents,
    segments: Index,
    update: Flags,
    sums: Codes,
    exponents: Exponents,
    groups: Index,
    n: int,
    narrow: bool,
    normalise: int,
    guard_bits: int,
    max_shift: int,
    rounding: int,
    bits: int,
    saturating: bool,
    counts: Index,
) -> None:
    """A times weights of `n` columns that lie in packed panels.

    Samples lie below each other, in `a` and in the sums; of each sample of `a` the first rows are read,
    as many as the sums have. `a_rows` is the block of every row of `a`. `narrow` says that no sum leaves
    32 bits under `BOUND`.
    """
    begin(team, parts)
    top, left, right, places = own_share(samples, sums, a, panels.shape[0], part, parts)
    first = packed_steps(segments)
    a_exponents = np.empty((places.shape[0], a_blocks.shape[0]), np.int16)
    row_top = np.empty(places.shape[0], np.int16)
    spread_exponents(a_shared, a_rows[places], a_blocks, False, a_exponents, row_top)
    runs, own_groups = runs_of(a_exponents), groups[top : top + places.shape[0]]
    packed = np.empty((STRIP // TILE, first[-1], TILE, STEP), A_TYPE)
    for row in range(0, places.shape[0], STRIP):
        rows = min(STRIP, places.shape[0] - row)
        pack_rows(a, places[row : row + rows], 0, segments, first, packed)
        for t in range(left, right):
            column = t * PANEL
            width = min(PANEL, n - column)
            if narrow:
                panel_bound(
                    packed, rows, row, a_exponents, row_top, runs, own_groups, panels[t], first, offsets[t],
                    limits[t], w_exponents[t], column_top[t], floor[t], bias[t], bias_exponents[t], update,
                    sums.view(np.int32), exponents, top + row, column, width,
                    guard_bits, max_shift, rounding, bits, saturating, counts,
                )  # fmt: skip
            else:
                panel_each(
                    packed, rows, row, a_exponents, row_top, own_groups, panels[t], first, offsets[t],
                    w_exponents[t], column_top[t], floor[t], bias[t], bias_exponents[t], update,
                    sums, exponents, top + row, column, width,
                    normalise, guard_bits, max_shift, rounding, bits, saturating, counts,
                )  # fmt: skip
    finish(team, part, parts)


@kernel
def matmul_dynamic(
    team: Team,
    part: int,
    parts: int,
    samples: int,
    k: int,
    a: Codes,
    a_shared: Codes,
    a_rows: Index,
    a_blocks: Index,
    a_places: Index,
    b: Codes,
    b_shared: Codes,
    b_lines: Index,
    b_blocks: Index,
    b_places: Index,
    transposed: bool,
    floor: Index,
    segments: Index,
    update: Flags,
    sums: Codes,
    exponents: Exponents,
    groups: Index,
    o_places: Index,
    narrow: bool,
    normalise: int,
    guard_bits: int,
    max_shift: int,
    rounding: int,
    bits: int,
    saturating: bool,
    counts: Index,
) -> None:
    """Groups of A times B, both activations, for every sample; samples lie below each other.

    Per group: `a_rows` and `b_lines` are the block of each row and line, `a_blocks` and `b_blocks` that
    of each segment, and the places its first row and column in a, b and the sums.
    """
    begin(team, parts)
    heads, m = a_rows.shape
    n, depth = b_lines.shape[1], a_blocks.shape[1]
    a_exponents, row_top = np.empty((m, depth), np.int16), np.empty(m, np.int16)
    b_exponents, line_top = np.empty((n, depth), np.int16), np.empty(n, np.int16)
    first = packed_steps(segments)
    packed = np.empty(((m + TILE - 1) // TILE, first[-1], TILE, STEP), A_TYPE)
    panel = np.zeros((first[-1], PANEL, STEP), np.int8)
    offset, limit = np.zeros((depth, PANEL), np.int32), np.zeros((depth, PANEL), np.int32)
    w_exponents, column_top = np.empty((depth, PANEL), np.int16), np.empty(PANEL, np.int16)
    rows = np.arange(m)
    no_bias = np.zeros(PANEL, np.int16)
    no_exponents = np.full(PANEL, ZERO_BLOCK, np.int16)
    a_height, b_height = a.shape[0] // samples, b.shape[0] // samples
    a_tall, b_tall = a_shared.shape[0] // samples, b_shared.shape[0] // samples
    o_height = sums.shape[0] // samples
    for at in range(samples * heads * part // parts, samples * heads * (part + 1) // parts):
        q, g = at // heads, at % heads
        own_a = a_shared[q * a_tall : (q + 1) * a_tall]
        own_b = b_shared[q * b_tall : (q + 1) * b_tall]
        spread_exponents(own_a, a_rows[g], a_blocks[g], False, a_exponents, row_top)
        spread_exponents(own_b, b_lines[g], b_blocks[g], transposed, b_exponents, line_top)
        runs = runs_of(a_exponents)
        pack_rows(a, q * a_height + a_places[g, 0] + rows, a_places[g, 1], segments, first, packed)
        top_row, left = q * b_height + b_places[g, 0], b_places[g, 1]
        o_row, o_column = q * o_height + o_places[g, 0], o_places[g, 1]
        own_groups = groups[o_row : o_row + m]
        for column in range(0, n, PANEL):
            width = min(PANEL, n - column)
            exponents_of_panel(b_exponents, line_top, column, width, w_exponents, column_top)
            if width < PANEL:
                panel[:] = 0  # columns of an earlier panel must not count as flushed
            down, across = (0, column) if transposed else (column, 0)
            pack_panel(
                b, top_row + down, left + across, width, transposed, segments, first, panel, offset, limit
            )  # fmt: skip
            if narrow:
                panel_bound(
                    packed, m, 0, a_exponents, row_top, runs, own_groups, panel, first, offset,
                    limit, w_exponents, column_top, floor, no_bias, no_exponents, update,
                    sums.view(np.int32), exponents, o_row, o_column + column, width,
                    guard_bits, max_shift, rounding, bits, saturating, counts,
                )  # fmt: skip
            else:
                panel_each(
                    packed, m, 0, a_exponents, row_top, own_groups, panel, first, offset,
                    w_exponents, column_top, floor, no_bias, no_exponents, update,
                    sums, exponents, o_row, o_column + column, width,
                    normalise, guard_bits, max_shift, rounding, bits, saturating, counts,
                )  # fmt: skip
    finish(team, part, parts)
