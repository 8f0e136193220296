"""What is searched for: a YAML file that gives choices, objectives and limits."""

from __future__ import annotations

import fnmatch
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from blocksim.errors import BlocksimError
from blocksim.explore.columns import BY_NAME
from blocksim.explore.settings import Settings, Value
from blocksim.explore.space import Axes, Configuration, Given, beside, check_names, id_of, values_of
from blocksim.explore.workload import Workload
from blocksim.yamlfile import read_yaml

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

    axes: Axes = Field(default_factory=dict)
    tensors: dict[str, Annotated[list[str], Field(min_length=2)]] = Field(
        default_factory=dict, description="formats of weights, by name or pattern such as encoder.*"
    )
    objectives: str | Annotated[list[str], Field(min_length=1)] = "error-memory"
    limits: dict[str, float] = Field(
        default_factory=dict, description="of columns: at least so much where more is better, else at most"
    )
    trials: int = Field(default=64, ge=1)
    sampler: Sampler = "tpe"
    seed: int = 0
    start: Literal["variance", "none"] = Field(
        default="none", description="variance: begin with formats that follow each weight's own distortion"
    )
    batch: int = Field(
        default=4, ge=1, description="trials that are chosen before the first of them is known"
    )
    holdout: str | None = Field(default=None, description="inputs on which the front is judged in the end")


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
    axes: dict[str, list[Value]]
    objectives: tuple[str, ...]

    @property
    def identity(self) -> str:
        """A hash of all that the order of trials depends on."""
        chosen = self.file.model_dump(
            exclude={"trials", "holdout", "model", "inputs", "labels", "calibration"}
        )
        made_of = json.dumps([self.workload.identity, chosen], sort_keys=True)
        return hashlib.sha256(made_of.encode()).hexdigest()[:16]

    def choices(self, weights: list[str]) -> dict[str, list[Value]]:
        """The values of each setting, those of tensors included, for a model with these weights.

        Raises
        ------
        BlocksimError
            If a pattern fits no weight, or there is nothing to choose.
        """
        found = dict(self.axes)
        for pattern, formats in self.file.tensors.items():
            fitting = fnmatch.filter(weights, pattern)
            if not fitting:
                raise BlocksimError(
                    self.where, "tensors", pattern, f"fits no weight; there are {', '.join(weights[:3])}, ..."
                )
            found |= {f"tensors.{name}": list(formats) for name in fitting}
        if not found:
            raise BlocksimError(self.where, "axes", "nothing", "give axes or tensors to choose")
        return found

    def configuration(self, params: Settings, workload: Workload) -> Configuration:
        """The configuration of some choices, on the workload or on the one that is held out."""
        own = beside(self.where.parent, {**self.file.settings, **params})
        return Configuration(id_of(workload.identity, own), own, self.label(params))

    def label(self, params: Settings) -> str:
        """Choices in a few words: of tensors, how many have each format."""
        counts: dict[Value, int] = {}
        for name, value in params.items():
            if name.startswith("tensors."):
                counts[value] = counts.get(value, 0) + 1
        said = [f"{name} {value}" for name, value in params.items() if not name.startswith("tensors.")]
        said += [f"{count} x {form}" for form, count in sorted(counts.items(), key=lambda c: -c[1])]
        return ", ".join(said)


def load(path: Path | str) -> Problem:
    """Read what is searched for.

    Raises
    ------
    BlocksimError
        If it has an unknown field, setting or column, or an empty range.
    """
    path = Path(path)
    file = read_yaml(path, SearchFile)
    check_names(path, "settings", file.settings)
    check_names(path, "axes", file.axes)
    axes = {name: values_of(path, f"axes.{name}", given) for name, given in file.axes.items()}
    workload = file.workload(path.parent)
    holdout = None
    if file.holdout is not None:
        holdout = file.model_copy(update={"inputs": file.holdout, "labels": None}).workload(path.parent)
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
    if "accuracy" in objectives and workload.labels is None and workload.inputs is not None:
        raise BlocksimError(path, "labels", "missing", "the objective accuracy needs right classes")
    return Problem(path, file, workload, holdout, axes, tuple(objectives))
