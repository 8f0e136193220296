"""The array in which weights or inputs stay, clock cycle by clock cycle.

A sequencer, rows of elements, and the edges of the columns. What moves enters row r a cycle later than the
row above, and what is held enters column j a cycle later than column 0 (or the tags that come with it).

Where operands of 4 bits are packed, an element takes two codes in the same cycle: the array has as many rows
and columns of elements as before, and the sums of `depth` times the rows in each of `width` times the columns
of outputs. The `width` outputs of an element have edges side by side.

Under `RUNNING` the edges are those of `rising_column`, and the accumulator memory holds E beside each word.
With a raw bank each column has a `raw_bank` between its elements and its edge.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from hwmodels.units import array_row, column, packed_row, raw_bank, rising_column, sequencer
from hwmodels.units.built_array import BuiltArray
from hwmodels.units.column import EXPONENT_BITS, Place
from hwmodels.units.ops import select
from hwmodels.units.ports import FLAG, Ports, signed, unsigned
from hwmodels.units.sequencer import FOLD_BITS, up


class EdgeInputs(NamedTuple):
    """What a column's memories hold at the place of the cycle before, see `column.Inputs`."""

    held: tuple[int, ...]
    held_top: int
    floor: int
    bias: int
    bias_exponent: int
    word: int


class RisingInputs(NamedTuple):
    """The same where the bound rises, see `rising_column.Inputs`."""

    held: tuple[int, ...]
    floor: int
    bias: int
    bias_exponent: int
    word: rising_column.Word


class Banked(NamedTuple):
    """The same with a raw bank: what the edge reads, and the bank's word."""

    edge: Any
    raw: int


class Marked(NamedTuple):
    """Exponents of a moving row with a raw bank, and which sums it joins or keeps, see `raw_bank.Inputs`."""

    exponents: tuple[int, ...]
    carried: int
    open: tuple[int, ...]


class Inputs(NamedTuple):
    """What enters in a cycle.

    Attributes
    ----------
    start, last_row, last_fold, last_slot : int
        A product that begins, and the interval of a fold, see `sequencer.Inputs`.
    tag : int or tuple of int
        The tag of the row that is loaded, see `array_row`; of each of its codes where they are packed.
    code : tuple of int, or of tuple of int
        What moves into each row.
    passed : tuple of int, or of tuple of int
        What is held, into each column of elements.
    exponent, top : int
        See `column.Inputs`: of the moving row whose sums arrive at the first column. Where the bound rises,
        nothing reads `top`. With a raw bank the exponents are `Marked`.
    column_in : tuple of EdgeInputs, RisingInputs or Banked
        What the memories of each column of outputs hold.
    """

    start: int
    last_row: int
    last_fold: int
    last_slot: int
    tag: Any
    code: tuple[Any, ...]
    passed: tuple[Any, ...]
    exponent: Any
    top: int
    column_in: tuple[Any, ...]


class State(NamedTuple):
    """The registers: of the parts, and at which row and fold the lower left corner is.

    Rows are in `row` or, where operands are packed, in `pack`; edges are in `column` or, where the bound
    rises, in `rising`. The others are ``()``.
    """

    control: sequencer.State
    row: tuple[array_row.State, ...]
    pack: tuple[packed_row.State, ...]
    corner_row: int
    corner_fold: int
    column: tuple[column.State, ...]
    rising: tuple[rising_column.State, ...]
    bank: tuple[raw_bank.State, ...]


class Wavefront(NamedTuple):
    """What goes from edge to edge."""

    place: Place
    exponent: tuple[int, ...]
    top: int


class EdgeOutputs(NamedTuple):
    """What a column's memories are asked for, see `column.Place`, and what is written in which row.

    The rest is as the edge has it: `column.Outputs` or `rising_column.Outputs`.
    """

    place: Place
    write: int
    row: int
    data: Any
    overflow: Any
    flushed: tuple[int, ...]


class BankedOutputs(NamedTuple):
    """The same with a raw bank: and whether a word is written there in this row, and which."""

    edge: EdgeOutputs
    raw_write: int
    raw: int


class Outputs(NamedTuple):
    """What leaves in a cycle: what the sequencer says of the next, and the edge of each column."""

    done: int
    ahead: int
    load_next: int
    load_row_next: int
    fold_next: int
    stream_next: int
    row_next: int
    column_out: tuple[Any, ...]


def row_ports(config: BuiltArray) -> Ports:
    """The widths of a row's ports and registers."""
    return packed_row.ports(config.packed_row) if config.packed else array_row.ports(config.row)


def edge_ports(config: BuiltArray) -> tuple[Ports, Any]:
    """The widths of an edge's ports and registers, and of what memories hold for it."""
    if config.rising:
        r = rising_column.ports(config.column)
        x = r.inputs
        return r, RisingInputs(x.held, x.floor, x.bias, x.bias_exponent, x.word)
    c = column.ports(config.column)
    x = c.inputs
    return c, EdgeInputs(x.held, x.held_top, x.floor, x.bias, x.bias_exponent, x.word)


def ports(config: BuiltArray) -> Ports:
    """The widths of the array's ports and registers."""
    own, (edge, read) = config.array, edge_ports(config)
    control, row = sequencer.ports(config.sequencer), row_ports(config)
    c, r, told, made = control.inputs, row.inputs, control.outputs, edge.outputs
    rows, edges = (row.state,) * own.rows, (edge.state,) * config.outputs
    written: Any = EdgeOutputs(made.place_out, FLAG, c.last_row, made.data, made.overflow, made.flushed)
    exponent, banks = edge.inputs.exponent, ()
    if own.raw_bank:
        bank = raw_bank.ports(config.bank)
        exponent = Marked(exponent, FLAG, bank.inputs.open)
        read, written = Banked(read, bank.inputs.word), BankedOutputs(written, FLAG, bank.outputs.data)
        banks = (bank.state,) * config.outputs
    return Ports(
        Inputs(
            c.start, c.last_row, c.last_fold, c.last_slot,
            r.tag, (r.code,) * own.rows, r.passed, exponent, signed(EXPONENT_BITS),
            (read,) * config.outputs,
        ),
        State(
            control.state, () if config.packed else rows, rows if config.packed else (),
            unsigned(config.moving_bits), unsigned(FOLD_BITS),
            () if config.rising else edges, edges if config.rising else (), banks,
        ),
        Outputs(
            told.done, told.ahead, told.load_next, told.load_row_next,
            told.fold_next, told.stream_next, told.row_next, (written,) * config.outputs,
        ),
    )  # fmt: skip


def reset(config: BuiltArray, state: State) -> State:
    """The state after a reset: nothing is on its way."""
    return state._replace(
        control=sequencer.reset(config.sequencer, state.control),
        row=tuple(array_row.reset(config.row, r) for r in state.row),
        pack=tuple(packed_row.reset(config.packed_row, r) for r in state.pack),
        column=tuple(column.reset(config.column, c) for c in state.column),
        rising=tuple(rising_column.reset(config.column, c) for c in state.rising),
        bank=tuple(raw_bank.reset(config.bank, b) for b in state.bank),
    )


def row_step(config: BuiltArray, state: Any, inputs: tuple[Any, ...]) -> tuple[Any, Any]:
    """One clock cycle of a row, of either kind."""
    if config.packed:
        return packed_row.step(config.packed_row, state, packed_row.Inputs(*inputs))
    return array_row.step(config.row, state, array_row.Inputs(*inputs))


def edge_step(config: BuiltArray, state: Any, wave: Wavefront, sums: Any, read: Any) -> tuple[Any, Any]:
    """One clock cycle of a column's edge, of either kind, and what it hands on."""
    if config.rising:
        rising = rising_column.Inputs(wave.place, wave.exponent, sums, *read)
        return rising_column.step(config.column, state, rising)
    return column.step(config.column, state, column.Inputs(*wave, sums, *read))


def step(config: BuiltArray, state: State, inputs: Inputs) -> tuple[State, Outputs]:
    """One clock cycle."""
    s, x, own = state, inputs, config.array
    control, told = sequencer.step(config.sequencer, s.control, sequencer.Inputs(*x[:4]))
    wave, load, tag, passed = told.wave, told.load, x.tag, x.passed
    sums = total = ((0,) * (config.width * own.aligners),) * own.columns
    rows, waves = [], []
    for r, row in enumerate(s.row + s.pack):
        waves.append(wave)
        after, below = row_step(config, row, (wave, load, tag, x.code[r], passed, sums))
        rows.append(after)
        wave, load, tag = below.wave_out, below.load_out, below.tag_out
        passed, sums, total = below.passed_out, below.sum_out, below.total

    corner = waves[own.rows - 2]  # a cycle before the sums of the last row
    row_now = select(corner.swap, 0, s.corner_row)
    fold = select(corner.swap, select(corner.fresh, 0, up(s.corner_fold, 1, FOLD_BITS)), s.corner_fold)
    place = Place(corner.valid, corner.last, corner.slot, row_now, fold)
    marks: list[tuple[int, tuple[int, ...]]] = [x.exponent[1:] if own.raw_bank else (0, ())] * config.width
    coming = [Wavefront(place, x.exponent[0] if own.raw_bank else x.exponent, x.top)] * config.width
    columns, banks, said = [], [], []
    for j, edge in enumerate(s.column + s.rising):
        element, first = j // config.width, j % config.width * own.aligners
        arriving, read = total[element][first : first + own.aligners], x.column_in[j]
        if own.raw_bank:
            kept = raw_bank.Inputs(coming[j].place.valid, *marks[j], arriving, read.raw)
            bank, raw = raw_bank.step(config.bank, s.bank[j], kept)
            banks.append(bank)
            marks.append((raw.carried_out, raw.open_out))
            arriving, read = raw.sum_out, read.edge
        after, out = edge_step(config, edge, coming[j], arriving, read)
        columns.append(after)
        told_here: Any = EdgeOutputs(
            coming[j].place, out.write, out.place_out.row, out.data, out.overflow, out.flushed
        )
        said.append(BankedOutputs(told_here, raw.write, raw.data) if own.raw_bank else told_here)
        top = x.top if config.rising else out.top_out
        coming.append(Wavefront(out.place_out, out.exponent_out, top))
    after_all = State(
        control, () if config.packed else tuple(rows), tuple(rows) if config.packed else (),
        up(row_now, corner.valid & corner.last, config.moving_bits), fold,
        () if config.rising else tuple(columns), tuple(columns) if config.rising else (), tuple(banks),
    )  # fmt: skip
    return after_all, Outputs(*told[2:], tuple(said))
