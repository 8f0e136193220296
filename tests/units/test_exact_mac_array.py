"""The array's bounds and the widths of its products."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hwmodels.units import mac_array
from hwmodels.units.accumulator import AccumulatorConfig
from hwmodels.units.aligner import BOUND, EXACT, RUNNING, AlignerConfig
from hwmodels.units.mac_array import MacArrayConfig, MatmulOperands
from hwmodels.units.ops import RNE, ZERO_BLOCK

BCT64 = MacArrayConfig(
    64, 64, "ws", True, 1, False, BOUND, "none", 1 << 20,
    AlignerConfig(8, 31, RNE), AccumulatorConfig(32, True, 256, 2, 1),
)  # fmt: skip


def test_bounds() -> None:
    assert mac_array.bias_floor(-9, 8, 32, 8, 31) == -9 + 8 - 22
    assert mac_array.bias_floor(-9, 8, 32, 8, 21) == -9 + 8 - 21
    assert mac_array.largest_exponent([-5, ZERO_BLOCK, -7]) == -5
    assert mac_array.largest_exponent([ZERO_BLOCK]) == ZERO_BLOCK
    rows, columns = [3, -5], [-9, 2]
    bounds = [mac_array.start_bound(n, rows, columns, -20) for n in (BOUND, EXACT, RUNNING)]
    assert bounds == [5, -3, -20]


def test_a_bias_has_eight_bits_if_nothing_is_said() -> None:
    """One of 9 would ask for a bound one higher in a word of 16 bits, and lose a bit."""
    narrow = replace(BCT64, accumulator=replace(BCT64.accumulator, bits=16))
    o = MatmulOperands([[1]], [[-20]], [[1]], [[-20]], [127], [0], [0], [True])
    assert mac_array.result(narrow, o).exponents == [[mac_array.bias_floor(0, 8, 16, 8, 31) - 8]] == [[-6]]


def test_products_have_their_width() -> None:
    o = MatmulOperands([[127]], [[0]], [[7]], [[0]], None, None, [0], [True], w_bits=4)
    assert mac_array.result(BCT64, o).sums == [[889 << 8]]
    for a, w in ((128, 1), (1, 8), (-129, 1), (1, -9)):
        with pytest.raises(AssertionError):
            mac_array.result(BCT64, replace(o, a=[[a]], w=[[w]]))
