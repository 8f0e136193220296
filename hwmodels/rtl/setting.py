"""The two sides of a proof: a module's netlist, and its spec read on the netlist's own registers.

What has to hold is written down as checks: each register's next value, each output, each operand of a part
that is cut, whatever the spec's functions rely on, and that the invariant is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bitwuzla import Kind

from hwmodels.rtl import yosys
from hwmodels.rtl.netlist import Netlist, elaborate
from hwmodels.rtl.reading import Reading
from hwmodels.rtl.solver import plausible
from hwmodels.rtl.twin import Cut, Twin
from hwmodels.rtl.words import Number, Term, Terms, Word, at, ends
from hwmodels.units.ports import Width, flat, leaves, map_leaves, signed, unflat


@dataclass(frozen=True)
class Check:
    """One question: does this hold?"""

    text: str
    holds: Term
    sides: tuple[Number, Number] | None = None
    """What the module and what the spec has, where they have to be equal."""

    from_any: bool = False
    """Whether it is asked of any state, not only of those that the invariant allows."""


class MismatchError(Exception):
    """The module and the spec do not have the same ports or registers."""


class Setting:
    """A twin's two sides over the same terms: the module's netlist, and the spec read on its registers."""

    def __init__(self, twin: Twin, folder: Path = yosys.SOURCES, changes: Sequence[str] = ()) -> None:
        self.twin = twin
        self.terms = Terms()
        self.premises: list[Term] = []
        self.checks: list[Check] = []
        self.parts_driven: list[str] = []
        """Wires into the parts that are cut."""
        self.parts_free: list[str] = []
        """Wires out of them."""
        parts = [cut.part for cut in twin.cuts]
        self.net: Netlist = elaborate(self.terms, twin.module, twin.parameters, parts, folder, changes)
        self.ports = twin.function("ports")(twin.config)
        self._cut_away = tuple(f"{i}." for cut in twin.cuts if cut.ports for i in cut.instances)
        self.registers = {name: r for r in self.net.registers for name in r.names}
        self.state = unflat(self.ports.state, [self._held(n, w) for n, w in leaves(self.ports.state)])
        self.inputs = type(self.ports.inputs)(
            *(self._port(n, w) for n, w in zip(self.ports.inputs._fields, self.ports.inputs, strict=True))
        )
        self.reset = self._wire("rst") if "rst" in self.net.wires else None
        self._compare()

    def _compare(self) -> None:
        twin, make = self.twin, self.terms.manager.mk_term
        reading = self._reading = Reading({cut.function: self._replaced(cut) for cut in twin.cuts})
        step, invariant = reading.of(twin.function("step")), reading.of(twin.invariant)
        self.premises += [
            self.terms.condition(invariant(twin.config, self.state)),
            self.terms.condition(reading.of(twin.promised)(twin.config, self.state, self.inputs)),
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
        kept = self.terms.condition(invariant(twin.config, after))
        # a module without a reset has to come to a state that is allowed by itself, in one cycle
        self.checks.append(Check("the invariant holds after a cycle", kept, from_any=self.reset is None))
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
        return name.startswith(self._cut_away)

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
        self.checks.append(Check(text, self.terms.condition(holds)))

    def _equal(self, text: str, theirs: Any, ours: Any, kind: Any) -> None:
        for (name, _), a, b in zip(leaves(kind), flat(theirs), flat(ours), strict=True):
            self.checks.append(Check(text + name, self.terms.condition(a == b), (a, b)))

    def _replaced(self, cut: Cut) -> Callable[..., Any]:
        instances = iter(cut.instances)

        def multiply(a: Number, b: Number, wa: int, wb: int) -> Number:
            if not (isinstance(a, Word) and isinstance(b, Word)):
                return a * b
            instance = next(instances)
            for port, x, bits in (("a", a, wa), ("b", b, wb)):
                kind = signed(bits)
                self._equal(f"operand {instance}.{port}", self._port(f"{instance}.{port}", kind), x, kind)
            self.parts_driven += [f"{instance}.a", f"{instance}.b"]
            self.parts_free.append(f"{instance}.p")
            product = self._port(f"{instance}.p", signed(wa + wb))
            known, product = plausible(product, a, b)
            self.premises += [self.terms.condition(fact) for fact in known]
            return product

        def part(config: Any, state: Any, inputs: Any) -> tuple[Any, Any]:
            instance = next(instances)
            assert cut.ports is not None
            ports = cut.ports(config)
            promise = self._reading.of(cut.promised)(config, state, inputs)
            self._add(f"what is promised to {instance}", promise)
            self.parts_driven += [f"{instance}.{name}" for name in ports.inputs._fields]
            self.parts_free += [f"{instance}.{name}" for name in ports.outputs._fields]
            for name, kind, value in zip(ports.inputs._fields, ports.inputs, inputs, strict=True):
                wire = f"{instance}.{name}"
                self._equal(f"input {wire}", self._port(wire, kind), value, kind)
            outputs = [
                self._port(f"{instance}.{name}", kind)
                for name, kind in zip(ports.outputs._fields, ports.outputs, strict=True)
            ]
            return state, type(ports.outputs)(*outputs)

        return part if cut.ports else multiply
