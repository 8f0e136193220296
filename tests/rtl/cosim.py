"""Co-simulation: whole operations of a compiled module against the kernel's bits and `cycles()`."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from hwmodels.rtl.simulate import Simulation
from hwmodels.rtl.twin import Twin
from rtl import scenarios

Stepper = Callable[[Any, Any, Any], tuple[Any, Any]]

FLOWS = ("plain", "bubbles", "reset", "back-to-back")
"""How an operation comes: on its own, with idle cycles in between, after a reset in the middle of it, or
straight after another one."""


@dataclass(frozen=True)
class Scenario:
    """One whole operation, and what it has to give.

    Attributes
    ----------
    unit, mode, parameters, edge, flow : str
        Its place in the cover table.
    twin : Twin
        The module that is simulated.
    operate : callable
        Drives the operation with a stepper: what came out, and the cycles it took.
    want
        What the kernel gives.
    cycles : int
        What `cycles()` gives, and one for each idle cycle.
    """

    unit: str
    mode: str
    parameters: str
    edge: str
    flow: str
    twin: Twin
    operate: Callable[[Stepper], tuple[Any, int]]
    want: Any
    cycles: int

    @property
    def place(self) -> tuple[str, ...]:
        """Its bin in the cover table."""
        return self.unit, self.mode, self.parameters, self.edge, self.flow


@cache
def all_scenarios() -> list[Scenario]:
    """Those of every unit."""
    modules = sorted(m.name for m in pkgutil.iter_modules(scenarios.__path__))
    return [
        s for name in modules for s in importlib.import_module(f"{scenarios.__name__}.{name}").scenarios()
    ]


class InterruptedOperationError(Exception):
    """The reset comes."""


def outcomes(scenario: Scenario, front_end: str, folder: Path) -> list[tuple[Any, int]]:
    """What the module gives: once, or twice where two operations follow each other."""
    simulation = Simulation(scenario.twin, front_end, folder)
    try:
        simulation.reset()
        if scenario.flow == "reset":
            _interrupt(scenario, simulation)
            simulation.reset()
        times = 2 if scenario.flow == "back-to-back" else 1
        return [scenario.operate(simulation.step) for _ in range(times)]
    finally:
        simulation.close()


def _interrupt(scenario: Scenario, simulation: Simulation) -> None:
    left = scenario.cycles // 2

    def step(config: Any, state: Any, inputs: Any) -> tuple[Any, Any]:
        nonlocal left
        if left == 0:
            raise InterruptedOperationError
        left -= 1
        return simulation.step(config, state, inputs)

    try:
        scenario.operate(step)
    except InterruptedOperationError:
        return
    raise AssertionError("an operation was over before its time")
