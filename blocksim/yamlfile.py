"""YAML files checked against a model; what is wrong with one is told in one line."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from blocksim.errors import BlocksimError
from hwmodels import costs, machines
from hwmodels.costs import CostTable
from hwmodels.machines import Machine

M = TypeVar("M", bound=BaseModel)


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice: one of the two values would be lost."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for place, _ in node.value:
            key = self.construct_object(place, deep=True)
            if key in seen:
                raise yaml.MarkedYAMLError(problem=f"{key} stands twice", problem_mark=place.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path, model: type[M]) -> M:
    """A YAML file as a checked model.

    Raises
    ------
    BlocksimError
        If the file is missing, is not YAML, or has a field that the model refuses.
    """
    try:
        content = yaml.load(path.read_text(), _Loader)
    except (OSError, UnicodeDecodeError) as error:
        said = getattr(error, "strerror", None) or "not a text"
        raise BlocksimError(path, "file", "unreadable", f"{said}; give a YAML file") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}" if mark else "file"
        problem = getattr(error, "problem", None) or "not YAML"
        raise BlocksimError(path, line, "not YAML", problem) from None
    if not isinstance(content, dict):
        raise BlocksimError(path, "file", type(content).__name__, "must be a mapping of fields")
    return _checked(path, content, model)


def read_given(given: Path | str | Mapping[str, Any], model: type[M], called: str) -> tuple[Path, M]:
    """A YAML file, or its content as a mapping, whose paths then begin in the current folder.

    Returns
    -------
    where : Path
        The file, or in its place what messages call the mapping.
    model : the checked model

    Raises
    ------
    BlocksimError
        As of `read_yaml`.
    """
    if isinstance(given, Mapping):
        return Path(called), _checked(Path(called), dict(given), model)
    return Path(given), read_yaml(Path(given), model)


def _checked(path: Path, content: dict[str, Any], model: type[M]) -> M:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise _first(path, error, model) from None


def _first(path: Path, error: ValidationError, model: type[BaseModel]) -> BlocksimError:
    """One refusal in the user's words; an unknown field first, for it is often a missing one misspelt."""
    refusals = error.errors()
    first = next((r for r in refusals if r["type"] == "extra_forbidden"), refusals[0])
    field = ".".join(str(part) for part in first["loc"]) or "file"
    if first["type"] == "extra_forbidden":
        fields = _fields_at(model, first["loc"][:-1])
        said = f"known fields: {', '.join(fields)}" if fields else "there is no such field here"
        return BlocksimError(path, field, "unknown field", said)
    if first["type"] == "missing":
        return BlocksimError(path, field, "missing", "give this field")
    value = first["input"]
    shown = "the values" if isinstance(value, dict) else repr(value)
    return BlocksimError(path, field, shown, first["msg"].removeprefix("Value error, "))


def _fields_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    for part in location:
        annotation = model.model_fields[str(part)].annotation if str(part) in model.model_fields else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return [field.alias or name for name, field in model.model_fields.items()]


def load_machine(machine: str | Path | Machine) -> Machine:
    """A machine by name, file, or as it is.

    Raises
    ------
    BlocksimError
        If it is none of these.
    """
    if isinstance(machine, Machine):
        return machine
    if str(machine) in machines.names():
        return machines.load(machine)
    path = Path(machine)
    if not path.is_file():
        known = ", ".join(machines.names())
        raise BlocksimError(
            "--machine", "machine", machine, f"give one of {known}, or the path of a YAML file"
        )
    loaded = read_yaml(path, Machine)
    beside = path.parent / loaded.costs
    if loaded.costs not in costs.names() and beside.is_file():
        loaded = loaded.model_copy(update={"costs": str(beside)})
    load_costs(loaded.costs, path)
    return loaded


def costs_for(machine: Machine, name: str | Path | None) -> CostTable:
    """The energy table of a machine, or another one, which must know the machine's DRAM.

    Raises
    ------
    BlocksimError
        If there is no such table, or it has no figure for the DRAM.
    """
    table = load_costs(name or machine.costs)
    if machine.dram.type not in table.dram:
        known = ", ".join(table.dram)
        raise BlocksimError(
            name or machine.costs, "dram", machine.dram.type, f"no such figure; it has {known}"
        )
    return table


def load_costs(name: str | Path, where: object = "--costs") -> CostTable:
    """A cost table by name or file.

    Raises
    ------
    BlocksimError
        If it is neither.
    """
    if str(name) in costs.names():
        return costs.load(name)
    path = Path(name)
    if not path.is_file():
        known = ", ".join(costs.names())
        raise BlocksimError(where, "costs", name, f"give one of {known}, or the path of a YAML file")
    return read_yaml(path, CostTable)
