"""Energy tables: picojoules per action, each figure with its source and how it came about.

Widths without an entry are derived from the nearest one: an adder scales with its bits, a multiplier
with the product of its operands' bits, an SRAM access with the logarithm of its bank's capacity.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml
from pydantic import Field, model_validator

from hwmodels.frozen import Frozen

FOLDER = Path(__file__).parent
Status = Literal["cited", "derived", "chosen"]


class Sourced(Frozen):
    """A figure with its source."""

    status: Status = Field(description="where the figure comes from")
    source: str = Field(description="the publication, or the reasoning")


class Arithmetic(Sourced):
    """An adder, or a multiplier of two operands of equal width."""

    bits: int = Field(ge=1, description="of an operand")
    pj: float = Field(gt=0, description="pJ of one operation")


class Relative(Sourced):
    """An action as a multiple of an adder of its width."""

    factor: float = Field(gt=0, description="times an adder of the action's width")


class SramAccess(Sourced):
    """A 64-bit access to a memory of some capacity."""

    kib: float = Field(gt=0, description="capacity in KiB")
    pj_per_64b: float = Field(gt=0, description="pJ")


class DramAccess(Sourced):
    """A 64-bit transfer."""

    pj_per_64b: float = Field(gt=0, description="pJ")


class Register(Sourced):
    """A register bit written."""

    pj_per_bit: float = Field(gt=0, description="pJ")


class Static(Sourced):
    """Clock and leakage per cycle, as a fraction of writing every register of the array."""

    fraction: float = Field(ge=0, description="of the energy of writing every register of the array once")


@dataclass(frozen=True)
class Figure:
    """Energy of one action: pJ, the formula that gave it, its source and how it came about."""

    pj: float
    formula: str
    source: str
    status: Status


class CostTable(Frozen):
    """One table of action energies.

    >>> table = load("horowitz-45nm")
    >>> table.figure("mul:8x8").pj, table.figure("mul:8x8").status
    (0.2, 'cited')
    >>> table.figure("mul:8x4").pj, table.figure("mul:8x4").status
    (0.1, 'derived')
    """

    name: str = Field(description="what reports call it")
    node_nm: float = Field(description="technology node in nm")
    add: tuple[Arithmetic, ...] = Field(min_length=1, description="adders; others scale with their bits")
    mul: tuple[Arithmetic, ...] = Field(
        min_length=1, description="multipliers; others scale with the product of their operands' bits"
    )
    relative_to_add: dict[str, Relative] = Field(description="actions by name")
    sram: tuple[SramAccess, ...] = Field(
        min_length=2, description="accesses by capacity; others follow the logarithm between them"
    )
    dram: dict[str, DramAccess] = Field(description="transfers by type")
    register_: Register = Field(alias="register", description="registers")
    static: Static = Field(description="clock and leakage")

    @model_validator(mode="after")
    def _complete(self) -> CostTable:
        missing = {"shift", "compare", "lzc", "table"} - set(self.relative_to_add)
        if missing:
            raise ValueError(f"relative_to_add has no {', '.join(sorted(missing))}")
        return self

    def figure(self, action: str, bank_kib: float = 0.0, dram: str = "ddr") -> Figure:
        """Energy of one unit of an action.

        Parameters
        ----------
        action : str
            Such as ``mul:8x4``, ``add:32``, ``shift:32``, ``register.bits``, ``sram.weights.bytes``,
            ``accumulator.bits``, ``dram.bytes``.
        bank_kib : float
            Capacity of the bank that an SRAM or accumulator action reaches.
        dram : str
            DRAM type.

        Raises
        ------
        KeyError
            If the table has no figure for the action.
        """
        kind, _, width = action.partition(":")
        if kind == "mul":
            return self._multiply(*(int(w) for w in width.split("x")))
        if kind == "add":
            return self._add(int(width))
        if kind in self.relative_to_add:
            base, rule = self._add(int(width)), self.relative_to_add[kind]
            formula = f"{rule.factor} x add:{width} ({base.formula})"
            return Figure(rule.factor * base.pj, formula, f"{rule.source}; {base.source}", rule.status)
        if action == "register.bits":
            r = self.register_
            return Figure(r.pj_per_bit, f"{r.pj_per_bit} pJ per bit", r.source, r.status)
        if action == "dram.bytes":
            d = self.dram[dram]
            return Figure(d.pj_per_64b / 8, f"{d.pj_per_64b} / 8 bytes", d.source, d.status)
        per_byte = self._sram(bank_kib)
        if action.endswith(".bytes"):
            return per_byte
        if action.endswith(".bits"):
            return Figure(per_byte.pj / 8, f"({per_byte.formula}) / 8", per_byte.source, per_byte.status)
        raise KeyError(action)

    def _add(self, bits: int) -> Figure:
        near = min(self.add, key=lambda a: abs(math.log(a.bits / bits)))
        if near.bits == bits:
            return Figure(near.pj, f"{near.pj}", near.source, near.status)
        return Figure(near.pj * bits / near.bits, f"{near.pj} x {bits}/{near.bits}", near.source, "derived")

    def _multiply(self, a: int, b: int) -> Figure:
        near = min(self.mul, key=lambda m: abs(math.log(m.bits * m.bits / (a * b))))
        area = near.bits * near.bits
        if near.bits == a == b:
            return Figure(near.pj, f"{near.pj}", near.source, near.status)
        return Figure(near.pj * a * b / area, f"{near.pj} x {a}x{b}/{area}", near.source, "derived")

    def _sram(self, kib: float) -> Figure:
        points = sorted(self.sram, key=lambda s: s.kib)
        low = max((p for p in points[:-1] if p.kib <= kib), key=lambda p: p.kib, default=points[0])
        high = points[points.index(low) + 1]
        if kib <= low.kib:
            formula = f"{low.pj_per_64b} / 8 bytes, as {low.kib:g} KiB"
            status: Status = low.status if kib == low.kib else "derived"
            return Figure(low.pj_per_64b / 8, formula, low.source, status)
        share = math.log(kib / low.kib) / math.log(high.kib / low.kib)
        pj = low.pj_per_64b + share * (high.pj_per_64b - low.pj_per_64b)
        formula = (
            f"({low.pj_per_64b} + log({kib:g}/{low.kib:g})/log({high.kib:g}/{low.kib:g}) x "
            f"{high.pj_per_64b - low.pj_per_64b:g}) / 8 bytes"
        )
        status = high.status if kib == high.kib else "derived"
        return Figure(pj / 8, formula, f"{low.source}; {high.source}", status)


def names() -> list[str]:
    """The tables that are shipped; `transistors.yaml` and `synthesis.yaml` beside them belong to `area`.

    >>> names()
    ['horowitz-45nm', 'jouppi-7nm']
    """
    return sorted(p.stem for p in FOLDER.glob("*.yaml") if p.stem not in ("transistors", "synthesis"))


def load(name_or_path: str | Path) -> CostTable:
    """A shipped table by name, or any table from a YAML file.

    Raises
    ------
    FileNotFoundError
        If it is neither; the message lists the shipped names.
    pydantic.ValidationError, yaml.YAMLError
        If the file is not a cost table.
    """
    path = FOLDER / f"{name_or_path}.yaml"
    if not path.is_file():
        path = Path(name_or_path)
    if not path.is_file():
        raise FileNotFoundError(f"give one of {', '.join(names())}, or the path of a YAML file")
    return CostTable.model_validate(yaml.safe_load(path.read_text()))
