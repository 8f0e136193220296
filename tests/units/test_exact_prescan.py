"""The prescan by hand, and what a run asks of it."""

from __future__ import annotations

from hwmodels.units import prescan
from hwmodels.units.ops import ZERO_BLOCK
from hwmodels.units.ports import signed, unsigned
from hwmodels.units.prescan import Inputs, LaneInputs, LaneOutputs, LaneState, Outputs, PrescanConfig, State


def test_by_hand() -> None:
    assert prescan.result([3, -5, ZERO_BLOCK], [-9, 2, 40], -20) == -3
    assert prescan.result([3], [ZERO_BLOCK], -500) == -500
    assert prescan.join(7, 3, 4, ZERO_BLOCK) == prescan.join(7, 3, 3, ZERO_BLOCK) == 7
    assert prescan.join(7, 3, 5, ZERO_BLOCK) == 8
    assert prescan.join(7, 5, 3, zero=5) == prescan.join(7, 3, 5, zero=5) == 7


def test_widths() -> None:
    one, exponent, bound = unsigned(1), signed(8), signed(10)
    lane = prescan.lane_ports(PrescanConfig(2))
    assert lane.inputs == LaneInputs(one, one, bound, exponent, exponent)
    assert (lane.state, lane.outputs) == (LaneState(bound), LaneOutputs(bound))
    unit = prescan.ports(PrescanConfig(2))
    assert unit.inputs == Inputs(one, one, one, (bound,) * 2, (exponent,) * 2, (exponent,) * 2)
    assert unit.state == State((LaneState(bound),) * 2)
    assert unit.outputs == Outputs(one, (bound, bound))


def test_lanes_take_the_segments_of_one_output_after_the_other() -> None:
    """Three outputs of two segments on two lanes; the second lane ends idle."""
    asked, done = [], []

    def stepper(config: PrescanConfig, state: State, inputs: Inputs) -> tuple[State, Outputs]:
        asked.append(inputs)
        state, out = prescan.step(config, state, inputs)
        done.append(out.done)
        return state, out

    rows, columns, floors = [[1, 2]], [[3, 4], [5, 6], [7, 9]], [-7, -8, -9]
    assert prescan.run(PrescanConfig(2), rows, columns, floors, stepper, [3]) == ([[6, 8, 11]], 5)
    assert asked == [
        Inputs(1, 1, 0, (-7, -8), (1, 1), (3, 5)),
        Inputs(1, 0, 1, (-7, -8), (2, 2), (4, 6)),
        Inputs(1, 1, 0, (-9, 0), (1, 0), (7, 0)),
        Inputs(0, 0, 0, (0, 0), (0, 0), (0, 0)),
        Inputs(1, 0, 1, (-9, 0), (2, 0), (9, 0)),
    ]
    assert done == [0, 1, 0, 0, 1]
