"""The sequencer, clock cycle by clock cycle: its schedule, and the cycles of the array."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hwmodels.units import sequencer
from hwmodels.units.ports import zeros
from hwmodels.units.sequencer import SequencerConfig

configs = st.builds(
    SequencerConfig, st.integers(2, 9), st.integers(1, 9), st.booleans(), st.integers(1, 12),
    slot_bits=st.just(4), moving_bits=st.just(4),
)  # fmt: skip


@given(configs, st.integers(1, 16), st.lists(st.integers(1, 5), min_size=1, max_size=4))
def test_run_is_result_in_cycles(config: SequencerConfig, moving: int, intervals: list[int]) -> None:
    schedule, count = sequencer.run(config, moving, intervals)
    assert schedule == sequencer.result(config, moving, intervals)
    assert count == sequencer.cycles(config, moving, intervals)


def test_by_hand() -> None:
    config = SequencerConfig(4, 3, True, 1, 3, 4)
    assert sequencer.cycles(config, 5, [2, 1]) == 24
    schedule, count = sequencer.run(config, 5, [2, 1])
    assert (count, schedule.loads) == (24, [0, 4])
    assert schedule.streams[:3] == [(4, 0, 0, 0), (5, 0, 0, 1), (6, 0, 1, 0)]
    assert [entry[0] for entry in schedule.streams if entry[1]] == [14, 15, 16, 17, 18]


def test_an_operation_follows_in_the_last_cycle_of_another() -> None:
    """And is not taken before that."""
    config = SequencerConfig(3, 2, True, 1, 3, 4)
    each = sequencer.cycles(config, 4, [1])
    state, done = zeros(sequencer.ports(config).state), []
    for now in range(3 * each + 1):
        state, out = sequencer.step(config, state, sequencer.Inputs(int(now < each + 1), 3, 0, 0))
        if out.done:
            done.append(now)
    assert done == [each, 2 * each]
