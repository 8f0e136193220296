"""The requantizer clock cycle by clock cycle gives what `result` gives, in `cycles()` cycles."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwmodels.units import requantizer
from hwmodels.units.ops import ZERO_BLOCK
from hwmodels.units.ports import leaves, map_leaves, zeros
from hwmodels.units.requantizer import RequantizerConfig
from hwmodels.units.requantizer_lane import WIDTHS, code, form_of, is_saturated, rounded, shifted

configs = st.builds(RequantizerConfig, st.integers(1, 6), st.booleans(), st.integers(4, 7))
bits_of = st.sampled_from(WIDTHS)
sums_of = st.one_of(
    st.integers(-(2**47), 2**47 - 1), st.integers(-300, 300), st.sampled_from([0, 1, 127, 255, 65535])
)
elements = st.tuples(
    sums_of, st.one_of(st.integers(-40, -20), st.integers(-512, 511)), st.integers(0, 2**16 - 1),
    st.integers(-128, 127),
)  # fmt: skip
blocks = st.lists(elements, min_size=1, max_size=15)
Block = list[tuple[int, int, int, int]]


def split(block: Block) -> tuple[list[int], list[int], tuple[list[int], list[int]]]:
    sums, exponents, multipliers, shifts = (list(column) for column in zip(*block, strict=True))
    return sums, exponents, (multipliers, shifts)


def by_scale(block: Block) -> tuple[list[int], list[int]]:
    return [s * m for s, _, m, _ in block], [e + x for _, e, _, x in block]


@given(configs, blocks, bits_of, st.booleans(), st.sets(st.integers(0, 30)), st.booleans())
def test_a_search_and_pass_2(
    config: RequantizerConfig, block: Block, bits: int, real: bool, gaps: set[int], raised: bool
) -> None:
    block = block if real else [(s, e, 1, 0) for s, e, _, _ in block]
    sums, exponents, scales = split(block)
    got, cycles = requantizer.run(
        config, sums, exponents, bits, scales=scales if real else None, gaps=sorted(gaps), raised=raised
    )
    assert got == requantizer.result(*by_scale(block), bits, raised=raised)
    chunks = -(-len(sums) // config.lanes) * (1 if config.merged else 2)
    assert cycles == requantizer.cycles(config, len(sums)) + sum(gap < chunks for gap in gaps)


@given(configs, blocks, bits_of, st.integers(-127, 127), st.sets(st.integers(0, 15)))
def test_a_static_exponent(
    config: RequantizerConfig, block: Block, bits: int, stored: int, gaps: set[int]
) -> None:
    sums, exponents, scales = split(block)
    got, cycles = requantizer.run(config, sums, exponents, bits, stored, scales=scales, gaps=sorted(gaps))
    assert got == requantizer.result(*by_scale(block), bits, stored)
    chunks = -(-len(sums) // config.lanes)
    assert cycles == requantizer.cycles(config, len(sums), static=True) + sum(gap < chunks for gap in gaps)


@given(configs, blocks, blocks, bits_of)
def test_a_search_of_several_parts_before(
    config: RequantizerConfig, block: Block, rest: Block, bits: int
) -> None:
    """A block in two parts: each is searched as it is written; both have the exponent of the larger top."""
    tops = []
    for part in (block, rest):
        sums, exponents, scales = split(part)
        top, cycles = requantizer.search(config, sums, exponents, bits, scales)
        assert top == requantizer.top_of(*by_scale(part), bits)
        assert cycles == -(-len(part) // config.lanes) + requantizer.SEARCH_STAGES
        tops.append(top)
    sums, exponents, scales = split(block)
    got, cycles = requantizer.run(config, sums, exponents, bits, top=max(tops), scales=scales)
    assert got == requantizer.result(*by_scale(block), bits, top=max(tops))
    assert cycles == requantizer.cycles(config, len(sums), static=True)
    whole = requantizer.result(*by_scale(block + rest), bits)
    assert (got[0], got[1]) == (whole[0][: len(block)], whole[1])


def feed(config: RequantizerConfig, cycles: list[dict[str, Any]]) -> list[requantizer.Outputs]:
    """What leaves while these inputs enter, one after the other, and while the pipeline drains.

    Every register and output has the width that `ports` says.
    """
    ports = requantizer.ports(config)
    idle = zeros(ports.inputs)
    state = requantizer.reset(config, zeros(ports.state))
    left = []
    for entering in [*cycles, *({} for _ in range(config.latency))]:
        state, out = requantizer.step(config, state, idle._replace(**entering))
        for shape, values in ((ports.state, state), (ports.outputs, out)):
            held = map_leaves(lambda width, x: width.holds(x), shape, values)
            assert all(fits for _, fits in leaves(held))
        left.append(out)
    return left


small = st.lists(st.tuples(st.integers(-1000, 1000), st.integers(-8, 0)), min_size=24, max_size=24)


def rows_of(tile: list[tuple[int, int]], lanes: int, prefix: str = "") -> list[dict[str, Any]]:
    """A tile's rows as they enter, one per cycle."""
    rows = [tile[i : i + lanes] for i in range(0, len(tile), lanes)]
    return [
        {
            f"{prefix}sum": tuple(s for s, _ in row),
            f"{prefix}exponent": tuple(e for _, e in row),
            f"{prefix}multiplier": (1,) * lanes,
        }
        for row in rows
    ]


def by_hand(tile: list[tuple[int, int]], lanes: int, level: int, bits: int) -> list[list[int]]:
    """The codes of each row, with blocks of ``2**level`` lanes as high as the tile."""
    rows = [tile[i : i + lanes] for i in range(0, len(tile), lanes)]
    codes = [[0] * lanes for _ in rows]
    for left in range(0, lanes, 1 << level):
        across = range(left, min(left + (1 << level), lanes))
        block = [rows[y][x] for y in range(len(rows)) for x in across]
        found = requantizer.result([s for s, _ in block], [e for _, e in block], bits)[0]
        for k, place in enumerate((y, x) for y in range(len(rows)) for x in across):
            codes[place[0]][place[1]] = found[k]
    return codes


@pytest.mark.parametrize(("lanes", "level"), [(8, 0), (8, 1), (8, 2), (8, 3), (6, 1), (6, 2), (6, 3), (1, 0)])
@given(small, small, bits_of, bits_of)
def test_blocks_side_by_side_follow_each_other(
    lanes: int, level: int, first: list[tuple[int, int]], second: list[tuple[int, int]], a: int, b: int
) -> None:
    """Two tiles with separate passes, without a cycle between them, each with blocks side by side."""
    config = RequantizerConfig(lanes, False, 4)
    cycles = []
    for tile, bits in ((first, a), (second, b)):
        rows, form = rows_of(tile, lanes), form_of(bits, True)
        for i, row in enumerate(rows):
            cycles.append(row | {"search": 1, "first": int(i == 0), "level": level, "search_form": form})
        cycles += [row | {"convert": 1, "own": 1, "form": form} for row in rows]
    codes = [list(out.code) for out in feed(config, cycles) if out.done]
    assert codes == by_hand(first, lanes, level, a) + by_hand(second, lanes, level, b)


@given(small, small, bits_of, bits_of)
def test_a_tile_is_searched_while_another_is_converted(
    first: list[tuple[int, int]], second: list[tuple[int, int]], a: int, b: int
) -> None:
    """Passes merged: what the search finds waits outside until the tile has been written."""
    config = RequantizerConfig(8, True, 5)

    def searched(tile: list[tuple[int, int]], bits: int) -> list[dict[str, Any]]:
        steering = {"search": 1, "level": 1, "search_form": form_of(bits, True)}
        rows = rows_of(tile, 8, "written_")
        return [row | steering | {"first": int(i == 0)} for i, row in enumerate(rows)]

    tops = [out.found_top for out in feed(config, searched(first, a)) if out.found][-1]
    converted = [row | {"convert": 1, "form": form_of(a, True), "top": tops} for row in rows_of(first, 8)]
    left = feed(config, [x | y for x, y in zip(searched(second, b), converted, strict=True)])
    assert [list(out.code) for out in left if out.done] == by_hand(first, 8, 1, a)
    tops = [out.found_top for out in left if out.found][-1]
    for i in range(0, 8, 2):
        block = [second[y + x] for y in range(0, 24, 8) for x in (i, i + 1)]
        assert tops[i] == tops[i + 1]
        assert tops[i] == requantizer.top_of([s for s, _ in block], [e for _, e in block], b)


@given(
    st.one_of(
        st.integers(-(2**63), 2**63 - 1),
        st.builds(lambda x, s: x << s, st.integers(-9, 9), st.integers(0, 58)),
    ),
    st.integers(-640, 638),
    st.integers(-128, 127),
    bits_of,
)
def test_a_code_is_rounded_once(acc: int, exponent: int, stored: int, bits: int) -> None:
    """Also of the widest sum under the most distant exponent."""
    limit = 2 ** (bits - 1) - 1
    exact = round(acc * Fraction(2) ** (exponent - stored))
    assert code(acc, exponent, stored, bits) == min(max(exact, -limit), limit)
    assert is_saturated(acc, exponent, stored, bits) == (abs(exact) > limit)


def test_cycles_by_hand() -> None:
    """Five sums on two lanes: three cycles a pass; the first leaves four after it has entered."""
    block = [255, -64, 3, 0, 100], [-4] * 5
    separate, merged = RequantizerConfig(2, False, 4), RequantizerConfig(2, True, 4)
    want = [64, -16, 1, 0, 25], -2, 0, 0
    assert requantizer.run(separate, *block, 8) == (want, 2 * 3 + 4)
    assert requantizer.run(merged, *block, 8) == (want, 3 + 4)
    assert requantizer.run(separate, *block, 8, gaps=(0, 3)) == (want, 2 * 3 + 4 + 2)
    assert requantizer.search(merged, *block, 8) == (9, 3 + 3)
    assert requantizer.run(merged, [0, 0, 0], [5, 6, 7], 8) == (([0, 0, 0], ZERO_BLOCK, 0, 0), 2 + 4)


def test_a_shifted_sum_by_hand() -> None:
    assert (shifted(255, -4, -2), rounded(255)) == (255, 64)
    assert (shifted(257, -4, 0), rounded(65)) == (65, 16)
    assert (rounded(2), rounded(6), rounded(-2), rounded(-6)) == (0, 2, 0, -2)  # halves
