"""The NORM kernel: `units.norm` over the rows of a matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hwmodels.kernels.instructions import address, item_size
from hwmodels.kernels.jit import kernel
from hwmodels.kernels.lanes import Number, fits, reading
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
from hwmodels.kernels.stream import ADD, ADD_32, MOST_32, Read, Scalar, signed, stream, unsigned
from hwmodels.kernels.team import Team, begin, finish
from hwmodels.units import norm as unit
from hwmodels.units.norm import (
    WORD,
    epsilon_term,
    half_exponent,
    lowest_exponent,
    reciprocal_root,
    variance,
)
from hwmodels.units.ops import ZERO_BLOCK, largest, select


def _aligned_words(given: Sequence[Number], scalars: Sequence[Number], _: Any) -> Sequence[Number]:
    word = fits(reading.of(unit.aligned)(*given, *scalars), WORD)
    return word, word, word * word


def _of_column(given: Sequence[Number], *_: Any) -> Sequence[Number]:
    """What all rows have in common: how far right the product goes, and beta where it is added."""
    gamma_exponent, beta, beta_exponent = given
    e = reading.of(unit.sum_exponent)(gamma_exponent, beta_exponent)
    left = reading.of(unit.beta_shift)(beta_exponent, e)
    right = reading.of(unit.product_shift)(gamma_exponent, e)
    return e, right, reading.of(unit.shifted_beta)(beta, left), right


def _normalised(given: Sequence[Number], scalars: Sequence[Number], _: Any) -> Sequence[Number]:
    """Where products stay where they are, which is so unless a beta is far above its gamma."""
    word, gamma, beta = given
    return (_product(word, gamma, scalars) + beta,)


def _normalised_shifted(given: Sequence[Number], scalars: Sequence[Number], _: Any) -> Sequence[Number]:
    word, gamma, beta, right = given
    return (reading.of(unit.shifted_product)(_product(word, gamma, scalars), right) + beta,)


def _product(word: Number, gamma: Number, scalars: Sequence[Number]) -> Number:
    n, s1, r, h = scalars
    d = fits(reading.of(unit.difference)(n, word, s1), unit.S1_BITS + 1)
    y = fits(reading.of(unit.normalised)(d, r, h), unit.Y_BITS)
    return reading.of(unit.times_gamma)(y, gamma)


words_8, words_16 = both_widths(
    _aligned_words, (EXPONENT,), (32,), (Scalar(-1024, 1023), Scalar(0, WORD)), folds=(ADD_32, ADD)
)
of_column = stream(_of_column, (EXPONENT, CODE_16, EXPONENT), (16, 32, 64), folds=(MOST_32,))
_BETA, _RIGHT = signed(WORD + unit.BETA_HEADROOM, 64), Read(32, 0, (1 << unit.SHIFT_BITS) - 1)
_ROW = (
    unsigned(unit.LENGTH_BITS),
    Scalar(-(1 << unit.S1_BITS - 1), (1 << unit.S1_BITS - 1) - 1),
    unsigned(unit.ROOT_BITS),
    unsigned(unit.HALF_BITS),
)
normalised = stream(_normalised, (signed(WORD, 32), CODE_16, _BETA), (64,), _ROW)
normalised_shifted = stream(_normalised_shifted, (signed(WORD, 32), CODE_16, _BETA, _RIGHT), (64,), _ROW)


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
    right, offset, farthest = np.empty(n, np.int32), np.empty(n, np.int64), np.zeros(1, np.int64)
    row_exponent = ZERO_BLOCK
    of_column(
        n, (address(gamma_exponents), address(beta), address(beta_exponents)),
        (address(exponents), address(right), address(offset)), (), (), address(farthest),
    )  # fmt: skip
    first, last = share(x.shape[0], part, parts)
    for i in range(first, last):
        if rows[i] != known:
            known = rows[i]
            spread(shared, known, edges, own)
            row_exponent = largest(ZERO_BLOCK, lowest_exponent(epsilon_exponent, bits))
            for c in range(edges.shape[0] - 1):
                row_exponent = largest(row_exponent, shared[known, c])
        totals[:] = 0
        given = (address(x) + i * n * item_size(x), address(own))
        if item_size(x) == 1:
            words_8(1, n, given, (address(word),), (0, 0, 0), (row_exponent, spare), (), address(totals))
        else:
            words_16(1, n, given, (address(word),), (0, 0, 0), (row_exponent, spare), (), address(totals))
        s1, s2 = select(centred, totals[0], 0), totals[1]
        v = variance(n, s1, s2) + epsilon_term(epsilon, epsilon_exponent, row_exponent - spare)
        h = half_exponent(v)
        r = reciprocal_root(v, root, root_low, newton_steps)
        columns, to, scalars = (
            (address(word), address(gamma), address(offset)),
            (address(sums) + i * n * 8,),
            (n, s1, r, h),
        )
        if farthest[0] == 0:
            normalised(n, columns, to, scalars, (), 0)
        else:
            normalised_shifted(n, (*columns, address(right)), to, scalars, (), 0)
    finish(team, part, parts)
