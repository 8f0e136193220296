"""The array in which outputs stay, cycle by cycle, against the tile's products and cycles."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from hwmodels.units import array_cycles, mac_array, os_array, os_element
from hwmodels.units.accumulator import AccumulatorConfig
from hwmodels.units.aligner import BOUND, EXACT, RUNNING, AlignerConfig
from hwmodels.units.array_cycles import segment_starts, updates
from hwmodels.units.built_array import BuiltArray
from hwmodels.units.mac_array import MacArrayConfig, MatmulOperands
from hwmodels.units.ops import FLOOR, HALF_UP, RNE, ZERO_BLOCK
from hwmodels.units.os_array import DRAIN
from hwmodels.units.ports import flat, zeros
from hwmodels.units.product import INT8, STICKY, Code

E4M3 = Code(8, 4, hidden=True, subnormal=True, largest=0x7E)
E2M1 = Code(4, 2, hidden=True, subnormal=True, largest=0x7)

WIDE = 1 << 20


@st.composite
def arrays(draw: st.DrawFn) -> BuiltArray:
    guard = draw(st.integers(-8, 15))
    lane = AlignerConfig(
        guard, draw(st.integers(max(1, abs(guard)), 62)), draw(st.sampled_from([FLOOR, HALF_UP, RNE]))
    )
    word = AccumulatorConfig(draw(st.sampled_from([16, 24, 32, 48])), draw(st.booleans()), 64, 2, 1)
    own = MacArrayConfig(
        draw(st.integers(1, 5)), draw(st.integers(1, 4)), "os", False, draw(st.integers(1, 6)), False,
        draw(st.sampled_from([BOUND, EXACT, RUNNING])), "none", draw(st.sampled_from([WIDE, 9])), lane, word,
        window=draw(st.sampled_from([7, 20, 48])),
        window_rounding=draw(st.sampled_from([FLOOR, RNE, STICKY])),
    )  # fmt: skip
    codes = st.sampled_from([(INT8, INT8), (INT8, INT8), (E4M3, E4M3), (E2M1, INT8), (INT8, E4M3)])
    return BuiltArray(own, *draw(codes))


@st.composite
def tiles(draw: st.DrawFn, built: BuiltArray) -> MatmulOperands:
    config = built.array
    m, n = draw(st.integers(1, config.rows)), draw(st.integers(1, config.columns))
    k = draw(st.integers(1, 12))
    starts = segment_starts(config, config.rows, k, draw(st.lists(st.integers(0, k - 1), max_size=5)))
    ends = array_cycles.segment_ends(k, starts)
    exponent = draw(
        st.sampled_from([st.integers(-9, 9), st.integers(-128, 127), st.sampled_from([ZERO_BLOCK, 0, 3])])
    )

    def operand(own: Code, count: int) -> tuple[list[list[int]], list[list[int]]]:
        codes, exponents = [], []
        code = st.one_of(st.integers(-127, 127), st.sampled_from([-127, 127]))
        if own.exponent_bits:
            code = st.integers(0, own.largest) | st.integers(0, own.largest).map(
                lambda x: x | 1 << own.bits - 1
            )
        for _ in range(count):
            row = draw(st.lists(code, min_size=k, max_size=k))
            shared = draw(st.lists(exponent, min_size=len(starts), max_size=len(starts)))
            for e, first, last in zip(shared, starts, ends, strict=True):
                if e == ZERO_BLOCK:
                    row[first:last] = [0] * (last - first)
            codes.append(row)
            exponents.append(shared)
        return codes, exponents

    (a, a_exponents), (w, w_exponents) = operand(built.a, m), operand(built.w, n)
    bits = draw(st.sampled_from([8, 32]))
    top = (1 << bits - 1) - 1
    bias = draw(st.none() | st.lists(st.integers(-top, top), min_size=n, max_size=n))
    bias_exponents = None if bias is None else draw(st.lists(exponent, min_size=n, max_size=n))
    if bias is not None and bias_exponents is not None:
        bias = [0 if e == ZERO_BLOCK else b for b, e in zip(bias, bias_exponents, strict=True)]
    return MatmulOperands(
        a, a_exponents, w, w_exponents, bias, bias_exponents, starts,
        updates(config, config.rows, k, starts), 8, bits, a_code=built.a, w_code=built.w,
    )  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(arrays(), st.data())
def test_a_tile(config: BuiltArray, data: st.DataObject) -> None:
    o = data.draw(tiles(config))
    k = len(o.a[0])
    gaps = data.draw(st.lists(st.integers(0, k - 1), max_size=3, unique=True))
    got, count = os_array.run(config, o, gaps=gaps)
    assert got == mac_array.result(config.array, o)
    assert count == os_array.cycles(config, k, o.segments) + len(gaps)
    whole = array_cycles.cycles(config.array, len(o.a), len(o.w), k, o.segments)
    assert count == whole.total - whole.prescan + DRAIN + len(gaps)


@settings(deadline=None)
@given(arrays(), st.data())
def test_every_port_holds_what_a_step_gives(config: BuiltArray, data: st.DataObject) -> None:
    ports = os_array.ports(config)
    state = os_array.reset(config, zeros(ports.state))
    o = data.draw(tiles(config))
    for inputs in os_array.feed(config, os_array.schedule(config, o), os_array.tile_of(config, o)):
        assert all(kind.holds(x) for kind, x in zip(flat(ports.inputs), flat(inputs), strict=True))
        state, out = os_array.step(config, state, inputs)
        for kind, x in zip(flat((ports.state, ports.outputs)), flat((state, out)), strict=True):
            assert kind.holds(x)


def test_cycles_by_hand() -> None:
    own = MacArrayConfig(
        32, 32, "os", False, 1, False, BOUND, "none", WIDE,
        AlignerConfig(8, 31, RNE), AccumulatorConfig(32, True, 256, 2, 1),
    )  # fmt: skip
    config = BuiltArray(own)
    assert os_array.cycles(config, 768, [0]) == 831
    assert os_array.cycles(config, 768, list(range(0, 768, 16))) == 1599
    assert (os_element.group(config), os_element.groups(config)) == (32, 1)
    five = BuiltArray(replace(own, rows=5, aligners=4))
    assert (os_element.group(five), os_element.groups(five)) == (2, 3)
