"""An element of the array, clock cycle by clock cycle, and words of codes against products of codes."""

from __future__ import annotations

from itertools import product as pairs

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from products import drawn
from test_product import CODES

from hwmodels.units import processing_element, product
from hwmodels.units.ops import bit_length
from hwmodels.units.processing_element import ElementConfig, Folds, Passage
from hwmodels.units.product import WINDOW_ROUNDINGS, Code, ProductConfig, integers, word, word_bits

names = st.sampled_from(sorted(CODES))
rules = st.sampled_from(sorted(WINDOW_ROUNDINGS.values()))


def draws(draw: st.DrawFn) -> np.random.Generator:
    """Random numbers that an example fixes."""
    return np.random.default_rng(draw(st.integers(0, 2**32)))


@st.composite
def passages(draw: st.DrawFn) -> tuple[ElementConfig, Folds]:
    """Integers of 4 or 8 bits, or codes of any two formats in any window."""
    rows, chains, rng = draw(st.integers(1, 64)), draw(st.integers(1, 3)), draws(draw)
    multiplier = integers(draw(st.sampled_from([4, 8])), draw(st.sampled_from([4, 8])))
    if draw(st.booleans()):
        multiplier = ProductConfig(
            CODES[draw(names)], CODES[draw(names)], draw(st.integers(8, 50)), draw(rules)
        )
    bits = multiplier.summed_bits + bit_length(rows - 1)
    config = ElementConfig(multiplier, bits, chains, draw(st.booleans()))
    most = (rows - 1) << multiplier.summed_bits - 2

    def code(own: Code) -> int:
        if multiplier.has_exponents:
            return word(own, int(drawn(rng, own, (1,))[0]))
        return int(rng.integers(-(1 << own.bits - 1), 1 << own.bits - 1))

    def one() -> Passage:
        on = rng.integers(0, 2, chains)
        on[rng.integers(chains)] = 1
        return Passage(
            code(multiplier.a), tuple(on.tolist()), tuple(rng.integers(-most, most + 1, chains).tolist())
        )

    folds = draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    return config, [(code(multiplier.b), [one() for _ in range(count)]) for count in folds]


@given(names, names, st.integers(5, 60), rules, st.integers(0, 2**32))
def test_a_product_of_words_is_that_of_the_codes(a: str, b: str, window: int, rule: int, seed: int) -> None:
    config, rng = ProductConfig(CODES[a], CODES[b], window, rule), np.random.default_rng(seed)
    x, y = (int(drawn(rng, code, (1,))[0]) for code in (config.a, config.b))
    words = word(config.a, x), word(config.b, y)
    assert product.product_of_words(config, *words) == product.product(config, x, y)
    assert all(w < 1 << word_bits(c) for w, c in zip(words, (config.a, config.b), strict=True))


@pytest.mark.parametrize("name", sorted(n for n in CODES if CODES[n].exponent_bits))
def test_a_lifted_word_is_worth_as_much_more(name: str) -> None:
    """Of every code with room above it, under every lift that it has room for."""
    code = CODES[name]
    one = ProductConfig(code, CODES["int8"], 300, 0)
    few = range(0, code.largest + 1, max(1, code.largest // 40))
    for x, lift in pairs(few, range(0, code.reach + 1, max(1, code.reach // 9))):
        if product.exponent(code, x) + lift <= code.reach:
            got = product.product_of_words(one, word(code, x, lift), word(CODES["int8"], -3))
            assert got == product.product(one, x, -3) << lift


@given(passages())
def test_run_is_result_in_cycles(case: tuple[ElementConfig, Folds]) -> None:
    config, folds = case
    totals, count = processing_element.run(config, folds)
    assert totals == processing_element.result(config, folds)
    assert count == processing_element.cycles(config, folds)


def test_by_hand() -> None:
    folds = [(3, [Passage(x, (1,), (10,)) for x in (1, -2, 0)]), (-1, [Passage(7, (1,), (0,))] * 4)]
    for overlap, cycles in ((True, 8), (False, 9)):
        got = processing_element.run(ElementConfig(integers(8, 8), 22, 1, overlap), folds)
        assert got == ([(13,), (4,), (10,), *[(-7,)] * 4], cycles)


def test_codes_with_exponents_by_hand() -> None:
    """E4M3: 0x38 is 8 x 2**6 and 0xB9 is -9 x 2**6; a window of 24 bits keeps -36 of their product."""
    e4m3 = CODES["mxfp8e4m3"]
    config = ElementConfig(ProductConfig(e4m3, e4m3, 24, 0), 30, 1, True)
    folds = [(word(e4m3, 0xB9), [Passage(word(e4m3, 0x38), (1,), (100,))])]
    assert word(e4m3, 0xB9) == (6 << 5) + (32 - 9)
    assert processing_element.run(config, folds) == ([(64,)], 2)
