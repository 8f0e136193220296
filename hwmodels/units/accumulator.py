"""The accumulator: one add per pass, saturating or wrapping at its width.

It stands between a memory with one read and one write port and whatever sums the aligned terms. The
address of a word enters one cycle before the term, so that what is read of it arrives with the term; the
sum goes back in the same cycle, or some cycles later where the latency is longer than one. A word may
be read in the very cycle in which it is written, which is as soon as its latency allows: the memory
then gives the old word, and the one that was written is kept for a cycle and takes its place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from hwmodels.units.actions import Actions, of
from hwmodels.units.ops import saturate, select, wrap
from hwmodels.units.ports import FLAG, Ports, signed, unsigned, zeros
from hwmodels.units.sram import address_bits


@dataclass(frozen=True)
class AccumulatorConfig:
    """One accumulator memory.

    Attributes
    ----------
    bits : int
        Width of a word, guard bits included.
    saturating : bool
        Whether an overflow saturates (else it wraps); either is counted.
    rows, banks : int
        Rows of outputs in one bank, and banks.
    latency : int
        Cycles from one update of a word to the next.
    sum_bits : int
        Width of the sums that are added.
    """

    bits: int
    saturating: bool
    rows: int
    banks: int
    latency: int
    sum_bits: int = 33


def add(acc: int, x: int, bits: int, saturating: bool) -> int:
    """`acc + x`, brought back to `bits` bits."""
    return select(saturating, saturate(acc + x, bits), wrap(acc + x, bits))


def overflows(acc: int, x: int, bits: int) -> bool:
    """Whether `acc + x` does not fit `bits` bits."""
    return saturate(acc + x, bits) != acc + x


def result(config: AccumulatorConfig, start: int, passes: Sequence[int]) -> int:
    """The word after all `passes`, each of them one exact sum of aligned terms."""
    acc = start
    for x in passes:
        acc = add(acc, x, config.bits, config.saturating)
    return acc


class Inputs(NamedTuple):
    """What enters in a cycle: an update's address, and the term and the word of the one before."""

    valid: int
    address: int
    term: int
    word: int


class State(NamedTuple):
    """The registers: updates from their term on, and their sums until the cycle after they are written.

    `again` says that the word that is read now was written in the cycle before.
    """

    busy: tuple[int, ...]
    addresses: tuple[int, ...]
    sums: tuple[int, ...]
    again: int


class Outputs(NamedTuple):
    """What leaves in a cycle: what to read, what to write, and whether a term's sum did not fit."""

    read: int
    read_address: int
    write: int
    write_address: int
    write_word: int
    overflow: int


def ports(config: AccumulatorConfig) -> Ports:
    """The widths of the unit's ports and registers."""
    word, address, stages = signed(config.bits), unsigned(address_bits(config.rows)), config.latency
    return Ports(
        Inputs(FLAG, address, signed(config.sum_bits), word),
        State((FLAG,) * stages, (address,) * stages, (word,) * stages, FLAG),
        Outputs(FLAG, address, FLAG, address, word, FLAG),
    )


def reset(config: AccumulatorConfig, state: State) -> State:
    """The state after a reset: no update is under way."""
    return state._replace(busy=(0,) * config.latency)


def step(config: AccumulatorConfig, state: State, inputs: Inputs) -> tuple[State, Outputs]:
    """One clock cycle.

    Parameters
    ----------
    config : AccumulatorConfig
    state : State
    inputs : Inputs
        `term` and `word` belong to the address of the cycle before.

    Returns
    -------
    state : State
        After the clock edge.
    outputs : Outputs
        Before it.
    """
    s = state
    before = select(s.again, s.sums[-1], inputs.word)
    total = add(before, inputs.term, config.bits, config.saturating)
    sums = (total, *s.sums)
    write, address, word = s.busy[-1], s.addresses[-1], sums[config.latency - 1]
    after = State(
        busy=(inputs.valid, *s.busy[:-1]),
        addresses=(inputs.address, *s.addresses[:-1]),
        sums=sums[:-1],
        again=select(write & (address == inputs.address), 1, 0),
    )
    overflow = select(s.busy[0] & overflows(before, inputs.term, config.bits), 1, 0)
    return after, Outputs(inputs.valid, inputs.address, write, address, word, overflow)


def run(
    config: AccumulatorConfig,
    start: Sequence[int],
    updates: Sequence[tuple[int, int]],
    stepper: Callable[..., Any] = step,
    gaps: Sequence[int] = (),
) -> tuple[tuple[list[int], int], int]:
    """Updates of a memory, clock cycle by clock cycle.

    Parameters
    ----------
    config : AccumulatorConfig
    start : sequence of int
        The words.
    updates : sequence of pairs
        Addresses and terms. An update waits until the one before it of the same word is done.
    stepper : callable
        `step` or what behaves like it, such as a simulated module.
    gaps : sequence of int
        The updates before which one cycle passes idly.

    Returns
    -------
    (words, overflows), cycles
        The memory at the end, and how many sums did not fit; the cycles since the first term entered. Its
        address enters in the cycle before, which belongs to whatever made the term.
    """
    state, inputs = reset(config, zeros(ports(config).state)), zeros(ports(config).inputs)
    words = list(start)
    free = [0] * len(words)
    count = overflowed = taken = written = 0
    idle = list(gaps)
    term = 0
    while written < len(updates):
        ready = taken < len(updates) and free[updates[taken][0]] <= count
        if ready and taken in idle:
            idle.remove(taken)
            ready = False
        address, coming = updates[taken] if ready else (0, 0)
        if ready:
            free[address], taken = count + config.latency, taken + 1
        state, out = stepper(config, state, inputs._replace(valid=int(ready), address=address, term=term))
        count, term = count + 1, coming
        overflowed += out.overflow
        if out.read:
            inputs = inputs._replace(word=words[out.read_address])
        if out.write:
            words[out.write_address] = out.write_word
            written += 1
    return (words, overflowed), max(count - 1, 0)


def cycles(config: AccumulatorConfig, updates: int, words: int = 1) -> int:
    """Cycles until `updates` updates of `words` words in turn are done: each waits for its word's last one.

    By hand: three updates of one word with a latency of 2 take 6 cycles; of two words in turn 4, as the
    second word's enters while the first word's waits: in cycles 1, 2 and 3, and is done in 4.
    """
    if updates == 0:
        return 0
    rounds, rest = (updates - 1) // words, (updates - 1) % words
    return rounds * (config.latency if words < config.latency else words) + rest + config.latency


def actions(config: AccumulatorConfig, updates: int) -> Actions:
    """Actions of `updates` updates: an add, a word read and a word written each."""
    counts = {f"add:{config.bits}": updates, "accumulator.bits": 2 * config.bits * updates}
    return of("accumulate", counts)
