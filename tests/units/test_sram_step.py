"""The SRAM, cycle by cycle, against a list of words."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hwmodels.units import sram
from hwmodels.units.ports import flat
from hwmodels.units.sram import Access, SramConfig


@st.composite
def memories(draw: st.DrawFn) -> tuple[SramConfig, list[Access]]:
    config = SramConfig(draw(st.integers(1, 9)), draw(st.sampled_from([4, 16, 48])))
    top = 1 << config.bits - 1
    address, flag = st.integers(0, config.words - 1), st.integers(0, 1)
    access = st.builds(Access, flag, address, flag, address, st.integers(-top, top - 1))
    return config, draw(st.lists(access, max_size=20))


@given(memories())
def test_words_are_those_of_a_list(given: tuple[SramConfig, list[Access]]) -> None:
    config, accesses = given
    words, count = sram.run(config, accesses)
    assert words == sram.result(config, accesses)
    assert count == sram.cycles(len(accesses))


def test_a_word_read_while_it_is_written_is_the_old_one() -> None:
    accesses = [Access(0, 0, 1, 3, 7), Access(1, 3, 1, 3, 9), Access(1, 3, 0, 0, 0)]
    assert sram.run(SramConfig(4, 8), accesses) == ([7, 9], 4)


@given(memories())
def test_every_port_holds_what_a_step_gives(given: tuple[SramConfig, list[Access]]) -> None:
    config, accesses = given
    ports = sram.ports(config)
    state = sram.State((0,) * config.words, 0)
    for access in accesses:
        state, out = sram.step(config, state, access)
        for kind, x in zip(flat((ports.state, ports.outputs)), flat((state, out)), strict=True):
            assert kind.holds(x)
