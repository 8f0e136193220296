"""The norm unit cycle by cycle: a tile as `result` and `cycles` say, and what only the arithmetic bounds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwmodels import machines
from hwmodels.kernels.jit import kernel
from hwmodels.units import norm, norm_step, tables
from hwmodels.units.lut import interpolate
from hwmodels.units.norm import NormConfig, NormOperands, newton
from hwmodels.units.norm_root import tree
from hwmodels.units.ops import ZERO_BLOCK
from hwmodels.units.ports import leaves, map_leaves, zeros

SHIPPED = machines.load("bct64").norm_config

Tile = tuple[NormOperands, list[list[int]], list[list[int]]]


@st.composite
def configs(draw: st.DrawFn) -> NormConfig:
    """Few lanes, all numbers of Newton steps, small tables, and pipelines as deep as needed or deeper."""
    steps = draw(st.integers(0, 3))
    return NormConfig(
        lanes=draw(st.integers(1, 5)),
        root=tables.reciprocal_root(draw(st.sampled_from([3, 6, 96])), norm.ROOT_FRACTION),
        newton_steps=steps,
        latency=norm.stages(steps) + draw(st.integers(0, 3)),
    )


@st.composite
def tiles(draw: st.DrawFn) -> Tile:
    """Rows with any exponents, gamma and beta; some elements are zero as those of zero blocks."""
    rows, n = draw(st.integers(1, 4)), draw(st.integers(1, 11))
    bits = draw(st.sampled_from([2, 8, 16]))
    low, spread = draw(st.sampled_from([(-20, 8), (-14, 0), (-60, 50), (-127, 254)]))
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))

    def vector(width: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        below = np.where(rng.random(n) < 0.1, ZERO_BLOCK, rng.integers(low, low + spread + 1, n))
        top = 1 << (width - 1)
        codes = np.where(below == ZERO_BLOCK, 0, rng.integers(1 - top, top, n))
        return tuple(codes.tolist()), tuple(below.tolist())

    epsilon = norm.epsilon_of(draw(st.sampled_from([0.0, 1e-12, 1e-5, 1.0, 1e9])), n)
    operands = NormOperands(bits, draw(st.booleans()), epsilon, *vector(16), *vector(16))
    elements = [vector(bits) for _ in range(rows)]
    return operands, [list(codes) for codes, _ in elements], [list(below) for _, below in elements]


@given(configs(), tiles(), st.data())
@settings(max_examples=60)
def test_run_is_result_in_cycles(config: NormConfig, tile: Tile, data: st.DataObject) -> None:
    operands, codes, exponents = tile
    rows, columns = len(codes), len(codes[0])
    chunks = rows * -(-columns // config.lanes)
    gaps = sorted(data.draw(st.sets(st.integers(0, chunks - 1))))
    got, count = norm_step.run(config, operands, codes, exponents, gaps=gaps)
    assert got == [norm.result(config, operands, c, e) for c, e in zip(codes, exponents, strict=True)]
    assert count == norm.cycles(config, rows, columns) + len(gaps)


@given(configs(), tiles())
@settings(max_examples=20)
def test_everything_fits_its_register(config: NormConfig, tile: Tile) -> None:
    """Ports and registers hold what comes in, goes out and stays: in particular the sums of a whole row."""
    ports = norm_step.ports(config)

    def stepper(config: NormConfig, state: norm_step.State, inputs: norm_step.Inputs) -> object:
        after, outputs = norm_step.step(config, state, inputs)
        for shape, values in ((ports.inputs, inputs), (ports.state, after), (ports.outputs, outputs)):
            held = map_leaves(lambda width, x: width.holds(x), shape, values)
            assert all(fine for _, fine in leaves(held)), [name for name, fine in leaves(held) if not fine]
        return after, outputs

    norm_step.run(config, *tile, stepper=stepper)


def test_two_tiles_without_a_reset() -> None:
    """The control is back where it was, so that the next tile may come when the last sums are out."""
    config = replace(SHIPPED, lanes=2)
    state = zeros(norm_step.ports(config).state)

    def stepper(config: NormConfig, _state: norm_step.State, inputs: norm_step.Inputs) -> object:
        nonlocal state
        state, outputs = norm_step.step(config, state, inputs)
        return state, outputs

    operands = NormOperands(16, True, norm.epsilon_of(1e-5, 3), *([(16384,) * 3, (-14,) * 3] * 2))
    for codes in ([[5, -900, 31000], [1, 2, 4]], [[7, 7, -7]]):
        exponents = [[-3, -9, -9]] * len(codes)
        got, count = norm_step.run(config, operands, codes, exponents, stepper)
        assert got == [norm.result(config, operands, c, e) for c, e in zip(codes, exponents, strict=True)]
        assert count == norm.cycles(config, len(codes), 3)


@pytest.mark.parametrize("columns", [64, 65, 768])
def test_shipped_unit(columns: int) -> None:
    rng = np.random.default_rng(columns)
    codes = rng.integers(-32767, 32768, (2, columns)).tolist()
    exponents = np.repeat(rng.integers(-20, 0, (2, -(-columns // 16))), 16, axis=1)[:, :columns].tolist()
    gamma, beta = rng.integers(-32767, 32768, (2, columns)).tolist()
    below = (-14,) * columns
    operands = NormOperands(
        16, True, norm.epsilon_of(1e-12, columns), tuple(gamma), below, tuple(beta), below
    )
    got, count = norm_step.run(SHIPPED, operands, codes, exponents)
    assert got == [norm.result(SHIPPED, operands, c, e) for c, e in zip(codes, exponents, strict=True)]
    assert count == norm.cycles(SHIPPED, 2, columns)


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("shape", ["one large", "all large", "half and half"])
def test_the_longest_row_fits(centred: bool, shape: str) -> None:
    """The extremes of s1, s2, V and y at the longest row: `result` asserts the widths."""
    n = (1 << norm.LENGTH_BITS) - 1
    large = {"one large": 1, "all large": n, "half and half": n // 2}[shape]
    codes = [-32767] * large + [0 if large == 1 else 32767] * (n - large)
    one = (16384,) * n, (-14,) * n
    for epsilon in (0.0, 1e9):
        operands = NormOperands(16, centred, norm.epsilon_of(epsilon, n), *one, *one)
        norm.result(SHIPPED, operands, codes, [-10] * n)


@kernel
def _extremes(root: np.ndarray, low: int, steps: int) -> tuple[int, int]:
    least, most = 1 << 62, -1
    for mantissa in range(1 << 16, 1 << 18):
        r = interpolate(root, mantissa - (1 << 16), low, 20)
        for _ in range(steps):
            r = newton(r, mantissa)
            least, most = min(least, r), max(most, r)
        least, most = min(least, r), max(most, r)
    return least, most


@pytest.mark.parametrize("steps", [0, 1, 2, 3])
@pytest.mark.parametrize("segments", [3, 6, 12, 96, 3 << 15])
def test_every_root_fits(segments: int, steps: int) -> None:
    """All roots that a Newton step gives have no sign and 19 bits, which no single stage of it shows."""
    root = np.array(tables.reciprocal_root(segments, norm.ROOT_FRACTION))
    least, most = _extremes(root, norm.step_bits(len(root)), steps)
    assert least > 0
    assert most <= (1 << norm.ROOT_FRACTION) + 1


def test_stages_by_hand() -> None:
    assert [norm.stages(steps) for steps in range(4)] == [11, 12, 15, 18]


def test_tree_pairs_neighbours() -> None:
    assert tree(lambda a, b: f"({a}{b})", "abcdefg") == "(((ab)(cd))((ef)g))"
    assert tree(max, [3]) == 3
