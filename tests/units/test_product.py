"""Products of codes with exponents: the unit against rationals, and the kernels against the unit."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from itertools import product as pairs

import numpy as np
import pytest
from calls import TEAM
from hypothesis import given
from hypothesis import strategies as st
from products import drawn, run_window

from hwmodels.formats.catalogue import EXAMPLES, element
from hwmodels.formats.coding import Floating
from hwmodels.kernels.matmul_window import STRIP, dynamic_window
from hwmodels.kernels.target import PANEL
from hwmodels.kernels.window import NO_ANCHOR, operands
from hwmodels.units import mac_array
from hwmodels.units.accumulator import AccumulatorConfig
from hwmodels.units.aligner import NORMALISES, AlignerConfig
from hwmodels.units.mac_array import MacArrayConfig, MatmulOperands
from hwmodels.units.ops import RNE, ZERO_BLOCK
from hwmodels.units.product import (
    WINDOW_ROUNDINGS,
    Code,
    ProductConfig,
    exponent,
    is_number,
    product,
    significand,
)

CODES: dict[str, Code] = {
    name: known.coding.code
    for name in EXAMPLES
    if (known := element(name))
    and known.coding.bits <= 9
    and not name.endswith("-paper")
    and not (isinstance(known.coding, Floating) and known.coding.largest == 0)
}
names = st.sampled_from(sorted(CODES))


def value_of(name: str, code: int) -> Fraction:
    """What a code means, under a shared exponent of zero."""
    coding = element(name).coding  # type: ignore[union-attr]
    if isinstance(coding, Floating):
        found = coding.value(code)
        assert found is not None
        return found
    return Fraction(code)


def one(code: Code) -> st.SearchStrategy[int]:
    """Any code that is a number."""
    return st.integers(0, 2**32).map(lambda seed: int(drawn(np.random.default_rng(seed), code, (1,))[0]))


@given(st.data(), names, names)
def test_an_exact_product_is_that_of_the_values(data: st.DataObject, a: str, b: str) -> None:
    config = ProductConfig(CODES[a], CODES[b], 300, 0)
    x, y = data.draw(one(CODES[a])), data.draw(one(CODES[b]))
    got = product(config, x, y)
    assert config.dropped == 0
    assert got / Fraction(2) ** config.fraction == value_of(a, x) * value_of(b, y)
    assert abs(got) < 1 << config.bits - 1


@given(st.data(), names, names, st.integers(4, 60), st.sampled_from(sorted(WINDOW_ROUNDINGS)))
def test_what_falls_out_of_a_window(data: st.DataObject, a: str, b: str, window: int, rule: str) -> None:
    config = ProductConfig(CODES[a], CODES[b], window, WINDOW_ROUNDINGS[rule])
    x, y = data.draw(one(CODES[a])), data.draw(one(CODES[b]))
    exact = value_of(a, x) * value_of(b, y) * Fraction(2) ** config.fraction
    got, below = product(config, x, y), exact.numerator // exact.denominator
    if config.dropped == 0:
        assert got == exact
    elif rule == "floor":
        assert got == below
    elif rule == "half_up":
        assert got == (exact + Fraction(1, 2)).numerator // (exact + Fraction(1, 2)).denominator
    elif rule == "rne":
        assert got == round(exact)
    else:
        assert got == (below if exact == below else below | 1)
    assert config.bits <= max(window, 17)


def test_which_codes_are_numbers() -> None:
    found = [is_number(Code(4), x) for x in range(-8, 8)]
    assert found == [False] + [True] * 15
    e4m3 = Code(8, 4, hidden=True, subnormal=True, largest=0x7E)
    assert [is_number(e4m3, x) for x in (0x7E, 0x7F, 0xFE, 0xFF)] == [True, False, True, False]
    octaves = Code(4, 4, hidden=True, subnormal=True, largest=14, signed=False)
    assert [is_number(octaves, x) for x in (0, 14, 15)] == [True, True, False]


def test_integers_lose_nothing_in_any_window() -> None:
    assert product(ProductConfig(Code(8), Code(8), 4, 0), -127, 127) == -16129


ROUNDED = list(WINDOW_ROUNDINGS.values())


def config_of(normalise: str, window: int, rounding: int) -> MacArrayConfig:
    return MacArrayConfig(
        16, 8, "ws", True, 1, False, NORMALISES[normalise], "none", 64, AlignerConfig(8, 31, RNE),
        AccumulatorConfig(32, True, 64, 2, 1), window=window, window_rounding=rounding,
    )  # fmt: skip


NOT = (False, False)


def operands_of(
    rng: np.random.Generator,
    a: Code,
    b: Code,
    m: int,
    k: int,
    n: int,
    anchored: tuple[bool, bool] = NOT,
) -> MatmulOperands:
    """A product of three segments with a bias; one block is zero. Codes may count from an anchor."""
    segments = [0, k // 3, k // 2]
    ea, ew = rng.integers(-6, 4, (m, 3)), rng.integers(-9, -3, (n, 3))
    left, right = drawn(rng, a, (m, k)), drawn(rng, b, (n, k))
    ea[0, 1] = ZERO_BLOCK
    left[0, k // 3 : k // 2] = 0
    bias, eb = rng.integers(-127, 128, n), rng.integers(-9, 3, n)
    anchors = [3 if is_anchored else None for is_anchored in anchored]
    if anchored[0]:
        ea = bounds_of(a, left, segments, 3)
    if anchored[1]:
        ew = bounds_of(b, right, segments, 3)
    return MatmulOperands(
        left.tolist(), ea.tolist(), right.tolist(), ew.tolist(), bias.tolist(), eb.tolist(), segments,
        [True, False, True], b.bits, 8, a.bits, a, b, *anchors,
    )  # fmt: skip


def bounds_of(code: Code, codes: np.ndarray, segments: list[int], anchor: int) -> np.ndarray:
    """The least exponent that bounds each block; one block is turned into small numbers first."""
    edges = [*segments, codes.shape[1]]
    if code.exponent_bits:
        codes[0, : edges[1]] &= (1 << code.stored_bits + 1) - 1
    blocks = [codes[:, first:last] for first, last in pairwise(edges)]
    tops = [[max((exponent(code, x) for x in row.tolist()), default=0) for row in block] for block in blocks]
    return np.array(tops).T + anchor - code.reach


def value_in(code: Code, x: int) -> Fraction:
    return significand(code, x) * Fraction(2) ** (exponent(code, x) - code.fraction)


@given(names, names, st.tuples(st.booleans(), st.booleans()), st.integers(0, 2**32))
def test_codes_that_count_from_an_anchor_mean_what_they_mean(
    a: str, b: str, anchored: tuple[bool, bool], seed: int
) -> None:
    """Over rationals, in a window and a word that lose nothing."""
    rng, config = np.random.default_rng(seed), config_of("bound", 600, 0)
    config = replace(
        config, aligner=AlignerConfig(60, 62, RNE), accumulator=replace(config.accumulator, bits=400)
    )
    if CODES[a].reach + CODES[b].reach > 40:
        return
    o = operands_of(rng, CODES[a], CODES[b], 2, 9, 2, anchored)
    got = mac_array.result(config, o)
    edges = np.searchsorted(o.segments, np.arange(9), side="right") - 1
    for i, j in pairs(range(2), range(2)):
        ea = [3 if anchored[0] else o.a_exponents[i][s] for s in edges]
        ew = [3 if anchored[1] else o.w_exponents[j][s] for s in edges]
        terms = zip(o.a[i], ea, o.w[j], ew, strict=True)
        want = sum(
            value_in(CODES[a], x) * Fraction(2) ** e * value_in(CODES[b], y) * Fraction(2) ** f
            for x, e, y, f in terms
        )
        assert o.bias and o.bias_exponents
        want += o.bias[j] * Fraction(2) ** o.bias_exponents[j]
        assert got.flushed == 0
        assert got.sums[i][j] * Fraction(2) ** got.exponents[i][j] == want


@pytest.mark.parametrize(("a", "b"), [(a, b) for a, b in pairs(sorted(CODES), sorted(CODES))])
def test_any_two_formats_multiply(a: str, b: str) -> None:
    rng = np.random.default_rng(len(a) * 31 + len(b))
    for window, rounding in ((48, 0), (20, 2), (11, 3)):
        config = config_of("bound", window, rounding)
        o = operands_of(rng, CODES[a], CODES[b], 5, 13, 3)
        want = mac_array.result(config, o)
        sums, exponents, counts = run_window(config, o)
        assert sums.tolist() == want.sums
        assert exponents.tolist() == want.exponents
        assert counts == [want.flushed, want.overflows]


@given(
    names, names, st.sampled_from(sorted(NORMALISES)), st.integers(6, 56), st.sampled_from(ROUNDED),
    st.integers(0, 2**32), st.integers(1, 2), st.tuples(st.booleans(), st.booleans()),
)  # fmt: skip
def test_kernel_is_result(
    a: str, b: str, normalise: str, window: int, rounding: int, seed: int, shares: int,
    anchored: tuple[bool, bool],
) -> None:  # fmt: skip
    rng = np.random.default_rng(seed)
    config = config_of(normalise, window, rounding)
    config = replace(config, aligner=AlignerConfig(int(rng.integers(-4, 12)), int(rng.integers(6, 40)), RNE))
    word = replace(config.accumulator, bits=int(rng.choice([11, 18, 32])), saturating=bool(rng.integers(2)))
    config = replace(config, accumulator=word)
    o = operands_of(rng, CODES[a], CODES[b], int(rng.integers(1, 9)), int(rng.integers(6, 20)), 3, anchored)
    want = mac_array.result(config, o)
    sums, exponents, counts = run_window(config, o, shares)
    assert sums.tolist() == want.sums
    assert exponents.tolist() == want.exponents
    assert counts == [want.flushed, want.overflows]


def test_words_that_overflow_are_counted() -> None:
    """More rows than are packed at a time, and than a panel has columns."""
    rng, config = np.random.default_rng(3), config_of("bound", 40, 0)
    config = replace(
        config, aligner=AlignerConfig(4, 31, RNE), accumulator=replace(config.accumulator, bits=10)
    )
    o = operands_of(rng, CODES["mxfp8e4m3"], CODES["int8"], 2 * STRIP + 3, 9, PANEL + 2)
    want = mac_array.result(config, o)
    for shares in (1, 2):
        sums, exponents, counts = run_window(config, o, shares)
        assert sums.tolist() == want.sums
        assert exponents.tolist() == want.exponents
        assert counts == [want.flushed, want.overflows]
    assert want.overflows > 9


def test_an_aligner_that_reaches_nowhere() -> None:
    """What is not where the word begins is lost, and counted."""
    rng, config = (
        np.random.default_rng(4),
        replace(config_of("bound", 8, 0), aligner=AlignerConfig(0, 0, RNE)),
    )
    o = operands_of(rng, CODES["mxfp8e4m3"], CODES["int8"], 5, 13, 3)
    want = mac_array.result(config, o)
    sums, exponents, counts = run_window(config, o)
    assert sums.tolist() == want.sums
    assert exponents.tolist() == want.exponents
    assert counts == [want.flushed, want.overflows]
    assert want.flushed > 9


@pytest.mark.parametrize("anchored", [False, True])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize(("a", "b"), [("mxfp8e4m3", "bl8"), ("int8", "mxfp4"), ("bfp9", "bm8e4m3")])
def test_both_operands_are_activations(a: str, b: str, transposed: bool, anchored: bool) -> None:
    """Two samples of two groups that lie side by side, over one panel and a part of another."""
    rng, config = np.random.default_rng(5), config_of("bound", 40, 2)
    m, k, n = 3, 8, PANEL + 2
    multiplier, lane, word = config.product(CODES[a], CODES[b]), config.aligner, config.accumulator
    words = operands(multiplier)
    left = drawn(rng, CODES[a], (2 * m, 2 * k)).astype(np.int16)
    ea = rng.integers(-3, 3, (2 * m, 4)).astype(np.int16)
    size = (2 * k, n) if transposed else (2 * n, k)  # groups below each other
    right = drawn(rng, CODES[b], (2 * size[0], size[1])).astype(np.int16)
    lines = np.stack([np.arange(n), np.arange(n) if transposed else n + np.arange(n)])
    eb = rng.integers(-3, 3, (2 * 4, n) if transposed else (2 * 2 * n, 2)).astype(np.int16)
    blocks = np.array([[0, 1], [2, 3]])
    edges, update = np.array([0, 4, 8]), np.array([True, True])
    sums, under, counts = (
        np.zeros((2 * m, 2 * n), np.int64), np.zeros((2 * m, 2 * n), np.int16), np.zeros(4, np.int64)
    )  # fmt: skip
    anchors = [2 if anchored and CODES[name].exponent_bits > 3 else None for name in (a, b)]
    for codes, name, anchor in zip((left, right), (a, b), anchors, strict=True):
        if anchor is not None:  # as many octaves lower as the anchor lies above blocks' exponents, or more
            np.bitwise_and(codes, ~(1 << CODES[name].bits - 2), out=codes)
    places = np.array([[0, 0], [0, k]]), np.array([[0, 0], [size[0] // 2, 0]]), np.array([[0, 0], [0, n]])
    b_blocks = blocks if transposed else np.array([[0, 1], [0, 1]])
    array = (config.normalise, lane.guard_bits, lane.max_shift, lane.rounding, word.bits, word.saturating)
    dynamic_window(
        TEAM, 0, 1, 2, k, left, ea, np.stack([np.arange(m)] * 2), blocks, places[0], words.a, right, eb,
        lines, b_blocks, places[1], words.b, transposed, np.full(PANEL, -1000), edges, update, sums, under,
        np.arange(2 * m), places[2], (multiplier.fraction, 2, words.reach),
        tuple(NO_ANCHOR if x is None else x for x in anchors), *array, counts,
    )  # fmt: skip
    for q, g in pairs(range(2), range(2)):
        own = left[q * m : (q + 1) * m, g * k : (g + 1) * k]
        its = ea[q * m : (q + 1) * m, blocks[g]]
        whole = right[q * size[0] :][: size[0]][places[1][g, 0] :]
        other = whole[:k, :n].T if transposed else whole[:n, :k]
        tall = len(eb) // 2
        mine = eb[q * tall : (q + 1) * tall]
        ew = mine[b_blocks[g]][:, lines[g]].T if transposed else mine[lines[g]][:, b_blocks[g]]
        o = MatmulOperands(
            own.tolist(), its.tolist(), other.tolist(), ew.tolist(), None, None, [0, 4], [True, True],
            CODES[b].bits, 8, CODES[a].bits, CODES[a], CODES[b], *anchors,
        )  # fmt: skip
        want = mac_array.result(config, o)
        assert sums[q * m : (q + 1) * m, g * n : (g + 1) * n].tolist() == want.sums
        assert under[q * m : (q + 1) * m, g * n : (g + 1) * n].tolist() == want.exponents


def test_a_window_that_is_too_wide_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 60"):
        operands(ProductConfig(CODES["bl8"], CODES["bl8"], 64, 0))
