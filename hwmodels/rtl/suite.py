"""All proofs: every twin of every unit, asked in parallel processes."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import pkgutil
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed

from hwmodels.rtl import proofs
from hwmodels.rtl.proof import Proof, prove
from hwmodels.rtl.twin import Edit, Twin

Place = tuple[str, int]
"""A twin's unit and position in its list: what is handed to another process."""


def units() -> list[str]:
    """Every unit that has proofs.

    >>> "lut" in units()
    True
    """
    return sorted(m.name for m in pkgutil.iter_modules(proofs.__path__))


def twins(unit: str) -> list[Twin]:
    """The twins of one unit."""
    return list(importlib.import_module(f"{proofs.__name__}.{unit}").twins())


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
