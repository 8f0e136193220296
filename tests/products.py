"""Products for tests of the array: operands drawn from a seed, and the static kernel on them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from calls import matmul_static

from hwmodels.units import array_cycles, mac_array
from hwmodels.units.array_step import BuiltArray
from hwmodels.units.mac_array import MacArrayConfig, MatmulOperands
from hwmodels.units.ops import ZERO_BLOCK


def run_static(config: MacArrayConfig, o: MatmulOperands) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """The static kernel on the operands of `mac_array.result`."""
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


def operands_of(built: BuiltArray, m: int, k: int, n: int, cuts: Sequence[int], seed: int) -> MatmulOperands:
    """A product with blocks of zeros, exponents near and far, and a bias; `cuts` are block boundaries."""
    rng, config = np.random.default_rng(seed), built.array
    segments = array_cycles.segment_starts(config, built.terms, k, cuts)
    index = np.searchsorted(segments, np.arange(k), side="right") - 1
    spread = rng.choice([1, 4, 40])

    def line(count: int, bits: int) -> tuple[list[list[int]], list[list[int]]]:
        e = rng.integers(-60, -60 + spread, (count, len(segments)))
        e = np.where(rng.random(e.shape) < 0.1, ZERO_BLOCK, e)
        codes = rng.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (count, k))
        return np.where(e[:, index] == ZERO_BLOCK, 0, codes).tolist(), e.tolist()

    (a, ea), (w, ew) = line(m, built.a_bits), line(n, built.w_bits)
    bias = rng.integers(-(2 ** (built.bias_bits - 1)), 2 ** (built.bias_bits - 1), n).tolist()
    update = array_cycles.updates(config, built.terms, k, segments)
    bias_exponents = rng.integers(-130, -60, n).tolist()
    bits = built.w_bits, built.bias_bits, built.a_bits
    return MatmulOperands(a, ea, w, ew, bias, bias_exponents, segments, update, *bits)
