"""Many integers at once: the reading of a unit's functions that becomes vector instructions.

A `Lanes` stands for one integer in each lane of a vector, with the lowest and the highest value that any
can have. Its lanes have 32 bits where that range allows, and 64 otherwise, so that a spec's own function
compiles to the narrowest arithmetic that is exact. Functions of `hwmodels.units` are read over `Lanes` by
`reading`; what they assert, such as a range by `fits`, is taken for granted, as in any compiled loop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from hwmodels.units import lut, ops
from hwmodels.units.reading import Reading

Number = Any
"""An `int`, or `Lanes` where the value is not known when the loop is compiled."""

FLAG_BITS = 1
"""Width of the lanes of a condition."""


def bits_for(low: int, high: int) -> int:
    """The width of lanes for numbers between `low` and `high`."""
    return 32 if low >= -(1 << 31) and high < 1 << 31 else 64


@dataclass(frozen=True, eq=False)
class Lanes:
    """An integer in each of `count` lanes, between `low` and `high`."""

    builder: ir.IRBuilder
    value: ir.Value
    low: int
    high: int
    count: int

    @property
    def bits(self) -> int:
        """Width of a lane."""
        return int(self.value.type.element.width)

    def at(self, bits: int) -> ir.Value:
        """The vector with lanes of this width: sign-extended, or the low bits."""
        kind = ir.VectorType(ir.IntType(bits), self.count)
        if self.bits == bits:
            return self.value
        if self.bits == FLAG_BITS:
            return self.builder.zext(self.value, kind)
        widen = self.builder.sext if self.bits < bits else self.builder.trunc
        return widen(self.value, kind)

    def holds(self) -> ir.Value:
        """The condition that it is not zero."""
        if self.bits == FLAG_BITS:
            return self.value
        return self.builder.icmp_signed("!=", self.value, splat(self, 0, self.bits))

    def within(self, low: int, high: int) -> Number:
        """The same numbers, known to be between `low` and `high`."""
        return self._of(self.value, max(low, self.low), min(high, self.high))

    def __add__(self, other: Number) -> Number:
        low, high = ends(other)
        return self._made("add", other, self.low + low, self.high + high)

    def __sub__(self, other: Number) -> Number:
        low, high = ends(other)
        return self._made("sub", other, self.low - high, self.high - low)

    def __mul__(self, other: Number) -> Number:
        corners = [a * b for a in ends(self) for b in ends(other)]
        return self._made("mul", other, min(corners), max(corners))

    __radd__, __rmul__ = __add__, __mul__

    def __rsub__(self, other: int) -> Number:
        return constant(self, other) - self

    def __neg__(self) -> Number:
        return 0 - self

    def __and__(self, other: Number) -> Number:
        if isinstance(other, bool) and self.bits == FLAG_BITS:
            return self if other else 0
        tops = [high for low, high in (ends(self), ends(other)) if low >= 0]
        low, high = (0, min(tops)) if tops else _full(self, other)
        return self._joined("and_", other, low, high)

    def __or__(self, other: Number) -> Number:
        if isinstance(other, bool) and self.bits == FLAG_BITS:
            return 1 if other else self
        return self._joined("or_", other, *_full(self, other))

    def __xor__(self, other: Number) -> Number:
        return self._joined("xor", other, *_full(self, other))

    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__

    def __lshift__(self, by: Number) -> Number:
        first, last = ends(by)
        corners = [x << max(s, 0) for x in ends(self) for s in (first, last)]
        return self._made("shl", by, min(corners), max(corners))

    def __rlshift__(self, other: int) -> Number:
        return constant(self, other) << self

    def __rshift__(self, by: Number) -> Number:
        first, last = (max(s, 0) for s in ends(by))
        corners = [x >> s for x in ends(self) for s in (first, last)]
        bits = bits_for(*ends(self))
        if last >= bits:  # nothing but the sign is left either way
            by = smallest(by, bits - 1)
        made = self.builder.ashr(self.at(bits), at(self, by, bits))
        return self._of(made, min(corners), max(corners))

    def __rrshift__(self, other: int) -> Number:
        return constant(self, other) >> self

    def __lt__(self, other: Number) -> Number:
        (low, high), (least, most) = ends(self), ends(other)
        return self._told("<", other, high < least, low >= most)

    def __gt__(self, other: Number) -> Number:
        (low, high), (least, most) = ends(self), ends(other)
        return self._told(">", other, low > most, high <= least)

    def __le__(self, other: Number) -> Number:
        (low, high), (least, most) = ends(self), ends(other)
        return self._told("<=", other, high <= least, low > most)

    def __ge__(self, other: Number) -> Number:
        (low, high), (least, most) = ends(self), ends(other)
        return self._told(">=", other, low >= most, high < least)

    def __eq__(self, other: object) -> Number:
        (low, high), (least, most) = ends(self), ends(other)
        return self._told("==", other, low == high == least == most, high < least or low > most)

    def __ne__(self, other: object) -> Number:
        (low, high), (least, most) = ends(self), ends(other)
        return self._told("!=", other, high < least or low > most, low == high == least == most)

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        raise TypeError("lanes decide nothing together: use select")

    def _of(self, value: ir.Value, low: int, high: int) -> Number:
        """A number in as many lanes, cut to what its range needs; an `int` where one value is left."""
        if low == high:
            return low
        made = Lanes(self.builder, value, low, high, self.count)
        if made.bits == FLAG_BITS:
            return made
        bits = bits_for(low, high)
        return Lanes(self.builder, made.at(bits), low, high, self.count) if bits < made.bits else made

    def _made(self, operation: str, other: Number, low: int, high: int) -> Number:
        low, high = max(low, -(1 << 63)), min(high, (1 << 63) - 1)
        least, most = min(low, self.low, ends(other)[0]), max(high, self.high, ends(other)[1])
        bits = bits_for(least, most)
        made = getattr(self.builder, operation)(self.at(bits), at(self, other, bits))
        return self._of(made, low, high)

    def _joined(self, operation: str, other: Number, low: int, high: int) -> Number:
        if isinstance(other, Lanes) and self.bits == other.bits == FLAG_BITS:
            return self._of(getattr(self.builder, operation)(self.value, other.value), 0, 1)
        return self._made(operation, other, low, high)

    def _told(self, relation: str, other: Any, always: bool, never: bool) -> Number:
        if always or never:
            return always
        bits = max(bits_for(*ends(self)), bits_for(*ends(other)))
        told = self.builder.icmp_signed(relation, self.at(bits), at(self, other, bits))
        return Lanes(self.builder, told, 0, 1, self.count)


def ends(x: Any) -> tuple[int, int]:
    """The lowest and the highest value of a number."""
    return (x.low, x.high) if isinstance(x, Lanes) else (int(x), int(x))


def splat(like: Lanes, x: int, bits: int) -> ir.Constant:
    """A known number in as many lanes as `like` has."""
    return ir.Constant(ir.VectorType(ir.IntType(bits), like.count), [x] * like.count)


def constant(like: Lanes, x: int) -> Lanes:
    """A known number as `Lanes`."""
    return Lanes(like.builder, splat(like, x, bits_for(x, x)), x, x, like.count)


def at(like: Lanes, x: Number, bits: int) -> ir.Value:
    """The vector of a number with lanes of some width."""
    return x.at(bits) if isinstance(x, Lanes) else splat(like, int(x), bits)


def _full(x: Number, y: Number) -> tuple[int, int]:
    """The range of a bitwise operation."""
    low, high = min(ends(x)[0], ends(y)[0]), max(ends(x)[1], ends(y)[1])
    top = (1 << max((~low if low < 0 else low).bit_length(), high.bit_length())) - 1
    return (0 if low >= 0 else -top - 1), top


def select(c: Number, a: Number, b: Number) -> Number:
    """`ops.select`."""
    if not isinstance(c, Lanes):
        return a if c else b
    low, high = min(ends(a)[0], ends(b)[0]), max(ends(a)[1], ends(b)[1])
    bits = bits_for(low, high)
    chosen = c.builder.select(c.holds(), at(c, a, bits), at(c, b, bits))
    return c._of(chosen, low, high)


def largest(a: Number, b: Number) -> Number:
    """`ops.largest`, with the range that a maximum has."""
    if ends(a)[0] >= ends(b)[1]:
        return a
    chosen = select(a > b, a, b)
    low, high = max(ends(a)[0], ends(b)[0]), max(ends(a)[1], ends(b)[1])
    return chosen.within(low, high) if isinstance(chosen, Lanes) else chosen


def smallest(a: Number, b: Number) -> Number:
    """`ops.smallest`, with the range that a minimum has."""
    if ends(a)[1] <= ends(b)[0]:
        return a
    chosen = select(a < b, a, b)
    low, high = min(ends(a)[0], ends(b)[0]), min(ends(a)[1], ends(b)[1])
    return chosen.within(low, high) if isinstance(chosen, Lanes) else chosen


def magnitude(x: Number) -> Number:
    """`ops.magnitude`, with the range that an absolute value has."""
    chosen = select(x < 0, -x, x)
    return chosen.within(0, max(abs(e) for e in ends(x))) if isinstance(chosen, Lanes) else chosen


def fits(x: Number, bits: Number) -> Number:
    """`ops.fits`: what is known of the range."""
    most = ends(bits)[1]
    return x.within(-(1 << most - 1), (1 << most - 1) - 1) if isinstance(x, Lanes) else x


def fits_unsigned(x: Number, bits: Number) -> Number:
    """`ops.fits_unsigned`."""
    return x.within(0, (1 << ends(bits)[1]) - 1) if isinstance(x, Lanes) else x


def bit_length(x: Number) -> Number:
    """`ops.bit_length`, by the leading-zero count of the machine that runs this."""
    if not isinstance(x, Lanes):
        return ops.bit_length(x)
    bits = bits_for(*ends(x))
    kind = ir.VectorType(ir.IntType(bits), x.count)
    name = f"llvm.ctlz.v{x.count}i{bits}"
    module = x.builder.module
    count = module.globals.get(name) or ir.Function(
        module, ir.FunctionType(kind, [kind, ir.IntType(1)]), name
    )
    zeros = x.builder.call(count, [x.at(bits), ir.Constant(ir.IntType(1), 0)])
    made = x.builder.sub(splat(x, bits, bits), zeros)
    return x._of(made, 0, x.high.bit_length())


def shift_right(x: Number, s: Number, rounding: Number) -> Number:
    """`ops.shift_right`, by adding what rounds before shifting.

    To nearest, half of the last place is added; for ties to even, one less where the quotient is even.
    """
    if not (isinstance(x, Lanes) or isinstance(s, Lanes)):
        return ops.shift_right(x, s, rounding)
    like = x if isinstance(x, Lanes) else s
    (low, high), (_, last) = ends(x), ends(s)
    bits = _bits_to_shift(low, high, last)
    last = min(max(last, 0), bits - 1)
    s, room = smallest(s, last), 1 << min(last, 62) >> 1
    wide = x if isinstance(x, Lanes) else constant(like, x)
    wide = Lanes(like.builder, wide.at(bits), low, high, like.count)
    held = constant(like, 1)
    one = Lanes(like.builder, held.at(bits), 1, 1, like.count)
    half = like.builder.lshr(like.builder.shl(one.value, at(like, s, bits)), splat(like, 1, bits))
    half_ = Lanes(like.builder, half, 0, room, like.count)
    to_even = smallest(half_, 1)
    quotient = wide >> s
    up_even = half_ - to_even + (quotient & to_even)
    up = select(rounding == ops.RNE, up_even, select(rounding == ops.HALF_UP, half_, 0))
    total = like.builder.add(wide.value, at(like, up, bits))
    made = like.builder.ashr(total, at(like, s, bits))
    first = max(ends(s)[0], 0)
    lows = [ops.shift_right(low, first, ops.FLOOR), ops.shift_right(low, min(last, 62), ops.FLOOR)]
    highs = [ops.shift_right(high, d, ops.HALF_UP) for d in (first, min(last, 62))]
    return wide._of(made, min(lows), max(highs))


def _bits_to_shift(low: int, high: int, last: int) -> int:
    """The width of lanes that hold a number and the half that rounds it, for shifts as long as `last`.

    Of less than ``2**30`` nothing is left by 31 places, nor by more, so that 32 bits do for any distance.
    """
    if last >= 32 and max(abs(low), high) < 1 << 30:
        return 32
    return bits_for(low - 1, high + (1 << min(max(last, 0), 62) >> 1))


def interpolate(table: Number, position: Number, step_bits: Number, bits: Number) -> Number:
    """`lut.interpolate` in a loaded table: one read for both of a lane's end points."""
    left, right = table.pair(position >> step_bits)
    low = position & ((1 << step_bits) - 1)
    return reading.of(lut.between)(left, right, low, step_bits, bits)


PRIMITIVES: dict[str, Callable[..., Number]] = {
    "select": select,
    "largest": largest,
    "smallest": smallest,
    "magnitude": magnitude,
    "fits": fits,
    "fits_unsigned": fits_unsigned,
    "bit_length": bit_length,
    "shift_right": shift_right,
}
"""What stands for the functions of `ops` of these names; all others are read as they are written."""

reading = Reading(
    {getattr(ops, name): function for name, function in PRIMITIVES.items()} | {lut.interpolate: interpolate}
)
"""Functions of the units over `Lanes`."""


@dataclass(frozen=True)
class LoadedTable:
    """A table of 32-bit entries in memory, all between `low` and `high`."""

    address: ir.Value
    low: int
    high: int

    def pair(self, i: Lanes) -> tuple[Number, Number]:
        """Entries `i` and ``i + 1``."""
        b, word, double = i.builder, ir.IntType(32), ir.IntType(64)
        found: ir.Value = ir.Constant(ir.VectorType(double, i.count), ir.Undefined)
        base, places = b.inttoptr(self.address, word.as_pointer()), i.at(32)
        for lane in range(i.count):
            place = ir.Constant(word, lane)
            first = b.bitcast(b.gep(base, [b.extract_element(places, place)]), double.as_pointer())
            found = b.insert_element(found, b.load(first, align=4), place)
        both = b.bitcast(found, ir.VectorType(word, 2 * i.count))
        left, right = (self._every_other(i, both, odd) for odd in (0, 1))
        return left, right

    def _every_other(self, like: Lanes, both: ir.Value, odd: int) -> Lanes:
        order = ir.Constant(
            ir.VectorType(ir.IntType(32), like.count), [2 * k + odd for k in range(like.count)]
        )
        chosen = like.builder.shuffle_vector(both, ir.Constant(both.type, ir.Undefined), order)
        return Lanes(like.builder, chosen, self.low, self.high, like.count)
