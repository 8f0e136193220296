"""Products for tests of the array: operands drawn from a seed, and the static kernel on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from calls import TEAM, matmul_static

from hwmodels.kernels.matmul_window import pack_lines_window, static_window
from hwmodels.kernels.target import PANEL
from hwmodels.kernels.window import NO_ANCHOR, lift_words, operands
from hwmodels.units import array_cycles, mac_array
from hwmodels.units.built_array import BuiltArray
from hwmodels.units.mac_array import MacArrayConfig, MatmulOperands
from hwmodels.units.ops import ZERO_BLOCK
from hwmodels.units.product import Code


def run_static(config: MacArrayConfig, o: MatmulOperands) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """The static kernel on the operands of `mac_array.result`."""
    if o.a_code and o.w_code and config.product(o.a_code, o.w_code).has_exponents:
        return run_window(config, o)
    m, k, n, depth = len(o.a), len(o.a[0]), len(o.w), len(o.segments)
    bias = np.array(o.bias or [0] * n, np.int32 if o.bias_bits == 32 else np.int16)
    bias_exponents = np.array(o.bias_exponents or [ZERO_BLOCK] * n, np.int16)
    lane, word = config.aligner, config.accumulator
    rest = (o.bias_bits, word.bits, lane.guard_bits, lane.max_shift)
    floor = np.array([mac_array.bias_floor(int(e), *rest) for e in bias_exponents])
    sums, exponents = np.zeros((m, n), np.int64), np.zeros((m, n), np.int16)
    counts = np.zeros(4, np.int64)
    matmul_static(
        config, (8, o.w_bits), 1, np.array(o.a, np.int16), np.array(o.a_exponents, np.int16), np.arange(m),
        np.arange(depth), np.array(o.w), np.array(o.w_exponents), floor, bias, bias_exponents,
        np.array([*o.segments, k]), np.array(o.update), sums, exponents, counts,
    )  # fmt: skip
    return sums, exponents, counts[:2].tolist()


def run_window(
    config: MacArrayConfig, o: MatmulOperands, shares: int = 1
) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """The static kernel of codes with exponents on the operands of `mac_array.result`."""
    assert o.a_code and o.w_code and o.bias and o.bias_exponents
    multiplier = config.product(o.a_code, o.w_code)
    words, lane, word = operands(multiplier), config.aligner, config.accumulator
    m, k, n, depth = len(o.a), len(o.a[0]), len(o.w), len(o.segments)
    panels = pack_lines_window(np.array(o.w, np.int16), words.b)
    edges = np.array([*o.segments, k])

    def paneled(x: Any, filler: int) -> Any:
        wide = np.full((len(panels) * PANEL, *np.shape(x)[1:]), filler, np.int64)
        wide[:n] = x
        return np.ascontiguousarray(np.moveaxis(wide.reshape(len(panels), PANEL, *wide.shape[1:]), 1, -1))

    exponents = paneled(o.w_exponents, ZERO_BLOCK).astype(np.int16)
    if o.w_anchor is not None:
        for panel, own in zip(panels, exponents, strict=True):
            lift_words(panel, own, edges, o.w_anchor, words.reach)
    rest = (word.bits, lane.guard_bits, lane.max_shift)
    floor = paneled([mac_array.bias_floor(e, o.bias_bits, *rest) for e in o.bias_exponents], -1000)
    bias = paneled(o.bias, 0).astype(np.int32 if o.bias_bits == 32 else np.int16)
    bias_exponents = paneled(o.bias_exponents, ZERO_BLOCK).astype(np.int16)
    sums, under, counts = np.zeros((m, n), np.int64), np.zeros((m, n), np.int16), np.zeros(4, np.int64)
    window = (multiplier.fraction, multiplier.rounding, words.reach)
    array = (config.normalise, lane.guard_bits, lane.max_shift, lane.rounding, word.bits, word.saturating)
    anchor = NO_ANCHOR if o.a_anchor is None else o.a_anchor
    for part in range(shares):
        static_window(
            TEAM, part, shares, 1, np.array(o.a).astype(np.uint8 if o.a_code.bits <= 8 else np.int16),
            np.array(o.a_exponents, np.int16), np.arange(m), np.arange(depth), words.a, panels, exponents,
            exponents.max(axis=1), floor, bias, bias_exponents, edges,
            np.array(o.update), sums, under, np.arange(m), n, window, anchor, *array, counts,
        )  # fmt: skip
    return sums, under, counts[:2].tolist()


def drawn(rng: np.random.Generator, code: Code, shape: tuple[int, ...]) -> np.ndarray:
    """Random codes that are numbers."""
    if not code.exponent_bits:
        top = 1 << code.bits - 1
        return rng.integers(1 - top, top, shape)
    return rng.integers(0, code.largest + 1, shape) | (
        rng.integers(0, 1 + code.signed, shape) << code.bits - 1
    )


def operands_of(built: BuiltArray, m: int, k: int, n: int, cuts: Sequence[int], seed: int) -> MatmulOperands:
    """A product with blocks of zeros, exponents near and far, and a bias; `cuts` are block boundaries."""
    rng, config = np.random.default_rng(seed), built.array
    segments = array_cycles.segment_starts(config, built.terms, k, cuts)
    index = np.searchsorted(segments, np.arange(k), side="right") - 1
    spread = rng.choice([1, 4, 40])

    def line(count: int, code: Code) -> tuple[list[list[int]], list[list[int]]]:
        e = rng.integers(-60, -60 + spread, (count, len(segments)))
        e = np.where(rng.random(e.shape) < 0.1, ZERO_BLOCK, e)
        codes = rng.integers(-(2 ** (code.bits - 1)), 2 ** (code.bits - 1), (count, k))
        if code.exponent_bits:
            codes = drawn(rng, code, (count, k))
        return np.where(e[:, index] == ZERO_BLOCK, 0, codes).tolist(), e.tolist()

    (a, ea), (w, ew) = line(m, built.a), line(n, built.w)
    bias = rng.integers(-(2 ** (built.bias_bits - 1)), 2 ** (built.bias_bits - 1), n).tolist()
    update = array_cycles.updates(config, built.terms, k, segments)
    bias_exponents = rng.integers(-130, -60, n).tolist()
    bits = built.w.bits, built.bias_bits, built.a.bits
    return MatmulOperands(a, ea, w, ew, bias, bias_exponents, segments, update, *bits, built.a, built.w)
