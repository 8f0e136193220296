"""The aligners of a column, terms of an output per cycle, give the sum of `aligner.result` in `cycles`."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from hwmodels.units import aligner, prescan
from hwmodels.units.aligner import AlignerConfig, LaneConfig, LaneInputs, LaneState, StageConfig
from hwmodels.units.mac_array import bias_floor, start_bound
from hwmodels.units.ops import ROUNDINGS, ZERO_BLOCK
from hwmodels.units.ports import signed


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


STORED = st.one_of(st.integers(-127, 127), st.just(ZERO_BLOCK))


@given(
    configs(),
    st.sampled_from(list(aligner.NORMALISES.values())),
    st.lists(st.tuples(STORED, STORED), min_size=1, max_size=6),
    STORED,
    st.sampled_from([(32, 8), (32, 16), (48, 16), (16, 8)]),
)
def test_the_array_keeps_within_reach(
    config: AlignerConfig, normalise: int, segments: list[tuple[int, int]], bias: int, widths: tuple[int, int]
) -> None:
    """What a lane relies on, of every bound under which an output is held: terms, bias, and rising bounds."""
    word, bits = widths
    rows, columns = [r for r, _ in segments], [c for _, c in segments]
    floor = bias_floor(bias, bits, word, config.guard_bits, config.max_shift)
    top = start_bound(normalise, rows, columns, floor)
    own = LaneConfig(config, bits, prescan.WORD, min(word - bits - 2, config.max_shift))
    assert own.out_bits <= word
    assert aligner.within_reach(own, LaneInputs(1, bias, top))
    terms = LaneConfig(config, 32, prescan.WORD, config.guard_bits)
    for row, column in segments:
        if normalise == aligner.RUNNING:
            higher = prescan.join(top, row, column, ZERO_BLOCK)
            rising = LaneConfig(AlignerConfig(0, config.max_shift, config.rounding), word, prescan.WORD, 0)
            assert aligner.within_reach(rising, LaneInputs(1, top, higher))
            top = higher
        x = int(ZERO_BLOCK not in (row, column))
        assert aligner.within_reach(terms, LaneInputs(x, row + column, top))
        assert all(signed(prescan.WORD).holds(e) for e in (row + column, top))


def test_outputs_follow_each_other() -> None:
    """The sum of one output does not reach into the next, and terms of a cycle without any are no terms."""
    stage = StageConfig(LaneConfig(AlignerConfig(2, 5, 0), 8, 6, 2), 2, 16)
    state, sums = aligner.reset(stage, aligner.State(99)), []
    for valid, last, x in ((1, 0, (1, 2)), (0, 1, (50, 50)), (1, 1, (3, 0)), (1, 1, (-7, 7)), (1, 1, (5, 5))):
        state, out = aligner.step(stage, state, aligner.Inputs(valid, last, x, (0, 0), 0))
        if out.done:
            sums.append(out.sum)
    assert sums == [24, 0, 40]
