"""The array in which weights or inputs stay, clock cycle by clock cycle: whole products, bits and cycles."""

from __future__ import annotations

from dataclasses import replace
from math import ceil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from products import operands_of

from hwmodels.units import array_cycles, array_run, mac_array
from hwmodels.units.accumulator import AccumulatorConfig
from hwmodels.units.aligner import BOUND, EXACT, RUNNING, AlignerConfig
from hwmodels.units.built_array import BuiltArray
from hwmodels.units.mac_array import MacArrayConfig, MatmulOperands
from hwmodels.units.ops import FLOOR, HALF_UP, RNE
from hwmodels.units.product import INT8, STICKY, Code

INT4 = Code(4)
E4M3 = Code(8, 4, hidden=True, subnormal=True, largest=0x7E)
E2M1 = Code(4, 2, hidden=True, subnormal=True, largest=0x7)


def check(built: BuiltArray, o: MatmulOperands) -> None:
    m, k, n = len(o.a), len(o.a[0]), len(o.w)
    got, count = array_run.run(built, o)
    assert got == mac_array.result(built.array, o)
    took = array_cycles.cycles(built.array, m, n, k, o.segments, built.a.bits, built.w.bits)
    assert count == took.total - took.prescan


@st.composite
def products(draw: st.DrawFn) -> tuple[BuiltArray, MatmulOperands]:
    dataflow = draw(st.sampled_from(["ws", "is"]))
    config = MacArrayConfig(
        draw(st.integers(2, 5)), draw(st.integers(1, 4)), dataflow, draw(st.booleans()),
        draw(st.integers(1, 3)), draw(st.booleans()), draw(st.sampled_from([BOUND, EXACT, RUNNING])),
        draw(st.sampled_from(["none", "K", "N"])),
        draw(st.sampled_from([2, 5, 64])),
        AlignerConfig(
            draw(st.integers(-3, 8)),
            draw(st.sampled_from([9, 31])),
            draw(st.sampled_from([FLOOR, HALF_UP, RNE])),
        ),
        AccumulatorConfig(
            draw(st.sampled_from([20, 24, 32])), draw(st.booleans()), 8, 2, draw(st.sampled_from([1, 1, 7]))
        ),
    )  # fmt: skip
    operands = draw(st.sampled_from([(INT8, INT8), (INT8, INT4), (INT4, INT4), (Code(3), INT4)]))
    if draw(st.booleans()):
        operands = draw(
            st.sampled_from([(E4M3, E4M3), (INT8, E2M1), (E2M1, E2M1), (E2M1, INT4), (E4M3, INT8)])
        )
        window, rounding = draw(st.sampled_from([5, 13, 48])), draw(st.sampled_from([FLOOR, RNE, STICKY]))
        config = replace(config, window=window, window_rounding=rounding)
    built = BuiltArray(config, *operands, draw(st.sampled_from([8, 32])))
    moving, held, k = draw(st.integers(1, 6)), draw(st.integers(1, built.outputs)), draw(st.integers(1, 13))
    m, n = (moving, held) if dataflow == "ws" else (held, moving)
    cuts = draw(st.lists(st.integers(1, 12), max_size=6))
    return built, operands_of(built, m, k, n, cuts, draw(st.integers(0, 2**31)))


@given(products())
@settings(max_examples=120, deadline=None)
def test_run_is_result_in_cycles(case: tuple[BuiltArray, MatmulOperands]) -> None:
    check(*case)


@pytest.mark.parametrize("overlap", [True, False])
@pytest.mark.parametrize("aligners", [1, 2])
def test_a_grid_of_products(overlap: bool, aligners: int) -> None:
    """Every M, K and N around the array's sizes, with one to four segments in a fold."""
    config = MacArrayConfig(
        4, 4, "ws", overlap, aligners, False, BOUND, "none", 128,
        AlignerConfig(8, 31, RNE), AccumulatorConfig(32, True, 16, 2, 1),
    )  # fmt: skip
    built = BuiltArray(config)
    for m in (1, 3, 4, 9):
        for k in (1, 3, 4, 5, 8, 10):
            for n in (1, 4):
                for block in (1, 2, 4):
                    check(built, operands_of(built, m, k, n, list(range(0, k, block)), m * k + n))


def test_extreme_codes_fill_the_sums() -> None:
    """-128 x -128 in every element of a column, without a bit lost."""
    config = MacArrayConfig(
        8, 2, "ws", True, 1, False, BOUND, "none", 64,
        AlignerConfig(0, 31, RNE), AccumulatorConfig(32, True, 16, 2, 1),
    )  # fmt: skip
    built = BuiltArray(config)
    for block in (1, 8):
        o = operands_of(built, 2, 16, 2, list(range(0, 16, block)), 1)
        zeros = [[0] * len(o.segments)] * 2
        codes = [[-128] * 16] * 2
        check(built, replace(o, a=codes, a_exponents=zeros, w=codes, w_exponents=zeros))
        assert ceil(16 / block) >= len(o.segments)
