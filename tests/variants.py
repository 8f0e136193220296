"""Machines that differ from bct64, or another one, in some fields."""

from __future__ import annotations

from hwmodels import machines
from hwmodels.machines import Machine

BCT64 = machines.load("bct64")


def machine(base: Machine = BCT64, **sections: dict[str, object]) -> Machine:
    """A machine with some fields changed."""
    fields = base.model_dump()
    for section, changes in sections.items():
        for name, value in changes.items():
            both = isinstance(value, dict)
            fields[section][name] = {**fields[section][name], **value} if both else value
    return Machine.model_validate(fields)
