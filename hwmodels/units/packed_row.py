"""One row of elements that take several codes each: its left edge, and the elements.

As `array_row`, but for the tags: each of the codes that enter together has one of its own, since a segment
may end between them. The codes of an element, and so its tags, are loaded in the same cycle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from hwmodels.units import packed_element
from hwmodels.units.array_row import Wave
from hwmodels.units.ops import select
from hwmodels.units.packed_element import PackedConfig
from hwmodels.units.ports import FLAG, Ports, unsigned


@dataclass(frozen=True)
class PackedRowConfig:
    """One row.

    Attributes
    ----------
    element : PackedConfig
        Each of its elements.
    columns : int
        Elements.
    slot_bits : int
        Width of a slot's number.
    """

    element: PackedConfig
    columns: int
    slot_bits: int


class Shadow(NamedTuple):
    """The tags of the following fold."""

    following: tuple[int, ...]


class Inputs(NamedTuple):
    """What comes from the row above, and the row's moving codes."""

    wave: Wave
    load: int
    tag: tuple[int, ...]
    code: tuple[int, ...]
    passed: tuple[tuple[int, ...], ...]
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
    tags: tuple[int, ...]
    held: tuple[int, ...]
    shadow: Any
    """A `Shadow`, or ``()`` where there is none."""
    element: tuple[packed_element.State, ...]


class Outputs(NamedTuple):
    """What goes on to the row below, and the sums before their registers: where the columns end."""

    wave_out: Wave
    load_out: int
    tag_out: tuple[int, ...]
    passed_out: tuple[tuple[int, ...], ...]
    sum_out: tuple[tuple[int, ...], ...]
    total: tuple[tuple[int, ...], ...]


def ports(config: PackedRowConfig) -> Ports:
    """The widths of the row's ports and registers."""
    own, n = config.element, config.columns
    element = packed_element.ports(own)
    slot, tag = unsigned(config.slot_bits), (unsigned(config.slot_bits + own.chains),) * own.depth
    wave = Wave(FLAG, FLAG, FLAG, FLAG, slot)
    passed, sums = (element.inputs.passed,) * n, (element.inputs.sum,) * n
    shadow = Shadow(tag) if own.overlap else ()
    return Ports(
        Inputs(wave, FLAG, tag, element.inputs.code, passed, sums),
        State(*wave, FLAG, FLAG, tag, tag, shadow, (element.state,) * n),
        Outputs(wave, FLAG, tag, passed, sums, sums),
    )


def reset(_: PackedRowConfig, state: State) -> State:
    """The state after a reset: nothing is on its way down."""
    return state._replace(valid=0, swap=0, halfway=0, load_out=0)


def step(config: PackedRowConfig, state: State, inputs: Inputs) -> tuple[State, Outputs]:
    """One clock cycle."""
    s, x, own, wave = state, inputs, config.element, inputs.wave
    held = s.held
    if own.overlap:
        held = tuple(select(wave.swap, f, h) for f, h in zip(s.shadow.following, s.held, strict=True))
    here = [wave.valid & select(tag >> own.chains == wave.slot, 1, 0) for tag in held]
    code, swap, load = x.code, wave.swap, x.load
    on = tuple(here[d] & (held[d] >> i) & 1 for d in range(own.depth) for i in range(own.chains))
    elements, out = [], []
    for j in range(config.columns):
        arriving = packed_element.Inputs(code, on, swap, load, x.passed[j], x.sum[j])
        after, leaving = packed_element.step(own, s.element[j], arriving)
        elements.append(after)
        out.append(leaving)
        code, on, swap, load = leaving.code_out, leaving.on_out, leaving.swap_out, leaving.load_out
    shadow: Any = ()
    if own.overlap:
        shadow = Shadow(tuple(select(x.load, t, f) for t, f in zip(x.tag, s.shadow.following, strict=True)))
    else:
        held = tuple(select(x.load, t, h) for t, h in zip(x.tag, held, strict=True))
    return State(*wave, x.load, s.halfway, x.tag, held, shadow, tuple(elements)), Outputs(
        Wave(s.valid, s.swap, s.fresh, s.last, s.slot), s.load_out, s.tags,
        tuple(o.passed_out for o in out), tuple(o.sum_out for o in out), tuple(o.total for o in out),
    )  # fmt: skip
