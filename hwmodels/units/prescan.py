"""The prescan unit: the exact bound of an output, before its product streams.

The largest exponent of a row plus the largest of a column bounds all terms of their product, and may
lie far above each of them. The prescan adds the two exponents of every segment and keeps the largest
sum, one segment of one output per lane and cycle. Segments with a block of zeros take no part.

Every lane has an output of its own and takes its segments one after the other; all lanes start and end
together. The bound leaves in the cycle in which the last segment enters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from hwmodels.units.actions import Actions, of
from hwmodels.units.ops import ZERO_BLOCK, largest, select
from hwmodels.units.ports import FLAG, Ports, signed, zeros

EXPONENT_BITS, SUM_BITS, WORD = 8, 9, 10
"""Width of a stored exponent, of the sum of two, and of the bound that is compared and kept."""


@dataclass(frozen=True)
class PrescanConfig:
    """One prescan unit.

    Attributes
    ----------
    lanes : int
        Outputs at once, a segment of each per cycle.
    """

    lanes: int


def join(bound: int, row: int, column: int, zero: int) -> int:
    """The bound after one more segment with these exponents; `zero` is the code of a block of zeros."""
    return select((row == zero) | (column == zero), bound, largest(bound, row + column))


def result(rows: Sequence[int], columns: Sequence[int], floor: int) -> int:
    """The exact bound E of one output.

    Parameters
    ----------
    rows, columns : sequence of int
        The exponents of both operands, segment by segment.
    floor : int
        The lowest bound under which the bias fits, see `mac_array.bias_floor`.

    Returns
    -------
    int
        By hand: rows 3, -5, zero block and columns -9, 2, 40 over a floor of -20 give the largest of
        -6, -3 and -20, which is -3. (The bound of row plus column would be 43.)
    """
    bound = floor
    for row, column in zip(rows, columns, strict=True):
        bound = join(bound, row, column, ZERO_BLOCK)
    return bound


class LaneInputs(NamedTuple):
    """What enters a lane: the exponents of a segment, and the floor, from which the first one starts."""

    valid: int
    first: int
    floor: int
    row: int
    column: int


class LaneState(NamedTuple):
    """The register of a lane: the bound so far."""

    bound: int


class LaneOutputs(NamedTuple):
    """What leaves a lane: the bound with the segment that enters."""

    joined: int


class Inputs(NamedTuple):
    """What enters the unit in a cycle: a segment of one output per lane, if it is any, see `LaneInputs`."""

    valid: int
    first: int
    last: int
    floor: tuple[int, ...]
    row: tuple[int, ...]
    column: tuple[int, ...]


class State(NamedTuple):
    """The registers of the unit: those of its lanes."""

    lane: tuple[LaneState, ...]


class Outputs(NamedTuple):
    """What leaves the unit in a cycle: the bounds, once the last segment enters."""

    done: int
    bound: tuple[int, ...]


def lane_ports(config: PrescanConfig) -> Ports:
    """The widths of a lane's ports and registers, which are the same in every unit."""
    del config
    exponent, bound = signed(EXPONENT_BITS), signed(WORD)
    return Ports(LaneInputs(FLAG, FLAG, bound, exponent, exponent), LaneState(bound), LaneOutputs(bound))


def lane_step(_: PrescanConfig, state: LaneState, inputs: LaneInputs) -> tuple[LaneState, LaneOutputs]:
    """One clock cycle of a lane."""
    joined = join(select(inputs.first, inputs.floor, state.bound), inputs.row, inputs.column, ZERO_BLOCK)
    return LaneState(select(inputs.valid, joined, state.bound)), LaneOutputs(joined)


def ports(config: PrescanConfig) -> Ports:
    """The widths of the unit's ports and registers."""
    n, lane = config.lanes, lane_ports(config)
    return Ports(
        Inputs(FLAG, FLAG, FLAG, *((width,) * n for width in lane.inputs[2:])),
        State((lane.state,) * n),
        Outputs(FLAG, (lane.outputs.joined,) * n),
    )


def reset(_: PrescanConfig, state: State) -> State:
    """A reset clears nothing: the first segment starts from the floor."""
    return state


def step(config: PrescanConfig, state: State, inputs: Inputs) -> tuple[State, Outputs]:
    """One clock cycle."""
    lanes, bounds = [], []
    for i in range(config.lanes):
        own = LaneInputs(inputs.valid, inputs.first, inputs.floor[i], inputs.row[i], inputs.column[i])
        lane, out = lane_step(config, state.lane[i], own)
        lanes.append(lane)
        bounds.append(out.joined)
    return State(tuple(lanes)), Outputs(inputs.valid & inputs.last, tuple(bounds))


def run(
    config: PrescanConfig,
    rows: Sequence[Sequence[int]],
    columns: Sequence[Sequence[int]],
    floors: Sequence[int],
    stepper: Callable[..., Any] = step,
    gaps: Sequence[int] = (),
) -> tuple[list[list[int]], int]:
    """A whole tile, clock cycle by clock cycle.

    Parameters
    ----------
    config : PrescanConfig
    rows, columns : sequence of sequence of int
        The exponents of every row and of every column, segment by segment.
    floors : sequence of int
        The lowest bound of every column.
    stepper : callable
        `step` or what behaves like it, such as a simulated module.
    gaps : sequence of int
        The cycles of the operation before which one passes idly.

    Returns
    -------
    bounds, cycles
        `result` of every row and column, and the cycles it took.
    """
    segments = len(rows[0])
    outputs = [(i, j) for i in range(len(rows)) for j in range(len(columns))]
    groups = [outputs[i : i + config.lanes] for i in range(0, len(outputs), config.lanes)]
    state, idle = reset(config, zeros(ports(config).state)), zeros(ports(config).inputs)
    bounds = [[0] * len(columns) for _ in rows]
    count = 0
    for number, group in enumerate(groups):
        pad = (0,) * (config.lanes - len(group))
        for s in range(segments):
            if number * segments + s in gaps:
                state, _ = stepper(config, state, idle)
                count += 1
            inputs = Inputs(
                valid=1,
                first=int(s == 0),
                last=int(s == segments - 1),
                floor=(*(floors[j] for _, j in group), *pad),
                row=(*(rows[i][s] for i, _ in group), *pad),
                column=(*(columns[j][s] for _, j in group), *pad),
            )
            state, out = stepper(config, state, inputs)
            count += 1
        for (i, j), bound in zip(group, out.bound, strict=False):
            bounds[i][j] = bound
    return bounds, count


def cycles(config: PrescanConfig, m: int, n: int, segments: int) -> int:
    """Cycles for a tile of ``m x n`` outputs: ``ceil(m n / lanes) segments``.

    By hand: 49 x 64 outputs of 8 segments on 64 lanes take 49 x 8 = 392 cycles; 3 x 3 outputs of 8
    segments on 7 lanes take 2 x 8 = 16, as no two lanes share an output.
    """
    return -(-m * n // config.lanes) * segments


def actions(m: int, n: int, segments: int) -> Actions:
    """An add and a compare per segment and output, and a store of every output's bound."""
    terms = m * n * segments
    counts = {f"add:{SUM_BITS}": terms, f"compare:{WORD}": terms, "register.bits": m * n * WORD}
    return of("prescan", counts)
