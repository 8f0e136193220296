"""The units' functions over the lanes of vectors, against the same functions over integers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numba
import numpy as np
import pytest

from hwmodels.kernels import lanes
from hwmodels.kernels.instructions import address
from hwmodels.kernels.lanes import reading
from hwmodels.kernels.stream import ADD, ADD_32, MOST, MOST_32, Fold, Read, Scalar, grid, signed, stream
from hwmodels.units import lut, ops
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


@pytest.mark.parametrize("limit", [(1 << 30) - 1, 1 << 30, (1 << 31) - 1])
def test_rounded_shifts_about_the_room_in_32_bits(limit: int) -> None:
    """Of less than ``2**30`` nothing is left by 31 places; of more, half a place or all of one."""
    both = of_two(ops.shift_right, (Read(32, -limit, limit), Read(32, 0, 62)), Scalar(FLOOR, RNE))
    x = np.tile([limit, -limit, limit - 1, 1 - limit, limit // 2, -limit // 2], 20).astype(np.int32)
    s = np.repeat(np.arange(24, 44), 6).astype(np.int32)
    for rounding in (FLOOR, HALF_UP, RNE):
        want = [ops.shift_right(int(a), int(b), rounding) for a, b in zip(x, s, strict=True)]
        assert both(x, s, x=rounding).tolist() == want


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
@pytest.mark.parametrize(("most", "total", "bits"), [(MOST, ADD, 27), (MOST_32, ADD_32, 11)])
def test_rows_are_reduced(count: int, most: Fold, total: Fold, bits: int) -> None:
    """What lies behind the end of a row counts for nothing; what was there before counts."""

    def body(given: Sequence[Any], *_: Any) -> Sequence[Any]:
        return given[0] + 1, given[0], given[0] * given[0]

    loop = stream(body, (signed(32, 32),), (32,), folds=(most, total))

    @numba.njit
    def run(a: Vector, out: Vector, folds: Vector) -> None:
        loop(out.shape[0], (address(a),), (address(out),), (), (), address(folds))

    x = np.random.default_rng(count).integers(-(2**bits), -5, count).astype(np.int32)
    out, least = np.zeros(count, np.int32), -(1 << most.bits - 1) + 5
    folds = np.array([least, 7 + 2**40])
    run(x, out, folds)
    assert out.tolist() == (x + 1).tolist()
    assert folds.tolist() == [max([least, *x.tolist()]), 7 + 2**40 + sum(v * v for v in x.tolist())]


@pytest.mark.parametrize("rows", [0, 1, 3])
@pytest.mark.parametrize("count", [0, 5, 16, 40])
def test_rows_of_a_grid(rows: int, count: int) -> None:
    """Rows lie as far apart as each one's steps say; one row may be in common; all are reduced together."""

    def body(given: Sequence[Any], *_: Any) -> Sequence[Any]:
        return given[0] + given[1], given[0]

    loop = grid(body, (signed(16, 16), signed(32, 32)), (64,), folds=(ADD_32,))

    @numba.njit
    def run(a: Vector, b: Vector, out: Vector, folds: Vector, n: int) -> None:
        steps = (2 * a.shape[1], 0, 8 * out.shape[1])
        loop(a.shape[0], n, (address(a), address(b)), (address(out),), steps, (), (), address(folds))

    rng = np.random.default_rng(count)
    a = rng.integers(-(2**15), 2**15, (rows, count + 3)).astype(np.int16)
    b, out, folds = (
        rng.integers(-99, 99, count).astype(np.int32),
        np.full((rows, count + 1), 77),
        np.array([5]),
    )
    run(a, b, out, folds, count)
    assert out[:, :count].tolist() == (a[:, :count] + b).tolist()
    assert (out[:, count] == 77).all()
    assert folds[0] == 5 + a[:, :count].sum()


@pytest.mark.parametrize("entries", [2, 3, 33])
@pytest.mark.parametrize("bits", [17, 32])
def test_a_line_between_two_entries(entries: int, bits: int) -> None:
    """Any position of a table, whose first and last entry have nothing beside them."""

    def body(given: Sequence[Any], scalars: Sequence[Any], tables: Sequence[Any]) -> Sequence[Any]:
        return (reading.of(lut.interpolate)(tables[0], given[0], scalars[0], bits),)

    low, top = 4, (entries - 1) << 4
    entry = signed(bits, 32)
    loop = stream(body, (Read(32, 0, top - 1),), (64,), (Scalar(0, 9),), (Scalar(entry.low, entry.high),))

    @numba.njit
    def run(positions: Vector, out: Vector, table: Vector) -> None:
        loop(out.shape[0], (address(positions),), (address(out),), (low,), (address(table),), 0)

    table = np.random.default_rng(entries).integers(entry.low, entry.high, entries, endpoint=True)
    table[:2] = entry.low, entry.high
    out = np.zeros(top, np.int64)
    run(np.arange(top, dtype=np.int32), out, table.astype(np.int32))
    held = tuple(table.tolist())
    assert out.tolist() == [lut.interpolate(held, x, low, bits) for x in range(top)]


def told(reads: Sequence[Read], body: Callable[..., Any]) -> Any:
    """What a body over lanes of these ranges gives, noted while its loop is compiled."""
    found: list[Any] = []

    def noted(given: Sequence[Any], *_: Any) -> Sequence[Any]:
        found.append(body(*given))
        return (given[0],)

    run = looped(stream(noted, reads, (64,), (Scalar(0, 1),)), len(reads))
    rows = [np.full(16, r.low, f"i{r.bits // 8}") for r in reads]
    run(*rows, np.zeros(16, np.int64), 0)
    return found[0]


def test_ranges_of_results() -> None:
    x, y = Read(32, 0, 5), Read(32, -3, 7)
    ranges = told((x, y), lambda a, b: [lanes.ends(v) for v in (
        a + b, a - b, a * b, a << 2, b >> 1, a & b, a | b, a ^ b, lanes.largest(a, b), lanes.smallest(a, b),
        lanes.magnitude(b), lanes.bit_length(a), lanes.fits(b, 3), lanes.fits_unsigned(a, 2),
        lanes.select(a > b, a, b), -b, 9 - a,
    )])  # fmt: skip
    assert ranges == [
        (-3, 12), (-7, 8), (-15, 35), (0, 20), (-2, 3), (0, 5), (-8, 7), (-8, 7), (0, 7), (-3, 5),
        (0, 7), (0, 3), (-3, 3), (0, 3), (-3, 7), (-7, 3), (4, 9),
    ]  # fmt: skip


def test_ranges_that_are_promised() -> None:
    x, wide = Read(32, -100, 90), Read(64, -(2**50), 2**50)
    ranges = told((x, wide), lambda a, b: [lanes.ends(v) for v in (
        lanes.fits(a, 3), lanes.fits_unsigned(a, 3), lanes.fits(a, 9), a & b, b & 7, a | 128,
        lanes.bit_length(lanes.magnitude(a)),
    )])  # fmt: skip
    assert ranges == [(-4, 3), (0, 7), (-100, 90), (-(2**51), 2**51 - 1), (0, 7), (-256, 255), (0, 7)]


def test_what_ranges_tell_alone() -> None:
    """A comparison whose outcome is sure needs no instruction; one that is not does."""
    x, y = Read(32, 0, 5), Read(32, 6, 9)
    sure = told((x, y), lambda a, b: (a < b, a > b, a <= b, a >= b, a == b, a != b))
    assert sure == (True, False, True, False, False, True)
    touching = told((x, Read(32, 5, 9)), lambda a, b: (a <= b, b >= a, a > b, b < a))
    assert touching == (True, True, False, False)
    open_ = told((x, Read(32, 5, 9)), lambda a, b: [type(v) for v in (a < b, a > 4, a <= 4, a == b, a != b)])
    assert open_ == [lanes.Lanes] * 5
    assert told((x,), lambda a: (lanes.constant(a, 3) == 3, lanes.constant(a, 3) != 3)) == (True, False)


def helper(x: int) -> int:
    return ops.largest(x, 3)


def test_functions_beside_a_function_are_read_too() -> None:
    both = of_two(lambda x, y, z: helper(x) + helper(y) + z, (signed(8, 8), signed(8, 8)), Scalar(0, 1))
    x, y = (numbers(8, seed).astype(np.int8) for seed in (1, 2))
    assert both(x, y, x=1).tolist() == [
        max(a, 3) + max(b, 3) + 1 for a, b in zip(x.tolist(), y.tolist(), strict=True)
    ]


def test_what_no_memory_holds_is_refused() -> None:
    for reads, writes in (
        ((Read(15, 0, 1),), (32,)),
        ((Read(16, 0, 1),), (33,)),
        ((Read(8, -1, 255),), (8,)),
    ):
        with pytest.raises(ValueError, match=r"elements in memory|more values than codes"):
            stream(lambda given, *_: given, reads, writes)
    stream(lambda given, *_: given, (Read(8, 0, 255), Read(8, -128, 127)), (64,))
    with pytest.raises(ValueError, match="reduced in 32 or 64 bits"):
        stream(lambda given, *_: given, (Read(8, 0, 1),), (), folds=(Fold("add", 63),))


OUT_OF_RANGE = """
import numba, numpy as np
from hwmodels.kernels.instructions import address
from hwmodels.kernels.stream import Read, Scalar, stream

kinds = (Read(8, LOW, HIGH),), (32,), (Scalar(FIRST, LAST),)
loop = stream(lambda given, scalars, _: (given[0] + scalars[0],), *kinds)

@numba.njit
def run(a, out, x):
    loop(out.shape[0], (address(a),), (address(out),), (x,), (), 0)

run(np.full(COUNT, -5, np.int8), np.zeros(COUNT, np.int32), 7)
print("done")
"""


@pytest.mark.parametrize(
    ("low", "high", "first", "last", "holds"),
    [
        (-5, -5, 7, 7, True),
        (-4, 9, 7, 7, False),
        (-9, -6, 7, 7, False),
        (-9, 9, 8, 9, False),
        (-9, 9, 0, 6, False),
        (0, 255, 7, 7, True),  # the byte is 251
        (0, 250, 7, 7, False),
    ],
)
@pytest.mark.parametrize("count", [16, 5])
def test_what_is_declared_can_be_checked(
    low: int, high: int, first: int, last: int, holds: bool, count: int
) -> None:
    """Where tests ask for it, a loop stops the program at a number that it was not made for."""
    program = OUT_OF_RANGE
    for name, value in (("LOW", low), ("HIGH", high), ("FIRST", first), ("LAST", last), ("COUNT", count)):
        program = program.replace(name, str(value))
    environment = {**os.environ, "BLOCKSIM_CHECKED": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.stdout == "done\n") == holds
    assert (done.returncode == 0) == holds


def test_widths_of_lanes() -> None:
    top = 1 << 31
    assert [lanes.bits_for(*e) for e in ((-top, top - 1), (-top - 1, 0), (0, top))] == [32, 64, 64]
    shifts = [(-(1 << 30) + 1, (1 << 30) - 1, 32), (-(1 << 30), 0, 32), (0, top - (1 << 29), 31), (0, 9, 31)]
    assert [lanes._bits_to_shift(*s) for s in shifts] == [32, 64, 64, 32]
    assert [lanes._full(*e) for e in ((0, 0), (5, 3), (-4, 3), (8, -9))] == [
        (0, 0),
        (0, 7),
        (-4, 3),
        (-16, 15),
    ]
