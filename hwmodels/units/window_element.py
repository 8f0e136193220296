"""One element of an array that multiplies codes with exponents of their own.

It is a `processing_element` but for its multiplier: what passes and what stays are words of a significand and
an exponent, as they are decoded where they enter the array (`product.word`), and a product is in the window.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hwmodels.units import processing_element
from hwmodels.units.ops import select
from hwmodels.units.ports import FLAG, Ports, signed, unsigned
from hwmodels.units.processing_element import (
    Folds,
    Inputs,
    Outputs,
    Shadow,
    State,
    added,
    cycles,
    factor,
)
from hwmodels.units.product import ProductConfig, product_of_words, word_bits

__all__ = ["WindowElementConfig", "cycles", "ports", "reset", "result", "run", "step"]


@dataclass(frozen=True)
class WindowElementConfig:
    """One element.

    Attributes
    ----------
    product : ProductConfig
        Its multiplier: `a` of what passes, `b` of what stays.
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


def result(config: WindowElementConfig, folds: Folds) -> list[tuple[int, ...]]:
    """The sums that leave the element, in order."""
    return [
        tuple(
            total + select(on, product_of_words(config.product, x.code, held), 0)
            for total, on in zip(x.sum, x.on, strict=True)
        )
        for held, passing in folds
        for x in passing
    ]


def ports(config: WindowElementConfig) -> Ports:
    """The widths of the element's ports and registers."""
    code, held = unsigned(word_bits(config.product.a)), unsigned(word_bits(config.product.b))
    on, sums = (FLAG,) * config.chains, (signed(config.sum_bits),) * config.chains
    return Ports(
        Inputs(code, on, FLAG, FLAG, held, sums),
        State(code, on, FLAG, held, sums, held, Shadow(FLAG, held) if config.overlap else ()),
        Outputs(code, on, FLAG, FLAG, held, sums, sums),
    )


def reset(_: WindowElementConfig, state: State) -> State:
    """The state after a reset: as it is. What is still on its way leaves ahead of what follows."""
    return state


def step(config: WindowElementConfig, state: State, inputs: Inputs) -> tuple[State, Outputs]:
    """One clock cycle. A sum wraps at its width, which a whole column of products does not exceed."""
    held = factor(config, state, inputs)
    return added(config, state, inputs, held, product_of_words(config.product, inputs.code, held))


def run(
    config: WindowElementConfig, folds: Folds, stepper: Callable[..., Any] = step
) -> tuple[list[tuple[int, ...]], int]:
    """Whole folds, clock cycle by clock cycle: what `result` gives, and the cycles they took."""
    return processing_element.run(config, folds, stepper, ports)
