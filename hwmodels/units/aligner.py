"""The aligner: brings a sum with an exponent of its own to the exponent of the accumulator.

An accumulator holds ``value * 2**(guard - E)``: E is the bound of all terms, `guard` the number of
bits kept below it. A term ``x * 2**e`` is therefore shifted by ``guard - (E - e)``.

A lane has no registers. The aligners of a column are a stage that takes as many terms of one output per
cycle as it has lanes, and adds them to those before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from hwmodels.units.actions import Actions, of
from hwmodels.units.ops import LONGEST_SHIFT, fits, largest, magnitude, scale, select, smallest, wrap
from hwmodels.units.ports import FLAG, Ports, signed, zeros

BOUND, EXACT, RUNNING = 0, 1, 2
"""Which E an output is held under: the row's plus the column's largest exponent; the largest sum of a
segment's two exponents, found by a prescan; or the largest sum so far, as the terms arrive."""

NORMALISES = {"bound": BOUND, "exact": EXACT, "running": RUNNING}


@dataclass(frozen=True)
class AlignerConfig:
    """One aligner lane.

    Attributes
    ----------
    guard_bits : int
        Bits kept below the bound E; may be negative (low bits dropped).
    max_shift : int
        Longest shift in either direction; what lies beyond is flushed to zero and counted.
    rounding : int
        One of `ops.ROUNDINGS`.
    """

    guard_bits: int
    max_shift: int
    rounding: int


def distance(bound: int, exponent: int, guard_bits: int) -> int:
    """The shift that brings a term at `exponent` under `bound`: positive is left."""
    return guard_bits - (bound - exponent)


def reach(max_shift: int, fraction: int) -> int:
    """The longest shift of a sum with bits below its binary point: those come on top of a block's distance.

    It stays below what is left of any sum, see `ops.shift_right`.
    """
    return smallest(max_shift + largest(fraction, 0), LONGEST_SHIFT)


def of_terms(config: AlignerConfig, fraction: int) -> AlignerConfig:
    """A lane for sums with so many bits below their binary point, as which it sees whole numbers."""
    return AlignerConfig(config.guard_bits - fraction, reach(config.max_shift, fraction), config.rounding)


def align(x: int, shift: int, max_shift: int, rounding: int) -> int:
    """``x * 2**shift``, rounded; zero where the shift is longer than the aligner's."""
    return select(magnitude(shift) > max_shift, 0, scale(x, shift, max_shift, rounding))


def is_flushed(x: int, shift: int, max_shift: int) -> bool:
    """Whether a term that is not zero is lost because its shift is too long."""
    return (x != 0) & (magnitude(shift) > max_shift)


def bound(row: int, column: int, floor: int, zero: int) -> int:
    """E of one output: the row's and the column's largest exponents, not below the bias's floor.

    `zero` is the code of a row or column that has no value other than zero: it bounds nothing.
    """
    product = select((row == zero) | (column == zero), floor, row + column)
    return largest(product, floor)


def result(config: AlignerConfig, x: int, exponent: int, bound: int) -> int:
    """The aligned term.

    Parameters
    ----------
    config : AlignerConfig
    x : int
        A term with the value ``x * 2**exponent``.
    exponent, bound : int
        The term's exponent and the accumulator's bound E.

    Returns
    -------
    int
        ``x * 2**(exponent - bound + guard_bits)``, rounded.
    """
    shift = distance(bound, exponent, config.guard_bits)
    return align(x, shift, config.max_shift, config.rounding)


@dataclass(frozen=True)
class LaneConfig:
    """What one lane of the hardware has room for.

    Attributes
    ----------
    aligner : AlignerConfig
    x_bits, e_bits : int
        Widths of a term, and of exponents and bounds.
    longest_left : int
        The longest left shift of a term that is not zero: the guard bits where E is never below an exponent,
        what `mac_array.bias_floor` leaves for a bias, or `max_shift` where nothing is known.
    """

    aligner: AlignerConfig
    x_bits: int
    e_bits: int
    longest_left: int

    @property
    def out_bits(self) -> int:
        """Width of an aligned term."""
        return self.x_bits + max(self.longest_left, 0)


class LaneInputs(NamedTuple):
    """What enters a lane: a term with its exponent, and the bound E."""

    x: int
    exponent: int
    bound: int


class LaneState(NamedTuple):
    """A lane has no registers."""


class LaneOutputs(NamedTuple):
    """What leaves a lane: the aligned term, and whether one was lost that is not zero."""

    y: int
    flushed: int


def lane_ports(config: LaneConfig) -> Ports:
    """The widths of a lane's ports."""
    e = signed(config.e_bits)
    return Ports(
        LaneInputs(signed(config.x_bits), e, e), LaneState(), LaneOutputs(signed(config.out_bits), FLAG)
    )


def lane_step(config: LaneConfig, state: LaneState, inputs: LaneInputs) -> tuple[LaneState, LaneOutputs]:
    """What a lane gives, in the same cycle."""
    own = config.aligner
    shift = distance(inputs.bound, inputs.exponent, own.guard_bits)
    y = fits(align(inputs.x, shift, own.max_shift, own.rounding), config.out_bits)
    return state, LaneOutputs(y, select(is_flushed(inputs.x, shift, own.max_shift), 1, 0))


def within_reach(config: LaneConfig, inputs: LaneInputs) -> bool:
    """What a lane relies on: no term but zero is shifted left by more than it has room for."""
    shift = distance(inputs.bound, inputs.exponent, config.aligner.guard_bits)
    return (inputs.x == 0) | (shift <= config.longest_left) | (shift > config.aligner.max_shift)


@dataclass(frozen=True)
class StageConfig:
    """The aligners of one column.

    Attributes
    ----------
    lane : LaneConfig
    lanes : int
        Aligners: terms per cycle.
    sum_bits : int
        Width of the sum of an output's terms, which fits it; sums on the way to it may wrap.
    """

    lane: LaneConfig
    lanes: int
    sum_bits: int


class Inputs(NamedTuple):
    """Terms of one output, zero in lanes that have none, whether they are any, and whether the last."""

    valid: int
    last: int
    x: tuple[int, ...]
    exponent: tuple[int, ...]
    bound: int


class State(NamedTuple):
    """The sum of the output's terms that came before."""

    held: int


class Outputs(NamedTuple):
    """The sum with this cycle's terms, whether it is an output's whole sum, and which terms were lost."""

    done: int
    sum: int
    flushed: tuple[int, ...]


def ports(config: StageConfig) -> Ports:
    """The widths of the stage's ports and registers."""
    lane, n, total = lane_ports(config.lane).inputs, config.lanes, signed(config.sum_bits)
    return Ports(
        Inputs(FLAG, FLAG, (lane.x,) * n, (lane.exponent,) * n, lane.bound),
        State(total),
        Outputs(FLAG, total, (FLAG,) * n),
    )


def reset(_: StageConfig, state: State) -> State:
    """The state after a reset: no output is under way."""
    return state._replace(held=0)


def tree_sum(values: Sequence[int], bits: int) -> int:
    """The sum in a balanced tree of adders of `bits` bits: the values, then the sums of two nodes each."""
    nodes = list(values)
    for i in range(len(values) - 1):
        nodes.append(wrap(nodes[2 * i] + nodes[2 * i + 1], bits))
    return nodes[-1]


def step(config: StageConfig, state: State, inputs: Inputs) -> tuple[State, Outputs]:
    """One clock cycle: terms are aligned and added at once, and the sum is kept unless it is whole."""
    out = [
        lane_step(config.lane, LaneState(), LaneInputs(inputs.x[i], inputs.exponent[i], inputs.bound))[1]
        for i in range(config.lanes)
    ]
    total = wrap(state.held + tree_sum([o.y for o in out], config.sum_bits), config.sum_bits)
    after = select(inputs.valid, select(inputs.last, 0, total), state.held)
    lost = tuple(inputs.valid & o.flushed for o in out)
    return State(after), Outputs(inputs.valid & inputs.last, total, lost)


def result_sum(
    config: AlignerConfig, x: Sequence[int], exponents: Sequence[int], bound: int
) -> tuple[int, int]:
    """The sum of an output's aligned terms, and how many of them were flushed."""
    aligned = [result(config, term, e, bound) for term, e in zip(x, exponents, strict=True)]
    lost = [
        select(is_flushed(term, distance(bound, e, config.guard_bits), config.max_shift), 1, 0)
        for term, e in zip(x, exponents, strict=True)
    ]
    return sum(aligned), sum(lost)


def run(
    config: StageConfig,
    x: Sequence[int],
    exponents: Sequence[int],
    bound: int,
    stepper: Callable[..., Any] = step,
    gaps: Sequence[int] = (),
) -> tuple[tuple[int, int], int]:
    """All terms of one output, clock cycle by clock cycle: what `result_sum` gives, and the cycles it took.

    Parameters
    ----------
    config : StageConfig
    x, exponents : sequence of int
        The terms, one or more.
    bound : int
        E of the output.
    stepper : callable
        `step` or what behaves like it, such as a simulated module.
    gaps : sequence of int
        The groups of terms before which one cycle brings none.
    """
    n = config.lanes
    state, inputs = reset(config, zeros(ports(config).state)), zeros(ports(config).inputs)
    flushed = count = total = 0
    for group in range(cycles(len(x), n)):
        for _ in range(gaps.count(group)):
            state, _ = stepper(config, state, inputs._replace(valid=0))
            count += 1
        taken = slice(group * n, group * n + n)
        pad = (0,) * (n - len(x[taken]))
        inputs = Inputs(
            1, int(group == cycles(len(x), n) - 1), (*x[taken], *pad), (*exponents[taken], *pad), bound
        )
        state, out = stepper(config, state, inputs)
        count += 1
        flushed = flushed + sum(out.flushed)
        total = out.sum
    return (total, flushed), count


def cycles(terms: int, aligners: int) -> int:
    """Cycles that `aligners` lanes need for the `terms` of one output: ``ceil(terms / aligners)``.

    By hand: four segments in one pass and one aligner per column take 4 cycles, two aligners 2.
    """
    return -(-terms // aligners)


def actions(bits: int, terms: int) -> Actions:
    """Actions of aligning `terms` terms in words of `bits` bits: a shift and a rounding add each."""
    return of("align", {f"shift:{bits}": terms, f"add:{bits}": terms})
