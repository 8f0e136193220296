"""The norm unit: LayerNorm and RMSNorm without a division and without a rounded mean.

The row is aligned to its largest exponent in 16 bits, x. With N elements, ``s1 = sum x``,
``s2 = sum x**2`` and ``V = N s2 - s1**2`` are exact. Then ``y = (N x - s1) / sqrt(V + eps')``, where
``eps' = eps N**2 2**(-2E)`` brings epsilon to the row's exponent E. The reciprocal root is found by
leading-zero count, even shift, table and Newton steps. RMSNorm has ``s1 = 0``.

A tile of rows goes through the unit twice: `norm_step` is its pipeline.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hwmodels.units.actions import Actions, of
from hwmodels.units.lut import interpolate
from hwmodels.units.ops import (
    FLOOR,
    HALF_UP,
    LONGEST_SHIFT,
    RNE,
    ZERO_BLOCK,
    Table,
    bit_length,
    fits,
    fits_unsigned,
    largest,
    mul,
    scale,
    select,
    shift_right,
    smallest,
)

WORD = 16
"""Bits of an aligned element."""

LENGTH_BITS = 14
"""Bits of N: a row has fewer than ``2**14`` elements."""

S1_BITS, S2_BITS = WORD + LENGTH_BITS, 2 * (WORD - 1) + LENGTH_BITS
"""Widths of a row's sums: ``|s1| <= N 2**15`` with a sign, and ``s2 <= N 2**30`` without."""

V_BITS = 62
"""Width of ``V + eps'``, which has no sign: ``V <= N**2 2**30 < 2**58`` and ``eps' < 2**60``."""

HALF_BITS = 5
"""Width of the half exponent of ``V + eps'``."""

ROOT_FRACTION = 18
"""Fraction bits of the reciprocal root."""

ROOT_BITS = ROOT_FRACTION + 1
"""Width of the reciprocal root, which has no sign and is one at most."""

MANTISSA_FRACTION = 16
"""Fraction bits of the mantissa in [1, 4) that the reciprocal root is taken of."""

MANTISSA_BITS = MANTISSA_FRACTION + 2
"""Width of the mantissa, which has no sign."""

SQUARE_BITS, ERROR_BITS = 20, 23
"""Widths inside a Newton step: ``r**2``, without a sign, and ``3 - m r**2``, for any ``r < 2``."""

Y_FRACTION, Y_BITS = 14, 24
"""Fraction bits and width of the normalised element, before gamma: |y| < sqrt(N)."""

SUM_BITS = 44
"""Width of ``y * gamma + beta``."""

BETA_HEADROOM = 22
"""Longest left shift of beta; a beta above it raises the exponent of the sum."""

EPSILON_LONGEST = 44
"""Longest left shift of epsilon's 16-bit mantissa, so that ``V + eps'`` stays below 2**62."""

NO_EPSILON = -1024
"""Exponent of an epsilon that is zero."""

SHIFT_BITS = 8
"""Width of the right shift of ``y * gamma``."""

PASS_1, PASS_2, NEWTON = 9, 11, 3
"""Stages of either pass without Newton steps, and of a Newton step, which belongs to the first."""


@dataclass(frozen=True)
class NormConfig:
    """One norm unit with its loaded table.

    Attributes
    ----------
    lanes : int
        Elements per cycle.
    root : tuple of int
        Table of ``1/sqrt(m)`` over [1, 4] with 18 fraction bits, ``3 * 2**n`` segments.
    newton_steps : int
        Newton steps after the table.
    latency : int
        Depth of the pipeline in either pass, no less than `stages` of the Newton steps.
    """

    lanes: int
    root: tuple[int, ...]
    newton_steps: int
    latency: int


@dataclass(frozen=True)
class NormOperands:
    """What one row needs besides its elements.

    Attributes
    ----------
    bits : int
        Width of the row's codes.
    centred : bool
        LayerNorm (the mean is taken off) or RMSNorm.
    epsilon : tuple of int
        Mantissa and exponent of ``epsilon * N**2``, see `epsilon_of`.
    gamma, gamma_exponents, beta, beta_exponents : tuple of int
        The learned scale and offset, one per element.
    """

    bits: int
    centred: bool
    epsilon: tuple[int, int]
    gamma: tuple[int, ...]
    gamma_exponents: tuple[int, ...]
    beta: tuple[int, ...]
    beta_exponents: tuple[int, ...]


def epsilon_of(epsilon: float, n: int) -> tuple[int, int]:
    """``epsilon * n**2`` as a 16-bit mantissa and an exponent: done once, by the compiler."""
    if epsilon == 0:
        return 0, NO_EPSILON
    mantissa, exponent = math.frexp(epsilon * n * n)
    return round(mantissa * (1 << 15)), exponent - 15


def step_bits(entries: int) -> int:
    """Low bits that interpolate in a table of ``3 * 2**n + 1`` entries over [1, 4)."""
    return MANTISSA_FRACTION + 2 - bit_length(entries - 1)


def lowest_exponent(epsilon_exponent: int, bits: int) -> int:
    """The lowest exponent that a row is aligned to.

    Below it epsilon would leave the word; it then is so much larger than the row's variance that the
    bits that the row loses are below those of the result.
    """
    return ((epsilon_exponent - EPSILON_LONGEST + 1) >> 1) + WORD - bits


def row_exponent_of(exponents: Sequence[int], epsilon_exponent: int, bits: int) -> int:
    """The exponent that a row is aligned to: its largest, but see `lowest_exponent`.

    Whoever reads the row for the unit finds it, one row ahead: the exponents of a row's blocks are few.
    """
    largest_yet = largest(ZERO_BLOCK, lowest_exponent(epsilon_exponent, bits))
    for e in exponents:
        largest_yet = largest(largest_yet, e)
    return largest_yet


def aligned(code: int, exponent: int, row_exponent: int, spare: int) -> int:
    """The element in 16 bits under the row's largest exponent; `spare` are the bits that its code leaves."""
    return scale(code, exponent - row_exponent + spare, 32, RNE)


def length_times_squares(n: int, s2: int) -> int:
    """``N s2``."""
    return mul(n, s2, LENGTH_BITS + 1, S2_BITS + 1)


def square_of_sum(s1: int) -> int:
    """``s1**2``."""
    return mul(s1, s1, S1_BITS, S1_BITS)


def variance(n: int, s1: int, s2: int) -> int:
    """``N s2 - s1**2``, exact: N squared times the variance."""
    return length_times_squares(n, s2) - square_of_sum(s1)


def epsilon_term(mantissa: int, exponent: int, unit: int) -> int:
    """Epsilon in units of ``2**(2 unit)``, where `unit` is the exponent of an aligned element."""
    return scale(mantissa, exponent - 2 * unit, EPSILON_LONGEST, RNE)


def half_exponent(v: int) -> int:
    """H with ``v / 4**h`` in [1, 4): an even shift."""
    return fits_unsigned(largest(bit_length(v) - 1, 0) >> 1, HALF_BITS)


def mantissa_of(v: int, h: int) -> int:
    """``v / 4**h`` in [1, 4), or one where v is zero."""
    shifted = scale(v, MANTISSA_FRACTION - 2 * h, V_BITS, FLOOR)
    return fits_unsigned(largest(shifted, 1 << MANTISSA_FRACTION), MANTISSA_BITS)


def root_square(r: int) -> int:
    """``r**2``: the first of a Newton step's three multiplies."""
    return shift_right(mul(r, r, ROOT_BITS + 1, ROOT_BITS + 1), ROOT_FRACTION, HALF_UP)


def root_error(mantissa: int, square: int) -> int:
    """``3 - m r**2``: the second."""
    product = mul(mantissa, square, MANTISSA_BITS + 1, SQUARE_BITS + 1)
    return (3 << ROOT_FRACTION) - shift_right(product, MANTISSA_FRACTION, HALF_UP)


def root_next(r: int, error: int) -> int:
    """``r (3 - m r**2) / 2``: the third."""
    return shift_right(mul(r, error, ROOT_BITS + 1, ERROR_BITS), ROOT_FRACTION + 1, HALF_UP)


def newton(r: int, mantissa: int) -> int:
    """One Newton step of ``1 / sqrt(mantissa)``: ``r (3 - m r**2) / 2``."""
    return root_next(r, root_error(mantissa, root_square(r)))


def reciprocal_root(v: int, table: Table, low: int, newton_steps: int) -> int:
    """``2**18 / sqrt(v / 4**h)`` with h the half exponent of v."""
    mantissa = mantissa_of(v, half_exponent(v))
    first = interpolate(table, mantissa - (1 << MANTISSA_FRACTION), low, ROOT_BITS + 1)
    r = fits_unsigned(first, ROOT_BITS)
    for _ in range(newton_steps):
        r = fits_unsigned(newton(r, mantissa), ROOT_BITS)
    return r


def length_times(n: int, x: int) -> int:
    """``N x``."""
    return mul(n, x, LENGTH_BITS + 1, WORD)


def difference(n: int, x: int, s1: int) -> int:
    """``N x - s1``: N times the element without the mean."""
    return length_times(n, x) - s1


def times_root(d: int, r: int) -> int:
    """``d r``."""
    return mul(d, r, S1_BITS + 1, ROOT_BITS + 1)


def halved(product: int, h: int) -> int:
    """``product / 2**h``, with 14 fraction bits."""
    return shift_right(product, ROOT_FRACTION - Y_FRACTION + h, HALF_UP)


def normalised(d: int, r: int, h: int) -> int:
    """``d r / 2**h``: the normalised element with 14 fraction bits."""
    return halved(times_root(d, r), h)


def sum_exponent(gamma_exponent: int, beta_exponent: int) -> int:
    """Exponent of ``y * gamma + beta``: gamma's, unless beta would leave the word."""
    product = select(gamma_exponent == ZERO_BLOCK, ZERO_BLOCK, gamma_exponent - Y_FRACTION)
    return largest(product, beta_exponent - BETA_HEADROOM)


def times_gamma(y: int, gamma: int) -> int:
    """``y * gamma``."""
    return mul(y, gamma, Y_BITS, WORD)


def product_shift(gamma_exponent: int, exponent: int) -> int:
    """How far right ``y * gamma`` goes to `exponent`, which is never below its own."""
    return fits_unsigned(exponent + Y_FRACTION - gamma_exponent, SHIFT_BITS)


def shifted_product(product: int, right: int) -> int:
    """``y * gamma`` brought to the sum's exponent."""
    return scale(product, -right, LONGEST_SHIFT, RNE)


def beta_shift(beta_exponent: int, exponent: int) -> int:
    """How far left beta goes to `exponent`, `BETA_HEADROOM` at most; right where it is negative."""
    return beta_exponent - exponent


def shifted_beta(beta: int, left: int) -> int:
    """Beta brought to the sum's exponent."""
    return scale(beta, smallest(left, BETA_HEADROOM), LONGEST_SHIFT, RNE)


def scaled(y: int, gamma: int, gamma_exponent: int, beta: int, beta_exponent: int, exponent: int) -> int:
    """``y * gamma + beta``, both brought to `exponent`."""
    product = shifted_product(times_gamma(y, gamma), product_shift(gamma_exponent, exponent))
    return product + shifted_beta(beta, beta_shift(beta_exponent, exponent))


def result(
    config: NormConfig, operands: NormOperands, codes: Sequence[int], exponents: Sequence[int]
) -> tuple[list[int], list[int]]:
    """Normalise one row.

    Parameters
    ----------
    config : NormConfig
    operands : NormOperands
    codes, exponents : sequence of int
        The row's N elements, ``code * 2**exponent``.

    Returns
    -------
    sums, exponents : list of int
        ``y * gamma + beta`` and the exponent of each.
    """
    n, spare = len(codes), WORD - operands.bits
    row_exponent = row_exponent_of(exponents, operands.epsilon[1], operands.bits)
    words = [fits(aligned(c, e, row_exponent, spare), WORD) for c, e in zip(codes, exponents, strict=True)]
    s1 = select(operands.centred, fits(sum(words), S1_BITS), 0)
    s2 = fits_unsigned(sum(mul(x, x, WORD, WORD) for x in words), S2_BITS)
    v = fits_unsigned(variance(n, s1, s2) + epsilon_term(*operands.epsilon, row_exponent - spare), V_BITS)
    h = half_exponent(v)
    r = reciprocal_root(v, config.root, step_bits(len(config.root)), config.newton_steps)
    sums, sum_exponents = [], []
    for i, x in enumerate(words):
        y = fits(normalised(difference(n, x, s1), r, h), Y_BITS)
        e = sum_exponent(operands.gamma_exponents[i], operands.beta_exponents[i])
        gamma, beta = operands.gamma[i], operands.beta[i]
        total = scaled(y, gamma, operands.gamma_exponents[i], beta, operands.beta_exponents[i], e)
        sums.append(fits(total, SUM_BITS))
        sum_exponents.append(e)
    return sums, sum_exponents


def stages(newton_steps: int) -> int:
    """The longer pipeline: to a row's root in pass 1, which has the Newton steps, or to a sum in pass 2."""
    return max(PASS_1 + NEWTON * newton_steps, PASS_2)


def cycles(config: NormConfig, rows: int, columns: int) -> int:
    """Cycles for `rows` rows: a pass over all of them for the sums, and one for the result.

    ``rows * 2 * ceil(columns / lanes) + 2 latency``; the root of one row overlaps the sums of the
    next, and that of the last drains before pass 2 begins. By hand: 49 rows of 128 on 64 lanes with
    latency 12: 49 * 2 * 2 + 24 = 220 cycles.
    """
    return rows * 2 * -(-columns // config.lanes) + 2 * config.latency


def actions(config: NormConfig, rows: int, columns: int) -> Actions:
    """Actions, by pass, per element and per row.

    1: align, square, two sums. Per row: N s2 and s1 squared with their difference, epsilon, leading-zero
    count, shift, interpolation, Newton steps of three multiplies. 2: times N, minus s1, times the root,
    shift, times gamma, align product and beta, add. Between the passes the words of a row lie in the
    vector buffer, where the sums will be: each is written and read.
    """
    n = rows * columns
    steps = config.newton_steps * rows
    length = bit_length(columns)
    counts = {
        f"shift:{WORD}": n,
        "mul:16x16": n,
        "add:44": 3 * n,
        f"mul:44x{length}": rows,
        f"mul:{WORD + length}x{WORD + length}": rows,
        "add:62": 2 * rows,
        "shift:62": 2 * rows,
        "lzc:62": rows,
        "table:19": 2 * rows,
        f"mul:19x{step_bits(len(config.root))}": rows,
        "mul:19x19": 3 * steps,
        "add:20": 2 * rows + steps,
        f"mul:{WORD}x{length}": n,
        f"add:{WORD + length + 1}": n,
        f"mul:{WORD + length + 1}x19": n,
        "shift:48": n,
        f"mul:{Y_BITS}x16": n,
        f"shift:{SUM_BITS}": 2 * n,
        "vector.bits": 2 * n * WORD,
    }
    return of("norm", counts)
