"""The kernels of the vector units: `units.lut`, `softmax`, `norm` and `elementwise` over matrices.

All read codes with the exponents of their blocks and write wide sums with an exponent each. `rows` is
the block of each row; `edges` cut the columns into runs whose exponent is constant.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwmodels.kernels.jit import kernel
from hwmodels.units.elementwise import add_aligned, add_exponent, add_flushed, product_exponent
from hwmodels.units.lut import evaluate, is_clipped, to_fixed
from hwmodels.units.norm import (
    WORD,
    difference,
    epsilon_term,
    half_exponent,
    lowest_exponent,
    normalised,
    reciprocal_root,
    scaled,
    sum_exponent,
    variance,
)
from hwmodels.units.norm import aligned as aligned_element
from hwmodels.units.ops import ZERO_BLOCK, Table, largest, select
from hwmodels.units.softmax import (
    FRACTION,
    distance_of,
    exponential,
    lowest,
    places_of,
    quotient,
    reciprocal_of,
)
from hwmodels.units.softmax import aligned as aligned_key

Codes = NDArray[np.int16]
Index = NDArray[np.int64]
Sums = NDArray[np.int64]
Exponents = NDArray[np.int16]


@kernel
def lut(
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
    for i in range(x.shape[0]):
        for c in range(edges.shape[0] - 1):
            e, first, last = shared[rows[i], c], edges[c], edges[c + 1]
            row, out, out_exponents = x[i, first:last], sums[i, first:last], exponents[i, first:last]
            for j in range(row.shape[0]):
                out[j] = evaluate(table, to_fixed(row[j], e, fraction, in_bits), span, step_bits, in_bits)
                out_exponents[j] = -fraction
                counts[0] += is_clipped(row[j], e, fraction, in_bits)


@kernel
def softmax_rows(
    x: Codes,
    shared: Codes,
    rows: Index,
    edges: Index,
    keys: NDArray[np.bool_],
    present: NDArray[np.bool_],
    rows_per_sample: int,
    guard_bits: int,
    exp2: Table,
    exp2_low: int,
    reciprocal: Table,
    reciprocal_low: int,
    sums: Sums,
    exponents: Exponents,
) -> None:
    """Softmax of every row over the keys that take part.

    Row i has the keys that row i of `keys`, which repeats, and its sample's row of `present` both name.
    """
    n = x.shape[1]
    word, taken = np.empty(n, np.int64), np.empty(n, np.bool_)
    for i in range(x.shape[0]):
        own, there = keys[i % keys.shape[0]], present[i // rows_per_sample]
        for j in range(n):
            taken[j] = own[j] & there[j]
        row_exponent = ZERO_BLOCK
        for c in range(edges.shape[0] - 1):
            any_taken = False
            for j in range(edges[c], edges[c + 1]):
                any_taken = any_taken | taken[j]
            row_exponent = select(any_taken, largest(row_exponent, shared[rows[i], c]), row_exponent)
        top = lowest(guard_bits)
        for c in range(edges.shape[0] - 1):
            e, first, last = shared[rows[i], c], edges[c], edges[c + 1]
            row, words, taking = x[i, first:last], word[first:last], taken[first:last]
            for j in range(row.shape[0]):
                words[j] = aligned_key(row[j], e, row_exponent, guard_bits)
                top = select(taking[j], largest(top, words[j]), top)
        total = 0
        for j in range(n):
            distance = distance_of(top, word[j])
            power = exponential(distance, row_exponent, guard_bits, exp2, exp2_low)
            word[j] = select(taken[j], power, 0)
            total += word[j]
        inverse, places = reciprocal_of(total, reciprocal, reciprocal_low), places_of(total)
        for j in range(n):
            sums[i, j] = quotient(word[j], inverse, places)
            exponents[i, j] = -FRACTION


@kernel
def norm_rows(
    x: Codes,
    shared: Codes,
    rows: Index,
    edges: Index,
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
    n, spare = x.shape[1], WORD - bits
    word = np.empty(n, np.int64)
    for i in range(x.shape[0]):
        row_exponent = largest(ZERO_BLOCK, lowest_exponent(epsilon_exponent, bits))
        for c in range(edges.shape[0] - 1):
            row_exponent = largest(row_exponent, shared[rows[i], c])
        s1, s2 = 0, 0
        for c in range(edges.shape[0] - 1):
            e, first, last = shared[rows[i], c], edges[c], edges[c + 1]
            row, words = x[i, first:last], word[first:last]
            for j in range(row.shape[0]):
                words[j] = aligned_element(row[j], e, row_exponent, spare)
                s1 += words[j]
                s2 += words[j] * words[j]
        s1 = select(centred, s1, 0)
        v = variance(n, s1, s2) + epsilon_term(epsilon, epsilon_exponent, row_exponent - spare)
        h = half_exponent(v)
        r = reciprocal_root(v, root, root_low, newton_steps)
        for j in range(n):
            y = normalised(difference(n, word[j], s1), r, h)
            e = sum_exponent(gamma_exponents[j], beta_exponents[j])
            sums[i, j] = scaled(y, gamma[j], gamma_exponents[j], beta[j], beta_exponents[j], e)
            exponents[i, j] = e


@kernel
def add_matrices(
    a: Codes,
    a_shared: Codes,
    a_rows: Index,
    a_blocks: Index,
    b: Codes,
    b_shared: Codes,
    b_rows: Index,
    b_blocks: Index,
    edges: Index,
    guard_bits: int,
    max_shift: int,
    rounding: int,
    sums: Sums,
    exponents: Exponents,
    counts: Index,
) -> None:
    """The aligned sum of two matrices; b repeats along the rows where it has fewer.

    `edges` cut the columns where either exponent changes; `a_blocks` and `b_blocks` are the column
    block of each run. `counts` are the flushed terms.
    """
    for i in range(a.shape[0]):
        k = i % b.shape[0]
        for c in range(edges.shape[0] - 1):
            ea = a_shared[a_rows[i], a_blocks[c]]
            eb = b_shared[b_rows[k], b_blocks[c]]
            first, last = edges[c], edges[c + 1]
            left, right = a[i, first:last], b[k, first:last]
            out, out_exponents = sums[i, first:last], exponents[i, first:last]
            for j in range(left.shape[0]):
                out[j] = add_aligned(left[j], ea, right[j], eb, guard_bits, max_shift, rounding)
                out_exponents[j] = add_exponent(ea, eb, guard_bits)
                counts[0] += add_flushed(left[j], ea, right[j], eb, guard_bits, max_shift)


@kernel
def multiply_matrices(
    a: Codes,
    a_shared: Codes,
    a_rows: Index,
    a_blocks: Index,
    b: Codes,
    b_shared: Codes,
    b_rows: Index,
    b_blocks: Index,
    edges: Index,
    sums: Sums,
    exponents: Exponents,
    counts: Index,
) -> None:
    """The product of two matrices, element by element; parameters as in `add_matrices`."""
    for i in range(a.shape[0]):
        k = i % b.shape[0]
        for c in range(edges.shape[0] - 1):
            ea = a_shared[a_rows[i], a_blocks[c]]
            eb = b_shared[b_rows[k], b_blocks[c]]
            first, last = edges[c], edges[c + 1]
            left, right = a[i, first:last], b[k, first:last]
            out, out_exponents = sums[i, first:last], exponents[i, first:last]
            for j in range(left.shape[0]):
                out[j] = np.int64(left[j]) * np.int64(right[j])
                out_exponents[j] = product_exponent(ea, eb)
