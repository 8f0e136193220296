"""The Python face in functions: run a model, or compile it to a trace."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blocksim import compiler
from blocksim.compiler import precision as plans
from blocksim.compiler.cache import ConstantCache, ConstantFolder
from blocksim.experiment import Arrays, Experiment, calibrate, machine_name
from blocksim.graph import import_onnx
from blocksim.graph.weights import weight_source
from blocksim.output import kept_folder
from blocksim.report.progress import progress_bar
from blocksim.report.report import Report
from blocksim.trace import Trace
from blocksim.yamlfile import load_machine
from hwmodels.machines import Machine


def run(
    model: str | Path,
    inputs: Arrays | NDArray[Any],
    machine: str | Path | Machine = "bct64",
    precision: str | Path = "bct-int8",
    block: str | None = None,
    weight_block: str | None = None,
    act_block: str | None = None,
    labels: NDArray[np.integer] | None = None,
    bind: Mapping[str, int] | None = None,
    costs: str | Path | None = None,
    strict: bool = False,
    threads: int | None = None,
    progress: bool = False,
    weights: str | Path | None = None,
    calibration: Arrays | NDArray[Any] | None = None,
) -> Report:
    """Run a model on a machine, bit by bit and cycle by cycle.

    The parameters are those of `Experiment` and `Experiment.run`; for several configurations of one
    model an `Experiment` does the common work once.

    Returns
    -------
    Report

    Raises
    ------
    BlocksimError
        If an input cannot be used; the message names it and what would be right.

    Examples
    --------
    >>> import blocksim as bs
    >>> model = bs.zoo.load("vit_fashion")
    >>> report = bs.run(model.path, {"image": model.inputs["image"][:2]}, block="16x16")
    >>> report.data.coverage.host_ops
    ('embed.patches', 'norm.reducemean')
    """
    experiment = Experiment(
        model, inputs, labels, bind, threads, progress, weights=weights, calibration=calibration
    )
    return experiment.run(precision, block, machine, weight_block, act_block, costs, strict)


def compile_model(
    model: str | Path,
    machine: str | Path | Machine = "bct64",
    precision: str | Path = "bct-int8",
    block: str | None = None,
    weight_block: str | None = None,
    act_block: str | None = None,
    bind: Mapping[str, int] | None = None,
    strict: bool = False,
    weights: str | Path | None = None,
    calibration: Arrays | NDArray[Any] | None = None,
    out: str | Path | None = None,
    progress: bool = False,
) -> Trace:
    """Compile a model to a trace.

    The parameters are those of `run`, and:

    Parameters
    ----------
    out : path, optional
        Write the trace to this file. Weights are then packed one at a time, and never are all in memory;
        what is packed waits in ``<out>.partial``, from which an interrupted call goes on when it is made
        again.
    progress : bool
        Show a progress bar.

    Returns
    -------
    Trace

    Raises
    ------
    BlocksimError
        If the model, the machine or the plan cannot be used.
    """
    plan = plans.load(precision, block, weight_block, act_block)
    graph = import_onnx(model, dict(bind or {}), None if weights is None else weight_source(weights))
    known = None if calibration is None else calibrate(graph, calibration)

    def compiled(cache: ConstantCache) -> Trace:
        with progress_bar("compiling", 2 * len(graph.operators), progress) as told:
            return compiler.compile_graph(
                graph, load_machine(machine), plan, strict, machine_name(machine), known, cache, told
            )

    if out is None:
        return compiled(ConstantCache())
    with kept_folder(Path(out)) as folder:
        compiled(ConstantFolder(folder)).save(out)
    return Trace.open(out)
