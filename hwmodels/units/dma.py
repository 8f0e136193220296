"""The DMA engine: moves bytes between DRAM and SRAM in whole bursts.

The engine makes the addresses: in every cycle it asks for as many *beats* as the bus has bytes for, each
with the address that it is read from, the one that it is written to, and which of its bytes are wanted. A
beat is the greatest common divisor of a burst and of what the bus carries in a cycle. Where a cycle has room
for several, as on a bus of several channels, each has an address of its own, so that no cycle is lost
where a run of bytes ends within it. The bytes themselves go from memory to memory.

A transfer is taken while the engine is idle or asks for the last beats of the transfer before, so that
transfers follow each other without a gap.
"""

from __future__ import annotations

from collections.abc import Callable, MutableSequence, Sequence
from dataclasses import dataclass
from math import gcd
from typing import Any, NamedTuple

from hwmodels.units.actions import Actions, of
from hwmodels.units.ops import clamp, lookup, select
from hwmodels.units.ports import FLAG, Ports, unsigned, zeros


@dataclass(frozen=True)
class DmaConfig:
    """One DMA engine and the DRAM behind it.

    Attributes
    ----------
    bytes_per_cycle : int
        DRAM bandwidth.
    latency : int
        Cycles from the last byte requested to its arrival; later requests overlap it.
    burst : int
        Bytes of one burst: each contiguous run is rounded up to it.
    address_bits : int
        Width of addresses, strides, and the counts of a transfer.
    """

    bytes_per_cycle: int
    latency: int
    burst: int
    address_bits: int = 32

    @property
    def beat(self) -> int:
        """Bytes that have an address of their own: a burst is some of them, and so is a cycle."""
        return gcd(self.bytes_per_cycle, self.burst)

    @property
    def slots(self) -> int:
        """Beats per cycle."""
        return self.bytes_per_cycle // self.beat


def result(data: bytes) -> bytes:
    """A transfer changes nothing: the bytes as they are."""
    return data


class Inputs(NamedTuple):
    """A transfer, taken where `start` holds and the engine is ready, and the queue of addresses.

    A transfer of `runs` runs of `run_bytes` bytes starts at `source` and at `target`; the next run begins a
    stride behind it. Where `gather` holds, later runs are read at addresses that come from a queue instead,
    of which the engine sees the first ones in `queued`.
    """

    start: int
    source: int
    target: int
    run_bytes: int
    runs: int
    source_stride: int
    target_stride: int
    gather: int
    queued: tuple[int, ...]


class State(NamedTuple):
    """The registers: where the run under way began, how far it is, how many are left, and the transfer.

    `offset` is the next beat's place in the run, `phase` its place in the burst; `runs_left` counts the
    one under way, and is zero where the engine is idle.
    """

    run_source: int
    run_target: int
    offset: int
    phase: int
    runs_left: int
    bytes_of_run: int
    stride_of_source: int
    stride_of_target: int
    gathers: int


class Outputs(NamedTuple):
    """What the engine asks for, beat by beat, and how many addresses it takes from the queue.

    `ready` says that a transfer can start, `done` that this is the last cycle of one. `enable` has a bit for
    each byte that is wanted; what a run is rounded up by has none.
    """

    ready: int
    done: int
    request: tuple[int, ...]
    origin: tuple[int, ...]
    destination: tuple[int, ...]
    enable: tuple[int, ...]
    taken: int


def ports(config: DmaConfig) -> Ports:
    """The widths of the ports and registers."""
    n, address = config.slots, unsigned(config.address_bits)
    phase = unsigned(max((config.burst // config.beat - 1).bit_length(), 1))
    return Ports(
        Inputs(FLAG, *(address,) * 6, FLAG, (address,) * n),
        State(
            address, address, unsigned(config.address_bits + 1), phase, address,
            address, address, address, FLAG,
        ),
        Outputs(
            FLAG, FLAG, (FLAG,) * n, (address,) * n, (address,) * n, (unsigned(config.beat),) * n,
            unsigned(n.bit_length()),
        ),
    )  # fmt: skip


def reset(_: DmaConfig, state: State) -> State:
    """The state after a reset: idle."""
    return state._replace(runs_left=0)


class Beat(NamedTuple):
    """What one slot asks for, see `Outputs`."""

    request: int
    origin: int
    destination: int
    enable: int


def beat(config: DmaConfig, s: State) -> Beat:
    """The beat at the place that `s` holds."""
    top, active = (1 << config.address_bits) - 1, s.runs_left != 0
    wanted = clamp(s.bytes_of_run - s.offset, 0, config.beat)
    return Beat(
        select(active, 1, 0),
        (s.run_source + s.offset) & top,
        (s.run_target + s.offset) & top,
        select(active, (1 << wanted) - 1, 0),
    )


def behind(config: DmaConfig, s: State, gathered: int) -> tuple[State, int]:
    """The place behind a beat, and whether `gathered` was taken: where another run begins there."""
    top, last = (1 << config.address_bits) - 1, config.burst // config.beat - 1
    active, whole = s.runs_left != 0, s.offset + config.beat >= s.bytes_of_run
    over = active & whole & (s.phase == last)
    strided = (s.run_source + s.stride_of_source) & top
    further = (s.offset + config.beat) & (2 * top + 1)
    later = select(s.phase == last, 0, (s.phase + 1) & ((1 << last.bit_length()) - 1))
    after = s._replace(
        run_source=select(over, select(s.gathers, gathered, strided), s.run_source),
        run_target=select(over, (s.run_target + s.stride_of_target) & top, s.run_target),
        offset=select(over, 0, select(active, further, s.offset)),
        phase=select(active, later, s.phase),
        runs_left=select(over, (s.runs_left - 1) & top, s.runs_left),
    )
    return after, select(over & (s.gathers == 1) & (after.runs_left != 0), 1, 0)


def step(config: DmaConfig, state: State, inputs: Inputs) -> tuple[State, Outputs]:
    """One clock cycle: the state after the clock edge, and the outputs before it."""
    at, beats, taken = state, [], 0
    for _ in range(config.slots):
        beats.append(beat(config, at))
        at, one = behind(config, at, lookup(inputs.queued, taken))
        taken = taken + one
    ready = select(at.runs_left == 0, 1, 0)
    started = State(
        inputs.source, inputs.target, 0, 0, select(inputs.run_bytes == 0, 0, inputs.runs),
        inputs.run_bytes, inputs.source_stride, inputs.target_stride, inputs.gather,
    )  # fmt: skip
    start = inputs.start & ready
    after = State(*(select(start, new, old) for new, old in zip(started, at, strict=True)))
    request, origin, destination, enable = (tuple(b[field] for b in beats) for field in range(4))
    return after, Outputs(ready, request[0] & ready, request, origin, destination, enable, taken)


class Transfer(NamedTuple):
    """A transfer as `Inputs` has it; `gathered` are the addresses of the runs behind the first, if any."""

    source: int
    target: int
    run_bytes: int
    runs: int = 1
    source_stride: int = 0
    target_stride: int = 0
    gathered: tuple[int, ...] = ()


def move(
    config: DmaConfig,
    transfers: Sequence[Transfer],
    read: Sequence[int],
    write: MutableSequence[int],
    stepper: Callable[..., Any] = step,
) -> int:
    """Transfers one after the other, from the bytes of one memory to those of another.

    Returns
    -------
    int
        Cycles in which the bus is kept. (The first transfer is taken in the cycle before, and what is asked
        for arrives later; neither delays another transfer.)
    """
    waiting, queue = list(transfers), [0] * config.slots
    state, inputs = reset(config, zeros(ports(config).state)), zeros(ports(config).inputs)
    count, finished = 0, False
    while not finished:
        inputs = inputs._replace(start=0, queued=tuple(queue[: config.slots]))
        if waiting:
            t = waiting[0]
            inputs = Inputs(
                1, t.source, t.target, t.run_bytes, t.runs, t.source_stride, t.target_stride,
                int(t.gathered != ()), inputs.queued,
            )  # fmt: skip
        state, out = stepper(config, state, inputs)
        count += out.request[0]
        for source, target, enable in zip(out.origin, out.destination, out.enable, strict=True):
            for i in range(config.beat):
                if enable >> i & 1:
                    write[target + i] = read[source + i]
        queue = queue[out.taken :]
        finished = out.ready == 1 and not waiting
        if out.ready and waiting:
            queue = [*waiting.pop(0).gathered, *[0] * config.slots]
    return count


FILLER, APART = 0xA5, 3
"""What memories hold around the bytes of `run`, and how many of these lie between two runs."""


def run(
    config: DmaConfig,
    data: Sequence[int],
    runs: int = 1,
    order: Sequence[int] | None = None,
    stepper: Callable[..., Any] = step,
) -> tuple[list[int], int]:
    """A whole transfer, clock cycle by clock cycle: what `result` gives, and the cycles it took.

    Parameters
    ----------
    config : DmaConfig
    data : sequence of int
        The bytes of `runs` equally long runs.
    runs : int
    order : sequence of int, optional
        A permutation: in which order the runs lie in the memory that is read, where they are gathered.
    stepper : callable
        `step` or what behaves like it, such as a simulated module.
    """
    each = len(data) // runs
    stride, places = each + APART, range(runs) if order is None else order
    read = [FILLER] * (runs * stride + config.burst)
    write = list(read)
    for r, place in enumerate(places):
        read[place * stride : place * stride + each] = data[r * each : (r + 1) * each]
    starts = [place * stride for place in places]
    gathered = tuple(starts[1:]) if order is not None else ()
    count = move(config, [Transfer(starts[0], 0, each, runs, stride, each, gathered)], read, write, stepper)
    assert all(x == FILLER for x in write[runs * each :])
    return write[: runs * each], count


def transferred(config: DmaConfig, nbytes: int, runs: int) -> int:
    """Bytes on the bus for `runs` equal contiguous runs of `nbytes` bytes together."""
    each = -(-nbytes // runs)
    return runs * -(-each // config.burst) * config.burst


def cycles(config: DmaConfig, nbytes: int, runs: int = 1) -> int:
    """Cycles that a transfer keeps the bus: ``ceil(transferred / bytes_per_cycle)``.

    The latency is not part of it. By hand: 4,097 bytes in one run, bursts of 64 and 32 bytes per
    cycle: 65 bursts, 4,160 bytes, 130 cycles. Six runs of 65 bytes with 256 bytes per cycle: 12 bursts, four
    in each cycle whichever runs they are of, 3 cycles.
    """
    return -(-transferred(config, nbytes, runs) // config.bytes_per_cycle)


def actions(config: DmaConfig, nbytes: int, runs: int = 1) -> Actions:
    """Actions of a transfer: the bytes on the bus."""
    return of("dram", {"dram.bytes": transferred(config, nbytes, runs)})
