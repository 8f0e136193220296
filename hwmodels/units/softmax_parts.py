"""The parts of the softmax unit: the controller, a lane, what is done once per row, and the totals of rows.

When each of them does what is in `hwmodels.units.softmax_step`.
"""

from __future__ import annotations

from typing import NamedTuple

from hwmodels.units.lut import between
from hwmodels.units.ops import HALF_UP, largest, mul, select, shift_right
from hwmodels.units.ports import FLAG, Ports, signed, unsigned
from hwmodels.units.softmax import (
    CODE_BITS,
    ENTRY_BITS,
    EXPONENT_BITS,
    FRACTION,
    LOG2E_BITS,
    SUM_BITS,
    SoftmaxConfig,
    below,
    distance_exponent,
    distance_of,
    fraction_of,
    held,
    in_octaves,
    lowest,
    mantissa_of,
    places_of,
    shifted,
    step_bits,
    word_bits,
)

STAGES = 8
"""Stages of the pipeline; a longer latency adds registers behind the last."""

ALIGN, EXPONENTIATE, DIVIDE = 0, 1, 2
"""The three passes."""

COUNT_BITS = 16
"""Bits of a row's number, of a chunk's, and of an address in the vector buffer: no tile has more."""

WHOLE_BITS, PLACES_BITS, SHIFT_BITS = 5, 6, 9
"""Bits of the octaves of a distance, of the places of a sum, and of the shift of a distance (signed)."""

BELOW_BITS = 8
"""Unsigned bits of the distance of two exponents."""


def low_bits(bits: int) -> int:
    """So many ones."""
    return (1 << bits) - 1


def address_bits(entries: int) -> int:
    """Bits of an address of either memory of a table."""
    return (entries // 2).bit_length()


class ControlInputs(NamedTuple):
    """What enters the controller: whether to start, and the last row and the last chunk of every row.

    These two stay as they are until the operation is done.
    """

    start: int
    last_row: int
    last_chunk: int


class ControlState(NamedTuple):
    """The registers of the controller: where it is, and how many idle cycles are left."""

    active: int
    phase: int
    row: int
    chunk: int
    address: int
    idle: int


class ControlOutputs(NamedTuple):
    """A chunk, if `valid`: of which pass and row, whether the first or last of it, and where it lies."""

    valid: int
    phase: int
    first: int
    last: int
    row: int
    address: int
    done: int


def control_ports(config: SoftmaxConfig) -> Ports:
    """The widths of the controller's ports and registers."""
    count, phase = unsigned(COUNT_BITS), unsigned(2)
    return Ports(
        ControlInputs(FLAG, count, count),
        ControlState(FLAG, phase, count, count, count, unsigned(config.latency.bit_length())),
        ControlOutputs(FLAG, phase, FLAG, FLAG, count, count, FLAG),
    )


IDLE = ControlState(active=0, phase=0, row=0, chunk=0, address=0, idle=0)
"""The controller after a reset, and after an operation."""


def control_step(
    config: SoftmaxConfig, state: ControlState, inputs: ControlInputs
) -> tuple[ControlState, ControlOutputs]:
    """One clock cycle of the controller: a chunk in each, and `latency` idle ones behind every pass."""
    s, top = state, low_bits(COUNT_BITS)
    valid = (inputs.start | s.active) & select(s.idle == 0, 1, 0)
    last = select(s.chunk == inputs.last_chunk, 1, 0)
    last_row = select(s.row == inputs.last_row, 1, 0)
    closes = valid & last & last_row
    after = ControlState(
        active=(valid | s.active) & select(closes & (s.phase >= DIVIDE), 0, 1),
        phase=select(closes, select(s.phase >= DIVIDE, 0, s.phase + 1), s.phase),
        row=select(valid & last, select(last_row, 0, (s.row + 1) & top), s.row),
        chunk=select(valid, select(last, 0, (s.chunk + 1) & top), s.chunk),
        address=select(valid, select(closes, 0, (s.address + 1) & top), s.address),
        idle=select(closes, config.latency, select(s.idle == 0, 0, s.idle - 1)),
    )
    done = select(s.idle == 1, 1, 0) & (s.active ^ 1)
    return after, ControlOutputs(valid, s.phase, select(s.chunk == 0, 1, 0), last, s.row, s.address, done)


class LaneInputs(NamedTuple):
    """What enters a lane: what the memories gave, and what holds for the whole row.

    `row_exponent` comes with `code`, `top` with `stored`; `shift`, `inverse` and `place` are what the part
    for rows gives, and `phase` is the pass of the chunk that is about to become a word.
    """

    code: int
    exponent: int
    key: int
    stored: int
    even: int
    odd: int
    row_exponent: int
    top: int
    shift: int
    inverse: int
    place: int
    phase: int


class LaneState(NamedTuple):
    """The registers of a lane: pass 1, pass 2, pass 3, and from stage 7 on what all have in common."""

    code_2: int
    below: int
    key_2: int
    distance: int
    octaves: int
    exact: int
    odd_first: int
    low: int
    whole: int
    line: int
    whole_2: int
    taken: tuple[int, ...]
    product: int
    word: int
    words: tuple[int, ...]


class LaneOutputs(NamedTuple):
    """What leaves a lane: addresses of the table's memories, a word for the trees, and the word to write."""

    even_address: int
    odd_address: int
    word: int
    written: int


def lane_ports(config: SoftmaxConfig) -> Ports:
    """The widths of a lane's ports and registers."""
    bits, entry, address = word_bits(config.guard_bits), unsigned(ENTRY_BITS), address_bits(len(config.exp2))
    word, address_width, exponent = signed(bits), unsigned(address), signed(EXPONENT_BITS)
    places, whole, exact = unsigned(PLACES_BITS), unsigned(WHOLE_BITS), unsigned(FRACTION + WHOLE_BITS)
    return Ports(
        LaneInputs(
            signed(CODE_BITS), exponent, FLAG, word, entry, entry, exponent, word, signed(SHIFT_BITS), entry,
            places, unsigned(2),
        ),
        LaneState(
            signed(CODE_BITS), unsigned(BELOW_BITS), FLAG,
            unsigned(bits), unsigned(bits + LOG2E_BITS), exact,
            FLAG, unsigned(step_bits(len(config.exp2))), whole, entry, whole, (FLAG,) * (STAGES - 3),
            unsigned(2 * ENTRY_BITS), word, (word,) * (config.latency - STAGES + 1),
        ),
        LaneOutputs(address_width, address_width, word, word),
    )  # fmt: skip


def lane_step(config: SoftmaxConfig, state: LaneState, inputs: LaneInputs) -> tuple[LaneState, LaneOutputs]:
    """One clock cycle of a lane."""
    s, x, guard_bits, low = state, inputs, config.guard_bits, step_bits(len(config.exp2))
    position = s.exact & low_bits(FRACTION)
    i = position >> low
    left, right = select(s.odd_first, x.odd, x.even), select(s.odd_first, x.even, x.odd)
    line = between(left, right, s.low, low, ENTRY_BITS + 1)
    aligned = select(s.key_2, shifted(s.code_2, s.below, guard_bits), lowest(guard_bits))
    power = select(s.taken[-1], shift_right(s.line, s.whole_2, HALF_UP), 0)
    fraction = fraction_of(s.product, x.place)
    after = LaneState(
        code_2=x.code,
        below=below(x.exponent, x.row_exponent),
        key_2=x.key,
        distance=distance_of(x.top, x.stored),
        octaves=in_octaves(s.distance, word_bits(guard_bits)),
        exact=held(s.octaves, x.shift),
        odd_first=i & 1,
        low=position & low_bits(low),
        whole=s.exact >> FRACTION,
        line=line,
        whole_2=s.whole,
        taken=(x.key, *s.taken[:-1]),
        product=mul(x.stored & low_bits(ENTRY_BITS), x.inverse, ENTRY_BITS + 1, ENTRY_BITS + 1),
        word=select(x.phase == ALIGN, aligned, select(x.phase == EXPONENTIATE, power, fraction)),
        words=(s.word, *s.words[:-1]),
    )
    return after, LaneOutputs((i + 1) >> 1, i >> 1, s.word, s.words[-1])


class RowInputs(NamedTuple):
    """What enters the part for rows: what their memory gave, and two reciprocals."""

    row_exponent: int
    total: int
    even: int
    odd: int


class RowState(NamedTuple):
    """The registers of the part for rows: of the shift of distances, and of the reciprocal."""

    shifts: tuple[int, ...]
    divisor: int
    places: tuple[int, ...]
    mantissa: int
    odd_first: int
    low: int
    inverse: int


class RowOutputs(NamedTuple):
    """What leaves it: what all lanes need, and addresses of the table of reciprocals."""

    shift: int
    inverse: int
    place: int
    even_address: int
    odd_address: int


def row_ports(config: SoftmaxConfig) -> Ports:
    """The widths of its ports and registers."""
    total, entry, shift = unsigned(SUM_BITS), unsigned(ENTRY_BITS), signed(SHIFT_BITS)
    places, address = unsigned(PLACES_BITS), unsigned(address_bits(len(config.reciprocal)))
    low = unsigned(step_bits(len(config.reciprocal)))
    return Ports(
        RowInputs(signed(EXPONENT_BITS), total, entry, entry),
        RowState((shift,) * 2, total, (places,) * 5, unsigned(FRACTION), FLAG, low, entry),
        RowOutputs(shift, entry, places, address, address),
    )


def row_step(config: SoftmaxConfig, state: RowState, inputs: RowInputs) -> tuple[RowState, RowOutputs]:
    """One clock cycle of the part for rows."""
    s, x, low = state, inputs, step_bits(len(config.reciprocal))
    i = s.mantissa >> low
    left, right = select(s.odd_first, x.odd, x.even), select(s.odd_first, x.even, x.odd)
    after = RowState(
        shifts=(distance_exponent(x.row_exponent, config.guard_bits), s.shifts[0]),
        divisor=x.total,
        places=(places_of(x.total), *s.places[:-1]),
        mantissa=mantissa_of(s.divisor, s.places[0]),
        odd_first=i & 1,
        low=s.mantissa & low_bits(low),
        inverse=between(left, right, s.low, low, ENTRY_BITS + 1),
    )
    return after, RowOutputs(s.shifts[-1], s.inverse, s.places[-1], (i + 1) >> 1, i >> 1)


class TotalInputs(NamedTuple):
    """What enters the part for totals: whether the chunk is its row's first, and what the trees give."""

    first: int
    lane_top: int
    lane_sum: int


class TotalState(NamedTuple):
    """The registers of the part for totals: of the lanes, and of the row so far."""

    tops: tuple[int, ...]
    sums: tuple[int, ...]
    top: int
    total: int


class TotalOutputs(NamedTuple):
    """What leaves it: the row's largest word and its sum, up to the chunk that is being written."""

    row_top: int
    row_total: int


def lane_sum_bits(lanes: int) -> int:
    """Unsigned bits of the sum of one number of `ENTRY_BITS` from each lane."""
    return ENTRY_BITS + (lanes - 1).bit_length()


def total_ports(config: SoftmaxConfig) -> Ports:
    """The widths of its ports and registers."""
    word, total, rest = signed(word_bits(config.guard_bits)), unsigned(SUM_BITS), config.latency - STAGES + 1
    partial = unsigned(lane_sum_bits(config.lanes))
    return Ports(
        TotalInputs(FLAG, word, partial),
        TotalState((word,) * rest, (partial,) * rest, word, total),
        TotalOutputs(word, total),
    )


def total_step(
    config: SoftmaxConfig, state: TotalState, inputs: TotalInputs
) -> tuple[TotalState, TotalOutputs]:
    """One clock cycle of the part for totals; no row is so long that its sum exceeds `SUM_BITS`."""
    s, first = state, inputs.first
    top = largest(select(first, lowest(config.guard_bits), s.top), s.tops[-1])
    total = (select(first, 0, s.total) + s.sums[-1]) & low_bits(SUM_BITS)
    after = TotalState((inputs.lane_top, *s.tops[:-1]), (inputs.lane_sum, *s.sums[:-1]), top, total)
    return after, TotalOutputs(top, total)
