"""The element-wise unit clock cycle by clock cycle gives its results in `cycles`."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from hwmodels.units import elementwise
from hwmodels.units.elementwise import ElementwiseConfig
from hwmodels.units.ops import ROUNDINGS, ZERO_BLOCK


@st.composite
def configs(draw: st.DrawFn) -> ElementwiseConfig:
    shift = draw(st.integers(1, 62))
    return ElementwiseConfig(
        draw(st.integers(1, 5)),
        draw(st.integers(0, min(shift, 15))),
        shift,
        draw(st.sampled_from(list(ROUNDINGS.values()))),
        draw(st.integers(elementwise.STAGES, 6)),
    )


CODE = st.integers(-32768, 32767)
EXPONENT = st.one_of(st.integers(-127, 127), st.integers(-4, 4), st.just(ZERO_BLOCK))
ELEMENTS = st.lists(st.tuples(CODE, EXPONENT, CODE, EXPONENT), min_size=1, max_size=14)
WIDEST = ElementwiseConfig(1, 15, 15, ROUNDINGS["rne"], 3)


@given(configs(), st.booleans(), ELEMENTS, st.lists(st.integers(0, 3), max_size=4))
@example(WIDEST, False, [(-32768, 127, -32768, 127), (32767, -127, 32767, -127)], [])
@example(WIDEST, True, [(-32768, 127, -32768, 127), (-32768, -127, 32767, -127), (0, 5, 7, ZERO_BLOCK)], [])
def test_run_is_result(
    config: ElementwiseConfig, multiply: bool, elements: list[tuple[int, ...]], gaps: list[int]
) -> None:
    rows = tuple(list(row) for row in zip(*elements, strict=True))
    within = [g for g in gaps if g < -(-len(elements) // config.lanes)]
    got, count = elementwise.run(config, multiply, *rows, gaps=gaps)
    want = (*elementwise.result_mul(*rows), 0) if multiply else elementwise.result_add(config, *rows)
    assert got == want
    assert count == elementwise.cycles(config, len(elements)) + len(within)


def test_two_rows_follow_each_other_without_a_gap() -> None:
    """A multiply right behind an add: each element keeps its own operation."""
    config = ElementwiseConfig(1, 8, 31, ROUNDINGS["rne"], 3)
    state = elementwise.reset(config, elementwise.zeros(elementwise.ports(config).state))
    taken = []
    for cycle in range(8):
        inputs = elementwise.Inputs(int(cycle < 4), cycle & 1, (300 + cycle,), (-cycle,), (7,), (-3,))
        state, out = elementwise.step(config, state, inputs)
        if out.done:
            taken.append((out.sum[0], out.exponent[0]))
    want = []
    for cycle in range(4):
        row = ([300 + cycle], [-cycle], [7], [-3])
        sums, exponents = (
            elementwise.result_mul(*row) if cycle & 1 else elementwise.result_add(config, *row)[:2]
        )
        want.append((sums[0], exponents[0]))
    assert taken == want
