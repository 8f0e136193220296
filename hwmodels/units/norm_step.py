"""The norm unit, a step per clock cycle: two passes over a tile of rows.

Pass 1 takes the tile's chunks as they come, writes their aligned words to the vector buffer, and each
row's s1, root and half exponent to a row memory. When the last row's are written pass 2 begins on its own:
it reads words and row values back, fetches gamma and beta, and gives the wide sums. Either pass is a
pipeline of `NormConfig.latency` stages, so that a chunk, or a whole row, may come every cycle.

Outside the unit lie: the vector buffer; the row memory; the table in two memories, of even and of odd
entries; gamma and beta with their exponents. What is read comes back in the next cycle. Whoever reads the
elements gives the row's exponent with them, see `norm.row_exponent_of`, and zeros, with the exponent of a
block of zeros, for the lanes beyond a row's end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from hwmodels.units import norm
from hwmodels.units.norm import (
    HALF_BITS,
    LENGTH_BITS,
    ROOT_BITS,
    S1_BITS,
    SUM_BITS,
    WORD,
    NormConfig,
    NormOperands,
)
from hwmodels.units.norm_lanes import (
    EXPONENT_BITS,
    SPARE_BITS,
    SUM_EXPONENT_BITS,
    ElementInputs,
    ElementState,
    EntryInputs,
    EntryState,
    element_ports,
    element_step,
    entry_ports,
    entry_step,
)
from hwmodels.units.norm_root import (
    EPSILON_BITS,
    EPSILON_EXPONENT_BITS,
    RootInputs,
    RootState,
    SumsInputs,
    SumsState,
    root_ports,
    root_step,
    sums_ports,
    sums_step,
    table_address_bits,
)
from hwmodels.units.ops import ZERO_BLOCK, lookup, select
from hwmodels.units.ports import FLAG, Ports, signed, unsigned, zeros

ROW_BITS, ADDRESS_BITS = 16, 16
"""Widths of the number of rows in a tile, and of an address in the vector buffer, in chunks."""


class ControlInputs(NamedTuple):
    """What the control needs: whether elements come, the rows of the tile, and the chunks of a row."""

    valid: int
    rows: int
    chunks: int


class ControlState(NamedTuple):
    """The counters, and which stages hold what.

    `second` is the pass; `chunk`, `row` and `address` are what enters it next. `place` is where the words
    of stage 1 go; `written` and `factor` are the row that is written, and the chunk of gamma, next.
    """

    second: int
    chunk: int
    row: int
    address: int
    place: int
    written: int
    factor: int
    entered: tuple[int, ...]
    first: tuple[int, ...]
    last: tuple[int, ...]
    issued: tuple[int, ...]


class ControlOutputs(NamedTuple):
    """What the control says to the memories and to the sums."""

    write: int
    write_address: int
    gather: int
    fresh: int
    look: int
    store: int
    store_row: int
    read: int
    read_address: int
    read_row: int
    fetch: int
    fetch_address: int
    done: int


def control_ports(config: NormConfig) -> Ports:
    """The widths of the control."""
    chunk, row, address = unsigned(LENGTH_BITS), unsigned(ROW_BITS), unsigned(ADDRESS_BITS)
    flags = (FLAG,) * config.latency
    return Ports(
        ControlInputs(FLAG, row, chunk),
        ControlState(FLAG, chunk, row, address, address, row, chunk, flags[:3], flags[:3], flags, flags),
        ControlOutputs(
            FLAG, address, FLAG, FLAG, FLAG, FLAG, row, FLAG, address, row, FLAG, chunk, FLAG
        ),
    )  # fmt: skip


def control_reset(config: NormConfig, state: ControlState) -> ControlState:
    """The control after a reset: pass 1, at the first row, and nothing on its way."""
    return zeros(control_ports(config).state)._replace(place=state.place)  # type: ignore[no-any-return]


def counted(x: int, stop: int, bits: int) -> int:
    """The next value of a counter of `bits` bits that begins anew after ``stop - 1``."""
    return select(x + 1 == stop, 0, (x + 1) & ((1 << bits) - 1))


def control_step(
    _config: NormConfig, state: ControlState, inputs: ControlInputs
) -> tuple[ControlState, ControlOutputs]:
    """One clock cycle of the control."""
    s, rows, chunks = state, inputs.rows, inputs.chunks
    entering = inputs.valid & (s.second ^ 1)
    moving = entering | s.second
    row_ends = s.chunk + 1 == chunks
    tile_ends = row_ends & (s.row + 1 == rows)
    stored, fetched = s.last[-1], s.issued[5]
    begins = stored & (s.written + 1 == rows)
    address = select(tile_ends, 0, (s.address + 1) & ((1 << ADDRESS_BITS) - 1))
    after = ControlState(
        second=select(s.second, select(tile_ends, 0, 1), select(begins, 1, 0)),
        chunk=select(moving, counted(s.chunk, chunks, LENGTH_BITS), s.chunk),
        row=select(moving & row_ends, counted(s.row, rows, ROW_BITS), s.row),
        address=select(moving, address, s.address),
        place=s.address,
        written=select(stored, counted(s.written, rows, ROW_BITS), s.written),
        factor=select(fetched, counted(s.factor, chunks, LENGTH_BITS), s.factor),
        entered=(entering, *s.entered[:-1]),
        first=(select(s.chunk == 0, 1, 0), *s.first[:-1]),
        last=(select(entering & row_ends, 1, 0), *s.last[:-1]),
        issued=(s.second, *s.issued[:-1]),
    )
    outputs = ControlOutputs(
        write=s.entered[0], write_address=s.place, gather=s.entered[2], fresh=s.first[2], look=s.last[6],
        store=stored, store_row=s.written, read=s.second, read_address=s.address, read_row=s.row,
        fetch=fetched, fetch_address=s.factor, done=s.issued[-1],
    )  # fmt: skip
    return after, outputs


class Inputs(NamedTuple):
    """What enters the unit in a cycle.

    `valid` to `row_exponent` are a chunk of pass 1; `rows` to `epsilon_exponent` hold for the tile, where
    `spare` are the bits that its codes leave of 16; then come what the table's memories hold, what was read
    from the vector buffer and the row memory, and gamma and beta.
    """

    valid: int
    code: tuple[int, ...]
    exponent: tuple[int, ...]
    row_exponent: int
    rows: int
    chunks: int
    length: int
    centred: int
    spare: int
    epsilon: int
    epsilon_exponent: int
    even: int
    odd: int
    word: tuple[int, ...]
    row_s1: int
    row_root: int
    row_half: int
    gamma: tuple[int, ...]
    gamma_exponent: tuple[int, ...]
    beta: tuple[int, ...]
    beta_exponent: tuple[int, ...]


class State(NamedTuple):
    """The registers of the unit: its parts, and a row's values on their way along pass 2."""

    control: ControlState
    entry: tuple[EntryState, ...]
    sums: SumsState
    reciprocal: RootState
    s1: tuple[int, ...]
    root: tuple[int, ...]
    half: tuple[int, ...]
    element: tuple[ElementState, ...]


class Outputs(NamedTuple):
    """What leaves the unit in a cycle.

    `write`, its address and words go to the vector buffer; `look` and its addresses to the table; `store` and
    the row's values to the row memory; `read` to both of the former; `fetch` to gamma and beta; `done` says
    that sums are there.
    """

    write: int
    write_address: int
    words: tuple[int, ...]
    look: int
    even_address: int
    odd_address: int
    store: int
    store_row: int
    store_s1: int
    store_root: int
    store_half: int
    read: int
    read_address: int
    read_row: int
    fetch: int
    fetch_address: int
    done: int
    sum: tuple[int, ...]
    sum_exponent: tuple[int, ...]


def ports(config: NormConfig) -> Ports:
    """The widths of the unit's ports and registers."""
    n, address = config.lanes, unsigned(table_address_bits(config))
    chunk, row, place = unsigned(LENGTH_BITS), unsigned(ROW_BITS), unsigned(ADDRESS_BITS)
    word, exponent = signed(WORD), signed(EXPONENT_BITS)
    s1, root, half = signed(S1_BITS), unsigned(ROOT_BITS), unsigned(HALF_BITS)
    return Ports(
        Inputs(
            FLAG, (word,) * n, (exponent,) * n, exponent, row, chunk, unsigned(LENGTH_BITS), FLAG,
            unsigned(SPARE_BITS), unsigned(EPSILON_BITS), signed(EPSILON_EXPONENT_BITS), root, root,
            (word,) * n, s1, root, half, (word,) * n, (exponent,) * n, (word,) * n, (exponent,) * n,
        ),
        State(
            control_ports(config).state, (entry_ports(config).state,) * n, sums_ports(config).state,
            root_ports(config).state, (s1,) * 2, (root,) * 3, (half,) * 5, (element_ports(config).state,) * n,
        ),
        Outputs(
            FLAG, place, (word,) * n, FLAG, address, address, FLAG, row, s1, root, half,
            FLAG, place, row, FLAG, chunk, FLAG, (signed(SUM_BITS),) * n, (signed(SUM_EXPONENT_BITS),) * n,
        ),
    )  # fmt: skip


def reset(config: NormConfig, state: State) -> State:
    """The state after a reset: that of the control."""
    return state._replace(control=control_reset(config, state.control))


def step(config: NormConfig, state: State, inputs: Inputs) -> tuple[State, Outputs]:
    """One clock cycle.

    Parameters
    ----------
    config : NormConfig
    state : State
    inputs : Inputs

    Returns
    -------
    state : State
        After the clock edge.
    outputs : Outputs
        Before it.
    """
    s, x, lanes = state, inputs, range(config.lanes)
    control, says = control_step(config, s.control, ControlInputs(x.valid, x.rows, x.chunks))
    entry = [
        entry_step(config, s.entry[i], EntryInputs(x.code[i], x.exponent[i], x.row_exponent, x.spare))
        for i in lanes
    ]
    words, squares = tuple(out.word for _, out in entry), tuple(out.square for _, out in entry)
    sums, row = sums_step(config, s.sums, SumsInputs(says.gather, says.fresh, words, squares))
    own = RootInputs(
        row.s1, row.s2, x.row_exponent, x.length, x.centred, x.spare, x.epsilon, x.epsilon_exponent,
        x.even, x.odd,
    )  # fmt: skip
    reciprocal, found = root_step(config, s.reciprocal, own)
    element = [
        element_step(
            config,
            s.element[i],
            ElementInputs(
                x.word[i], x.length, s.s1[-1], s.root[-1], s.half[-1],
                x.gamma[i], x.gamma_exponent[i], x.beta[i], x.beta_exponent[i],
            ),
        )
        for i in lanes
    ]  # fmt: skip
    after = State(
        control,
        tuple(lane for lane, _ in entry),
        sums,
        reciprocal,
        (x.row_s1, *s.s1[:-1]),
        (x.row_root, *s.root[:-1]),
        (x.row_half, *s.half[:-1]),
        tuple(lane for lane, _ in element),
    )
    outputs = Outputs(
        says.write, says.write_address, words, says.look, found.even_address, found.odd_address,
        says.store, says.store_row, found.held_s1, found.root, found.held_half,
        says.read, says.read_address, says.read_row, says.fetch, says.fetch_address,
        says.done, tuple(out.sum for _, out in element), tuple(out.sum_exponent for _, out in element),
    )  # fmt: skip
    return after, outputs


def run(
    config: NormConfig,
    operands: NormOperands,
    codes: Sequence[Sequence[int]],
    exponents: Sequence[Sequence[int]],
    stepper: Callable[..., Any] = step,
    gaps: Sequence[int] = (),
) -> tuple[list[tuple[list[int], list[int]]], int]:
    """A tile, clock cycle by clock cycle: what `norm.result` gives of each row, and the cycles it took.

    Parameters
    ----------
    config : NormConfig
    operands : NormOperands
    codes, exponents : sequence of sequence of int
        The elements of each row.
    stepper : callable
        `step` or what behaves like it, such as a simulated module.
    gaps : sequence of int
        The chunks before which one cycle passes without elements.
    """
    n, rows, columns = config.lanes, len(codes), len(codes[0])
    chunks = -(-columns // n)

    def chunk(values: Sequence[int], i: int, pad: int = 0) -> tuple[int, ...]:
        found = tuple(values[i * n : (i + 1) * n])
        return found + (pad,) * (n - len(found))

    inputs = zeros(ports(config).inputs)._replace(
        rows=rows, chunks=chunks, length=columns, centred=select(operands.centred, 1, 0),
        spare=WORD - operands.bits, epsilon=operands.epsilon[0], epsilon_exponent=operands.epsilon[1],
    )  # fmt: skip
    idle = inputs.code, inputs.exponent
    tops = [norm.row_exponent_of(e, operands.epsilon[1], operands.bits) for e in exponents]
    feed = [None if again else i for i in range(rows * chunks) for again in ([True] * (i in gaps) + [False])]
    state = reset(config, zeros(ports(config).state))
    buffer: dict[int, tuple[int, ...]] = {}
    values: dict[int, tuple[int, int, int]] = {}
    given: list[tuple[list[int], list[int]]] = [([], []) for _ in codes]
    count = gone = 0
    while gone < rows * chunks:
        now = feed[count] if count < len(feed) else None
        code, exponent, top = *idle, 0
        if now is not None:
            row, i = divmod(now, chunks)
            code, exponent = chunk(codes[row], i), chunk(exponents[row], i, ZERO_BLOCK)
            top = tops[row]
        inputs = inputs._replace(valid=int(now is not None), code=code, exponent=exponent, row_exponent=top)
        state, out = stepper(config, state, inputs)
        count += 1
        if out.done:
            sums, below = given[gone // chunks]
            fresh = min(n, columns - len(sums))
            sums += out.sum[:fresh]
            below += out.sum_exponent[:fresh]
            gone += 1
        if out.look:
            even, odd = (
                lookup(config.root, 2 * out.even_address),
                lookup(config.root, 2 * out.odd_address + 1),
            )
            inputs = inputs._replace(even=even, odd=odd)
        if out.read:
            s1, root, half = values[out.read_row]
            inputs = inputs._replace(word=buffer[out.read_address], row_s1=s1, row_root=root, row_half=half)
        if out.fetch:
            i = out.fetch_address
            inputs = inputs._replace(
                gamma=chunk(operands.gamma, i), gamma_exponent=chunk(operands.gamma_exponents, i, ZERO_BLOCK),
                beta=chunk(operands.beta, i), beta_exponent=chunk(operands.beta_exponents, i, ZERO_BLOCK),
            )  # fmt: skip
        if out.write:
            buffer[out.write_address] = out.words
        if out.store:
            values[out.store_row] = out.store_s1, out.store_root, out.store_half
    return given, count
