"""The MAC array: weight-, input- or output-stationary, with its aligners and accumulators.

The reduction axis is cut into *segments* over which the exponents of both operands are constant. Each
segment's sum is exact, and is aligned (rounded) once. A weight- or input-stationary array also cuts it
into *folds* of as many elements as it has rows, and segments with them, unless a raw bank keeps the
exact sum of an unfinished segment from one fold to the next. The aligned sums of the segments that end
in a fold are added exactly, then once into the accumulator. An output-stationary array has a raw and an
aligned register in each element, and adds segment by segment. A bias is one more term, in the
accumulator before the first.

The hardware here is the array in which weights or inputs stay, under `BOUND` or `EXACT`: a sequencer, rows
of elements, and the edges of the columns. What moves enters row r a cycle later than the row above, and
what is held enters column j a cycle later than column 0 (or the tags that come with it).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from hwmodels.units import accumulator, aligner, array_row, column, prescan, sequencer
from hwmodels.units.accumulator import AccumulatorConfig
from hwmodels.units.aligner import EXACT, RUNNING, AlignerConfig
from hwmodels.units.array_row import RowConfig
from hwmodels.units.column import ColumnConfig, Place
from hwmodels.units.ops import ZERO_BLOCK, bit_length, largest, mul, select, smallest
from hwmodels.units.ports import FLAG, Ports, unsigned
from hwmodels.units.processing_element import ElementConfig
from hwmodels.units.sequencer import FOLD_BITS, SequencerConfig, up


@dataclass(frozen=True)
class MacArrayConfig:
    """One array.

    Attributes
    ----------
    rows, columns : int
        Processing elements: along the reduction and along the outputs (``ws``), the reduction and the
        rows of outputs (``is``), or the rows and the columns of outputs (``os``).
    dataflow : str
        Which operand stays: ``ws`` the weights, ``is`` the inputs, ``os`` the outputs.
    overlap : bool
        Whether a shadow register loads the next fold's stationary operand while the current one streams.
    aligners : int
        Aligner lanes per column.
    raw_bank : bool
        Whether unfinished segments are kept between folds (``align: segment``); ``os`` needs none.
    normalise : int
        One of `aligner.NORMALISES`.
    pack_axis : str
        What two operands of 4 bits double: the rows (``K``), the columns (``N``), or ``none``.
    port_bytes : int
        Bytes of streaming operands and their exponents that enter per cycle.
    aligner, accumulator
        Their configurations.
    prescan_lanes : int
        Lanes of the prescan unit, where `normalise` is `EXACT`.
    """

    rows: int
    columns: int
    dataflow: str
    overlap: bool
    aligners: int
    raw_bank: bool
    normalise: int
    pack_axis: str
    port_bytes: int
    aligner: AlignerConfig
    accumulator: AccumulatorConfig
    prescan_lanes: int = 64


@dataclass(frozen=True)
class MatmulOperands:
    """One tile of a product: ``M x K`` times ``K x N``.

    Attributes
    ----------
    a, a_exponents : sequence of rows
        M rows of K codes; M rows of one exponent per segment.
    w, w_exponents : sequence of columns
        N columns of K codes; N columns of one exponent per segment.
    bias, bias_exponents : sequence of int or None
        N codes and their exponents.
    segments : sequence of int
        Where each segment starts along K, see `array_cycles.segment_starts`.
    update : sequence of bool
        After which segments the accumulator is updated, see `array_cycles.updates`.
    w_bits, bias_bits : int
        Widths of the multiplier's second operand (4 or 8) and of the bias.
    """

    a: Sequence[Sequence[int]]
    a_exponents: Sequence[Sequence[int]]
    w: Sequence[Sequence[int]]
    w_exponents: Sequence[Sequence[int]]
    bias: Sequence[int] | None
    bias_exponents: Sequence[int] | None
    segments: Sequence[int]
    update: Sequence[bool]
    w_bits: int = 8
    bias_bits: int = 8


@dataclass(frozen=True)
class MatmulResult:
    """Wide sums of a tile: ``sums[i][j] * 2**exponents[i][j]``, and what was lost on the way."""

    sums: list[list[int]]
    exponents: list[list[int]]
    flushed: int
    overflows: int


def bias_floor(bias_exponent: int, bias_bits: int, bits: int, guard_bits: int, max_shift: int) -> int:
    """The lowest bound E under which a bias still fits the accumulator of `bits` bits.

    A bias is shifted left by ``exponent - E + guard``: at most as far as the aligner reaches, and so
    that two bits below the word's top stay free. A zero bias bounds nothing beyond the lowest exponent.
    """
    return bias_exponent + guard_bits - smallest(bits - bias_bits - 2, max_shift)


def largest_exponent(exponents: Sequence[int]) -> int:
    """The largest of a row's exponents; `ZERO_BLOCK` where all its blocks are zero."""
    top = ZERO_BLOCK
    for e in exponents:
        top = largest(top, e)
    return top


def start_bound(normalise: int, rows: Sequence[int], columns: Sequence[int], floor: int) -> int:
    """E of one output before its first segment; under `RUNNING` it rises from the bias's floor."""
    if normalise == EXACT:
        return prescan.result(rows, columns, floor)
    if normalise == RUNNING:
        return floor
    return aligner.bound(largest_exponent(rows), largest_exponent(columns), floor, ZERO_BLOCK)


def result(config: MacArrayConfig, operands: MatmulOperands) -> MatmulResult:
    """Multiply one tile.

    Parameters
    ----------
    config : MacArrayConfig
    operands : MatmulOperands

    Returns
    -------
    MatmulResult
    """
    lane, word, o = config.aligner, config.accumulator, operands
    guard, longest, rounding = lane.guard_bits, lane.max_shift, lane.rounding
    ends = [*o.segments[1:], len(o.a[0])]
    flushed = overflows = 0
    sums, exponents = [], []
    for a, ea in zip(o.a, o.a_exponents, strict=True):
        sums.append([0] * len(o.w))
        exponents.append([0] * len(o.w))
        for j, (w, ew) in enumerate(zip(o.w, o.w_exponents, strict=True)):
            b, eb = 0, ZERO_BLOCK
            if o.bias is not None and o.bias_exponents is not None:
                b, eb = o.bias[j], o.bias_exponents[j]
            floor = bias_floor(eb, o.bias_bits, word.bits, guard, longest)
            top = start_bound(config.normalise, ea, ew, floor)
            shift = aligner.distance(top, eb, guard)
            acc = aligner.align(b, shift, longest, rounding)
            flushed += aligner.is_flushed(b, shift, longest)
            total = 0
            for s, (first, last) in enumerate(zip(o.segments, ends, strict=True)):
                exact = sum(mul(x, y, 8, o.w_bits) for x, y in zip(a[first:last], w[first:last], strict=True))
                if config.normalise == RUNNING:
                    higher = prescan.join(top, ea[s], ew[s], ZERO_BLOCK)
                    flushed += aligner.is_flushed(acc, top - higher, longest)
                    acc = aligner.align(acc, top - higher, longest, rounding)
                    top = higher
                shift = aligner.distance(top, ea[s] + ew[s], guard)
                flushed += aligner.is_flushed(exact, shift, longest)
                total += aligner.align(exact, shift, longest, rounding)
                if o.update[s]:
                    overflows += accumulator.overflows(acc, total, word.bits)
                    acc = accumulator.add(acc, total, word.bits, word.saturating)
                    total = 0
            sums[-1][j], exponents[-1][j] = acc, top - guard
    return MatmulResult(sums, exponents, flushed, overflows)


@dataclass(frozen=True)
class BuiltArray:
    """An array as it is built: the machine's, and the widths of its operands.

    Attributes
    ----------
    array : MacArrayConfig
    a_bits, w_bits, bias_bits : int
    """

    array: MacArrayConfig
    a_bits: int = 8
    w_bits: int = 8
    bias_bits: int = 8

    @property
    def slot_bits(self) -> int:
        """Width of a slot: R terms and as many bytes through a port of one byte take no more than 2 R."""
        return bit_length(2 * self.array.rows - 1)

    @property
    def moving_bits(self) -> int:
        """Width of a moving row's number, an address of the accumulator memory."""
        return bit_length(max(1, self.array.accumulator.rows - 1))

    @property
    def row(self) -> RowConfig:
        """Each row."""
        own, operands = self.array, (self.a_bits, self.w_bits)
        moving, held = operands if own.dataflow == "ws" else operands[::-1]
        sum_bits = moving + held + bit_length(own.rows - 1)
        element = ElementConfig(moving, held, sum_bits, own.aligners, own.overlap)
        return RowConfig(element, own.columns, self.slot_bits)

    @property
    def column(self) -> ColumnConfig:
        """Each column's edge."""
        own = self.array
        return ColumnConfig(
            self.row.element.sum_bits, own.aligners, own.rows, self.bias_bits, self.slot_bits,
            self.moving_bits, FOLD_BITS, own.aligner, own.accumulator,
        )  # fmt: skip

    @property
    def sequencer(self) -> SequencerConfig:
        """The sequencer."""
        own = self.array
        return SequencerConfig(
            own.rows, own.columns, own.overlap, own.accumulator.latency, self.slot_bits, self.moving_bits
        )


class EdgeInputs(NamedTuple):
    """What a column's memories hold at the place of the cycle before, see `column.Inputs`."""

    held: tuple[int, ...]
    held_top: int
    floor: int
    bias: int
    bias_exponent: int
    word: int


class Inputs(NamedTuple):
    """What enters in a cycle.

    Attributes
    ----------
    start, last_row, last_fold, last_slot : int
        A product that begins, and the interval of a fold, see `sequencer.Inputs`.
    tag : int
        The tag of the row that is loaded, see `array_row`.
    code : tuple of int
        What moves into each row.
    passed : tuple of int
        What is held, into each column.
    exponent, top : int
        See `column.Inputs`: of the moving row whose sums arrive at the first column.
    column_in : tuple of EdgeInputs
        What the memories of each column hold.
    """

    start: int
    last_row: int
    last_fold: int
    last_slot: int
    tag: int
    code: tuple[int, ...]
    passed: tuple[int, ...]
    exponent: tuple[int, ...]
    top: int
    column_in: tuple[EdgeInputs, ...]


class State(NamedTuple):
    """The registers: of the parts, and at which row and fold the lower left corner is."""

    control: sequencer.State
    row: tuple[array_row.State, ...]
    corner_row: int
    corner_fold: int
    column: tuple[column.State, ...]


class EdgeOutputs(NamedTuple):
    """What a column's memories are asked for, see `column.Place`, and what is written in which row."""

    place: Place
    write: int
    row: int
    data: int
    overflow: int
    flushed: tuple[int, ...]


class Outputs(NamedTuple):
    """What leaves in a cycle: what the sequencer says of the next, and the edge of each column."""

    done: int
    ahead: int
    load_next: int
    load_row_next: int
    fold_next: int
    stream_next: int
    row_next: int
    column_out: tuple[EdgeOutputs, ...]


def ports(config: BuiltArray) -> Ports:
    """The widths of the array's ports and registers."""
    own, edge = config.array, column.ports(config.column)
    control, row = sequencer.ports(config.sequencer), array_row.ports(config.row)
    c, r, e, told, made = control.inputs, row.inputs, edge.inputs, control.outputs, edge.outputs
    return Ports(
        Inputs(
            c.start, c.last_row, c.last_fold, c.last_slot,
            r.tag, (r.code,) * own.rows, r.passed, e.exponent, e.top,
            (EdgeInputs(e.held, e.held_top, e.floor, e.bias, e.bias_exponent, e.word),) * own.columns,
        ),
        State(
            control.state, (row.state,) * own.rows, unsigned(config.moving_bits), unsigned(FOLD_BITS),
            (edge.state,) * own.columns,
        ),
        Outputs(
            told.done, told.ahead, told.load_next, told.load_row_next,
            told.fold_next, told.stream_next, told.row_next,
            (EdgeOutputs(made.place_out, FLAG, c.last_row, made.data, FLAG, made.flushed),) * own.columns,
        ),
    )  # fmt: skip


def reset(config: BuiltArray, state: State) -> State:
    """The state after a reset: nothing is on its way."""
    return state._replace(
        control=sequencer.reset(config.sequencer, state.control),
        row=tuple(array_row.reset(config.row, r) for r in state.row),
        column=tuple(column.reset(config.column, c) for c in state.column),
    )


def step(config: BuiltArray, state: State, inputs: Inputs) -> tuple[State, Outputs]:
    """One clock cycle."""
    s, x, own = state, inputs, config.array
    control, told = sequencer.step(config.sequencer, s.control, sequencer.Inputs(*x[:4]))
    wave, load, tag, passed = told.wave, told.load, x.tag, x.passed
    sums = total = ((0,) * own.aligners,) * own.columns
    rows, waves = [], []
    for r in range(own.rows):
        waves.append(wave)
        arriving = array_row.Inputs(wave, load, tag, x.code[r], passed, sums)
        after, below = array_row.step(config.row, s.row[r], arriving)
        rows.append(after)
        wave, load, tag = below.wave_out, below.load_out, below.tag_out
        passed, sums, total = below.passed_out, below.sum_out, below.total

    corner = waves[own.rows - 2]  # a cycle before the sums of the last row
    row = select(corner.swap, 0, s.corner_row)
    fold = select(corner.swap, select(corner.fresh, 0, up(s.corner_fold, 1, FOLD_BITS)), s.corner_fold)
    place = Place(corner.valid, corner.last, corner.slot, row, fold)
    exponent, top = x.exponent, x.top
    columns, edges = [], []
    for j in range(own.columns):
        here = x.column_in[j]
        reading = column.Inputs(place, exponent, top, total[j], *here)
        edge, leaving = column.step(config.column, s.column[j], reading)
        columns.append(edge)
        edges.append(EdgeOutputs(place, leaving.write, leaving.place_out.row, *leaving[4:7]))
        place, exponent, top = leaving.place_out, leaving.exponent_out, leaving.top_out
    next_row = up(row, corner.valid & corner.last, config.moving_bits)
    after_all = State(control, tuple(rows), next_row, fold, tuple(columns))
    return after_all, Outputs(*told[2:], tuple(edges))
