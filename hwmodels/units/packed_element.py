"""One element of a weight- or input-stationary array whose operands are so narrow that it takes several.

`depth` codes come along the reduction and `width` codes are held along the outputs: along the reduction the
products are added at once, and along the outputs each has sums of its own. An element of one code each is a
`processing_element`, and here too codes and sums pass in a cycle: packing costs no time.

Each code that passes has bits of `on` of its own, as the codes of one element may belong to two segments.
Codes to hold lie output by output, along the reduction within; so do sums, chain by chain within.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from hwmodels.units.ops import select, wrap
from hwmodels.units.ports import FLAG, Ports, signed, zeros
from hwmodels.units.product import ProductConfig, operand_port, product_of_operands


@dataclass(frozen=True)
class PackedConfig:
    """One element.

    Attributes
    ----------
    product : ProductConfig
        Each of its multipliers, see `processing_element.ElementConfig`.
    sum_bits : int
        Width of a partial sum, in which the products of a whole column fit.
    depth, width : int
        Codes along the reduction and along the outputs.
    chains : int
        Partial sums of each output.
    overlap : bool
        Whether there is a shadow register.
    """

    product: ProductConfig
    sum_bits: int
    depth: int
    width: int
    chains: int
    overlap: bool


class Passage(NamedTuple):
    """Codes that pass, the sums that each is added to, and the sums that come with them."""

    code: tuple[int, ...]
    on: tuple[int, ...]
    sum: tuple[int, ...]


Folds = Sequence[tuple[tuple[int, ...], Sequence[Passage]]]
"""Codes that an element holds, and what passes meanwhile: once at least."""


def sums_of(config: PackedConfig, x: Passage, held: Sequence[int]) -> tuple[int, ...]:
    """The sums that come, with the products that are switched on."""
    c = config
    total = list(x.sum)
    for j in range(c.width):
        for d in range(c.depth):
            product = product_of_operands(c.product, x.code[d], held[j * c.depth + d])
            for i in range(c.chains):
                total[j * c.chains + i] += select(x.on[d * c.chains + i], product, 0)
    return tuple(total)


def result(config: PackedConfig, folds: Folds) -> list[tuple[int, ...]]:
    """The sums that leave the element, in order."""
    return [sums_of(config, x, held) for held, passing in folds for x in passing]


class Shadow(NamedTuple):
    """The bit on its way to the right that brings in the codes of the following fold, and those codes."""

    swapping: int
    following: tuple[int, ...]


class Inputs(NamedTuple):
    """What comes from the left, `code`, `on`, `swap` and `load`, and from above, `passed` and `sum`."""

    code: tuple[int, ...]
    on: tuple[int, ...]
    swap: int
    load: int
    passed: tuple[int, ...]
    sum: tuple[int, ...]


class State(NamedTuple):
    """The registers: what goes on to the right and down, and the codes that stay."""

    codes: tuple[int, ...]
    ons: tuple[int, ...]
    load_out: int
    passes: tuple[int, ...]
    sums: tuple[int, ...]
    held: tuple[int, ...]
    shadow: Any
    """A `Shadow`, or ``()`` where there is none."""


class Outputs(NamedTuple):
    """What goes on, and `total`, the sums in the cycle in which they are made: where the column ends."""

    code_out: tuple[int, ...]
    on_out: tuple[int, ...]
    swap_out: int
    load_out: int
    passed_out: tuple[int, ...]
    sum_out: tuple[int, ...]
    total: tuple[int, ...]


def ports(config: PackedConfig) -> Ports:
    """The widths of the element's ports and registers."""
    c = config
    moving, stays = (operand_port(c.product, code) for code in (c.product.a, c.product.b))
    code, held = (moving,) * c.depth, (stays,) * (c.width * c.depth)
    on, sums = (FLAG,) * (c.depth * c.chains), (signed(c.sum_bits),) * (c.width * c.chains)
    return Ports(
        Inputs(code, on, FLAG, FLAG, held, sums),
        State(code, on, FLAG, held, sums, held, Shadow(FLAG, held) if c.overlap else ()),
        Outputs(code, on, FLAG, FLAG, held, sums, sums),
    )


def reset(_: PackedConfig, state: State) -> State:
    """The state after a reset: as it is. What is still on its way leaves ahead of what follows."""
    return state


def step(config: PackedConfig, state: State, inputs: Inputs) -> tuple[State, Outputs]:
    """One clock cycle. A sum wraps at its width, which a whole column of products does not exceed."""
    s, x = state, inputs
    held = s.held
    if config.overlap:
        held = tuple(select(x.swap, f, h) for f, h in zip(s.shadow.following, s.held, strict=True))
    total = tuple(wrap(t, config.sum_bits) for t in sums_of(config, Passage(x.code, x.on, x.sum), held))
    shadow: Any = ()
    if config.overlap:
        following = zip(x.passed, s.shadow.following, strict=True)
        shadow = Shadow(x.swap, tuple(select(x.load, p, f) for p, f in following))
    else:
        held = tuple(select(x.load, p, h) for p, h in zip(x.passed, held, strict=True))
    after = State(x.code, x.on, x.load, x.passed, total, held, shadow)
    swap = s.shadow.swapping if config.overlap else 0
    return after, Outputs(s.codes, s.ons, swap, s.load_out, s.passes, s.sums, total)


def run(
    config: PackedConfig, folds: Folds, stepper: Callable[..., Any] = step
) -> tuple[list[tuple[int, ...]], int]:
    """Whole folds, clock cycle by clock cycle: what `result` gives, and the cycles they took.

    `stepper` is `step` or what behaves like it, such as a simulated module.
    """
    state, idle = zeros(ports(config).state), zeros(ports(config).inputs)
    inputs: list[Inputs] = []
    for held, passing in folds:
        if config.overlap and inputs:
            inputs[-1] = inputs[-1]._replace(load=True, passed=held)
        else:
            inputs.append(idle._replace(load=True, passed=held))
        for i, x in enumerate(passing):
            inputs.append(idle._replace(code=x.code, on=x.on, sum=x.sum, swap=int(i == 0)))
    totals = []
    for own in inputs:
        state, out = stepper(config, state, own)
        if sum(own.on):
            totals.append(out.total)
    return totals, len(inputs)


def cycles(config: PackedConfig, folds: Folds) -> int:
    """A cycle for each passage, and one to load; in every fold, or in the first with a shadow.

    By hand: two folds of 3 and 4 passages take 1 + 7 = 8 cycles with a shadow register, and 9 without,
    whether each brings one code or two.
    """
    return sum(len(passing) for _, passing in folds) + (1 if config.overlap else len(folds))
