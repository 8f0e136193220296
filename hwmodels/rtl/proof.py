"""The proof that a module is its unit's `step`: every register and output, for all states and inputs.

One clock cycle from any state: whatever the registers hold and whatever comes in, each register's next
value and each output is what `step` says, each reset value is what `reset` says, and the registers are the
state, none more and none less. What is assumed of the state is shown of the reset state and of the next.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bitwuzla import Kind

from hwmodels.rtl import yosys
from hwmodels.rtl.reading import Reading
from hwmodels.rtl.setting import Check, MismatchError, Setting
from hwmodels.rtl.solver import PROVED, REFUTED, SECONDS, UNKNOWN, Products, ask, confirms
from hwmodels.rtl.twin import Twin
from hwmodels.rtl.words import Number, Term, Terms, Word
from hwmodels.units import ops
from hwmodels.units.ports import leaves

TOGETHER = 256
"""Questions that are asked as one where a module has more of them: its parts are cut, and most are wires."""

CONTRADICTION = "the assumptions contradict each other, so that nothing is proved"

TESTED = "tested"
"""What a whole operation is where it is not proved."""

COMBINATIONAL = "combinational"
"""What it is where a module has no registers: what is proved of one cycle is the whole of it."""


@dataclass(frozen=True)
class Proof:
    """What came out for one twin.

    Attributes
    ----------
    unit, label : str
    registers, bits : int
        Registers of the module, and their bits together.
    step : str
        `PROVED`, `REFUTED` or `UNKNOWN`: one cycle, for all states.
    operation : str
        The same of a whole operation against `result` and `cycles`; or `TESTED`, or `COMBINATIONAL`; or the
        unit that it is a part of.
    scope : str
        How large the whole operation is, if it is not of the unit's own size.
    seconds : float
    checks, confirmed : int
        Questions answered, and how many of the answers z3 confirmed, where it was asked.
    counterexample : tuple of str
        Lines in the spec's terms, where something does not hold.
    """

    unit: str
    label: str
    registers: int
    bits: int
    step: str
    operation: str
    seconds: float
    checks: int
    confirmed: int
    counterexample: tuple[str, ...] = ()
    scope: str = ""

    @property
    def holds(self) -> bool:
        """Whether nothing is refuted or left open."""
        return self.step == PROVED and self.operation not in (REFUTED, UNKNOWN)


@dataclass(frozen=True)
class Answer:
    """What became of a list of checks: `failed` is the first that does not hold or has no answer."""

    outcome: str
    checks: int
    confirmed: int
    failed: Check | None = None
    solver: Any = None


def prove(twin: Twin, folder: Path = yosys.SOURCES, second: bool = False) -> Proof:
    """Prove one twin: every cycle, and a whole operation where that is unrolled.

    Parameters
    ----------
    twin : Twin
    folder : Path
        Where the modules lie.
    second : bool
        Whether z3 is asked too.
    """
    start = time.perf_counter()
    proof = one_cycle(twin, folder, second=second)
    if not (twin.operation and proof.holds):
        return proof
    answer = _operation(twin, second)
    lines: tuple[str, ...] = ()
    if answer.failed:
        lines = (f"{twin.title} ({twin.label}): whole operation: {answer.failed.text} does not hold",)
    return replace(
        proof,
        operation=answer.outcome,
        checks=proof.checks + answer.checks,
        confirmed=proof.confirmed + answer.confirmed,
        counterexample=lines,
        scope=twin.scope,
        seconds=time.perf_counter() - start,
    )


def one_cycle(
    twin: Twin, folder: Path = yosys.SOURCES, changes: Sequence[str] = (), second: bool = False
) -> Proof:
    """Prove one twin for one cycle from any state.

    `changes` are yosys commands that change the netlist first: a mutation.
    """
    start = time.perf_counter()
    registers = bits = 0
    answer = Answer(REFUTED, 0, 0)
    lines: tuple[str, ...] = ()
    try:
        setting = Setting(twin, folder, changes)
    except MismatchError as error:
        lines = (str(error),)
    else:
        registers = len(setting.net.registers)
        bits = sum(r.now.sort().bv_size() for r in setting.net.registers)
        answer = _answer(setting.terms, setting.premises, setting.checks, second)
        lines = tuple(_told(setting, answer))
    without = COMBINATIONAL if answer.outcome == PROVED and not registers else TESTED
    operation = f"in {twin.part_of}" if twin.part_of else without
    seconds = time.perf_counter() - start
    return Proof(
        twin.title, twin.label, registers, bits, answer.outcome, operation, seconds,
        answer.checks, answer.confirmed, lines,
    )  # fmt: skip


def _answer(terms: Terms, premises: Sequence[Term], checks: Sequence[Check], second: bool) -> Answer:
    """Ask one after the other, until one does not hold; where there are many, first of `TOGETHER` at once."""
    nothing = terms.manager.mk_false()
    if ask(terms, premises, nothing)[0] == PROVED:
        return Answer(UNKNOWN, 0, 0, Check(CONTRADICTION, nothing))
    for check in (c for c in checks if c.from_any):
        outcome, solver = ask(terms, premises[1:], check.holds)  # the first premise is the invariant
        if outcome != PROVED:
            return Answer(outcome, 1, 0, check, solver)
    size = TOGETHER if len(checks) > TOGETHER else 1
    confirmed = 0
    for start in range(0, len(checks), size):
        some = checks[start : start + size]
        holds = [check.holds for check in some]
        every = terms.manager.mk_term(Kind.AND, holds) if len(holds) > 1 else holds[0]
        outcome, solver = ask(terms, premises, every)
        if outcome == PROVED:
            confirmed += len(some) * (second and confirms(solver))
            continue
        for i, check in enumerate(some):
            if len(some) > 1:
                outcome, solver = ask(terms, premises, check.holds)
            if outcome != PROVED:
                return Answer(outcome, start + i + 1, confirmed, check, solver)
    return Answer(PROVED, len(checks), confirmed)


def _operation(twin: Twin, second: bool) -> Answer:
    assert twin.operation is not None
    terms = Terms()
    products = Products(terms)
    claims = list(twin.operation(terms, Reading({ops.mul: products})))
    checks = [Check(claim.text, terms.condition(claim.holds)) for claim in claims]
    checks += [Check(o.text, o.holds) for o in terms.obligations]
    return _answer(terms, products.facts, checks, second)


def _told(setting: Setting, answer: Answer) -> Iterator[str]:
    """A counterexample in the spec's terms: the state and inputs, what the spec and what the module says."""
    check, solver = answer.failed, answer.solver
    if check is None:
        return
    title = f"{setting.twin.title} ({setting.twin.label}): {check.text}"
    if check.text == CONTRADICTION:
        yield title
        return
    if answer.outcome == UNKNOWN:
        yield f"{title}: no answer in {SECONDS} s"
        return

    def value(x: Number) -> int:
        if not isinstance(x, Word):
            return int(x)
        bits = int(solver.get_value(x.term).value(10))
        width = x.term.sort().bv_size()
        return bits - (1 << width) if bits >> width - 1 else bits

    yield f"{title} does not hold where"
    for kind, shape in (("state", setting.state), ("input", setting.inputs)):
        found = [(name, value(x)) for name, x in leaves(shape)]
        yield from (f"  {kind} {name} = {number}" for name, number in found if number)
        zeros = sum(number == 0 for _, number in found)
        if zeros:
            yield f"  and the other {zeros} of the {kind} are 0"
    if setting.reset is not None:
        yield f"  input rst = {int(solver.get_value(setting.reset).value(10))}"
    if check.sides:
        module, spec = (value(side) for side in check.sides)
        yield f"  the module has {module}, the spec {spec}"
