"""Area: transistors of each part of a machine, from textbook gate counts.

Every figure is a sum of cells, `transistors.yaml` says what a cell takes, and the formula says which
cells. It is a count for comparing machines with each other: no wires, no clock tree, no periphery of
memories. A unit of the vector kind has each operator that one row of `lanes` elements uses, once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from pydantic import Field, TypeAdapter

from hwmodels.costs import Sourced, Status
from hwmodels.units import array_cycles, elementwise, lut, norm, prescan, requantizer, softmax
from hwmodels.units.actions import Actions
from hwmodels.units.ops import bit_length

if TYPE_CHECKING:
    from hwmodels.machines import Machine, Memory

PATH = Path(__file__).parent / "transistors.yaml"


class Cell(Sourced):
    """One cell."""

    transistors: int = Field(gt=0)


@dataclass(frozen=True)
class AreaFigure:
    """Area of one part: transistors, the formula that gave them, its sources and how it came about."""

    transistors: int
    formula: str
    source: str
    status: Status


@cache
def cells() -> dict[str, Cell]:
    """The cells by name.

    >>> cells()["full_adder"].transistors, cells()["full_adder"].status
    (28, 'cited')
    """
    return TypeAdapter(dict[str, Cell]).validate_python(yaml.safe_load(PATH.read_text()))


Count = dict[str, int]
"""How many of each cell."""


def total(*parts: tuple[int, Mapping[str, int]]) -> Count:
    """The cells of several parts, each with how often it is there."""
    count: Count = {}
    for times, part in parts:
        for cell, number in part.items():
            count[cell] = count.get(cell, 0) + times * number
    return {cell: number for cell, number in count.items() if number}


def adder(bits: int) -> Count:
    """A ripple-carry adder or subtractor: a full adder per bit."""
    return {"full_adder": bits}


def multiplier(a: int, b: int) -> Count:
    """An array multiplier: a AND gate per pair of bits, a row of full adders per bit of b but the first.

    By hand: 8 x 8 has 64 AND gates and 56 full adders, 384 + 1,568 = 1,952 transistors.
    """
    return {"and2": a * b, "full_adder": a * (b - 1)}


def shifter(bits: int, longest: int) -> Count:
    """A barrel shifter in either direction: a row of multiplexers per bit of the distance, two to turn.

    By hand: 32 bits and at most 31 positions have 5 + 2 rows of 32 multiplexers, 224.
    """
    return {"mux2": bits * (bit_length(longest) + 2)}


def comparator(bits: int) -> Count:
    """A comparator: a subtractor of which the carry counts."""
    return adder(bits)


def leading_zeros(bits: int) -> Count:
    """A leading-zero count: stages of half the width each, an OR and a multiplexer per bit together."""
    return {"or2": bits, "mux2": bits}


def register(bits: int) -> Count:
    """A register."""
    return {"flip_flop": bits}


def memory(bits: int, ports: int = 1) -> Count:
    """SRAM bits with so many ports."""
    return {"sram_bit": bits, "sram_port": bits * (ports - 1)}


def operator(action: str) -> Count:
    """The hardware that does an action once per cycle; tables and registers are counted apart."""
    kind, _, width = action.partition(":")
    if kind == "mul":
        a, b = (int(w) for w in width.split("x"))
        return multiplier(a, b)
    bits = int(width) if width else 0
    return {
        "add": adder,
        "compare": comparator,
        "lzc": leading_zeros,
        "shift": lambda n: shifter(n, n - 1),
        "table": lambda _: {},
    }[kind](bits)


def operators(actions: Actions) -> Count:
    """Every operator that these actions use, as often as they use it; registers one per bit."""
    counts = []
    for (_, action), times in actions.items():
        counts.append((times, register(1) if action == "register.bits" else operator(action)))
    return total(*counts)


def figure(count: Mapping[str, int], note: str) -> AreaFigure:
    """The figure of a count of cells."""
    known = cells()
    used = {cell: known[cell] for cell in count}
    terms = [f"{number:,} {cell} x {used[cell].transistors}" for cell, number in count.items()]
    return AreaFigure(
        sum(number * used[cell].transistors for cell, number in count.items()),
        f"{note}: {' + '.join(terms) or '0'}",
        "; ".join(dict.fromkeys(cell.source for cell in used.values())),
        "derived",
    )


def area(machine: Machine) -> dict[str, AreaFigure]:
    """Transistors of each part of a machine.

    >>> from hwmodels.machines import load
    >>> parts = area(load("bct64"))
    >>> parts["multipliers"].transistors == 64 * 64 * 1952
    True
    >>> parts["prescan"].transistors
    0
    """
    return {**array_area(machine), **vector_area(machine), **memory_area(machine)}


def array_area(machine: Machine) -> dict[str, AreaFigure]:
    """The MAC array with what aligns and accumulates."""
    array, aligner, word = machine.array, machine.aligner, machine.accumulator
    config = machine.array_config
    elements, still = array.rows * array.columns, array.dataflow == "os"
    summed = array_cycles.running_bits(config, array.rows, 8, 8)
    sums = 2 if array.pack_axis == "N" else 1  # two columns in one element keep two sums
    held = 0 if still else 8 * (2 if config.overlap else 1)
    moved = 16 if still else 8
    joined = adder(9) if array.pack_axis == "K" else {}  # two products in one element are added first
    lanes = array.columns * sums * aligner.per_column
    # a term is shifted, rounded and joined; its distance takes two adds of exponents
    align = total((1, shifter(word.bits, aligner.max_shift)), (2, adder(word.bits)), (2, adder(prescan.WORD)))
    running = aligner.normalise == "running"
    if running:
        again = total((1, shifter(word.bits, aligner.max_shift)), (1, adder(word.bits)))
        align = total((1, align), (1, again), (1, comparator(prescan.WORD)))
    exact = aligner.normalise == "exact"
    scan = total((1, adder(prescan.SUM_BITS)), (1, comparator(prescan.WORD)), (prescan.WORD, {"mux2": 1}))
    outputs = array.columns * sums * word.rows * word.banks
    own = elements * sums if still else 0
    adders = lanes if still or running else array.columns * sums
    bank = array.columns * sums * word.rows * array_cycles.RAW_BITS if config.raw_bank else 0
    return {
        "multipliers": figure(
            total((elements, multiplier(8, 8)), (elements, joined)), f"{elements:,} multipliers of 8 x 8"
        ),
        "running sums": figure(
            total((elements * sums, adder(summed))), f"{elements * sums:,} adders of {summed} bits"
        ),
        "registers": figure(
            total((elements, register(moved + held + sums * summed))),
            f"{elements:,} x ({moved} moving, {held} held, {sums} x {summed} summed bits)",
        ),
        "aligners": figure(
            total((lanes, align)),
            f"{lanes:,} lanes of {word.bits} bits{', and the accumulator aligned anew' if running else ''}",
        ),
        "raw bank": figure(
            total((1, memory(bank)), (array.columns * sums if bank else 0, adder(array_cycles.RAW_BITS))),
            f"{bank:,} bits of unfinished segments",
        ),
        "accumulators": figure(
            total((1, memory(outputs * word.bits)), (own, register(word.bits)), (adders, adder(word.bits))),
            f"{outputs:,} words, {own:,} registers, {adders:,} adders of {word.bits} bits",
        ),
        "prescan": figure(
            total((aligner.prescan_lanes if exact else 0, scan)),
            f"{aligner.prescan_lanes if exact else 0:,} lanes: an add, a compare and a choice",
        ),
        "exponent store": figure(
            total((1, memory(outputs * prescan.WORD if exact or running else 0))),
            "a bound per accumulator word" if exact or running else "bounds follow from rows and columns",
        ),
    }


def vector_area(machine: Machine) -> dict[str, AreaFigure]:
    """The requantizer and the vector units with their tables."""
    wide, lanes = machine.accumulator.bits, machine.requantizer.lanes
    static = machine.requantizer.exponents == "static"
    vector = machine.vector.lanes
    gelu = machine.lut_config("gelu")
    soft, root = machine.softmax_config, machine.norm_config
    tables = {  # a table that elements read is there for every lane, one that rows read is there once
        "lut": vector * len(gelu.table) * gelu.in_bits,
        "softmax": (vector * len(soft.exp2) + len(soft.reciprocal)) * (softmax.FRACTION + 1),
        "norm": len(root.root) * (norm.ROOT_FRACTION + 1),
    }
    row = {
        "lut": lut.actions(gelu, vector),
        "softmax": softmax.actions(soft, 1, vector),
        "norm": norm.actions(root, 1, vector),
    }
    parts = {
        "requantizer": figure(
            total((1, operators(requantizer.actions(lanes, 1, wide, 16, static)))),
            f"{lanes:,} lanes for sums of {wide} bits, {'static' if static else 'dynamic'} exponents",
        ),
        "real scales": figure(
            total((lanes, multiplier(wide, requantizer.MULTIPLIER_BITS)), (lanes, adder(prescan.WORD))),
            f"{lanes:,} multipliers of {wide} x {requantizer.MULTIPLIER_BITS}",
        ),
        "elementwise": figure(
            operators(elementwise.actions_add(vector) | elementwise.actions_mul(vector)),
            f"{vector:,} lanes: add with two aligners, multiply",
        ),
    }
    for name, bits in tables.items():
        note = f"the operators of one row of {vector:,} elements, and {bits:,} bits of tables"
        parts[name] = figure(total((1, operators(row[name])), (1, memory(bits))), note)
    return parts


def memory_area(machine: Machine) -> dict[str, AreaFigure]:
    """The SRAMs and the buffer of wide sums."""

    def sram(part: Memory) -> AreaFigure:
        bits = part.nbytes * 8
        return figure(total((1, memory(bits, part.ports))), f"{part.kib:,} KiB with {part.ports} ports")

    kib = machine.vector.buffer_kib
    return {
        "vector buffer": figure(memory(kib * 1024 * 8), f"{kib:,} KiB"),
        "weight SRAM": sram(machine.sram.weights),
        "activation SRAM": sram(machine.sram.activations),
    }
