"""The units' functions over the lanes of vectors, against the same functions over integers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numba
import numpy as np
import pytest

from hwmodels.kernels.instructions import address
from hwmodels.kernels.lanes import reading
from hwmodels.kernels.stream import ADD, MOST, Read, Scalar, signed, stream
from hwmodels.units import ops
from hwmodels.units.ops import FLOOR, HALF_UP, RNE

N = 16 * 40 + 11
"""Whole vectors, and a rest."""

Vector = np.ndarray


def looped(loop: Any, reads: int) -> Callable[..., None]:
    """A kernel that runs one stream over up to three rows, into 64-bit numbers."""
    if reads == 1:

        @numba.njit
        def run(a: Vector, out: Vector, x: int) -> None:
            loop(out.shape[0], (address(a),), (address(out),), (x,), (), 0)
    else:

        @numba.njit
        def run(a: Vector, b: Vector, out: Vector, x: int) -> None:
            loop(out.shape[0], (address(a), address(b)), (address(out),), (x,), (), 0)

    return run


def of_two(function: Callable[..., int], reads: Sequence[Read], scalar: Scalar) -> Callable[..., Vector]:
    """``function(a, b, scalar)`` over rows."""

    def body(given: Sequence[Any], scalars: Sequence[Any], _: Any) -> Sequence[Any]:
        return (reading.of(function)(*given, *scalars),)

    run = looped(stream(body, reads, (64,), (scalar,)), len(reads))

    def both(*rows: Vector, x: int) -> Vector:
        out = np.full(len(rows[0]), 77, np.int64)
        run(*rows, out, x)
        return out

    return both


def numbers(bits: int, seed: int, count: int = N) -> Vector:
    """Signed numbers of all magnitudes, and the ends of their range."""
    rng = np.random.default_rng(seed)
    wide = rng.integers(-(1 << bits - 1), 1 << bits - 1, count) >> rng.integers(0, bits, count)
    ends = [-(1 << bits - 1), (1 << bits - 1) - 1, 0, -1, 1, 1 << bits - 2]
    wide[: len(ends)] = ends
    return wide


@pytest.mark.parametrize("bits", [16, 30, 31, 32, 44, 60])
@pytest.mark.parametrize("longest", [7, 30, 31, 32, 62])
def test_rounded_shifts(bits: int, longest: int) -> None:
    """Every distance up to the longest, of every magnitude, ties and their neighbours among them."""
    stored = 32 if bits <= 32 else 64
    both = of_two(ops.shift_right, (signed(bits, stored), Read(32, 0, longest)), Scalar(FLOOR, RNE))
    rng = np.random.default_rng(bits)
    s = np.arange(N) % (longest + 1)
    near = rng.integers(-9, 10, N) * (1 << np.minimum(s, bits - 1) >> 1) + rng.integers(-1, 2, N)
    limit = (1 << bits - 1) - 1
    for x in (numbers(bits, 1), np.clip(near, -limit - 1, limit)):
        for rounding in (FLOOR, HALF_UP, RNE):
            got = both(x.astype(f"i{stored // 8}"), s.astype(np.int32), x=rounding)
            want = [ops.shift_right(int(a), int(b), rounding) for a, b in zip(x, s, strict=True)]
            assert got.tolist() == want


def scaled_16(x: int, s: int, limit: int) -> int:
    return ops.scale(x, s, limit, RNE)


@pytest.mark.parametrize("limit", [0, 1, 15, 31, 40])
def test_scales(limit: int) -> None:
    """Left as far as a word of 64 bits has room, right as far as anything is left, and beyond."""
    both = of_two(scaled_16, (signed(16, 16), Read(32, -99, 40)), Scalar(0, 62))
    x, s = numbers(16, limit), np.arange(N) % 140 - 99
    got = both(x.astype(np.int16), s.astype(np.int32), x=limit)
    assert got.tolist() == [scaled_16(int(a), int(b), limit) for a, b in zip(x, s, strict=True)]


def mixed(x: int, y: int, bits: int) -> int:
    """Whatever the vocabulary has, of numbers on both sides of zero."""
    total = ops.largest(x, y) - ops.smallest(x, -y) + ops.magnitude(x ^ y) + (x & y) - (x | 3)
    total = total + ops.select((x < y) & (y != 5), ops.flag(x >= -y), ops.clamp(y, -9, 9))
    total = total + ops.wrap(x, 9) * ops.saturate(y, 7) + ops.bit_length(ops.magnitude(y))
    total = total + (x & (x < 1 << 40)) + (y | (y < 1 << 40))  # conditions that always hold are ones
    return total + ops.saturate_symmetric(x, bits) + (ops.select(x == y, 1, x <= y) << 3)


@pytest.mark.parametrize("stored", [8, 16, 32])
def test_the_vocabulary(stored: int) -> None:
    kind = signed(stored, stored)
    both = of_two(mixed, (kind, kind), Scalar(2, 8))
    x, y = (numbers(stored, seed).astype(f"i{stored // 8}") for seed in (1, 2))
    y[20:40] = x[20:40]
    for bits in (2, 8):
        got = both(x, y, x=bits)
        assert got.tolist() == [mixed(int(a), int(b), bits) for a, b in zip(x, y, strict=True)]


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 64, 70])
def test_rows_are_reduced(count: int) -> None:
    """What lies behind the end of a row counts for nothing; what was there before counts."""

    def body(given: Sequence[Any], *_: Any) -> Sequence[Any]:
        return given[0] + 1, given[0], given[0] * given[0]

    loop = stream(body, (signed(32, 32),), (32,), folds=(MOST, ADD))

    @numba.njit
    def run(a: Vector, out: Vector, folds: Vector) -> None:
        loop(out.shape[0], (address(a),), (address(out),), (), (), address(folds))

    x = np.random.default_rng(count).integers(-(2**27), -5, count).astype(np.int32)
    out, folds = np.zeros(count, np.int32), np.array([-(2**40), 7])
    run(x, out, folds)
    assert out.tolist() == (x + 1).tolist()
    assert folds.tolist() == [max([-(2**40), *x.tolist()]), 7 + sum(v * v for v in x.tolist())]
