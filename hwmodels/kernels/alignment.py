"""What the rows of a run have in common under one weight panel: shifts, first words, and how far they reach.

A run are rows after each other whose exponents are the same in every segment.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numpy.typing import NDArray

from hwmodels.kernels.instructions import (
    I1,
    I8,
    I16,
    I32,
    I64,
    LANES,
    WORDS,
    address,
    load,
    numbers,
    splat,
    store,
)
from hwmodels.kernels.jit import emitted, kernel
from hwmodels.kernels.lanes import Lanes, Number, largest, magnitude, select, smallest
from hwmodels.kernels.microkernel import Modes, Part
from hwmodels.kernels.target import KIND, PANEL, PLAIN, ROW_BYTES
from hwmodels.kernels.tile import WORD, Grid, repeated
from hwmodels.units import ops
from hwmodels.units.aligner import distance
from hwmodels.units.ops import EXPONENT_MAX, ZERO_BLOCK

Index = NDArray[np.int64]
Exponents = NDArray[np.int16]

LONGEST, FURTHEST = 1 << 12, 1 << 14
"""Bounds and guard bits are not beyond the first, and shifts so not beyond the second."""

LEFT, ALIKE = 0, 1
"""What is known of a segment's shifts: all are to the left, or they may be in either direction."""

SURE, WATCHED, FAR = 0, 1, 2
"""What is known of a run: no word can overflow; one may; or a shift is too long."""


@kernel
def runs_of(a_exponents: Exponents) -> Index:
    """For each row the number of its run: rows after each other with the same exponents in every segment."""
    runs = np.zeros(a_exponents.shape[0], np.int64)
    for i in range(1, a_exponents.shape[0]):
        differ = False
        for s in range(a_exponents.shape[1]):
            differ = differ or a_exponents[i, s] != a_exponents[i - 1, s]
        runs[i] = runs[i - 1] + differ
    return runs


@kernel
def segment_shifts(
    a_exponents: Exponents,
    i: int,
    w_exponents: Exponents,
    top: Part,
    guard_bits: int,
    shifts: Part,
    stride: int,
    r: int,
) -> None:
    """The shift of every segment and column of row `i`, row `r` of its tile; none for a block of zeros."""
    for s in range(w_exponents.shape[0]):
        e, own, out = a_exponents[i, s], w_exponents[s], shifts[s * stride + r]
        for j in range(PANEL):
            shift = distance(top[r, j], e + own[j], guard_bits)
            out[j] = 0 if (e == ZERO_BLOCK) | (own[j] == ZERO_BLOCK) else shift


@kernel
def _aligned_plain(
    a_exponents: Exponents, i: int, w_exponents: Exponents, top: Part, limit: Part, start: Part,
    guard_bits: int, max_shift: int, bits: int, shifts: Part, modes: Modes,
) -> int:  # fmt: skip
    segment_shifts(a_exponents, i, w_exponents, top, guard_bits, shifts, 1, 0)
    furthest = 0
    reach = np.empty(PANEL, np.int64)
    for j in range(PANEL):
        word: Any = np.int64(start[0, j])
        reach[j] = ops.magnitude(word)
    for s in range(limit.shape[0]):
        modes[s] = LEFT
        for j in range(PANEL):
            shift: Any = np.int64(shifts[s, j])
            furthest = ops.largest(furthest, ops.magnitude(shift))
            left, right = ops.smallest(ops.largest(shift, 0), 31), ops.smallest(ops.largest(-shift, 0), 31)
            reach[j] += (np.int64(limit[s, j]) << left >> right) + (right > 0)
            modes[s] = ALIKE if right > 0 else modes[s]
    if furthest > ops.smallest(max_shift, 31):
        return FAR
    return SURE if reach.max() < 1 << (bits - 1) else WATCHED


@emitted
def _aligned(
    typing: Any, a_exponents: Any, w_exponents: Any, top: Any, limit: Any, start: Any, depth: Any,
    guard_bits: Any, longest: Any, half: Any, shifts: Any, modes: Any,
) -> Any:  # fmt: skip
    """What `aligned_run` does, for all columns at once; all but `depth` to `half` are addresses."""

    def code(_context: Any, b: ir.IRBuilder, _signature: Any, given: Any) -> Any:
        a_exponents, w_exponents, top, limit, start, depth, guard_bits, longest, half, shifts, modes = given
        parts = range(0, PANEL, LANES)

        def lanes(value: ir.Value, low: int, high: int) -> Number:
            return Lanes(b, value, low, high, LANES)

        def words(at: ir.Value, j: int, low: int, high: int) -> Number:
            return lanes(load(b, at, 4 * j, WORDS), low, high)

        guard = lanes(splat(b, b.trunc(guard_bits, I32)), -LONGEST, LONGEST)
        bounds = [words(top, j, -LONGEST, LONGEST) for j in parts]
        first = [magnitude(words(start, j, WORD.low, WORD.high)).at(64) for j in parts]

        def body(s: ir.Value, before: Grid) -> Grid:
            row = b.mul(s, ir.Constant(I64, ROW_BYTES))
            own = b.add(w_exponents, b.mul(s, ir.Constant(I64, 2 * PANEL)))
            code = load(b, b.add(a_exponents, b.mul(s, ir.Constant(I64, 2))), 0, I16)
            e = lanes(splat(b, b.sext(code, I32)), ZERO_BLOCK, EXPONENT_MAX)
            rounded: ir.Value = ir.Constant(ir.VectorType(I1, LANES), [0] * LANES)
            after: Grid = []
            for j, bound, (far, reach) in zip(parts, bounds, before, strict=True):
                w = load(b, own, 2 * j, ir.VectorType(I16, LANES))
                other = lanes(b.sext(w, WORDS), ZERO_BLOCK, EXPONENT_MAX)
                zero = (e == ZERO_BLOCK) | (other == ZERO_BLOCK)
                shift = select(zero, 0, distance(bound, e + other, guard))
                store(b, shift.at(32), b.add(shifts, row), 4 * j)
                left, right = largest(shift, 0), largest(-shift, 0)
                most = words(b.add(limit, row), j, 0, WORD.high) << smallest(left, 31)
                most = (most >> right) + (right > 0)
                rounded = b.or_(rounded, (right > 0).holds())
                furthest = largest(lanes(far, 0, FURTHEST), largest(left, right))
                after.append([furthest.at(32), b.add(reach, most.at(64))])
            b_mode = b.select(_any(b, rounded), ir.Constant(I8, ALIKE), ir.Constant(I8, LEFT))
            store(b, b_mode, b.add(modes, s), 0)
            return after

        nothing = ir.Constant(WORDS, [0] * LANES)
        last = repeated(b, depth, [[nothing, reach] for reach in first], body)
        longest = splat(b, b.trunc(longest, I32))
        far = [_any(b, b.icmp_signed(">", furthest, longest)) for furthest, _ in last]
        over = [_any(b, b.icmp_signed(">=", reach, splat(b, half))) for _, reach in last]
        known = b.select(b.or_(*over), ir.Constant(I64, WATCHED), ir.Constant(I64, SURE))
        return b.select(b.or_(*far), ir.Constant(I64, FAR), known)

    return numbers(
        a_exponents, w_exponents, top, limit, start, depth, guard_bits, longest, half, shifts, modes,
        gives=types.int64,
    ), code  # fmt: skip


def _any(b: ir.IRBuilder, conditions: ir.Value) -> ir.Value:
    """Whether a condition holds in any lane."""
    return b.icmp_signed("!=", b.bitcast(conditions, I16), ir.Constant(I16, 0))


@kernel
def _aligned_vector(
    a_exponents: Exponents, i: int, w_exponents: Exponents, top: Part, limit: Part, start: Part,
    guard_bits: int, max_shift: int, bits: int, shifts: Part, modes: Modes,
) -> int:  # fmt: skip
    known: int = _aligned(
        address(a_exponents) + 2 * i * a_exponents.shape[1], address(w_exponents), address(top),
        address(limit), address(start), limit.shape[0], guard_bits, min(max_shift, 31), 1 << (bits - 1),
        address(shifts), address(modes),
    )  # fmt: skip
    return known


aligned_run = _aligned_plain if KIND == PLAIN else _aligned_vector
"""The `shifts` of a run whose first row is `i`, into `modes` what is known of each segment, and what of all.

A term is at most its segment's `limit`, shifted, and one more where it is rounded. No word can overflow
where all of them and the word from `start`, without their signs, stay below half of the words' range."""
