"""An SRAM with one read and one write port, such as accumulators, banks and the requantizer's store lie in.

What is read arrives in the next cycle and stays until the next read. A word that is read and written in
one cycle is read as it was before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from hwmodels.units.ops import lookup, select
from hwmodels.units.ports import FLAG, Ports, signed, unsigned, zeros


@dataclass(frozen=True)
class SramConfig:
    """One memory.

    Attributes
    ----------
    words, bits : int
        How many words of how many bits.
    """

    words: int
    bits: int


class Access(NamedTuple):
    """What is asked of the memory in one cycle; an address is below the number of words."""

    read: int
    read_address: int
    write: int
    write_address: int
    write_word: int


Inputs = Access


class State(NamedTuple):
    """The words, and the one that was read last."""

    store: tuple[int, ...]
    word: int


class Outputs(NamedTuple):
    """The word that was read last."""

    word: int


def result(config: SramConfig, accesses: Sequence[Access]) -> list[int]:
    """The words that are read, one after the other, from a memory of zeros."""
    store = [0] * config.words
    words = []
    for access in accesses:
        if access.read:
            words.append(store[access.read_address])
        if access.write:
            store[access.write_address] = access.write_word
    return words


def address_bits(words: int) -> int:
    """Bits of an address of so many words, one at least."""
    return max((words - 1).bit_length(), 1)


def ports(config: SramConfig) -> Ports:
    """The widths of the memory's ports and registers."""
    word, address = signed(config.bits), unsigned(address_bits(config.words))
    return Ports(
        Access(FLAG, address, FLAG, address, word), State((word,) * config.words, word), Outputs(word)
    )


def reset(_: SramConfig, state: State) -> State:
    """A reset clears nothing."""
    return state


def step(_: SramConfig, state: State, inputs: Access) -> tuple[State, Outputs]:
    """One clock cycle."""
    store = [
        select(inputs.write & (inputs.write_address == i), inputs.write_word, old)
        for i, old in enumerate(state.store)
    ]
    word = select(inputs.read, lookup(state.store, inputs.read_address), state.word)
    return State(tuple(store), word), Outputs(state.word)


def run(
    config: SramConfig, accesses: Sequence[Access], stepper: Callable[..., Any] = step
) -> tuple[list[int], int]:
    """All accesses, one per cycle, in a memory that is first filled with zeros: see `result`."""
    state = reset(config, zeros(ports(config).state))
    fill = [Access(0, 0, 1, i, 0) for i in range(config.words)]
    for access in fill:
        state, _ = stepper(config, state, access)
    words, count, arrives = [], 0, 0
    for access in [*accesses, Access(0, 0, 0, 0, 0)]:
        state, out = stepper(config, state, access)
        if arrives:
            words.append(out.word)
        count, arrives = count + 1, access.read
    return words, count


def cycles(accesses: int) -> int:
    """Cycles of one access after the other: ``accesses + 1``, as the last word arrives in the next cycle.

    By hand: a word written and then read takes 3 cycles.
    """
    return accesses + 1
