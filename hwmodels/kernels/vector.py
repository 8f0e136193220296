"""The kernels of the vector units: `units.lut`, `softmax`, `norm` and `elementwise` over matrices.

All read codes with the exponents of their blocks and write wide sums, whose exponents several rows may have
in common: each kernel says which row of `exponents` they are in. `rows` is the block of each row; `edges` cut
the columns into runs whose exponent is constant. Of `parts` threads each takes its share of the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwmodels.kernels.jit import kernel
from hwmodels.kernels.lanes import Number, reading
from hwmodels.kernels.microkernel import address
from hwmodels.kernels.stream import ADD, FLAGS, MOST, Read, Scalar, signed, stream
from hwmodels.kernels.team import Team, begin, finish
from hwmodels.units import elementwise, ops
from hwmodels.units import lut as lut_unit
from hwmodels.units import norm as norm_unit
from hwmodels.units import softmax as softmax_unit
from hwmodels.units.elementwise import add_exponent, product_exponent
from hwmodels.units.norm import (
    WORD,
    epsilon_term,
    half_exponent,
    lowest_exponent,
    reciprocal_root,
    sum_exponent,
    variance,
)
from hwmodels.units.ops import ZERO_BLOCK, largest, select
from hwmodels.units.softmax import FRACTION, SUM_BITS, places_of, reciprocal_of

Codes = NDArray[Any]
Index = NDArray[np.int64]
Sums = NDArray[Any]
Exponents = NDArray[np.int16]
Table = NDArray[np.int32]

CODE_8, CODE_16, EXPONENT = signed(8, 8), signed(16, 16), signed(8, 16)
LONGEST_GUARD, LONGEST_SHIFT, LONGEST_STEP = 15, 62, 16
GUARD, MAX_SHIFT, STEP = Scalar(-15, LONGEST_GUARD), Scalar(0, LONGEST_SHIFT), Scalar(0, LONGEST_STEP)
ROUNDING, FLAG = Scalar(0, 2), Scalar(0, 1)
ENTRY = Scalar(-(1 << 31), (1 << 31) - 1)


def _unit(function: Any) -> Any:
    return reading.of(function)


def both_widths(*arguments: Any, **named: Any) -> tuple[Any, Any]:
    """A stream over codes of 8 and of 16 bits, which are its first row."""
    body, reads, *rest = arguments
    return tuple(stream(body, (code, *reads), *rest, **named) for code in (CODE_8, CODE_16))


@kernel
def share(rows: int, part: int, parts: int) -> tuple[int, int]:
    """The first row of a thread's share, and the first that is not."""
    return rows * part // parts, rows * (part + 1) // parts


@kernel
def spread(shared: Codes, block: int, edges: Index, out: Exponents) -> None:
    """The exponent of every column of a row of blocks."""
    for c in range(edges.shape[0] - 1):
        out[edges[c] : edges[c + 1]] = shared[block, c]


# -- lut


def _lut(given: Sequence[Number], scalars: Sequence[Number], tables: Sequence[Any]) -> Sequence[Number]:
    code, exponent = given
    fraction, bits, span, step = scalars
    x = _unit(lut_unit.to_fixed)(code, exponent, fraction, bits)
    clipped = _unit(lut_unit.is_clipped)(code, exponent, fraction, bits)
    return _unit(lut_unit.evaluate)(tables[0], x, span, step, bits), clipped


lut_8, lut_16 = both_widths(
    _lut, (EXPONENT,), (32,), (Scalar(0, 24), Scalar(2, 32), Scalar(0, 1 << 27), STEP), (ENTRY,), (ADD,)
)


@kernel
def lut(
    team: Team,
    part: int,
    parts: int,
    x: Codes,
    shared: Codes,
    rows: Index,
    edges: Index,
    table: Table,
    fraction: int,
    in_bits: int,
    span: int,
    step_bits: int,
    sums: Sums,
    exponents: Exponents,
    counts: Index,
) -> None:
    """The table's function of every element; `counts` are the inputs beyond the fixed-point word."""
    begin(team, parts)
    n, known, own = x.shape[1], -1, np.empty(x.shape[1], np.int16)
    exponents[0] = -fraction
    clipped = np.zeros(1, np.int64)
    first, last = share(x.shape[0], part, parts)
    for i in range(first, last):
        if rows[i] != known:
            known = rows[i]
            spread(shared, known, edges, own)
        given = (address(x) + i * n * x.itemsize, address(own))
        to = (address(sums) + i * n * 4,)
        scalars = (fraction, in_bits, span, step_bits)
        if x.itemsize == 1:
            lut_8(n, given, to, scalars, (address(table),), address(clipped))
        else:
            lut_16(n, given, to, scalars, (address(table),), address(clipped))
    counts[0] += clipped[0]
    finish(team, part, parts)


# -- softmax


def _aligned_keys(given: Sequence[Number], scalars: Sequence[Number], _: Any) -> Sequence[Number]:
    code, exponent, taken = given
    guard, row_exponent, lowest = scalars
    word = _unit(softmax_unit.aligned)(code, exponent, row_exponent, guard)
    return word, reading.of(ops.select)(taken != 0, word, lowest)


def _exponentials(
    given: Sequence[Number], scalars: Sequence[Number], tables: Sequence[Any]
) -> Sequence[Number]:
    word, taken = given
    top, guard, row_exponent, low = scalars
    distance = _unit(softmax_unit.distance_of)(top, word)
    power = _unit(softmax_unit.exponential)(distance, row_exponent, guard, tables[0], low)
    power = power.within(0, 1 << FRACTION)
    kept = reading.of(ops.select)(taken != 0, power, 0)
    return kept, kept


def _quotients(given: Sequence[Number], scalars: Sequence[Number], _: Any) -> Sequence[Number]:
    return (_unit(softmax_unit.quotient)(given[0], *scalars),)


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


# -- norm


def _aligned_words(given: Sequence[Number], scalars: Sequence[Number], _: Any) -> Sequence[Number]:
    word = _unit(norm_unit.aligned)(*given, *scalars).within(-(1 << WORD - 1), (1 << WORD - 1) - 1)
    return word, word, word * word


def _normalised(given: Sequence[Number], scalars: Sequence[Number], _: Any) -> Sequence[Number]:
    word, gamma, gamma_exponent, beta, beta_exponent = given
    n, s1, r, h = scalars
    d = _unit(norm_unit.difference)(n, word, s1).within(-(1 << norm_unit.S1_BITS), 1 << norm_unit.S1_BITS)
    y = _unit(norm_unit.normalised)(d, r, h)
    y = y.within(-(1 << norm_unit.Y_BITS - 1), (1 << norm_unit.Y_BITS - 1) - 1)
    e = _unit(norm_unit.sum_exponent)(gamma_exponent, beta_exponent)
    return (_unit(norm_unit.scaled)(y, gamma, gamma_exponent, beta, beta_exponent, e),)


words_8, words_16 = both_widths(
    _aligned_words, (EXPONENT,), (32,), (Scalar(-1024, 1023), Scalar(0, WORD)), folds=(ADD, ADD)
)
normalised = stream(
    _normalised,
    (signed(WORD, 32), CODE_16, EXPONENT, CODE_16, EXPONENT),
    (64,),
    (
        Scalar(0, (1 << norm_unit.LENGTH_BITS) - 1),
        Scalar(-(1 << norm_unit.S1_BITS - 1), (1 << norm_unit.S1_BITS - 1) - 1),
        Scalar(0, (1 << norm_unit.ROOT_BITS) - 1),
        Scalar(0, (1 << norm_unit.HALF_BITS) - 1),
    ),
)


@kernel
def norm_rows(
    team: Team,
    part: int,
    parts: int,
    x: Codes,
    shared: Codes,
    rows: Index,
    edges: Index,
    bits: int,
    centred: bool,
    epsilon: int,
    epsilon_exponent: int,
    gamma: Codes,
    gamma_exponents: Exponents,
    beta: Codes,
    beta_exponents: Exponents,
    root: Table,
    root_low: int,
    newton_steps: int,
    sums: Sums,
    exponents: Exponents,
) -> None:
    """LayerNorm or RMSNorm of every row."""
    begin(team, parts)
    n, spare, known, own = x.shape[1], WORD - bits, -1, np.empty(x.shape[1], np.int16)
    word, totals = np.empty(n, np.int32), np.zeros(2, np.int64)
    for j in range(n):
        exponents[0, j] = sum_exponent(gamma_exponents[j], beta_exponents[j])
    parameters = (address(gamma), address(gamma_exponents), address(beta), address(beta_exponents))
    first, last = share(x.shape[0], part, parts)
    for i in range(first, last):
        if rows[i] != known:
            known = rows[i]
            spread(shared, known, edges, own)
        row_exponent = largest(ZERO_BLOCK, lowest_exponent(epsilon_exponent, bits))
        for c in range(edges.shape[0] - 1):
            row_exponent = largest(row_exponent, shared[known, c])
        totals[:] = 0
        given = (address(x) + i * n * x.itemsize, address(own))
        if x.itemsize == 1:
            words_8(n, given, (address(word),), (row_exponent, spare), (), address(totals))
        else:
            words_16(n, given, (address(word),), (row_exponent, spare), (), address(totals))
        s1, s2 = select(centred, totals[0], 0), totals[1]
        v = variance(n, s1, s2) + epsilon_term(epsilon, epsilon_exponent, row_exponent - spare)
        h = half_exponent(v)
        r = reciprocal_root(v, root, root_low, newton_steps)
        normalised(
            n, (address(word), *parameters), (address(sums) + i * n * 8,), (n, s1, r, h), (), 0
        )  # fmt: skip
    finish(team, part, parts)


# -- elementwise


def _added(given: Sequence[Number], scalars: Sequence[Number], _: Any) -> Sequence[Number]:
    a, ea, b, eb = given
    guard, max_shift, rounding = scalars
    total = _unit(elementwise.add_aligned)(a, ea, b, eb, guard, max_shift, rounding)
    return total, _unit(elementwise.add_flushed)(a, ea, b, eb, guard, max_shift)


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

    Row i of the sums has the exponents in row ``groups[i]``. `counts` are the flushed terms.
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
