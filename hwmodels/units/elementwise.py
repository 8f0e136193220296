"""The element-wise unit: add with alignment, and multiply.

A lane has two aligners, a multiplier and an adder. The pipeline: which exponent is larger, and how far below
it either element lies; aligned, or multiplied; added. A product goes through the adder with zero.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from hwmodels.units import aligner
from hwmodels.units.actions import Actions, merged, of
from hwmodels.units.aligner import AlignerConfig, LaneConfig, align, distance, is_flushed
from hwmodels.units.ops import ZERO_BLOCK, fits, largest, mul, select, wrap
from hwmodels.units.ports import FLAG, Ports, signed, unsigned, zeros

SUM_BITS = 32
"""Width of a wide sum."""

CODE_BITS, EXPONENT_BITS, WIDE_EXPONENT_BITS = 16, 8, 9
"""Widths of a code that is read, of its exponent, and of the exponent of a wide sum."""

STAGES = 3
"""Stages of the pipeline; a longer latency adds registers behind the last."""


@dataclass(frozen=True)
class ElementwiseConfig:
    """One element-wise unit.

    Attributes
    ----------
    lanes : int
        Elements per cycle.
    guard_bits, max_shift, rounding : int
        Its aligners, see `aligner.AlignerConfig`.
    latency : int
        Cycles from the first element in to the first element out, no fewer than `STAGES`.
    """

    lanes: int
    guard_bits: int
    max_shift: int
    rounding: int
    latency: int

    @property
    def lane(self) -> LaneConfig:
        """Its aligners; they are given how far an element lies below the larger exponent."""
        own = AlignerConfig(self.guard_bits, self.max_shift, self.rounding)
        return LaneConfig(own, CODE_BITS, WIDE_EXPONENT_BITS, self.guard_bits)


def add_exponent(a_exponent: int, b_exponent: int, guard_bits: int) -> int:
    """Exponent of the wide sum: the larger of the two, with guard bits below it."""
    return largest(a_exponent, b_exponent) - guard_bits


def add_aligned(
    a: int, a_exponent: int, b: int, b_exponent: int, guard_bits: int, max_shift: int, rounding: int
) -> int:
    """The sum of two elements, both aligned to the larger exponent."""
    top = largest(a_exponent, b_exponent)
    left = align(a, distance(top, a_exponent, guard_bits), max_shift, rounding)
    return left + align(b, distance(top, b_exponent, guard_bits), max_shift, rounding)


def add_flushed(a: int, a_exponent: int, b: int, b_exponent: int, guard_bits: int, max_shift: int) -> int:
    """How many of the two terms are lost because their shift is too long."""
    top = largest(a_exponent, b_exponent)
    left = is_flushed(a, distance(top, a_exponent, guard_bits), max_shift)
    right = is_flushed(b, distance(top, b_exponent, guard_bits), max_shift)
    return select(left, 1, 0) + select(right, 1, 0)


def product_exponent(a_exponent: int, b_exponent: int) -> int:
    """Exponent of a product; that of a zero block stays a zero block's."""
    zero = (a_exponent == ZERO_BLOCK) | (b_exponent == ZERO_BLOCK)
    return select(zero, ZERO_BLOCK, a_exponent + b_exponent)


def result_add(
    config: ElementwiseConfig, a: Sequence[int], ea: Sequence[int], b: Sequence[int], eb: Sequence[int]
) -> tuple[list[int], list[int], int]:
    """The wide sums of two equally long rows, the exponent of each, and how many terms were flushed."""
    sums: list[int] = []
    exponents: list[int] = []
    flushed = 0
    for x, ex, y, ey in zip(a, ea, b, eb, strict=True):
        total = add_aligned(x, ex, y, ey, config.guard_bits, config.max_shift, config.rounding)
        sums.append(fits(total, SUM_BITS))
        exponents.append(add_exponent(ex, ey, config.guard_bits))
        flushed += add_flushed(x, ex, y, ey, config.guard_bits, config.max_shift)
    return sums, exponents, flushed


def result_mul(
    a: Sequence[int], ea: Sequence[int], b: Sequence[int], eb: Sequence[int]
) -> tuple[list[int], list[int]]:
    """The wide products of two equally long rows, and the exponent of each."""
    sums = [fits(mul(x, y, 16, 16), SUM_BITS) for x, y in zip(a, b, strict=True)]
    return sums, [product_exponent(x, y) for x, y in zip(ea, eb, strict=True)]


class LaneInputs(NamedTuple):
    """What enters a lane: two elements, and whether they are multiplied."""

    multiply: int
    a: int
    a_exponent: int
    b: int
    b_exponent: int


class LaneState(NamedTuple):
    """The registers of a lane, stage by stage."""

    multiplies: int
    a_1: int
    a_below: int
    b_1: int
    b_below: int
    exponent_1: int
    left: int
    right: int
    exponent_2: int
    lost: int
    sums: tuple[int, ...]
    exponents: tuple[int, ...]
    losses: tuple[int, ...]


class LaneOutputs(NamedTuple):
    """What leaves a lane: a wide sum with its exponent, and how many of two terms were flushed."""

    sum: int
    exponent: int
    flushed: int


class Inputs(NamedTuple):
    """What enters the unit in a cycle: two elements per lane, see `LaneInputs`, and whether they are any."""

    valid: int
    multiply: int
    a: tuple[int, ...]
    a_exponent: tuple[int, ...]
    b: tuple[int, ...]
    b_exponent: tuple[int, ...]


class State(NamedTuple):
    """The registers of the unit: which stages hold elements, and the lanes."""

    busy: tuple[int, ...]
    lane: tuple[LaneState, ...]


class Outputs(NamedTuple):
    """What leaves the unit in a cycle, see `LaneOutputs`."""

    done: int
    sum: tuple[int, ...]
    exponent: tuple[int, ...]
    flushed: tuple[int, ...]


def lane_ports(config: ElementwiseConfig) -> Ports:
    """The widths of a lane's ports and registers."""
    code, exponent, wide = signed(CODE_BITS), signed(EXPONENT_BITS), signed(WIDE_EXPONENT_BITS)
    total, below, count, rest = (
        signed(SUM_BITS),
        unsigned(EXPONENT_BITS),
        unsigned(2),
        config.latency - STAGES,
    )
    return Ports(
        LaneInputs(FLAG, code, exponent, code, exponent),
        LaneState(
            FLAG, code, below, code, below, wide, total, signed(config.lane.out_bits), wide, count,
            (total,) * (rest + 1), (wide,) * (rest + 1), (count,) * (rest + 1),
        ),
        LaneOutputs(total, wide, count),
    )  # fmt: skip


def lane_step(
    config: ElementwiseConfig, state: LaneState, inputs: LaneInputs
) -> tuple[LaneState, LaneOutputs]:
    """One clock cycle of a lane."""
    s, ea, eb = state, inputs.a_exponent, inputs.b_exponent
    top = largest(ea, eb)
    _, a = aligner.lane_step(config.lane, aligner.LaneState(), aligner.LaneInputs(s.a_1, 0, s.a_below))
    _, b = aligner.lane_step(config.lane, aligner.LaneState(), aligner.LaneInputs(s.b_1, 0, s.b_below))
    after = LaneState(
        multiplies=inputs.multiply,
        a_1=inputs.a,
        a_below=top - ea,
        b_1=inputs.b,
        b_below=top - eb,
        exponent_1=select(inputs.multiply, product_exponent(ea, eb), add_exponent(ea, eb, config.guard_bits)),
        left=select(s.multiplies, mul(s.a_1, s.b_1, CODE_BITS, CODE_BITS), a.y),
        right=select(s.multiplies, 0, b.y),
        exponent_2=s.exponent_1,
        lost=select(s.multiplies, 0, a.flushed + b.flushed),
        sums=(wrap(s.left + s.right, SUM_BITS), *s.sums[:-1]),
        exponents=(s.exponent_2, *s.exponents[:-1]),
        losses=(s.lost, *s.losses[:-1]),
    )
    return after, LaneOutputs(s.sums[-1], s.exponents[-1], s.losses[-1])


def ports(config: ElementwiseConfig) -> Ports:
    """The widths of the unit's ports and registers."""
    n, lane = config.lanes, lane_ports(config)
    return Ports(
        Inputs(FLAG, FLAG, *((width,) * n for width in lane.inputs[1:])),
        State((FLAG,) * config.latency, (lane.state,) * n),
        Outputs(FLAG, *((width,) * n for width in lane.outputs)),
    )


def reset(config: ElementwiseConfig, state: State) -> State:
    """The state after a reset: no stage holds elements."""
    return state._replace(busy=(0,) * config.latency)


def step(config: ElementwiseConfig, state: State, inputs: Inputs) -> tuple[State, Outputs]:
    """One clock cycle: the state after the clock edge, and the outputs before it."""
    lanes, out = [], []
    for i in range(config.lanes):
        own = LaneInputs(
            inputs.multiply, inputs.a[i], inputs.a_exponent[i], inputs.b[i], inputs.b_exponent[i]
        )
        lane, outputs = lane_step(config, state.lane[i], own)
        lanes.append(lane)
        out.append(outputs)
    after = State((inputs.valid, *state.busy[:-1]), tuple(lanes))
    return after, Outputs(state.busy[-1], *(tuple(o[field] for o in out) for field in range(3)))


def run(
    config: ElementwiseConfig,
    multiply: bool,
    a: Sequence[int],
    ea: Sequence[int],
    b: Sequence[int],
    eb: Sequence[int],
    stepper: Callable[..., Any] = step,
    gaps: Sequence[int] = (),
) -> tuple[tuple[list[int], list[int], int], int]:
    """A whole operation, clock cycle by clock cycle, and the cycles it took.

    Parameters
    ----------
    config : ElementwiseConfig
    multiply : bool
        Whether the elements are multiplied, and not added.
    a, ea, b, eb : sequence of int
        Two equally long rows and the exponents of each.
    stepper : callable
        `step` or what behaves like it, such as a simulated module.
    gaps : sequence of int
        The chunks before which one cycle brings no elements.

    Returns
    -------
    results : tuple
        What `result_add` gives, or `result_mul` and that nothing was flushed.
    cycles : int
    """
    n, total = config.lanes, len(a)
    state, nothing = reset(config, zeros(ports(config).state)), zeros(ports(config).inputs)
    waiting = [chunk for first in range(0, total, n) for chunk in (*(None,) * gaps.count(first // n), first)]
    sums: list[int] = []
    exponents: list[int] = []
    flushed = count = 0
    while len(sums) < total:
        inputs, first = nothing, waiting.pop(0) if waiting else None
        if first is not None:
            rows = ((*row[first : first + n], *(0,) * (first + n - total)) for row in (a, ea, b, eb))
            inputs = Inputs(1, int(multiply), *rows)
        state, out = stepper(config, state, inputs)
        count += 1
        if out.done:
            fresh = min(n, total - len(sums))
            sums += out.sum[:fresh]
            exponents += out.exponent[:fresh]
            flushed = flushed + sum(out.flushed[:fresh])
    return (sums, exponents, flushed), count


def cycles(config: ElementwiseConfig, elements: int) -> int:
    """Cycles for `elements` elements: ``ceil(elements / lanes) + latency``.

    By hand: 49 x 128 elements on 64 lanes with latency 3: 98 + 3 = 101 cycles.
    """
    return -(-elements // config.lanes) + config.latency


def actions_add(elements: int) -> Actions:
    """Actions of an add: a compare of exponents and an add per element; two terms are aligned."""
    own = of("elementwise", {"compare:8": elements, f"add:{SUM_BITS}": elements})
    return merged(own, aligner.actions(SUM_BITS, 2 * elements))


def actions_mul(elements: int) -> Actions:
    """Actions of a multiply: one multiplier and one add of exponents per element."""
    return of("elementwise", {"mul:16x16": elements, "add:9": elements})
