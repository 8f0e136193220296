"""The encoder: codes with exponents of their own from wide sums are what `encode` makes of their values."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from calls import TEAM
from hypothesis import given
from hypothesis import strategies as st

from hwmodels.formats import Floating, parse
from hwmodels.kernels.encoder import encode_floating, fields
from hwmodels.units import encoder
from hwmodels.units.encoder import QUARTERS, ROOT
from hwmodels.units.ops import ZERO_BLOCK

BLOCKED = (
    "mxfp8e4m3",
    "mxfp8e5m2",
    "mxfp6e2m3",
    "mxfp6e3m2",
    "mxfp4",
    "bm8e4m3",
    "bm6e2m3",
    "bl8",
    "bl6",
    "bl4",
)
ALONE = (
    "minifloat8e4m3", "dmf8e4m3", "dmf6e2m3", "e4m3", "e5m2", "log8", "log5", "log2u4", "log2u2",
    "logsqrt2u4", "logsqrt2u3", "logsqrt2u6",
)  # fmt: skip
"""Elements that share nothing."""

wide = st.one_of(
    st.integers(-(2**47) + 1, 2**47 - 1), st.integers(-40, 40),
    st.builds(lambda m, s, d: (m << s) + d, st.integers(-33, 33), st.integers(0, 40), st.integers(-1, 1)),
)  # fmt: skip
blocks = st.lists(st.tuples(wide, st.integers(-40, 10)), min_size=1, max_size=8)


def coding_of(name: str) -> Floating:
    coding = parse(f"{name}@tensor").coding
    assert isinstance(coding, Floating)
    return coding


@pytest.mark.parametrize("name", BLOCKED + ALONE)
@given(blocks)
def test_result_is_encode_of_the_values(name: str, block: list[tuple[int, int]]) -> None:
    """Sums of up to 53 bits are exact in float64."""
    form, coding = parse(f"{name}@tensor"), coding_of(name)
    values = np.array([[float(Fraction(a) * Fraction(2) ** e) for a, e in block]])
    sums, exponents = map(list, zip(*block, strict=True))
    codes, exponent, clamped, saturated = encoder.result(coding.encoder, sums, exponents, anchor=form.anchor)
    encoded = form.encode(values)
    assert encoded.codes.ravel().tolist() == codes
    assert encoded.shared.ravel().tolist() == [exponent]
    assert (encoded.clamped, encoded.saturated) == (clamped, saturated)


def test_where_the_nearest_logarithm_changes() -> None:
    """Sums of 48 bits between 1 and 2, just below a root and just above it."""
    octaves = [encoder.logarithm(x, -47, -9) for x in (ROOT, ROOT + 1)]
    assert octaves == [10, 11]
    first, third = QUARTERS
    halves = [encoder.logarithm(x, -47, -9, roots=1) for x in (first, first + 1, third, third + 1)]
    assert halves == [5, 6, 6, 7]


def test_a_block_without_sums_is_one_of_zeros() -> None:
    config = coding_of("mxfp8e4m3").encoder
    assert encoder.result(config, [], []) == ([], ZERO_BLOCK, 0, 0)
    assert encoder.result(config, [], [], anchor=2) == ([], ZERO_BLOCK, 0, 0)


def test_the_root_of_two() -> None:
    assert ROOT**2 < 2 << 94 < (ROOT + 1) ** 2
    assert [q**4 < 2**n < (q + 1) ** 4 for q, n in zip(QUARTERS, (189, 191), strict=True)] == [True, True]


@pytest.mark.parametrize("name", BLOCKED + ALONE)
@pytest.mark.parametrize("kind", [np.int32, np.int64])
@pytest.mark.parametrize("shares", [1, 2])
def test_kernel_is_result(name: str, kind: type, shares: int) -> None:
    """Two samples of five rows, one of which is not there, over 19 columns in blocks of 3 x 4."""
    rng, config = np.random.default_rng(len(name)), coding_of(name).encoder
    samples, m, n, anchor = 2, 5, 19, parse(f"{name}@tensor").anchor
    sums = (rng.integers(-(2**31), 2**31, (10, n)) >> rng.integers(0, 33, (10, n))).astype(kind)
    sums[0:3, 4:8] = 0
    groups = np.array([0, 1, 1, 2, 3, 4, 5, 5, 6, 7])
    exponents = rng.integers(-30, -10, (8, n)).astype(np.int16)
    exponents[6] = 118
    valid = np.arange(10) != 1
    rows, columns = np.array([0, 3, 5]), np.append(np.arange(0, n, 4), n)
    codes, shared = np.full((12, n), 99, np.uint8), np.full((6, 5), 99, np.int16)
    counts, wanted = np.zeros(2, np.int64), [0, 0]
    for part in range(shares):
        encode_floating(
            TEAM, part, shares, samples, sums, exponents, groups, valid, rows, columns,
            fields(config, anchor), codes, shared, counts,
        )  # fmt: skip
    for q in range(samples):
        assert (codes[q * 6 + m] == 99).all()
        assert (shared[q * 3 + 2] == 99).all()
        for rb, (top, bottom) in enumerate(pairwise(rows)):
            for cb, (left, right) in enumerate(pairwise(columns)):
                places = [(i, j) for i in range(top, bottom) for j in range(left, right) if valid[q * m + i]]
                own = [int(sums[q * m + i, j]) for i, j in places]
                under = [int(exponents[groups[q * m + i], j]) for i, j in places]
                want, e, clamped, saturated = encoder.result(config, own, under, anchor=anchor)
                assert [codes[q * 6 + i, j] for i, j in places] == want
                assert shared[q * 3 + rb, cb] == e
                wanted = [wanted[0] + clamped, wanted[1] + saturated]
    assert (codes[1] == 0).all()
    assert counts.tolist() == wanted
    assert ZERO_BLOCK in shared
