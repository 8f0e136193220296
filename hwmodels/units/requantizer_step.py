"""A clock cycle of the requantizer: its lanes, the tree over them, and what steers their stages.

A cycle takes one sum per lane. The search keeps the largest rank of every lane (`lane_step`), and a tree
joins neighbouring lanes: blocks of ``2**level`` lanes lie side by side, wider ones take several cycles, in
which a lane goes on from its own largest. An absent element is a sum of zero. The pipeline of the search:
multiplier, rank, tree; of pass 2: multiplier, wait, shift by the block's exponent, round. The search of
the last sums and the first sums of pass 2 follow each other without a gap: as these reach the shifter,
the tree is done. Blocks follow each other likewise. Where passes are merged, the search has ports and
multipliers of its own, at the accumulators' write ports, and finds the largest ranks of one tile while
pass 2 works on another; they wait outside until they come back as `top`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from hwmodels.units.ops import largest, select
from hwmodels.units.ports import FLAG, Ports, signed, unsigned
from hwmodels.units.requantizer_lane import (
    FORM_BITS,
    RANK_BITS,
    STORED_BITS,
    LaneInputs,
    LaneState,
    lane_ports,
    lane_step,
)

SEARCH_STAGES = 3
"""Cycles from sums in to the largest ranks out."""


@dataclass(frozen=True)
class RequantizerConfig:
    """One requantizer.

    Attributes
    ----------
    lanes : int
        Elements per cycle.
    merged : bool
        Whether pass 1 runs while the sums are written; else it is a pass of its own.
    latency : int
        Cycles from the first element in to the first element out, no fewer than the lane's `STAGES`.
    """

    lanes: int
    merged: bool
    latency: int

    @property
    def levels(self) -> int:
        """Levels of the tree that joins the lanes."""
        return (self.lanes - 1).bit_length()


class Inputs(NamedTuple):
    """What enters in one cycle; of pass 2 `sum` to `fixed_exponent`, of the search the rest.

    Attributes
    ----------
    convert : int
        Whether sums enter pass 2; `form` selects that of a code, see `requantizer_lane.form_of`.
    sum, exponent, multiplier, shift : tuple of int
        Of each lane a sum, its exponent, its multiplier and that one's exponent: 1 and 0 for none.
    top : tuple of int
        Of each lane its block's largest rank, where that is known.
    own, fixed, fixed_exponent : int
        Whether the largest ranks are those that the search here has just found; whether the exponent is
        a static one, and which.
    search, first, level, search_form : int
        Whether sums enter the search; whether they begin a block; how many lanes a block has, as a power
        of two; the form of its codes. They are those of `written_sum` to `written_shift` where passes
        are merged, else those of `sum` to `shift`.
    """

    convert: int
    form: int
    sum: tuple[int, ...]
    exponent: tuple[int, ...]
    multiplier: tuple[int, ...]
    shift: tuple[int, ...]
    top: tuple[int, ...]
    own: int
    fixed: int
    fixed_exponent: int
    search: int
    first: int
    level: int
    search_form: int
    written_sum: tuple[int, ...]
    written_exponent: tuple[int, ...]
    written_multiplier: tuple[int, ...]
    written_shift: tuple[int, ...]


class State(NamedTuple):
    """The stages that hold sums, what each needs to know, and the lanes.

    `levels` are there where there is more than one lane; `tops` are the largest ranks last found.
    """

    searching: tuple[int, ...]
    first_1: int
    search_form_1: int
    levels: tuple[int, ...]
    tops: tuple[int, ...]
    busy: tuple[int, ...]
    own_1: int
    fixed_1: int
    fixed_2: int
    fixed_exponent_1: int
    fixed_exponent_2: int
    form_1: int
    form_2: int
    form_3: int
    lane: tuple[LaneState, ...]


class Outputs(NamedTuple):
    """What leaves in one cycle.

    Attributes
    ----------
    found : int
        Whether `found_top` are the largest ranks of each lane's block, up to sums that entered before.
    done : int
        Whether codes leave, with the stored exponent of each lane's block.
    """

    found: int
    found_top: tuple[int, ...]
    done: int
    code: tuple[int, ...]
    saturated: tuple[int, ...]
    stored: tuple[int, ...]
    clamped: tuple[int, ...]


def ports(config: RequantizerConfig) -> Ports:
    """The widths of the unit's ports and registers."""
    n, lane, form = config.lanes, lane_ports(config), unsigned(FORM_BITS)
    level, stored = unsigned(max(config.levels.bit_length(), 1)), signed(STORED_BITS)
    element = [(leaf,) * n for leaf in lane.inputs[:4]]
    tops = (signed(RANK_BITS),) * n
    entering = (FLAG, form, *element, tops, FLAG, FLAG, stored, FLAG, FLAG, level, form, *element)
    return Ports(
        Inputs._make(entering),
        State(
            (FLAG,) * SEARCH_STAGES, FLAG, form, (level,) * (2 if n > 1 else 0), tops,
            (FLAG,) * config.latency, FLAG, FLAG, FLAG, stored, stored, form, form, form,
            (lane.state,) * n,
        ),
        Outputs(FLAG, tops, FLAG, *((leaf,) * n for leaf in lane.outputs[1:])),
    )  # fmt: skip


def reset(config: RequantizerConfig, state: State) -> State:
    """The state after a reset: no stage holds sums."""
    return state._replace(searching=(0,) * SEARCH_STAGES, busy=(0,) * config.latency)


def joined(peaks: Sequence[int], level: int) -> tuple[int, ...]:
    """Of each lane the largest of its ``2**level`` neighbours: a tree, tapped at a level."""
    rows = [tuple(peaks)]
    while len(rows[-1]) > 1:
        row = rows[-1]
        rows.append(
            tuple(largest(*row[j : j + 2]) if row[j + 1 :] else row[j] for j in range(0, len(row), 2))
        )
    tapped = rows[-1] * len(peaks)
    for k in reversed(range(len(rows) - 1)):
        tapped = tuple(select(level == k, rows[k][i >> k], x) for i, x in enumerate(tapped))
    return tapped


def step(config: RequantizerConfig, state: State, inputs: Inputs) -> tuple[State, Outputs]:
    """One clock cycle: the state after the clock edge, and the outputs before it."""
    s, lanes, out = state, [], []
    tops = joined([lane.peak for lane in s.lane], s.levels[1] if s.levels else 0)
    for i in range(config.lanes):
        own = LaneInputs(
            inputs.sum[i], inputs.exponent[i], inputs.multiplier[i], inputs.shift[i],
            inputs.written_sum[i], inputs.written_exponent[i],
            inputs.written_multiplier[i], inputs.written_shift[i],
            s.searching[0], s.first_1, s.search_form_1,
            inputs.top[i], s.own_1, tops[i], s.fixed_2, s.fixed_exponent_2, s.form_2, s.form_3,
        )  # fmt: skip
        lane, outputs = lane_step(config, s.lane[i], own)
        lanes.append(lane)
        out.append(outputs)
    after = State(
        searching=(inputs.search, *s.searching[:-1]),
        first_1=inputs.first,
        search_form_1=inputs.search_form,
        levels=(inputs.level, select(s.searching[0], s.levels[0], s.levels[1])) if s.levels else (),
        tops=tops,
        busy=(inputs.convert, *s.busy[:-1]),
        own_1=inputs.own,
        fixed_1=inputs.fixed,
        fixed_2=s.fixed_1,
        fixed_exponent_1=inputs.fixed_exponent,
        fixed_exponent_2=s.fixed_exponent_1,
        form_1=inputs.form,
        form_2=s.form_1,
        form_3=s.form_2,
        lane=tuple(lanes),
    )
    _, codes, saturated, stored, clamped = zip(*out, strict=True)
    return after, Outputs(s.searching[-1], s.tops, s.busy[-1], codes, saturated, stored, clamped)
