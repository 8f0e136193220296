"""What is searched for: a YAML file that gives choices, objectives and limits."""

from __future__ import annotations

import fnmatch
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from blocksim.compiler import precision as plans
from blocksim.errors import BlocksimError
from blocksim.explore.columns import BY_NAME
from blocksim.explore.settings import FILES, Settings, Value
from blocksim.explore.space import (
    Axes,
    Configuration,
    Given,
    check_names,
    check_values,
    contents,
    id_of,
    values_of,
)
from blocksim.explore.workload import Workload
from blocksim.yamlfile import read_given

OBJECTIVES: dict[str, tuple[str, ...]] = {
    "error-memory": ("sqnr_db", "weight_bits"),
    "2310.05079": ("accuracy", "memory_density"),
}
"""Named objectives. That of arXiv 2310.05079 is accuracy and memory density, whose weights 1 and 0.1 make no
difference to what beats what."""

Sampler = Literal["tpe", "nsga2", "random"]


class SearchFile(Given):
    """A search, as its file describes it; see `space.Given` for the model and its samples.

    Every setting in `axes`, and every tensor that a name in `tensors` fits, is a choice among its values.
    """

    axes: Axes = Field(default_factory=dict, description="values by setting, of which a trial takes one")
    tensors: dict[str, Annotated[list[str], Field(min_length=2)]] = Field(
        default_factory=dict, description="formats of weights, by name or pattern such as encoder.*"
    )
    objectives: str | Annotated[list[str], Field(min_length=1)] = Field(
        default="error-memory",
        description="columns of which more or less is better, or one of the named sets",
    )
    limits: dict[str, Annotated[float, Field(allow_inf_nan=False)]] = Field(
        default_factory=dict, description="of columns: at least so much where more is better, else at most"
    )
    trials: int = Field(default=64, ge=1, description="how many")
    sampler: Sampler = Field(
        default="tpe", description="of Optuna: tree-structured Parzen estimator, NSGA-II, or at random"
    )
    seed: int = Field(default=0, ge=0, lt=1 << 32, description="of the sampler")
    start: Literal["variance", "none"] = Field(
        default="none", description="variance: begin with formats that follow each weight's own distortion"
    )
    batch: int = Field(
        default=4, ge=1, description="trials that are chosen before the first of them is known"
    )
    holdout: str | None = Field(default=None, description="inputs on which the front is judged in the end")
    holdout_labels: str | None = Field(default=None, description="their right classes")


@dataclass(frozen=True)
class Problem:
    """What a search chooses, on what, and for what.

    Attributes
    ----------
    where : Path
    file : SearchFile
    workload : Workload
    holdout : Workload or None
    axes : dict of str to list of value
        The values of each setting, tensors not included.
    objectives : tuple of str
    """

    where: Path
    file: SearchFile
    workload: Workload
    holdout: Workload | None
    axes: dict[str, Sequence[Value]]
    objectives: tuple[str, ...]

    @property
    def identity(self) -> str:
        """A hash of all that the order of trials depends on."""
        chosen = self.file.model_dump(
            exclude={"trials", "holdout", "model", "inputs", "labels", "calibration"}
        )
        named = [{name: x} for name, values in self.axes.items() if name in FILES for x in values]
        files = [contents(own, self.where.parent) for own in (self.file.settings, *named)]
        made_of = json.dumps([self.workload.identity, chosen, files], sort_keys=True)
        return hashlib.sha256(made_of.encode()).hexdigest()[:16]

    def choices(self, weights: list[str]) -> dict[str, Sequence[Value]]:
        """The values of each setting, those of tensors included, for a model with these weights.

        Raises
        ------
        BlocksimError
            If a pattern fits no weight, a format is none for weights, or there is nothing to choose.
        """
        plain = replace(plans.load("bct-int8"), where=f"{self.where}: tensors")
        found = dict(self.axes)
        for pattern, formats in self.file.tensors.items():
            fitting = fnmatch.filter(weights, pattern)
            if not fitting:
                raise BlocksimError(
                    self.where, "tensors", pattern, f"fits no weight; there are {', '.join(weights[:3])}, ..."
                )
            for form in formats:
                plans.changed(plain, {"weight": form})
            found |= {f"tensors.{name}": list(formats) for name in fitting}
        if not found:
            raise BlocksimError(self.where, "axes", "nothing", "give axes or tensors to choose")
        return found

    def configuration(self, params: Settings, workload: Workload) -> Configuration:
        """The configuration of some choices, on the workload or on the one that is held out."""
        own, folder = {**self.file.settings, **params}, self.where.parent
        key = id_of(workload.identity, own, folder)
        return Configuration(key, own, self.label(params), str(folder.resolve()))

    def label(self, params: Settings) -> str:
        """Choices in a few words: of tensors, how many have each format."""
        counts: dict[Value, int] = {}
        for name, value in params.items():
            if name.startswith("tensors."):
                counts[value] = counts.get(value, 0) + 1
        said = [f"{name} {value}" for name, value in params.items() if not name.startswith("tensors.")]
        said += [f"{count} x {form}" for form, count in sorted(counts.items(), key=lambda c: -c[1])]
        return ", ".join(said)


def load(given: Path | str | Mapping[str, Any]) -> Problem:
    """Read what is searched for, from its file or from a mapping with a file's fields.

    Raises
    ------
    BlocksimError
        If it has an unknown field, setting or column, or an empty range.
    """
    path, file = read_given(given, SearchFile, "search")
    check_names(path, "settings", file.settings)
    check_names(path, "axes", file.axes)
    check_values(path, "settings", {name: [value] for name, value in file.settings.items()})
    axes = {name: values_of(path, f"axes.{name}", given) for name, given in file.axes.items()}
    check_values(path, "axes", axes)
    workload = file.workload(path.parent)
    holdout = None
    if file.holdout is not None:
        other = {"inputs": file.holdout, "labels": file.holdout_labels, "samples": None}
        holdout = file.model_copy(update=other).workload(path.parent)
    objectives = file.objectives
    if isinstance(objectives, str):
        if objectives not in OBJECTIVES:
            known = ", ".join(OBJECTIVES)
            raise BlocksimError(path, "objectives", objectives, f"give {known}, or a list of columns")
        objectives = list(OBJECTIVES[objectives])
    for field, names in (("objectives", objectives), ("limits", list(file.limits))):
        for name in names:
            if name not in BY_NAME or not BY_NAME[name].better:
                known = ", ".join(c.name for c in BY_NAME.values() if c.better)
                raise BlocksimError(path, field, name, f"give some of {known}")
    if "accuracy" in (*objectives, *file.limits) and workload.labels is None and workload.inputs is not None:
        raise BlocksimError(path, "labels", "missing", "accuracy needs right classes")
    return Problem(path, file, workload, holdout, axes, tuple(objectives))
