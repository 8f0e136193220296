"""The element-wise unit: add with alignment, and multiply."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hwmodels.units import aligner
from hwmodels.units.actions import Actions, merged, of
from hwmodels.units.aligner import align, distance, is_flushed
from hwmodels.units.ops import ZERO_BLOCK, fits, largest, mul, select


@dataclass(frozen=True)
class ElementwiseConfig:
    """One element-wise unit.

    Attributes
    ----------
    lanes : int
        Elements per cycle.
    guard_bits, max_shift, rounding : int
        Its aligners, see `aligner.AlignerConfig`.
    latency : int
        Cycles from the first element in to the first element out.
    """

    lanes: int
    guard_bits: int
    max_shift: int
    rounding: int
    latency: int


SUM_BITS = 32
"""Width of a wide sum."""


def add_exponent(a_exponent: int, b_exponent: int, guard_bits: int) -> int:
    """Exponent of the wide sum: the larger of the two, with guard bits below it."""
    return largest(a_exponent, b_exponent) - guard_bits


def add_aligned(
    a: int, a_exponent: int, b: int, b_exponent: int, guard_bits: int, max_shift: int, rounding: int
) -> int:
    """The sum of two elements, both aligned to the larger exponent."""
    top = largest(a_exponent, b_exponent)
    left = align(a, distance(top, a_exponent, guard_bits), max_shift, rounding)
    return left + align(b, distance(top, b_exponent, guard_bits), max_shift, rounding)


def add_flushed(a: int, a_exponent: int, b: int, b_exponent: int, guard_bits: int, max_shift: int) -> int:
    """How many of the two terms are lost because their shift is too long."""
    top = largest(a_exponent, b_exponent)
    left = is_flushed(a, distance(top, a_exponent, guard_bits), max_shift)
    right = is_flushed(b, distance(top, b_exponent, guard_bits), max_shift)
    return select(left, 1, 0) + select(right, 1, 0)


def product_exponent(a_exponent: int, b_exponent: int) -> int:
    """Exponent of a product; that of a zero block stays a zero block's."""
    zero = (a_exponent == ZERO_BLOCK) | (b_exponent == ZERO_BLOCK)
    return select(zero, ZERO_BLOCK, a_exponent + b_exponent)


def result_add(
    config: ElementwiseConfig, a: Sequence[int], ea: Sequence[int], b: Sequence[int], eb: Sequence[int]
) -> tuple[list[int], list[int], int]:
    """The wide sums of two equally long rows, the exponent of each, and how many terms were flushed."""
    sums: list[int] = []
    exponents: list[int] = []
    flushed = 0
    for x, ex, y, ey in zip(a, ea, b, eb, strict=True):
        total = add_aligned(x, ex, y, ey, config.guard_bits, config.max_shift, config.rounding)
        sums.append(fits(total, SUM_BITS))
        exponents.append(add_exponent(ex, ey, config.guard_bits))
        flushed += add_flushed(x, ex, y, ey, config.guard_bits, config.max_shift)
    return sums, exponents, flushed


def result_mul(
    a: Sequence[int], ea: Sequence[int], b: Sequence[int], eb: Sequence[int]
) -> tuple[list[int], list[int]]:
    """The wide products of two equally long rows, and the exponent of each."""
    sums = [fits(mul(x, y, 16, 16), SUM_BITS) for x, y in zip(a, b, strict=True)]
    return sums, [product_exponent(x, y) for x, y in zip(ea, eb, strict=True)]


def cycles(config: ElementwiseConfig, elements: int) -> int:
    """Cycles for `elements` elements: ``ceil(elements / lanes) + latency``.

    By hand: 49 x 128 elements on 64 lanes with latency 3: 98 + 3 = 101 cycles.
    """
    return -(-elements // config.lanes) + config.latency


def actions_add(elements: int) -> Actions:
    """Actions of an add: a compare of exponents and an add per element; two terms are aligned."""
    own = of("elementwise", {"compare:8": elements, f"add:{SUM_BITS}": elements})
    return merged(own, aligner.actions(SUM_BITS, 2 * elements))


def actions_mul(elements: int) -> Actions:
    """Actions of a multiply: one multiplier and one add of exponents per element."""
    return of("elementwise", {"mul:16x16": elements, "add:9": elements})
