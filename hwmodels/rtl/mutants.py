"""Mutants of a module: yosys changes one bit of one cell, and the proof has to refuse it.

A mutant that the proof accepts has to be shown to be no mutant at all: the same function of the same state
and inputs, netlist against netlist, without the spec.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from bitwuzla import Kind

from hwmodels.rtl import yosys
from hwmodels.rtl.netlist import elaborate, script
from hwmodels.rtl.proof import one_cycle
from hwmodels.rtl.setting import Setting
from hwmodels.rtl.solver import PROVED, REFUTED, ask
from hwmodels.rtl.twin import Twin
from hwmodels.rtl.words import Term

SEED = 2026

REFUSED, EQUAL, SURVIVED = "refused", "equal", "survived"


@dataclass(frozen=True)
class Judgement:
    """What became of one mutant: `change` is the command that makes it."""

    unit: str
    module: str
    change: str
    verdict: str


def listed(twin: Twin, count: int, seed: int = SEED) -> list[str]:
    """The commands that make `count` mutants of a module, or as many as it has."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "mutants"
        parts = [cut.part for cut in twin.cuts]
        read = script(twin.module, twin.parameters, parts, yosys.SOURCES)
        yosys.run([*read, f"mutate -list {count} -seed {seed} -none -o {path}"])
        lines = path.read_text().splitlines()
    return [line for line in dict.fromkeys(lines) if line and "-mode none" not in line]


def judge(twin: Twin, change: str) -> Judgement:
    """Whether the proof refuses a mutant, or else whether it is one."""
    verdict = REFUSED
    if one_cycle(twin, changes=[change]).step != REFUTED:
        verdict = EQUAL if is_equal(twin, change) else SURVIVED
    return Judgement(twin.title, twin.module, change, verdict)


def is_equal(twin: Twin, change: str) -> bool:
    """Whether a mutant does what the module does, in every state that the invariant allows."""
    setting = Setting(twin)
    terms, parts = setting.terms, [cut.part for cut in twin.cuts]
    other = elaborate(terms, twin.module, twin.parameters, parts, changes=[change], name="mutant")
    make = terms.manager.mk_term
    theirs = {name: r for r in other.registers for name in r.names}
    same: list[Term] = []
    claims: list[tuple[Term, Term]] = []
    for register in setting.net.registers:
        twins = [theirs[name] for name in register.names if name in theirs]
        if not twins:
            return False
        same.append(make(Kind.EQUAL, [register.now, twins[0].now]))
        claims.append((register.after, twins[0].after))
    free = [*setting.ports.inputs._fields, "rst", *setting.parts_free]
    driven = [*setting.ports.outputs._fields, *setting.parts_driven]
    same += [make(Kind.EQUAL, [setting.net.wires[w], other.wires[w]]) for w in free if w in other.wires]
    claims += [(setting.net.wires[w], other.wires[w]) for w in driven]
    premises = [*setting.premises, *same]
    return all(ask(terms, premises, make(Kind.EQUAL, list(pair)))[0] == PROVED for pair in claims)
