"""The MATMUL kernel for codes with exponents of their own: `units.mac_array` over sums in a window.

Raw sums are 64 bits wide (`window`); what follows is as in `matmul`: every segment is aligned and
accumulated, and every output may have an E of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwmodels.kernels.instructions import address
from hwmodels.kernels.jit import kernel
from hwmodels.kernels.lanes import Number, reading
from hwmodels.kernels.matmul import exponents_of_panel, own_share, spread_exponents
from hwmodels.kernels.panel import Codes, Exponents, Flags, Index, begin_tile, end_tile, raise_tile
from hwmodels.kernels.stream import ADD, Read, Scalar, grid, signed
from hwmodels.kernels.target import PANEL, TILE
from hwmodels.kernels.team import Team, begin, finish
from hwmodels.kernels.window import NO_ANCHOR, Tiles, Words, lift_words, pack_columns, pack_words, window_sums
from hwmodels.units import accumulator, aligner
from hwmodels.units.aligner import RUNNING, align, distance, is_flushed
from hwmodels.units.ops import FLOOR, LONGEST_SHIFT, RNE, ZERO_BLOCK

STRIP = 32
"""Rows that are packed at a time: they stay in a cache while all panels pass."""

SUM_BITS = 63
"""Width of a sum of products, with its sign, that leaves room to be rounded."""

RAW, SHIFT = signed(SUM_BITS, 64), Read(32, -4096, 4096)
WORD = signed(48, 64)

_align, _is_flushed, _add, _overflows = (
    reading.of(f) for f in (align, is_flushed, accumulator.add, accumulator.overflows)
)


def _aligned(given: Sequence[Number], scalars: Sequence[Number], _: Any) -> Sequence[Number]:
    x, shift, total = given
    longest, rounding = scalars
    return total + _align(x, shift, longest, rounding), _is_flushed(x, shift, longest)


def _added(given: Sequence[Number], scalars: Sequence[Number], _: Any) -> Sequence[Number]:
    word, total = given
    bits, saturating = scalars
    return _add(word, total, bits, saturating != 0), _overflows(word, total, bits)


aligned = grid(
    _aligned, (RAW, SHIFT, WORD), (64,), (Scalar(0, LONGEST_SHIFT), Scalar(FLOOR, RNE)), folds=(ADD,)
)
added = grid(_added, (WORD, WORD), (64,), (Scalar(2, 48), Scalar(0, 1)), folds=(ADD,))


@kernel
def panel_window(
    a: Tiles,
    rows: int,
    first_row: int,
    a_exponents: Exponents,
    row_top: Exponents,
    groups: Index,
    panel: Words,
    segments: Index,
    w_exponents: Exponents,
    column_top: Exponents,
    floor: Index,
    bias: Codes,
    bias_exponents: Exponents,
    update: Flags,
    sums: Codes,
    exponents: Exponents,
    o_row: int,
    o_column: int,
    width: int,
    window: tuple[int, int, int],
    normalise: int,
    guard_bits: int,
    max_shift: int,
    rounding: int,
    bits: int,
    saturating: bool,
    counts: Index,
) -> None:
    """Multiply `rows` packed rows with one panel; `window` is its fraction, its rounding, and its reach.

    Everything else is as in `panel.panel_each`.
    """
    fraction, window_rounding, window_reach = window
    reach = aligner.reach(max_shift, fraction)
    depth = w_exponents.shape[0]
    part, shifts = np.empty((TILE, PANEL), np.int64), np.empty((TILE, PANEL), np.int32)
    total, acc = np.empty((TILE, PANEL), np.int64), np.empty((TILE, PANEL), np.int64)
    top, found = np.empty((TILE, PANEL), np.int64), np.zeros(2, np.int64)
    step = 8 * PANEL
    for row in range(0, rows, TILE):
        t, i, taken = row // TILE, first_row + row, min(TILE, rows - row)
        total[:] = 0
        counts[0] += begin_tile(
            i, taken, a_exponents, row_top, w_exponents, column_top, floor, bias, bias_exponents,
            normalise, guard_bits, max_shift, rounding, top, acc,
        )  # fmt: skip
        for s in range(depth):
            window_sums(a, t, panel, segments[s], segments[s + 1], window_rounding, window_reach, part)
            if normalise == RUNNING:
                counts[0] += raise_tile(
                    i, taken, s, a_exponents, w_exponents, max_shift, rounding, top, acc
                )  # fmt: skip
            for r in range(taken):
                e = a_exponents[i + r, s]
                for j in range(PANEL):
                    shifts[r, j] = distance(top[r, j], e + w_exponents[s, j], guard_bits) - fraction
            own = address(total)
            aligned(
                taken, PANEL, (address(part), address(shifts), own), (own,), (step, step // 2, step, step),
                (reach, rounding), (), address(found),
            )  # fmt: skip
            if update[s]:
                own = address(acc)
                added(
                    taken, PANEL, (own, address(total)), (own,), (step, step, step), (bits, saturating), (),
                    address(found) + 8,
                )  # fmt: skip
                total[:] = 0
        end_tile(
            i, taken, groups, top, acc, guard_bits, sums, exponents, o_row + row, o_column, width
        )  # fmt: skip
    counts[0] += found[0]
    counts[1] += found[1]


@kernel
def static_window(
    team: Team,
    part: int,
    parts: int,
    samples: int,
    a: Codes,
    a_shared: Codes,
    a_rows: Index,
    a_blocks: Index,
    words: Words,
    panels: NDArray[np.int32],
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
    window: tuple[int, int, int],
    anchor: int,
    normalise: int,
    guard_bits: int,
    max_shift: int,
    rounding: int,
    bits: int,
    saturating: bool,
    counts: Index,
) -> None:
    """A times weights of `n` columns in packed panels; `words` are those of A's codes.

    `anchor` is the exponent from which they count, or `NO_ANCHOR`; panels are lifted already. Everything
    else is as in `matmul.matmul_static`.
    """
    begin(team, parts)
    top, left, right, places = own_share(samples, sums, a, panels.shape[0], part, parts)
    count = places.shape[0]
    a_exponents = np.empty((count, a_blocks.shape[0]), np.int16)
    row_top = np.empty(count, np.int16)
    spread_exponents(a_shared, a_rows[places], a_blocks, False, a_exponents, row_top)
    k, own_groups = segments[-1], groups[top : top + count]
    packed = np.empty((STRIP // TILE, k, 2, TILE), np.int64)
    for row in range(0, count, STRIP):
        rows = min(STRIP, count - row)
        pack_words(a, places[row : row + rows], 0, k, words, packed)
        if anchor != NO_ANCHOR:
            lift_rows(packed, a_exponents[row : row + rows], segments, anchor, window[2])
        for t in range(left, right):
            column = t * PANEL
            panel_window(
                packed, rows, row, a_exponents, row_top, own_groups, panels[t], segments, w_exponents[t],
                column_top[t], floor[t], bias[t], bias_exponents[t], update, sums, exponents, top + row,
                column, min(PANEL, n - column), window,
                normalise, guard_bits, max_shift, rounding, bits, saturating, counts,
            )  # fmt: skip
    finish(team, part, parts)


@kernel
def dynamic_window(
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
    a_words: Words,
    b: Codes,
    b_shared: Codes,
    b_lines: Index,
    b_blocks: Index,
    b_places: Index,
    b_words: Words,
    transposed: bool,
    floor: Index,
    segments: Index,
    update: Flags,
    sums: Codes,
    exponents: Exponents,
    groups: Index,
    o_places: Index,
    window: tuple[int, int, int],
    anchors: tuple[int, int],
    normalise: int,
    guard_bits: int,
    max_shift: int,
    rounding: int,
    bits: int,
    saturating: bool,
    counts: Index,
) -> None:
    """Groups of A times B, both activations; `a_words` and `b_words` are those of their codes.

    `anchors` are the exponents from which codes of A and of B count, or `NO_ANCHOR`. Everything
    else is as in `matmul.matmul_dynamic`.
    """
    begin(team, parts)
    heads, m = a_rows.shape
    n, depth = b_lines.shape[1], a_blocks.shape[1]
    a_exponents, row_top = np.empty((m, depth), np.int16), np.empty(m, np.int16)
    b_exponents, line_top = np.empty((n, depth), np.int16), np.empty(n, np.int16)
    packed = np.empty(((m + TILE - 1) // TILE, k, 2, TILE), np.int64)
    panel = np.empty((k, 2, PANEL), np.int32)
    w_exponents, column_top = np.empty((depth, PANEL), np.int16), np.empty(PANEL, np.int16)
    no_bias, no_exponents = np.zeros(PANEL, np.int16), np.full(PANEL, ZERO_BLOCK, np.int16)
    rows = np.arange(m)
    a_height, b_height = a.shape[0] // samples, b.shape[0] // samples
    a_tall, b_tall = a_shared.shape[0] // samples, b_shared.shape[0] // samples
    o_height = sums.shape[0] // samples
    for at in range(samples * heads * part // parts, samples * heads * (part + 1) // parts):
        q, g = at // heads, at % heads
        own_a = a_shared[q * a_tall : (q + 1) * a_tall]
        own_b = b_shared[q * b_tall : (q + 1) * b_tall]
        spread_exponents(own_a, a_rows[g], a_blocks[g], False, a_exponents, row_top)
        spread_exponents(own_b, b_lines[g], b_blocks[g], transposed, b_exponents, line_top)
        pack_words(a, q * a_height + a_places[g, 0] + rows, a_places[g, 1], k, a_words, packed)
        if anchors[0] != NO_ANCHOR:
            lift_rows(packed, a_exponents, segments, anchors[0], window[2])
        top_row, left = q * b_height + b_places[g, 0], b_places[g, 1]
        o_row, o_column = q * o_height + o_places[g, 0], o_places[g, 1]
        for column in range(0, n, PANEL):
            width = min(PANEL, n - column)
            exponents_of_panel(b_exponents, line_top, column, width, w_exponents, column_top)
            down, across = (0, column) if transposed else (column, 0)
            pack_columns(b, top_row + down, left + across, width, k, transposed, b_words, panel)
            if anchors[1] != NO_ANCHOR:
                lift_words(panel, w_exponents, segments, anchors[1], window[2])
            panel_window(
                packed, m, 0, a_exponents, row_top, groups[o_row : o_row + m], panel, segments, w_exponents,
                column_top, floor, no_bias, no_exponents, update, sums, exponents, o_row, o_column + column,
                width, window, normalise, guard_bits, max_shift, rounding, bits, saturating, counts,
            )  # fmt: skip
    finish(team, part, parts)


@kernel
def lift_rows(packed: Tiles, exponents: Exponents, segments: Index, anchor: int, reach: int) -> None:
    """`lift_words` of tiles of rows, whose exponents are (rows, segments)."""
    count, depth = exponents.shape
    own = np.full((depth, TILE), ZERO_BLOCK, np.int16)
    for i in range(0, count, TILE):
        for r, line in enumerate(exponents[i : i + TILE]):
            own[:, r] = line
        lift_words(packed[i // TILE], own, segments, anchor, reach)


@kernel
def pack_lines_window(lines: Codes, words: Words) -> NDArray[np.int32]:
    """Weights by lines, (N, K), as panels (panels, K, 2, PANEL)."""
    n, k = lines.shape
    panels = (n + PANEL - 1) // PANEL
    out = np.zeros((panels, k, 2, PANEL), np.int32)
    for t in range(panels):
        pack_columns(lines, t * PANEL, 0, min(PANEL, n - t * PANEL), k, False, words, out[t])
    return out
