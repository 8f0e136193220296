"""The innermost loop of MATMUL: sums of products of a tile's segment, aligned and accumulated.

A tile is `TILE` rows of codes times `PANEL` columns, both packed four steps of the reduction at a time (see
`packed_operands`). There are three ways to the same bits behind one signature, of which the processor and
``BLOCKSIM_MICROKERNEL`` choose one, see `target`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numpy.typing import NDArray

from hwmodels.kernels.instructions import I1, I8, I16, I32, I64, LANES, WORDS, address, load, phi, store
from hwmodels.kernels.jit import emitted, kernel
from hwmodels.kernels.target import KIND, OFFSET, PANEL, PLAIN, ROW_BYTES, STEP, TILE, VNNI
from hwmodels.kernels.tile import SUMS, aligned, aligned_alike, shifted_left, updated
from hwmodels.units.accumulator import add, overflows
from hwmodels.units.aligner import align, is_flushed

LEFT, ALIKE, ANY = 0, 1, 2
"""What is known of a tile's shifts: all rows have the same, none too long, and all to the left; or in either
direction; or nothing."""

Packed = NDArray[Any]
"""Rows by tiles, shape (tiles, steps, TILE, STEP)."""

Panel = NDArray[np.int8]
"""Columns of one panel, shape (steps, PANEL, STEP)."""

Index = NDArray[np.int64]

Part = NDArray[np.int32]
"""32-bit numbers for the columns of a panel: of each row of a tile, or of each segment, or both."""


@emitted
def _dot(typing: Any, a: Any, w: Any, offset: Any, steps: Any, part: Any) -> Any:
    """Raw sums of one segment into `part`; all but `steps` are addresses."""

    def code(context: Any, b: ir.IRBuilder, _signature: Any, given: Any) -> Any:
        for r, row in enumerate(SUMS[KIND](b, *given[:4])):
            for c, v in enumerate(row):
                store(b, v, given[4], 4 * (r * PANEL + c * LANES))
        return context.get_dummy_value()

    return types.void(*[types.int64] * 5), code


@emitted
def _multiply(
    typing: Any, a: Any, w: Any, offset: Any, steps: Any, shifts: Any, stride: Any, total: Any, words: Any,
    ends: Any, mode: Any, longest: Any, rounding: Any, bits: Any, saturating: Any,
) -> Any:  # fmt: skip
    """One segment, aligned and accumulated; returns lost terms, and overflows in the upper 32 bits.

    `ends` has its lowest bit set where the segment is the first that is added up, and the next where the
    accumulator is updated with what was added up. `a` to `offset`, `shifts`, `total` and `words` are
    addresses, `stride` the bytes between the shifts of two rows.
    """

    def code(_context: Any, b: ir.IRBuilder, _signature: Any, given: Any) -> Any:
        a, w, offset, steps, shifts, stride, total, words, *rest = given
        ends, mode, longest, rounding, bits, saturating = (b.trunc(x, I32) for x in rest)
        sums = SUMS[KIND](b, a, w, offset, steps)
        nothing = ir.Constant(I32, 0)
        ways = [b.append_basic_block(name) for name in ("left", "alike", "any")]
        joined = b.append_basic_block("aligned")
        choice = b.switch(mode, ways[ANY])
        for way in (LEFT, ALIKE):
            choice.add_case(ir.Constant(I32, way), ways[way])
        found = []
        for way, block in enumerate(ways):
            b.position_at_end(block)
            lost: ir.Value = nothing
            if way == LEFT:
                grid = shifted_left(b, sums, shifts)
            elif way == ALIKE:
                grid = aligned_alike(b, sums, shifts, rounding)
            else:
                grid, lost = aligned(b, sums, shifts, stride, longest, rounding)
            found.append((grid, lost, b.block))
            b.branch(joined)
        b.position_at_end(joined)
        terms = [
            [phi(b, *((grid[r][c], block) for grid, _, block in found)) for c in range(PANEL // LANES)]
            for r in range(TILE)
        ]
        lost = phi(b, *((lost, block) for _, lost, block in found))
        first = b.icmp_signed("!=", b.and_(ends, ir.Constant(I32, 1)), nothing)
        with b.if_else(first) as (then, otherwise):
            with then:
                from_first = b.block
            with otherwise:
                sums_so_far = [
                    [b.add(v, load(b, total, 4 * (r * PANEL + c * LANES), WORDS)) for c, v in enumerate(row)]
                    for r, row in enumerate(terms)
                ]
                from_more = b.block
        terms = [
            [phi(b, (x, from_first), (y, from_more)) for x, y in zip(*rows, strict=True)]
            for rows in zip(terms, sums_so_far, strict=True)
        ]
        with b.if_else(b.icmp_signed(">=", ends, ir.Constant(I32, 2))) as (then, otherwise):
            with then:
                over = updated(b, terms, words, bits, b.trunc(saturating, I1))
                from_update = b.block
            with otherwise:
                for r, row in enumerate(terms):
                    for c, v in enumerate(row):
                        store(b, v, total, 4 * (r * PANEL + c * LANES))
                from_rest = b.block
        over = phi(b, (over, from_update), (nothing, from_rest))
        return b.or_(b.zext(lost, I64), b.shl(b.zext(over, I64), ir.Constant(I64, 32)))

    return types.int64(*[types.int64] * 14), code


@emitted
def pack_step(typing: Any, to: Any, source: Any) -> Any:
    """Four codes of a row, from one address to another, as `A_TYPE` and with `OFFSET` added."""

    def code(context: Any, b: ir.IRBuilder, _signature: Any, given: Any) -> Any:
        four = ir.VectorType(I8, STEP)
        codes = load(b, given[1], 0, four, align=1)
        if KIND == VNNI:
            packed = b.xor(codes, ir.Constant(four, [-OFFSET] * STEP))  # adds it, modulo 256
        else:
            packed = b.sext(codes, ir.VectorType(I16, STEP))
        b.store(packed, b.inttoptr(given[0], packed.type.as_pointer()), align=STEP)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 2), code


@kernel
def _dot_vector(a: Packed, tile: int, w: Panel, first: Index, s: int, offset: Part, part: Part) -> None:
    row = address(a) + (tile * a.shape[1] + first[s]) * TILE * STEP * a.itemsize
    column = address(w) + first[s] * PANEL * STEP
    _dot(row, column, address(offset) + s * ROW_BYTES, first[s + 1] - first[s], address(part))


@kernel
def _multiply_vector(
    a: Packed, tile: int, w: Panel, first: Index, s: int, offset: Part,
    shifts: Part, total: Part, words: Part, is_first: bool, update: bool, mode: int, alike: bool,
    max_shift: int, rounding: int, bits: int, saturating: bool,
) -> int:  # fmt: skip
    row = address(a) + (tile * a.shape[1] + first[s]) * TILE * STEP * a.itemsize
    column = address(w) + first[s] * PANEL * STEP
    own = ROW_BYTES if alike else TILE * ROW_BYTES
    lost: int = _multiply(
        row, column, address(offset) + s * ROW_BYTES, first[s + 1] - first[s],
        address(shifts) + s * own, 0 if alike else ROW_BYTES,
        address(total), address(words), np.int64(is_first) + 2 * np.int64(update), mode,
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
    shifts: Part, total: Part, words: Part, is_first: bool, update: bool, mode: int, alike: bool,
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


dot = _dot_plain if KIND == PLAIN else _dot_vector
"""Raw sums of segment `s` of a tile: of `a`, packed by tiles, and one panel `w`, into `part`.

`first` are the first packed steps of the segments, and `offset` takes off the `OFFSET` of A.
"""

multiply = _multiply_plain if KIND == PLAIN else _multiply_vector
"""Segment `s` of a tile summed, aligned by its `shifts` (one for all rows where they are `alike`), and
added to `total` (in place of it where the segment `is_first`), and with `update` to the accumulator's
`words`. Returns lost terms, and overflows in the upper 32 bits. `mode` is one of `LEFT`, `ALIKE`, `ANY`."""
