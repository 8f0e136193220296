"""The accumulator, cycle by cycle, against one add after the other."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hwmodels.units import accumulator
from hwmodels.units.accumulator import AccumulatorConfig
from hwmodels.units.ports import flat, zeros

configs = st.builds(
    AccumulatorConfig,
    bits=st.sampled_from([16, 24, 32, 48]),
    saturating=st.booleans(),
    rows=st.integers(1, 5),
    banks=st.just(2),
    latency=st.integers(1, 4),
    sum_bits=st.sampled_from([20, 33, 48]),
)


def words_of(draw: st.DrawFn, bits: int, count: int) -> list[int]:
    top = 1 << bits - 1
    near = st.one_of(st.integers(-top, top - 1), st.integers(top - 3, top - 1), st.integers(-top, 3 - top))
    return draw(st.lists(near, min_size=count, max_size=count))


@given(configs, st.integers(0, 12), st.data())
def test_a_words_updates_wait_for_each_other(config: AccumulatorConfig, n: int, data: st.DataObject) -> None:
    words = data.draw(st.integers(1, config.rows))
    start, terms = words_of(data.draw, config.bits, words), words_of(data.draw, config.sum_bits, n)
    (after, overflows), count = accumulator.run(config, start, [(i % words, x) for i, x in enumerate(terms)])
    assert after == [accumulator.result(config, start[i], terms[i::words]) for i in range(words)]
    assert count == accumulator.cycles(config, n, words)
    over = 0
    for i, x in enumerate(terms):
        over += accumulator.overflows(start[i % words], x, config.bits)
        start[i % words] = accumulator.add(start[i % words], x, config.bits, config.saturating)
    assert overflows == over


@given(configs, st.lists(st.integers(0, 1 << 20), min_size=1, max_size=12), st.data())
def test_any_words_and_idle_cycles(config: AccumulatorConfig, places: list[int], data: st.DataObject) -> None:
    terms = words_of(data.draw, config.sum_bits, len(places))
    updates = [(place % config.rows, x) for place, x in zip(places, terms, strict=True)]
    gaps = data.draw(st.lists(st.integers(0, len(places) - 1), max_size=3, unique=True))
    start = words_of(data.draw, config.bits, config.rows)
    (after, _), count = accumulator.run(config, start, updates, gaps=gaps)
    for i, word in enumerate(start):
        assert after[i] == accumulator.result(config, word, [x for place, x in updates if place == i])
    (same, _), without = accumulator.run(config, start, updates)
    assert same == after
    assert without <= count <= without + len(gaps)


@given(configs, st.data())
def test_every_port_holds_what_a_step_gives(config: AccumulatorConfig, data: st.DataObject) -> None:
    ports = accumulator.ports(config)
    state = accumulator.reset(config, zeros(ports.state))
    for _ in range(6):
        inputs = accumulator.Inputs(
            data.draw(st.integers(0, 1)),
            data.draw(st.integers(0, config.rows - 1)),
            *words_of(data.draw, config.sum_bits, 1),
            *words_of(data.draw, config.bits, 1),
        )
        state, out = accumulator.step(config, state, inputs)
        for kind, x in zip(flat((ports.state, ports.outputs)), flat((state, out)), strict=True):
            assert kind.holds(x)


def test_cycles_by_hand() -> None:
    slow = AccumulatorConfig(32, True, 64, 2, latency=2)
    assert accumulator.cycles(slow, 3) == 6
    assert accumulator.cycles(slow, 3, words=2) == 4
    assert accumulator.run(slow, [5], [(0, 1), (0, 2), (0, 3)]) == (([11], 0), 6)
