"""The softmax unit, clock cycle by clock cycle: a whole tile is `result` in `cycles`, within the widths."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwmodels import machines
from hwmodels.units import softmax, softmax_parts, softmax_step, tables
from hwmodels.units.ops import ZERO_BLOCK
from hwmodels.units.ports import flat
from hwmodels.units.softmax import FRACTION, SoftmaxConfig

SHIPPED = machines.load("bct64").softmax_config
Tile = tuple[list[list[int]], list[list[int]], list[list[bool]]]


def tile(seed: int, rows: int, columns: int, low: int = -14, spread: int = 8, masked: float = 0.2) -> Tile:
    """Codes, exponents that change every three columns, and keys; some blocks are of zeros."""
    rng = np.random.default_rng(seed)
    exponents = rng.integers(low, low + spread + 1, (rows, -(-columns // 3)))
    exponents[rng.random(exponents.shape) < 0.1] = ZERO_BLOCK
    exponents = np.repeat(exponents, 3, axis=1)[:, :columns]
    codes = np.where(exponents == ZERO_BLOCK, 0, rng.integers(-32767, 32768, (rows, columns)))
    keys = rng.random((rows, columns)) >= masked
    return codes.tolist(), exponents.tolist(), keys.tolist()


def checked(config: SoftmaxConfig, state: Any, inputs: Any) -> Any:
    """A step of which every number fits its width."""
    ports = softmax_step.ports(config)
    after, outputs = softmax_step.step(config, state, inputs)
    for shape, widths in ((inputs, ports.inputs), (after, ports.state), (outputs, ports.outputs)):
        for value, width in zip(flat(shape), flat(widths), strict=True):
            assert width.holds(value)
    return after, outputs


def agrees(config: SoftmaxConfig, operands: Tile) -> None:
    got, count = softmax_step.run(config, *operands, stepper=checked)
    assert got == [softmax.result(config, *row) for row in zip(*operands, strict=True)]
    assert count == softmax.cycles(config, len(operands[0]), len(operands[0][0]))


@st.composite
def configs(draw: st.DrawFn) -> SoftmaxConfig:
    segments = st.sampled_from([2, 8, 64, 256])
    return SoftmaxConfig(
        lanes=draw(st.integers(1, 5)),
        guard_bits=draw(st.sampled_from([0, 1, 2, 4, 8])),
        exp2=tables.exp2_negative(draw(segments), FRACTION),
        reciprocal=tables.reciprocal(draw(segments), FRACTION),
        latency=draw(st.sampled_from([8, 9, 12])),
    )


@given(
    configs(),
    st.integers(0, 2**31),
    st.integers(1, 4),
    st.integers(1, 12),
    st.sampled_from([(-20, 8), (-14, 0), (-60, 50), (-127, 254), (-12, 30)]),
    st.sampled_from([0.0, 0.3, 1.0]),
)
def test_a_tile_is_result_in_cycles(
    config: SoftmaxConfig, seed: int, rows: int, columns: int, exponents: tuple[int, int], masked: float
) -> None:
    agrees(config, tile(seed, rows, columns, *exponents, masked))


@pytest.mark.parametrize("columns", [1, 64, 65, 130])
def test_the_shipped_unit(columns: int) -> None:
    agrees(SHIPPED, tile(columns, 2, columns))


def test_a_row_of_equal_elements_and_one_of_the_widest_spread() -> None:
    config = replace(SHIPPED, lanes=2)
    codes = [[7] * 5, [32767, -32767, 0, 32767, -32768]]
    agrees(config, (codes, [[-10] * 5] * 2, [[True] * 5] * 2))
    agrees(config, (codes, [[127] * 5, [-127] * 5], [[True] * 5] * 2))


def test_a_row_without_keys_between_others() -> None:
    codes, exponents, keys = tile(3, 3, 5, masked=0.0)
    keys[1] = [False] * 5
    config = replace(SHIPPED, lanes=2)
    agrees(config, (codes, exponents, keys))
    assert softmax_step.run(config, codes, exponents, keys)[0][1][0] == [0] * 5


def test_a_second_tile_starts_in_the_cycle_after_the_first() -> None:
    """Where the controller is after an operation is where a reset leaves it."""
    config = replace(SHIPPED, lanes=2)
    states = []

    def recording(config: SoftmaxConfig, state: Any, inputs: Any) -> Any:
        state, outputs = softmax_step.step(config, state, inputs)
        states.append(state)
        return state, outputs

    softmax_step.run(config, *tile(1, 2, 3), stepper=recording)
    assert states[-1].control == softmax_parts.IDLE
    assert states[-1].valid == (0,) * config.latency


def test_what_a_row_needs_is_read_once() -> None:
    """A row of three chunks: its exponent, largest word and sum with the first; one reciprocal."""
    rows, reciprocals = [], []

    def counting(config: SoftmaxConfig, state: Any, inputs: Any) -> Any:
        state, out = softmax_step.step(config, state, inputs)
        rows.append(out.row_read)
        reciprocals.append(out.reciprocal_read)
        return state, out

    softmax_step.run(replace(SHIPPED, lanes=2), *tile(1, 4, 6), stepper=counting)
    assert (sum(rows), sum(reciprocals)) == (3 * 4, 4)
