"""Sensitivity: how much the output minds, if one weight alone is stored in another format."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from blocksim.compiler.precision import Precision, changed
from blocksim.explore.distortion import Weights
from blocksim.measure.error import ErrorMeter
from hwmodels.formats import parse
from hwmodels.machines import Machine

if TYPE_CHECKING:
    from collections.abc import Callable

    from blocksim.experiment import Experiment

COLUMNS = ("output_sqnr_db", "lost_db", "weight_sqnr_db", "bits", "saved_bits")


def sensitivities(
    experiment: Experiment,
    plan: Precision,
    machine: Machine,
    form: str,
    progress: Callable[[int], None] | None = None,
) -> pd.DataFrame:
    """A row for each weight of a linear layer: a whole run in which it alone has another format.

    Parameters
    ----------
    experiment : Experiment
    plan : Precision
        What all else is stored in.
    machine : Machine
    form : str
        The format of the one weight, such as ``int4@16x16``.
    progress : callable, optional
        Told how many more weights are done.

    Returns
    -------
    DataFrame
        Indexed by weight, the most sensitive first: SQNR of the first output in dB, how many dB the plan
        alone has more, SQNR of the weight, and its bits in the format and saved by it.
    """
    weights, base = Weights(experiment.graph), output_sqnr_db(experiment, plan, machine)
    rows = {}
    for name in weights.names:
        got = output_sqnr_db(experiment, changed(plan, tensors={name: form}), machine)
        own, before = weights.stored(name, parse(form)), weights.stored(name, plan.of("weight", name))
        rows[name] = (got, base - got, own.sqnr_db, own.bits, before.bits - own.bits)
        if progress:
            progress(1)
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=list(COLUMNS)).rename_axis("weight")
    return frame.sort_values("lost_db", ascending=False, kind="stable")


def output_sqnr_db(experiment: Experiment, plan: Precision, machine: Machine) -> float:
    """Signal over error of the first output under a plan; infinite where nothing is lost."""
    from blocksim.engine.execute import execute
    from blocksim.engine.link import link

    made = execute(link(experiment.trace(plan, machine)), experiment.inputs, (), experiment.threads).outputs
    name, meter = next(iter(made)), ErrorMeter()
    for want, got in zip(experiment.reference[name], made[name], strict=True):
        meter.add(want, got)
    return float("inf") if meter.sqnr_db is None else meter.sqnr_db
