"""An element that takes several codes, clock cycle by clock cycle."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hwmodels.units import packed_element, processing_element
from hwmodels.units.ops import bit_length
from hwmodels.units.packed_element import Folds, PackedConfig, Passage
from hwmodels.units.processing_element import ElementConfig
from hwmodels.units.product import Code, ProductConfig, integers, word


@st.composite
def passages(draw: st.DrawFn) -> tuple[PackedConfig, Folds]:
    moving, held = draw(st.integers(2, 4)), draw(st.integers(2, 4))
    depth, width, chains = draw(st.integers(1, 2)), draw(st.integers(1, 2)), draw(st.integers(1, 3))
    rows = draw(st.integers(depth, 64))
    bits = moving + held + bit_length(rows - 1)
    config = PackedConfig(integers(moving, held), bits, depth, width, chains, draw(st.booleans()))
    most = (rows - depth) << (moving + held - 2)

    def codes(bits: int, number: int) -> st.SearchStrategy[tuple[int, ...]]:
        return st.tuples(*[st.integers(-(1 << bits - 1), (1 << bits - 1) - 1)] * number)

    one = st.builds(
        Passage,
        codes(moving, depth),
        st.tuples(*[st.integers(0, 1)] * (depth * chains)).filter(any),
        st.tuples(*[st.integers(-most, most)] * (width * chains)),
    )
    fold = st.tuples(codes(held, width * depth), st.lists(one, min_size=1, max_size=5))
    return config, draw(st.lists(fold, min_size=1, max_size=4))


@given(passages())
def test_run_is_result_in_cycles(case: tuple[PackedConfig, Folds]) -> None:
    config, folds = case
    totals, count = packed_element.run(config, folds)
    assert totals == packed_element.result(config, folds)
    assert count == packed_element.cycles(config, folds)


def test_by_hand() -> None:
    """Two products in one sum, or one each in two sums; each code has its own switch."""
    both, first = Passage((3, -2), (1, 1), (10,)), Passage((3, -2), (1, 0), (10,))
    folds = [((7, 5), [both, first, both]), ((-8, -8), [both] * 4)]
    for overlap, cycles in ((True, 8), (False, 9)):
        got = packed_element.run(PackedConfig(integers(4, 4), 15, 2, 1, 1, overlap), folds)
        assert got == ([(21,), (31,), (21,), *[(2,)] * 4], cycles)
    outputs = [((7, -5), [Passage((3,), (1,), (10, 20))])]
    assert packed_element.result(PackedConfig(integers(4, 4), 14, 1, 2, 1, True), outputs) == [(31, 5)]


@given(passages())
def test_one_code_is_a_processing_element(case: tuple[PackedConfig, Folds]) -> None:
    """The first code of each passage alone, in the sums of the first output."""
    config, folds = case
    n = config.chains
    single = ElementConfig(config.product, config.sum_bits, n, config.overlap)
    plain = [
        (held[0], [processing_element.Passage(x.code[0], x.on[:n], x.sum[:n]) for x in passing])
        for held, passing in folds
    ]
    alone = [
        (held, [x._replace(on=x.on[:n] + (0,) * (len(x.on) - n)) for x in passing]) for held, passing in folds
    ]
    assert [total[:n] for total in packed_element.result(config, alone)] == processing_element.result(
        single, plain
    )


def test_codes_with_exponents_by_hand() -> None:
    """E2M1 codes 7, 5 and 15 are 3 x 2**2, 3 x 2**1 and -3 x 2**2: 144 - 72 = 72 in both, or one in each."""
    e2m1 = Code(4, 2, hidden=True, subnormal=True, largest=0x7)
    six, three, minus = (word(e2m1, x) for x in (7, 5, 15))
    product = ProductConfig(e2m1, e2m1, 48, 0)
    both = [((six, minus), [Passage((six, three), (1, 1), (10,))])]
    assert packed_element.run(PackedConfig(product, 20, 2, 1, 1, True), both) == ([(82,)], 2)
    outputs = [((six, minus), [Passage((six,), (1,), (0, 1))])]
    assert packed_element.run(PackedConfig(product, 20, 1, 2, 1, False), outputs) == ([(144, -143)], 2)
