"""The bottom edge of an array's column: aligners, the sum of a fold's terms, and the accumulator's port.

A moving row's sums arrive slot by slot, in the cycle in which the last element adds to them. Each is
aligned under the output's bound E and joined with those of the slots before. In the last slot the join is
added to the accumulator's word, or in the first fold to the aligned bias, and written in the same cycle:
a pipeline here would take as many cycles more for every product, once.

The wave of rows passes from column to column. It comes a cycle before the sums, so that memories can be
asked: for the column's exponents in this slot, and what belongs to this output.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from hwmodels.units import accumulator, aligner
from hwmodels.units.accumulator import AccumulatorConfig
from hwmodels.units.aligner import AlignerConfig
from hwmodels.units.ops import ZERO_BLOCK, bit_length, flag, select, smallest, wrap
from hwmodels.units.ports import FLAG, Ports, signed, unsigned

EXPONENT_BITS, BOUND_BITS = 8, 10
"""Widths of a block's exponent, and of a bound or a bias's exponent."""


@dataclass(frozen=True)
class ColumnConfig:
    """One column's edge.

    Attributes
    ----------
    sum_bits, chains : int
        Width and number of the sums that arrive: a column's aligners.
    rows : int
        Rows of the array: so many segments end in a fold at most.
    bias_bits : int
        Width of a bias.
    slot_bits, moving_bits, fold_bits : int
        Widths of the numbers of a slot, a moving row and a fold.
    aligner, accumulator
        Their configurations.
    fraction : int
        Bits of the sums below their binary point.
    """

    sum_bits: int
    chains: int
    rows: int
    bias_bits: int
    slot_bits: int
    moving_bits: int
    fold_bits: int
    aligner: AlignerConfig
    accumulator: AccumulatorConfig
    fraction: int

    @property
    def of_terms(self) -> AlignerConfig:
        """The lanes that take the sums."""
        return aligner.of_terms(self.aligner, self.fraction)

    @property
    def reach(self) -> int:
        """The longest left shift of a term: E is not below its exponent."""
        return max(1, self.of_terms.guard_bits)

    @property
    def bias_reach(self) -> int:
        """The longest left shift of a bias: see `mac_array.bias_floor`."""
        return max(1, min(self.accumulator.bits - self.bias_bits - 2, self.aligner.max_shift))

    @property
    def join_bits(self) -> int:
        """Width in which all aligned terms of a fold fit."""
        return self.sum_bits + self.reach + bit_length(self.rows - 1)


class Place(NamedTuple):
    """Where a wave is: whether there is one, whether in a row's last slot, and its slot, row and fold."""

    valid: int
    last: int
    slot: int
    row: int
    fold: int


class Inputs(NamedTuple):
    """What comes from the column before, from the column's elements, and from memories.

    Attributes
    ----------
    place : Place
        Of the sums that arrive in the next cycle.
    exponent, top : int
        The moving row's exponents of the segments of this slot, and its largest.
    sum : tuple of int
        The sums of these segments.
    held, held_top : int
        The column's exponents likewise.
    floor : int
        The lowest bound E of this output; with `ZERO_BLOCK` as `top` it is E.
    bias, bias_exponent : int
        What the output begins with.
    word : int
        The accumulator's word.
    """

    place: Place
    exponent: tuple[int, ...]
    top: int
    sum: tuple[int, ...]
    held: tuple[int, ...]
    held_top: int
    floor: int
    bias: int
    bias_exponent: int
    word: int


class State(NamedTuple):
    """The registers: the wave and the row's exponents on their way, and the sum of the slots before."""

    valid: int
    last: int
    slot: int
    row: int
    fold: int
    exponents: tuple[int, ...]
    top_out: int
    partial: int


class Outputs(NamedTuple):
    """What goes on to the next column, and to the accumulator memory at the row of `place_out`.

    Attributes
    ----------
    write, data : int
        Whether a word is written, and which.
    overflow : int
        Whether it overflowed.
    flushed : tuple of int
        Which terms were lost, and last whether the bias was.
    """

    place_out: Place
    exponent_out: tuple[int, ...]
    top_out: int
    write: int
    data: int
    overflow: int
    flushed: tuple[int, ...]


def ports(config: ColumnConfig) -> Ports:
    """The widths of the edge's ports and registers."""
    c = config
    exponents, e, bound = (signed(EXPONENT_BITS),) * c.chains, signed(EXPONENT_BITS), signed(BOUND_BITS)
    place = Place(FLAG, FLAG, unsigned(c.slot_bits), unsigned(c.moving_bits), unsigned(c.fold_bits))
    sums, word = (signed(c.sum_bits),) * c.chains, signed(c.accumulator.bits)
    return Ports(
        Inputs(place, exponents, e, sums, exponents, e, bound, signed(c.bias_bits), bound, word),
        State(*place, exponents, e, signed(c.join_bits)),
        Outputs(place, exponents, e, FLAG, word, FLAG, (FLAG,) * (c.chains + 1)),
    )


def reset(_: ColumnConfig, state: State) -> State:
    """The state after a reset: there is no wave."""
    return state._replace(valid=0)


def reached(config: AlignerConfig, x: int, shift: int, reach: int) -> int:
    """`aligner.align` by a lane that shifts to the left by `reach` at most: farther is never asked for."""
    held = select(shift > config.max_shift, shift, smallest(shift, reach))
    return aligner.align(x, held, config.max_shift, config.rounding)


def step(config: ColumnConfig, state: State, inputs: Inputs) -> tuple[State, Outputs]:
    """One clock cycle. What is joined wraps at its width, which a fold's terms do not exceed."""
    s, x, lane, word, of_terms = state, inputs, config.aligner, config.accumulator, config.of_terms
    top = aligner.bound(x.top, x.held_top, x.floor, ZERO_BLOCK)
    join = select(s.slot == 0, 0, s.partial)
    flushed = []
    for i in range(config.chains):
        shift = aligner.distance(top, x.exponent[i] + x.held[i], of_terms.guard_bits)
        join = join + reached(of_terms, x.sum[i], shift, config.reach)
        flushed.append(s.valid & flag(aligner.is_flushed(x.sum[i], shift, of_terms.max_shift)))
    join = wrap(join, config.join_bits)
    write, fresh = s.valid & s.last, flag(s.fold == 0)
    shift = aligner.distance(top, x.bias_exponent, lane.guard_bits)
    flushed.append(write & fresh & flag(aligner.is_flushed(x.bias, shift, lane.max_shift)))
    start = wrap(reached(lane, x.bias, shift, config.bias_reach), word.bits)
    acc = select(fresh, start, x.word)
    data = accumulator.add(acc, join, word.bits, word.saturating)
    overflow = write & flag(accumulator.overflows(acc, join, word.bits))
    return State(*x.place, x.exponent, x.top, join), Outputs(
        Place(s.valid, s.last, s.slot, s.row, s.fold), s.exponents, s.top_out,
        write, data, overflow, tuple(flushed),
    )  # fmt: skip
