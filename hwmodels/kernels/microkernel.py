"""The innermost loop of MATMUL: sums of products of a tile's segment, aligned and accumulated.

A tile is `TILE` rows of codes times `PANEL` columns, both packed `STEP` steps of the reduction at a time (see
`packed_operands`). There are three ways to the same bits behind one signature, of which the processor and
``BLOCKSIM_MICROKERNEL`` choose one, see `target`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numpy.typing import NDArray

from hwmodels.kernels.instructions import (
    I1,
    I32,
    I64,
    LANES,
    WORDS,
    address,
    load,
    numbers,
    phi,
    store,
)
from hwmodels.kernels.jit import emitted, kernel
from hwmodels.kernels.target import A_TYPE, KIND, PANEL, PLAIN, ROW_BYTES, STEP, TILE
from hwmodels.kernels.tile import SUMS, Addresses, Grid, Setting, accumulated, aligned, either, updated
from hwmodels.units.accumulator import add, overflows
from hwmodels.units.aligner import align, is_flushed

Packed = NDArray[Any]
"""Rows by tiles, shape (tiles, steps, TILE, STEP)."""

Panel = NDArray[np.int8]
"""Columns of one panel, shape (steps, PANEL, STEP)."""

Index = NDArray[np.int64]

Modes = NDArray[np.int8]

Part = NDArray[np.int32]
"""32-bit numbers for the columns of a panel: of each row of a tile, or of each segment, or both."""


def _put(b: ir.IRBuilder, grid: Grid, to: ir.Value) -> None:
    """Store a tile's numbers, row after row."""
    for r, row in enumerate(grid):
        for c, v in enumerate(row):
            store(b, v, to, 4 * (r * PANEL + c * LANES))


@emitted
def _dot(typing: Any, a: Any, w: Any, offset: Any, steps: Any, part: Any) -> Any:
    """Raw sums of one segment into `part`; all but `steps` are addresses."""

    def code(context: Any, b: ir.IRBuilder, _signature: Any, given: Any) -> Any:
        _put(b, SUMS[KIND](b, *given[:4]), given[4])
        return context.get_dummy_value()

    return numbers(a, w, offset, steps, part), code


@emitted
def _multiply(
    typing: Any, a: Any, w: Any, offset: Any, steps: Any, shifts: Any, stride: Any, total: Any, words: Any,
    ends: Any, longest: Any, rounding: Any, bits: Any, saturating: Any,
) -> Any:  # fmt: skip
    """One segment, aligned and accumulated; returns lost terms, and overflows in the upper 32 bits.

    `ends` has its lowest bit set where the segment is the first that is added up, and the next where the
    accumulator is updated with what was added up. `a` to `offset`, `shifts`, `total` and `words` are
    addresses, `stride` the bytes between the shifts of two rows.
    """

    def code(_context: Any, b: ir.IRBuilder, _signature: Any, given: Any) -> Any:
        a, w, offset, steps, shifts, stride, total, words, *rest = given
        ends, longest, rounding, bits, saturating = (b.trunc(x, I32) for x in rest)
        sums = SUMS[KIND](b, a, w, offset, steps)
        terms, lost = aligned(b, sums, shifts, stride, longest, rounding)
        nothing = ir.Constant(I32, 0)

        def added() -> Grid:
            return [
                [b.add(v, load(b, total, 4 * (r * PANEL + c * LANES), WORDS)) for c, v in enumerate(row)]
                for r, row in enumerate(terms)
            ]

        first = b.icmp_signed("!=", b.and_(ends, ir.Constant(I32, 1)), nothing)
        terms = either(b, first, lambda: terms, added)
        with b.if_else(b.icmp_signed(">=", ends, ir.Constant(I32, 2))) as (then, otherwise):
            with then:
                over = updated(b, terms, words, bits, b.trunc(saturating, I1))
                from_update = b.block
            with otherwise:
                _put(b, terms, total)
                from_rest = b.block
        over = phi(b, (over, from_update), (nothing, from_rest))
        return b.or_(b.zext(lost, I64), b.shl(b.zext(over, I64), ir.Constant(I64, 32)))

    return numbers(
        a, w, offset, steps, shifts, stride, total, words, ends, longest, rounding, bits, saturating,
        gives=types.int64,
    ), code  # fmt: skip


@emitted
def _accumulate_vector(
    typing: Any, a: Any, tile: Any, w: Any, first: Any, offset: Any, shifts: Any, modes: Any, start: Any,
    watched: Any, max_shift: Any, rounding: Any, bits: Any, words: Any,
) -> Any:  # fmt: skip
    """See `accumulate`. The arrays are not passed on to a function, which would count references to them."""

    def code(context: Any, b: ir.IRBuilder, signature: Any, given: Any) -> Any:
        def array(i: int) -> Any:
            return context.make_array(signature.args[i])(context, b, given[i])

        places = [b.ptrtoint(array(i).data, I64) for i in (0, 2, 4, 3, 5, 6, 7, 12)]
        size = ir.Constant(I64, TILE * STEP * A_TYPE().itemsize)
        places[0] = b.add(places[0], b.mul(b.mul(given[1], b.extract_value(array(0).shape, 1)), size))
        depth = b.sub(b.extract_value(array(3).shape, 0), ir.Constant(I64, 1))
        watched, _, rounding, bits = given[8:12]
        setting = Setting(b.trunc(rounding, I32), b.trunc(bits, I32), b.trunc(watched, I1))
        found, seen = accumulated(b, Addresses(*places[:-1]), depth, setting)
        _put(b, found, places[-1])
        return seen

    integer = types.int64
    operands = (a, integer, w, first, offset, shifts, modes, start)
    return types.boolean(*operands, types.boolean, integer, integer, integer, words), code


@kernel
def _dot_vector(a: Packed, tile: int, w: Panel, first: Index, s: int, offset: Part, part: Part) -> None:
    row = address(a) + (tile * a.shape[1] + first[s]) * TILE * STEP * a.itemsize
    column = address(w) + first[s] * PANEL * STEP
    _dot(row, column, address(offset) + s * ROW_BYTES, first[s + 1] - first[s], address(part))


@kernel
def _multiply_vector(
    a: Packed, tile: int, w: Panel, first: Index, s: int, offset: Part,
    shifts: Part, total: Part, words: Part, is_first: bool, update: bool, alike: bool,
    max_shift: int, rounding: int, bits: int, saturating: bool,
) -> int:  # fmt: skip
    row = address(a) + (tile * a.shape[1] + first[s]) * TILE * STEP * a.itemsize
    column = address(w) + first[s] * PANEL * STEP
    own = ROW_BYTES if alike else TILE * ROW_BYTES
    lost: int = _multiply(
        row, column, address(offset) + s * ROW_BYTES, first[s + 1] - first[s],
        address(shifts) + s * own, 0 if alike else ROW_BYTES,
        address(total), address(words), np.int64(is_first) + 2 * np.int64(update),
        max_shift, rounding, bits, np.int64(saturating),
    )  # fmt: skip
    return lost


@kernel
def _dot_plain(a: Packed, tile: int, w: Panel, first: Index, s: int, offset: Part, part: Part) -> None:
    for r in range(TILE):
        for j in range(PANEL):
            part[r, j] = offset[s, j]
    for k in range(first[s], first[s + 1]):
        for r in range(TILE):
            for q in range(STEP):
                x = np.int32(a[tile, k, r, q])
                for j in range(PANEL):
                    part[r, j] += x * np.int32(w[k, j, q])


@kernel
def _multiply_plain(
    a: Packed, tile: int, w: Panel, first: Index, s: int, offset: Part,
    shifts: Part, total: Part, words: Part, is_first: bool, update: bool, alike: bool,
    max_shift: int, rounding: int, bits: int, saturating: bool,
) -> int:  # fmt: skip
    part = np.empty((TILE, PANEL), np.int32)
    _dot_plain(a, tile, w, first, s, offset, part)
    flushed, over = 0, 0
    for r in range(TILE):
        own = shifts[s] if alike else shifts[s * TILE + r]
        for j in range(PANEL):
            x: Any = np.int64(part[r, j])
            shift: Any = np.int64(own[j])
            flushed += is_flushed(x, shift, max_shift)
            term = align(x, shift, max_shift, rounding)
            if not is_first:
                term += total[r, j]
            total[r, j] = term
            if update:
                over += overflows(words[r, j], term, bits)
                words[r, j] = add(words[r, j], term, bits, saturating)
    return flushed + (over << 32)


@kernel
def _accumulate_plain(
    a: Packed, tile: int, w: Panel, first: Index, offset: Part, shifts: Part, modes: Modes, start: Part,
    watched: bool, max_shift: int, rounding: int, bits: int, words: Part,
) -> bool:  # fmt: skip
    part = np.empty((TILE, PANEL), np.int32)
    seen = False
    for s in range(first.shape[0] - 1):
        _dot_plain(a, tile, w, first, s, offset, part)
        for r in range(TILE):
            for j in range(PANEL):
                x: Any = np.int64(part[r, j])
                shift: Any = np.int64(shifts[s, j])
                word: Any = np.int64(words[r, j] if s else start[0, j])
                term = align(x, shift, max_shift, rounding)
                seen |= watched & overflows(word, term, bits)
                words[r, j] = word + term
    return seen


dot = _dot_plain if KIND == PLAIN else _dot_vector
"""Raw sums of segment `s` of a tile: of `a`, packed by tiles, and one panel `w`, into `part`.

`first` are the first packed steps of the segments, and `offset` takes off the `OFFSET` of A.
"""

multiply = _multiply_plain if KIND == PLAIN else _multiply_vector
"""Segment `s` of a tile summed, aligned by its `shifts` (one for all rows where they are `alike`), and
added to `total` (in place of it where the segment `is_first`), and with `update` to the accumulator's
`words`. Returns lost terms, and overflows in the upper 32 bits."""

accumulate = _accumulate_plain if KIND == PLAIN else _accumulate_vector
"""All segments of a tile whose rows have the same `shifts`, none too long, into `words` that begin with
`start`. They are right unless it says that one may have overflowed, for which it looks only where they are
`watched`. `modes` are zero for segments that shift nothing to the right."""
