"""The parts of an array in which outputs stay: an element, and an aligner that serves a few of a column.

An element multiplies the codes that pass, one to the right and one down, and sums them up. Elements of a
column finish a segment one cycle after the other, in the cycle in which their aligner reads the sum: the
first product of the next segment takes its place at the end of that cycle, so that no second register
holds it. An aligner takes one row per cycle, and hands its commands on to the aligner of the next column.
Its first turn of a tile opens the outputs: it finds E and aligns the bias, while the first segment streams.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from hwmodels.units import accumulator, aligner, prescan
from hwmodels.units.aligner import EXACT, RUNNING
from hwmodels.units.built_array import BuiltArray
from hwmodels.units.ops import ZERO_BLOCK, select, smallest, wrap
from hwmodels.units.ports import FLAG, Ports, signed, unsigned
from hwmodels.units.prescan import EXPONENT_BITS, WORD
from hwmodels.units.product import operand_port, product_of_operands

BIAS_BITS = 32
"""Width of the widest bias."""

NARROW_BIAS_BITS = 8
"""Width of the narrowest bias: the one that may be shifted left the furthest."""


class ElementInputs(NamedTuple):
    """What enters an element: codes, whether they begin a segment, and what its aligner has for it."""

    first: int
    a: int
    w: int
    served: int
    word: int
    top: int


class ElementState(NamedTuple):
    """The registers of an element: what moves on, the exact and the aligned sum, and E."""

    first_on: int
    a_on: int
    w_on: int
    raw: int
    aligned: int
    bound: int


class ElementOutputs(NamedTuple):
    """What leaves an element: its registers."""

    first_on: int
    a_on: int
    w_on: int
    raw: int
    aligned: int
    bound: int


def element_ports(config: BuiltArray) -> Ports:
    """The widths of an element's ports and registers."""
    word, bound = signed(config.array.accumulator.bits), signed(WORD)
    a, w = operand_port(config.product, config.a), operand_port(config.product, config.w)
    held = FLAG, a, w, signed(config.raw_bits), word, bound
    return Ports(ElementInputs(FLAG, a, w, FLAG, word, bound), ElementState(*held), ElementOutputs(*held))


def element_step(
    config: BuiltArray, state: ElementState, inputs: ElementInputs
) -> tuple[ElementState, ElementOutputs]:
    """One clock cycle of an element; the exact sum is exact below a depth of 2**17."""
    product = product_of_operands(config.product, inputs.a, inputs.w)
    after = ElementState(
        first_on=inputs.first,
        a_on=inputs.a,
        w_on=inputs.w,
        raw=wrap(select(inputs.first, 0, state.raw) + product, config.raw_bits),
        aligned=select(inputs.served, inputs.word, state.aligned),
        bound=select(inputs.served, inputs.top, state.bound),
    )
    return after, ElementOutputs(*state)


class AlignerInputs(NamedTuple):
    """What enters an aligner.

    From the left which row's turn it is, if any, whether its output is opened or closed, and the row's
    exponent (when opened: its largest). From above the column's exponent (when opened: its largest), and
    the bias with its exponent and the floor that it sets. Then the prescan's bound of the output that is
    opened, and the registers of all rows.
    """

    serve: int
    opening: int
    closing: int
    turn: int
    row: int
    column: int
    floor: int
    bias: int
    bias_exponent: int
    exact: int
    raw: tuple[int, ...]
    aligned: tuple[int, ...]
    bound: tuple[int, ...]


class AlignerState(NamedTuple):
    """The registers of an aligner: what moves on to the right, and down once all rows are done."""

    serve_on: int
    opening_on: int
    closing_on: int
    turn_on: int
    row_on: int
    column_on: int
    floor_on: int
    bias_on: int
    bias_exponent_on: int


class AlignerOutputs(NamedTuple):
    """What leaves an aligner: its registers; which row is served, its sum and its E; and what came of it."""

    serve_on: int
    opening_on: int
    closing_on: int
    turn_on: int
    row_on: int
    column_on: int
    floor_on: int
    bias_on: int
    bias_exponent_on: int
    served: tuple[int, ...]
    word: int
    top: int
    done: int
    flushed: int
    dropped: int
    overflow: int


def group(config: BuiltArray) -> int:
    """Rows that share an aligner: ``ceil(rows / aligners)``."""
    return aligner.cycles(config.array.rows, config.array.aligners)


def groups(config: BuiltArray) -> int:
    """Aligners of a column that have rows: ``ceil(rows / group)``."""
    return -(-config.array.rows // group(config))


def turn_bits(config: BuiltArray) -> int:
    """Bits of a row's number in its group."""
    return max((group(config) - 1).bit_length(), 1)


def reach(config: BuiltArray) -> int:
    """The longest left shift: of a sum by the guard bits, or of a bias as far as `bias_floor` lets it go."""
    free = config.array.accumulator.bits - NARROW_BIAS_BITS - 2
    return max(config.of_terms.guard_bits, min(free, config.array.aligner.max_shift), 1)


def term_bits(config: BuiltArray) -> int:
    """Width of an aligned term: an exact sum with the guard bits, or a bias, which fits the accumulator."""
    return max(config.raw_bits + max(config.of_terms.guard_bits, 0), config.array.accumulator.bits)


def chosen(turn: int, values: Sequence[int]) -> int:
    """The one whose turn it is: a multiplexer of ands and ors."""
    found = 0
    for i, x in enumerate(values):
        found = select(turn == i, x, found)
    return found


def aligner_ports(config: BuiltArray) -> Ports:
    """The widths of an aligner's ports and registers."""
    exponent, bound, word = signed(EXPONENT_BITS), signed(WORD), signed(config.array.accumulator.bits)
    n = group(config)
    moving = FLAG, FLAG, FLAG, unsigned(turn_bits(config)), exponent
    held = exponent, bound, signed(BIAS_BITS), exponent
    rows = (signed(config.raw_bits),) * n, (word,) * n, (bound,) * n
    return Ports(
        AlignerInputs(*moving, *held, bound, *rows),
        AlignerState(*moving, *held),
        AlignerOutputs(*moving, *held, (FLAG,) * n, word, bound, FLAG, FLAG, FLAG, FLAG),
    )


def aligner_reset(_: BuiltArray, state: AlignerState) -> AlignerState:
    """The state after a reset: no row is served."""
    return state._replace(serve_on=0)


def aligner_step(
    config: BuiltArray, state: AlignerState, inputs: AlignerInputs
) -> tuple[AlignerState, AlignerOutputs]:
    """One clock cycle of an aligner."""
    own, word, opening, turn = config.array, config.array.accumulator, inputs.opening, inputs.turn
    lane, of_terms = own.aligner, config.of_terms
    longest, rounding = lane.max_shift, lane.rounding
    fresh = inputs.serve & (turn == 0)
    column = select(fresh, inputs.column, state.column_on)
    opened = fresh & opening
    floor = select(opened, inputs.floor, state.floor_on)
    bias = select(opened, inputs.bias, state.bias_on)
    bias_exponent = select(opened, inputs.bias_exponent, state.bias_exponent_on)

    x = select(opening, bias, chosen(turn, inputs.raw))
    acc = select(opening, 0, chosen(turn, inputs.aligned))
    before = chosen(turn, inputs.bound)
    dropped = 0
    if own.normalise == RUNNING:
        top = select(opening, floor, prescan.join(before, inputs.row, column, ZERO_BLOCK))
        down = select(opening, 0, smallest(before - top, 0))
        dropped = select(inputs.serve & aligner.is_flushed(acc, down, longest), 1, 0)
        acc = aligner.align(acc, down, longest, rounding)
    elif own.normalise == EXACT:
        top = select(opening, inputs.exact, before)
    else:
        top = select(opening, aligner.bound(inputs.row, column, floor, ZERO_BLOCK), before)
    exponent = select(opening, bias_exponent, inputs.row + column)
    guard = select(opening, lane.guard_bits, of_terms.guard_bits)
    furthest = select(opening, longest, of_terms.max_shift)
    # what is not zero is shifted left no further than `reach`
    shift = smallest(aligner.distance(top, exponent, guard), reach(config))
    term = wrap(aligner.align(x, shift, furthest, rounding), term_bits(config))

    moved = AlignerState(
        inputs.serve, opening, inputs.closing, turn, inputs.row, column, floor, bias, bias_exponent
    )
    outputs = AlignerOutputs(
        *state,
        served=tuple(select(inputs.serve & (turn == i), 1, 0) for i in range(group(config))),
        word=accumulator.add(acc, term, word.bits, word.saturating),
        top=top,
        done=inputs.serve & inputs.closing,
        flushed=select(inputs.serve & aligner.is_flushed(x, shift, furthest), 1, 0),
        dropped=dropped,
        overflow=select(inputs.serve & accumulator.overflows(acc, term, word.bits), 1, 0),
    )
    return moved, outputs
