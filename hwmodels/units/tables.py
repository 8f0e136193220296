"""The contents of the lookup tables: integers computed once from their defining function.

A table is data: it travels in the trace and the datapath reads only its integers. Each holds
``segments + 1`` equidistant points, so that the last segment has an end to interpolate to.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache


def _points(
    f: Callable[[float], float], start: float, stop: float, segments: int, fraction: int
) -> tuple[int, ...]:
    step = (stop - start) / segments
    return tuple(round(f(start + i * step) * (1 << fraction)) for i in range(segments + 1))


def exp2_negative(segments: int, fraction: int) -> tuple[int, ...]:
    """``2**-f`` for f in [0, 1], with `fraction` fraction bits."""
    return _points(lambda f: 2.0**-f, 0.0, 1.0, segments, fraction)


def reciprocal(segments: int, fraction: int) -> tuple[int, ...]:
    """``1 / m`` for m in [1, 2], with `fraction` fraction bits."""
    return _points(lambda m: 1.0 / m, 1.0, 2.0, segments, fraction)


def reciprocal_root(segments: int, fraction: int) -> tuple[int, ...]:
    """``1 / sqrt(m)`` for m in [1, 4], with `fraction` fraction bits."""
    return _points(lambda m: 1.0 / math.sqrt(m), 1.0, 4.0, segments, fraction)


@cache
def gelu(segments: int, span: int, fraction: int) -> tuple[int, ...]:
    """``x (1 + erf(x / sqrt 2)) / 2`` for x in [-span, span], with `fraction` fraction bits."""
    return _points(lambda x: 0.5 * x * (1.0 + math.erf(x / math.sqrt(2.0))), -span, span, segments, fraction)


@cache
def gelu_tanh(segments: int, span: int, fraction: int) -> tuple[int, ...]:
    """``x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2``, as of `gelu`."""

    def f(x: float) -> float:
        return 0.5 * x * (1.0 + math.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))

    return _points(f, -span, span, segments, fraction)


@cache
def silu(segments: int, span: int, fraction: int) -> tuple[int, ...]:
    """``x / (1 + exp(-x))``, as of `gelu`; where a span of 8 ends, 0.0027 is left of it."""
    return _points(lambda x: x / (1.0 + math.exp(-x)), -span, span, segments, fraction)


FUNCTIONS: dict[str, Callable[[int, int, int], tuple[int, ...]]] = {
    "gelu": gelu,
    "gelu_tanh": gelu_tanh,
    "silu": silu,
}
"""Element-wise functions that a LUT instruction can name: zero far left, the identity far right."""
