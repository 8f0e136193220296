"""The kernels as the tests call them: an exponent for every sum, and every way that a kernel can go.

Each is run alone and as two threads' shares one after the other, over codes of 8 and of 16 bits and sums of
32 and of 64 where these have room, and has to give the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from hwmodels.kernels import elementwise, matmul, norm
from hwmodels.kernels import lut as lut_kernel
from hwmodels.kernels import requantizer as requantizer_kernels
from hwmodels.kernels import softmax as softmax_kernel
from hwmodels.kernels.matmul import PANEL, stays_narrow
from hwmodels.kernels.packed_operands import pack_lines
from hwmodels.kernels.rows import LONGEST_GUARD
from hwmodels.kernels.team import LEFT, assembled
from hwmodels.units import softmax
from hwmodels.units.aligner import BOUND
from hwmodels.units.mac_array import MacArrayConfig

TEAM = assembled(2)
TEAM[LEFT] = 1  # nobody waits: the shares run one after the other

SHARES = ((0, 1),), ((0, 2), (1, 2))


def narrowest(codes: np.ndarray) -> list[np.ndarray]:
    """The codes in 16 bits, and in 8 where they fit."""
    fits = codes.size == 0 or bool(codes.min() >= -128 and codes.max() <= 127)
    return [codes.astype(np.int16)] + [codes.astype(np.int8)] * fits


def _everywhere(
    call: Callable[..., None], heights: int, wide: type, sums: np.ndarray, exponents: np.ndarray,
    groups: np.ndarray | None, counts: np.ndarray | None, codes: list[list[np.ndarray]],
) -> None:  # fmt: skip
    """Run every way; fill the caller's arrays, in which an exponent stands for every sum."""
    found = []
    for shares in SHARES:
        for given in codes:
            own = np.full(sums.shape, 77, wide)
            shared = np.full((heights, sums.shape[1]), 99, np.int16)
            total = np.zeros(4, np.int64)
            for part, parts in shares:
                call(part, parts, given, own, shared, total)
            spread = shared[np.zeros(len(own), np.int64) if groups is None else groups]
            found.append((own, spread, total))
    for own, spread, total in found[1:]:
        assert (own == found[0][0]).all() and (spread == found[0][1]).all() and (total == found[0][2]).all()
    sums[:], exponents[:] = found[0][0], found[0][1]
    if counts is not None:
        counts[: len(total)] += found[0][2][: len(counts)]


def lut(x: Any, shared: Any, rows: Any, edges: Any, table: Any, *rest: Any) -> None:
    *config, sums, exponents, counts = rest

    def call(part: int, parts: int, given: list[Any], own: Any, under: Any, total: Any) -> None:
        lut_kernel.lut(
            TEAM,
            part,
            parts,
            given[0],
            shared,
            rows,
            edges,
            table.astype(np.int32),
            *config,
            own,
            under,
            total,
        )

    _everywhere(call, 1, np.int32, sums, exponents, None, counts, [[c] for c in narrowest(x)])


def softmax_rows(
    x: Any, shared: Any, rows: Any, edges: Any, keys: Any, present: Any, per_sample: int, guard: int,
    exp2: Any, exp2_low: int, reciprocal: Any, reciprocal_low: int, sums: Any, exponents: Any,
) -> None:  # fmt: skip
    def call(part: int, parts: int, given: list[Any], own: Any, under: Any, _: Any) -> None:
        softmax_kernel.softmax_rows(
            TEAM, part, parts, given[0], shared, rows, edges, keys, present, per_sample, guard,
            softmax.lowest(guard), exp2.astype(np.int32), exp2_low, reciprocal.astype(np.int32),
            reciprocal_low, own, under,
        )  # fmt: skip

    _everywhere(call, 1, np.int32, sums, exponents, None, None, [[c] for c in narrowest(x)])


def norm_rows(x: Any, shared: Any, rows: Any, edges: Any, *rest: Any) -> None:
    *config, root, low, steps, sums, exponents = rest

    def call(part: int, parts: int, given: list[Any], own: Any, under: Any, _: Any) -> None:
        table = root.astype(np.int32)
        norm.norm_rows(
            TEAM, part, parts, given[0], shared, rows, edges, *config, table, low, steps, own, under
        )

    _everywhere(call, 1, np.int64, sums, exponents, None, None, [[c] for c in narrowest(x)])


def _matrices(
    kernel: Any, a: Any, a_shared: Any, a_rows: Any, a_edges: Any, b: Any, b_shared: Any, b_rows: Any,
    b_edges: Any, *rest: Any,
) -> None:  # fmt: skip
    *config, sums, exponents, counts = rest
    groups = np.arange(len(a))

    def call(part: int, parts: int, given: list[Any], own: Any, under: Any, total: Any) -> None:
        left, right = given
        kernel(
            TEAM, part, parts, left, a_shared, a_rows, a_edges, right, b_shared, b_rows, b_edges, *config,
            own, under, groups, total,
        )  # fmt: skip

    both = [[left, right] for left in narrowest(a) for right in narrowest(b)]
    wide = np.int64 if config and config[0] > LONGEST_GUARD else np.int32
    _everywhere(call, len(a), wide, sums, exponents, groups, counts, both)


def add_matrices(*arguments: Any) -> None:
    _matrices(elementwise.add_matrices, *arguments)


def multiply_matrices(*arguments: Any) -> None:
    _matrices(elementwise.multiply_matrices, *arguments)


def requantize(samples: int, sums: Any, exponents: Any, valid: Any, *rest: Any, raised: bool = True) -> None:
    """Also with one row of exponents for all sums that share theirs with the sums before."""
    *config, codes, shared, counts = rest
    bits, found = config[-1], []
    fits = sums.size == 0 or bool(sums.min() >= -(2**31) and sums.max() < 2**31)
    alike = np.cumsum(np.append(True, (np.diff(exponents.astype(int), axis=0) != 0).any(axis=1))) - 1
    for groups in (np.arange(len(sums)), alike):
        under = exponents[np.unique(groups, return_index=True)[1]]
        for shares in SHARES:
            for wide in [np.int64] + [np.int32] * fits:
                for narrow in [np.int16] + [np.int8] * (bits <= 8):
                    own, own_shared, total = codes.astype(narrow), shared.copy(), np.zeros(2, np.int64)
                    for part, parts in shares:
                        requantizer_kernels.requantize(
                            TEAM, part, parts, samples, sums.astype(wide), under, groups, valid, *config,
                            raised, own, own_shared, total,
                        )  # fmt: skip
                    found.append((own, own_shared, total))
    for one in found[1:]:
        assert all((x == y).all() for x, y in zip(one, found[0], strict=True))
    codes[:], shared[:] = found[0][0], found[0][1]
    counts += found[0][2]


def _products(
    call: Callable[..., None], config: MacArrayConfig, widths: tuple[int, int], segments: Any, update: Any,
    sums: Any, exponents: Any, counts: Any,
) -> None:  # fmt: skip
    """A product every way: in 32 bits where that is allowed, and in 64."""
    lane, word = config.aligner, config.accumulator
    array = (config.normalise, lane.guard_bits, lane.max_shift, lane.rounding, word.bits, word.saturating)
    may = stays_narrow(config, *widths, segments, update)
    found = []
    for narrow in [False] + [True] * may:
        for shares in SHARES:
            own, under = sums.astype(np.int32 if word.bits <= 32 else np.int64), exponents.copy()
            total = np.zeros(4, np.int64)
            for part, parts in shares:
                call(part, parts, own, under, narrow, *array, total)
            found.append((own, under, total))
    for one in found[1:]:
        assert all((x == y).all() for x, y in zip(one, found[0], strict=True))
    sums[:], exponents[:] = found[0][0], found[0][1]
    counts += found[0][2]


def matmul_static(
    config: MacArrayConfig, widths: tuple[int, int], samples: int, a: Any, a_shared: Any, a_rows: Any,
    a_blocks: Any, lines: Any, line_exponents: Any, floor: Any, bias: Any, bias_exponents: Any, segments: Any,
    update: Any,
    sums: Any, exponents: Any, counts: Any,
) -> None:  # fmt: skip
    """Weights, exponents, floors and biases by lines; rows of sums have exponents of their own."""
    panels, offsets, limits = pack_lines(lines.astype(np.int16), segments)
    n = len(lines)

    def paneled(x: Any, filler: int) -> Any:
        wide = np.full((len(panels) * PANEL, *x.shape[1:]), filler, x.dtype)
        wide[:n] = x
        return np.ascontiguousarray(np.moveaxis(wide.reshape(len(panels), PANEL, *x.shape[1:]), 1, -1))

    w_exponents = paneled(line_exponents.astype(np.int16), -128)
    fixed = (paneled(floor, -1000), paneled(bias, 0), paneled(bias_exponents.astype(np.int16), -128))
    groups = np.arange(len(sums))

    def call(part: int, parts: int, own: Any, under: Any, narrow: bool, *rest: Any) -> None:
        matmul.matmul_static(
            TEAM, part, parts, samples, a.astype(np.int8), a_shared, a_rows, a_blocks, panels, offsets,
            limits, w_exponents, w_exponents.max(axis=1), *fixed, segments, update, own, under, groups, n,
            narrow, *rest,
        )  # fmt: skip

    _products(call, config, widths, segments, update, sums, exponents, counts)


def matmul_dynamic(config: MacArrayConfig, *arguments: Any) -> None:
    """As the kernel, but for an exponent of every sum."""
    *operands, segments, update, sums, exponents, o_places, counts = arguments
    samples, k, a, *left = operands
    b_at = 4
    b = left.pop(b_at)
    groups = np.arange(len(sums))

    def call(part: int, parts: int, own: Any, under: Any, narrow: bool, *rest: Any) -> None:
        matmul.matmul_dynamic(
            TEAM, part, parts, samples, k, a.astype(np.int8), *left[:b_at], b.astype(np.int8), *left[b_at:],
            segments, update, own, under, groups, o_places, narrow, *rest,
        )  # fmt: skip

    _products(call, config, (8, 8), segments, update, sums, exponents, counts)


__all__ = ["BOUND", "PANEL", "lut", "matmul_dynamic", "matmul_static", "requantize", "softmax_rows"]
