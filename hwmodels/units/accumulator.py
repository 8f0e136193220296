"""The accumulator: one add per pass, saturating or wrapping at its width."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hwmodels.units.actions import Actions, of
from hwmodels.units.ops import saturate, select, wrap


@dataclass(frozen=True)
class AccumulatorConfig:
    """One accumulator memory.

    Attributes
    ----------
    bits : int
        Width of a word, guard bits included.
    saturating : bool
        Whether an overflow saturates (else it wraps); either is counted.
    rows, banks : int
        Rows of outputs in one bank, and banks.
    latency : int
        Cycles from one update of a word to the next.
    """

    bits: int
    saturating: bool
    rows: int
    banks: int
    latency: int


def add(acc: int, x: int, bits: int, saturating: bool) -> int:
    """`acc + x`, brought back to `bits` bits."""
    return select(saturating, saturate(acc + x, bits), wrap(acc + x, bits))


def overflows(acc: int, x: int, bits: int) -> bool:
    """Whether `acc + x` does not fit `bits` bits."""
    return saturate(acc + x, bits) != acc + x


def result(config: AccumulatorConfig, start: int, passes: Sequence[int]) -> int:
    """The word after all `passes`, each of them one exact sum of aligned terms."""
    acc = start
    for x in passes:
        acc = add(acc, x, config.bits, config.saturating)
    return acc


def cycles(config: AccumulatorConfig, updates: int) -> int:
    """Cycles until `updates` updates of one word are done: each waits for the one before.

    By hand: three updates with a latency of 2 take 6 cycles.
    """
    return config.latency * updates


def actions(config: AccumulatorConfig, updates: int) -> Actions:
    """Actions of `updates` updates: an add, a word read and a word written each."""
    counts = {f"add:{config.bits}": updates, "accumulator.bits": 2 * config.bits * updates}
    return of("accumulate", counts)
