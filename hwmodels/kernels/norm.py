"""The NORM kernel: `units.norm` over the rows of a matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hwmodels.kernels.instructions import address
from hwmodels.kernels.jit import kernel
from hwmodels.kernels.lanes import Number, reading
from hwmodels.kernels.rows import (
    CODE_16,
    EXPONENT,
    Codes,
    Exponents,
    Index,
    Sums,
    Table,
    both_widths,
    share,
    spread,
)
from hwmodels.kernels.stream import ADD, Scalar, signed, stream
from hwmodels.kernels.team import Team, begin, finish
from hwmodels.units import norm as unit
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


def _aligned_words(given: Sequence[Number], scalars: Sequence[Number], _: Any) -> Sequence[Number]:
    word = reading.of(unit.aligned)(*given, *scalars).within(-(1 << WORD - 1), (1 << WORD - 1) - 1)
    return word, word, word * word


def _normalised(given: Sequence[Number], scalars: Sequence[Number], _: Any) -> Sequence[Number]:
    word, gamma, gamma_exponent, beta, beta_exponent = given
    n, s1, r, h = scalars
    d = reading.of(unit.difference)(n, word, s1).within(-(1 << unit.S1_BITS), 1 << unit.S1_BITS)
    y = reading.of(unit.normalised)(d, r, h)
    y = y.within(-(1 << unit.Y_BITS - 1), (1 << unit.Y_BITS - 1) - 1)
    e = reading.of(unit.sum_exponent)(gamma_exponent, beta_exponent)
    return (reading.of(unit.scaled)(y, gamma, gamma_exponent, beta, beta_exponent, e),)


words_8, words_16 = both_widths(
    _aligned_words, (EXPONENT,), (32,), (Scalar(-1024, 1023), Scalar(0, WORD)), folds=(ADD, ADD)
)
normalised = stream(
    _normalised,
    (signed(WORD, 32), CODE_16, EXPONENT, CODE_16, EXPONENT),
    (64,),
    (
        Scalar(0, (1 << unit.LENGTH_BITS) - 1),
        Scalar(-(1 << unit.S1_BITS - 1), (1 << unit.S1_BITS - 1) - 1),
        Scalar(0, (1 << unit.ROOT_BITS) - 1),
        Scalar(0, (1 << unit.HALF_BITS) - 1),
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
