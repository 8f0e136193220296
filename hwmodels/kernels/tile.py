"""The code of a tile: sums of products of one segment, aligned and accumulated in registers.

A second formula for what `units.mac_array` says, in 32 bits: its callers see to it that no sum leaves them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

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
from hwmodels.kernels.stream import signed
from hwmodels.kernels.target import (
    A_TYPE,
    KIND,
    PANEL,
    PORTABLE,
    ROW_BYTES,
    STEP,
    TILE,
    VNNI,
    processor_features,
)
from hwmodels.units.ops import FLOOR, RNE

Grid = list[list[ir.Value]]
"""For every row of a tile and every vector of its columns a vector."""


@dataclass(frozen=True)
class Addresses:
    """Where the operands of a tile lie.

    Attributes
    ----------
    a, w, offset : ir.Value
        Codes of both operands from their first step on, and what takes off `OFFSET` in each segment.
    first : ir.Value
        First packed steps of the segments.
    shifts, modes : ir.Value
        Of each segment the shifts of its columns; and a byte, zero where none of them is to the right.
    start : ir.Value
        The words before the first segment, the same in all rows.
    """

    a: ir.Value
    w: ir.Value
    offset: ir.Value
    first: ir.Value
    shifts: ir.Value
    modes: ir.Value
    start: ir.Value


@dataclass(frozen=True)
class Setting:
    """Of the aligner and the accumulator what a tile has to know, and whether overflows are watched for."""

    rounding: ir.Value
    bits: ir.Value
    watched: ir.Value


def either(
    b: ir.IRBuilder, condition: ir.Value, then: Callable[[], Grid], otherwise: Callable[[], Grid]
) -> Grid:
    """What one of two pieces of code gives."""
    with b.if_else(condition) as (yes, no):
        with yes:
            x, from_then = then(), b.block
        with no:
            y, from_otherwise = otherwise(), b.block
    return [
        [phi(b, (p, from_then), (q, from_otherwise)) for p, q in zip(*rows, strict=True)]
        for rows in zip(x, y, strict=True)
    ]


def repeated(b: ir.IRBuilder, count: ir.Value, start: Grid, body: Callable[[ir.Value, Grid], Grid]) -> Grid:
    """Repeat `body` for 0, 1, and so on, so many times but at least once, with what it gives in registers."""
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

    return repeated(b, count, [start] * TILE, body)


def sums_portable(b: ir.IRBuilder, a: ir.Value, w: ir.Value, offset: ir.Value, count: ir.Value) -> Grid:
    """Sums of products of 16-bit codes, in pairs, for as many columns at a time as registers hold."""
    del offset
    across = columns_at_a_time()
    lanes = min(across, LANES)
    zero = ir.Constant(ir.VectorType(I32, lanes), [0] * lanes)
    found: Grid = [[] for _ in range(TILE)]
    for c0 in range(0, PANEL, across):

        def body(k: ir.Value, sums: Grid, c0: int = c0) -> Grid:
            left = b.add(a, b.mul(k, ir.Constant(I64, TILE * STEP * 2)))
            right = b.add(w, b.mul(k, ir.Constant(I64, PANEL * STEP)))
            columns = [
                load(b, right, c * STEP, ir.VectorType(I8, lanes * STEP))
                for c in range(c0, c0 + across, lanes)
            ]
            rows = [splat(b, load(b, left, r * STEP * 2, I32), lanes) for r in range(TILE)]
            wide = [b.sext(v, ir.VectorType(I16, lanes * STEP)) for v in columns]
            return [
                [b.add(s, _in_pairs(b, row, column)) for s, column in zip(own, wide, strict=True)]
                for own, row in zip(sums, rows, strict=True)
            ]

        for out, row in zip(
            found, repeated(b, count, [[zero] * (across // lanes)] * TILE, body), strict=True
        ):
            out.extend(row)
    parts = LANES // lanes
    return [[joined(b, row[i : i + parts]) for i in range(0, len(row), parts)] for row in found]


def columns_at_a_time() -> int:
    """Columns of a tile whose sums fit the registers together: of 512, of 256, or of 128 bits."""
    features = processor_features()
    return PANEL if "+avx512bw" in features else PANEL // 2 if "+avx2" in features else PANEL // 4


def _in_pairs(b: ir.IRBuilder, row: ir.Value, column: ir.Value) -> ir.Value:
    """Products of 16-bit codes, two and two added up: one instruction of many processors."""
    kind = ir.VectorType(I32, column.type.count)
    return pairs(b, b.mul(b.sext(b.bitcast(row, column.type), kind), b.sext(column, kind)))


SUMS = {VNNI: sums_vnni, PORTABLE: sums_portable}
"""The sums of a segment, ``(builder, a, w, offset, steps) -> grid``; all but `steps` are addresses."""


WORD = signed(32, 32)
"""What a register of the microkernel holds."""


def _lanes(b: ir.IRBuilder, value: ir.Value, low: int = WORD.low, high: int = WORD.high) -> Lanes:
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


def accumulated(b: ir.IRBuilder, o: Addresses, count: ir.Value, setting: Setting) -> tuple[Grid, ir.Value]:
    """The words of a tile after so many segments, and whether one of them may have overflowed on the way.

    All rows have the same shifts, none of them too long. Words stay in registers, and are not brought back
    where they overflow: once one has, none of them is good. Nothing is watched where `setting` says that
    none can. A term is added at the end of its segment, whenever the accumulator is updated: its words are
    the same, and more of them are watched.
    """
    none = ir.Constant(WORDS, [0] * LANES)
    start = [load(b, o.start, 4 * c * LANES, WORDS) for c in range(PANEL // LANES)]
    half = splat(b, b.shl(ir.Constant(I32, 1), b.sub(setting.bits, ir.Constant(I32, 1))))

    def body(s: ir.Value, before: Grid) -> Grid:
        *words, seen = before
        first, last = (load(b, b.add(o.first, b.mul(s, ir.Constant(I64, 8))), at, I64) for at in (0, 8))
        codes = b.add(o.a, b.mul(first, ir.Constant(I64, TILE * STEP * A_TYPE().itemsize)))
        column = b.add(o.w, b.mul(first, ir.Constant(I64, PANEL * STEP)))
        row = b.mul(s, ir.Constant(I64, ROW_BYTES))
        sums = SUMS[KIND](b, codes, column, b.add(o.offset, row), b.sub(last, first))
        own = b.add(o.shifts, row)
        terms = either(
            b,
            b.icmp_signed("==", load(b, b.add(o.modes, s), 0, I8), ir.Constant(I8, 0)),
            lambda: shifted_left(b, sums, own),
            lambda: aligned_alike(b, sums, own, setting.rounding),
        )
        after = [[b.add(x, y) for x, y in zip(*rows, strict=True)] for rows in zip(words, terms, strict=True)]
        return [
            *after,
            *either(b, setting.watched, lambda: [_seen(b, seen, words, terms, after, half)], lambda: [seen]),
        ]

    *words, (around, beyond) = repeated(b, count, [start] * TILE + [[none, none]], body)
    outside = b.not_(b.sub(b.shl(half, ir.Constant(WORDS, [1] * LANES)), ir.Constant(WORDS, [1] * LANES)))
    sign = ir.Constant(WORDS, [-(1 << 31)] * LANES)
    any_ = reduced(b, "or", b.or_(b.and_(around, sign), b.and_(beyond, outside)))
    return words, b.icmp_signed("!=", any_, ir.Constant(I32, 0))


def _seen(
    b: ir.IRBuilder, seen: list[ir.Value], words: Grid, terms: Grid, after: Grid, half: ir.Value
) -> list[ir.Value]:
    """What has been seen of overflows: sign bits of sums around 32 bits, and bits above those of a word."""
    around, beyond = seen
    for rows in zip(words, terms, after, strict=True):
        for word, term, total in zip(*rows, strict=True):
            around = b.or_(around, b.and_(b.xor(word, total), b.xor(term, total)))
            beyond = b.or_(beyond, b.add(total, half))
    return [around, beyond]


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
