"""One row of a weight- or input-stationary array: its left edge, and the elements.

The left edge says when the row's code belongs to a segment: a moving row of operands stays for as many
cycles, or *slots*, as the column's aligners need for its segments. The row knows the slot of the segment
that its held codes belong to, and to which of the column's partial sums they add: its *tag*, a bit for
each sum and above them the slot. Tags come from the top as held codes do, and likewise stay when `load`
comes. `load` takes two cycles from row to row and all else takes one, so that the r-th code that enters at
the top meets it in row r.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from hwmodels.units import processing_element
from hwmodels.units.ops import select
from hwmodels.units.ports import FLAG, Ports, unsigned
from hwmodels.units.processing_element import ElementConfig


@dataclass(frozen=True)
class RowConfig:
    """One row.

    Attributes
    ----------
    element : ElementConfig
        Each of its elements.
    columns : int
        Elements.
    slot_bits : int
        Width of a slot's number.
    """

    element: ElementConfig
    columns: int
    slot_bits: int


class Wave(NamedTuple):
    """What goes down the left edge with each moving code: whether there is one, and where it belongs.

    Attributes
    ----------
    valid : int
    swap, fresh : int
        Whether it is the first of a fold, and of the first fold.
    last : int
        Whether this is its last slot.
    slot : int
        Which of its slots this is.
    """

    valid: int
    swap: int
    fresh: int
    last: int
    slot: int


class Shadow(NamedTuple):
    """The tag of the following fold."""

    following: int


class Inputs(NamedTuple):
    """What comes from the row above, and the row's moving code."""

    wave: Wave
    load: int
    tag: int
    code: int
    passed: tuple[int, ...]
    sum: tuple[tuple[int, ...], ...]


class State(NamedTuple):
    """The registers of the left edge, and the elements."""

    valid: int
    swap: int
    fresh: int
    last: int
    slot: int
    halfway: int
    load_out: int
    passed_tag: int
    held: int
    shadow: Any
    """A `Shadow`, or ``()`` where there is none."""
    element: tuple[processing_element.State, ...]


class Outputs(NamedTuple):
    """What goes on to the row below, and the sums before their registers: where the columns end."""

    wave_out: Wave
    load_out: int
    tag_out: int
    passed_out: tuple[int, ...]
    sum_out: tuple[tuple[int, ...], ...]
    total: tuple[tuple[int, ...], ...]


def ports(config: RowConfig) -> Ports:
    """The widths of the row's ports and registers."""
    element, n = processing_element.ports(config.element), config.columns
    slot, tag = unsigned(config.slot_bits), unsigned(config.slot_bits + config.element.chains)
    wave = Wave(FLAG, FLAG, FLAG, FLAG, slot)
    passed, sums = (element.inputs.passed,) * n, (element.inputs.sum,) * n
    shadow = Shadow(tag) if config.element.overlap else ()
    return Ports(
        Inputs(wave, FLAG, tag, element.inputs.code, passed, sums),
        State(*wave, FLAG, FLAG, tag, tag, shadow, (element.state,) * n),
        Outputs(wave, FLAG, tag, passed, sums, sums),
    )


def reset(_: RowConfig, state: State) -> State:
    """The state after a reset: nothing is on its way down."""
    return state._replace(valid=0, swap=0, halfway=0, load_out=0)


def step(config: RowConfig, state: State, inputs: Inputs) -> tuple[State, Outputs]:
    """One clock cycle."""
    s, x, own, wave = state, inputs, config.element, inputs.wave
    held = select(wave.swap, s.shadow.following, s.held) if own.overlap else s.held
    here = wave.valid & select(held >> own.chains == wave.slot, 1, 0)
    code, swap, load = x.code, wave.swap, x.load
    on = tuple(here & (held >> i) & 1 for i in range(own.chains))
    elements, out = [], []
    for j in range(config.columns):
        arriving = processing_element.Inputs(code, on, swap, load, x.passed[j], x.sum[j])
        after, leaving = processing_element.step(own, s.element[j], arriving)
        elements.append(after)
        out.append(leaving)
        code, on, swap, load = leaving.code_out, leaving.on_out, leaving.swap_out, leaving.load_out
    shadow: Any = ()
    if own.overlap:
        shadow = Shadow(select(x.load, x.tag, s.shadow.following))
    else:
        held = select(x.load, x.tag, held)
    return State(*wave, x.load, s.halfway, x.tag, held, shadow, tuple(elements)), Outputs(
        Wave(s.valid, s.swap, s.fresh, s.last, s.slot), s.load_out, s.passed_tag,
        tuple(o.passed_out for o in out), tuple(o.sum_out for o in out), tuple(o.total for o in out),
    )  # fmt: skip
