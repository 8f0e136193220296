"""All proofs: every twin of every unit, asked in parallel processes."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import pkgutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from functools import cache
from types import ModuleType
from typing import Any

from hwmodels.rtl import proofs
from hwmodels.rtl.proof import Proof, prove
from hwmodels.rtl.reading import Reading
from hwmodels.rtl.twin import Cut, Edit, Twin
from hwmodels.units.ports import zeros

Place = tuple[str, int]
"""A twin's unit and position in its list: what is handed to another process."""


def units() -> list[str]:
    """Every unit that has proofs.

    >>> "lut" in units()
    True
    """
    return sorted(m.name for m in pkgutil.iter_modules(proofs.__path__))


def twins(unit: str) -> list[Twin]:
    """The twins of one unit: those that are listed, and those that others take for granted."""
    return _complete()[unit]


@cache
def _complete() -> dict[str, list[Twin]]:
    """All twins by unit. What a proof takes for granted of a part is proved at that part's own parameters."""
    homes = {name: importlib.import_module(f"{proofs.__name__}.{name}") for name in units()}
    found = {name: list(home.twins()) for name, home in homes.items()}
    makers = {module: (name, make) for name, home in homes.items() for module, make in _parts(home).items()}
    waiting = [twin for own in found.values() for twin in own]
    known = {_key(twin): twin for twin in waiting}
    while waiting:
        whole = waiting.pop()
        for module, config in granted(whole):
            name, make = makers[module]
            part = replace(make(config, whole.label), default=whole.default)
            if _key(part) not in known:
                known[_key(part)] = part
                found[name].append(part)
                waiting.append(part)
            elif whole.default and not known[_key(part)].default:
                place = found[name].index(known[_key(part)])
                found[name][place] = known[_key(part)] = replace(found[name][place], default=True)
    return found


def _parts(home: ModuleType) -> dict[str, Callable[[Any, str], Twin]]:
    return getattr(home, "PARTS", {})


def _key(twin: Twin) -> tuple[str, frozenset[tuple[str, int]]]:
    return twin.module, frozenset(twin.parameters.items())


def granted(twin: Twin) -> list[tuple[str, Any]]:
    """What a twin's proof builds on: modules of parts with their configurations, and multipliers' widths."""
    found: list[tuple[str, Any]] = []

    def note(module: str, config: Any) -> None:
        if (module, config) not in found:
            found.append((module, config))

    def multiplied(a: int, b: int, wa: int, wb: int) -> int:
        note("multiplier", (wa, wb))
        return a * b

    def stepped(cut: Cut) -> Callable[..., Any]:
        def part(config: Any, state: Any, _inputs: Any) -> tuple[Any, Any]:
            assert cut.ports is not None
            note(cut.part, config)
            return state, zeros(cut.ports(config).outputs)

        return part

    reading = Reading({cut.function: stepped(cut) if cut.ports else multiplied for cut in twin.cuts})
    ports = twin.function("ports")(twin.config)
    reading.of(twin.function("step"))(twin.config, zeros(ports.state), zeros(ports.inputs))
    return found


def by_hand(unit: str) -> tuple[Edit, ...]:
    """The mutants of one unit that were made by hand."""
    return tuple(importlib.import_module(f"{proofs.__name__}.{unit}").BY_HAND)


def places(chosen: Iterable[str], every: bool) -> list[Place]:
    """The twins of some units; with `every` also those that take long."""
    return [(u, i) for u in chosen for i, twin in enumerate(twins(u)) if every or twin.default]


def prove_at(place: Place, second: bool = False) -> Proof:
    """Prove one twin."""
    unit, i = place
    return prove(twins(unit)[i], second=second)


def prove_all(chosen: Iterable[str], every: bool = False, workers: int | None = None) -> Iterator[Proof]:
    """Prove the twins of some units, each result as soon as it is there.

    Parameters
    ----------
    chosen : iterable of str
        See `units`.
    every : bool
        Also those that take long, and every answer put to a second solver.
    workers : int, optional
        Processes; as many as there are processors if it is left out.
    """
    tasks = places(chosen, every)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers or os.cpu_count() or 1, mp_context=context) as pool:
        futures = [pool.submit(prove_at, place, every) for place in tasks]
        for future in as_completed(futures):
            yield future.result()
