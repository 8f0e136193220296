"""The DMA engine clock cycle by clock cycle moves the bytes of `result` in `cycles`."""

from __future__ import annotations

import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hwmodels.units import dma
from hwmodels.units.dma import DmaConfig, Transfer

CONFIGS = st.builds(
    DmaConfig, bytes_per_cycle=st.integers(1, 80), latency=st.just(100), burst=st.integers(1, 70)
)
SHIPPED = DmaConfig(32, 100, 64)


@given(CONFIGS, st.integers(0, 200), st.integers(1, 9), st.booleans())
@example(SHIPPED, 64, 3, False)
@example(SHIPPED, 65, 3, True)
@example(DmaConfig(256, 100, 64), 65, 6, False)
@example(DmaConfig(256, 100, 64), 1, 9, True)
def test_run_is_result(config: DmaConfig, each: int, runs: int, gather: bool) -> None:
    rng = random.Random(each)
    data = rng.randbytes(each * runs)
    order = rng.sample(range(runs), runs) if gather else None
    got, count = dma.run(config, data, runs, order)
    assert bytes(got) == dma.result(data)
    assert count == dma.cycles(config, len(data), runs)


@given(CONFIGS, st.lists(st.tuples(st.integers(0, 90), st.integers(1, 4)), min_size=1, max_size=4))
def test_transfers_follow_each_other_without_a_gap(config: DmaConfig, sizes: list[tuple[int, int]]) -> None:
    transfers, start = [], 0
    for each, runs in sizes:
        gathered = tuple(start + 2 * each * r for r in range(1, runs)) if each & 1 else ()
        transfers.append(Transfer(start, start, each, runs, 2 * each, 2 * each, gathered))
        start += 2 * each * runs
    read, write = [random.Random(1).randrange(1, 256) for _ in range(start + 200)], [0] * (start + 200)
    count = dma.move(config, transfers, read, write)
    assert count == sum(dma.cycles(config, t.run_bytes * t.runs, t.runs) for t in transfers)
    moved = {
        t.target + t.target_stride * r + i
        for t in transfers
        for r in range(t.runs)
        for i in range(t.run_bytes)
    }
    assert write == [x if i in moved else 0 for i, x in enumerate(read)]


@pytest.mark.parametrize("bytes_per_cycle", [8, 32, 48, 256])
def test_slots_share_a_cycle_among_runs(bytes_per_cycle: int) -> None:
    config = DmaConfig(bytes_per_cycle, 100, 64)
    assert config.slots * config.beat == bytes_per_cycle
    assert 64 % config.beat == 0
    assert dma.run(config, bytes(6 * 65), 6)[1] == -(-12 * 64 // bytes_per_cycle)


def test_addresses_wrap_at_their_width() -> None:
    config = DmaConfig(4, 0, 4, address_bits=6)
    state = dma.reset(config, dma.zeros(dma.ports(config).state))
    start = dma.Inputs(1, 62, 60, 7, 1, 0, 0, 0, (0,))
    state, _ = dma.step(config, state, start)
    seen = []
    for _ in range(2):
        state, out = dma.step(config, state, start._replace(start=0))
        seen.append((out.origin[0], out.destination[0], out.enable[0], out.done))
    assert seen == [(62, 60, 15, 0), (2, 0, 7, 1)]
