"""The raw bank of an array's column: exact sums of segments that go on from one fold into the next.

It stands between the column's elements and its edge. The sum of a segment that is not finished is written to
the bank, and the edge gets zero in its place; in the next fold the word is added to the first of the row's
sums, which is of the same segment. A fold cuts one segment at most, so that a word per output is enough.

The bank is read and written at the row at which the accumulator memory is, in the same cycles.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from hwmodels.units.ops import select, wrap
from hwmodels.units.ports import FLAG, Ports, signed


@dataclass(frozen=True)
class BankConfig:
    """One column's bank.

    Attributes
    ----------
    sum_bits, chains : int
        Width and number of the sums that arrive.
    raw_bits : int
        Width of a raw sum, see `array_cycles.raw_bits`.
    """

    sum_bits: int
    chains: int
    raw_bits: int


class Inputs(NamedTuple):
    """What comes from the bank before, from the column's elements, and from the bank's memory.

    Attributes
    ----------
    coming : int
        Whether sums arrive in the next cycle.
    carried : int
        Whether the first sum is of a segment that the fold before has begun; in a row's first slot.
    open : tuple of int
        Which sum is of a segment that goes on in the next fold.
    sum : tuple of int
        The sums.
    word : int
        What the bank holds of this output.
    """

    coming: int
    carried: int
    open: tuple[int, ...]
    sum: tuple[int, ...]
    word: int


class State(NamedTuple):
    """The registers: what goes on to the next column."""

    valid: int
    carried_out: int
    opens: tuple[int, ...]


class Outputs(NamedTuple):
    """What goes on, the sums for the column's edge, and whether a word is written, and which."""

    carried_out: int
    open_out: tuple[int, ...]
    sum_out: tuple[int, ...]
    write: int
    data: int


def ports(config: BankConfig) -> Ports:
    """The widths of the ports and registers."""
    flags, raw = (FLAG,) * config.chains, signed(config.raw_bits)
    return Ports(
        Inputs(FLAG, FLAG, flags, (signed(config.sum_bits),) * config.chains, raw),
        State(FLAG, FLAG, flags),
        Outputs(FLAG, flags, (raw,) * config.chains, FLAG, raw),
    )


def reset(_: BankConfig, state: State) -> State:
    """The state after a reset: no sums are on their way."""
    return state._replace(valid=0)


def step(config: BankConfig, state: State, inputs: Inputs) -> tuple[State, Outputs]:
    """One clock cycle. A raw sum wraps at its width, which no depth up to 2**16 exceeds."""
    s, x = state, inputs
    first = wrap(x.sum[0] + select(x.carried, x.word, 0), config.raw_bits)
    sums = (first, *x.sum[1:])
    write, data = 0, 0
    for i in range(config.chains):
        write = write | x.open[i]
        data = select(x.open[i], sums[i], data)
    finished = tuple(select(x.open[i], 0, sums[i]) for i in range(config.chains))
    after = State(x.coming, x.carried, x.open)
    return after, Outputs(s.carried_out, s.opens, finished, s.valid & write, data)
