"""The LUT unit: an element-wise function by a table with linear interpolation.

The input is brought to fixed point. Its top bits index a segment, its low bits interpolate between
the segment's two end points. Outside the table the function follows a straight tail: zero on the
left and the identity on the right, which is what GELU tends to.

Every lane has the table in two memories, of even and of odd entries, so that two neighbours are read in
one cycle. The pipeline: to fixed point, address, interpolation (with what was read), out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from hwmodels.units.actions import Actions, of
from hwmodels.units.ops import HALF_UP, RNE, Table, fits, lookup, mul, saturate, scale, select, shift_right
from hwmodels.units.ports import FLAG, Ports, signed, unsigned, zeros

CODE_BITS, EXPONENT_BITS = 16, 8
"""Widths of a code that is read and of its exponent."""

STAGES = 4
"""Stages of the pipeline; a longer latency adds registers behind the last."""


@dataclass(frozen=True)
class LutConfig:
    """One LUT unit with its loaded table.

    Attributes
    ----------
    lanes : int
        Elements per cycle.
    in_bits : int
        Width of the fixed-point word.
    fraction : int
        Fraction bits of input and output.
    step_bits : int
        Low bits that interpolate: a segment is ``2**step_bits`` steps of ``2**-fraction`` wide.
    table : tuple of int
        End points of the segments over ``[-span, span]``.
    latency : int
        Cycles from the first element in to the first element out, no fewer than `STAGES`.
    """

    lanes: int
    in_bits: int
    fraction: int
    step_bits: int
    table: tuple[int, ...]
    latency: int

    @property
    def span(self) -> int:
        """Half of the covered range, in steps of ``2**-fraction``."""
        return ((len(self.table) - 1) << self.step_bits) >> 1


def to_fixed(code: int, exponent: int, fraction: int, in_bits: int) -> int:
    """``code * 2**exponent`` as a fixed-point word with `fraction` fraction bits, saturated."""
    return saturate(scale(code, exponent + fraction, in_bits, RNE), in_bits)


def is_clipped(code: int, exponent: int, fraction: int, in_bits: int) -> bool:
    """Whether an input lies beyond the fixed-point word."""
    word = scale(code, exponent + fraction, in_bits, RNE)
    return saturate(word, in_bits) != word


def between(left: int, right: int, low: int, step_bits: int, bits: int) -> int:
    """The straight line from one entry of `bits` bits to the next, at `low` steps of ``2**step_bits``."""
    return left + shift_right(mul(right - left, low, bits + 1, step_bits + 1), step_bits, HALF_UP)


def interpolate(table: Table, position: int, step_bits: int, bits: int) -> int:
    """The table's function at `position`: the top bits pick a segment, the low bits interpolate."""
    i = position >> step_bits
    low = position & ((1 << step_bits) - 1)
    return between(lookup(table, i), lookup(table, i + 1), low, step_bits, bits)


def is_inside(x: int, span: int) -> bool:
    """Whether the table covers `x`."""
    return (x >= -span) & (x < span)


def tail(x: int) -> int:
    """The function outside the table: zero on the left, the identity on the right."""
    return select(x < 0, 0, x)


def position_of(x: int, span: int) -> int:
    """Where in the table `x` lies; at its start for what lies outside."""
    return select(is_inside(x, span), x + span, 0)


def evaluate(table: Table, x: int, span: int, step_bits: int, bits: int) -> int:
    """The function at the fixed-point `x`: the table inside the span, the tails outside."""
    y = interpolate(table, position_of(x, span), step_bits, bits)
    return select(is_inside(x, span), y, tail(x))


def result(
    config: LutConfig, codes: Sequence[int], exponents: Sequence[int]
) -> tuple[list[int], list[int], int]:
    """The function of each element.

    Parameters
    ----------
    config : LutConfig
    codes, exponents : sequence of int
        Elements with the value ``code * 2**exponent``.

    Returns
    -------
    sums, exponents : list of int
        Fixed-point words and their exponent, ``-fraction`` throughout.
    clipped : int
        How many inputs lay beyond the fixed-point word.
    """
    words = [to_fixed(c, e, config.fraction, config.in_bits) for c, e in zip(codes, exponents, strict=True)]
    sums = [
        fits(evaluate(config.table, x, config.span, config.step_bits, config.in_bits), config.in_bits)
        for x in words
    ]
    clipped = sum(
        is_clipped(c, e, config.fraction, config.in_bits) for c, e in zip(codes, exponents, strict=True)
    )
    return sums, [-config.fraction] * len(sums), clipped


class LaneInputs(NamedTuple):
    """What enters a lane: an element, and what the memories hold at the addresses of the cycle before."""

    code: int
    exponent: int
    even: int
    odd: int


class LaneState(NamedTuple):
    """The registers of a lane, stage by stage."""

    word: int
    beyond: int
    in_table: int
    odd_first: int
    low: int
    tail: int
    beyond_2: int
    value: int
    beyond_3: int
    sums: tuple[int, ...]
    beyond_4: tuple[int, ...]


class LaneOutputs(NamedTuple):
    """What leaves a lane: addresses of the two memories, and an element's word and whether it was clipped."""

    even_address: int
    odd_address: int
    sum: int
    clipped: int


class Inputs(NamedTuple):
    """What enters the unit in a cycle: one element per lane, see `LaneInputs`, and whether they are any."""

    valid: int
    code: tuple[int, ...]
    exponent: tuple[int, ...]
    even: tuple[int, ...]
    odd: tuple[int, ...]


class State(NamedTuple):
    """The registers of the unit: which stages hold elements, and the lanes."""

    busy: tuple[int, ...]
    lane: tuple[LaneState, ...]


class Outputs(NamedTuple):
    """What leaves the unit in a cycle, see `LaneOutputs`; `read` enables the memories."""

    read: int
    even_address: tuple[int, ...]
    odd_address: tuple[int, ...]
    done: int
    sum: tuple[int, ...]
    clipped: tuple[int, ...]


def address_bits(config: LutConfig) -> int:
    """Bits of an address: entries of either memory, ``segments / 2 + 1`` at most."""
    return (len(config.table) // 2).bit_length()


def lane_ports(config: LutConfig) -> Ports:
    """The widths of a lane's ports and registers."""
    word, address, rest = signed(config.in_bits), unsigned(address_bits(config)), config.latency - STAGES + 1
    return Ports(
        LaneInputs(signed(CODE_BITS), signed(EXPONENT_BITS), word, word),
        LaneState(
            word, FLAG, FLAG, FLAG, unsigned(config.step_bits), word, FLAG, word, FLAG,
            (word,) * rest, (FLAG,) * rest,
        ),
        LaneOutputs(address, address, word, FLAG),
    )  # fmt: skip


def lane_step(config: LutConfig, state: LaneState, inputs: LaneInputs) -> tuple[LaneState, LaneOutputs]:
    """One clock cycle of a lane."""
    s, fraction, bits, low = state, config.fraction, config.in_bits, config.step_bits
    position = position_of(s.word, config.span)
    i = position >> low
    left, right = select(s.odd_first, inputs.odd, inputs.even), select(s.odd_first, inputs.even, inputs.odd)
    line = between(left, right, s.low, low, bits)
    after = LaneState(
        word=to_fixed(inputs.code, inputs.exponent, fraction, bits),
        beyond=select(is_clipped(inputs.code, inputs.exponent, fraction, bits), 1, 0),
        in_table=select(is_inside(s.word, config.span), 1, 0),
        odd_first=i & 1,
        low=position & ((1 << low) - 1),
        tail=tail(s.word),
        beyond_2=s.beyond,
        value=select(s.in_table, line, s.tail),
        beyond_3=s.beyond_2,
        sums=(s.value, *s.sums[:-1]),
        beyond_4=(s.beyond_3, *s.beyond_4[:-1]),
    )
    return after, LaneOutputs((i + 1) >> 1, i >> 1, s.sums[-1], s.beyond_4[-1])


def ports(config: LutConfig) -> Ports:
    """The widths of the unit's ports and registers."""
    n, lane = config.lanes, lane_ports(config)
    return Ports(
        Inputs(FLAG, *((width,) * n for width in lane.inputs)),
        State((FLAG,) * config.latency, (lane.state,) * n),
        Outputs(
            FLAG, (lane.outputs.even_address,) * n, (lane.outputs.odd_address,) * n,
            FLAG, (lane.outputs.sum,) * n, (FLAG,) * n,
        ),
    )  # fmt: skip


def reset(config: LutConfig, state: State) -> State:
    """The state after a reset: no stage holds elements."""
    return state._replace(busy=(0,) * config.latency)


def step(config: LutConfig, state: State, inputs: Inputs) -> tuple[State, Outputs]:
    """One clock cycle.

    Parameters
    ----------
    config : LutConfig
    state : State
    inputs : Inputs
        `even` and `odd` are what the memories hold at the addresses of the cycle before.

    Returns
    -------
    state : State
        After the clock edge.
    outputs : Outputs
        Before it.
    """
    lanes, out = [], []
    for i in range(config.lanes):
        own = LaneInputs(inputs.code[i], inputs.exponent[i], inputs.even[i], inputs.odd[i])
        lane, outputs = lane_step(config, state.lane[i], own)
        lanes.append(lane)
        out.append(outputs)
    after = State((inputs.valid, *state.busy[:-1]), tuple(lanes))
    even, odd, sums, clipped = (tuple(o[field] for o in out) for field in range(4))
    return after, Outputs(state.busy[0], even, odd, state.busy[-1], sums, clipped)


def run(
    config: LutConfig,
    codes: Sequence[int],
    exponents: Sequence[int],
    stepper: Callable[..., Any] = step,
    gaps: Sequence[int] = (),
) -> tuple[tuple[list[int], list[int], int], int]:
    """A whole operation, clock cycle by clock cycle: what `result` gives, and the cycles it took.

    `stepper` is `step` or what behaves like it, such as a simulated module. Before the chunks of elements
    that `gaps` names, one cycle brings none.
    """
    n, total = config.lanes, len(codes)
    state, inputs = reset(config, zeros(ports(config).state)), zeros(ports(config).inputs)
    waiting = [chunk for first in range(0, total, n) for chunk in (*(None,) * gaps.count(first // n), first)]
    sums: list[int] = []
    clipped = count = 0
    while len(sums) < total:
        first = waiting.pop(0) if waiting else None
        inputs = inputs._replace(valid=0)
        if first is not None:
            chunk, pad = slice(first, first + n), (0,) * (first + n - total)
            inputs = inputs._replace(valid=1, code=(*codes[chunk], *pad), exponent=(*exponents[chunk], *pad))
        state, out = stepper(config, state, inputs)
        count += 1
        if out.done:
            fresh = min(n, total - len(sums))
            sums += out.sum[:fresh]
            clipped += sum(out.clipped[:fresh])
        if out.read:
            inputs = inputs._replace(
                even=tuple(lookup(config.table, 2 * a) for a in out.even_address),
                odd=tuple(lookup(config.table, 2 * a + 1) for a in out.odd_address),
            )
    return (sums, [-config.fraction] * total, clipped), count


def cycles(config: LutConfig, elements: int) -> int:
    """Cycles for `elements` elements: ``ceil(elements / lanes) + latency``.

    By hand: 49 x 512 elements on 64 lanes with latency 4: 392 + 4 = 396 cycles.
    """
    return -(-elements // config.lanes) + config.latency


def actions(config: LutConfig, elements: int) -> Actions:
    """Actions per element: a shift, two table reads, a multiply, and three adds.

    The adds are the offset into the table, the difference of two entries, and the interpolation.
    """
    counts = {
        f"shift:{config.in_bits}": elements,
        f"table:{config.in_bits}": 2 * elements,
        f"mul:{config.in_bits}x{config.step_bits}": elements,
        f"add:{config.in_bits}": 3 * elements,
    }
    return of("lut", counts)
