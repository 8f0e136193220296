"""Settings: what tells one configuration from another, and the plan and the machine that they stand for.

A setting is a name and a value. ``plan``, ``machine`` and ``costs`` name what the others change. ``block``,
``weight_block``, ``activation_block`` and ``vector_block`` are shapes, for plans that take one; a role's name
(``weight``, ``softmax``, ...) is followed by a format, an element or ``@`` and a block;
``machine.<section>.<field>`` is a field of the machine's file, and ``tensors.<name>`` the format of one
tensor or constant.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from blocksim.compiler import precision as plans
from blocksim.compiler.precision import ELEMENTS, Precision
from blocksim.compiler.presets import PRESETS
from blocksim.errors import BlocksimError
from blocksim.yamlfile import costs_for, load_costs, load_machine
from hwmodels.costs import CostTable
from hwmodels.machines import Machine

Value = str | int | float | bool
Settings = Mapping[str, Value]

DEFAULTS: dict[str, Value] = {"plan": "bct-int8", "machine": "bct64"}

BLOCKS = {"weight_block": "weight", "activation_block": "activation", "vector_block": "vector"}
"""The role whose blocks a setting shapes; ``block`` shapes all three."""

FILES = ("plan", "machine", "costs")
"""Settings that may name a file."""

LOADERS: dict[str, Callable[[str], object]] = {
    "plan": plans.load,
    "machine": load_machine,
    "costs": load_costs,
    **dict.fromkeys(("block", *BLOCKS), lambda block: plans.load("bct-int8", block)),
}
"""What a value of a setting has to be."""

PLAIN = ("plan", "block", *BLOCKS, *ELEMENTS, "second", "machine", "costs")
"""Settings without a dot."""


def machine_fields() -> list[str]:
    """Every ``machine.<section>.<field>``.

    >>> "machine.accumulator.bits" in machine_fields()
    True
    """

    def inside(model: type[BaseModel], prefix: str) -> list[str]:
        found = []
        for name, field in model.model_fields.items():
            kind = field.annotation
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                found += inside(kind, f"{prefix}.{name}")
            else:
                found.append(f"{prefix}.{name}")
        return found

    return [name for name in inside(Machine, "machine") if name not in ("machine.name", "machine.costs")]


def is_known(name: str) -> bool:
    """Whether there is such a setting."""
    prefix, dot, rest = name.partition(".")
    if not dot:
        return name in PLAIN
    return (bool(rest) and prefix == "tensors") or name in machine_fields()


@dataclass(frozen=True)
class Chosen:
    """What settings stand for."""

    plan: Precision
    machine: Machine
    costs: CostTable


def chosen(settings: Settings) -> Chosen:
    """The plan, the machine and the costs of a configuration.

    Raises
    ------
    BlocksimError
        If it cannot be built.
    """
    given = effective(settings)
    machine = _machine(given)
    return Chosen(_plan(given), machine, costs_for(machine, _text(given, "costs")))


def effective(settings: Settings) -> dict[str, Value]:
    """Every setting that has an effect, and the defaults: a plan with blocks of its own keeps them.

    >>> effective({"plan": "mxfp8", "block": "4x4"})
    {'plan': 'mxfp8', 'machine': 'bct64'}
    """
    given = DEFAULTS | dict(settings)
    texts = PRESETS.get(str(given["plan"]))
    if texts and not any("{" in text for text in texts.values()):
        given = {name: x for name, x in given.items() if name != "block" and name not in BLOCKS}
    return given


def _plan(given: dict[str, Value]) -> Precision:
    block, own = _text(given, "block"), [_text(given, f"{role}_block") for role in ("weight", "activation")]
    plan = plans.load(str(given["plan"]), block, *own)
    if "vector_block" in given:
        plan = plans.changed(plan, {"vector": f"@{given['vector_block']}"})
    formats = {role: str(given[role]) for role in ELEMENTS if role in given}
    tensors = {
        name.removeprefix("tensors."): str(x) for name, x in given.items() if name.startswith("tensors.")
    }
    second: Any = _text(given, "second")
    if second not in (None, "reduction", "last"):
        raise BlocksimError("settings", "second", second, "give reduction or last")
    return plans.changed(plan, formats, tensors, second)


def _machine(given: dict[str, Value]) -> Machine:
    named = str(given["machine"])
    machine = load_machine(named)
    changes = {name: x for name, x in given.items() if name.startswith("machine.")}
    if not changes:
        return machine
    fields: dict[str, Any] = {}
    for name, value in changes.items():
        *sections, field = name.split(".")[1:]
        inside = fields
        for section in sections:
            inside = inside.setdefault(section, {})
        inside[field] = value
    try:
        return machine.changed(**fields)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "fields"
        value = "the values" if isinstance(first["input"], dict) else first["input"]
        raise BlocksimError(named, field, value, first["msg"].removeprefix("Value error, ")) from None


def _text(given: Settings, name: str) -> str | None:
    return str(given[name]) if name in given else None
