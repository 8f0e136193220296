"""The reading on bit-vectors is the plain reading: the same numbers, whatever the ranges that are known."""

from __future__ import annotations

import operator
from typing import Any

import bitwuzla
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwmodels.rtl.reading import Reading
from hwmodels.rtl.solver import PROVED, REFUTED, ask
from hwmodels.rtl.words import AnyTable, Terms, Word, bits_for
from hwmodels.units import ops, requantizer, requantizer_lane, softmax
from hwmodels.units.ports import signed, unsigned

TERMS = Terms()
SOLVER = bitwuzla.Bitwuzla(TERMS.manager)
READING = Reading()
OPERATORS = ("add", "sub", "mul", "and_", "or_", "xor", "lt", "le", "gt", "ge", "eq", "ne")
numbers = st.one_of(st.integers(-(2**40), 2**40), st.integers(-300, 300), st.sampled_from([0, 1, -1]))
slack = st.sampled_from([0, 1, 7, 300])


def word(x: int, below: int = 0, above: int = 0) -> Any:
    """A number whose value the solver knows, and of which we only say a range."""
    low, high = x - below, x + above
    return Word(TERMS, TERMS.value(x, bits_for(low, high)), low, high)


def value(x: Any) -> int:
    if not isinstance(x, Word):
        return int(x)
    term = SOLVER.simplify_term(x.term)
    assert term.is_value()
    width = term.sort().bv_size()
    bits = int(term.value(10))
    own = bits - (1 << width) if bits >> width - 1 else bits
    assert x.low <= own <= x.high
    return own


@given(numbers, numbers, slack, slack)
@pytest.mark.parametrize(
    "name", ["add", "sub", "mul", "and_", "or_", "xor", "lt", "le", "gt", "ge", "eq", "ne"]
)
def test_operators(name: str, a: int, b: int, below: int, above: int) -> None:
    f = getattr(operator, name)
    assert value(f(word(a, below, above), word(b, above, below))) == f(a, b)
    assert value(f(word(a, below, above), b)) == f(a, b)
    assert value(f(a, word(b, below, above))) == f(a, b)


@given(numbers, st.integers(0, 70), slack)
def test_shifts(a: int, s: int, extra: int) -> None:
    distance = word(s, min(s, extra), min(extra, 10))
    for f in (operator.lshift, operator.rshift):
        assert value(f(word(a, extra, extra), distance)) == f(a, s)
        assert value(f(word(a, extra, extra), s)) == f(a, s)


FUNCTIONS = [
    (ops.shift_right, lambda x, s: (x, s % 60, s % 3)),
    (ops.scale, lambda x, s: (x, s % 90 - 45, 31, s % 3)),
    (ops.saturate, lambda x, s: (x, 4 + s % 30)),
    (ops.saturate_symmetric, lambda x, s: (x, 4 + s % 30)),
    (ops.wrap, lambda x, s: (x, 4 + s % 30)),
    (ops.clamp, lambda x, s: (x, -s, 3 * s)),
    (ops.magnitude, lambda x, s: (x,)),
    (ops.bit_length, lambda x, s: (abs(x),)),
    (ops.largest, lambda x, s: (x, s)),
    (ops.smallest, lambda x, s: (x, s)),
    (requantizer_lane.rounds_up, lambda x, s: (x, 4 + s % 12)),
    (requantizer.block_exponent, lambda x, s: (s * 9 - 200, 8)),
    (softmax.aligned, lambda x, s: (x % 65536 - 32768, -s, 0, 4)),
]


@pytest.mark.parametrize(("function", "arguments"), FUNCTIONS, ids=[f.__name__ for f, _ in FUNCTIONS])
@given(x=numbers, s=st.integers(0, 100), extra=slack)
def test_functions_of_the_units(function: Any, arguments: Any, x: int, s: int, extra: int) -> None:
    plain = arguments(x, s)
    known = [plain[0], *plain[1:]]
    read = [word(known[0], min(extra, abs(known[0])), extra), *known[1:]]
    assert value(READING.of(function)(*read)) == function(*plain)


def test_a_range_is_an_obligation() -> None:
    terms = Terms()
    x = terms.unknown("x", signed(8))
    READING.of(ops.fits)(x, 8)
    assert terms.obligations == []
    READING.of(ops.fits)(x, 7)
    (obligation,) = terms.obligations
    assert ask(terms, [], obligation.holds)[0] == REFUTED
    assert ask(terms, [terms.condition(x < 50), terms.condition(x > -50)], obligation.holds)[0] == PROVED


def test_nothing_is_decided_by_an_unknown_number() -> None:
    with pytest.raises(TypeError, match="use select"):
        bool(Terms().unknown("x", unsigned(3)) > 4)


def test_the_solver_finds_that_a_maximum_is_one_of_the_two() -> None:
    terms = Terms()
    x, y = terms.unknown("x", signed(12)), terms.unknown("y", signed(9))
    top = READING.of(ops.largest)(x, y)
    assert ask(terms, [], terms.condition((top == x) | (top == y)))[0] == PROVED
    assert ask(terms, [], terms.condition(top == x))[0] == REFUTED


def test_equal_positions_hold_equal_entries() -> None:
    terms = Terms()
    table = AnyTable.named(terms, "table", 9, signed(5))
    i, j = terms.unknown("i", unsigned(3)), terms.unknown("j", unsigned(3))
    premise = [terms.condition(i == j)]
    assert ask(terms, premise, terms.condition(table[i] == table[j]))[0] == PROVED
    assert ask(terms, [], terms.condition(table[i] == table[j]))[0] == REFUTED
