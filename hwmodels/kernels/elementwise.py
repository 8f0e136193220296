"""The ADD and MUL kernels: `units.elementwise` over two matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hwmodels.kernels.instructions import address
from hwmodels.kernels.jit import kernel
from hwmodels.kernels.lanes import Number, reading
from hwmodels.kernels.rows import (
    CODE_8,
    CODE_16,
    EXPONENT,
    GUARD,
    MAX_SHIFT,
    ROUNDING,
    Codes,
    Exponents,
    Index,
    Sums,
    share,
    spread,
)
from hwmodels.kernels.stream import ADD, stream
from hwmodels.kernels.team import Team, begin, finish
from hwmodels.units import elementwise as unit
from hwmodels.units.elementwise import add_aligned, add_exponent, add_flushed, product_exponent


def _added(given: Sequence[Number], scalars: Sequence[Number], _: Any) -> Sequence[Number]:
    a, ea, b, eb = given
    guard, max_shift, rounding = scalars
    total = reading.of(unit.add_aligned)(a, ea, b, eb, guard, max_shift, rounding)
    return total, reading.of(unit.add_flushed)(a, ea, b, eb, guard, max_shift)


def _multiplied(given: Sequence[Number], *_: Any) -> Sequence[Number]:
    return (given[0] * given[1],)


_PAIRS = ((CODE_8, CODE_8), (CODE_8, CODE_16), (CODE_16, CODE_8), (CODE_16, CODE_16))
added_8_8, added_8_16, added_16_8, added_16_16 = (
    stream(_added, (a, EXPONENT, b, EXPONENT), (32,), (GUARD, MAX_SHIFT, ROUNDING), folds=(ADD,))
    for a, b in _PAIRS
)
multiplied_8_8, multiplied_8_16, multiplied_16_8, multiplied_16_16 = (
    stream(_multiplied, pair, (32,)) for pair in _PAIRS
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
    ea, eb, known = np.empty(n, np.int16), np.empty(n, np.int16), -1
    flushed = np.zeros(1, np.int64)
    first, last = share(a.shape[0], part, parts)
    for i in range(first, last):
        k = i % b.shape[0]
        if groups[i] != known:
            known = groups[i]
            spread(a_shared, a_rows[i], a_edges, ea)
            spread(b_shared, b_rows[k], b_edges, eb)
            for j in range(n):
                exponents[known, j] = add_exponent(ea[j], eb[j], guard_bits)
        if sums.itemsize == 8:
            for j in range(n):
                x: Any = np.int64(a[i, j])
                y: Any = np.int64(b[k, j])
                e, f = ea[j], eb[j]
                sums[i, j] = add_aligned(x, e, y, f, guard_bits, max_shift, rounding)
                flushed[0] += add_flushed(x, e, y, f, guard_bits, max_shift)
            continue
        left, right = address(a) + i * n * a.itemsize, address(b) + k * n * b.itemsize
        given, to = (left, address(ea), right, address(eb)), (address(sums) + i * n * 4,)
        aligner, lost = (guard_bits, max_shift, rounding), address(flushed)
        if a.itemsize == 1 and b.itemsize == 1:
            added_8_8(n, given, to, aligner, (), lost)
        elif a.itemsize == 1:
            added_8_16(n, given, to, aligner, (), lost)
        elif b.itemsize == 1:
            added_16_8(n, given, to, aligner, (), lost)
        else:
            added_16_16(n, given, to, aligner, (), lost)
    counts[0] += flushed[0]
    finish(team, part, parts)


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
    ea, eb, known = np.empty(n, np.int16), np.empty(n, np.int16), -1
    first, last = share(a.shape[0], part, parts)
    for i in range(first, last):
        k = i % b.shape[0]
        if groups[i] != known:
            known = groups[i]
            spread(a_shared, a_rows[i], a_edges, ea)
            spread(b_shared, b_rows[k], b_edges, eb)
            for j in range(n):
                exponents[known, j] = product_exponent(ea[j], eb[j])
        given = (address(a) + i * n * a.itemsize, address(b) + k * n * b.itemsize)
        to = (address(sums) + i * n * 4,)
        if a.itemsize == 1 and b.itemsize == 1:
            multiplied_8_8(n, given, to, (), (), 0)
        elif a.itemsize == 1:
            multiplied_8_16(n, given, to, (), (), 0)
        elif b.itemsize == 1:
            multiplied_16_8(n, given, to, (), (), 0)
        else:
            multiplied_16_16(n, given, to, (), (), 0)
    finish(team, part, parts)
