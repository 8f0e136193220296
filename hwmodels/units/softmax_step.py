"""The softmax unit, clock cycle by clock cycle: a controller, lanes, trees over them, and a part per row.

In the cycle of a start the controller names the first chunk of a row, and one more in every cycle, pass
after pass. A pass that needs less than the second reads later, so that whatever a chunk becomes is written
`STAGES` cycles after it was named. The cycles after that; what is read arrives in the next:

====== ============================== ============================== ==============================
cycle  pass 1                         pass 2                         pass 3
====== ============================== ============================== ==============================
0                                     reads words, keys and the row  reads the row
1                                     distance                       leading zeros of the sum
2                                     times log2 e                   shift
3                                     shift                          reads reciprocals
4      reads codes, keys and the row  reads exponentials             interpolation; reads words
5      distance of exponents          interpolation                  times the reciprocal
6      shift                          shift                          shift
7      maximum of the lanes           sum of the lanes
8      maximum of the row; writes     sum of the row; writes         writes
====== ============================== ============================== ==============================

With a longer latency a word is written as much later. A table lies in two memories, of even and of odd
entries. The memory of rows, and the table of reciprocals, give what was read until they are read again: each
is read once for a row, with its first chunk.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import add
from typing import Any, NamedTuple

from hwmodels.units.ops import largest, lookup, select
from hwmodels.units.ports import FLAG, Ports, unsigned, zeros
from hwmodels.units.softmax import ENTRY_BITS, FRACTION, SoftmaxConfig, exponent_of
from hwmodels.units.softmax_parts import (
    ALIGN,
    COUNT_BITS,
    DIVIDE,
    EXPONENTIATE,
    IDLE,
    ControlInputs,
    ControlState,
    LaneInputs,
    LaneState,
    RowInputs,
    RowState,
    TotalInputs,
    TotalState,
    control_ports,
    control_step,
    lane_ports,
    lane_step,
    low_bits,
    row_ports,
    row_step,
    total_ports,
    total_step,
)

LATE = 3
"""The stage whose chunk is read, in the passes that read later than the second."""

RECIPROCAL, EXPONENTIAL, WORD = 2, 3, 5
"""The stages whose chunks read a reciprocal, read exponentials, and become a word."""


class Inputs(NamedTuple):
    """What enters the unit in a cycle: see `ControlInputs`, and what the memories gave.

    These are the codes, exponents and keys; the vector buffer's words; of the row its exponent, its largest
    word and its sum; and the entries of the tables.
    """

    start: int
    last_row: int
    last_chunk: int
    code: tuple[int, ...]
    exponent: tuple[int, ...]
    key: tuple[int, ...]
    word: tuple[int, ...]
    row_exponent: int
    row_top: int
    row_total: int
    exp2_even: tuple[int, ...]
    exp2_odd: tuple[int, ...]
    reciprocal_even: int
    reciprocal_odd: int


class State(NamedTuple):
    """The registers of the unit: the chunk in each stage, and those of its parts."""

    control: ControlState
    valid: tuple[int, ...]
    phase: tuple[int, ...]
    first: tuple[int, ...]
    last: tuple[int, ...]
    row: tuple[int, ...]
    address: tuple[int, ...]
    lane: tuple[LaneState, ...]
    of_row: RowState
    totals: TotalState


class Outputs(NamedTuple):
    """What leaves the unit in a cycle: to read and where, to write and where and what, and the end.

    `read_address` is that of codes, keys and words, `read_row` that of a row.
    """

    code_read: int
    key_read: int
    word_read: int
    read_address: int
    row_read: int
    read_row: int
    exp2_read: int
    exp2_even_address: tuple[int, ...]
    exp2_odd_address: tuple[int, ...]
    reciprocal_read: int
    reciprocal_even_address: int
    reciprocal_odd_address: int
    write: int
    write_address: int
    written: tuple[int, ...]
    top_write: int
    total_write: int
    write_row: int
    top: int
    total: int
    done: int


def tree(f: Callable[[int, int], int], values: Sequence[int]) -> int:
    """All values by a tree of two-input nodes: node i has the nodes 2i + 1 and 2i + 2 below it."""
    nodes = [*values[1:], *values]
    for i in reversed(range(len(values) - 1)):
        nodes[i] = f(nodes[2 * i + 1], nodes[2 * i + 2])
    return nodes[0]


def ports(config: SoftmaxConfig) -> Ports:
    """The widths of the unit's ports and registers."""
    n, count, stages = config.lanes, unsigned(COUNT_BITS), config.latency
    control, lane, row, totals = (f(config) for f in (control_ports, lane_ports, row_ports, total_ports))
    code, exponent, key, word, entry = lane.inputs[:5]
    top, total = totals.outputs
    return Ports(
        Inputs(
            FLAG, count, count, (code,) * n, (exponent,) * n, (key,) * n, (word,) * n, exponent, top, total,
            (entry,) * n, (entry,) * n, entry, entry,
        ),
        State(
            control.state, (FLAG,) * stages, (unsigned(2),) * stages, (FLAG,) * stages, (FLAG,) * stages,
            (count,) * stages, (count,) * stages, (lane.state,) * n, row.state, totals.state,
        ),
        Outputs(
            FLAG, FLAG, FLAG, count, FLAG, count,
            FLAG, (lane.outputs.even_address,) * n, (lane.outputs.odd_address,) * n,
            FLAG, row.outputs.even_address, row.outputs.odd_address,
            FLAG, count, (word,) * n, FLAG, FLAG, count, top, total, FLAG,
        ),
    )  # fmt: skip


def reset(config: SoftmaxConfig, state: State) -> State:
    """The state after a reset: the controller idle, no stage holds a chunk."""
    return state._replace(control=IDLE, valid=(0,) * config.latency)


def step(config: SoftmaxConfig, state: State, inputs: Inputs) -> tuple[State, Outputs]:
    """One clock cycle.

    Parameters
    ----------
    config : SoftmaxConfig
    state : State
    inputs : Inputs
        What the memories were asked for in the cycle before, and then until they are asked again.

    Returns
    -------
    state : State
        After the clock edge.
    outputs : Outputs
        Before it.
    """
    s, x = state, inputs
    control, chunk = control_step(config, s.control, ControlInputs(x.start, x.last_row, x.last_chunk))
    own_row = RowInputs(x.row_exponent, x.row_total, x.reciprocal_even, x.reciprocal_odd)
    of_row, row = row_step(config, s.of_row, own_row)
    lanes, out = [], []
    for i in range(config.lanes):
        own = LaneInputs(
            x.code[i], x.exponent[i], x.key[i], x.word[i], x.exp2_even[i], x.exp2_odd[i],
            x.row_exponent, x.row_top, row.shift, row.inverse, row.place, s.phase[WORD],
        )  # fmt: skip
        lane, outputs = lane_step(config, s.lane[i], own)
        lanes.append(lane)
        out.append(outputs)
    exp2_even, exp2_odd, words, written = (tuple(o[field] for o in out) for field in range(4))
    top = tree(largest, words)
    total = tree(add, [word & low_bits(ENTRY_BITS) for word in words])
    totals, row_so_far = total_step(config, s.totals, TotalInputs(s.first[-1], top, total))
    early = chunk.valid & (chunk.phase == EXPONENTIATE)
    code_read = s.valid[LATE] & (s.phase[LATE] == ALIGN)
    after = State(
        control=control,
        valid=(chunk.valid, *s.valid[:-1]),
        phase=(chunk.phase, *s.phase[:-1]),
        first=(chunk.first, *s.first[:-1]),
        last=(chunk.last, *s.last[:-1]),
        row=(chunk.row, *s.row[:-1]),
        address=(chunk.address, *s.address[:-1]),
        lane=tuple(lanes),
        of_row=of_row,
        totals=totals,
    )
    return after, Outputs(
        code_read=code_read,
        key_read=early | code_read,
        word_read=early | (s.valid[LATE] & (s.phase[LATE] == DIVIDE)),
        read_address=select(early, chunk.address, s.address[LATE]),
        row_read=(chunk.valid & chunk.first & (chunk.phase != ALIGN)) | (code_read & s.first[LATE]),
        read_row=select(code_read, s.row[LATE], chunk.row),
        exp2_read=s.valid[EXPONENTIAL] & (s.phase[EXPONENTIAL] == EXPONENTIATE),
        exp2_even_address=exp2_even,
        exp2_odd_address=exp2_odd,
        reciprocal_read=s.valid[RECIPROCAL] & s.first[RECIPROCAL] & (s.phase[RECIPROCAL] == DIVIDE),
        reciprocal_even_address=row.even_address,
        reciprocal_odd_address=row.odd_address,
        write=s.valid[-1],
        write_address=s.address[-1],
        written=written,
        top_write=s.valid[-1] & s.last[-1] & (s.phase[-1] == ALIGN),
        total_write=s.valid[-1] & s.last[-1] & (s.phase[-1] == EXPONENTIATE),
        write_row=s.row[-1],
        top=row_so_far.row_top,
        total=row_so_far.row_total,
        done=chunk.done,
    )


def run(
    config: SoftmaxConfig,
    codes: Sequence[Sequence[int]],
    exponents: Sequence[Sequence[int]],
    keys: Sequence[Sequence[bool]],
    stepper: Callable[..., Any] = step,
) -> tuple[list[tuple[list[int], list[int]]], int]:
    """A tile of rows, clock cycle by clock cycle: what `result` gives of each, and the cycles it took.

    `stepper` is `step` or what behaves like it, such as a simulated module.
    """
    n, columns = config.lanes, len(codes[0])
    chunks = -(-columns // n)
    shared = [exponent_of(e, k) for e, k in zip(exponents, keys, strict=True)]
    buffer: list[tuple[int, ...]] = [()] * (len(codes) * chunks)
    tops, totals = [0] * len(codes), [0] * len(codes)

    def lanes_of(operand: Sequence[Sequence[int]], address: int) -> tuple[int, ...]:
        start = address % chunks * n
        chunk = operand[address // chunks][start : start + n]
        return (*chunk, *(0,) * (n - len(chunk)))

    state, inputs = reset(config, zeros(ports(config).state)), zeros(ports(config).inputs)
    inputs = inputs._replace(start=1, last_row=len(codes) - 1, last_chunk=chunks - 1)
    count, done = 0, 0
    while not done:
        state, out = stepper(config, state, inputs)
        count, done = count + 1, out.done
        read: dict[str, Any] = {"start": 0}
        if out.code_read:
            read["code"] = lanes_of(codes, out.read_address)
            read["exponent"] = lanes_of(exponents, out.read_address)
        if out.key_read:
            read["key"] = lanes_of(keys, out.read_address)
        if out.word_read:
            read["word"] = buffer[out.read_address]
        if out.row_read:
            r = out.read_row
            read |= {"row_exponent": shared[r], "row_top": tops[r], "row_total": totals[r]}
        if out.exp2_read:
            read["exp2_even"] = tuple(lookup(config.exp2, 2 * a) for a in out.exp2_even_address)
            read["exp2_odd"] = tuple(lookup(config.exp2, 2 * a + 1) for a in out.exp2_odd_address)
        if out.reciprocal_read:
            read["reciprocal_even"] = lookup(config.reciprocal, 2 * out.reciprocal_even_address)
            read["reciprocal_odd"] = lookup(config.reciprocal, 2 * out.reciprocal_odd_address + 1)
        if out.write:
            buffer[out.write_address] = out.written
        if out.top_write:
            tops[out.write_row] = out.top
        if out.total_write:
            totals[out.write_row] = out.total
        inputs = inputs._replace(**read)
    sums = [[x for word in buffer[r * chunks : (r + 1) * chunks] for x in word] for r in range(len(codes))]
    return [(row[:columns], [-FRACTION] * columns) for row in sums], count
