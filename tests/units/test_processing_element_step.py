"""An element of the array, clock cycle by clock cycle."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hwmodels.units import processing_element
from hwmodels.units.ops import bit_length
from hwmodels.units.processing_element import ElementConfig, Folds, Passage


@st.composite
def passages(draw: st.DrawFn) -> tuple[ElementConfig, Folds]:
    moving, held = draw(st.sampled_from([4, 8])), draw(st.sampled_from([4, 8]))
    rows, chains = draw(st.integers(1, 64)), draw(st.integers(1, 3))
    config = ElementConfig(moving, held, moving + held + bit_length(rows - 1), chains, draw(st.booleans()))
    most = (rows - 1) << (moving + held - 2)

    def code(bits: int) -> st.SearchStrategy[int]:
        return st.integers(-(1 << bits - 1), (1 << bits - 1) - 1)

    one = st.builds(
        Passage,
        code(moving),
        st.tuples(*[st.integers(0, 1)] * chains).filter(any),
        st.tuples(*[st.integers(-most, most)] * chains),
    )
    folds = st.lists(st.tuples(code(held), st.lists(one, min_size=1, max_size=5)), min_size=1, max_size=4)
    return config, draw(folds)


@given(passages())
def test_run_is_result_in_cycles(case: tuple[ElementConfig, Folds]) -> None:
    config, folds = case
    totals, count = processing_element.run(config, folds)
    assert totals == processing_element.result(config, folds)
    assert count == processing_element.cycles(config, folds)


def test_by_hand() -> None:
    folds = [(3, [Passage(x, (1,), (10,)) for x in (1, -2, 0)]), (-1, [Passage(7, (1,), (0,))] * 4)]
    for overlap, cycles in ((True, 8), (False, 9)):
        got = processing_element.run(ElementConfig(8, 8, 22, 1, overlap), folds)
        assert got == ([(13,), (4,), (10,), *[(-7,)] * 4], cycles)
