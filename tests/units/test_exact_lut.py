"""The LUT unit per clock cycle: what `run` gives, its widths and its reset."""

from __future__ import annotations

import pytest

from hwmodels.units import lut
from hwmodels.units.lut import LaneInputs, LaneOutputs, LaneState, LutConfig
from hwmodels.units.ports import FLAG, signed, unsigned, zeros


def config_of(lanes: int, latency: int, entries: int = 9) -> LutConfig:
    table = tuple((37 * i * i) % 251 - 125 for i in range(entries))
    return LutConfig(lanes, in_bits=8, fraction=3, step_bits=3, table=table, latency=latency)


@pytest.mark.parametrize("lanes", [1, 2, 3])
@pytest.mark.parametrize("latency", [4, 6])
def test_run(lanes: int, latency: int) -> None:
    config = config_of(lanes, latency)
    for n in (1, 2, 3, 4, 7, 60):
        codes = [(71 * i * i + 13 * i) % 400 - 200 for i in range(n)]
        exponents = [i % 3 - 4 for i in range(n)]
        got, cycles = lut.run(config, codes, exponents)
        assert got == lut.result(config, codes, exponents)
        assert cycles == lut.cycles(config, n) == -(-n // lanes) + latency


def test_addresses() -> None:
    """Of 9 entries, 5 are even; ``x`` from -32 is at ``x + 32``, three bits below its segment."""
    config = config_of(1, 4)
    assert [lut.address_bits(config_of(1, 4, n)) for n in (3, 5, 9, 17)] == [1, 2, 3, 4]
    state = zeros(lut.lane_ports(config).state)
    for x, even, odd, first, low in (
        (-32, 0, 0, 0, 0),
        (-17, 1, 0, 1, 7),
        (31, 4, 3, 1, 7),
        (32, 0, 0, 0, 0),
    ):
        after, out = lut.lane_step(config, state._replace(word=x), LaneInputs(0, 0, 0, 0))
        assert (out.even_address, out.odd_address) == (even, odd)
        assert (after.odd_first, after.low, after.in_table) == (first, low, int(-32 <= x < 32))
        assert after.tail == max(x, 0)


def test_widths() -> None:
    code, exponent, word, address = signed(16), signed(8), signed(8), unsigned(3)
    lane = lut.lane_ports(config_of(2, 6))
    assert lane.inputs == LaneInputs(code, exponent, word, word)
    assert lane.outputs == LaneOutputs(address, address, word, FLAG)
    assert lane.state == LaneState(
        word, FLAG, FLAG, FLAG, unsigned(3), word, FLAG, word, FLAG, (word,) * 3, (FLAG,) * 3
    )
    unit = lut.ports(config_of(2, 6))
    assert unit.inputs == (FLAG, (code,) * 2, (exponent,) * 2, (word,) * 2, (word,) * 2)
    assert unit.state == ((FLAG,) * 6, (lane.state,) * 2)
    assert unit.outputs == (FLAG, (address,) * 2, (address,) * 2, FLAG, (word,) * 2, (FLAG,) * 2)


def test_reset_empties_the_pipeline() -> None:
    config = config_of(2, 4)
    zero = zeros(lut.ports(config).state)
    full = zero._replace(busy=(1,) * 4, lane=(zero.lane[0]._replace(word=5),) * 2)
    assert lut.reset(config, full) == full._replace(busy=(0,) * 4)
