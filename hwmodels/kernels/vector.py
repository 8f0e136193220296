"""The kernels of the vector units: `units.lut`, `softmax`, `norm` and `elementwise` over matrices.

All read codes with the exponents of their blocks and write wide sums with an exponent each. A block
index per row and per column says where an element's exponent lies.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwmodels.kernels.jit import kernel
from hwmodels.units import norm, softmax
from hwmodels.units.elementwise import add_aligned, add_exponent, product_exponent
from hwmodels.units.lut import evaluate, to_fixed
from hwmodels.units.ops import ZERO_BLOCK, Table, largest, select, smallest

Codes = NDArray[np.int16]
Index = NDArray[np.int64]
Sums = NDArray[np.int64]
Exponents = NDArray[np.int16]

aligned_key = softmax.aligned
exponential = softmax.exponential
reciprocal_of = softmax.reciprocal_of
quotient = softmax.quotient
LOWEST = softmax.LOWEST
SOFTMAX_FRACTION = softmax.FRACTION

aligned_element = norm.aligned
variance = norm.variance
epsilon_term = norm.epsilon_term
half_exponent = norm.half_exponent
reciprocal_root = norm.reciprocal_root
normalised = norm.normalised
sum_exponent = norm.sum_exponent
scaled = norm.scaled
WORD = norm.WORD


@kernel
def lut(
    x: Codes,
    shared: Codes,
    rows: Index,
    columns: Index,
    table: Table,
    fraction: int,
    in_bits: int,
    span: int,
    step_bits: int,
    sums: Sums,
    exponents: Exponents,
) -> None:
    """The table's function of every element."""
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            e = shared[rows[i], columns[j]]
            word = to_fixed(x[i, j], e, fraction, in_bits)
            sums[i, j] = evaluate(table, word, span, step_bits)
            exponents[i, j] = -fraction


@kernel
def softmax_rows(
    x: Codes,
    shared: Codes,
    rows: Index,
    columns: Index,
    keys: NDArray[np.bool_],
    guard_bits: int,
    exp2: Table,
    exp2_low: int,
    reciprocal: Table,
    reciprocal_low: int,
    sums: Sums,
    exponents: Exponents,
) -> None:
    """Softmax of every row over the `keys` that take part."""
    n = x.shape[1]
    word = np.empty(n, np.int64)
    for i in range(x.shape[0]):
        row_exponent = ZERO_BLOCK
        for j in range(n):
            e = shared[rows[i], columns[j]]
            row_exponent = select(keys[j], largest(row_exponent, e), row_exponent)
        top = LOWEST
        for j in range(n):
            e = smallest(shared[rows[i], columns[j]], row_exponent)
            word[j] = aligned_key(x[i, j], e, row_exponent, guard_bits)
            top = select(keys[j], largest(top, word[j]), top)
        total = 0
        for j in range(n):
            distance = largest(top - word[j], 0)
            power = exponential(distance, row_exponent, guard_bits, exp2, exp2_low)
            word[j] = select(keys[j], power, 0)
            total += word[j]
        inverse = reciprocal_of(total, reciprocal, reciprocal_low)
        for j in range(n):
            sums[i, j] = quotient(word[j], total, inverse)
            exponents[i, j] = -SOFTMAX_FRACTION


@kernel
def norm_rows(
    x: Codes,
    shared: Codes,
    rows: Index,
    columns: Index,
    bits: int,
    centred: bool,
    epsilon: int,
    epsilon_exponent: int,
    gamma: Codes,
    gamma_exponents: Codes,
    beta: Codes,
    beta_exponents: Codes,
    root: Table,
    root_low: int,
    newton_steps: int,
    sums: Sums,
    exponents: Exponents,
) -> None:
    """LayerNorm or RMSNorm of every row."""
    n = x.shape[1]
    word = np.empty(n, np.int64)
    for i in range(x.shape[0]):
        row_exponent = ZERO_BLOCK
        for j in range(n):
            row_exponent = largest(row_exponent, shared[rows[i], columns[j]])
        s1, s2 = 0, 0
        for j in range(n):
            e = shared[rows[i], columns[j]]
            word[j] = aligned_element(x[i, j], e, row_exponent, bits)
            s1 += word[j]
            s2 += word[j] * word[j]
        s1 = select(centred, s1, 0)
        unit = row_exponent - (WORD - bits)
        v = variance(n, s1, s2) + epsilon_term(epsilon, epsilon_exponent, unit)
        h = half_exponent(v)
        r = reciprocal_root(v, root, root_low, newton_steps)
        for j in range(n):
            y = normalised(n * word[j] - s1, r, h)
            ge, be = gamma_exponents[j], beta_exponents[j]
            e = sum_exponent(ge, be)
            sums[i, j] = scaled(y, gamma[j], ge, beta[j], be, e)
            exponents[i, j] = e


@kernel
def add_matrices(
    a: Codes,
    a_shared: Codes,
    a_rows: Index,
    a_columns: Index,
    b: Codes,
    b_shared: Codes,
    b_rows: Index,
    b_columns: Index,
    guard_bits: int,
    max_shift: int,
    rounding: int,
    sums: Sums,
    exponents: Exponents,
) -> None:
    """The aligned sum of two matrices; b repeats along the rows where it has fewer."""
    for i in range(a.shape[0]):
        k = i % b.shape[0]
        for j in range(a.shape[1]):
            ea = a_shared[a_rows[i], a_columns[j]]
            eb = b_shared[b_rows[k], b_columns[j]]
            x, y = a[i, j], b[k, j]
            sums[i, j] = add_aligned(x, ea, y, eb, guard_bits, max_shift, rounding)
            exponents[i, j] = add_exponent(ea, eb, guard_bits)


@kernel
def multiply_matrices(
    a: Codes,
    a_shared: Codes,
    a_rows: Index,
    a_columns: Index,
    b: Codes,
    b_shared: Codes,
    b_rows: Index,
    b_columns: Index,
    sums: Sums,
    exponents: Exponents,
) -> None:
    """The product of two matrices, element by element; b repeats where it has fewer rows."""
    for i in range(a.shape[0]):
        k = i % b.shape[0]
        for j in range(a.shape[1]):
            ea = a_shared[a_rows[i], a_columns[j]]
            eb = b_shared[b_rows[k], b_columns[j]]
            sums[i, j] = a[i, j] * b[k, j]
            exponents[i, j] = product_exponent(ea, eb)
