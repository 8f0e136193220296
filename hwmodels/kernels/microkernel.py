"""The innermost loop of MATMUL: sums of products of a tile's segment, aligned and accumulated in registers.

A tile is `TILE` rows of codes times `PANEL` columns, both packed four steps of the reduction at a time (see
`packed_operands`). There are three ways to the same bits behind one signature, of which the processor and
``BLOCKSIM_MICROKERNEL`` choose one: `VNNI`, where the processor multiplies and sums four bytes in one
instruction; `PORTABLE`, vector code for any processor; and `PLAIN`, loops over the units' own functions. The
first two are a second formula for what `units.mac_array` says, in 32 bits: their callers see to it that no
sum leaves them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import registry
from numba.core.cgutils import raw_memcpy
from numpy.typing import NDArray

from hwmodels.kernels.jit import emitted, kernel
from hwmodels.kernels.lanes import Lanes, at, constant, largest, magnitude, select, shift_right, smallest
from hwmodels.units.accumulator import add, overflows
from hwmodels.units.aligner import align, is_flushed
from hwmodels.units.ops import FLOOR, RNE

TILE, PANEL, STEP = 8, 32, 4
"""Rows and columns of a tile, and steps of the reduction that are packed together."""

LANES = 16
"""Columns of one vector."""

PLAIN, PORTABLE, VNNI = "plain", "portable", "vnni"


def processor_features() -> str:
    """What the processor that code is compiled for can do, as LLVM names it."""
    return str(registry.cpu_target.target_context.codegen()._tm_features)


def best() -> str:
    """The fastest way that the processor has, or the one that ``BLOCKSIM_MICROKERNEL`` names.

    Raises
    ------
    ValueError
        If it names none, or one that the processor lacks.
    """
    able = [PLAIN, PORTABLE] + [VNNI] * ("+avx512vnni" in processor_features())
    named = os.environ.get("BLOCKSIM_MICROKERNEL", able[-1])
    if named not in able:
        raise ValueError(f"environment: BLOCKSIM_MICROKERNEL: {named}: give one of {', '.join(able)}")
    return named


KIND = best()

LEFT, ALIKE, ANY = 0, 1, 2
"""What is known of a tile's shifts: all rows have the same, none too long, and all to the left; or in either
direction; or nothing."""

OFFSET = 128 if KIND == VNNI else 0
"""What is added to the codes of A: the instruction takes them without a sign."""

A_TYPE: Any = np.uint8 if KIND == VNNI else np.int16

I16, I32, I64 = ir.IntType(16), ir.IntType(32), ir.IntType(64)
WORDS = ir.VectorType(I32, LANES)

Packed = NDArray[Any]
"""Rows by tiles, shape (tiles, steps, TILE, STEP)."""

Panel = NDArray[np.int8]
"""Columns of one panel, shape (steps, PANEL, STEP)."""

Index = NDArray[np.int64]

Part = NDArray[np.int32]
"""32-bit numbers for the columns of a panel: of each row of a tile, or of each segment, or both."""

Grid = list[list[ir.Value]]
"""For every row of a tile and every vector of its columns a vector."""


def _vector(b: ir.IRBuilder, address: ir.Value, byte: int, kind: ir.Type, align: int = 4) -> ir.Value:
    """A vector in memory at `byte` after an address."""
    return b.load(b.inttoptr(b.add(address, ir.Constant(I64, byte)), kind.as_pointer()), align=align)


def _store(b: ir.IRBuilder, value: ir.Value, address: ir.Value, byte: int) -> None:
    b.store(value, b.inttoptr(b.add(address, ir.Constant(I64, byte)), value.type.as_pointer()), align=4)


def _splat(b: ir.IRBuilder, x: ir.Value, count: int) -> ir.Value:
    kind = ir.VectorType(x.type, count)
    one = b.insert_element(ir.Constant(kind, ir.Undefined), x, ir.Constant(I32, 0))
    return b.shuffle_vector(
        one, ir.Constant(kind, ir.Undefined), ir.Constant(ir.VectorType(I32, count), [0] * count)
    )


def _reduced(b: ir.IRBuilder, operation: str, x: ir.Value) -> ir.Value:
    """A vector's lanes added up, or what any of them has set (``or``)."""
    name = f"llvm.vector.reduce.{operation}.v{x.type.count}i{x.type.element.width}"
    function = b.module.globals.get(name) or ir.Function(
        b.module, ir.FunctionType(x.type.element, [x.type]), name
    )
    return b.call(function, [x])


def _steps(b: ir.IRBuilder, count: ir.Value, start: Grid, body: Callable[[ir.Value, Grid], Grid]) -> Grid:
    """Repeat `body` for so many packed steps of the reduction, with sums in registers."""
    before = b.block
    loop, done = b.append_basic_block("step"), b.append_basic_block("summed")
    b.branch(loop)
    b.position_at_end(loop)
    k = b.phi(I64)
    k.add_incoming(ir.Constant(I64, 0), before)
    sums = [[b.phi(v.type) for v in row] for row in start]
    for row, first in zip(sums, start, strict=True):
        for phi, v in zip(row, first, strict=True):
            phi.add_incoming(v, before)
    after = body(k, sums)
    following = b.add(k, ir.Constant(I64, 1))
    k.add_incoming(following, b.block)
    for row, last in zip(sums, after, strict=True):
        for phi, v in zip(row, last, strict=True):
            phi.add_incoming(v, b.block)
    b.cbranch(b.icmp_signed("<", following, count), loop, done)
    b.position_at_end(done)
    return after


def _sums_vnni(b: ir.IRBuilder, a: ir.Value, w: ir.Value, offset: ir.Value, count: ir.Value) -> Grid:
    """Sums of products by ``vpdpbusd``; `offset` takes off what `OFFSET` adds."""
    across = PANEL // LANES
    start = [_vector(b, offset, c * 4 * LANES, WORDS) for c in range(across)]
    name = "llvm.x86.avx512.vpdpbusd.512"  # declared over words: newer LLVM reads that as over bytes
    instruction = b.module.globals.get(name) or ir.Function(
        b.module, ir.FunctionType(WORDS, [WORDS] * 3), name
    )

    def body(k: ir.Value, sums: Grid) -> Grid:
        left = b.add(a, b.mul(k, ir.Constant(I64, TILE * STEP)))
        right = b.add(w, b.mul(k, ir.Constant(I64, PANEL * STEP)))
        columns = [_vector(b, right, c * 4 * LANES, WORDS) for c in range(across)]
        rows = [_splat(b, _vector(b, left, r * STEP, I32), LANES) for r in range(TILE)]
        return [
            [b.call(instruction, [s, row, column]) for s, column in zip(own, columns, strict=True)]
            for own, row in zip(sums, rows, strict=True)
        ]

    return _steps(b, count, [start] * TILE, body)


def _sums_portable(b: ir.IRBuilder, a: ir.Value, w: ir.Value, offset: ir.Value, count: ir.Value) -> Grid:
    """Sums of products of 16-bit codes, in pairs, for as many rows and columns as registers hold."""
    wide = "+avx512bw" in processor_features()
    rows, lanes = (TILE, LANES) if wide else (4, LANES // 2)
    del offset
    found: dict[tuple[int, int], ir.Value] = {}
    for r0 in range(0, TILE, rows):
        for c0 in range(0, PANEL, lanes):
            zero = ir.Constant(ir.VectorType(I32, 2 * lanes), [0] * 2 * lanes)

            def body(k: ir.Value, sums: Grid, r0: int = r0, c0: int = c0) -> Grid:
                left = b.add(a, b.mul(k, ir.Constant(I64, TILE * STEP * 2)))
                right = b.add(w, b.mul(k, ir.Constant(I64, PANEL * STEP)))
                codes = _vector(b, right, c0 * STEP, ir.VectorType(ir.IntType(8), lanes * STEP))
                column = b.sext(codes, ir.VectorType(I16, lanes * STEP))
                out = []
                for r in range(rows):
                    four = _splat(b, _vector(b, left, (r0 + r) * STEP * 2, I64), lanes)
                    row = b.bitcast(four, column.type)
                    products = b.mul(*(b.sext(x, ir.VectorType(I32, lanes * STEP)) for x in (row, column)))
                    out.append([b.add(sums[r][0], _pairs(b, products))])
                return out

            sums = _steps(b, count, [[zero]] * rows, body)
            for r in range(rows):
                found[r0 + r, c0] = _pairs(b, sums[r][0])
    return [
        [_joined(b, [found[r, c + i] for i in range(0, LANES, lanes)]) for c in range(0, PANEL, LANES)]
        for r in range(TILE)
    ]


def _pairs(b: ir.IRBuilder, x: ir.Value) -> ir.Value:
    """The sums of a vector's neighbours."""
    n = x.type.count // 2
    kind, none = ir.VectorType(I32, n), ir.Constant(x.type, ir.Undefined)
    even, odd = (ir.Constant(kind, [2 * i + odd for i in range(n)]) for odd in (0, 1))
    return b.add(b.shuffle_vector(x, none, even), b.shuffle_vector(x, none, odd))


def _joined(b: ir.IRBuilder, parts: list[ir.Value]) -> ir.Value:
    """Vectors side by side."""
    while len(parts) > 1:
        n = 2 * parts[0].type.count
        order = ir.Constant(ir.VectorType(I32, n), list(range(n)))
        parts = [b.shuffle_vector(x, y, order) for x, y in zip(parts[::2], parts[1::2], strict=True)]
    return parts[0]


_SUMS = {VNNI: _sums_vnni, PORTABLE: _sums_portable}


def _lanes(b: ir.IRBuilder, value: ir.Value, low: int = -(1 << 31), high: int = (1 << 31) - 1) -> Lanes:
    return Lanes(b, value, low, high, LANES)


def _aligned(
    b: ir.IRBuilder, sums: Grid, shifts: ir.Value, stride: ir.Value, longest: ir.Value, rounding: ir.Value
) -> tuple[Grid, ir.Value]:
    """The sums shifted, rounded, or lost where their shift is too long; and how many were lost."""
    most, rule = _lanes(b, _splat(b, longest, LANES)), _lanes(b, _splat(b, rounding, LANES))
    lost: ir.Value = ir.Constant(WORDS, [0] * LANES)
    out = []
    for r, row in enumerate(sums):
        own = b.add(shifts, b.mul(stride, ir.Constant(I64, r)))
        aligned = []
        for c, value in enumerate(row):
            x = _lanes(b, value, -(1 << 29), (1 << 29) - 1)
            shift = _lanes(b, _vector(b, own, 4 * c * LANES, WORDS), -1023, 1023)
            left = _lanes(b, b.shl(value, smallest(largest(shift, 0), 31).at(32)))
            right = shift_right(x, largest(-shift, 0), rule)
            kept = magnitude(shift) <= most
            aligned.append(at(x, select(kept, select(shift > 0, left, right), 0), 32))
            gone = (x != 0) & (magnitude(shift) > most)
            lost = b.add(lost, gone.at(32))
        out.append(aligned)
    return out, _reduced(b, "add", lost)


def _aligned_alike(b: ir.IRBuilder, sums: Grid, shifts: ir.Value, rounding: ir.Value) -> Grid:
    """The sums shifted and rounded, where all rows have the same shifts and none is too long.

    What `lanes.shift_right` adds before it shifts is the same in every row.
    """
    rule = _lanes(b, _splat(b, rounding, LANES))
    out: Grid = [[] for _ in sums]
    for c in range(PANEL // LANES):
        shift = _lanes(b, _vector(b, shifts, 4 * c * LANES, WORDS), -31, 31)
        left, right = largest(shift, 0).at(32), largest(-shift, 0)
        half = (constant(shift, 1) << largest(right - 1, 0)) * select(right > 0, 1, 0)
        to_even = select(rule == RNE, smallest(half, 1), 0).at(32)
        up = b.sub(select(rule != FLOOR, half, 0).at(32), to_even)
        for r, row in enumerate(sums):
            x = b.shl(row[c], left)
            odd = b.and_(b.ashr(x, right.at(32)), to_even)
            out[r].append(b.ashr(b.add(b.add(x, up), odd), right.at(32)))
    return out


def _shifted_left(b: ir.IRBuilder, sums: Grid, shifts: ir.Value) -> Grid:
    """The sums shifted left, where all rows have the same shifts, all of them to the left."""
    left = [_vector(b, shifts, 4 * c * LANES, WORDS) for c in range(PANEL // LANES)]
    return [[b.shl(v, by) for v, by in zip(row, left, strict=True)] for row in sums]


def _updated(b: ir.IRBuilder, terms: Grid, words: ir.Value, bits: ir.Value, saturating: ir.Value) -> ir.Value:
    """Add the terms to the accumulator's words; returns how many overflow."""
    one, zero = ir.Constant(I32, 1), ir.Constant(WORDS, [0] * LANES)
    sign = ir.Constant(WORDS, [-(1 << 31)] * LANES)
    top = b.shl(one, b.sub(bits, one))
    half, span = _splat(b, top, LANES), _splat(b, b.sub(b.shl(top, one), one), LANES)
    beyond = b.not_(span)
    seen: ir.Value = zero
    before, after = [], []
    for r, row in enumerate(terms):
        for c, term in enumerate(row):
            word = _vector(b, words, 4 * (r * PANEL + c * LANES), WORDS)
            total = b.add(word, term)
            around = b.and_(b.and_(b.xor(word, total), b.xor(term, total)), sign)
            seen = b.or_(seen, b.or_(around, b.and_(b.add(total, half), beyond)))
            before.append((word, term, 4 * (r * PANEL + c * LANES)))
            after.append(total)
    none = b.icmp_signed("==", _reduced(b, "or", seen), ir.Constant(I32, 0))
    with b.if_else(none, likely=True) as (then, otherwise):
        with then:
            for (_, _, byte), total in zip(before, after, strict=True):
                _store(b, total, words, byte)
            from_none = b.block
        with otherwise:
            over: ir.Value = zero
            spare = _splat(b, b.sub(ir.Constant(I32, 32), bits), LANES)
            highest = b.sub(half, ir.Constant(WORDS, [1] * LANES))
            for (word, term, byte), total in zip(before, after, strict=True):
                around = b.and_(b.and_(b.xor(word, total), b.xor(term, total)), sign)
                is_over = b.icmp_signed("!=", b.or_(around, b.and_(b.add(total, half), beyond)), zero)
                held = b.select(b.icmp_signed("<", term, zero), b.not_(highest), highest)
                wrapped = b.ashr(b.shl(total, spare), spare)
                brought_back = b.select(_splat(b, saturating, LANES), held, wrapped)
                _store(b, b.select(is_over, brought_back, total), words, byte)
                over = b.add(over, b.zext(is_over, WORDS))
            over = _reduced(b, "add", over)
            from_some = b.block
    return _phi(b, (ir.Constant(I32, 0), from_none), (over, from_some))


@emitted
def _dot(typing: Any, a: Any, w: Any, offset: Any, steps: Any, part: Any) -> Any:
    """Raw sums of one segment into `part`; all but `steps` are addresses."""

    def code(context: Any, b: ir.IRBuilder, _signature: Any, given: Any) -> Any:
        for r, row in enumerate(_SUMS[KIND](b, *given[:4])):
            for c, v in enumerate(row):
                _store(b, v, given[4], 4 * (r * PANEL + c * LANES))
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
        sums = _SUMS[KIND](b, a, w, offset, steps)
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
                grid = _shifted_left(b, sums, shifts)
            elif way == ALIKE:
                grid = _aligned_alike(b, sums, shifts, rounding)
            else:
                grid, lost = _aligned(b, sums, shifts, stride, longest, rounding)
            found.append((grid, lost, b.block))
            b.branch(joined)
        b.position_at_end(joined)
        terms = [
            [_phi(b, *((grid[r][c], block) for grid, _, block in found)) for c in range(PANEL // LANES)]
            for r in range(TILE)
        ]
        lost = _phi(b, *((lost, block) for _, lost, block in found))
        first = b.icmp_signed("!=", b.and_(ends, ir.Constant(I32, 1)), nothing)
        with b.if_else(first) as (then, otherwise):
            with then:
                from_first = b.block
            with otherwise:
                sums_so_far = [
                    [
                        b.add(v, _vector(b, total, 4 * (r * PANEL + c * LANES), WORDS))
                        for c, v in enumerate(row)
                    ]
                    for r, row in enumerate(terms)
                ]
                from_more = b.block
        terms = [
            [_phi(b, (x, from_first), (y, from_more)) for x, y in zip(*rows, strict=True)]
            for rows in zip(terms, sums_so_far, strict=True)
        ]
        with b.if_else(b.icmp_signed(">=", ends, ir.Constant(I32, 2))) as (then, otherwise):
            with then:
                over = _updated(b, terms, words, bits, b.trunc(saturating, ir.IntType(1)))
                from_update = b.block
            with otherwise:
                for r, row in enumerate(terms):
                    for c, v in enumerate(row):
                        _store(b, v, total, 4 * (r * PANEL + c * LANES))
                from_rest = b.block
        over = _phi(b, (over, from_update), (nothing, from_rest))
        return b.or_(b.zext(lost, I64), b.shl(b.zext(over, I64), ir.Constant(I64, 32)))

    return types.int64(*[types.int64] * 14), code


def _phi(b: ir.IRBuilder, *incoming: tuple[ir.Value, ir.Block]) -> ir.Value:
    phi = b.phi(incoming[0][0].type)
    for value, block in incoming:
        phi.add_incoming(value, block)
    return phi


@emitted
def address(typing: Any, array: Any) -> Any:
    """Where an array's elements lie. Unlike ``array.ctypes.data`` it counts no reference."""

    def code(context: Any, b: ir.IRBuilder, signature: Any, given: Any) -> Any:
        data = context.make_array(signature.args[0])(context, b, given[0]).data
        return b.ptrtoint(data, I64)

    return types.int64(array), code


@emitted
def copy(typing: Any, to: Any, source: Any, size: Any) -> Any:
    """Copy `size` bytes from one address to another."""

    def code(context: Any, b: ir.IRBuilder, _signature: Any, given: Any) -> Any:
        pointer = ir.IntType(8).as_pointer()
        raw_memcpy(b, b.inttoptr(given[0], pointer), b.inttoptr(given[1], pointer), given[2], 1)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 3), code


@emitted
def pack_step(typing: Any, to: Any, source: Any) -> Any:
    """Four codes of a row, from one address to another, as `A_TYPE` and with `OFFSET` added."""

    def code(context: Any, b: ir.IRBuilder, _signature: Any, given: Any) -> Any:
        four = ir.VectorType(ir.IntType(8), STEP)
        codes = _vector(b, given[1], 0, four, align=1)
        if KIND == VNNI:
            packed = b.xor(codes, ir.Constant(four, [-OFFSET] * STEP))  # adds it, modulo 256
        else:
            packed = b.sext(codes, ir.VectorType(I16, STEP))
        b.store(packed, b.inttoptr(given[0], packed.type.as_pointer()), align=STEP)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 2), code


ROW_BYTES = 4 * PANEL
"""Of 32-bit numbers, one for each column of a panel."""


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
