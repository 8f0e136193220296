"""The LUT unit clock cycle by clock cycle gives `result` in `cycles`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hwmodels.units import lut
from hwmodels.units.lut import LutConfig
from hwmodels.units.ops import ZERO_BLOCK

CONFIGS = st.builds(
    LutConfig,
    lanes=st.integers(1, 5),
    in_bits=st.just(12),
    fraction=st.integers(2, 8),
    step_bits=st.sampled_from([1, 5]),
    table=st.tuples(*[st.integers(-2048, 2047)] * 17),
    latency=st.integers(lut.STAGES, 7),
)
ELEMENTS = st.lists(
    st.tuples(st.integers(-32768, 32767), st.sampled_from([ZERO_BLOCK, -127, -20, -9, -8, -1, 0, 3, 127])),
    min_size=1,
    max_size=14,
)


@given(CONFIGS, ELEMENTS, st.lists(st.integers(0, 3), max_size=4))
def test_run_is_result(config: LutConfig, elements: list[tuple[int, int]], gaps: list[int]) -> None:
    codes, exponents = [list(row) for row in zip(*elements, strict=True)]
    chunks = -(-len(codes) // config.lanes)
    within = [g for g in gaps if g < chunks]
    got, count = lut.run(config, codes, exponents, gaps=gaps)
    assert got == lut.result(config, codes, exponents)
    assert count == lut.cycles(config, len(codes)) + len(within)
