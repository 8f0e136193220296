"""A module's netlist as terms: what every register and output becomes, as functions of state and inputs.

yosys reads the SystemVerilog and writes SMT-LIB functions of one state; bitwuzla reads those. Nothing is
optimised away that would hide a register: constants are folded, what nothing reads is removed, and what is
undefined may be anything.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bitwuzla as bw

from hwmodels.rtl import yosys
from hwmodels.rtl.words import Term, Terms

FLATTENED = ("memory_collect", "memory_map", "flatten", "opt_expr", "opt_clean")
"""After the cut parts are emptied: one module, memories a register per word. Registers are neither merged nor
taken for constants."""

WRITTEN = ("setundef -undriven -anyseq", "async2sync", "dffunmap")


@dataclass(frozen=True)
class Register:
    """One register: its names, its value now and after the next clock edge."""

    names: frozenset[str]
    now: Term
    after: Term


@dataclass(frozen=True)
class Netlist:
    """One module.

    Attributes
    ----------
    registers : tuple of Register
        All flip-flops, as the words that they were written as.
    wires : dict of str to Term
        Every named wire's value now: ports, and those of the parts as ``part.port``.
    """

    registers: tuple[Register, ...]
    wires: dict[str, Term]


def script(
    top: str, parameters: Mapping[str, int], cut: Iterable[str], folder: Path, changes: Iterable[str] = ()
) -> list[str]:
    """The commands from sources to one flat module; parts named in `cut` keep only their ports.

    `changes` are commands that run on the flat module: a mutation.
    """
    emptied = [
        command.format(f"A:hdlname=\\{part}")
        for part in cut
        for command in ("setattr -set keep 1 {}/w:*", "delete {}/c:*")
    ]
    return [*yosys.read(top, parameters, folder), *emptied, *FLATTENED, *changes]


def elaborate(
    terms: Terms,
    top: str,
    parameters: Mapping[str, int],
    cut: Iterable[str] = (),
    folder: Path = yosys.SOURCES,
    changes: Iterable[str] = (),
    name: str = "state",
) -> Netlist:
    """The netlist of a module with these parameters; `name` is that of its state's term.

    Raises
    ------
    YosysError
        If the sources cannot be read.
    """
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "netlist.smt2"
        yosys.run(
            [*script(top, parameters, cut, folder, changes), *WRITTEN, f"write_smt2 -stbv -wires {path}"]
        )
        return parsed(terms, path.read_text(), name)


_WIRE = re.compile(r"^; yosys-smt2-wire (\S+) \d+$", re.M)
_REGISTER = re.compile(r"^; yosys-smt2-register (\S+) \d+$", re.M)
_INPUT = re.compile(r"^; yosys-smt2-(?:input|output) (\S+) \d+$", re.M)
_STEP = re.compile(r"^  \(= (.*) \((\|[^|]+#\d+\|) next_state\)\) ; ", re.M)
_NAMED = re.compile(r"^\(define-fun \|[^|]+_n ([^|]+)\| .* (?:Bool|\(_ BitVec \d+\)) (.*)\)$", re.M)
_OWN = re.compile(r"\|[^|]+#\d+\|")


def parsed(terms: Terms, text: str, state: str = "state") -> Netlist:
    """Read what yosys wrote."""
    top = re.search(r"^; yosys-smt2-module (\S+)$", text, re.M)
    assert top
    parser = bw.Parser(terms.manager, bw.Options())
    parser.parse(f"(set-logic QF_BV)\n{text}\n(declare-const {state} |{top[1]}_s|)", True, False)

    def term(expression: str) -> Term:
        found = parser.parse_term(expression)
        if found.sort().is_bool():
            make: Any = terms.manager.mk_term
            return make(bw.Kind.ITE, [found, terms.value(1, 1), terms.value(0, 1)])
        return found

    def named(name: str) -> Term:
        return term(f"(|{top[1]}_n {name}| {state})")

    wires = {name: named(name) for name in {*_WIRE.findall(text), *_INPUT.findall(text)}}
    flagged = set(_REGISTER.findall(text))
    names: dict[str, set[str]] = {}
    for name, body in _NAMED.findall(text):
        cell = _OWN.search(body)
        if name in flagged and cell:
            names.setdefault(cell[0], set()).add(name)
    registers = tuple(
        Register(
            frozenset(names.get(cell, {cell})),
            term(f"({cell} {state})"),
            term(expression.replace(" state)", f" {state})")),
        )
        for expression, cell in _STEP.findall(text)
    )
    return Netlist(registers, wires)
