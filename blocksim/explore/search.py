"""The search: trials that Optuna's samplers choose, measured like any configuration, and what came of them.

Trials are chosen in batches of a fixed size and told in their order. What a sampler chooses therefore depends
on its seed alone, not on how many workers there are or which is done first, and a search that was interrupted
goes on by choosing the same again: what was measured is there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blocksim.errors import BlocksimError
from blocksim.explore import store, workers
from blocksim.explore.columns import BY_NAME, TRIAL, Row, table_columns
from blocksim.explore.distortion import Weights
from blocksim.explore.front import points, undominated
from blocksim.explore.searchfile import Problem, load
from blocksim.explore.settings import Value
from blocksim.explore.store import HOLDOUT, TABLE, Store, opened
from blocksim.explore.sweep import common, kept_rows
from blocksim.explore.variance import allocations
from blocksim.explore.workers import Crew
from blocksim.explore.workload import Workload
from blocksim.report.progress import progress_bar

if TYPE_CHECKING:
    import optuna
    import pandas as pd

BEGINNINGS = 8
"""Trials that a starting strategy proposes at most."""


@dataclass(frozen=True)
class Search:
    """A search that has ended.

    Attributes
    ----------
    folder : Path
    objectives : tuple of str
    """

    folder: Path
    objectives: tuple[str, ...]

    @cached_property
    def frame(self) -> pd.DataFrame:
        """A row for each trial, in their order; see `columns.COLUMNS`."""
        return store.read_table(self.folder / TABLE)

    @cached_property
    def held_out(self) -> pd.DataFrame:
        """The front's configurations on the samples that were held out."""
        return store.read_table(self.folder / HOLDOUT)

    @cached_property
    def front(self) -> pd.DataFrame:
        """The trials within the limits that no other beats."""
        allowed = self.frame[self.frame["allowed"] == "yes"]
        return allowed[undominated(points(allowed, self.objectives))]


def search(
    problem: Problem | Path | str | Mapping[str, Any],
    out: Path | str,
    storage: str | None = None,
    scheduler: str | None = None,
    jobs: int | None = None,
    progress: bool = False,
) -> Search:
    """Search; what an earlier call has measured is not measured again.

    Parameters
    ----------
    problem : Problem, path, or dict
        A YAML file, or a mapping with its fields; see `searchfile.SearchFile`.
    out : path
        The folder of the search.
    storage : str, optional
        The URL of an Optuna storage that gets a copy of the study, for Optuna's own tools.
    scheduler, jobs, progress
        As of `blocksim.explore.sweep.sweep`.

    Returns
    -------
    Search

    Raises
    ------
    BlocksimError
        If the file, the folder or the storage cannot be used.
    """
    store.arrow()
    asked = problem if isinstance(problem, Problem) else load(problem)
    weights = Weights(asked.workload.open().graph)
    choices = asked.choices(weights.names)
    study, copy = _studies(asked, storage)
    with opened(Path(out)) as kept:
        if asked.file.start == "variance":
            for params in allocations(weights, choices, BEGINNINGS):
                study.enqueue_trial(params)
        shared = common(kept, asked.workload, scheduler)
        with (
            workers.crew(shared, jobs, scheduler) as crew,
            progress_bar("trials", asked.file.trials, progress) as told,
        ):
            for _ in _trials(kept, crew, asked, choices, study, copy):
                if told:
                    told(1)
        rows = [_row(kept, t) for t in study.trials if t.state.is_finished()]
        columns = table_columns({name: list(values) for name, values in choices.items()}, TRIAL)
        kept.table(rows, columns)
        done = Search(kept.folder, asked.objectives)
        if asked.holdout is not None:
            _judge(kept, asked, asked.holdout, choices, done, scheduler, jobs)
    return Search(Path(out), asked.objectives)


def _studies(asked: Problem, storage: str | None) -> tuple[optuna.Study, optuna.Study | None]:
    """A new study; and the one in a storage that trials are copied into."""
    try:
        import optuna
    except ImportError:
        raise BlocksimError(
            "blocksim", "extra", "sweep is not installed", "pip install 'blocksim[sweep]'"
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    seed = asked.file.seed
    samplers = {
        "tpe": lambda: optuna.samplers.TPESampler(seed=seed, constant_liar=True),
        "nsga2": lambda: optuna.samplers.NSGAIISampler(seed=seed, population_size=16),
        "random": lambda: optuna.samplers.RandomSampler(seed=seed),
    }
    less, more = optuna.study.StudyDirection.MINIMIZE, optuna.study.StudyDirection.MAXIMIZE
    directions = [less if BY_NAME[name].better < 0 else more for name in asked.objectives]
    study = optuna.create_study(sampler=samplers[asked.file.sampler](), directions=directions)
    if storage is None:
        return study, None
    try:
        return study, optuna.create_study(
            storage=storage, directions=directions, study_name=f"blocksim-{asked.identity}",
            load_if_exists=True,
        )  # fmt: skip
    except Exception as error:  # of whatever the storage's library raises
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise BlocksimError("command line", "--storage", storage, reason) from None


def _trials(
    kept: Store,
    crew: Crew,
    asked: Problem,
    choices: Mapping[str, Sequence[Value]],
    study: optuna.Study,
    copy: optuna.Study | None,
) -> Iterator[None]:
    """Choose, measure and tell, a batch at a time."""
    import optuna

    space: dict[str, optuna.distributions.BaseDistribution] = {
        name: optuna.distributions.CategoricalDistribution(tuple(values)) for name, values in choices.items()
    }
    for first in range(0, asked.file.trials, asked.file.batch):
        batch = [study.ask(space) for _ in range(min(asked.file.batch, asked.file.trials - first))]
        made = [asked.configuration(trial.params, asked.workload) for trial in batch]
        rows = {str(row["config_id"]): row for row in kept_rows(kept, crew, made)}
        for trial, configuration in zip(batch, made, strict=True):
            row = rows[configuration.id]
            trial.set_user_attr("config_id", configuration.id)
            trial.set_user_attr("label", configuration.label)
            trial.set_user_attr("error", row["error"])
            over = beyond(asked, row)
            trial.set_user_attr("within", all(x <= 0 for x in over.values()))
            for name, x in over.items():
                trial.set_constraint(name, x)
            values = [row.get(name) for name in asked.objectives]
            if row["error"] or any(value is None for value in values):
                study.tell(trial, state=optuna.trial.TrialState.FAIL)
            else:
                study.tell(trial, [float(value) for value in values if value is not None])
            yield
        if copy is not None:
            copy.add_trials(study.trials[len(copy.trials) :])


def beyond(asked: Problem, row: Row) -> dict[str, float]:
    """By how much a row is beyond each limit; what is not above zero is within."""
    found = {}
    for name, limit in asked.file.limits.items():
        value = row.get(name)
        known = value is not None and not math.isnan(float(value))
        found[name] = -BY_NAME[name].better * (float(value or 0) - limit) if known else math.inf
    return found


def _row(kept: Store, trial: optuna.trial.FrozenTrial) -> Row:
    key, error = trial.user_attrs["config_id"], trial.user_attrs["error"]
    row = kept.row(key) or {"config_id": key, "error": error}
    within = error is None and trial.user_attrs["within"]
    own = {"trial": trial.number, "allowed": "yes" if within else "no", "label": trial.user_attrs["label"]}
    return row | trial.params | own


def _judge(
    kept: Store,
    asked: Problem,
    workload: Workload,
    choices: Mapping[str, Sequence[Value]],
    done: Search,
    scheduler: str | None,
    jobs: int | None,
) -> None:
    """The front's configurations on samples that no trial has seen."""
    best = done.front.drop_duplicates("config_id")
    made = [
        asked.configuration({name: _plain(row[name]) for name in choices}, workload)
        for _, row in best.iterrows()
    ]
    with workers.crew(common(kept, workload, scheduler), jobs, scheduler) as crew:
        rows = {str(row["config_id"]): row for row in kept_rows(kept, crew, made)}
    labels = {c.id: c.label for c in made}
    columns = table_columns({name: list(values) for name, values in choices.items()})
    kept.table([rows[c.id] | {"label": labels[c.id]} for c in made], columns, HOLDOUT)


def _plain(value: Any) -> Value:
    """A cell as Python has it."""
    return value.item() if hasattr(value, "item") else value  # type: ignore[no-any-return]
