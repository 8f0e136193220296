"""A unit's own functions, read on bit-vectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hwmodels.rtl.words import PRIMITIVES
from hwmodels.units import ops, reading


class Reading(reading.Reading):
    """Functions of the units over `words`.

    Parameters
    ----------
    cuts : mapping of function to function, optional
        Functions that are not read but replaced: a multiplier or a part by what stands for it.
    """

    def __init__(self, cuts: Mapping[Callable[..., Any], Callable[..., Any]] | None = None) -> None:
        super().__init__({getattr(ops, name): f for name, f in PRIMITIVES.items()} | dict(cuts or {}))
