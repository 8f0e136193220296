"""Asking: one question to bitwuzla, and the same to z3 where a second opinion is wanted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import bitwuzla as bw
from bitwuzla import Kind

from hwmodels.rtl.words import Number, Term, Terms, Word, ends, fits, largest, smallest
from hwmodels.units.ports import signed

PROVED, REFUTED, UNKNOWN = "proved", "counterexample", "unknown"

SECONDS = 600
"""How long one question may take."""

SECOND_SECONDS = 10
"""How long z3 may take for what bitwuzla has answered."""


def plausible(product: Word, a: Word, b: Word) -> tuple[list[Number], Number]:
    """What is known of any product: it lies between those with the ends of either factor."""
    facts = []
    for x, (low, high) in ((a, ends(b)), (b, ends(a))):
        first, last = x * low, x * high
        facts.append((product >= smallest(first, last)) & (product <= largest(first, last)))
    corners = [x * y for x in ends(a) for y in ends(b)]
    return facts, product.within(min(corners), max(corners))


class Products:
    """Any multiplier, for the proof of a whole operation: equal factors have equal products."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.facts: list[Term] = []
        self._functions: dict[tuple[int, int], Term] = {}

    def __call__(self, a: Number, b: Number, wa: int, wb: int) -> Number:
        """The product of two numbers of these widths."""
        if not (isinstance(a, Word) and isinstance(b, Word)):
            return a * b
        a, b, m = fits(a, wa), fits(b, wb), self.terms.manager
        if (wa, wb) not in self._functions:
            sort = m.mk_fun_sort([m.mk_bv_sort(wa), m.mk_bv_sort(wb)], m.mk_bv_sort(wa + wb))
            self._functions[wa, wb] = m.mk_const(sort, f"product {wa} x {wb}")
        applied = m.mk_term(Kind.APPLY, [self._functions[wa, wb], a.at(wa), b.at(wb)])
        known, product = plausible(self.terms.read(applied, signed(wa + wb)), a, b)
        self.facts += [self.terms.condition(fact) for fact in known]
        return product


def ask(terms: Terms, premises: Sequence[Term], holds: Term) -> tuple[str, Any]:
    """Whether the premises imply this: the answer, and the solver that holds a model if they do not."""
    options = bw.Options()
    options.set(bw.Option.PRODUCE_MODELS, True)
    options.set(bw.Option.TIME_LIMIT_PER, SECONDS * 1000)
    solver = bw.Bitwuzla(terms.manager, options)
    for premise in premises:
        solver.assert_formula(premise)
    solver.assert_formula(terms.manager.mk_term(Kind.NOT, [holds]))
    answer = solver.check_sat()
    return {bw.Result.UNSAT: PROVED, bw.Result.SAT: REFUTED}.get(answer, UNKNOWN), solver


def confirms(solver: Any) -> bool:
    """Whether z3 too finds that the question's negation cannot be met; no answer in time confirms nothing.

    Raises
    ------
    AssertionError
        If it finds that it can be met: one of the two solvers is wrong.
    """
    import z3

    second = z3.Then("simplify", "solve-eqs", "bit-blast", "sat").solver()
    second.set("timeout", SECOND_SECONDS * 1000)
    second.add(z3.parse_smt2_string(solver.print_formula()))
    answer = second.check()
    assert answer != z3.sat, "the two solvers disagree"
    return bool(answer == z3.unsat)
