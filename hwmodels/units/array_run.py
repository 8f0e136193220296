"""Whole products on the array in which weights or inputs stay, clock cycle by clock cycle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from hwmodels.units import array_step
from hwmodels.units.aligner import EXACT
from hwmodels.units.array_cycles import intervals_of, segment_ends, terms_per_fold
from hwmodels.units.array_step import (
    Banked,
    EdgeOutputs,
    Inputs,
    Marked,
    Outputs,
    edge_ports,
    ports,
)
from hwmodels.units.built_array import BuiltArray
from hwmodels.units.column import Place
from hwmodels.units.mac_array import (
    MatmulOperands,
    MatmulResult,
    bias_floor,
    largest_exponent,
    start_bound,
)
from hwmodels.units.ops import ZERO_BLOCK
from hwmodels.units.ports import zeros
from hwmodels.units.product import Code, operand_row


class Lines(NamedTuple):
    """One operand: lines of codes as they enter elements, exponents of their blocks, and a code's bits."""

    codes: Sequence[Sequence[int]]
    exponents: Sequence[Sequence[int]]
    bits: int


@dataclass(frozen=True)
class Memories:
    """What the memories around the array hold of a product, and how it is cut into folds and slots.

    Attributes
    ----------
    config : BuiltArray
    operands : MatmulOperands
    lines : (Lines, Lines)
        Both operands.
    moving_tops, held_tops : list of int
        The largest exponent of each line that moves or is held.
    floors : list of int
        The lowest bound of each column of outputs.
    bounds : list of rows
        E of every output.
    """

    config: BuiltArray
    operands: MatmulOperands
    lines: tuple[Lines, Lines]
    moving_tops: list[int]
    held_tops: list[int]
    floors: list[int]
    bounds: list[list[int]]

    @property
    def inputs_stay(self) -> bool:
        """Whether the roles of the operands are exchanged."""
        return self.config.array.dataflow == "is"

    @property
    def moving(self) -> Lines:
        """Lines that move."""
        return self.lines[self.inputs_stay]

    @property
    def held(self) -> Lines:
        """Lines that are held."""
        return self.lines[not self.inputs_stay]

    @property
    def depth(self) -> int:
        """Length of the reduction."""
        return len(self.operands.a[0])

    @property
    def ends(self) -> list[int]:
        """Where each segment ends."""
        return segment_ends(self.depth, self.operands.segments)

    def first(self, fold: int) -> int:
        """The first segment of a fold."""
        return sum(end <= fold * self.config.terms for end in self.ends)

    def marks(self, place: Place) -> tuple[int, tuple[int, ...]]:
        """Whether the first sum of a slot joins the raw bank's, and which goes there."""
        start, first = place.fold * self.config.terms, place.slot * self.config.array.aligners
        carried = place.slot == 0 and start not in self.operands.segments
        return int(carried), tuple(
            int(self.is_open(place.fold, first + i)) for i in range(self.config.array.aligners)
        )

    def is_open(self, fold: int, i: int) -> bool:
        """Whether the i-th segment of a fold goes on in the next."""
        return i < self.terms[fold] and self.ends[self.first(fold) + i] > (fold + 1) * self.config.terms

    @property
    def terms(self) -> list[int]:
        """Segments of each fold."""
        return terms_per_fold(self.config.terms, self.depth, self.operands.segments)

    @property
    def intervals(self) -> list[int]:
        """Cycles that a moving row stays in each fold."""
        own = self.config.array
        bits = self.moving.bits
        return intervals_of(self.config.terms, self.terms, bits, own.aligners, own.port_bytes)

    def shaped(self, values: list[int]) -> Any:
        """The codes or tags of an element: several together, or the only one."""
        return tuple(values) if self.config.packed else values[0]

    def tags(self, fold: int, row: int) -> Any:
        """The tags of one row of elements."""
        depth = self.config.depth
        return self.shaped([self.tag(fold, row * depth + d) for d in range(depth)])

    def moves(self, line: int, fold: int, row: int) -> Any:
        """What moves into one row of elements."""
        depth = self.config.depth
        return self.shaped([self.code(self.moving, line, fold, row * depth + d) for d in range(depth)])

    def stays(self, element: int, fold: int, row: int) -> Any:
        """What is held by an element of one row."""
        depth, width = self.config.depth, self.config.width
        lines = range(element * width, (element + 1) * width)
        return self.shaped(
            [self.code(self.held, j, fold, row * depth + d) for j in lines for d in range(depth)]
        )

    def tag(self, fold: int, row: int) -> int:
        """The slot and the sum of one code: of its segment among those of the fold."""
        k, aligners = fold * self.config.terms + row, self.config.array.aligners
        if k >= self.depth:
            return 0
        slot, chain = divmod(sum(end <= k for end in self.ends) - self.first(fold), aligners)
        return slot << aligners | 1 << chain

    def code(self, lines: Lines, line: int, fold: int, row: int) -> int:
        """A code of one of the lines; zero where there is none."""
        k = fold * self.config.terms + row
        return lines.codes[line][k] if line < len(lines.codes) and k < self.depth else 0

    def exponents(self, lines: Sequence[Sequence[int]], line: int, place: Place) -> tuple[int, ...]:
        """A line's exponents of the segments of one slot; a block of zeros where there is no term."""
        aligners = self.config.array.aligners
        found = []
        for i in range(place.slot * aligners, (place.slot + 1) * aligners):
            absent = line >= len(lines) or i >= self.terms[place.fold] or self.is_open(place.fold, i)
            found.append(ZERO_BLOCK if absent else lines[line][self.first(place.fold) + i])
        return tuple(found)

    def output(self, place: Place, j: int) -> tuple[int, int]:
        """Row and column of the output at a place of the array's column `j`."""
        return (j, place.row) if self.inputs_stay else (place.row, j)

    def column(self, j: int, place: Place, word: Any) -> Any:
        """What is read for column `j` at a place. Under `EXACT` the floor is what a prescan has found."""
        lines, read = self.held.exponents, zeros(edge_ports(self.config)[1])
        if not place.valid or j >= len(lines):
            return read
        m, n = self.output(place, j)
        floor = self.bounds[m][n] if self.config.array.normalise == EXACT else self.floors[n]
        bias, below = bias_of(self.operands, n)
        read = read._replace(
            held=self.exponents(lines, j, place), floor=floor, bias=bias, bias_exponent=below, word=word
        )
        return read if self.config.rising else read._replace(held_top=self.held_tops[j])

    def top(self, place: Place) -> int:
        """The largest exponent of a moving row; under `EXACT` the floor is the bound."""
        return ZERO_BLOCK if self.config.array.normalise == EXACT else self.moving_tops[place.row]


def edges(config: BuiltArray, said: Outputs) -> list[EdgeOutputs]:
    """What the columns' edges say."""
    return [c.edge if config.array.raw_bank else c for c in said.column_out]


def bias_of(o: MatmulOperands, n: int) -> tuple[int, int]:
    """The bias of a column of outputs, and its exponent."""
    if o.bias is None or o.bias_exponents is None:
        return 0, ZERO_BLOCK
    return o.bias[n], o.bias_exponents[n]


def lines_of(config: BuiltArray, o: MatmulOperands) -> tuple[Lines, Lines]:
    """Both operands as they enter the array."""
    ends = [*o.segments, len(o.a[0])]

    def of(
        code: Code, codes: Sequence[Sequence[int]], exponents: Sequence[Sequence[int]], anchor: int | None
    ) -> Lines:
        both = zip(codes, exponents, strict=True)
        return Lines(
            [operand_row(config.product, code, x, ends, e, anchor) for x, e in both], exponents, code.bits
        )

    return of(config.a, o.a, o.a_exponents, o.a_anchor), of(config.w, o.w, o.w_exponents, o.w_anchor)


def memories_of(config: BuiltArray, o: MatmulOperands) -> Memories:
    """What the memories hold of a product."""
    lane, bits = config.array.aligner, config.array.accumulator.bits
    rows = [largest_exponent(e) for e in o.a_exponents]
    columns = [largest_exponent(e) for e in o.w_exponents]
    rest = o.bias_bits, bits, lane.guard_bits, lane.max_shift
    floors = [bias_floor(bias_of(o, n)[1], *rest) for n in range(len(o.w))]
    bounds = [
        [start_bound(config.array.normalise, row, e, floors[n]) for n, e in enumerate(o.w_exponents)]
        for row in o.a_exponents
    ]
    tops = (columns, rows) if config.array.dataflow == "is" else (rows, columns)
    return Memories(config, o, lines_of(config, o), *tops, floors, bounds)


def run(
    config: BuiltArray, operands: MatmulOperands, stepper: Callable[..., Any] = array_step.step
) -> tuple[MatmulResult, int]:
    """A whole product, clock cycle by clock cycle: what `mac_array.result` gives, and the cycles it took.

    Parameters
    ----------
    config : BuiltArray
        The cycles of a prescan are not among those given.
    operands : MatmulOperands
    stepper : callable
        `array_step.step` or what behaves like it, such as a simulated module.
    """
    own, memories = config.array, memories_of(config, operands)
    assert own.dataflow != "os"
    m, n = len(operands.a), len(operands.w)
    moving, held = (n, m) if memories.inputs_stay else (m, n)
    words: list[dict[int, Any]] = [{} for _ in range(config.outputs)]
    raws: list[dict[int, int]] = [{} for _ in range(config.outputs)]
    nothing = zeros(edge_ports(config)[1].word)
    state, idle = array_step.reset(config, zeros(ports(config).state)), zeros(ports(config).inputs)
    intervals = memories.intervals
    operation = idle._replace(start=1, last_row=moving - 1, last_fold=len(intervals) - 1)
    state, out = stepper(config, state, operation)
    said: list[Outputs] = [out]
    flushed = overflows = 0
    while not out.done:
        rows = [c.place.row for c in edges(config, out)]
        read = [(words[j].get(row, nothing), raws[j].get(row, 0)) for j, row in enumerate(rows)]
        state, out = stepper(config, state, entering(memories, idle, said, read))
        said.append(out)
        for j, c in enumerate(edges(config, out)):
            if c.write:
                words[j][c.row] = c.data
            if own.raw_bank and out.column_out[j].raw_write:
                raws[j][c.row] = out.column_out[j].raw
            if j < held:
                flushed += sum(c.flushed)
                overflows += sum(c.overflow) if config.rising else c.overflow
    places = [[memories.output(Place(1, 1, 0, i, 0), j) for j in range(held)] for i in range(moving)]
    sums, exponents = [[0] * n for _ in range(m)], [[0] * n for _ in range(m)]
    for i, line in enumerate(places):
        for j, (y, x) in enumerate(line):
            word, bound = words[j][i] if config.rising else (words[j][i], memories.bounds[y][x])
            sums[y][x], exponents[y][x] = word, bound - own.aligner.guard_bits
    return MatmulResult(sums, exponents, flushed, overflows), len(said) - 1


def entering(
    memories: Memories, idle: Inputs, said: Sequence[Outputs], words: Sequence[tuple[Any, int]]
) -> Inputs:
    """What enters after all that the array has said: row r and column j hear it r and j cycles later."""
    own, last = memories.config.array, said[-1]
    code, passed = list(idle.code), list(idle.passed)
    for r, then in zip(range(own.rows), reversed(said), strict=False):
        if then.stream_next:
            code[r] = memories.moves(then.row_next, then.fold_next, r)
    for j, then in zip(range(own.columns), reversed(said), strict=False):
        if then.load_next:
            passed[j] = memories.stays(j, then.ahead, then.load_row_next)
    asked = edges(memories.config, last)
    place = asked[0].place
    exponent, top = idle.exponent, 0
    if place.valid:
        exponent, top = memories.exponents(memories.moving.exponents, place.row, place), memories.top(place)
        exponent = Marked(exponent, *memories.marks(place)) if own.raw_bank else exponent
    column_in = [memories.column(j, c.place, words[j][0]) for j, c in enumerate(asked)]
    if own.raw_bank:
        column_in = [Banked(edge, raw) for edge, (_, raw) in zip(column_in, words, strict=True)]
    intervals = memories.intervals
    return idle._replace(
        last_slot=intervals[min(last.ahead, len(intervals) - 1)] - 1,
        tag=memories.tags(last.ahead, last.load_row_next) if last.load_next else idle.tag,
        code=tuple(code),
        passed=tuple(passed),
        exponent=exponent,
        top=top,
        column_in=tuple(column_in),
    )
