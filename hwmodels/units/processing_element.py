"""One element of a weight- or input-stationary array.

It holds one code and multiplies it with the codes that pass from left to right. The product is added to
one of the partial sums that pass from top to bottom, one for each aligner of the column: to those whose
bit of `on` is set. Held codes pass from the top as well, row after row; the bit `load` says that the one
here stays. With a shadow register it stays there, until `swap` comes with the first code of a new fold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from hwmodels.units.ops import mul, select, wrap
from hwmodels.units.ports import FLAG, Ports, signed, zeros


@dataclass(frozen=True)
class ElementConfig:
    """One element.

    Attributes
    ----------
    moving_bits, held_bits : int
        Widths of the codes that pass and of the one that stays.
    sum_bits : int
        Width of a partial sum, in which the products of a whole column fit.
    chains : int
        Partial sums.
    overlap : bool
        Whether there is a shadow register.
    """

    moving_bits: int
    held_bits: int
    sum_bits: int
    chains: int
    overlap: bool


class Chained(Protocol):
    """What an element is, whatever it multiplies."""

    @property
    def sum_bits(self) -> int: ...
    @property
    def chains(self) -> int: ...
    @property
    def overlap(self) -> bool: ...


class Passage(NamedTuple):
    """A code that passes, the sums that it is added to, and the sums that come with it."""

    code: int
    on: tuple[int, ...]
    sum: tuple[int, ...]


Folds = Sequence[tuple[int, Sequence[Passage]]]
"""One code after the other that an element holds, and what passes meanwhile: once at least."""


def result(config: ElementConfig, folds: Folds) -> list[tuple[int, ...]]:
    """The sums that leave the element, in order."""
    return [
        tuple(
            total + select(on, mul(x.code, held, config.moving_bits, config.held_bits), 0)
            for total, on in zip(x.sum, x.on, strict=True)
        )
        for held, passing in folds
        for x in passing
    ]


class Shadow(NamedTuple):
    """The bit on its way to the right that brings in the code of the following fold, and that code."""

    swapping: int
    following: int


class Inputs(NamedTuple):
    """What comes from the left, `code`, `on`, `swap` and `load`, and from above, `passed` and `sum`."""

    code: int
    on: tuple[int, ...]
    swap: int
    load: int
    passed: int
    sum: tuple[int, ...]


class State(NamedTuple):
    """The registers: what goes on to the right and down, and the code that stays."""

    code_out: int
    ons: tuple[int, ...]
    load_out: int
    passed_out: int
    sums: tuple[int, ...]
    held: int
    shadow: Any
    """A `Shadow`, or ``()`` where there is none."""


class Outputs(NamedTuple):
    """What goes on, and `total`, the sum in the cycle in which it is made: where the column ends."""

    code_out: int
    on_out: tuple[int, ...]
    swap_out: int
    load_out: int
    passed_out: int
    sum_out: tuple[int, ...]
    total: tuple[int, ...]


def ports(config: ElementConfig) -> Ports:
    """The widths of the element's ports and registers."""
    code, held = signed(config.moving_bits), signed(config.held_bits)
    on, sums = (FLAG,) * config.chains, (signed(config.sum_bits),) * config.chains
    return Ports(
        Inputs(code, on, FLAG, FLAG, held, sums),
        State(code, on, FLAG, held, sums, held, Shadow(FLAG, held) if config.overlap else ()),
        Outputs(code, on, FLAG, FLAG, held, sums, sums),
    )


def reset(_: ElementConfig, state: State) -> State:
    """The state after a reset: as it is. What is still on its way leaves ahead of what follows."""
    return state


def factor(config: Chained, state: State, inputs: Inputs) -> int:
    """The code that stays in this cycle: what it held, or what its shadow register brings in."""
    return select(inputs.swap, state.shadow.following, state.held) if config.overlap else state.held


def step(config: ElementConfig, state: State, inputs: Inputs) -> tuple[State, Outputs]:
    """One clock cycle. A sum wraps at its width, which a whole column of products does not exceed."""
    held = factor(config, state, inputs)
    return added(config, state, inputs, held, mul(inputs.code, held, config.moving_bits, config.held_bits))


def added(config: Chained, state: State, inputs: Inputs, held: int, product: int) -> tuple[State, Outputs]:
    """A product on its way down, and everything else a step further."""
    s, x, bits = state, inputs, config.sum_bits
    total = tuple(wrap(x.sum[i] + select(x.on[i], product, 0), bits) for i in range(config.chains))
    shadow: Any = ()
    if config.overlap:
        shadow = Shadow(x.swap, select(x.load, x.passed, s.shadow.following))
    else:
        held = select(x.load, x.passed, held)
    after = State(x.code, x.on, x.load, x.passed, total, held, shadow)
    swap = s.shadow.swapping if config.overlap else 0
    return after, Outputs(s.code_out, s.ons, swap, s.load_out, s.passed_out, s.sums, total)


def run(
    config: Chained,
    folds: Folds,
    stepper: Callable[..., Any] = step,
    ports_of: Callable[..., Ports] = ports,
) -> tuple[list[tuple[int, ...]], int]:
    """Whole folds, clock cycle by clock cycle: what `result` gives, and the cycles they took.

    `stepper` is `step` or what behaves like it, such as a simulated module; `ports_of` are its ports.
    """
    state, idle = zeros(ports_of(config).state), zeros(ports_of(config).inputs)
    inputs: list[Inputs] = []
    for held, passing in folds:
        if config.overlap and inputs:
            last = len(inputs) - 1
            inputs[last] = inputs[last]._replace(load=1, passed=held)
        else:
            inputs.append(idle._replace(load=1, passed=held))
        for i, x in enumerate(passing):
            inputs.append(idle._replace(code=x.code, on=x.on, sum=x.sum, swap=int(i == 0)))
    totals = []
    for own in inputs:
        state, out = stepper(config, state, own)
        if sum(own.on):
            totals.append(out.total)
    return totals, len(inputs)


def cycles(config: Chained, folds: Folds) -> int:
    """A cycle for each code that passes, and one to load; in every fold, or in the first with a shadow.

    By hand: two folds of 3 and 4 codes take 1 + 7 = 8 cycles with a shadow register, and 9 without.
    """
    return sum(len(passing) for _, passing in folds) + (1 if config.overlap else len(folds))
