"""The code of a tile: sums of products of one segment, aligned and accumulated in registers.

A second formula for what `units.mac_array` says, in 32 bits: its callers see to it that no sum leaves them.
"""

from __future__ import annotations

from collections.abc import Callable

from llvmlite import ir

from hwmodels.kernels.instructions import (
    I8,
    I16,
    I32,
    I64,
    LANES,
    WORDS,
    joined,
    load,
    pairs,
    phi,
    reduced,
    splat,
    store,
)
from hwmodels.kernels.lanes import Lanes, at, constant, largest, magnitude, select, shift_right, smallest
from hwmodels.kernels.target import PANEL, PORTABLE, STEP, TILE, VNNI, processor_features
from hwmodels.units.ops import FLOOR, RNE

Grid = list[list[ir.Value]]
"""For every row of a tile and every vector of its columns a vector."""


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
        for own, v in zip(row, first, strict=True):
            own.add_incoming(v, before)
    after = body(k, sums)
    following = b.add(k, ir.Constant(I64, 1))
    k.add_incoming(following, b.block)
    for row, last in zip(sums, after, strict=True):
        for own, v in zip(row, last, strict=True):
            own.add_incoming(v, b.block)
    b.cbranch(b.icmp_signed("<", following, count), loop, done)
    b.position_at_end(done)
    return after


def sums_vnni(b: ir.IRBuilder, a: ir.Value, w: ir.Value, offset: ir.Value, count: ir.Value) -> Grid:
    """Sums of products by ``vpdpbusd``; `offset` takes off what `OFFSET` adds."""
    across = PANEL // LANES
    start = [load(b, offset, c * 4 * LANES, WORDS) for c in range(across)]
    name = "llvm.x86.avx512.vpdpbusd.512"  # declared over words: newer LLVM reads that as over bytes
    instruction = b.module.globals.get(name) or ir.Function(
        b.module, ir.FunctionType(WORDS, [WORDS] * 3), name
    )

    def body(k: ir.Value, sums: Grid) -> Grid:
        left = b.add(a, b.mul(k, ir.Constant(I64, TILE * STEP)))
        right = b.add(w, b.mul(k, ir.Constant(I64, PANEL * STEP)))
        columns = [load(b, right, c * 4 * LANES, WORDS) for c in range(across)]
        rows = [splat(b, load(b, left, r * STEP, I32), LANES) for r in range(TILE)]
        return [
            [b.call(instruction, [s, row, column]) for s, column in zip(own, columns, strict=True)]
            for own, row in zip(sums, rows, strict=True)
        ]

    return _steps(b, count, [start] * TILE, body)


def sums_portable(b: ir.IRBuilder, a: ir.Value, w: ir.Value, offset: ir.Value, count: ir.Value) -> Grid:
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
                codes = load(b, right, c0 * STEP, ir.VectorType(I8, lanes * STEP))
                column = b.sext(codes, ir.VectorType(I16, lanes * STEP))
                out = []
                for r in range(rows):
                    four = splat(b, load(b, left, (r0 + r) * STEP * 2, I64), lanes)
                    row = b.bitcast(four, column.type)
                    products = b.mul(*(b.sext(x, ir.VectorType(I32, lanes * STEP)) for x in (row, column)))
                    out.append([b.add(sums[r][0], pairs(b, products))])
                return out

            sums = _steps(b, count, [[zero]] * rows, body)
            for r in range(rows):
                found[r0 + r, c0] = pairs(b, sums[r][0])
    return [
        [joined(b, [found[r, c + i] for i in range(0, LANES, lanes)]) for c in range(0, PANEL, LANES)]
        for r in range(TILE)
    ]


SUMS = {VNNI: sums_vnni, PORTABLE: sums_portable}
"""The sums of a segment, ``(builder, a, w, offset, steps) -> grid``; all but `steps` are addresses."""


def _lanes(b: ir.IRBuilder, value: ir.Value, low: int = -(1 << 31), high: int = (1 << 31) - 1) -> Lanes:
    return Lanes(b, value, low, high, LANES)


def aligned(
    b: ir.IRBuilder, sums: Grid, shifts: ir.Value, stride: ir.Value, longest: ir.Value, rounding: ir.Value
) -> tuple[Grid, ir.Value]:
    """The sums shifted, rounded, or lost where their shift is too long; and how many were lost."""
    most, rule = _lanes(b, splat(b, longest, LANES)), _lanes(b, splat(b, rounding, LANES))
    lost: ir.Value = ir.Constant(WORDS, [0] * LANES)
    out = []
    for r, row in enumerate(sums):
        own = b.add(shifts, b.mul(stride, ir.Constant(I64, r)))
        done = []
        for c, value in enumerate(row):
            x = _lanes(b, value, -(1 << 29), (1 << 29) - 1)
            shift = _lanes(b, load(b, own, 4 * c * LANES, WORDS), -1023, 1023)
            left = _lanes(b, b.shl(value, smallest(largest(shift, 0), 31).at(32)))
            right = shift_right(x, largest(-shift, 0), rule)
            kept = magnitude(shift) <= most
            done.append(at(x, select(kept, select(shift > 0, left, right), 0), 32))
            gone = (x != 0) & (magnitude(shift) > most)
            lost = b.add(lost, gone.at(32))
        out.append(done)
    return out, reduced(b, "add", lost)


def aligned_alike(b: ir.IRBuilder, sums: Grid, shifts: ir.Value, rounding: ir.Value) -> Grid:
    """The sums shifted and rounded, where all rows have the same shifts and none is too long.

    What `lanes.shift_right` adds before it shifts is the same in every row.
    """
    rule = _lanes(b, splat(b, rounding, LANES))
    out: Grid = [[] for _ in sums]
    for c in range(PANEL // LANES):
        shift = _lanes(b, load(b, shifts, 4 * c * LANES, WORDS), -31, 31)
        left, right = largest(shift, 0).at(32), largest(-shift, 0)
        half = (constant(shift, 1) << largest(right - 1, 0)) * select(right > 0, 1, 0)
        to_even = select(rule == RNE, smallest(half, 1), 0).at(32)
        up = b.sub(select(rule != FLOOR, half, 0).at(32), to_even)
        for r, row in enumerate(sums):
            x = b.shl(row[c], left)
            odd = b.and_(b.ashr(x, right.at(32)), to_even)
            out[r].append(b.ashr(b.add(b.add(x, up), odd), right.at(32)))
    return out


def shifted_left(b: ir.IRBuilder, sums: Grid, shifts: ir.Value) -> Grid:
    """The sums shifted left, where all rows have the same shifts, all of them to the left."""
    left = [load(b, shifts, 4 * c * LANES, WORDS) for c in range(PANEL // LANES)]
    return [[b.shl(v, by) for v, by in zip(row, left, strict=True)] for row in sums]


def updated(b: ir.IRBuilder, terms: Grid, words: ir.Value, bits: ir.Value, saturating: ir.Value) -> ir.Value:
    """Add the terms to the accumulator's words; returns how many overflow."""
    one, zero = ir.Constant(I32, 1), ir.Constant(WORDS, [0] * LANES)
    sign = ir.Constant(WORDS, [-(1 << 31)] * LANES)
    top = b.shl(one, b.sub(bits, one))
    half, span = splat(b, top, LANES), splat(b, b.sub(b.shl(top, one), one), LANES)
    beyond = b.not_(span)
    seen: ir.Value = zero
    before, after = [], []
    for r, row in enumerate(terms):
        for c, term in enumerate(row):
            word = load(b, words, 4 * (r * PANEL + c * LANES), WORDS)
            total = b.add(word, term)
            around = b.and_(b.and_(b.xor(word, total), b.xor(term, total)), sign)
            seen = b.or_(seen, b.or_(around, b.and_(b.add(total, half), beyond)))
            before.append((word, term, 4 * (r * PANEL + c * LANES)))
            after.append(total)
    none = b.icmp_signed("==", reduced(b, "or", seen), ir.Constant(I32, 0))
    with b.if_else(none, likely=True) as (then, otherwise):
        with then:
            for (_, _, byte), total in zip(before, after, strict=True):
                store(b, total, words, byte)
            from_none = b.block
        with otherwise:
            over: ir.Value = zero
            spare = splat(b, b.sub(ir.Constant(I32, 32), bits), LANES)
            highest = b.sub(half, ir.Constant(WORDS, [1] * LANES))
            for (word, term, byte), total in zip(before, after, strict=True):
                around = b.and_(b.and_(b.xor(word, total), b.xor(term, total)), sign)
                is_over = b.icmp_signed("!=", b.or_(around, b.and_(b.add(total, half), beyond)), zero)
                held = b.select(b.icmp_signed("<", term, zero), b.not_(highest), highest)
                wrapped = b.ashr(b.shl(total, spare), spare)
                brought_back = b.select(splat(b, saturating, LANES), held, wrapped)
                store(b, b.select(is_over, brought_back, total), words, byte)
                over = b.add(over, b.zext(is_over, WORDS))
            over = reduced(b, "add", over)
            from_some = b.block
    return phi(b, (ir.Constant(I32, 0), from_none), (over, from_some))
