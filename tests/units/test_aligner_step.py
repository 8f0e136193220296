"""The aligners of a column, terms of an output per cycle, give the sum of `aligner.result` in `cycles`."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from hwmodels.units import aligner
from hwmodels.units.aligner import AlignerConfig, LaneConfig, LaneInputs, LaneState, StageConfig
from hwmodels.units.ops import ROUNDINGS


@st.composite
def configs(draw: st.DrawFn) -> AlignerConfig:
    shift = draw(st.integers(1, 62))
    guard = draw(st.integers(-min(shift, 8), min(shift, 15)))
    return AlignerConfig(guard, shift, draw(st.sampled_from(list(ROUNDINGS.values()))))


TERMS = st.lists(
    st.tuples(st.integers(-(2**31), 2**31 - 1), st.one_of(st.integers(0, 255), st.integers(0, 40))),
    min_size=1,
    max_size=12,
)


@given(configs(), st.integers(1, 5), TERMS, st.integers(-200, 254), st.lists(st.integers(0, 3), max_size=4))
@example(AlignerConfig(8, 31, ROUNDINGS["rne"]), 3, [(-(2**31), 0)] * 12, 254, [0, 3, 3])
def test_run_is_the_sum_of_results(
    config: AlignerConfig, lanes: int, terms: list[tuple[int, int]], bound: int, gaps: list[int]
) -> None:
    x, exponents = [t for t, _ in terms], [bound - below for _, below in terms]
    stage = StageConfig(LaneConfig(config, 32, 10, config.guard_bits), lanes, 52)
    within = [g for g in gaps if g < -(-len(x) // lanes)]
    (total, flushed), count = aligner.run(stage, x, exponents, bound, gaps=gaps)
    assert total == sum(aligner.result(config, t, e, bound) for t, e in zip(x, exponents, strict=True))
    assert (total, flushed) == aligner.result_sum(config, x, exponents, bound)
    assert count == aligner.cycles(len(x), lanes) + len(within)


@given(configs(), st.integers(-(2**15), 2**15 - 1), st.integers(-256, 255), st.integers(-256, 255))
def test_a_lane_with_room_for_any_shift_is_result(
    config: AlignerConfig, x: int, exponent: int, bound: int
) -> None:
    lane = LaneConfig(config, 16, 10, config.max_shift)
    assert aligner.within_reach(lane, LaneInputs(x, exponent, bound))
    _, out = aligner.lane_step(lane, LaneState(), LaneInputs(x, exponent, bound))
    assert out.y == aligner.result(config, x, exponent, bound)


def test_outputs_follow_each_other() -> None:
    """The sum of one output does not reach into the next, and terms of a cycle without any are no terms."""
    stage = StageConfig(LaneConfig(AlignerConfig(2, 5, 0), 8, 6, 2), 2, 16)
    state, sums = aligner.reset(stage, aligner.State(99)), []
    for valid, last, x in ((1, 0, (1, 2)), (0, 1, (50, 50)), (1, 1, (3, 0)), (1, 1, (-7, 7)), (1, 1, (5, 5))):
        state, out = aligner.step(stage, state, aligner.Inputs(valid, last, x, (0, 0), 0))
        if out.done:
            sums.append(out.sum)
    assert sums == [24, 0, 40]
