"""The proof that a module is its unit's `step`: every register and output, for all states and inputs.

One clock cycle from any state: whatever the registers hold and whatever comes in, each register's next
value and each output is what `step` says, each reset value is what `reset` says, and the registers are the
state, none more and none less. What is assumed of the state is shown of the reset state and of the next.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import bitwuzla as bw
from bitwuzla import Kind

from hwmodels.rtl import yosys
from hwmodels.rtl.netlist import Netlist, elaborate
from hwmodels.rtl.reading import Reading
from hwmodels.rtl.twin import Cut, Twin
from hwmodels.rtl.words import Number, Term, Terms, Word, at, ends, fits, largest, smallest
from hwmodels.units import ops
from hwmodels.units.ports import Width, flat, leaves, map_leaves, signed, unflat

PROVED, TESTED, REFUTED, UNKNOWN = "proved", "tested", "counterexample", "unknown"

SECONDS = 600
"""How long one question may take."""


@dataclass(frozen=True)
class Check:
    """One question: does this hold?"""

    text: str
    holds: Term
    sides: tuple[Number, Number] | None = None
    """What the module and what the spec has, where they have to be equal."""


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
        The same of a whole operation against `result` and `cycles`; or `TESTED`; or the unit that it is a
        part of.
    seconds : float
    checks : int
        Questions asked.
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
    counterexample: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether nothing is refuted or left open."""
        return self.step == PROVED and self.operation not in (REFUTED, UNKNOWN)


class MismatchError(Exception):
    """The module and the spec do not have the same ports or registers."""


class Setting:
    """A twin's two sides over the same terms: the module's netlist, and the spec read on its registers."""

    def __init__(self, twin: Twin, folder: Path = yosys.SOURCES, changes: Sequence[str] = ()) -> None:
        self.twin = twin
        self.terms = Terms()
        self.premises: list[Term] = []
        self.checks: list[Check] = []
        parts = [cut.part for cut in twin.cuts]
        self.net: Netlist = elaborate(self.terms, twin.module, twin.parameters, parts, folder, changes)
        self.ports = twin.function("ports")(twin.config)
        self._cut_instances = tuple(i for cut in twin.cuts if cut.ports for i in cut.instances)
        self.registers = {name: r for r in self.net.registers for name in r.names}
        self.state = unflat(self.ports.state, [self._held(n, w) for n, w in leaves(self.ports.state)])
        self.inputs = type(self.ports.inputs)(
            *(self._port(n, w) for n, w in zip(self.ports.inputs._fields, self.ports.inputs, strict=True))
        )
        self.reset = self._wire("rst") if "rst" in self.net.wires else None
        self._compare()

    def _compare(self) -> None:
        twin, make = self.twin, self.terms.manager.mk_term
        reading = Reading({cut.function: self._replaced(cut) for cut in twin.cuts})
        step, invariant = reading.of(twin.function("step")), _read(reading, twin.invariant)
        self.premises += [
            _condition(self.terms, invariant(twin.config, self.state)),
            _condition(self.terms, _read(reading, twin.promised)(twin.config, self.state, self.inputs)),
        ]
        self.terms.obligations.clear()
        stepped, outputs = step(twin.config, self.state, self.inputs)
        after = stepped
        if self.reset is not None:
            cleared = reading.of(twin.function("reset"))(twin.config, stepped)
            zero = make(Kind.EQUAL, [self.reset, self.terms.value(0, 1)])
            after = map_leaves(lambda a, b: self._either(zero, a, b), stepped, cleared)
            initial = reading.of(twin.function("reset"))(twin.config, self.state)
            self._add("reset gives a state that the invariant allows", invariant(twin.config, initial))
        self._add("the invariant still holds after a cycle", invariant(twin.config, after))
        for obligation in self.terms.obligations:
            self.checks.append(Check(obligation.text, obligation.holds))
        self._compare_registers(after)
        for name, kind, value in zip(self.ports.outputs._fields, self.ports.outputs, outputs, strict=True):
            self._equal(f"output {name}", self._port(name, kind), value, kind)

    def _compare_registers(self, after: Any) -> None:
        own = [
            (name, kind, value)
            for (name, kind), value in zip(leaves(self.ports.state), flat(after), strict=True)
            if not self._is_cut(name)
        ]
        for name, kind, value in own:
            register = self.registers[name]
            self._equal(f"register {name}", self.terms.read(register.after, kind), value, kind)
        known = {name for name, _, _ in own}
        for register in self.net.registers:
            if len(known & register.names) != 1:
                raise MismatchError(
                    f"{self.twin.module}: register {'/'.join(sorted(register.names))}: "
                    f"{'several fields' if known & register.names else 'no field'} of the state: "
                    "give the spec one field for each register"
                )

    def _held(self, name: str, kind: Width) -> Number:
        if name in self.registers:
            now = self.registers[name].now
        elif self._is_cut(name):
            if name not in self.net.wires:
                return self.terms.unknown(name, kind)
            now = self.net.wires[name]
        else:
            raise MismatchError(f"{self.twin.module}: state {name}: the module has no such register")
        self._same_width(name, now, kind.bits)
        return self.terms.read(now, kind)

    def _is_cut(self, name: str) -> bool:
        return name.startswith(tuple(f"{i}." for i in self._cut_instances)) if self._cut_instances else False

    def _wire(self, name: str) -> Term:
        if name not in self.net.wires:
            raise MismatchError(f"{self.twin.module}: port {name}: the module has no such port")
        return self.net.wires[name]

    def _port(self, name: str, shape: Any) -> Any:
        """The numbers of a port: slices of it, the first lane in its lowest bits."""
        wire, kinds, values, start = self._wire(name), flat(shape), [], 0
        self._same_width(name, wire, sum(kind.bits for kind in kinds))
        for kind in kinds:
            part = self.terms.manager.mk_term(Kind.BV_EXTRACT, [wire], [start + kind.bits - 1, start])
            values.append(self.terms.read(part, kind))
            start += kind.bits
        return unflat(shape, values) if not isinstance(shape, Width) else values[0]

    def _same_width(self, name: str, term: Term, bits: int) -> None:
        if term.sort().bv_size() != bits:
            raise MismatchError(
                f"{self.twin.module}: {name}: {term.sort().bv_size()} bits: the spec says {bits}"
            )

    def _either(self, condition: Term, a: Number, b: Number) -> Number:
        if a is b:
            return a
        low, high = min(ends(a)[0], ends(b)[0]), max(ends(a)[1], ends(b)[1])
        width = max(low.bit_length(), high.bit_length()) + 1
        made = self.terms.manager.mk_term(
            Kind.ITE, [condition, at(self.terms, a, width), at(self.terms, b, width)]
        )
        return Word(self.terms, made, low, high)

    def _add(self, text: str, holds: Number) -> None:
        self.checks.append(Check(text, _condition(self.terms, holds)))

    def _equal(self, text: str, theirs: Any, ours: Any, kind: Any) -> None:
        for (name, _), a, b in zip(leaves(kind), flat(theirs), flat(ours), strict=True):
            self.checks.append(Check(text + name, _condition(self.terms, a == b), (a, b)))

    def _replaced(self, cut: Cut) -> Callable[..., Any]:
        instances = iter(cut.instances)

        def multiply(a: Number, b: Number, wa: int, wb: int) -> Number:
            if not (isinstance(a, Word) and isinstance(b, Word)):
                return a * b
            instance = next(instances)
            for port, x, bits in (("a", a, wa), ("b", b, wb)):
                kind = signed(bits)
                self._equal(f"operand {instance}.{port}", self._port(f"{instance}.{port}", kind), x, kind)
            product = self._port(f"{instance}.p", signed(wa + wb))
            known, product = plausible(product, a, b)
            self.premises += [_condition(self.terms, fact) for fact in known]
            return product

        def part(config: Any, state: Any, inputs: Any) -> tuple[Any, Any]:
            instance = next(instances)
            assert cut.ports is not None
            ports = cut.ports(config)
            for name, kind, value in zip(ports.inputs._fields, ports.inputs, inputs, strict=True):
                wire = f"{instance}.{name}"
                self._equal(f"input {wire}", self._port(wire, kind), value, kind)
            outputs = [
                self._port(f"{instance}.{name}", kind)
                for name, kind in zip(ports.outputs._fields, ports.outputs, strict=True)
            ]
            return state, type(ports.outputs)(*outputs)

        return part if cut.ports else multiply


def _read(reading: Reading, function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of a proof itself: its names are read as a unit's are."""
    return reading.of(function)


def _condition(terms: Terms, holds: Number) -> Term:
    if isinstance(holds, Word):
        return holds.holds()
    return terms.manager.mk_true() if holds else terms.manager.mk_false()


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
        self.facts += [_condition(self.terms, fact) for fact in known]
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


def prove(twin: Twin, folder: Path = yosys.SOURCES) -> Proof:
    """Prove one twin: every cycle, and a whole operation where that is unrolled.

    Parameters
    ----------
    twin : Twin
    folder : Path
        Where the modules lie.
    """
    start = time.perf_counter()
    proof = one_cycle(twin, folder)
    if not (twin.operation and proof.holds):
        return proof
    operation, asked, lines = _operation(twin)
    seconds = time.perf_counter() - start
    return replace(
        proof, operation=operation, checks=proof.checks + asked, counterexample=lines, seconds=seconds
    )


def one_cycle(twin: Twin, folder: Path = yosys.SOURCES, changes: Sequence[str] = ()) -> Proof:
    """Prove one twin for one cycle from any state.

    `changes` are yosys commands that change the netlist first: a mutation.
    """
    start = time.perf_counter()
    registers, bits, asked = 0, 0, 0
    outcome = UNKNOWN
    lines: tuple[str, ...] = ()
    try:
        setting = Setting(twin, folder, changes)
        registers = len(setting.net.registers)
        bits = sum(r.now.sort().bv_size() for r in setting.net.registers)
        outcome, asked, lines = _answers(setting)
    except MismatchError as error:
        outcome, lines = REFUTED, (str(error),)
    operation = f"in {twin.part_of}" if twin.part_of else TESTED
    seconds = time.perf_counter() - start
    return Proof(twin.title, twin.label, registers, bits, outcome, operation, seconds, asked, lines)


def _answers(setting: Setting) -> tuple[str, int, tuple[str, ...]]:
    trivial = setting.terms.manager.mk_true()
    for i, check in enumerate(setting.checks):
        if check.holds == trivial:
            continue
        answer, solver = ask(setting.terms, setting.premises, check.holds)
        if answer == REFUTED:
            return answer, i + 1, tuple(_told(setting, check, solver))
        if answer == UNKNOWN:
            return answer, i + 1, (f"{check.text}: no answer in {SECONDS} s",)
    return PROVED, len(setting.checks), ()


def _operation(twin: Twin) -> tuple[str, int, tuple[str, ...]]:
    assert twin.operation is not None
    terms = Terms()
    products = Products(terms)
    checks = [
        Check(claim.text, _condition(terms, claim.holds))
        for claim in twin.operation(terms, Reading({ops.mul: products}))
    ]
    checks += [Check(o.text, o.holds) for o in terms.obligations]
    for i, check in enumerate(checks):
        answer, _ = ask(terms, products.facts, check.holds)
        if answer != PROVED:
            return (
                answer,
                i + 1,
                (f"{twin.title} ({twin.label}): whole operation: {check.text} does not hold",),
            )
    return PROVED, len(checks), ()


def _told(setting: Setting, check: Check, solver: Any) -> Iterator[str]:
    """A counterexample in the spec's terms: the state and inputs, what the spec and what the module says."""

    def value(x: Number) -> int:
        if not isinstance(x, Word):
            return int(x)
        bits = int(solver.get_value(x.term).value(10))
        width = x.term.sort().bv_size()
        return bits - (1 << width) if bits >> width - 1 else bits

    yield f"{setting.twin.title} ({setting.twin.label}): {check.text} does not hold where"
    for kind, shape in (("state", setting.state), ("input", setting.inputs)):
        for name, x in leaves(shape):
            yield f"  {kind} {name} = {value(x)}"
    if setting.reset is not None:
        yield f"  input rst = {int(solver.get_value(setting.reset).value(10))}"
    if check.sides:
        module, spec = (value(side) for side in check.sides)
        yield f"  the module has {module}, the spec {spec}"
