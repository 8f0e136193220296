"""Evaluating: one configuration of an opened workload becomes a row."""

from __future__ import annotations

import os
import platform
import time
from typing import TYPE_CHECKING

from blocksim.errors import BlocksimError
from blocksim.explore.columns import Row, figures
from blocksim.explore.distortion import Weights
from blocksim.explore.settings import chosen
from blocksim.explore.space import Configuration

if TYPE_CHECKING:
    from blocksim.experiment import Experiment


def evaluate(experiment: Experiment, weights: Weights, configuration: Configuration) -> Row:
    """The row of a configuration; one that cannot be built says why.

    Parameters
    ----------
    experiment : Experiment
        The workload, opened once for all configurations.
    weights : Weights
        Of its graph.
    configuration : Configuration
    """
    start = time.perf_counter()
    row: Row = {"config_id": configuration.id, "label": configuration.label, "error": None}
    row |= configuration.settings
    try:
        meant = chosen(configuration.resolved)
        trace = experiment.trace(meant.plan, meant.machine)
        row |= figures(experiment.measure(trace, meant.costs, layer_samples=0).data)
        row["weight_sqnr_db"] = weights.sqnr_db(meant.plan)
    except BlocksimError as error:
        row["error"] = str(error)
    row["seconds"] = time.perf_counter() - start
    row["worker"] = f"{platform.node()}:{os.getpid()}"
    return row
