"""Area: transistors of each part of a machine, as synthesised, or from textbook gate counts.

`synthesis.yaml` says what the modules of the shipped machine `bct64` take. A part of another machine is its
module's figure in proportion to textbook counts of cells (`transistors.yaml` says what a cell takes), as a
part without a module is counted in cells altogether. It is a count for comparing machines with each other:
no wires, no clock tree. A memory is its bits over the share of its area that they take.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import yaml
from pydantic import Field

from hwmodels.costs import Sourced, Status, synthesis
from hwmodels.frozen import Frozen
from hwmodels.units import array_cycles, elementwise, encoder, lut, norm, prescan, requantizer, softmax
from hwmodels.units.actions import Actions
from hwmodels.units.encoder import EncoderConfig
from hwmodels.units.ops import FLOOR, bit_length
from hwmodels.units.product import INT8, STICKY, ProductConfig, word_bits

if TYPE_CHECKING:
    from hwmodels.machines import Machine
    from hwmodels.machines.parts import Memory

PATH = Path(__file__).parent / "transistors.yaml"


class Cell(Sourced):
    """One cell."""

    transistors: int = Field(gt=0)


class Efficiency(Sourced):
    """The share of a memory's area that its bits take."""

    percent: int = Field(gt=0, le=100)


class Prices(Frozen):
    """What `transistors.yaml` says."""

    cells: dict[str, Cell]
    sram_efficiency: Efficiency


@dataclass(frozen=True)
class AreaFigure:
    """Area of one part: transistors, the formula that gave them, its sources and how it came about."""

    transistors: int
    formula: str
    source: str
    status: Status


@cache
def prices() -> Prices:
    """Cells, and memories."""
    return Prices.model_validate(yaml.safe_load(PATH.read_text()))


def cells() -> dict[str, Cell]:
    """The cells by name.

    >>> cells()["full_adder"].transistors, cells()["full_adder"].status
    (28, 'cited')
    """
    return prices().cells


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
    return total((1, {"sram_bit": bits, "sram_port": bits * (ports - 1)}))


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
    """Every operator that these actions use, as often as they use it; registers one per bit, buffers none."""
    counts = []
    for (_, action), times in actions.items():
        if action != "vector.bits":
            counts.append((times, register(1) if action == "register.bits" else operator(action)))
    return total(*counts)


def transistors(count: Mapping[str, int]) -> int:
    """Transistors of so many cells."""
    known = cells()
    return sum(number * known[cell].transistors for cell, number in count.items())


@dataclass(frozen=True)
class Piece:
    """So many times the same logic.

    Attributes
    ----------
    number : int
        Negative where another piece's module holds it already and it is a part of its own.
    one : dict of str to int
        Its cells by textbook.
    module : str, optional
        The entry of `synthesis.yaml` that says what it takes.
    """

    number: int
    one: Count
    module: str = ""


@dataclass(frozen=True)
class Part:
    """A part of a machine: logic, bits of memory, and a note on how many there are of what."""

    note: str
    logic: tuple[Piece, ...] = ()
    bits: Count = field(default_factory=dict)


def figure(part: Part, shipped: Part) -> AreaFigure:
    """The figure of a part, given the same part of the machine that was synthesised."""
    units = synthesis.load().units
    references = {piece.module: piece.one for piece in shipped.logic}
    amount, terms, sources = 0, [], []
    plain: Count = {}
    # what is taken out of a part is counted the same way as the part
    made = all(piece.module in units for piece in part.logic if piece.module)
    for piece in part.logic:
        if not piece.number:
            continue
        if not (piece.module and made):
            plain = total((1, plain), (piece.number, piece.one))
            continue
        each, text = units[piece.module].transistors, f"{units[piece.module].transistors:,}"
        own, reference = transistors(piece.one), transistors(references[piece.module])
        if own != reference:
            each, text = math.ceil(each * own / reference), f"ceil({text} x {own:,} / {reference:,})"
            sources.append("in proportion to textbook counts")
        amount += piece.number * each
        terms.append(f"{piece.number:,} {piece.module} x {text}")
        sources.append(f"{synthesis.load().tool}, flow {synthesis.TRANSISTOR_FLOW}, docs/area.md")
    known = {cell: price.transistors for cell, price in cells().items()}
    amount += transistors(plain)
    terms += [f"{number:,} {cell} x {known[cell]}" for cell, number in plain.items()]
    used = list(plain)
    if part.bits:
        percent = prices().sram_efficiency
        inside = " + ".join(f"{number:,} {cell} x {known[cell]}" for cell, number in part.bits.items())
        amount += math.ceil(transistors(part.bits) * 100 / percent.percent)
        terms.append(f"ceil(({inside}) x 100 / {percent.percent})")
        used += part.bits
        sources.append(f"{percent.source} ({percent.status})")
    sources += [cells()[cell].source for cell in used]
    return AreaFigure(
        amount,
        f"{part.note}: {' + '.join(terms).replace('+ -', '- ') or '0'}",
        "; ".join(dict.fromkeys(sources)),
        "derived",
    )


@dataclass(frozen=True)
class Built:
    """What a machine is built for.

    Attributes
    ----------
    products : sequence of ProductConfig
        An element is as large as that of the costliest of them.
    encoded : sequence of EncoderConfig
        What its encoder makes: as large as that of the widest; none has no encoder.
    """

    products: Sequence[ProductConfig] = (ProductConfig(INT8, INT8, 0, 0),)
    encoded: Sequence[EncoderConfig] = ()


INT8_ALONE = Built()
"""The shipped machines' elements."""


def area(machine: Machine, built: Built = INT8_ALONE) -> dict[str, AreaFigure]:
    """Transistors of each part of a machine, of what it is built for.

    >>> from hwmodels.machines import load
    >>> parts = area(load("bct64"))
    >>> parts["lut"].transistors > 64 * synthesis.load().units["lut_lane"].transistors
    True
    >>> parts["prescan"].transistors
    0
    """
    from hwmodels.machines import load

    shipped = parts_of(load(synthesis.load().machine))
    return {name: figure(part, shipped[name]) for name, part in parts_of(machine, built).items()}


def parts_of(machine: Machine, built: Built = INT8_ALONE) -> dict[str, Part]:
    """What a machine is made of."""
    return {**array_parts(machine, built), **vector_parts(machine, built), **memory_parts(machine)}


def multiplied(product: ProductConfig) -> Count:
    """The multiplier of an element: of significands, an adder of exponents, a shifter into the window.

    By hand: E4M3 has one of 5 x 5, an adder of 5 bits and a shifter of 37 bits by up to 28; a product of int8
    and a power of two only the shifter.
    """
    rounds = product.dropped > 0 and product.rounding not in (FLOOR, STICKY)
    return total(
        (int(product.multiplies), multiplier(product.a.signed_bits, product.b.signed_bits)),
        (int(product.adds_exponents), adder(bit_length(product.reach))),
        (int(product.has_exponents), shifter(product.bits, product.reach)),
        (int(rounds), adder(product.bits)),
    )


def array_parts(machine: Machine, built: Built) -> dict[str, Part]:
    """The MAC array with what aligns and accumulates."""
    chosen = max(built.products, key=lambda p: (transistors(multiplied(p)), p.bits))
    wide = max(word_bits(code) for p in built.products for code in (p.a, p.b))
    array, aligner, word = machine.array, machine.aligner, machine.accumulator
    config = machine.array_config
    elements, still = array.rows * array.columns, array.dataflow == "os"
    summed = max(array_cycles.running_bits(config, array.rows, p) for p in built.products)
    sums = 2 if array.pack_axis == "N" else 1  # two columns in one element keep two sums
    held = 0 if still else wide * (2 if config.overlap else 1)
    moved = 2 * wide if still else wide
    joined = adder(9) if array.pack_axis == "K" else {}  # two products in one element are added first
    element = total(
        (1, multiplied(chosen)),
        (1, joined),
        (sums, adder(summed)),
        (1, register(moved + held + sums * summed)),
    )
    lanes = sums * aligner.per_column
    aligned = max(word.bits, summed) if any(p.has_exponents for p in built.products) else word.bits
    # a term is shifted and rounded, then joined; its distance takes two adds of exponents
    align = total((1, shifter(aligned, aligner.max_shift)), (2, adder(word.bits)), (2, adder(prescan.WORD)))
    running = aligner.normalise == "running"
    if running:
        again = total((1, shifter(word.bits, aligner.max_shift)), (1, adder(word.bits)))
        align = total((1, align), (1, again), (1, comparator(prescan.WORD)))
    exact = aligner.normalise == "exact"
    scan = total((1, adder(prescan.SUM_BITS)), (1, comparator(prescan.WORD)), (prescan.WORD, {"mux2": 1}))
    outputs = array.columns * sums * word.rows * word.banks
    own = elements * sums if still else 0
    adders = lanes if still or running else sums
    raw = max(array_cycles.raw_bits(p) for p in built.products)
    bank = array.columns * sums * word.rows * raw if config.raw_bank else 0
    return {
        "processing elements": Part(
            f"{elements:,} with {told(chosen)}, {sums} x {summed} summed, {moved} moving and {held} held "
            "bits",
            (Piece(elements, element, "processing_element"),),
        ),
        "aligners": Part(
            f"{array.columns * lanes:,} lanes of {aligned} bits"
            f"{', and the accumulator aligned anew' if running else ''}",
            (
                Piece(array.columns, total((lanes, align), (adders, adder(word.bits))), "column"),
                Piece(-array.columns * adders, adder(word.bits), "accumulator"),
            ),
        ),
        "raw bank": Part(
            f"{bank:,} bits of unfinished segments",
            (Piece(array.columns * sums if bank else 0, adder(raw)),),
            memory(bank),
        ),
        "accumulators": Part(
            f"{outputs:,} words, {own:,} registers, {array.columns * adders:,} adders of {word.bits} bits",
            (
                Piece(array.columns * adders, adder(word.bits), "accumulator"),
                Piece(own, register(word.bits)),
            ),
            memory(outputs * word.bits),
        ),
        "prescan": Part(
            f"{aligner.prescan_lanes if exact else 0:,} lanes: an add, a compare and a choice",
            (Piece(aligner.prescan_lanes if exact else 0, scan, "prescan_lane"),),
        ),
        "sequencer": Part("the array's control", (Piece(int(not still), {}, "sequencer"),)),
        "exponent store": Part(
            "a bound per accumulator word" if exact or running else "bounds follow from rows and columns",
            bits=memory(outputs * prescan.WORD if exact or running else 0),
        ),
    }


def told(product: ProductConfig) -> str:
    """A multiplier in words."""
    parts = [f"a multiplier of {product.a.signed_bits} x {product.b.signed_bits}"] * product.multiplies
    parts += [f"a shifter into {product.bits} bits"] * product.has_exponents
    return ", ".join(parts)


def vector_parts(machine: Machine, built: Built) -> dict[str, Part]:
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
    scale = total((1, multiplier(wide, requantizer.MULTIPLIER_BITS)), (1, adder(prescan.WORD)))
    scaled = lanes * (2 if machine.requantizer.passes == "merged" else 1)  # the search has its own
    every = total((1, operators(requantizer.actions(lanes, 1, wide, 16, static))), (scaled, scale))
    parts = {
        "requantizer": Part(
            f"{lanes:,} lanes for sums of {wide} bits, {'static' if static else 'dynamic'} exponents, "
            "without the multipliers of real scales",
            (Piece(1, every, "requantizer"), Piece(-scaled, scale, "requantizer_scale")),
        ),
        "real scales": Part(
            f"{scaled:,} multipliers of {wide} x {requantizer.MULTIPLIER_BITS}",
            (Piece(scaled, scale, "requantizer_scale"),),
        ),
        "encoder": encoder_part(machine, built),
        "elementwise": Part(
            f"{vector:,} lanes: add with two aligners, multiply",
            (
                Piece(
                    1,
                    operators(elementwise.actions_add(vector) | elementwise.actions_mul(vector)),
                    "elementwise",
                ),
            ),
        ),
        "dma": Part("its control", (Piece(1, {}, "dma"),)),
    }
    for name, bits in tables.items():
        note = f"{vector:,} lanes, and {bits:,} bits of tables"
        parts[name] = Part(note, (Piece(1, operators(row[name]), name),), memory(bits))
    return parts


def encoder_part(machine: Machine, built: Built) -> Part:
    """What makes codes with exponents of their own of wide sums, beside the requantizer."""
    if not built.encoded:
        return Part("no codes with exponents are stored")
    wide, lanes = machine.accumulator.bits, machine.requantizer.lanes
    bits = max(config.bits for config in built.encoded)
    one = operators(encoder.actions(lanes, 1, wide, bits))
    return Part(f"{lanes:,} lanes for sums of {wide} bits and codes of {bits}", (Piece(1, one),))


MEMORIES = ("vector buffer", "weight SRAM", "activation SRAM")
"""The parts that are memories alone."""


class Counted(Protocol):
    """A part of a machine, in transistors."""

    @property
    def transistors(self) -> int:
        """How many."""


def logic(parts: Mapping[str, Counted]) -> int:
    """Transistors of a machine's parts, memories apart.

    >>> from hwmodels.machines import load
    >>> round(logic(area(load("bct64"))) / 1e6, 2)
    47.27
    """
    return sum(part.transistors for name, part in parts.items() if name not in MEMORIES)


def memory_parts(machine: Machine) -> dict[str, Part]:
    """The SRAMs and the buffer of wide sums."""

    def sram(part: Memory) -> Part:
        return Part(f"{part.kib:,} KiB with {part.ports} ports", bits=memory(part.nbytes * 8, part.ports))

    kib = machine.vector.buffer_kib
    buffer = Part(f"{kib:,} KiB", bits=memory(kib * 1024 * 8))
    return dict(
        zip(MEMORIES, (buffer, sram(machine.sram.weights), sram(machine.sram.activations)), strict=True)
    )
