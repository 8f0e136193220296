"""The bottom edge of an array's column where the bound E rises with the terms: as `column`, but for the sums.

Terms are not joined before they are added: in each slot the word takes its terms one after the other, each
under the bound that it may have raised. Word and bound are kept from slot to slot, and written together in a
row's last slot: the accumulator memory holds E beside each word. An output begins in its first slot with the
bias under the lowest bound, and in each later fold with what the memory holds.
"""

from __future__ import annotations

from typing import NamedTuple

from hwmodels.units import aligner, rising_term
from hwmodels.units.column import BOUND_BITS, ColumnConfig, Place, reached
from hwmodels.units.column import ports as column_ports
from hwmodels.units.ops import flag, select, wrap
from hwmodels.units.ports import FLAG, Ports, signed
from hwmodels.units.rising_term import TermConfig


class Word(NamedTuple):
    """A word of the accumulator memory: a sum and its bound E."""

    sum: int
    bound: int


class Inputs(NamedTuple):
    """What comes from the column before, from the column's elements, and from memories.

    Attributes
    ----------
    place : Place
        Of the sums that arrive in the next cycle.
    exponent, held : tuple of int
        The moving row's and the column's exponents of the segments of this slot; a block of zeros where
        there is none.
    sum : tuple of int
        The sums of these segments.
    floor : int
        The lowest bound E of this output.
    bias, bias_exponent : int
        What the output begins with.
    word : Word
        The accumulator's word.
    """

    place: Place
    exponent: tuple[int, ...]
    sum: tuple[int, ...]
    held: tuple[int, ...]
    floor: int
    bias: int
    bias_exponent: int
    word: Word


class State(NamedTuple):
    """The registers: the wave and the row's exponents on their way, and the word so far."""

    valid: int
    last: int
    slot: int
    row: int
    fold: int
    exponents: tuple[int, ...]
    partial: int
    raised: int


class Outputs(NamedTuple):
    """What goes on to the next column, and to the accumulator memory at the row of `place_out`.

    Attributes
    ----------
    write, data : int, Word
        Whether a word is written, and which.
    overflow : tuple of int
        Which terms' sums overflowed.
    flushed : tuple of int
        Which terms were lost, then by which the word was, and last whether the bias was.
    """

    place_out: Place
    exponent_out: tuple[int, ...]
    write: int
    data: Word
    overflow: tuple[int, ...]
    flushed: tuple[int, ...]


def term_config(config: ColumnConfig) -> TermConfig:
    """That of each term's part."""
    return TermConfig(config.sum_bits, config.aligner, config.accumulator, config.fraction)


def ports(config: ColumnConfig) -> Ports:
    """The widths of the edge's ports and registers."""
    c, bound = config, signed(BOUND_BITS)
    x = column_ports(c).inputs
    place: Place = x.place
    flags, word = (FLAG,) * c.chains, Word(x.word, bound)
    return Ports(
        Inputs(x.place, x.exponent, x.sum, x.held, bound, x.bias, bound, word),
        State(*place, x.exponent, x.word, bound),
        Outputs(x.place, x.exponent, FLAG, word, flags, (*flags, *flags, FLAG)),
    )


def reset(_: ColumnConfig, state: State) -> State:
    """The state after a reset: there is no wave."""
    return state._replace(valid=0)


def step(config: ColumnConfig, state: State, inputs: Inputs) -> tuple[State, Outputs]:
    """One clock cycle."""
    s, x, lane = state, inputs, config.aligner
    first, fresh = flag(s.slot == 0), flag(s.fold == 0)
    shift = aligner.distance(x.floor, x.bias_exponent, lane.guard_bits)
    start = wrap(reached(lane, x.bias, shift, config.bias_reach), config.accumulator.bits)
    word = select(first, select(fresh, start, x.word.sum), s.partial)
    bound = select(first, select(fresh, x.floor, x.word.bound), s.raised)
    overflow, flushed, dropped = [], [], []
    for i in range(config.chains):
        arriving = rising_term.Inputs(word, bound, x.sum[i], x.exponent[i], x.held[i])
        _, made = rising_term.step(term_config(config), rising_term.State(), arriving)
        word, bound = made.data, made.top
        overflow.append(s.valid & made.overflow)
        flushed.append(s.valid & made.flushed)
        dropped.append(s.valid & made.dropped)
    lost = s.valid & first & fresh & flag(aligner.is_flushed(x.bias, shift, lane.max_shift))
    return State(*x.place, x.exponent, word, bound), Outputs(
        Place(s.valid, s.last, s.slot, s.row, s.fold), s.exponents, s.valid & s.last, Word(word, bound),
        tuple(overflow), (*flushed, *dropped, lost),
    )  # fmt: skip
