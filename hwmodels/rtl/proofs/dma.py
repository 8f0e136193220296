"""The DMA engine: any place in any transfer, and by induction every transfer in as many cycles as it takes.

A place is told by the bytes that the bus has yet to carry, whole bursts of the run under way and those of
the runs behind it. `operation` shows of any place that a cycle carries as many as the bus has room for, or
those that are left, that `done` holds in the cycle that carries the last, and which bytes each slot moves;
and that a transfer begins with all of its bursts. Hence it takes ``ceil(transferred / bytes_per_cycle)``
cycles, which is `dma.cycles`. A small transfer of any bytes is unrolled besides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from hwmodels.machines import load
from hwmodels.rtl.reading import Reading
from hwmodels.rtl.twin import Claim, Edit, Twin
from hwmodels.rtl.words import Number, Terms, lookup, select
from hwmodels.units import dma
from hwmodels.units.dma import DmaConfig
from hwmodels.units.ports import map_leaves, unsigned


def unknown(terms: Terms, shape: Any, name: str) -> Any:
    """Numbers of which only the widths are known, in this shape."""
    place = iter(range(1 << 16))
    return map_leaves(lambda kind: terms.unknown(f"{name} {next(place)}", kind), shape)


def implies(premise: Number, conclusion: Number) -> Number:
    """That the one holds where the other does."""
    return select(premise, conclusion, 1)


def any_cycle(config: DmaConfig, terms: Terms, reading: Reading) -> Iterator[Claim]:
    """One cycle from any place in any transfer.

    `burst` bursts of the run are behind and `bursts` hold it. `others` are the bytes of the ``runs - 1`` runs
    behind it, rounded up; of the product is used only that it is none for one run, no less than a run's for
    more, and a run's less for one run less.
    """
    ports, address = dma.ports(config), unsigned(config.address_bits)
    state, inputs = unknown(terms, ports.state, "state"), unknown(terms, ports.inputs, "inputs")
    bursts, burst = terms.unknown("bursts", address), terms.unknown("burst", address)
    others = terms.unknown("others", unsigned(2 * config.address_bits))
    each = bursts * config.burst
    real = (state.bytes_of_run > each - config.burst) & (state.bytes_of_run <= each)
    real = real & (state.bytes_of_run != 0) & (burst < bursts) & (state.phase < config.burst // config.beat)
    real = real & (state.offset == burst * config.burst + state.phase * config.beat)

    def left(at: Any, others: Number) -> Number:
        return select(at.runs_left == 0, 0, others + each - at.offset)

    bus = left(state, others)
    after, out = reading.of(dma.step)(config, state, inputs._replace(start=0))
    at, taken = state, 0
    byte = terms.unknown("byte of a beat", unsigned(max((config.beat - 1).bit_length(), 1)))
    real = real & (byte < config.beat)
    for i in range(config.slots):
        real = real & implies(at.runs_left == 1, others == 0) & implies(at.runs_left > 1, others >= each)
        active = bus > i * config.beat
        yield Claim(f"slot {i} asks while bytes are left", implies(real, out.request[i] == active))
        moved = (at.run_source + at.offset - out.origin[i]) & (1 << config.address_bits) - 1
        put = (at.run_target + at.offset - out.destination[i]) & (1 << config.address_bits) - 1
        yield Claim(f"slot {i}: addresses", implies(real, (moved == 0) & (put == 0)))
        wanted = select(active & (at.offset + byte < at.bytes_of_run), 1, 0)
        yield Claim(
            f"slot {i}: a byte if it is the run's", implies(real, (out.enable[i] >> byte) & 1 == wanted)
        )
        following, one = reading.of(dma.behind)(config, at, lookup(inputs.queued, taken))
        taken = taken + one
        over = following.runs_left != at.runs_left
        burst = select(over, 0, select(following.phase == 0, burst + (at.runs_left != 0), burst))
        others = select(over, others - each, others)
        at = following
        placed = at.offset == burst * config.burst + at.phase * config.beat
        inside = (at.runs_left == 0) | (placed & (burst < bursts) & (at.phase < config.burst // config.beat))
        yield Claim(f"behind slot {i} is a place again", implies(real, inside))
    rest = select(bus > config.bytes_per_cycle, bus - config.bytes_per_cycle, 0)
    yield Claim("what is left", implies(real, left(at, others) == rest))
    yield Claim(
        "the state is behind the last slot", (after.runs_left == at.runs_left) & (after.offset == at.offset)
    )
    yield Claim("ready", implies(real, out.ready == (rest == 0)))
    yield Claim("done", implies(real, out.done == ((bus != 0) & (rest == 0))))


def beginning(config: DmaConfig, terms: Terms, reading: Reading) -> Iterator[Claim]:
    """A transfer is taken wherever the engine is ready, and begins with all of its bursts."""
    ports = dma.ports(config)
    state, inputs = unknown(terms, ports.state, "before"), unknown(terms, ports.inputs, "transfer")
    after, out = reading.of(dma.step)(config, state, inputs)
    taken = (inputs.start == 1) & (out.ready == 1)
    runs = select(inputs.run_bytes == 0, 0, inputs.runs)
    yield Claim("runs", implies(taken, after.runs_left == runs))
    yield Claim("from its start", implies(taken, (after.offset == 0) & (after.phase == 0)))
    same = (after.run_source == inputs.source) & (after.run_target == inputs.target)
    yield Claim("addresses of a transfer", implies(taken, same & (after.bytes_of_run == inputs.run_bytes)))


def operation(config: DmaConfig, nbytes: int, runs: int) -> Callable[[Terms, Reading], Iterator[Claim]]:
    """Any cycle, the beginning of any transfer, and a small one of any bytes."""

    def claims(terms: Terms, reading: Reading) -> Iterator[Claim]:
        yield from any_cycle(config, terms, reading)
        yield from beginning(config, terms, reading)
        data = [terms.unknown(f"byte {i}", unsigned(8)) for i in range(nbytes)]
        for order in (None, tuple(reversed(range(runs)))):
            got, count = reading.of(dma.run)(config, data, runs, order)
            yield Claim("cycles", count == dma.cycles(config, nbytes, runs))
            for i, byte in enumerate(data):
                yield Claim(f"byte {i} moved", got[i] == byte)

    return claims


def parameters(config: DmaConfig) -> dict[str, int]:
    """Those of the module `dma`."""
    return {
        "ADDRESS": config.address_bits,
        "BEAT": config.beat,
        "SLOTS": config.slots,
        "BURST_BEATS": config.burst // config.beat,
    }


def engine(config: DmaConfig, label: str, default: bool = True) -> Twin:
    """One engine."""
    return Twin(
        unit=dma, label=label, config=config, module="dma", parameters=parameters(config),
        operation=operation(config, 3 * (config.burst + 1), 3), default=default,
    )  # fmt: skip


def twins() -> list[Twin]:
    """Shipped engines, of one slot and of several; odd bursts, and single bytes."""
    return [
        engine(load("bct64").dma_config, "bct64"),
        engine(load("tpu128").dma_config, "tpu128", default=False),
        engine(DmaConfig(32, 0, 8, address_bits=10), "four slots"),
        engine(DmaConfig(24, 0, 40, address_bits=12), "24 bytes a cycle, bursts of 40"),
        engine(DmaConfig(3, 0, 1, address_bits=9), "three single bytes"),
    ]


BY_HAND = (
    Edit("dma.sv", "rest > Beat", "rest >= Beat", "rounding"),
    Edit("dma.sv", "logic [ADDRESS:0] offset;", "logic [ADDRESS-1:0] offset;", "width"),
    Edit("dma.sv", "rest[ADDRESS+1] ? '0 : whole", "whole", "sign"),
    Edit("dma.sv", "phase_at[i] == LastPhase &&", "", "rounding"),
    Edit("dma.sv", "assign done  = request[0] & ready", "assign done  = ready", "latency"),
    Edit("dma.sv", "gathers && runs_at[i+1] != 0", "gathers", "latency"),
)
