"""Sums of products of codes with exponents of their own, in a window: `units.product`, a tile at a time.

A code becomes a significand, shifted to the left as far as a word has room, and its distance below the
largest exponent that there is. A product of two such significands has room for the whole window below it,
and goes to the right by the sum of both distances: what falls out then is what falls out of the window.
Where nothing falls out and fixed-point numbers fit a word, codes become these, and products need no shift.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from llvmlite import ir
from numpy.typing import NDArray

from hwmodels.kernels.instructions import I32, I64, LANES, WORDS, address, joined, load, numbers, splat, store
from hwmodels.kernels.jit import emitted, kernel
from hwmodels.kernels.target import KIND, PANEL, PLAIN, TILE, processor_features
from hwmodels.kernels.tile import Grid, repeated
from hwmodels.units.ops import FLOOR, HALF_UP, RNE
from hwmodels.units.product import STICKY, Code, ProductConfig, decoded, lift

Words = NDArray[np.int32]
Tiles = NDArray[np.int64]
"""Words of rows: as wide as lanes are, so that to repeat one over a vector takes no widening."""

WIDEST = 60
"""Bits of the widest window: a product with one bit more below it fits 64."""

NEAREST = 63
"""Distances up to this need no cut: a shift of 64 bits goes as far."""

FLAT, NEAR, FAR = 0, 1, 2
"""How far products go to the right: not at all; at most `NEAREST`; or farther, which is the same."""

NO_ANCHOR = -10000
"""In place of an anchor: codes count from the exponent of their block."""

WORD_BITS = 32

DOUBLES = ir.VectorType(I64, LANES)


@dataclass(frozen=True)
class Operands:
    """How the codes of two operands become words.

    Attributes
    ----------
    a, b : int32, shape (2, codes)
        For each code of an operand, without its sign extension, its significand and its distance.
    reach : int
        `FLAT`, `NEAR` or `FAR`.
    """

    a: Words
    b: Words
    reach: int


def operands(config: ProductConfig) -> Operands:
    """The words of all codes.

    Raises
    ------
    ValueError
        If the window is wider than `WIDEST` and wider than it has to be.
    """
    if config.bits > WIDEST:
        raise ValueError(f"a window of {config.bits} bits: give one of at most {WIDEST}")
    if not config.dropped and max(config.a.fixed_bits, config.b.fixed_bits) <= WORD_BITS:
        return Operands(_fixed(config.a), _fixed(config.b), FLAT)
    most = config.a.reach + config.b.reach
    room = config.bits - 1 - (config.a.significand_bits + config.b.significand_bits)
    left, below = max(room, 1), max(room, 1) - room
    own = min(left, 30 - config.a.significand_bits)
    words = [_words(config.a, own, below), _words(config.b, left - own, 0)]
    return Operands(words[0], words[1], FAR if most + below > NEAREST else NEAR)


def _words(code: Code, left: int, below: int) -> Words:
    """Significands, shifted to the left, and distances."""
    pairs = decoded(code, _codes(code))
    return np.array([[m << left for m, _ in pairs], [code.reach - e + below for _, e in pairs]], np.int32)


def _fixed(code: Code) -> Words:
    """Fixed-point numbers; what is no number, which no operand has, is zero."""
    values = [m << e for m, e in decoded(code, _codes(code))]
    return np.array([[v if -(1 << 31) <= v < 1 << 31 else 0 for v in values], [0] * len(values)], np.int32)


def _codes(code: Code) -> list[int]:
    """All codes by their bits; significands are signed."""
    count = 1 << code.bits
    return list(range(count)) if code.exponent_bits else [*range(count // 2), *range(-count // 2, 0)]


@emitted
def _sums(typing: Any, a: Any, b: Any, steps: Any, rounding: Any, reach: Any, part: Any) -> Any:
    """Sums of a segment into `part`; `a` and `b` are addresses of significands and distances in turn."""

    def code(context: Any, b: ir.IRBuilder, _signature: Any, given: Any) -> Any:
        a, w, steps, rounding, reach, part = given
        shifts = [(FLOOR, NEAR), (FLOOR, FAR), (HALF_UP, FAR), (RNE, FAR), (STICKY, FAR)]
        end = b.append_basic_block("windowed")
        flat = b.icmp_signed("==", reach, ir.Constant(I64, FLAT))
        for rule, far in [(FLOOR, FLAT), *shifts]:
            chosen = flat
            if far != FLAT:
                chosen = b.and_(b.not_(flat), b.icmp_signed("==", rounding, ir.Constant(I64, rule)))
            if far != FLAT and rule == FLOOR:
                chosen = b.and_(chosen, b.icmp_signed("==", reach, ir.Constant(I64, far)))
            with b.if_then(chosen):
                for r, row in enumerate(_summed(b, a, w, steps, rule, far)):
                    for c, v in enumerate(row):
                        store(b, v, part, 8 * (r * PANEL + c * LANES))
        b.branch(end)
        b.position_at_end(end)
        return context.get_dummy_value()

    return numbers(a, b, steps, rounding, reach, part), code


def _summed(b: ir.IRBuilder, a: ir.Value, w: ir.Value, steps: ir.Value, rounding: int, reach: int) -> Grid:
    """The loop over a segment, under one rule."""
    across = PANEL // LANES
    zero = ir.Constant(DOUBLES, [0] * LANES)

    def body(k: ir.Value, sums: Grid) -> Grid:
        left = b.add(a, b.mul(k, ir.Constant(I64, 2 * 8 * TILE)))
        right = b.add(w, b.mul(k, ir.Constant(I64, 2 * 4 * PANEL)))
        columns = [
            (
                b.sext(load(b, right, 4 * c * LANES, WORDS), DOUBLES),
                b.zext(load(b, right, 4 * (PANEL + c * LANES), WORDS), DOUBLES),
            )
            for c in range(across)
        ]
        after = []
        for r, own in enumerate(sums):
            x, far = (splat(b, load(b, left, 8 * at, I64)) for at in (r, TILE + r))
            after.append(
                [
                    b.add(s, _kept(b, b.mul(x, y), b.add(far, further), rounding, reach))
                    for s, (y, further) in zip(own, columns, strict=True)
                ]
            )
        return after

    return repeated(b, steps, [[zero] * across] * TILE, body)


def _kept(b: ir.IRBuilder, x: ir.Value, by: ir.Value, rounding: int, reach: int) -> ir.Value:
    """`product.kept`, for products that have a zero below each that loses nothing."""
    one, zero, longest = (ir.Constant(DOUBLES, [v] * LANES) for v in (1, 0, NEAREST))
    if reach == FLAT:
        return x
    if reach == FAR and rounding == FLOOR and "+avx512f" in processor_features():
        return _shifted_far(b, x, by)
    if reach == FAR:
        by = b.select(b.icmp_signed("<", by, longest), by, longest)
    whole = b.ashr(x, by)
    if rounding == FLOOR:
        return whole
    rest = b.sub(x, b.shl(whole, by))
    if rounding == STICKY:
        return b.or_(whole, b.zext(b.icmp_signed("!=", rest, zero), DOUBLES))
    half = b.lshr(b.shl(one, by), one)
    is_up = b.icmp_unsigned(">", rest, half)
    is_tie = b.and_(b.icmp_signed("==", rest, half), b.icmp_signed("!=", by, zero))
    if rounding == RNE:
        is_tie = b.and_(is_tie, b.icmp_signed("!=", b.and_(whole, one), zero))
    return b.add(whole, b.zext(b.or_(is_up, is_tie), DOUBLES))


def _shifted_far(b: ir.IRBuilder, x: ir.Value, by: ir.Value) -> ir.Value:
    """To the right however far, by an instruction that leaves the sign alone beyond 63 places."""
    half = ir.VectorType(I64, LANES // 2)
    name = "llvm.x86.avx512.psrav.q.512"
    instruction = b.module.globals.get(name) or ir.Function(b.module, ir.FunctionType(half, [half] * 2), name)
    halves = []
    for first in (0, LANES // 2):
        order = ir.Constant(ir.VectorType(I32, LANES // 2), list(range(first, first + LANES // 2)))
        parts = [b.shuffle_vector(v, ir.Constant(DOUBLES, ir.Undefined), order) for v in (x, by)]
        halves.append(b.call(instruction, parts))
    return joined(b, halves)


@kernel
def _sums_plain(a: Tiles, b: Words, steps: int, rounding: int, part: NDArray[np.int64]) -> None:
    """The same in a loop over the unit's own functions; `a` is (steps, 2, TILE) and `b` (steps, 2, PANEL)."""
    part[:] = 0
    for k in range(steps):
        for r in range(TILE):
            for j in range(PANEL):
                by = min(a[k, 1, r] + b[k, 1, j], NEAREST - 1)
                x: Any = np.int64(a[k, 0, r]) * np.int64(b[k, 0, j])
                part[r, j] += kept_of(x, by, rounding)


@kernel
def kept_of(x: int, by: int, rounding: int) -> int:
    """`product.kept` with a rounding that is known at run time only."""
    whole = x >> by
    rest = x - (whole << by)
    half = (1 << by) >> 1
    if rounding == STICKY:
        return whole | (rest != 0)
    if rounding == HALF_UP:
        return whole + ((by > 0) & (rest >= half))
    if rounding == RNE:
        return whole + ((by > 0) & ((rest > half) | ((rest == half) & (whole & 1 == 1))))
    return whole


@kernel
def window_sums(
    a: Tiles, tile: int, b: Words, first: int, last: int, rounding: int, reach: int, part: NDArray[np.int64]
) -> None:
    """Sums of the products of one segment, from step `first` to `last`, into `part`, (TILE, PANEL).

    `a` are tiles of rows, (tiles, K, 2, TILE), and `b` one panel of columns, (K, 2, PANEL).
    """
    if KIND == PLAIN:
        _sums_plain(a[tile, first:last], b[first:last], last - first, rounding, part)
    else:
        _sums(
            address(a[tile, first:last]), address(b[first:last]), last - first, rounding,
            reach, address(part),
        )  # fmt: skip


@kernel
def pack_words(codes: Any, places: NDArray[np.int64], column: int, k: int, table: Words, out: Tiles) -> None:
    """The rows of codes at `places` as tiles, (tiles, K, 2, TILE), from a column on."""
    mask = table.shape[1] - 1
    out[:] = 0
    for i in range(places.shape[0]):
        for s in range(k):
            code = np.int64(codes[places[i], column + s]) & mask
            out[i // TILE, s, 0, i % TILE] = table[0, code]
            out[i // TILE, s, 1, i % TILE] = table[1, code]


@kernel
def pack_columns(
    codes: Any, row: int, column: int, count: int, k: int, transposed: bool, table: Words, out: Words
) -> None:
    """Lines of codes as the columns of one panel, (K, 2, PANEL); across the rows where `transposed`."""
    mask = table.shape[1] - 1
    out[:] = 0
    for j in range(count):
        for s in range(k):
            x = codes[row + s, column + j] if transposed else codes[row + j, column + s]
            code = np.int64(x) & mask
            out[s, 0, j] = table[0, code]
            out[s, 1, j] = table[1, code]


@kernel
def lift_words(
    words: Words, exponents: NDArray[np.int16], segments: NDArray[np.int64], anchor: int, reach: int
) -> None:
    """Words of codes that count from an anchor, in place, as if they counted from their blocks' exponents.

    `words` are lines, (K, 2, lines), and `exponents` theirs, (segments, lines).
    """
    for s in range(exponents.shape[0]):
        for j in range(exponents.shape[1]):
            by = lift(anchor, exponents[s, j])
            for k in range(segments[s], segments[s + 1]):
                if reach == FLAT:
                    words[k, 0, j] <<= by
                else:
                    words[k, 1, j] -= by
