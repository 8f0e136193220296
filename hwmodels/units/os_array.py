"""The MAC array in which outputs stay: elements in rows and columns, and the aligners of each column.

Codes of A enter each row from the left, codes of W each column from above, a cycle later from row to row
and from column to column, so that those of one step of the reduction meet in element (i, j) i + j cycles
after they met in the first. The aligners follow in the same wave: rows of a column finish a segment one
after the other, and each finds its aligner free if segments end as far apart as an aligner has rows. The
bias takes the turn before the first segment's, while that streams.

With the last segment a row's sum leaves its column as it is made, one row per cycle, so that a column needs
one port to the accumulator memory and no time to drain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from hwmodels.units import array_cycles, mac_array, os_element
from hwmodels.units.array_run import Lines, lines_of
from hwmodels.units.built_array import BuiltArray
from hwmodels.units.mac_array import MatmulOperands, MatmulResult
from hwmodels.units.ops import ZERO_BLOCK, select
from hwmodels.units.os_element import AlignerInputs, AlignerState, ElementInputs, ElementState, group, groups
from hwmodels.units.ports import FLAG, Ports, signed, zeros
from hwmodels.units.prescan import WORD

EXPONENT_BITS = WORD + 1
"""Width of the exponent of an aligned sum: E without the guard bits."""

DRAIN = 1
"""Cycles between the last product of a tile and the end: its sum is aligned, added and written."""


class Inputs(NamedTuple):
    """What enters the array in a cycle.

    From the left codes of each row, and whether they begin a segment; and for each group of rows what its
    first aligner is to do. From above codes and exponents of each column, and its bias. Then the prescan's
    bounds for all aligners; see `os_element.AlignerInputs`.
    """

    first: tuple[int, ...]
    a: tuple[int, ...]
    w: tuple[int, ...]
    serve: tuple[int, ...]
    opening: tuple[int, ...]
    closing: tuple[int, ...]
    turn: tuple[int, ...]
    row: tuple[int, ...]
    column: tuple[int, ...]
    floor: tuple[int, ...]
    bias: tuple[int, ...]
    bias_exponent: tuple[int, ...]
    exact: tuple[tuple[int, ...], ...]


class State(NamedTuple):
    """The registers of the array: rows of elements, and for each group of rows a row of aligners."""

    element: tuple[tuple[ElementState, ...], ...]
    aligner: tuple[tuple[AlignerState, ...], ...]


class Outputs(NamedTuple):
    """What leaves in a cycle: of each column a row's sum with its exponent; of each aligner what is lost."""

    done: tuple[int, ...]
    sum: tuple[int, ...]
    exponent: tuple[int, ...]
    flushed: tuple[tuple[int, ...], ...]
    dropped: tuple[tuple[int, ...], ...]
    overflow: tuple[tuple[int, ...], ...]


def size(config: BuiltArray) -> tuple[int, int]:
    """Rows and columns."""
    return config.array.rows, config.array.columns


def ports(config: BuiltArray) -> Ports:
    """The widths of the array's ports and registers."""
    element, lane = os_element.element_ports(config), os_element.aligner_ports(config)
    r, c, n = *size(config), groups(config)
    of = lane.inputs
    flags = ((FLAG,) * c,) * n
    return Ports(
        Inputs(
            (FLAG,) * r, (element.inputs.a,) * r, (element.inputs.w,) * c,
            (of.serve,) * n, (of.opening,) * n, (of.closing,) * n, (of.turn,) * n, (of.row,) * n,
            (of.column,) * c, (of.floor,) * c, (of.bias,) * c, (of.bias_exponent,) * c,
            ((of.exact,) * c,) * n,
        ),
        State(((element.state,) * c,) * r, ((lane.state,) * c,) * n),
        Outputs(
            (FLAG,) * c, (lane.outputs.word,) * c, (signed(EXPONENT_BITS),) * c, flags, flags, flags
        ),
    )  # fmt: skip


def reset(config: BuiltArray, state: State) -> State:
    """The state after a reset: no row is served."""
    aligners = tuple(tuple(os_element.aligner_reset(config, s) for s in row) for row in state.aligner)
    return state._replace(aligner=aligners)


def _aligner_inputs(config: BuiltArray, state: State, inputs: Inputs, g: int, j: int) -> AlignerInputs:
    """What enters the aligner of group g and column j: from its neighbours, or from the array's edges."""
    left, above, n = state.aligner[g][j - 1], state.aligner[g - 1][j], group(config)
    own = [row[j] for row in state.element[g * n : (g + 1) * n]]
    pad = (0,) * (n - len(own))
    return AlignerInputs(
        serve=inputs.serve[g] if j == 0 else left.serve_on,
        opening=inputs.opening[g] if j == 0 else left.opening_on,
        closing=inputs.closing[g] if j == 0 else left.closing_on,
        turn=inputs.turn[g] if j == 0 else left.turn_on,
        row=inputs.row[g] if j == 0 else left.row_on,
        column=inputs.column[j] if g == 0 else above.column_on,
        floor=inputs.floor[j] if g == 0 else above.floor_on,
        bias=inputs.bias[j] if g == 0 else above.bias_on,
        bias_exponent=inputs.bias_exponent[j] if g == 0 else above.bias_exponent_on,
        exact=inputs.exact[g][j],
        raw=(*(e.raw for e in own), *pad),
        aligned=(*(e.aligned for e in own), *pad),
        bound=(*(e.bound for e in own), *pad),
    )


def step(config: BuiltArray, state: State, inputs: Inputs) -> tuple[State, Outputs]:
    """One clock cycle."""
    r, c, n = *size(config), group(config)
    aligners: list[tuple[AlignerState, ...]] = []
    out = []
    for g in range(groups(config)):
        both = [
            os_element.aligner_step(config, state.aligner[g][j], _aligner_inputs(config, state, inputs, g, j))
            for j in range(c)
        ]
        aligners.append(tuple(after for after, _ in both))
        out.append([outputs for _, outputs in both])
    elements = []
    for i in range(r):
        row = []
        for j in range(c):
            own = out[i // n][j]
            left, above = state.element[i][j - 1], state.element[i - 1][j]
            given = ElementInputs(
                first=inputs.first[i] if j == 0 else left.first_on,
                a=inputs.a[i] if j == 0 else left.a_on,
                w=inputs.w[j] if i == 0 else above.w_on,
                served=own.served[i % n],
                word=own.word,
                top=own.top,
            )
            row.append(os_element.element_step(config, state.element[i][j], given)[0])
        elements.append(tuple(row))
    done, sums, exponents = [0] * c, [0] * c, [0] * c
    for row_of in out:
        for j, own in enumerate(row_of):
            done[j] = done[j] | own.done
            sums[j] = select(own.done, own.word, sums[j])
            exponents[j] = select(own.done, own.top - config.array.aligner.guard_bits, exponents[j])
    return State(tuple(elements), tuple(aligners)), Outputs(
        tuple(done),
        tuple(sums),
        tuple(exponents),
        tuple(tuple(own.flushed for own in row_of) for row_of in out),
        tuple(tuple(own.dropped for own in row_of) for row_of in out),
        tuple(tuple(own.overflow for own in row_of) for row_of in out),
    )


@dataclass(frozen=True)
class Schedule:
    """When what enters the first element and its aligner.

    Attributes
    ----------
    codes : list of int
        The step of the reduction that enters in each cycle, -1 where none does.
    turns : list of int
        In which cycle the aligner is to open the first row's output, and to take each segment's sum.
    """

    codes: list[int]
    turns: list[int]


def schedule(config: BuiltArray, o: MatmulOperands, a_bits: int = 8, gaps: Sequence[int] = ()) -> Schedule:
    """A segment takes as long as its codes, its column's aligning and its entry do, see `segment_cycles`."""
    own, codes, turns = config.array, list[int](), [0]
    k = len(o.a[0])
    for start, end in zip(o.segments, array_cycles.segment_ends(k, o.segments), strict=True):
        length = array_cycles.segment_cycles(
            *size(config), end - start, [0], (a_bits, o.w_bits), own.aligners, own.port_bytes
        )
        steps = [x for i in range(start, end) for x in ((-1, i) if i in gaps else (i,))]
        codes += steps + [-1] * (length - (end - start))
        turns.append(len(codes))
    return Schedule(codes, turns)


@dataclass(frozen=True)
class Tile:
    """A tile's operands as they enter the array, their exponents, and what opens an output."""

    rows: int
    columns: int
    operands: MatmulOperands
    a: Lines
    w: Lines
    bound: list[list[int]]
    row_top: list[int]
    column_top: list[int]
    floor: list[int]
    bias: list[int]
    bias_exponent: list[int]


def tile_of(config: BuiltArray, o: MatmulOperands) -> Tile:
    lane, word = config.array.aligner, config.array.accumulator
    bias = o.bias or [0] * len(o.w)
    bias_exponent = o.bias_exponents or [ZERO_BLOCK] * len(o.w)
    floor = [
        mac_array.bias_floor(e, o.bias_bits, word.bits, lane.guard_bits, lane.max_shift)
        for e in bias_exponent
    ]
    bound = [
        [
            mac_array.start_bound(config.array.normalise, ea, ew, f)
            for ew, f in zip(o.w_exponents, floor, strict=True)
        ]
        for ea in o.a_exponents
    ]
    row_top = [mac_array.largest_exponent(e) for e in o.a_exponents]
    column_top = [mac_array.largest_exponent(e) for e in o.w_exponents]
    return Tile(
        len(o.a), len(o.w), o, *lines_of(config, o), bound, row_top, column_top, floor, list(bias),
        list(bias_exponent),
    )  # fmt: skip


def feed(config: BuiltArray, plan: Schedule, tile: Tile) -> Iterator[Inputs]:
    """What enters the array, cycle by cycle: zeros beyond the tile's rows and columns."""
    r, c, n, o = *size(config), group(config), tile.operands
    begins = set(o.segments)
    idle: Inputs = zeros(ports(config).inputs)
    slots = {cycle: number for number, cycle in enumerate(plan.turns)}

    def at(cycle: int) -> int:
        return plan.codes[cycle] if 0 <= cycle < len(plan.codes) else -1

    for t in range(plan.turns[-1] + r + c - 1):
        steps = [at(t - i) for i in range(max(r, c))]
        new = {name: list(getattr(idle, name)) for name in Inputs._fields}
        for i in range(r):
            new["first"][i] = int(steps[i] in begins)
            if steps[i] >= 0 and i < tile.rows:
                new["a"][i] = tile.a.codes[i][steps[i]]
            if t - i in slots and i < tile.rows:
                slot, g = slots[t - i], i // n
                new["serve"][g], new["turn"][g] = 1, i % n
                new["opening"][g], new["closing"][g] = int(slot == 0), int(slot == len(o.segments))
                new["row"][g] = o.a_exponents[i][slot - 1] if slot else tile.row_top[i]
        for j in range(c):
            if j < tile.columns:
                if steps[j] >= 0:
                    new["w"][j] = tile.w.codes[j][steps[j]]
                if t - j in slots:
                    slot = slots[t - j]
                    new["column"][j] = o.w_exponents[j][slot - 1] if slot else tile.column_top[j]
                new["floor"][j], new["bias"][j] = tile.floor[j], tile.bias[j]
                new["bias_exponent"][j] = tile.bias_exponent[j]
            else:
                new["column"][j] = ZERO_BLOCK
        exact = [[0] * c for _ in idle.exact]
        for i in range(max(0, t - c + 1), min(tile.rows, t + 1)):
            if t - i < tile.columns:
                exact[i // n][t - i] = tile.bound[i][t - i]
        new["exact"] = [tuple(x) for x in exact]
        yield Inputs(*(tuple(values) for values in new.values()))


def run(
    config: BuiltArray,
    o: MatmulOperands,
    stepper: Callable[..., Any] = step,
    gaps: Sequence[int] = (),
    a_bits: int = 8,
) -> tuple[MatmulResult, int]:
    """A whole tile, clock cycle by clock cycle: what `mac_array.result` gives, and the cycles it took.

    `stepper` is `step` or what behaves like it, such as a simulated module; `gaps` are steps of the
    reduction before which one cycle passes idly. The prescan's bounds are there before the tile starts.
    """
    rows, columns = size(config)
    assert len(o.a) <= rows and len(o.w) <= columns, "a tile is no larger than the array"
    tile, plan = tile_of(config, o), schedule(config, o, a_bits, gaps)
    state = reset(config, zeros(ports(config).state))
    sums = [[0] * tile.columns for _ in range(tile.rows)]
    exponents = [[0] * tile.columns for _ in range(tile.rows)]
    flushed = overflows = count = 0
    for inputs in feed(config, plan, tile):
        state, out = stepper(config, state, inputs)
        for j, done in enumerate(out.done[: tile.columns]):
            i = count - plan.turns[-1] - j
            if done and i < tile.rows:
                sums[i][j], exponents[i][j] = out.sum[j], out.exponent[j]
        flushed += sum(x for flags in (*out.flushed, *out.dropped) for x in flags)
        overflows += sum(x for flags in out.overflow for x in flags)
        count += 1
    return MatmulResult(sums, exponents, flushed, overflows), count


def cycles(config: BuiltArray, k: int, starts: Sequence[int], a_bits: int = 8, w_bits: int = 8) -> int:
    """Cycles of a tile with its whole reduction: `array_cycles.cycles` without the prescan, and `DRAIN`.

    By hand, 32 x 32, k = 768 in one segment: 768 + 62 until the last product is summed, and 1 for it to be
    aligned and written: 831. In 48 segments of 16 with one aligner: 48 x 32 + 62 + 1 = 1,599.
    """
    own = config.array
    segments = array_cycles.segment_cycles(
        *size(config), k, starts, (a_bits, w_bits), own.aligners, own.port_bytes
    )
    return segments + sum(size(config)) - 2 + DRAIN
