"""An element for codes with exponents, cycle by clock cycle, and its words against products of codes."""

from __future__ import annotations

from itertools import product as pairs

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_product import CODES, drawn

from hwmodels.units import product, window_element
from hwmodels.units.processing_element import Folds, Passage
from hwmodels.units.product import WINDOW_ROUNDINGS, ProductConfig, word, word_bits
from hwmodels.units.window_element import WindowElementConfig

names = st.sampled_from(sorted(CODES))
roundings = st.sampled_from(sorted(WINDOW_ROUNDINGS.values()))


@given(names, names, st.integers(5, 60), roundings, st.integers(0, 2**32))
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


@st.composite
def passages(draw: st.DrawFn) -> tuple[WindowElementConfig, Folds]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    own = ProductConfig(CODES[draw(names)], CODES[draw(names)], draw(st.integers(8, 50)), draw(roundings))
    config = WindowElementConfig(own, own.bits + 5, draw(st.integers(1, 3)), draw(st.booleans()))
    most = 1 << own.bits + 2

    def one() -> Passage:
        on = tuple(rng.permutation([1] + [0] * (config.chains - 1)).tolist())
        sums = tuple(int(rng.integers(-most, most)) for _ in on)
        return Passage(word(own.a, int(drawn(rng, own.a, (1,))[0])), on, sums)

    folds = [
        (word(own.b, int(drawn(rng, own.b, (1,))[0])), [one() for _ in range(draw(st.integers(1, 5)))])
        for _ in range(draw(st.integers(1, 4)))
    ]
    return config, folds


@given(passages())
def test_run_is_result_in_cycles(case: tuple[WindowElementConfig, Folds]) -> None:
    config, folds = case
    totals, count = window_element.run(config, folds)
    assert totals == window_element.result(config, folds)
    assert count == window_element.cycles(config, folds)


def test_by_hand() -> None:
    """E4M3: 0x38 is 8 x 2**6 and 0xB9 is -9 x 2**6; a window of 24 bits keeps -36 of their product."""
    e4m3 = CODES["mxfp8e4m3"]
    config = WindowElementConfig(ProductConfig(e4m3, e4m3, 24, 0), 30, 1, True)
    folds = [(word(e4m3, 0xB9), [Passage(word(e4m3, 0x38), (1,), (100,))])]
    assert word(e4m3, 0xB9) == (6 << 5) + (32 - 9)
    assert window_element.run(config, folds) == ([(64,)], 2)
