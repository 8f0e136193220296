"""The SOFTMAX kernel: `units.softmax` over the rows of a matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwmodels.kernels.instructions import address
from hwmodels.kernels.jit import kernel
from hwmodels.kernels.lanes import Number, reading
from hwmodels.kernels.rows import (
    EXPONENT,
    LONGEST_GUARD,
    STEP,
    Codes,
    Exponents,
    Index,
    Sums,
    Table,
    both_widths,
    share,
    spread,
)
from hwmodels.kernels.stream import ADD, FLAGS, MOST, Read, Scalar, stream
from hwmodels.kernels.team import Team, begin, finish
from hwmodels.units import ops
from hwmodels.units import softmax as unit
from hwmodels.units.ops import ZERO_BLOCK, largest, select
from hwmodels.units.softmax import FRACTION, SUM_BITS, places_of, reciprocal_of


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


_ROW, _WORD = Scalar(-128, 127), Read(32, -(1 << 31), (1 << 31) - 1)
keys_8, keys_16 = both_widths(
    _aligned_keys,
    (EXPONENT, FLAGS),
    (32,),
    (Scalar(0, LONGEST_GUARD), _ROW, Scalar(-(1 << 31), 0)),
    folds=(MOST,),
)
exponentials = stream(
    _exponentials,
    (_WORD, FLAGS),
    (32,),
    (Scalar(-(1 << 31), (1 << 31) - 1), Scalar(0, LONGEST_GUARD), _ROW, STEP),
    (Scalar(0, 1 << FRACTION),),
    (ADD,),
)
quotients = stream(
    _quotients, (Read(32, 0, 1 << FRACTION),), (32,), (Scalar(0, 1 << FRACTION), Scalar(0, SUM_BITS))
)


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
    n, known, own = x.shape[1], -1, np.empty(x.shape[1], np.int16)
    exponents[0] = -FRACTION
    word, taken, found = np.empty(n, np.int32), np.empty(n, np.bool_), np.empty(1, np.int64)
    any_taken = np.zeros(edges.shape[0] - 1, np.bool_)
    masked = -1
    first, last = share(x.shape[0], part, parts)
    for i in range(first, last):
        sample = i // rows_per_sample
        if keys.shape[0] > 1 or sample != masked:
            masked = sample
            mine, there = keys[i % keys.shape[0]], present[sample]
            for j in range(n):
                taken[j] = mine[j] & there[j]
            for c in range(edges.shape[0] - 1):
                any_taken[c] = False
                for j in range(edges[c], edges[c + 1]):
                    any_taken[c] = any_taken[c] | taken[j]
        if rows[i] != known:
            known = rows[i]
            spread(shared, known, edges, own)
        row_exponent = ZERO_BLOCK
        for c in range(edges.shape[0] - 1):
            row_exponent = select(any_taken[c], largest(row_exponent, shared[known, c]), row_exponent)
        found[0] = lowest
        given = (address(x) + i * n * x.itemsize, address(own), address(taken))
        if x.itemsize == 1:
            keys_8(n, given, (address(word),), (guard_bits, row_exponent, lowest), (), address(found))
        else:
            keys_16(n, given, (address(word),), (guard_bits, row_exponent, lowest), (), address(found))
        top = found[0]
        found[0] = 0
        exponentials(
            n, (address(word), address(taken)), (address(word),), (top, guard_bits, row_exponent, exp2_low),
            (address(exp2),), address(found),
        )  # fmt: skip
        total = found[0]
        inverse, places = reciprocal_of(total, reciprocal, reciprocal_low), places_of(total)
        quotients(n, (address(word),), (address(sums) + i * n * 4,), (inverse, places), (), 0)
    finish(team, part, parts)
