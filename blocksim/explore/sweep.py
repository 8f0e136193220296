"""The sweep: every configuration of a space, kept as it is done, in one table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blocksim.explore import store, workers
from blocksim.explore.columns import Row, table_columns
from blocksim.explore.space import Configuration, Space, load
from blocksim.explore.store import SHARED, TABLE, Store, opened
from blocksim.explore.workers import Common, Crew
from blocksim.explore.workload import Workload
from blocksim.report.progress import progress_bar

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Sweep:
    """A sweep that has ended.

    Attributes
    ----------
    folder : Path
    """

    folder: Path

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The table, a row for each configuration in the order of the space; see `columns.COLUMNS`."""
        return store.read_table(self.folder / TABLE)

    def plot(self, error: str = "sqnr_db") -> Figure:
        """Every configuration and the fronts: an error's column against memory, energy and cycles."""
        from blocksim.explore.plots import draw_fronts

        built = self.frame[self.frame["error"].isna()]
        return draw_fronts(built, f"{len(built):,} configurations, and what their accuracy costs", error)


def sweep(
    space: Space | Path | str | Mapping[str, Any],
    out: Path | str,
    scheduler: str | None = None,
    jobs: int | None = None,
    progress: bool = False,
) -> Sweep:
    """Run every configuration of a space; what an earlier call has done is not done again.

    Parameters
    ----------
    space : Space, path, or dict
        A YAML file, or a mapping with its fields; see `space.SpaceFile`.
    out : path
        The folder of the sweep. Rows are kept there one by one, the table when all are done.
    scheduler : str, optional
        The address of a Dask scheduler, whose workers have one thread each and see the same files.
    jobs : int, optional
        Processes of this machine otherwise; as many as it has cores if it is left out.
    progress : bool
        Show a progress bar.

    Returns
    -------
    Sweep

    Raises
    ------
    BlocksimError
        If the space or the folder cannot be used.
    """
    store.arrow()  # missed before anything is computed
    asked = space if isinstance(space, Space) else load(space)
    with opened(Path(out)) as kept:
        left = [c for c in asked.configurations if kept.row(c.id) is None]
        shared = common(kept, asked.workload, scheduler) if left else None
        with (
            progress_bar("configurations", len(asked.configurations), progress) as told,
            workers.crew(shared, jobs, scheduler) as crew,
        ):
            rows = {}
            for row in kept_rows(kept, crew, asked.configurations):
                rows[str(row["config_id"])] = row
                if told:
                    told(1)
        write(kept, asked, [rows[c.id] for c in asked.configurations])
    return Sweep(Path(out))


def kept_rows(kept: Store, crew: Crew, configurations: Sequence[Configuration]) -> Iterator[Row]:
    """The rows that are there, and then the others, which are kept as they are done."""
    unique = {c.id: c for c in configurations}
    known = {key: row for key in unique if (row := kept.row(key)) is not None}
    yield from known.values()
    for row in crew.rows([c for key, c in unique.items() if key not in known]):
        if row["error"] is None:  # what cannot be built is soon said again
            kept.put(row)
        yield row


def common(kept: Store, workload: Workload, scheduler: str | None) -> Common:
    """What all configurations share, computed once; processes of this machine share packed constants too."""
    experiment = workload.open()
    folder = None if scheduler else str(kept.folder / SHARED)
    return Common(workload, experiment.reference, experiment.calibration, folder)


def write(kept: Store, space: Space, rows: Sequence[Row]) -> None:
    """The table of a sweep."""
    axes = {name: [c.settings.get(name) for c in space.configurations] for name in space.axes}
    columns = table_columns(axes)
    rows_of = {str(row["config_id"]): row for row in rows}  # which may be of another space's sweep
    kept.table([{**rows_of[c.id], **c.settings, "label": c.label} for c in space.configurations], columns)
