"""The ADD and MUL kernels: `units.elementwise` over two matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hwmodels.kernels.instructions import address, item_size
from hwmodels.kernels.jit import kernel
from hwmodels.kernels.lanes import Number, largest, reading, select, smallest
from hwmodels.kernels.rows import (
    CODE_8,
    CODE_16,
    EXPONENT,
    GUARD,
    LONGEST_GUARD,
    MAX_SHIFT,
    ROUNDING,
    Codes,
    Exponents,
    Index,
    Sums,
    share,
    spread,
)
from hwmodels.kernels.stream import ADD_32, MOST_32, Read, grid, stream
from hwmodels.kernels.team import Team, begin, finish
from hwmodels.units import aligner, elementwise
from hwmodels.units.elementwise import add_aligned, add_exponent, add_flushed, product_exponent
from hwmodels.units.ops import FLOOR


def _distances(given: Sequence[Number], scalars: Sequence[Number], _: Any) -> Sequence[Number]:
    """The exponent of the sum, how far left either element goes, and both ends of how far."""
    ea, eb = given
    e = reading.of(elementwise.add_exponent)(ea, eb, scalars[0])
    a, b = ea - e, eb - e
    return e, a, b, largest(a, b), -smallest(a, b)


def _added(given: Sequence[Number], scalars: Sequence[Number], _: Any) -> Sequence[Number]:
    a, a_shift, b, b_shift = given
    max_shift, rounding = scalars
    align, is_flushed = reading.of(aligner.align), reading.of(aligner.is_flushed)
    total = align(a, a_shift, max_shift, rounding) + align(b, b_shift, max_shift, rounding)
    lost = (select(is_flushed(x, by, max_shift), 1, 0) for x, by in ((a, a_shift), (b, b_shift)))
    return total, sum(lost)


def _added_left(given: Sequence[Number], *_: Any) -> Sequence[Number]:
    """Where all go left, and no farther than the aligner reaches: nothing is rounded or flushed."""
    a, a_shift, b, b_shift = given
    align = reading.of(aligner.align)
    return (align(a, a_shift, LONGEST_GUARD, FLOOR) + align(b, b_shift, LONGEST_GUARD, FLOOR),)


def _multiplied(given: Sequence[Number], *_: Any) -> Sequence[Number]:
    return (given[0] * given[1],)


_PAIRS = ((CODE_8, CODE_8), (CODE_8, CODE_16), (CODE_16, CODE_8), (CODE_16, CODE_16))
distances = stream(_distances, (EXPONENT, EXPONENT), (16, 16, 16), (GUARD,), folds=(MOST_32, MOST_32))
_ANY, _LEFT = Read(16, -LONGEST_GUARD - 255, LONGEST_GUARD), Read(16, 0, LONGEST_GUARD)
added_8_8, added_8_16, added_16_8, added_16_16 = (
    grid(_added, (a, _ANY, b, _ANY), (32,), (MAX_SHIFT, ROUNDING), folds=(ADD_32,)) for a, b in _PAIRS
)
left_8_8, left_8_16, left_16_8, left_16_16 = (
    grid(_added_left, (a, _LEFT, b, _LEFT), (32,)) for a, b in _PAIRS
)
multiplied_8_8, multiplied_8_16, multiplied_16_8, multiplied_16_16 = (
    grid(_multiplied, pair, (32,)) for pair in _PAIRS
)


@kernel
def add_matrices(
    team: Team,
    part: int,
    parts: int,
    a: Codes,
    a_shared: Codes,
    a_rows: Index,
    a_edges: Index,
    b: Codes,
    b_shared: Codes,
    b_rows: Index,
    b_edges: Index,
    guard_bits: int,
    max_shift: int,
    rounding: int,
    sums: Sums,
    exponents: Exponents,
    groups: Index,
    counts: Index,
) -> None:
    """The aligned sum of two matrices; b repeats along the rows where it has fewer.

    Row i of the sums has the exponents in row ``groups[i]``. `counts` are the flushed terms. Sums have 64
    bits where a unit has more guard bits than any that is built: `blocksim.measure.mechanism` asks for it.
    """
    begin(team, parts)
    n = a.shape[1]
    ea, eb = np.empty(n, np.int16), np.empty(n, np.int16)
    a_shifts, b_shifts = np.empty(n, np.int16), np.empty(n, np.int16)
    flushed, ends = np.zeros(1, np.int64), np.empty(2, np.int64)
    i, last = share(a.shape[0], part, parts)
    while i < last:
        k = i % b.shape[0]
        end = group_end(groups, i, min(last, i + b.shape[0] - k))
        spread(a_shared, a_rows[i], a_edges, ea)
        spread(b_shared, b_rows[k], b_edges, eb)
        if item_size(sums) == 8:
            for j in range(n):
                exponents[groups[i], j] = add_exponent(ea[j], eb[j], guard_bits)
            flushed[0] += add_wide(a[i:end], ea, b[k:], eb, guard_bits, max_shift, rounding, sums[i:end])
            i = end
            continue
        ends[:] = -LONGEST_GUARD - 255
        distances(
            n, (address(ea), address(eb)),
            (address(exponents) + groups[i] * 2 * n, address(a_shifts), address(b_shifts)),
            (guard_bits,), (), address(ends),
        )  # fmt: skip
        all_left = (ends[0] <= max_shift) & (ends[1] <= 0)
        a_step, b_step = n * item_size(a), n * item_size(b)
        steps = (a_step, 0, b_step, 0, 4 * n)
        given = (address(a) + i * a_step, address(a_shifts), address(b) + k * b_step, address(b_shifts))
        to, rule, lost = (address(sums) + i * n * 4,), (max_shift, rounding), address(flushed)
        if item_size(a) == 1 and item_size(b) == 1:
            if all_left:
                left_8_8(end - i, n, given, to, steps, (), (), 0)
            else:
                added_8_8(end - i, n, given, to, steps, rule, (), lost)
        elif item_size(a) == 1:
            if all_left:
                left_8_16(end - i, n, given, to, steps, (), (), 0)
            else:
                added_8_16(end - i, n, given, to, steps, rule, (), lost)
        elif item_size(b) == 1:
            if all_left:
                left_16_8(end - i, n, given, to, steps, (), (), 0)
            else:
                added_16_8(end - i, n, given, to, steps, rule, (), lost)
        elif all_left:
            left_16_16(end - i, n, given, to, steps, (), (), 0)
        else:
            added_16_16(end - i, n, given, to, steps, rule, (), lost)
        i = end
    counts[0] += flushed[0]
    finish(team, part, parts)


@kernel
def add_wide(
    a: Codes, ea: Exponents, b: Codes, eb: Exponents, guard_bits: int, max_shift: int, rounding: int,
    sums: Sums,
) -> int:  # fmt: skip
    """Sums of 64 bits; how many terms were flushed."""
    flushed = 0
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            x: Any = np.int64(a[i, j])
            y: Any = np.int64(b[i, j])
            e, f = ea[j], eb[j]
            sums[i, j] = add_aligned(x, e, y, f, guard_bits, max_shift, rounding)
            flushed += add_flushed(x, e, y, f, guard_bits, max_shift)
    return flushed


@kernel
def multiply_matrices(
    team: Team,
    part: int,
    parts: int,
    a: Codes,
    a_shared: Codes,
    a_rows: Index,
    a_edges: Index,
    b: Codes,
    b_shared: Codes,
    b_rows: Index,
    b_edges: Index,
    sums: Sums,
    exponents: Exponents,
    groups: Index,
    counts: Index,
) -> None:
    """The product of two matrices, element by element; parameters as in `add_matrices`."""
    begin(team, parts)
    n = a.shape[1]
    ea, eb = np.empty(n, np.int16), np.empty(n, np.int16)
    i, last = share(a.shape[0], part, parts)
    while i < last:
        k = i % b.shape[0]
        end = group_end(groups, i, min(last, i + b.shape[0] - k))
        spread(a_shared, a_rows[i], a_edges, ea)
        spread(b_shared, b_rows[k], b_edges, eb)
        for j in range(n):
            exponents[groups[i], j] = product_exponent(ea[j], eb[j])
        a_step, b_step = n * item_size(a), n * item_size(b)
        given, to = (address(a) + i * a_step, address(b) + k * b_step), (address(sums) + i * n * 4,)
        steps = (a_step, b_step, 4 * n)
        if item_size(a) == 1 and item_size(b) == 1:
            multiplied_8_8(end - i, n, given, to, steps, (), (), 0)
        elif item_size(a) == 1:
            multiplied_8_16(end - i, n, given, to, steps, (), (), 0)
        elif item_size(b) == 1:
            multiplied_16_8(end - i, n, given, to, steps, (), (), 0)
        else:
            multiplied_16_16(end - i, n, given, to, steps, (), (), 0)
        i = end
    finish(team, part, parts)


@kernel
def group_end(groups: Index, first: int, last: int) -> int:
    """Where the rows end that share the exponents of the first."""
    end = first + 1
    while end < last and groups[end] == groups[first]:
        end += 1
    return end
