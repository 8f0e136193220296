"""The sequencer of a weight- or input-stationary array: when codes are loaded, and when others stream.

A product is its *folds*, one after the other: R rows of codes to hold are loaded, and then the moving rows
stream, each of them for `interval` cycles. With overlap the next fold is loaded from the cycle in which a
fold begins to stream. The end of a product waits for the wave to reach the last column.

Memories are asked in one cycle and answer in the next, so that what is read is what the next state needs.
An operation is taken when there is none, or in the last cycle of the one before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from hwmodels.units.array_row import Wave
from hwmodels.units.ops import bit_length, flag, select
from hwmodels.units.ports import FLAG, Ports, unsigned, zeros

IDLE, LOAD, STREAM, DRAIN = range(4)
"""Phases: only loading, streaming (and loading beside), and waiting for the wave."""

FOLD_BITS = 12
"""Width of a fold's number."""


@dataclass(frozen=True)
class SequencerConfig:
    """What is sequenced.

    Attributes
    ----------
    rows, columns : int
        Of the array.
    overlap : bool
        Whether the next fold is loaded while one streams.
    latency : int
        Cycles that a fold streams at least: those from one update of an accumulator's word to the next.
    slot_bits, moving_bits : int
        Widths of an interval and of the number of moving rows.
    """

    rows: int
    columns: int
    overlap: bool
    latency: int
    slot_bits: int
    moving_bits: int

    @property
    def row_bits(self) -> int:
        """Width of the number of a row that is loaded."""
        return bit_length(self.rows - 1)

    @property
    def left_bits(self) -> int:
        """Width of the cycles that a phase takes at least, less one."""
        return bit_length(max(self.rows + self.columns - 3, self.latency - 1, self.rows - 1))


class Schedule(NamedTuple):
    """In which cycle what enters: the first row to hold of each fold, and each slot of each moving row."""

    loads: list[int]
    streams: list[tuple[int, int, int, int]]
    """Cycle, fold, row and slot."""


def result(config: SequencerConfig, moving: int, intervals: Sequence[int]) -> Schedule:
    """The schedule of `moving` rows through folds in which each of them stays for so many cycles."""
    loads, streams, now = [], [], 0
    for fold, interval in enumerate(intervals):
        first = now + config.rows
        if fold and config.overlap:
            first = max(now + max(moving * intervals[fold - 1], config.latency), first)
        loads.append(now)
        streams += [(first + i * interval + s, fold, i, s) for i in range(moving) for s in range(interval)]
        now = first
        if not config.overlap:
            now += max(moving * interval, config.latency) + config.rows + config.columns - 2
    return Schedule(loads, streams)


class Inputs(NamedTuple):
    """An operation, and what the memory holds of fold `ahead` of the cycle before.

    Attributes
    ----------
    start : int
        Whether an operation comes.
    last_row, last_fold : int
        Its moving rows and its folds, less one.
    last_slot : int
        The cycles that each moving row stays in that fold, less one.
    """

    start: int
    last_row: int
    last_fold: int
    last_slot: int


class State(NamedTuple):
    """The registers.

    Attributes
    ----------
    final_row, final_fold : int
        The operation's.
    phase, left : int
        The phase, and for how many more cycles it lasts at least.
    loading, load_row : int
        Whether a row of codes to hold enters, and which.
    fold, final_slot : int
        The fold that streams, or that is loaded before it does, and the last slot of each of its rows.
    streaming, row, slot : int
        Whether a moving row enters, which, and in which of its slots.
    """

    final_row: int
    final_fold: int
    phase: int
    left: int
    loading: int
    load_row: int
    fold: int
    final_slot: int
    streaming: int
    row: int
    slot: int


class Outputs(NamedTuple):
    """Control of the array in this cycle, and what memories have to hold ready for the next.

    Attributes
    ----------
    load : int
        Whether the first row of codes to hold enters.
    wave : Wave
        The moving row that enters.
    done : int
        Whether this is the operation's last cycle.
    ahead, load_next, load_row_next : int
        The fold that is loaded or streams next, whether a row of it enters in the next cycle, and which.
    fold_next, stream_next, row_next : int
        The fold that streams, whether a moving row enters in the next cycle, and which.
    """

    load: int
    wave: Wave
    done: int
    ahead: int
    load_next: int
    load_row_next: int
    fold_next: int
    stream_next: int
    row_next: int


def ports(config: SequencerConfig) -> Ports:
    """The widths of the sequencer's ports and registers."""
    slot, moving, fold = unsigned(config.slot_bits), unsigned(config.moving_bits), unsigned(FOLD_BITS)
    row, left = unsigned(config.row_bits), unsigned(config.left_bits)
    wave = Wave(FLAG, FLAG, FLAG, FLAG, slot)
    return Ports(
        Inputs(FLAG, moving, fold, slot),
        State(moving, fold, unsigned(2), left, FLAG, row, fold, slot, FLAG, moving, slot),
        Outputs(FLAG, wave, FLAG, fold, FLAG, row, fold, FLAG, moving),
    )


def reset(_: SequencerConfig, state: State) -> State:
    """The state after a reset: there is no operation."""
    return state._replace(phase=IDLE, loading=0, streaming=0)


def up(x: int, by: int, bits: int) -> int:
    """A counter of some bits after `by` steps."""
    return (x + by) & ((1 << bits) - 1)


def step(config: SequencerConfig, state: State, inputs: Inputs) -> tuple[State, Outputs]:
    """One clock cycle."""
    s, x = state, inputs
    overlap, rows, latency = int(config.overlap), config.rows, config.latency
    turn = s.streaming & flag(s.slot == s.final_slot)
    moved = (s.streaming ^ 1) | (turn & flag(s.row == s.final_row))
    over, final = flag(s.left == 0), flag(s.fold == s.final_fold)
    loaded = over & flag(s.phase == LOAD)
    streamed = over & moved & flag(s.phase == STREAM)
    drained = over & flag(s.phase == DRAIN)

    done = drained & final
    accepted = x.start & (done | flag(s.phase == IDLE))
    load_only = accepted | (drained ^ done)
    next_streams = streamed & (final ^ 1) & overlap
    stream, drain = loaded | next_streams, streamed ^ next_streams
    fold = select(accepted, 0, up(s.fold, next_streams | (drained ^ done), FOLD_BITS))
    load_beside = stream & flag(fold != s.final_fold) & overlap
    load = load_only | load_beside

    least = select(load_beside, max(rows, latency) - 1, latency - 1)
    waiting = select(drain, rows + config.columns - 3, s.left - select(over, 0, 1))
    phase = select(drain, DRAIN, select(done, IDLE, s.phase))
    after = State(
        final_row=select(accepted, x.last_row, s.final_row),
        final_fold=select(accepted, x.last_fold, s.final_fold),
        phase=select(load_only, LOAD, select(stream, STREAM, phase)),
        left=select(load_only, rows - 1, select(stream, least, waiting)),
        loading=load | (s.loading & flag(s.load_row != rows - 1)),
        load_row=select(load, 0, up(s.load_row, s.loading, config.row_bits)),
        fold=fold,
        final_slot=select(stream, x.last_slot, s.final_slot),
        streaming=stream | (moved ^ 1),
        row=select(stream, 0, up(s.row, turn, config.moving_bits)),
        slot=select(stream | turn, 0, up(s.slot, s.streaming, config.slot_bits)),
    )
    first = s.streaming & flag(s.row == 0) & flag(s.slot == 0)
    ahead = up(fold, overlap & flag(after.phase == STREAM), FOLD_BITS)
    return after, Outputs(
        s.loading & flag(s.load_row == 0), Wave(s.streaming, first, flag(s.fold == 0), turn, s.slot), done,
        ahead, after.loading, after.load_row, fold, after.streaming, after.row,
    )  # fmt: skip


def run(
    config: SequencerConfig, moving: int, intervals: Sequence[int], stepper: Callable[..., Any] = step
) -> tuple[Schedule, int]:
    """A whole operation, clock cycle by clock cycle: what `result` gives, and the cycles it took.

    `stepper` is `step` or what behaves like it, such as a simulated module. The operation is given in the
    cycle before its first.
    """
    idle = zeros(ports(config).inputs)
    state = reset(config, zeros(ports(config).state))
    state, out = stepper(config, state, Inputs(1, moving - 1, len(intervals) - 1, 0))
    schedule, count = Schedule([], []), 0
    while not (count and out.done):
        ahead = min(out.ahead, len(intervals) - 1)
        asked = out
        state, out = stepper(config, state, idle._replace(last_slot=intervals[ahead] - 1))
        if out.load:
            schedule.loads.append(count)
        if out.wave.valid:
            entering = (count, asked.fold_next, asked.row_next, out.wave.slot)
            assert asked.stream_next
            assert out.wave.swap == (entering[2:] == (0, 0))
            assert out.wave.fresh == (asked.fold_next == 0)
            schedule.streams.append(entering)
        count += 1
    return schedule, count


def cycles(config: SequencerConfig, moving: int, intervals: Sequence[int]) -> int:
    """Cycles of an operation: see `array_cycles.cycles`, which knows the intervals.

    By hand, 4 x 3 with overlap: 5 rows in two folds of 2 and 1 cycles take 4 + 10 + 5 + 5 = 24.
    """
    streams = [max(moving * interval, config.latency) for interval in intervals]
    wave = config.rows + config.columns - 2
    if config.overlap:
        return config.rows + sum(max(s, config.rows) for s in streams[:-1]) + streams[-1] + wave
    return sum(config.rows + s + wave for s in streams)
