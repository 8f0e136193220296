"""The table of proofs: each unit's module against its specification, as `blocksim prove` prints it."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import TYPE_CHECKING

from blocksim.errors import BlocksimError
from blocksim.report.progress import progress_bar

if TYPE_CHECKING:
    from rich.table import Table

    from hwmodels.rtl.proof import Proof

NEEDED = ("pyosys", "bitwuzla")
SECOND_SOLVER = "z3"

COLUMNS = ("unit", "parameters", "registers", "bits", "one cycle", "operation", "seconds")


def chosen_units(named: Sequence[str], every: bool) -> list[str]:
    """The units that are named, each once, or all.

    Raises
    ------
    BlocksimError
        If one is not known, or the extra `rtl` is not installed.
    """
    for package in (*NEEDED, SECOND_SOLVER) if every else NEEDED:
        if importlib.util.find_spec(package) is None:
            raise BlocksimError("prove", "extra rtl", "not installed", "pip install 'blocksim[rtl]'")
    from hwmodels.rtl.suite import units

    known = units()
    for name in named:
        if name not in known:
            raise BlocksimError("command line", "UNIT", name, f"give some of {', '.join(known)}")
    return list(dict.fromkeys(named)) or known


def prove_units(named: Sequence[str], every: bool) -> bool:
    """Prove and print; whether everything holds."""
    import typer

    units = chosen_units(named, every)
    from hwmodels.rtl.suite import places, prove_all
    from hwmodels.rtl.yosys import YosysError

    proofs: list[Proof] = []
    with progress_bar("proving", len(places(units, every)), True) as advance:
        try:
            for proof in prove_all(units, every):
                proofs.append(proof)
                if advance:
                    advance(1)
        except YosysError as error:
            line = str(error).splitlines()[0].strip()
            raise BlocksimError("prove", "module", line, "mend the SystemVerilog") from None
    proofs.sort(key=lambda p: (p.unit, p.label))
    _print(proofs_table(proofs))
    for proof in proofs:
        for line in proof.counterexample:
            refuted = "counterexample" in (proof.step, proof.operation)
            typer.echo(f"counterexample: {line}" if refuted else line)
    typer.echo(summary(proofs))
    return all(proof.holds for proof in proofs)


def proofs_table(proofs: Sequence[Proof]) -> Table:
    """One row per unit and set of parameters."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in COLUMNS:
        table.add_column(column, justify="right" if column in ("registers", "bits", "seconds") else "left")
    for p in proofs:
        counts = (f"{p.registers:,}", f"{p.bits:,}")
        operation = f"{p.operation} ({p.scope})" if p.scope and p.operation == "proved" else p.operation
        table.add_row(p.unit, p.label, *counts, p.step, operation, f"{p.seconds:.1f}")
    return table


def summary(proofs: Sequence[Proof]) -> str:
    """One line: how many are proved, and how many of their operations."""
    held = [p for p in proofs if p.holds]
    whole = sum(p.operation == "proved" for p in held)
    tested = sum(p.operation == "tested" for p in held)
    asked, confirmed = sum(p.checks for p in held), sum(p.confirmed for p in held)
    second = f" z3 confirmed {confirmed:,} of bitwuzla's {asked:,} answers." if confirmed else ""
    return (
        f"{len(held)} of {len(proofs)} equal to their specification in every cycle, for all states and "
        f"inputs; whole operations: {whole} proved, {tested} tested, the rest are parts or have no registers."
        f"{second}"
    )


def _print(table: Table) -> None:
    import sys

    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else 120).print(table)
