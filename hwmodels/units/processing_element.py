"""One element of a weight- or input-stationary array.

It holds one code and multiplies it with the codes that pass from left to right. The product is added to
one of the partial sums that pass from top to bottom, one for each aligner of the column: to those whose
bit of `on` is set. Held codes pass from the top as well, row after row; the bit `load` says that the one
here stays. With a shadow register it stays there, until `swap` comes with the first code of a new fold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from hwmodels.units.ops import select, wrap
from hwmodels.units.ports import FLAG, Ports, signed, zeros
from hwmodels.units.product import ProductConfig, operand_port, product_of_operands


@dataclass(frozen=True)
class ElementConfig:
    """One element.

    Attributes
    ----------
    product : ProductConfig
        Its multiplier: `a` of what passes, `b` of what stays. Codes with exponents come as words of a
        significand and an exponent, as they are decoded where they enter the array.
    sum_bits : int
        Width of a partial sum, in which the products of a whole column fit.
    chains : int
        Partial sums.
    overlap : bool
        Whether there is a shadow register.
    """

    product: ProductConfig
    sum_bits: int
    chains: int
    overlap: bool


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
            total + select(on, product_of_operands(config.product, x.code, held), 0)
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
    code, held = (operand_port(config.product, c) for c in (config.product.a, config.product.b))
    on, sums = (FLAG,) * config.chains, (signed(config.sum_bits),) * config.chains
    return Ports(
        Inputs(code, on, FLAG, FLAG, held, sums),
        State(code, on, FLAG, held, sums, held, Shadow(FLAG, held) if config.overlap else ()),
        Outputs(code, on, FLAG, FLAG, held, sums, sums),
    )


def reset(_: ElementConfig, state: State) -> State:
    """The state after a reset: as it is. What is still on its way leaves ahead of what follows."""
    return state


def step(config: ElementConfig, state: State, inputs: Inputs) -> tuple[State, Outputs]:
    """One clock cycle. A sum wraps at its width, which a whole column of products does not exceed."""
    s, x, bits = state, inputs, config.sum_bits
    held = select(x.swap, s.shadow.following, s.held) if config.overlap else s.held
    product = product_of_operands(config.product, x.code, held)
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
    config: ElementConfig, folds: Folds, stepper: Callable[..., Any] = step
) -> tuple[list[tuple[int, ...]], int]:
    """Whole folds, clock cycle by clock cycle: what `result` gives, and the cycles they took.

    `stepper` is `step` or what behaves like it, such as a simulated module.
    """
    state, idle = zeros(ports(config).state), zeros(ports(config).inputs)
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


def cycles(config: ElementConfig, folds: Folds) -> int:
    """A cycle for each code that passes, and one to load; in every fold, or in the first with a shadow.

    By hand: two folds of 3 and 4 codes take 1 + 7 = 8 cycles with a shadow register, and 9 without.
    """
    return sum(len(passing) for _, passing in folds) + (1 if config.overlap else len(folds))
