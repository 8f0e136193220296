"""Commands that look into things: ``blocksim formats | fetch | trace show | explain | prove``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from blocksim.errors import BlocksimError

app = typer.Typer(rich_markup_mode=None)
trace_app = typer.Typer(help="Look into a compiled trace.", no_args_is_help=True, rich_markup_mode=None)


@app.command()
def formats() -> None:
    """List every format: bits per element, density, range, cost of a multiply-accumulate, source.

    Example: blocksim formats
    """
    from rich.console import Console

    from blocksim.report.formats import COLUMNS, WIDTH, table

    console = Console()
    console.width = max(console.width, WIDTH)
    console.print(table())
    for name, meaning in COLUMNS.items():
        if meaning:
            typer.echo(f"{name}: {meaning}.")


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="What to fetch: minilm.")],
    out: Annotated[Path, typer.Option(help="The folder of all that was fetched.")] = Path(".models"),
) -> None:
    """Download trained weights and texts to judge them by: pinned, hashed, nothing installed.

    Example: blocksim fetch minilm --out .models
    """
    from blocksim.zoo.fetch import fetch as download

    download(name, out, lambda line: typer.echo(line, err=True))


@app.command()
def topology(
    layers: Annotated[Path, typer.Argument(help="A SCALE-Sim topology.", metavar="LAYERS.csv")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The ONNX file.")],
) -> None:
    """Make a model of a SCALE-Sim topology: a linear layer for each row, and inputs for it beside it.

    Its weights are generated: give --weights generator to run, compile or compare it.

    Example: blocksim topology gemms.csv -o gemms.onnx
    """
    import numpy as np
    import onnx

    from blocksim.graph.topology import model_of, read_topology
    from blocksim.output import refuse_existing

    found = read_topology(layers)
    rng = np.random.default_rng(0)
    arrays = {f"{x.name}_in": rng.standard_normal((1, x.m, x.k)).astype(np.float32) for x in found}
    inputs = out.with_suffix(".npz")
    for path in (out, inputs):
        refuse_existing(path)
    onnx.save(model_of(found), out)
    np.savez(inputs, allow_pickle=False, **arrays)
    typer.echo(f"{out}: {len(found)} products. Inputs: {inputs}")


@trace_app.command("show")
def trace_show(
    trace: Annotated[Path, typer.Argument(help="A trace file.", metavar="FILE.trace")],
    manifest: Annotated[bool, typer.Option("--manifest", help="The manifest as JSON instead.")] = False,
) -> None:
    """List the instructions of a trace.

    Example: blocksim trace show model.trace | less
    """
    from blocksim.trace import Trace, listing
    from blocksim.trace.file import manifest_json

    opened = Trace.open(trace)
    if manifest:
        typer.echo(manifest_json(opened))
        return
    for line in listing(opened):
        typer.echo(line)


@trace_app.command("timeline")
def trace_timeline(
    trace: Annotated[Path, typer.Argument(help="A trace file.", metavar="FILE.trace")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The JSON file.")],
) -> None:
    """Write the schedule of a trace for Perfetto: a track for each unit, memory traffic as counters.

    Open it at https://ui.perfetto.dev; a cycle is shown as a microsecond.

    Example: blocksim trace timeline model.trace -o timeline.json
    """
    from blocksim.engine.schedule import schedule
    from blocksim.output import output_file, refuse_existing
    from blocksim.report.perfetto import timeline_json
    from blocksim.trace import Trace

    refuse_existing(out)
    opened = Trace.open(trace)
    with output_file(out) as partial:
        partial.write_text(timeline_json(opened, schedule(opened)))
    typer.echo(f"{out}: {len(opened.program):,} instructions")


@app.command()
def explain(
    folder: Annotated[Path, typer.Argument(help="A folder that blocksim run wrote.", metavar="RUN")],
    layer: Annotated[str | None, typer.Argument(help="One of its layers.")] = None,
    figure: Annotated[
        str | None, typer.Option(help="A figure of report.json instead, such as tops_per_watt or stall.dram.")
    ] = None,
) -> None:
    """Say where the cycles, bytes and picojoules of a run come from, down to formulas and sources.

    Example: blocksim explain run/ encoder.3.ffn1
    """
    from blocksim.report.report import Report

    if layer is not None and figure is not None:
        raise BlocksimError("command line", "--figure", figure, "give a layer or a figure, not both")
    typer.echo(Report.open(folder).explanation(layer, figure))


@app.command()
def prove(
    units: Annotated[
        list[str] | None, typer.Argument(help="Units; all if none is named.", metavar="[UNIT]...")
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Also what takes long, and each answer put to a second solver.")
    ] = False,
) -> None:
    """Prove that every unit's SystemVerilog is its specification, for all states and inputs.

    Needs the extra rtl: pip install 'blocksim[rtl]'. Exit 1 if anything is not proved.

    Example: blocksim prove lut softmax
    """
    from blocksim.report.proofs import prove_units

    if not prove_units(units or [], every):
        raise typer.Exit(1)
