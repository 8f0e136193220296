"""The prescan, cycle by cycle, against the bound of each output."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hwmodels.units import prescan
from hwmodels.units.ops import ZERO_BLOCK
from hwmodels.units.ports import flat, zeros
from hwmodels.units.prescan import PrescanConfig

exponents = st.one_of(st.integers(-128, 127), st.sampled_from([ZERO_BLOCK, -127, 127, 0]))


@given(
    st.integers(1, 7), st.integers(1, 4), st.integers(1, 4), st.integers(1, 5), st.data(),
)  # fmt: skip
def test_a_tile(lanes: int, m: int, n: int, segments: int, data: st.DataObject) -> None:
    config = PrescanConfig(lanes)

    def draw(count: int) -> list[list[int]]:
        row = st.lists(exponents, min_size=segments, max_size=segments)
        return data.draw(st.lists(row, min_size=count, max_size=count))

    rows, columns = draw(m), draw(n)
    floors = data.draw(st.lists(st.integers(-174, 160), min_size=n, max_size=n))
    length = prescan.cycles(config, m, n, segments)
    gaps = data.draw(st.lists(st.integers(0, length - 1), max_size=3, unique=True))
    bounds, count = prescan.run(config, rows, columns, floors, gaps=gaps)
    assert bounds == [[prescan.result(a, b, floors[j]) for j, b in enumerate(columns)] for a in rows]
    assert count == length + len(gaps)


@given(st.integers(1, 3), st.data())
def test_every_port_holds_what_a_step_gives(lanes: int, data: st.DataObject) -> None:
    config, flag = PrescanConfig(lanes), st.integers(0, 1)
    ports = prescan.ports(config)
    state = zeros(ports.state)
    words = st.tuples(*[st.integers(-512, 511)] * lanes)
    codes = st.tuples(*[exponents] * lanes)
    for _ in range(5):
        inputs = data.draw(st.builds(prescan.Inputs, flag, flag, flag, words, codes, codes))
        state, out = prescan.step(config, state, inputs)
        for kind, x in zip(flat((ports.state, ports.outputs)), flat((state, out)), strict=True):
            assert kind.holds(x)


def test_cycles_by_hand() -> None:
    """A lane takes the segments of one output, so that the last outputs leave lanes idle."""
    assert prescan.cycles(PrescanConfig(64), 49, 64, 8) == 392
    assert prescan.cycles(PrescanConfig(7), 3, 3, 8) == 16
    assert prescan.cycles(PrescanConfig(64), 1, 1, 8) == 8
