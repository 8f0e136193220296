"""The encoder clock cycle by clock cycle gives what `result` gives, in the requantizer's cycles."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwmodels.formats import Floating, parse
from hwmodels.rtl.proofs.encoder import timed
from hwmodels.units import encoder, encoder_step, requantizer
from hwmodels.units.encoder import EncoderConfig
from hwmodels.units.encoder_step import EncoderUnitConfig
from hwmodels.units.ops import ZERO_BLOCK
from hwmodels.units.ports import leaves, map_leaves, zeros

NAMES = (
    "mxfp8e4m3",
    "mxfp8e5m2",
    "mxfp4",
    "mxfp6e2m3",
    "bl8",
    "dmf8e4m3",
    "e4m3",
    "log5",
    "log2u4",
    "logsqrt2u4",
)


def codes_of(name: str) -> EncoderConfig:
    coding = parse(f"{name}@tensor").coding
    assert isinstance(coding, Floating)
    return coding.encoder


configs = st.builds(
    EncoderUnitConfig, st.sampled_from([codes_of(n) for n in NAMES]), st.integers(1, 6), st.booleans(),
    st.integers(4, 7),
)  # fmt: skip
sums_of = st.one_of(
    st.integers(-(2**47), 2**47 - 1), st.integers(-300, 300), st.sampled_from([0, 1, -1, 15, 127, 2**46])
)
blocks = st.lists(
    st.tuples(sums_of, st.one_of(st.integers(-50, -20), st.integers(-512, 511))), min_size=1, max_size=15
)
anchors = st.one_of(st.none(), st.integers(0, 20))


@given(configs, blocks, anchors, st.sets(st.integers(0, 30)))
def test_a_search_and_pass_2(
    config: EncoderUnitConfig, block: list[tuple[int, int]], anchor: int | None, gaps: set[int]
) -> None:
    sums, exponents = (list(column) for column in zip(*block, strict=True))
    got, cycles = encoder_step.run(config, sums, exponents, anchor=anchor, gaps=sorted(gaps))
    assert got == encoder.result(config.codes, sums, exponents, anchor=anchor)
    chunks = -(-len(sums) // config.lanes) * (1 if config.merged else 2)
    assert cycles == requantizer.cycles(timed(config), len(sums)) + sum(gap < chunks for gap in gaps)


@given(configs, blocks, blocks, anchors)
def test_a_block_that_was_searched_before(
    config: EncoderUnitConfig, block: list[tuple[int, int]], rest: list[tuple[int, int]], anchor: int | None
) -> None:
    """The rest of a block, elsewhere, may hold its largest sum."""
    sums, exponents = (list(column) for column in zip(*block, strict=True))
    top = encoder.top_of(config.codes, *(list(c) for c in zip(*block, *rest, strict=True)))
    got, cycles = encoder_step.run(config, sums, exponents, top, anchor)
    assert got == encoder.result(config.codes, sums, exponents, top, anchor)
    assert cycles == requantizer.cycles(timed(config), len(sums), static=True)


@given(configs, st.lists(blocks, min_size=1, max_size=3))
def test_every_register_has_its_width(config: EncoderUnitConfig, tiles: list[list[tuple[int, int]]]) -> None:
    """Blocks side by side and behind each other, of as many lanes as there are."""
    ports = encoder_step.ports(config)
    state, idle = encoder_step.reset(config, zeros(ports.state)), zeros(ports.inputs)
    n, left = config.lanes, []
    for tile in [*tiles, *[[]] * config.latency]:
        padded = [*tile[:n], *[(0, 0)] * (n - len(tile[:n]))]
        sums, exponents = (tuple(c) for c in zip(*padded, strict=True))
        entering = {"sum": sums, "exponent": exponents, "written_sum": sums, "written_exponent": exponents}
        state, out = encoder_step.step(
            config, state, idle._replace(**entering, convert=int(bool(tile)), search=int(bool(tile)), first=1)
        )
        left.append(out)
        for shape, values in ((ports.state, state), (ports.outputs, out)):
            held = map_leaves(lambda width, x: width.holds(x), shape, values)
            assert all(fits for _, fits in leaves(held))
    assert sum(out.done for out in left) == len(tiles)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("level", [0, 1, 2])
def test_blocks_lie_side_by_side(name: str, level: int) -> None:
    """A tile of two rows of four lanes; each block of ``2**level`` lanes has an exponent of its own."""
    config = EncoderUnitConfig(codes_of(name), 4, False, 4)
    rows = [[(900, -12), (-3, -9), (1, -30), (7, -2)], [(-5, -12), (77, -8), (0, 0), (-1, -20)]]
    ports = encoder_step.ports(config)
    state, idle = encoder_step.reset(config, zeros(ports.state)), zeros(ports.inputs)
    feed = []
    for searched in (True, False):
        for k, row in enumerate(rows):
            sums, exponents = (tuple(c) for c in zip(*row, strict=True))
            steering = {"search": 1, "first": int(k == 0), "level": level}
            steering = steering if searched else {"convert": 1, "own": 1}
            feed.append(idle._replace(sum=sums, exponent=exponents, **steering))
    left = []
    for inputs in [*feed, *[idle] * 4]:
        state, out = encoder_step.step(config, state, inputs)
        left.append(out)
    done = [out for out in left if out.done]
    assert len(done) == 2
    for first in range(0, 4, 1 << level):
        own = [row[lane] for row in rows for lane in range(first, first + (1 << level))]
        sums, exponents = (list(c) for c in zip(*own, strict=True))
        codes, e, _, _ = encoder.result(config.codes, sums, exponents)
        lanes = range(first, first + (1 << level))
        assert [out.code[lane] for out in done for lane in lanes] == codes
        assert {out.stored[lane] for out in done for lane in lanes} == {e}


def test_zeros_have_an_exponent_of_their_own() -> None:
    config = EncoderUnitConfig(codes_of("e4m3"), 2, True, 4)
    for anchor in (None, 2):
        assert encoder_step.run(config, [0, 0, 0], [5, 6, 7], anchor=anchor)[0] == ([0] * 3, ZERO_BLOCK, 0, 0)
