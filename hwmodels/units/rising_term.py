"""One term under a bound that rises: the accumulator moves to the higher bound, and the term is added there.

Without registers: as many of these in a row as a column has aligners take a slot's terms in ascending k. The
bound is that of the terms so far; a term with a block of zeros does not raise it, and so none that is absent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from hwmodels.units import accumulator, aligner, prescan
from hwmodels.units.accumulator import AccumulatorConfig
from hwmodels.units.aligner import AlignerConfig
from hwmodels.units.column import BOUND_BITS, EXPONENT_BITS, reached
from hwmodels.units.ops import ZERO_BLOCK, flag, wrap
from hwmodels.units.ports import FLAG, Ports, signed


@dataclass(frozen=True)
class TermConfig:
    """What one term passes.

    Attributes
    ----------
    sum_bits : int
        Width of the term.
    aligner, accumulator
        Their configurations.
    fraction : int
        Bits of the term below its binary point.
    """

    sum_bits: int
    aligner: AlignerConfig
    accumulator: AccumulatorConfig
    fraction: int

    @property
    def of_terms(self) -> AlignerConfig:
        """The lane that takes the term."""
        return aligner.of_terms(self.aligner, self.fraction)

    @property
    def reach(self) -> int:
        """The longest left shift of a term: the bound is not below its exponent."""
        return max(1, self.of_terms.guard_bits)


class Inputs(NamedTuple):
    """The accumulator's word and its bound E, the term, and both exponents of its segment."""

    word: int
    bound: int
    x: int
    row: int
    column: int


class State(NamedTuple):
    """No registers."""


class Outputs(NamedTuple):
    """The word and its bound with the term; whether it overflowed, and the term or the old word was lost."""

    data: int
    top: int
    overflow: int
    flushed: int
    dropped: int


def ports(config: TermConfig) -> Ports:
    """The widths of the ports."""
    word, bound, e = signed(config.accumulator.bits), signed(BOUND_BITS), signed(EXPONENT_BITS)
    return Ports(
        Inputs(word, bound, signed(config.sum_bits), e, e), State(), Outputs(word, bound, FLAG, FLAG, FLAG)
    )


def reset(_: TermConfig, state: State) -> State:
    """There is nothing to reset."""
    return state


def step(config: TermConfig, state: State, inputs: Inputs) -> tuple[State, Outputs]:
    """What comes of a term, in the same cycle."""
    x, lane, word, of_terms = inputs, config.aligner, config.accumulator, config.of_terms
    top = prescan.join(x.bound, x.row, x.column, ZERO_BLOCK)
    down = x.bound - top
    moved = wrap(aligner.align(x.word, down, lane.max_shift, lane.rounding), word.bits)
    shift = aligner.distance(top, x.row + x.column, of_terms.guard_bits)
    term = reached(of_terms, x.x, shift, config.reach)
    return state, Outputs(
        data=accumulator.add(moved, term, word.bits, word.saturating),
        top=top,
        overflow=flag(accumulator.overflows(moved, term, word.bits)),
        flushed=flag(aligner.is_flushed(x.x, shift, of_terms.max_shift)),
        dropped=flag(aligner.is_flushed(x.word, down, lane.max_shift)),
    )
