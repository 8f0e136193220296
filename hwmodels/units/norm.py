"""The norm unit: LayerNorm and RMSNorm without a division and without a rounded mean.

The row is aligned to its largest exponent in 16 bits, x. With N elements, ``s1 = sum x``,
``s2 = sum x**2`` and ``V = N s2 - s1**2`` are exact. Then ``y = (N x - s1) / sqrt(V + eps')``, where
``eps' = eps N**2 2**(-2E)`` brings epsilon to the row's exponent E. The reciprocal root is found by
leading-zero count, even shift, table and Newton steps. RMSNorm has ``s1 = 0``.
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
    RNE,
    ZERO_BLOCK,
    Table,
    bit_length,
    fits,
    largest,
    scale,
    select,
    shift_right,
    smallest,
)

WORD = 16
"""Bits of an aligned element."""

ROOT_FRACTION = 18
"""Fraction bits of the reciprocal root."""

MANTISSA_FRACTION = 16
"""Fraction bits of the mantissa in [1, 4) that the reciprocal root is taken of."""

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
        Cycles from the last element of a pass to the first of the next.
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


def aligned(code: int, exponent: int, row_exponent: int, bits: int) -> int:
    """The element in 16 bits under the row's largest exponent."""
    return scale(code, exponent - row_exponent + WORD - bits, 32, RNE)


def variance(n: int, s1: int, s2: int) -> int:
    """``N s2 - s1**2``, exact: N squared times the variance."""
    return n * s2 - s1 * s1


def epsilon_term(mantissa: int, exponent: int, unit: int) -> int:
    """Epsilon in units of ``2**(2 unit)``, where `unit` is the exponent of an aligned element."""
    return scale(mantissa, exponent - 2 * unit, EPSILON_LONGEST, RNE)


def half_exponent(v: int) -> int:
    """H with ``v / 4**h`` in [1, 4): an even shift."""
    return largest(bit_length(v) - 1, 0) >> 1


def newton(r: int, mantissa: int) -> int:
    """One Newton step of ``1 / sqrt(mantissa)``: ``r (3 - m r**2) / 2``."""
    square = shift_right(r * r, ROOT_FRACTION, HALF_UP)
    error = (3 << ROOT_FRACTION) - shift_right(mantissa * square, MANTISSA_FRACTION, HALF_UP)
    return shift_right(r * error, ROOT_FRACTION + 1, HALF_UP)


def reciprocal_root(v: int, table: Table, low: int, newton_steps: int) -> int:
    """``2**18 / sqrt(v / 4**h)`` with h the half exponent of v."""
    mantissa = scale(v, MANTISSA_FRACTION - 2 * half_exponent(v), 62, FLOOR)
    mantissa = largest(mantissa, 1 << MANTISSA_FRACTION)
    r = interpolate(table, mantissa - (1 << MANTISSA_FRACTION), low, ROOT_FRACTION + 1)
    for _ in range(newton_steps):
        r = newton(r, mantissa)
    return r


def normalised(d: int, r: int, h: int) -> int:
    """``d r / 2**h``: the normalised element with 14 fraction bits."""
    return shift_right(d * r, ROOT_FRACTION - Y_FRACTION + h, HALF_UP)


def sum_exponent(gamma_exponent: int, beta_exponent: int) -> int:
    """Exponent of ``y * gamma + beta``: gamma's, unless beta would leave the word."""
    product = select(gamma_exponent == ZERO_BLOCK, ZERO_BLOCK, gamma_exponent - Y_FRACTION)
    return largest(product, beta_exponent - BETA_HEADROOM)


def scaled(y: int, gamma: int, gamma_exponent: int, beta: int, beta_exponent: int, exponent: int) -> int:
    """``y * gamma + beta``, both brought to `exponent`."""
    product = scale(y * gamma, gamma_exponent - Y_FRACTION - exponent, 62, RNE)
    return product + scale(beta, smallest(beta_exponent - exponent, BETA_HEADROOM), 62, RNE)


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
    n = len(codes)
    row_exponent = largest(ZERO_BLOCK, lowest_exponent(operands.epsilon[1], operands.bits))
    for e in exponents:
        row_exponent = largest(row_exponent, e)
    words = [
        fits(aligned(c, e, row_exponent, operands.bits), WORD) for c, e in zip(codes, exponents, strict=True)
    ]
    s1 = select(operands.centred, sum(words), 0)
    s2 = sum(x * x for x in words)
    unit = row_exponent - (WORD - operands.bits)
    v = fits(variance(n, s1, s2) + epsilon_term(*operands.epsilon, unit), 63)
    h = half_exponent(v)
    r = reciprocal_root(v, config.root, step_bits(len(config.root)), config.newton_steps)
    sums, sum_exponents = [], []
    for i, x in enumerate(words):
        y = fits(normalised(n * x - s1, r, h), Y_BITS)
        e = sum_exponent(operands.gamma_exponents[i], operands.beta_exponents[i])
        gamma, beta = operands.gamma[i], operands.beta[i]
        total = scaled(y, gamma, operands.gamma_exponents[i], beta, operands.beta_exponents[i], e)
        sums.append(fits(total, SUM_BITS))
        sum_exponents.append(e)
    return sums, sum_exponents


def cycles(config: NormConfig, rows: int, columns: int) -> int:
    """Cycles for `rows` rows: a pass for the sums and one for the result, the root between them.

    ``rows * 2 * ceil(columns / lanes) + 2 latency``; the root of one row overlaps the sums of the
    next. By hand: 49 rows of 128 on 64 lanes with latency 12: 49 * 2 * 2 + 24 = 220 cycles.
    """
    return rows * 2 * -(-columns // config.lanes) + 2 * config.latency


def actions(config: NormConfig, rows: int, columns: int) -> Actions:
    """Actions, by pass, per element and per row.

    1: align, square, two sums. Per row: N s2 and s1 squared with their difference, epsilon, leading-zero
    count, shift, interpolation, Newton steps of three multiplies. 2: times N, minus s1, times the root,
    shift, times gamma, align product and beta, add. A row stays in registers between the passes.
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
        "register.bits": n * WORD,
    }
    return of("norm", counts)
