"""The REQUANT kernel about rows that are absent, zero, or under another exponent."""

from __future__ import annotations

import numpy as np
import pytest
from calls import requantize

from hwmodels.units import requantizer
from hwmodels.units.ops import ZERO_BLOCK
from hwmodels.units.requantizer import NO_STATIC

NONE = np.zeros(0, np.int64)


def run(
    sums: list[list[int]],
    exponents: list[list[int]],
    valid: list[bool],
    real: list[tuple[int, int]] | None = None,
    static: int = NO_STATIC,
) -> tuple[list[list[int]], list[list[int]], list[int]]:
    """Two blocks of four rows, over columns in blocks of two, 8 bits."""
    n = len(sums[0])
    codes, shared = np.full((8, n), 99, np.int16), np.full((2, n // 2), 99, np.int16)
    counts = np.zeros(2, np.int64)
    scales = [np.array([m for m, _ in real]), np.array([e for _, e in real])] if real else [NONE, NONE]
    requantize(
        1, np.array(sums), np.array(exponents, np.int16), np.array(valid), np.array([0, 4, 8]),
        np.arange(0, n + 1, 2), *scales, static, 8, codes, shared, counts,
    )  # fmt: skip
    return codes.tolist(), shared.tolist(), counts.tolist()


def expected(
    sums: list[list[int]],
    exponents: list[list[int]],
    valid: list[bool],
    real: list[tuple[int, int]] | None = None,
    static: int = NO_STATIC,
) -> tuple[list[list[int]], list[list[int]], list[int]]:
    """The same by the unit, block by block."""
    n = len(sums[0])
    codes, shared = [[0] * n for _ in range(8)], [[0] * (n // 2) for _ in range(2)]
    counts = [0, 0]
    scales = real or [(1, 0)] * n
    for rb in range(2):
        for cb in range(n // 2):
            cells = [(i, j) for i in range(4 * rb, 4 * rb + 4) if valid[i] for j in (2 * cb, 2 * cb + 1)]
            block, e, clamped, saturated = requantizer.result(
                [sums[i][j] * scales[j][0] for i, j in cells],
                [exponents[i][j] + scales[j][1] for i, j in cells],
                8,
                None if static == NO_STATIC else static,
            )
            shared[rb][cb] = e
            counts[0] += clamped
            counts[1] += saturated
            for (i, j), code in zip(cells, block, strict=True):
                codes[i][j] = code
    return codes, shared, counts


@pytest.mark.parametrize("first", range(5))
@pytest.mark.parametrize("spread", [0, 1, 40, 200])
@pytest.mark.parametrize("real", [None, [(40000, -15), (65535, -14), (32768, -17), (50001, -15)]])
@pytest.mark.parametrize("static", [NO_STATIC, -9, 3])
def test_the_first_rows_are_absent(
    first: int, spread: int, real: list[tuple[int, int]] | None, static: int
) -> None:
    """The largest sums lie in absent rows, in the first row that is there, or in the block beside."""
    rng = np.random.default_rng(first)
    for peak in range(8):
        sums = rng.integers(-500, 501, (8, 4))
        sums[peak] *= 300
        exponents = -9 - rng.integers(0, spread + 1, (8, 1)) + rng.integers(0, 2, (8, 4)) * (spread == 1)
        valid = [True] * 8
        valid[:first] = [False] * first
        valid[4] = valid[6] = False
        case = sums.tolist(), exponents.tolist(), valid, real, static
        assert run(*case) == expected(*case)


@pytest.mark.parametrize("shift", [-140, 0, 140])
@pytest.mark.parametrize("real", [None, [(40000, -15), (65535, -14)]])
def test_blocks_of_zeros_under_several_exponents(shift: int, real: list[tuple[int, int]] | None) -> None:
    sums = [[0, 0]] * 4 + [[0, 0], [3, -1], [0, 900], [-7, 0]]
    for exponents in ([[i + shift, -i + shift] for i in range(8)], [[shift, shift]] * 8):
        case = sums, exponents, [True] * 8, real
        got = run(*case)
        assert got == expected(*case)
        assert got[1][0] == [ZERO_BLOCK]


def test_samples_lie_below_each_other() -> None:
    """Two samples of two rows, in codes of three rows and exponents of two, of which one is not written."""
    codes, shared = np.full((6, 2), 99, np.int16), np.full((4, 1), 99, np.int16)
    counts = np.zeros(2, np.int64)
    sums = np.array([[1, 2], [3, 4], [50, 60], [70, 80]])
    requantize(
        2, sums, np.zeros((4, 2), np.int16), np.ones(4, np.bool_), np.array([0, 2]), np.array([0, 2]),
        NONE, NONE, NO_STATIC, 8, codes, shared, counts,
    )  # fmt: skip
    assert codes.tolist() == [[16, 32], [48, 64], [99, 99], [50, 60], [70, 80], [99, 99]]
    assert shared.ravel().tolist() == [-4, 99, 0, 99]
