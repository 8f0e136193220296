"""Machines that differ from bct64, or another one, in some fields."""

from __future__ import annotations

from hwmodels import machines
from hwmodels.machines import Machine

BCT64 = machines.load("bct64")


def machine(base: Machine = BCT64, **sections: dict[str, object]) -> Machine:
    """A machine with some fields changed."""
    return base.changed(**sections)
