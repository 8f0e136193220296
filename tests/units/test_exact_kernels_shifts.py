"""The REQUANT kernel where sums or distances just allow a shorter way to the codes, and just do not."""

from __future__ import annotations

import numpy as np
import pytest
from calls import requantize
from hypothesis import given, settings
from hypothesis import strategies as st

from hwmodels.kernels.requantizer import NARROW, NEAR, TOGETHER, VANISHING
from hwmodels.units import requantizer
from hwmodels.units.ops import ZERO_BLOCK
from hwmodels.units.requantizer import NO_STATIC
from hwmodels.units.requantizer_lane import SUM_BITS

NONE = np.zeros(0, np.int64)
LARGEST = (1 << SUM_BITS - 1) - 1


def same(sums: np.ndarray, exponents: np.ndarray, bits: int, blocks: int = 1) -> int:
    """The kernel gives one row of blocks what the unit gives each block; the first one's exponent."""
    n = sums.shape[1]
    edges = np.arange(blocks + 1) * (n // blocks)
    codes, shared = np.full(sums.shape, 99, np.int16), np.full((1, blocks), 99, np.int16)
    counts, wanted = np.zeros(2, np.int64), np.zeros(2, np.int64)
    requantize(
        1, sums, exponents.astype(np.int16), np.ones(len(sums), np.bool_), np.array([0, len(sums)]), edges,
        NONE, NONE, NO_STATIC, bits, codes, shared, counts,
    )  # fmt: skip
    for cb in range(blocks):
        own = np.s_[:, edges[cb] : edges[cb + 1]]
        given_ = [x[own].ravel().tolist() for x in (sums, exponents)]
        unit_codes, exponent, clamped, saturated = requantizer.result(*given_, bits)
        assert codes[own].ravel().tolist() == unit_codes
        assert shared[0, cb] == exponent
        wanted += clamped, saturated
    assert counts.tolist() == wanted.tolist()
    return int(shared[0, 0])


def beside(peak: int, small: list[int], distance: int, bits: int) -> None:
    """A column with a peak, and one whose exponent makes its sums go `distance` to the right."""
    column = np.array([peak, *(0 for _ in small)]), np.array([0, *small])
    exponents = np.zeros((len(small) + 1, 2), np.int64)
    under = same(np.stack(column, 1), exponents, bits)
    exponents[:, 1] = under - distance
    assert same(np.stack(column, 1), exponents, bits) == under


EDGES = sorted(
    {s * (e + d) for e in (VANISHING, 1 << 30, NARROW, 1 << 31, 1 << 40) for d in (-1, 0, 1) for s in (1, -1)}
    | {LARGEST, -LARGEST - 1, 1, 3, 127, -128, 255, 32767, 65535}
)


@pytest.mark.parametrize("bits", [4, 8, 16])
@pytest.mark.parametrize("peak", EDGES)
def test_the_largest_sums_and_the_longest_distances(peak: int, bits: int) -> None:
    """A column beside the peak goes so far that nothing is left, or one unit, or a tie."""
    for distance in (NEAR - 1, NEAR, NEAR + 1, NEAR + 2, 61, 62, 63, 100):
        most = min(abs(peak), 1 << min(distance, SUM_BITS - 2))
        halves = [1 << NEAR - 1, (1 << NEAR - 1) + 1, 1 << NEAR, 3 << NEAR - 1, most >> 1, (most >> 1) + 1]
        small = [s * min(x, most) for x in (*halves, most - 1, most, 1) for s in (1, -1)]
        beside(peak, small, distance, bits)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from((8, 16)), st.sampled_from(EDGES), st.integers(-40, 70), st.integers(1, 9),
    st.randoms(use_true_random=False),
)  # fmt: skip
def test_any_sums_of_any_column(bits: int, peak: int, below: int, rows: int, random: object) -> None:
    """Two blocks of two columns, each with an exponent of its own."""
    seed = random.randrange(1 << 32)  # type: ignore[attr-defined]
    rng = np.random.default_rng(seed)
    sums = rng.integers(-abs(peak), abs(peak) + 1, (rows, 4)) >> rng.integers(0, 47, (rows, 4))
    sums[rng.integers(rows), 0] = peak
    exponents = np.zeros((rows, 4), np.int64) - [0, below, 3, rng.integers(0, 40)]
    same(sums, exponents, bits, 2)


@pytest.mark.parametrize("rows", range(1, 2 * TOGETHER + 2))
def test_the_largest_sum_lies_in_any_row_of_a_run(rows: int) -> None:
    for place in range(rows):
        for peak in (1000, -1000):
            sums = np.full((rows, 18), 7)
            sums[place, 17], sums[place, 3] = peak, peak - 1
            same(sums, np.zeros((rows, 18), np.int64), 8, 2)


def test_sums_that_go_left_lie_beside_others() -> None:
    """Under a block's exponent one column goes left; below, rows of other exponents all go right."""
    sums = np.array([[9, 3], [-9, -3], [90000, 7], [12345, -7]])
    for left in (1, 2, 7):
        exponents = np.array([[0, left + 10]] * 2 + [[0, 0]] * 2)
        same(sums, exponents, 16)


def test_a_block_of_zeros_beside_one_that_is_not() -> None:
    """Its exponent is no distance, whatever exponents its sums have."""
    sums = np.array([[0, 0, 90000, -45000], [0, 0, 3, 70001]])
    for exponent in (-128, -1, 100):
        assert same(sums, np.array([[exponent, exponent, 0, 0]] * 2), 8, 2) == ZERO_BLOCK


@pytest.mark.parametrize("peak", [900, 1 << 30, NARROW + 1, LARGEST])
@pytest.mark.parametrize("exponent", [-200, -137, 110, 126, 140])
def test_codes_saturate_where_the_exponent_was_clamped(peak: int, exponent: int) -> None:
    sums = np.array([[peak, -peak, 3, 1], [-1, peak >> 3, peak, 0]])
    for bits in (8, 16):
        same(sums, np.full(sums.shape, exponent), bits, 2)
