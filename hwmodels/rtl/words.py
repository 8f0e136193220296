"""Whole numbers as bit-vectors: the reading of a unit's functions that a proof works on.

A `Word` stands for an integer that is not known, with the lowest and the highest value it can have. Its
term always has room for both, so that nothing wraps: arithmetic is that of the plain reading, exactly.
What the units assert, such as a range by `fits`, becomes an obligation that the proof has to show.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import bitwuzla as bw
from bitwuzla import Kind

from hwmodels.units.ports import Width

Term = Any
Number = Any
"""An `int`, or a `Word` where the value is not known."""


@dataclass(frozen=True)
class Obligation:
    """A condition that a unit's functions rely on, and what it says."""

    holds: Term
    text: str


@dataclass
class Terms:
    """The terms of one proof: where they are made, and what has to be shown of them."""

    manager: Any = field(default_factory=bw.TermManager)
    obligations: list[Obligation] = field(default_factory=list)

    def value(self, x: int, width: int) -> Term:
        """A constant."""
        return self.manager.mk_bv_value(self.manager.mk_bv_sort(width), x & ((1 << width) - 1))

    def unknown(self, name: str, kind: Width) -> Number:
        """A number of which only the width is known."""
        term = self.manager.mk_const(self.manager.mk_bv_sort(kind.bits), name)
        return self.read(term, kind)

    def read(self, term: Term, kind: Width) -> Number:
        """What the bits of a term mean as a number of this kind."""
        assert term.sort().bv_size() == kind.bits, (term.sort().bv_size(), kind)
        if kind.signed:
            return Word(self, term, -(1 << kind.bits - 1), (1 << kind.bits - 1) - 1)
        wider = self.manager.mk_term(Kind.BV_ZERO_EXTEND, [term], [1])
        return Word(self, wider, 0, (1 << kind.bits) - 1)

    def condition(self, holds: Number) -> Term:
        """A number as a condition: that it is not zero."""
        if isinstance(holds, Word):
            return holds.holds()
        return self.manager.mk_true() if holds else self.manager.mk_false()

    def require(self, condition: Number, text: str) -> None:
        """Note an obligation."""
        if isinstance(condition, Word):
            self.obligations.append(Obligation(condition.holds(), text))
        else:
            assert condition, text


def bits_for(low: int, high: int) -> int:
    """The bits of a signed number between `low` and `high`."""
    return max((~low if low < 0 else low).bit_length(), (~high if high < 0 else high).bit_length()) + 1


@dataclass(frozen=True, eq=False)
class Word:
    """An integer that is not known, between `low` and `high`."""

    terms: Terms
    term: Term
    low: int
    high: int

    def at(self, width: int) -> Term:
        """The term at some width that has room for it, or its low bits."""
        own = self.term.sort().bv_size()
        if width > own:
            return self.terms.manager.mk_term(Kind.BV_SIGN_EXTEND, [self.term], [width - own])
        if width < own:
            return self.terms.manager.mk_term(Kind.BV_EXTRACT, [self.term], [width - 1, 0])
        return self.term

    def holds(self) -> Term:
        """The condition that it is not zero."""
        make = self.terms.manager.mk_term
        if (self.low, self.high) == (0, 1):
            return make(Kind.EQUAL, [self.at(1), self.terms.value(1, 1)])
        width = self.term.sort().bv_size()
        return make(Kind.DISTINCT, [self.term, self.terms.value(0, width)])

    def within(self, low: int, high: int) -> Number:
        """The same number, known to be between `low` and `high`."""
        low, high = max(low, self.low), min(high, self.high)
        return number(self.terms, self.at(bits_for(low, high)), low, high)

    def __add__(self, other: Number) -> Number:
        low, high = ends(other)
        return self._made(Kind.BV_ADD, other, self.low + low, self.high + high)

    def __sub__(self, other: Number) -> Number:
        low, high = ends(other)
        return self._made(Kind.BV_SUB, other, self.low - high, self.high - low)

    def __mul__(self, other: Number) -> Number:
        corners = [a * b for a in ends(self) for b in ends(other)]
        return self._made(Kind.BV_MUL, other, min(corners), max(corners))

    __radd__, __rmul__ = __add__, __mul__

    def __rsub__(self, other: int) -> Number:
        return constant(self.terms, other) - self

    def __neg__(self) -> Number:
        return 0 - self

    def __and__(self, other: Number) -> Number:
        tops = [high for low, high in (ends(self), ends(other)) if low >= 0]
        low, high = (0, min(tops)) if tops else full(self, other)
        return self._made(Kind.BV_AND, other, low, high)

    def __or__(self, other: Number) -> Number:
        return self._made(Kind.BV_OR, other, *full(self, other))

    def __xor__(self, other: Number) -> Number:
        return self._made(Kind.BV_XOR, other, *full(self, other))

    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__

    def __lshift__(self, by: Number) -> Number:
        by = self._distance(by)
        first, last = ends(by)
        corners = [x << s for x in ends(self) for s in (first, last)]
        return self._made(Kind.BV_SHL, by, min(corners), max(corners))

    def __rlshift__(self, other: int) -> Number:
        return constant(self.terms, other) << self

    def __rshift__(self, by: Number) -> Number:
        by = self._distance(by)
        first, last = ends(by)
        corners = [x >> s for x in ends(self) for s in (first, last)]
        return self._made(Kind.BV_ASHR, by, min(corners), max(corners))

    def __rrshift__(self, other: int) -> Number:
        return constant(self.terms, other) >> self

    def __lt__(self, other: Number) -> Number:
        (low, high), (least, most) = ends(self), ends(other)
        return self._told(Kind.BV_SLT, other, high < least, low >= most)

    def __gt__(self, other: Number) -> Number:
        (low, high), (least, most) = ends(self), ends(other)
        return self._told(Kind.BV_SGT, other, low > most, high <= least)

    def __le__(self, other: Number) -> Number:
        (low, high), (least, most) = ends(self), ends(other)
        return self._told(Kind.BV_SLE, other, high <= least, low > most)

    def __ge__(self, other: Number) -> Number:
        (low, high), (least, most) = ends(self), ends(other)
        return self._told(Kind.BV_SGE, other, low >= most, high < least)

    def __eq__(self, other: object) -> Number:
        (low, high), (least, most) = ends(self), ends(other)
        return self._told(Kind.EQUAL, other, low == high == least == most, high < least or low > most)

    def __ne__(self, other: object) -> Number:
        (low, high), (least, most) = ends(self), ends(other)
        return self._told(Kind.DISTINCT, other, high < least or low > most, low == high == least == most)

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        raise TypeError("an unknown number decides nothing: use select")

    def _distance(self, by: Number) -> Number:
        if isinstance(by, Word) and by.low < 0:
            self.terms.require(by >= 0, "the distance of a shift is not negative")
            return by.within(0, by.high)
        return by

    def _made(self, kind: Kind, other: Number, low: int, high: int) -> Number:
        most = max(self.high, *ends(other)), min(self.low, *ends(other))
        width = max(bits_for(low, high), bits_for(most[1], most[0]))
        term = self.terms.manager.mk_term(kind, [self.at(width), at(self.terms, other, width)])
        return number(self.terms, term, low, high)

    def _told(self, kind: Kind, other: Any, always: bool, never: bool) -> Number:
        if always or never:
            return always
        width = max(bits_for(*ends(self)), bits_for(*ends(other)))
        make = self.terms.manager.mk_term
        told = make(kind, [self.at(width), at(self.terms, other, width)])
        return Word(self.terms, make(Kind.ITE, [told, *(self.terms.value(x, 2) for x in (1, 0))]), 0, 1)


def ends(x: Any) -> tuple[int, int]:
    """The lowest and the highest value of a number."""
    return (x.low, x.high) if isinstance(x, Word) else (int(x), int(x))


def at(terms: Terms, x: Number, width: int) -> Term:
    """The term of a number at some width."""
    return x.at(width) if isinstance(x, Word) else terms.value(int(x), width)


def constant(terms: Terms, x: int) -> Word:
    """A known number as a `Word`."""
    return Word(terms, terms.value(x, bits_for(x, x)), x, x)


def number(terms: Terms, term: Term, low: int, high: int) -> Number:
    """The number of a term, cut to what its range needs; an `int` where only one value is left."""
    if low == high:
        return low
    width, own = bits_for(low, high), term.sort().bv_size()
    if width < own:
        term = terms.manager.mk_term(Kind.BV_EXTRACT, [term], [width - 1, 0])
    return Word(terms, term, low, high)


def full(x: Number, y: Number) -> tuple[int, int]:
    """The range of a bitwise operation."""
    (a, b), (c, d) = ends(x), ends(y)
    width = max(bits_for(a, b), bits_for(c, d))
    top = (1 << width - 1) - 1
    return (0 if min(a, c) >= 0 else -top - 1), top


def select(c: Number, a: Number, b: Number) -> Number:
    """`ops.select`: a multiplexer."""
    if not isinstance(c, Word):
        return a if c else b
    low, high = min(ends(a)[0], ends(b)[0]), max(ends(a)[1], ends(b)[1])
    width = bits_for(low, high)
    make = c.terms.manager.mk_term
    return number(
        c.terms, make(Kind.ITE, [c.holds(), at(c.terms, a, width), at(c.terms, b, width)]), low, high
    )


def largest(a: Number, b: Number) -> Number:
    """`ops.largest`, with the range that a maximum has."""
    chosen = select(a > b, a, b)
    if not isinstance(chosen, Word):
        return chosen
    return chosen.within(max(ends(a)[0], ends(b)[0]), max(ends(a)[1], ends(b)[1]))


def smallest(a: Number, b: Number) -> Number:
    """`ops.smallest`, with the range that a minimum has."""
    chosen = select(a < b, a, b)
    if not isinstance(chosen, Word):
        return chosen
    return chosen.within(min(ends(a)[0], ends(b)[0]), min(ends(a)[1], ends(b)[1]))


def magnitude(x: Number) -> Number:
    """`ops.magnitude`, with the range that an absolute value has."""
    chosen = select(x < 0, -x, x)
    if not isinstance(chosen, Word):
        return chosen
    return chosen.within(0, max(abs(e) for e in ends(x)))


def fits(x: Number, bits: int) -> Number:
    """`ops.fits`: an obligation."""
    return _in_range(x, -(1 << bits - 1), (1 << bits - 1) - 1, f"{bits} signed bits")


def fits_unsigned(x: Number, bits: int) -> Number:
    """`ops.fits_unsigned`: an obligation."""
    return _in_range(x, 0, (1 << bits) - 1, f"{bits} unsigned bits")


def _in_range(x: Number, low: int, high: int, text: str) -> Number:
    if not isinstance(x, Word):
        assert low <= x <= high, f"{x} does not fit {text}"
        return x
    if x.low < low or x.high > high:
        x.terms.require((x >= low) & (x <= high), f"a number fits {text}")
    return x.within(low, high)


@dataclass(frozen=True)
class AnyTable:
    """A table of which nothing is known: equal positions hold equal entries."""

    terms: Terms
    function: Term
    entries: int
    kind: Width

    @classmethod
    def named(cls, terms: Terms, name: str, entries: int, kind: Width) -> AnyTable:
        """A table with so many entries of some width."""
        m = terms.manager
        sort = m.mk_fun_sort([m.mk_bv_sort(entries.bit_length() + 1)], m.mk_bv_sort(kind.bits))
        return cls(terms, m.mk_const(sort, name), entries, kind)

    def __len__(self) -> int:
        return self.entries

    def __getitem__(self, i: Number) -> Number:
        position = at(self.terms, i, self.entries.bit_length() + 1)
        return self.terms.read(self.terms.manager.mk_term(Kind.APPLY, [self.function, position]), self.kind)


def lookup(table: Any, i: Number) -> Number:
    """`ops.lookup`: of a known table a multiplexer of all entries."""
    if not isinstance(i, Word) or isinstance(table, AnyTable):
        return table[i]
    found = table[max(i.low, 0)]
    for position in range(max(i.low, 0) + 1, min(i.high, len(table) - 1) + 1):
        found = select(i == position, table[position], found)
    return found


PRIMITIVES: dict[str, Callable[..., Number]] = {
    "select": select,
    "largest": largest,
    "smallest": smallest,
    "magnitude": magnitude,
    "fits": fits,
    "fits_unsigned": fits_unsigned,
    "lookup": lookup,
}
"""What stands for the functions of `ops` of these names; all others are read as they are written."""
