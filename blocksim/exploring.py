"""Commands that explore: ``blocksim sweep | search | sensitivity``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from blocksim.arguments import experiment_of
from blocksim.errors import BlocksimError
from blocksim.options import (
    BindOption,
    BlockOption,
    CalibrationOption,
    ForceOption,
    MachineOption,
    ModelArgument,
    PrecisionOption,
    ThreadsOption,
    WeightsOption,
)

if TYPE_CHECKING:
    import pandas as pd

app = typer.Typer(rich_markup_mode=None)

ERRORS = ("sqnr_db", "cosine", "accuracy")
"""Columns that say how good outputs are."""


@app.command()
def sweep(
    space: Annotated[Path, typer.Argument(help="Which model, under which settings.", metavar="SPACE.yaml")],
    out: Annotated[Path, typer.Option(help="Folder for the table, the rows and the plot.")],
    scheduler: Annotated[
        str | None, typer.Option(help="A Dask scheduler, such as tcp://host:8786, instead of processes here.")
    ] = None,
    jobs: Annotated[int | None, typer.Option(help="Processes of this machine; all cores.", min=1)] = None,
    error: Annotated[
        str, typer.Option(help="The column that says how good outputs are: sqnr_db, cosine or accuracy.")
    ] = "sqnr_db",
) -> None:
    """Run every configuration of a space: a table, and the front of those that no other beats.

    After an interruption the same command goes on: nothing is lost, and nothing is done twice.
    Needs the extra sweep: pip install 'blocksim[sweep]'.

    Example: blocksim sweep examples/space.yaml --out sweep/
    """
    from blocksim.explore.bound import bound_of
    from blocksim.explore.columns import BY_NAME
    from blocksim.explore.distortion import Weights
    from blocksim.explore.front import front
    from blocksim.explore.plots import save_fronts
    from blocksim.explore.space import load
    from blocksim.explore.store import FRONT, TABLE
    from blocksim.explore.sweep import sweep as run

    if error not in ERRORS:
        raise BlocksimError("command line", "--error", error, "give sqnr_db, cosine or accuracy")
    if scheduler is not None and jobs is not None:
        raise BlocksimError("command line", "--jobs", jobs, "a cluster has workers of its own; leave it out")
    asked = load(space)
    if asked.same:
        typer.echo(f"{asked.same} configurations are the same as others, and are left out", err=True)
    frame = run(asked, out, scheduler, jobs, progress=True).frame
    built = frame[frame["error"].isna()]
    title = f"{Path(asked.workload.model).name}: {len(built):,} configurations"
    if built[error].notna().any():
        bound = bound_of(Weights(asked.workload.open().graph))
        save_fronts(built, out / FRONT, f"{title}, and what their accuracy costs", error, bound)
        shown = [error, "energy_pj", "cycles", "weight_bits"]
        best = front(built, shown).drop_duplicates(shown)
        _show(best, error, f"{title}; {len(best)} that no other beats")
        typer.echo(f"Plot: {out / FRONT}")
    else:
        typer.echo(f"no configuration has the column {error} ({BY_NAME[error].text})", err=True)
    _failures(frame)
    typer.echo(f"Table: {out / TABLE}")


@app.command()
def search(
    problem: Annotated[Path, typer.Argument(help="Choices, objectives, limits.", metavar="SEARCH.yaml")],
    out: Annotated[Path, typer.Option(help="Folder for the table, the rows and the plot.")],
    storage: Annotated[
        str | None,
        typer.Option(help="An Optuna storage that gets a copy of the study, such as sqlite:///study.db."),
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="A Dask scheduler, such as tcp://host:8786, instead of processes here.")
    ] = None,
    jobs: Annotated[int | None, typer.Option(help="Processes of this machine; all cores.", min=1)] = None,
) -> None:
    """Search for formats, block sizes and machines by Optuna's samplers, from a seed.

    After an interruption the same command goes on: what was measured is there.
    Needs the extra sweep: pip install 'blocksim[sweep]'.

    Example: blocksim search examples/search.yaml --out search/
    """
    from blocksim.explore.bound import bound_of
    from blocksim.explore.distortion import Weights
    from blocksim.explore.plots import save_fronts
    from blocksim.explore.search import search as run
    from blocksim.explore.searchfile import load
    from blocksim.explore.store import FRONT, HOLDOUT, TABLE

    if scheduler is not None and jobs is not None:
        raise BlocksimError("command line", "--jobs", jobs, "a cluster has workers of its own; leave it out")
    asked = load(problem)
    done = run(asked, out, storage, scheduler, jobs, progress=True)
    frame = done.frame
    best = done.front.drop_duplicates("config_id")
    title = f"{Path(asked.workload.model).name}: {len(frame):,} trials"
    error = next((name for name in asked.objectives if name in ERRORS), "sqnr_db")
    if frame[error].notna().any():
        bound = bound_of(Weights(asked.workload.open().graph))
        title_of = f"{title}, and what accuracy costs"
        save_fronts(frame[frame["error"].isna()], out / FRONT, title_of, error, bound)
        typer.echo(f"Plot: {out / FRONT}")
    _show(best, error, f"{title}; {len(best)} within the limits that no other beats")
    _failures(frame)
    if asked.holdout is not None:
        typer.echo(f"The same on the samples that were held out: {out / HOLDOUT}")
    typer.echo(f"Table: {out / TABLE}")


@app.command()
def sensitivity(
    model: ModelArgument,
    inputs: Annotated[Path, typer.Option(help="Inputs: .npz with one array per input, or .npy for one.")],
    out: Annotated[Path, typer.Option(help="Folder for the two tables.")],
    form: Annotated[str, typer.Option("--format", help="What one weight after the other is stored in.")],
    machine: MachineOption = "bct64",
    precision: PrecisionOption = "bct-int8",
    block: BlockOption = None,
    bind: BindOption = None,
    weights: WeightsOption = None,
    calibration: CalibrationOption = None,
    threads: ThreadsOption = None,
    force: ForceOption = False,
) -> None:
    """Which weight does the output mind most? And what error does each operator add by itself?

    Writes weights.csv: a whole run for each weight that alone has another format; and operators.csv: each
    operator executed on the fp32 reference's own inputs, beside its error in a whole run.

    Example: blocksim sensitivity model.onnx --inputs x.npz --format int4@16x16 --out sensitivity/
    """
    from blocksim.compiler import precision as plans
    from blocksim.explore.local import local_errors
    from blocksim.explore.sensitivity import sensitivities
    from blocksim.output import output_folder
    from blocksim.report.progress import progress_bar
    from blocksim.yamlfile import load_machine

    plan, loaded = plans.load(precision, block), load_machine(machine)
    plans.changed(plan, {"weight": form})  # refused before anything runs
    with output_folder(out, force) as folder:
        experiment = experiment_of(model, inputs, None, bind, threads, weights, calibration)
        count = len({op.weight for op in experiment.graph.matmuls() if op.weight})
        with progress_bar("weights", count, True) as told:
            frame = sensitivities(experiment, plan, loaded, form, told)
        frame.to_csv(folder / "weights.csv")
        local_errors(experiment, experiment.trace(plan, loaded)).to_csv(folder / "operators.csv")
    typer.echo(frame.head(10).to_string(float_format="{:.2f}".format))
    typer.echo(f"All {len(frame)}: {out / 'weights.csv'}. Operators: {out / 'operators.csv'}")


SHOWN = {
    "weight_bits": ("linear Mbit", 1e6, "{:,.3f}"), "energy_pj": ("energy uJ", 1e6, "{:,.1f}"),
    "cycles": ("cycles", 1, "{:,.0f}"), "logic_transistors": ("logic Mtr", 1e6, "{:,.1f}"),
}  # fmt: skip
"""Columns of the terminal's table: their title, scale and look."""


def _failures(frame: pd.DataFrame) -> None:
    """How many rows could not be built, and why the first."""
    failed = frame[frame["error"].notna()]
    if len(failed):
        typer.echo(f"{len(failed)} could not be built, such as: {failed['error'].iloc[0]}", err=True)


def _show(best: pd.DataFrame, error: str, title: str) -> None:
    """A front, a line for each configuration."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", header_style="bold")
    table.add_column("configuration")
    for name in (error, *(text for text, _, _ in SHOWN.values())):
        table.add_column(name, justify="right", no_wrap=True)
    for _, row in best.iterrows():
        own = [look.format(row[name] / scale) for name, (_, scale, look) in SHOWN.items()]
        table.add_row(str(row["label"]), f"{row[error]:.4g}", *own)
    Console(width=None if Console().is_terminal else 140).print(table)
