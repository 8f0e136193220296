"""The SOFTMAX kernel: `units.softmax` over the rows of a matrix.

As in the unit, each pass runs over some rows before the next begins: what is once per row then waits for
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwmodels.kernels.instructions import address, item_size
from hwmodels.kernels.jit import kernel
from hwmodels.kernels.lanes import Number, reading
from hwmodels.kernels.rows import (
    EXPONENT,
    LONGEST_GUARD,
    LONGEST_STEP,
    Codes,
    Exponents,
    Index,
    Sums,
    Table,
    both_widths,
    share,
    spread,
)
from hwmodels.kernels.stream import ADD, ADD_32, FLAGS, MOST_32, Fold, Read, Scalar, signed, stream
from hwmodels.kernels.team import Team, begin, finish
from hwmodels.units import ops
from hwmodels.units import softmax as unit
from hwmodels.units.ops import ZERO_BLOCK, largest, select
from hwmodels.units.softmax import FRACTION, SUM_BITS, places_of, reciprocal_of, word_bits


def _aligned_keys(given: Sequence[Number], scalars: Sequence[Number], _: Any) -> Sequence[Number]:
    code, exponent, taken = given
    guard, row_exponent, lowest = scalars
    word = reading.of(unit.aligned)(code, exponent, row_exponent, guard)
    return word, reading.of(ops.select)(taken != 0, word, lowest)


def _exponentials(
    given: Sequence[Number], scalars: Sequence[Number], tables: Sequence[Any]
) -> Sequence[Number]:
    word, taken = given
    top, guard, row_exponent, low = scalars
    distance = reading.of(unit.distance_of)(top, word)
    power = reading.of(unit.exponential)(distance, row_exponent, guard, tables[0], low)
    power = power.within(0, 1 << FRACTION)
    kept = reading.of(ops.select)(taken != 0, power, 0)
    return kept, kept


def _quotients(given: Sequence[Number], scalars: Sequence[Number], _: Any) -> Sequence[Number]:
    return (reading.of(unit.quotient)(given[0], *scalars),)


_ROW = Scalar(-128, 127)
keys_8, keys_16 = both_widths(
    _aligned_keys,
    (EXPONENT, FLAGS),
    (32,),
    (Scalar(0, LONGEST_GUARD), _ROW, Scalar(-(1 << 31), 0)),
    folds=(MOST_32,),
)

NARROW_GUARD, NARROW_STEP, NARROW_ROW, NARROW_LENGTH = 8, 13, Scalar(-40, -3), 1 << 30 - FRACTION
"""Guard bits, steps of the table, exponents of rows and lengths that leave room in 32 bits for what comes
after the distance in octaves, which then is a right shift."""


def _exponential_loop(guard: int, step: int, row: Scalar, total: Fold) -> Any:
    """A loop for guard bits and steps no more than these, and for exponents of rows between these."""
    word = signed(word_bits(guard), 32)
    scalars = (Scalar(word.low, word.high), Scalar(0, guard), row, Scalar(0, step))
    return stream(_exponentials, (word, FLAGS), (32,), scalars, (Scalar(0, 1 << FRACTION),), (total,))


exponentials = _exponential_loop(LONGEST_GUARD, LONGEST_STEP, _ROW, ADD)
narrow_exponentials = _exponential_loop(NARROW_GUARD, NARROW_STEP, NARROW_ROW, ADD_32)
quotients, narrow_quotients = (
    stream(
        _quotients, (Read(32, 0, 1 << FRACTION),), (32,), (Scalar(0, 1 << FRACTION), Scalar(low, SUM_BITS))
    )
    for low in (0, FRACTION)
)

TOGETHER = 16
"""Rows that are in a pass together."""


@kernel
def softmax_rows(
    team: Team,
    part: int,
    parts: int,
    x: Codes,
    shared: Codes,
    rows: Index,
    edges: Index,
    keys: NDArray[np.bool_],
    present: NDArray[np.bool_],
    rows_per_sample: int,
    guard_bits: int,
    lowest: int,
    exp2: Table,
    exp2_low: int,
    reciprocal: Table,
    reciprocal_low: int,
    sums: Sums,
    exponents: Exponents,
) -> None:
    """Softmax of every row over the keys that take part.

    Row i has the keys that row i of `keys`, which repeats, and its sample's row of `present` both name.
    `lowest` stands for a masked key.
    """
    begin(team, parts)
    n, known, masked, own = x.shape[1], -1, -1, np.empty(x.shape[1], np.int16)
    exponents[0] = -FRACTION
    taken, slot, slots = np.empty((TOGETHER, n), np.bool_), 0, np.empty(TOGETHER, np.int64)
    any_taken = np.zeros(edges.shape[0] - 1, np.bool_)
    tops, totals = np.empty(TOGETHER, np.int64), np.empty(TOGETHER, np.int64)
    row_exponents = np.empty(TOGETHER, np.int64)
    fits = (guard_bits <= NARROW_GUARD) & (exp2_low <= NARROW_STEP) & (n <= NARROW_LENGTH)
    first, last = share(x.shape[0], part, parts)
    for start in range(first, last, TOGETHER):
        count = min(TOGETHER, last - start)
        taken[0], slot = taken[slot], 0  # rows have the same keys as the row before, or a slot of their own
        for k in range(count):
            i = start + k
            sample, row = i // rows_per_sample, address(sums) + i * n * 4
            if keys.shape[0] > 1 or sample != masked:
                masked, slot = sample, k
                mine, there = keys[i % keys.shape[0]], present[sample]
                for j in range(n):
                    taken[k, j] = mine[j] & there[j]
                for c in range(edges.shape[0] - 1):
                    any_taken[c] = taken[k, edges[c] : edges[c + 1]].any()
            if rows[i] != known:
                known = rows[i]
                spread(shared, known, edges, own)
            e = ZERO_BLOCK
            for c in range(edges.shape[0] - 1):
                e = select(any_taken[c], largest(e, shared[known, c]), e)
            row_exponents[k], tops[k], slots[k] = e, lowest, slot
            given = (address(x) + i * n * item_size(x), address(own), address(taken) + slot * n)
            aligned, found = (guard_bits, e, lowest), address(tops) + 8 * k
            if item_size(x) == 1:
                keys_8(1, n, given, (row,), (0, 0, 0, 0), aligned, (), found)
            else:
                keys_16(1, n, given, (row,), (0, 0, 0, 0), aligned, (), found)
        totals[:] = 0
        for k in range(count):
            e, row = row_exponents[k], address(sums) + (start + k) * n * 4
            words, scalars = (row, address(taken) + slots[k] * n), (tops[k], guard_bits, e, exp2_low)
            found = address(totals) + 8 * k
            if fits and NARROW_ROW.low <= e <= NARROW_ROW.high:
                narrow_exponentials(n, words, (row,), scalars, (address(exp2),), found)
            else:
                exponentials(n, words, (row,), scalars, (address(exp2),), found)
        for k in range(count):
            total, row = totals[k], address(sums) + (start + k) * n * 4
            inverse, places = reciprocal_of(total, reciprocal, reciprocal_low), places_of(total)
            if places >= FRACTION:
                narrow_quotients(n, (row,), (row,), (inverse, places), (), 0)
            else:
                quotients(n, (row,), (row,), (inverse, places), (), 0)
    finish(team, part, parts)
