"""The options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from blocksim.errors import BlocksimError

ModelArgument = Annotated[Path, typer.Argument(help="An ONNX model in float32.", metavar="MODEL.onnx")]
MachineOption = Annotated[str, typer.Option(help="A machine by name, or a YAML file.")]
PrecisionOption = Annotated[str, typer.Option(help="A precision plan by name, or a YAML file.")]
BlockOption = Annotated[
    str | None, typer.Option(help="Block shape <lines>x<depth>, for weights and activations.")
]
WeightBlockOption = Annotated[str | None, typer.Option(help="Block shape of weights alone.")]
ActBlockOption = Annotated[str | None, typer.Option(help="Block shape of activations alone.")]
BindOption = Annotated[list[str] | None, typer.Option(help="Size of a free dimension, such as seq=128.")]
WeightsOption = Annotated[
    str | None, typer.Option(help="Fills a skeleton: a .safetensors or .onnx file, or generator[:SEED].")
]
CalibrationOption = Annotated[
    Path | None, typer.Option(help="Samples, .npz or .npy, for static scales and exponents.")
]
StrictOption = Annotated[bool, typer.Option("--strict", help="Refuse multiply-accumulates on the host.")]
CostsOption = Annotated[str | None, typer.Option(help="An energy table by name, or a YAML file.")]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace an earlier run's folder.")]


def _at_least_one(threads: int | None) -> int | None:
    if threads is not None and threads < 1:
        raise BlocksimError("command line", "--threads", threads, "give 1 or more")
    return threads


ThreadsOption = Annotated[
    int | None, typer.Option(help="Threads; the bits do not depend on it.", callback=_at_least_one)
]
