"""The space: a YAML file that says which model is run, and under which settings."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from blocksim._version import __version__
from blocksim.errors import BlocksimError
from blocksim.explore.settings import FILES, LOADERS, PLAIN, Settings, Value, effective, is_known
from blocksim.explore.workload import Workload
from blocksim.yamlfile import read_given

LIMIT = 10_000
"""The most configurations of a space that does not set a limit of its own."""


class Part(BaseModel):
    """Base of every part of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Range(Part):
    """Whole numbers from one to another, both included: by steps, or each so many times the one before."""

    first: int = Field(alias="from", ge=-(1 << 40), le=1 << 40, description="the first")
    last: int = Field(alias="to", ge=-(1 << 40), le=1 << 40, description="the last")
    step: int | None = Field(default=None, ge=1, description="from one to the next")
    times: int | None = Field(default=None, ge=2, description="each so many times the one before")

    @model_validator(mode="after")
    def _one_way(self) -> Range:
        if self.step and self.times:
            raise ValueError("give step or times, not both")
        if self.times and self.first < 1:
            raise ValueError("from must be 1 or more where times is given")
        if self.first > self.last:
            raise ValueError("the range is empty: from is above to")
        return self

    def values(self) -> Sequence[int]:
        """The numbers.

        >>> Range.model_validate({"from": 8, "to": 64, "times": 2}).values()
        [8, 16, 32, 64]
        """
        if self.times is None:
            return range(self.first, self.last + 1, self.step or 1)
        found = [self.first]
        while found[-1] * self.times <= self.last:
            found.append(found[-1] * self.times)
        return found


Values = Annotated[list[Value], Field(min_length=1)]
Axis = Annotated[
    Annotated[Values, Tag("values")] | Annotated[Range, Tag("range")],
    Discriminator(lambda given: "range" if isinstance(given, dict | Range) else "values"),
]
Axes = dict[str, Axis]


class Draw(Part):
    """Configurations drawn from the grid of some axes, none twice."""

    count: int = Field(ge=1, description="how many")
    seed: int = Field(default=0, description="of the draw")
    axes: Annotated[Axes, Field(min_length=1)] = Field(description="values by setting, as of a grid")


class Given(Part):
    """What is run: a model with its samples, and the settings that all configurations share."""

    model: str = Field(description="a model of the zoo, or an ONNX file beside the space's file")
    inputs: str | None = Field(default=None, description=".npz or .npy; a model of the zoo has its own")
    labels: str | None = Field(default=None, description="right classes, .npy")
    calibration: str | None = Field(default=None, description="inputs for static scales, .npz or .npy")
    weights: str | None = Field(default=None, description="what fills a skeleton")
    bind: dict[str, int] = Field(default_factory=dict, description="sizes of free dimensions")
    samples: int | None = Field(default=None, ge=1, description="take so many, from the first on")
    settings: dict[str, Value] = Field(default_factory=dict, description="of every configuration")

    def workload(self, folder: Path) -> Workload:
        """The model and its samples, whose files are named as seen from a folder."""
        return Workload.beside(
            folder,
            self.model,
            self.inputs,
            self.labels,
            self.calibration,
            self.weights,
            self.bind,
            self.samples,
        )


class SpaceFile(Given):
    """A space, as its file describes it.

    Exactly one of `grid`, `random` and `configurations` says which configurations there are.
    """

    grid: Annotated[Axes, Field(min_length=1)] | None = Field(
        default=None, description="values by setting: every combination"
    )
    random: Draw | None = Field(default=None, description="some combinations of a grid")
    configurations: Annotated[list[dict[str, Value]], Field(min_length=1)] | None = Field(
        default=None, description="settings of each, one by one"
    )
    limit: int = Field(default=LIMIT, ge=1, description="the most configurations")

    @model_validator(mode="after")
    def _one_kind(self) -> SpaceFile:
        if sum(kind is not None for kind in (self.grid, self.random, self.configurations)) != 1:
            raise ValueError("give exactly one of grid, random and configurations")
        return self


@dataclass(frozen=True)
class Configuration:
    """One point of a space.

    Attributes
    ----------
    id : str
        A hash of all that its figures depend on: the model, its inputs, the settings and the files they name.
    settings : dict of str to value
    label : str
        The settings that differ within the space.
    folder : str
        Where the files are that settings name.
    """

    id: str
    settings: dict[str, Value]
    label: str
    folder: str

    @property
    def resolved(self) -> dict[str, Value]:
        """The settings, with the files that they name as seen from anywhere."""
        named = {
            name: Path(self.folder) / str(self.settings[name]) for name in FILES if name in self.settings
        }
        return self.settings | {name: str(path) for name, path in named.items() if path.is_file()}


@dataclass(frozen=True)
class Space:
    """A model and its configurations.

    Attributes
    ----------
    where : Path
        The file.
    workload : Workload
    configurations : tuple of Configuration
    axes : tuple of str
        The settings that differ.
    same : int
        How many more were asked for that turned out to be the same as others.
    """

    where: Path
    workload: Workload
    configurations: tuple[Configuration, ...]
    axes: tuple[str, ...]
    same: int = 0


def load(given: Path | str | Mapping[str, Any]) -> Space:
    """Read a space, from its file or from a mapping with a file's fields.

    Raises
    ------
    BlocksimError
        If it has an unknown field or setting, an empty range, or more configurations than its limit.
    """
    path, file = read_given(given, SpaceFile, "space")
    workload = file.workload(path.parent)
    wanted = list(_wanted(path, file))
    identity = workload.identity
    found: dict[str, dict[str, Value]] = {}
    for settings in wanted:
        own = effective({**file.settings, **settings})
        found.setdefault(id_of(identity, own, path.parent), own)
    named = dict.fromkeys(name for settings in wanted for name in settings)
    axes = tuple(
        name for name in named if len({str(own.get(name)) for own in found.values()}) > 1 or len(named) == 1
    )

    def label(own: dict[str, Value]) -> str:
        said = (f"{name.removeprefix('machine.')} {own[name]}" for name in axes if name in own)
        return ", ".join(said) or "as set"

    configurations = tuple(
        Configuration(key, own, label(own), str(path.parent.resolve())) for key, own in found.items()
    )
    return Space(path, workload, configurations, axes, len(wanted) - len(found))


def _wanted(path: Path, file: SpaceFile) -> Iterator[dict[str, Value]]:
    """The settings of every configuration."""
    check_names(path, "settings", file.settings)
    check_values(path, "settings", {name: [value] for name, value in file.settings.items()})
    if file.configurations is not None:
        if len(file.configurations) > file.limit:
            raise _too_many(path, "configurations", len(file.configurations), file.limit)
        checked: set[tuple[str, Value]] = set()
        for i, own in enumerate(file.configurations):
            check_names(path, f"configurations.{i}", own)
            fresh = own.items() - checked
            check_values(path, f"configurations.{i}", {name: [value] for name, value in fresh})
            checked |= fresh
            yield own
        return
    field, axes = ("grid", file.grid) if file.random is None else ("random.axes", file.random.axes)
    assert axes is not None
    check_names(path, field, axes)
    values = {name: values_of(path, f"{field}.{name}", given) for name, given in axes.items()}
    check_values(path, field, values)
    size = math.prod(len(x) for x in values.values())
    if file.random is None:
        if size > file.limit:
            raise _too_many(path, field, size, file.limit)
        for point in itertools.product(*values.values()):
            yield dict(zip(values, point, strict=True))
        return
    count = min(file.random.count, size)
    if count > file.limit:
        raise _too_many(path, "random.count", count, file.limit)
    source, drawn = random.Random(file.random.seed), dict[int, None]()
    while len(drawn) < count:
        drawn[source.randrange(size)] = None
    for i in drawn:
        yield dict(_point(values, i))


def _point(values: Mapping[str, Sequence[Value]], i: int) -> Iterator[tuple[str, Value]]:
    """The i-th point of a grid."""
    for name, own in values.items():
        i, k = divmod(i, len(own))
        yield name, own[k]


def _too_many(path: Path, field: str, count: int, limit: int) -> BlocksimError:
    return BlocksimError(
        path, field, f"{count:,} configurations", f"at most {limit:,}: draw some at random, or raise limit:"
    )


def values_of(path: Path, field: str, given: Sequence[Value] | Range) -> Sequence[Value]:
    """The values of an axis, none of which stands twice."""
    if isinstance(given, Range):
        return given.values()
    seen: set[tuple[type, Value]] = set()
    for value in given:
        if (type(value), value) in seen:
            raise BlocksimError(path, field, value, "stands twice; give each value once")
        seen.add((type(value), value))
    return given


def check_names(path: Path, field: str, names: Any) -> None:
    for name in names:
        if not is_known(name):
            known = ", ".join(PLAIN)
            raise BlocksimError(
                path, field, name,
                f"no such setting; give {known}, machine.<section>.<field> or tensors.<name>",
            )  # fmt: skip


def check_values(path: Path, field: str, values: Mapping[str, Sequence[Value]]) -> None:
    """Refuse plans, machines, tables and blocks that there are not, before anything runs."""
    for name in values.keys() & LOADERS.keys():
        for value in values[name]:
            beside = path.parent / str(value)
            try:
                LOADERS[name](str(beside) if beside.is_file() else str(value))
            except BlocksimError as error:
                if beside.is_file():
                    raise
                raise BlocksimError(path, f"{field}.{name}", value, error.remedy) from None


def id_of(workload: str, settings: dict[str, Value], folder: Path) -> str:
    """What is in a file counts, and not where it lies."""
    made_of = json.dumps([__version__, workload, settings | contents(settings, folder)], sort_keys=True)
    return hashlib.sha256(made_of.encode()).hexdigest()[:16]


def contents(settings: Settings, folder: Path) -> dict[str, str]:
    """Hashes of the files that settings name, and of the energy table that a machine's file names."""
    found = {}
    for name in FILES:
        path = folder / str(settings.get(name, ""))
        if not path.is_file():
            continue
        digest = hashlib.sha256(path.read_bytes())
        for word in path.read_text().split() if name == "machine" else ():
            if word.endswith(".yaml") and (path.parent / word).is_file():
                digest.update((path.parent / word).read_bytes())
        found[name] = digest.hexdigest()
    return found
