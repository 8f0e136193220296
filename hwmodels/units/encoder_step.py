"""A clock cycle of the encoder: the requantizer's pipeline, with lanes that make codes with exponents.

The search keeps the largest rank of every lane, and the requantizer's tree joins neighbouring lanes. Pass 2:
registers, wait for the block's largest rank, the block's exponent, the code. A code counts from its block's
exponent, or where it is `anchored` from an anchor, and the block's exponent then bounds it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from hwmodels.units import encoder
from hwmodels.units.encoder import EncoderConfig, block_rank, bounding
from hwmodels.units.ops import largest, select
from hwmodels.units.ports import FLAG, Ports, signed, unsigned, zeros
from hwmodels.units.requantizer import chunk, converted, searched
from hwmodels.units.requantizer_lane import (
    EXPONENT_BITS,
    NO_RANK,
    RANK_BITS,
    STAGES,
    STORED_BITS,
    SUM_BITS,
    LaneOutputs,
    block_exponent,
    is_clamped,
)
from hwmodels.units.requantizer_step import SEARCH_STAGES, Outputs, joined


@dataclass(frozen=True)
class EncoderUnitConfig:
    """One encoder.

    Attributes
    ----------
    codes : EncoderConfig
        What its codes are.
    lanes : int
        Elements per cycle.
    merged : bool
        Whether pass 1 runs while the sums are written; else it is a pass of its own.
    latency : int
        Cycles from the first element in to the first element out, no fewer than `STAGES`.
    """

    codes: EncoderConfig
    lanes: int
    merged: bool
    latency: int

    @property
    def levels(self) -> int:
        """Levels of the tree that joins the lanes."""
        return (self.lanes - 1).bit_length()

    @property
    def width(self) -> int:
        """Of an integer whose largest lies in the binade of the largest code."""
        return self.codes.binade + 2


class Sum(NamedTuple):
    """A sum and its exponent."""

    sum: int
    exponent: int


class LaneInputs(NamedTuple):
    """What enters a lane; names are those of `requantizer_lane.LaneInputs`."""

    sum: int
    exponent: int
    written_sum: int
    written_exponent: int
    ranked: int
    first: int
    top: int
    own: int
    joined: int
    anchored: int
    anchor: int


class LaneState(NamedTuple):
    """The registers of a lane, stage by stage; `written` has a part only where passes are merged."""

    read: Sum
    written: tuple[Sum, ...]
    peak: int
    top_1: int
    sum_2: Sum
    top_2: int
    sum_3: Sum
    unit_3: int
    stored_3: int
    clamped_3: int
    codes: tuple[int, ...]
    saturated_4: tuple[int, ...]
    stored_4: tuple[int, ...]
    clamped_4: tuple[int, ...]


def lane_ports(config: EncoderUnitConfig) -> Ports:
    """The widths of a lane's ports and registers."""
    element = Sum(signed(SUM_BITS), signed(EXPONENT_BITS))
    rank, stored, code = signed(RANK_BITS), signed(STORED_BITS), unsigned(config.codes.bits)
    rest = config.latency - STAGES + 1
    return Ports(
        LaneInputs(*element, *element, FLAG, FLAG, rank, FLAG, rank, FLAG, stored),
        LaneState(
            element, (element,) * config.merged, rank, rank, element, rank, element, stored, stored, FLAG,
            (code,) * rest, (FLAG,) * rest, (stored,) * rest, (FLAG,) * rest,
        ),
        LaneOutputs(rank, code, FLAG, stored, FLAG),
    )  # fmt: skip


def lane_step(
    config: EncoderUnitConfig, state: LaneState, inputs: LaneInputs
) -> tuple[LaneState, LaneOutputs]:
    """One clock cycle of a lane."""
    s, i, codes = state, inputs, config.codes
    source = s.written[0] if config.merged else s.read
    start = select(i.first, NO_RANK, s.peak)
    own_rank = block_rank(source.sum, source.exponent, codes.geometric)
    found = block_exponent(s.top_2, config.width)
    bound = bounding(found, i.anchor, codes.reach, codes.geometric)
    made = encoder.step(codes, encoder.State(), encoder.Inputs(*s.sum_3, s.unit_3))[1]
    after = LaneState(
        read=Sum(i.sum, i.exponent),
        written=(Sum(i.written_sum, i.written_exponent),) if config.merged else (),
        peak=select(i.ranked, largest(start, own_rank), s.peak),
        top_1=i.top,
        sum_2=s.read,
        top_2=select(i.own, i.joined, s.top_1),
        sum_3=s.sum_2,
        unit_3=select(i.anchored, i.anchor, found),
        stored_3=select(i.anchored, bound, found),
        clamped_3=select(i.anchored, 0, select(is_clamped(s.top_2, config.width), 1, 0)),
        codes=(made.code, *s.codes[:-1]),
        saturated_4=(made.saturated, *s.saturated_4[:-1]),
        stored_4=(s.stored_3, *s.stored_4[:-1]),
        clamped_4=(s.clamped_3, *s.clamped_4[:-1]),
    )
    return after, LaneOutputs(s.peak, s.codes[-1], s.saturated_4[-1], s.stored_4[-1], s.clamped_4[-1])


class Inputs(NamedTuple):
    """What enters in one cycle; names are those of `requantizer_step.Inputs`.

    `anchored` and `anchor` say whether codes count from an anchor, and from which.
    """

    convert: int
    sum: tuple[int, ...]
    exponent: tuple[int, ...]
    top: tuple[int, ...]
    own: int
    anchored: int
    anchor: int
    search: int
    first: int
    level: int
    written_sum: tuple[int, ...]
    written_exponent: tuple[int, ...]


class State(NamedTuple):
    """The stages that hold sums, what each needs to know, and the lanes."""

    searching: tuple[int, ...]
    first_1: int
    levels: tuple[int, ...]
    tops: tuple[int, ...]
    busy: tuple[int, ...]
    own_1: int
    anchored_1: int
    anchored_2: int
    anchor_1: int
    anchor_2: int
    lane: tuple[LaneState, ...]


def ports(config: EncoderUnitConfig) -> Ports:
    """The widths of the unit's ports and registers."""
    n, lane = config.lanes, lane_ports(config)
    level, stored = unsigned(max(config.levels.bit_length(), 1)), signed(STORED_BITS)
    sums, exponents = ((leaf,) * n for leaf in lane.inputs[:2])
    tops = (signed(RANK_BITS),) * n
    return Ports(
        Inputs(FLAG, sums, exponents, tops, FLAG, FLAG, stored, FLAG, FLAG, level, sums, exponents),
        State(
            (FLAG,) * SEARCH_STAGES, FLAG, (level,) * (2 if n > 1 else 0), tops, (FLAG,) * config.latency,
            FLAG, FLAG, FLAG, stored, stored, (lane.state,) * n,
        ),
        Outputs(FLAG, tops, FLAG, *((leaf,) * n for leaf in lane.outputs[1:])),
    )  # fmt: skip


def reset(config: EncoderUnitConfig, state: State) -> State:
    """The state after a reset: no stage holds sums."""
    return state._replace(searching=(0,) * SEARCH_STAGES, busy=(0,) * config.latency)


def step(config: EncoderUnitConfig, state: State, inputs: Inputs) -> tuple[State, Outputs]:
    """One clock cycle: the state after the clock edge, and the outputs before it."""
    s, x, lanes, out = state, inputs, [], []
    tops = joined([lane.peak for lane in s.lane], s.levels[1] if s.levels else 0)
    for i in range(config.lanes):
        own = LaneInputs(
            x.sum[i], x.exponent[i], x.written_sum[i], x.written_exponent[i], s.searching[0], s.first_1,
            x.top[i], s.own_1, tops[i], s.anchored_2, s.anchor_2,
        )  # fmt: skip
        lane, outputs = lane_step(config, s.lane[i], own)
        lanes.append(lane)
        out.append(outputs)
    after = State(
        searching=(x.search, *s.searching[:-1]),
        first_1=x.first,
        levels=(x.level, select(s.searching[0], s.levels[0], s.levels[1])) if s.levels else (),
        tops=tops,
        busy=(x.convert, *s.busy[:-1]),
        own_1=x.own,
        anchored_1=x.anchored,
        anchored_2=s.anchored_1,
        anchor_1=x.anchor,
        anchor_2=s.anchor_1,
        lane=tuple(lanes),
    )
    _, codes, saturated, stored, clamped = zip(*out, strict=True)
    return after, Outputs(s.searching[-1], s.tops, s.busy[-1], codes, saturated, stored, clamped)


def run(
    config: EncoderUnitConfig,
    sums: Sequence[int],
    exponents: Sequence[int],
    top: int | None = None,
    anchor: int | None = None,
    stepper: Callable[..., Any] = step,
    gaps: Sequence[int] = (),
) -> tuple[tuple[list[int], int, int, int], int]:
    """Encode one block, clock cycle by clock cycle: what `encoder.result` gives, and the cycles it took.

    Those are `requantizer.cycles`, of a block that is searched or not. Parameters are as for `result`, and
    `stepper` and `gaps` as for `requantizer.run`.
    """
    n, idle = config.lanes, zeros(ports(config).inputs)
    chunks = -(-len(sums) // n)
    searching = {"search": 1, "level": config.levels}
    state = reset(config, zeros(ports(config).state))

    def entering(k: int, prefix: str = "") -> dict[str, tuple[int, ...]]:
        own, under = chunk((sums, exponents), k, n)
        return {f"{prefix}sum": own, f"{prefix}exponent": under}

    if config.merged and top is None:
        feed = [
            idle._replace(first=int(k == 0), **searching, **entering(k, "written_")) for k in range(chunks)
        ]
        top, _, state = searched(config, state, feed, idle, stepper)
    own = top is None
    converting = {
        "convert": 1, "own": int(own), "top": (0 if top is None else top,) * n,
        "anchored": int(anchor is not None), "anchor": 0 if anchor is None else anchor,
    }  # fmt: skip
    feed = []
    for k in range(2 * chunks if own else chunks):
        steering = {**searching, "first": int(k == 0)} if own and k < chunks else converting
        feed += [idle] * (k in gaps) + [idle._replace(**steering, **entering(k % chunks))]
    return converted(config, state, feed, idle, len(sums), stepper)
