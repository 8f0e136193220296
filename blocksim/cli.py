"""The command line: ``blocksim demo | run | compile | trace show | explain | prove``.

Errors are one line; exit 2 for bad input, 130 for Ctrl-C.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from blocksim import exploring, looks
from blocksim._version import __version__
from blocksim.arguments import arrays, bindings, experiment_of, note_compilation
from blocksim.errors import BlocksimError
from blocksim.exits import guarded
from blocksim.options import (
    ActBlockOption,
    BindOption,
    BlockOption,
    CalibrationOption,
    CostsOption,
    ForceOption,
    MachineOption,
    ModelArgument,
    PrecisionOption,
    StrictOption,
    ThreadsOption,
    WeightBlockOption,
    WeightsOption,
)
from blocksim.output import goes_on_from, partial_of

if TYPE_CHECKING:
    from blocksim.report.report import Report

app = typer.Typer(
    name="blocksim",
    help="A bit- and cycle-accurate simulator of a transformer accelerator's block-quantised datapath.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


DEMO = (
    ("fp32", None),
    ("bct-int8", "64x64"),
    ("bct-int8", "16x16"),
    ("bct-int8", "8x8"),
    ("layerwise-shift8", None),
    ("bct-w4a8", "64x64"),
    ("bct-w4a8", "16x16"),
)
"""Configurations of the demo."""


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the page and the figures.")] = Path("blocksim-demo"),
    force: ForceOption = False,
    threads: ThreadsOption = None,
) -> None:
    """Run the embedded Vision Transformer at several block sizes and compare them.

    Example: blocksim demo --out blocksim-demo
    """
    from blocksim import zoo
    from blocksim.experiment import Experiment
    from blocksim.output import output_folder
    from blocksim.report.html import page

    with output_folder(out, force) as folder:
        model = zoo.load("vit_fashion")
        experiment = Experiment(model.path, model.inputs, model.labels, threads=threads, progress=True)
        note_compilation()
        reports = []
        for plan, block in DEMO:
            report = experiment.run(plan, block)
            name = report.data.precision.replace(" ", "-").replace("/", "-")
            (folder / name).mkdir()
            report.save(folder / name, html=False)
            reports.append(report)
        title = "A Vision Transformer on Fashion-MNIST: what a block size buys"
        (folder / "report.html").write_text(page(reports, title))
    _show(reports, f"ViT on Fashion-MNIST, 1,000 test images, machine {reports[0].data.machine}")
    host = ", ".join(reports[1].data.coverage.host_ops)
    typer.echo(f"On the host in fp32, without multiply-accumulates: {host}. Page: {out / 'report.html'}")


@app.command()
def run(
    model: ModelArgument,
    inputs: Annotated[Path, typer.Option(help="Inputs: .npz with one array per input, or .npy for one.")],
    out: Annotated[Path, typer.Option(help="Folder for the report.")],
    machine: MachineOption = "bct64",
    precision: PrecisionOption = "bct-int8",
    block: BlockOption = None,
    weight_block: WeightBlockOption = None,
    act_block: ActBlockOption = None,
    labels: Annotated[Path | None, typer.Option(help="Right classes, .npy, for accuracy.")] = None,
    bind: BindOption = None,
    weights: WeightsOption = None,
    calibration: CalibrationOption = None,
    costs: CostsOption = None,
    strict: StrictOption = False,
    threads: ThreadsOption = None,
    html: Annotated[bool, typer.Option("--html/--no-html", help="Write the HTML page.")] = True,
    force: ForceOption = False,
) -> None:
    """Run a model: bits, cycles, energy and memory of one configuration.

    Example: blocksim run model.onnx --inputs x.npz --precision bct-int8 --block 16x16 --out run/
    """
    from blocksim.compiler.presets import PRESETS
    from blocksim.output import output_folder

    if block is not None and precision in PRESETS and "{" not in "".join(PRESETS[precision].values()):
        typer.echo(f"{precision} keeps its own block; --block {block} has no effect", err=True)
    with output_folder(out, force) as folder:
        experiment = experiment_of(model, inputs, labels, bind, threads, weights, calibration)
        report = experiment.run(precision, block, machine, weight_block, act_block, costs, strict)
        report.save(folder, html)
    _show([report], f"{report.data.model} on {report.data.machine}, {report.data.samples} samples")
    page = out / ("report.html" if html else "report.json")
    coverage = report.data.coverage
    whole = coverage.host_macs + coverage.datapath_macs
    share = f", {coverage.host_macs:,} of {whole:,} multiply-accumulates" if coverage.host_macs else ""
    typer.echo(f"On the host in fp32: {', '.join(coverage.host_ops) or 'nothing'}{share}. Report: {page}")


@app.command()
def compare(
    model: ModelArgument,
    inputs: Annotated[Path, typer.Option(help="Inputs: .npz with one array per input, or .npy for one.")],
    out: Annotated[Path, typer.Option(help="Folder for the page and the table.")],
    plans: Annotated[list[str] | None, typer.Option("--plan", help="Only these plans; repeat it.")] = None,
    machine: MachineOption = "bct64",
    labels: Annotated[Path | None, typer.Option(help="Right classes, .npy, for accuracy.")] = None,
    bind: BindOption = None,
    weights: WeightsOption = None,
    calibration: CalibrationOption = None,
    costs: CostsOption = None,
    threads: ThreadsOption = None,
    force: ForceOption = False,
) -> None:
    """Run a model under every shipped plan: one table, one page of plots.

    Plans with scales of a whole tensor take part where there is --calibration.

    Example: blocksim compare model.onnx --inputs x.npz --out compared/
    """
    from blocksim.compiler.precision import load
    from blocksim.compiler.presets import CALIBRATED, PRESETS
    from blocksim.output import output_folder
    from blocksim.report.html import page
    from blocksim.report.table import compare as tabulated

    for plan in plans or ():
        if plan != "fp32":
            load(plan)  # refused before anything runs
    with output_folder(out, force) as folder:
        experiment = experiment_of(model, inputs, labels, bind, threads, weights, calibration)
        chosen = plans or [p for p in PRESETS if calibration is not None or p not in CALIBRATED]
        if not plans and calibration is None:
            typer.echo(f"Without --calibration: {', '.join(CALIBRATED)} left out", err=True)
        reports = [
            experiment.run(plan, None, machine, costs=costs) for plan in dict.fromkeys(["fp32", *chosen])
        ]
        tabulated(reports).to_csv(folder / "comparison.csv")
        (folder / "report.html").write_text(page(reports, f"{reports[0].data.model}: every plan"))
    first = reports[0].data
    _show(reports, f"{first.model} on {machine}, {first.samples} samples")
    typer.echo(f"Table: {out / 'comparison.csv'}. Page: {out / 'report.html'}")


@app.command("compile")
def compile_command(
    model: ModelArgument,
    out: Annotated[Path, typer.Option("--out", "-o", help="The trace file.")],
    machine: MachineOption = "bct64",
    precision: PrecisionOption = "bct-int8",
    block: BlockOption = None,
    weight_block: WeightBlockOption = None,
    act_block: ActBlockOption = None,
    bind: BindOption = None,
    weights: WeightsOption = None,
    calibration: CalibrationOption = None,
    strict: StrictOption = False,
    force: ForceOption = False,
) -> None:
    """Compile a model to a trace, one weight at a time.

    What is packed waits in OUT.partial until the trace is whole: after an interruption the same command goes
    on from there.

    Example: blocksim compile model.onnx --block 16x16 -o model.trace
    """
    from blocksim.api import compile_model
    from blocksim.measure.footprint import measure_footprint
    from blocksim.trace.file import is_trace

    if out.exists() and not force:
        raise BlocksimError(out, "--out", "exists", "give another file, or --force to replace it")
    if out.exists() and not is_trace(out):
        raise BlocksimError(out, "--out", "not a trace", "blocksim did not write it; give another file")
    samples = None if calibration is None else arrays(calibration)
    with goes_on_from(partial_of(out)):
        trace = compile_model(
            model, machine, precision, block, weight_block, act_block, bindings(bind), strict, weights,
            samples, out, progress=True,
        )  # fmt: skip
    size = measure_footprint(trace)
    typer.echo(f"{out}: {len(trace.program):,} instructions, {len(trace.manifest.operators)} operators")
    typer.echo(
        f"fp32 bits over stored bits: {size.compression_ratio:.4f} of the linear layers, "
        f"{size.ratio_with_everything:.4f} with everything, {size.ratio_with_padding:.4f} with padding"
    )


@app.command()
def execute(
    trace: Annotated[Path, typer.Argument(help="A trace file.", metavar="FILE.trace")],
    inputs: Annotated[Path, typer.Option(help="Inputs: .npz with one array per input, or .npy for one.")],
    out: Annotated[Path, typer.Option(help="Folder for the outputs.")],
    threads: ThreadsOption = None,
    force: ForceOption = False,
) -> None:
    """Execute a trace a few operators at a time, whatever its size: outputs, and what each operator lost.

    What is done waits in OUT.stages.partial: after an interruption the same command goes on from there.

    Example: blocksim execute model.trace --inputs x.npz --out outputs/
    """
    import os

    import numpy as np
    import pandas as pd

    from blocksim.engine.schedule import schedule
    from blocksim.engine.stages import execute_in_stages
    from blocksim.output import kept_folder, output_folder
    from blocksim.report.progress import progress_bar
    from blocksim.trace import Trace

    opened, given = Trace.open(trace), arrays(inputs)
    if not isinstance(given, dict):
        given = {opened.manifest.inputs[0].name: given}
    note_compilation()
    work = out.with_name(out.name + ".stages")
    with (
        goes_on_from(partial_of(work)),
        output_folder(out, force) as folder,
        kept_folder(work) as kept,
    ):
        with progress_bar("executing", len(opened.manifest.operators), True) as told:
            done = execute_in_stages(opened, given, (), threads or os.cpu_count() or 1, told, kept)
        np.savez(folder / "outputs.npz", allow_pickle=False, **done.outputs)
        frame = pd.DataFrame.from_dict(done.counts, orient="index").rename_axis("operator")
        frame.to_csv(folder / "counts.csv")
    for name, array in done.outputs.items():
        typer.echo(f"{name}: {array.dtype} {array.shape}")
    samples = len(next(iter(done.outputs.values())))
    typer.echo(
        f"{schedule(opened).cycles:,} cycles a sample, {samples} samples. Outputs: {out / 'outputs.npz'}"
    )


EVALUATION = (
    ("bct-int8", "128x128"),
    ("bct-int8", "64x64"),
    ("bct-int8", "32x32"),
    ("bct-int8", "16x16"),
    ("bct-int8-strict", "64x64"),
    ("bct-int8-strict", "16x16"),
    ("bct-w4a8", "64x64"),
    ("bct-w4a8", "16x16"),
    ("bct-int8-fp8", "64x64"),
    ("bct-int8-log2", "64x64"),
    ("bct-int8-logsqrt2", "64x64"),
    ("layerwise-shift8", None),
    ("layerwise-lin8", None),
    ("bfp-w6a6", None),
    ("bfp-w6a6-strict", None),
    ("bfp-w6a6-last", None),
    ("bfp-w4a4", None),
    ("bm8", None),
    ("bl8", None),
    ("minifloat8", None),
    ("dmf8", None),
    ("fixed8", None),
    ("mxint8", None),
    ("mxfp8", None),
    ("mxfp6", None),
    ("mxfp4", None),
)
"""Configurations of MiniLM's tables."""


@app.command()
def evaluate(
    folder: Annotated[Path, typer.Argument(help="What blocksim fetch minilm made.")],
    out: Annotated[Path, typer.Option(help="Folder for the scores.")],
    machine: MachineOption = "bct64",
    snippets: Annotated[
        int, typer.Option(help="Test snippets to judge, at most 1,000.", min=1, max=1000)
    ] = 1000,
    plans: Annotated[list[str] | None, typer.Option("--plan", help="Only these plans; repeat it.")] = None,
    threads: ThreadsOption = None,
    force: ForceOption = False,
) -> None:
    """MiniLM under several plans: nearness of sentences, accuracy, cycles, energy, footprint.

    Example: blocksim evaluate .models/minilm --out minilm
    """
    import os

    from blocksim.output import output_folder
    from blocksim.report.scores import evaluate_minilm, scores_table
    from blocksim.zoo.minilm import MiniLM

    known = list(dict.fromkeys(plan for plan, _ in EVALUATION))
    for plan in plans or ():
        if plan not in known:
            raise BlocksimError("command line", "--plan", plan, f"give some of {', '.join(known)}")
    chosen = [(plan, block) for plan, block in EVALUATION if not plans or plan in plans]
    with output_folder(out, force) as target:
        model = MiniLM(folder, threads or os.cpu_count() or 1, snippets)
        note_compilation()
        frame = evaluate_minilm(model, chosen, machine, progress=True)
        frame.to_csv(target / "scores.csv", index=False)
    typer.echo(scores_table(frame))
    typer.echo(
        f"Cycles, energy and footprint are those of 128 tokens on {machine}. Scores: {out / 'scores.csv'}"
    )


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


def _show(reports: Sequence[Report], title: str) -> None:
    """The table, as wide as the terminal allows, and what was lost on the way."""
    from rich.console import Console

    from blocksim.report.table import losses, plain, rich_table

    console = Console(width=None if sys.stdout.isatty() else 140)
    pretty = rich_table(reports, title)
    if console.measure(pretty).maximum <= console.width:
        console.print(pretty)
    else:
        typer.echo(f"{title}\n{plain(reports)}")
    for line in losses(reports):
        typer.echo(line)


app.add_typer(looks.app)
app.add_typer(exploring.app)
app.add_typer(looks.trace_app, name="trace")


def main() -> None:
    """Run the command line; turn errors into one line and an exit code."""
    # what is loaded at the start stays: to look for cycles in it again and again takes a tenth of a short run
    gc.set_threshold(100_000, 50, 50)
    guarded(lambda: app(standalone_mode=False))


if __name__ == "__main__":
    main()
