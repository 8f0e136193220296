"""Local and propagated error: what each operator adds, and what has come together up to it.

For the *local* error an operator is executed alone, bit by bit, on the fp32 reference's own inputs, stored as
the plan stores them: what it loses is its own, with the encoding of its inputs. The *propagated* error is
that of the same tensor in a whole run. Teacher Intervention puts a teacher's tensors in a student's place in
the same way, to train it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from blocksim.engine.boundary import Stored, decode_tensor, encode_tensor
from blocksim.engine.execute import execute, passed
from blocksim.engine.link import link
from blocksim.engine.workspace import code_type
from blocksim.measure.error import ErrorMeter
from blocksim.trace.file import Trace

if TYPE_CHECKING:
    import pandas as pd

    from blocksim.experiment import Experiment
    from blocksim.graph.unread import Matrix

COLUMNS = ("kind", "local_sqnr_db", "propagated_sqnr_db", "local_cosine", "propagated_cosine")


def local_errors(experiment: Experiment, trace: Trace, samples: int = 8) -> pd.DataFrame:
    """A row for each operator of the datapath whose inputs and output the fp32 graph has.

    Parameters
    ----------
    experiment : Experiment
    trace : Trace
        One of its traces.
    samples : int
        Taken from the first on.

    Returns
    -------
    DataFrame
        Indexed by operator, with `COLUMNS`: signal over error in dB, and mean cosines, to fp32.
    """
    import pandas as pd

    manifest, specs = trace.manifest, trace.manifest.tensors
    few = {name: array[:samples] for name, array in experiment.inputs.items()}
    count = len(next(iter(few.values())))
    one_by_one = [{name: array[s : s + 1] for name, array in few.items()} for s in range(count)]
    fp32 = [experiment.fp32.matrices(one) for one in one_by_one]
    whole = execute(link(trace), few, tuple(specs), experiment.threads).probes
    rows = {}
    for i, op in enumerate(manifest.operators):
        given = [name for name in op.reads if name in specs]
        if op.kind == "host" or not all(_source(trace, name) in fp32[0] for name in (*given, op.out.tensor)):
            continue
        before = {name: [_stored(trace, name, matrices) for matrices in fp32] for name in given}
        made, _ = passed(link(trace, stretch=range(i, i + 1)), few, before, (op.out.tensor,), 1, None)
        alone = _error(trace, op.out.tensor, made[op.out.tensor], fp32)
        together = _error(trace, op.out.tensor, whole[op.out.tensor], fp32)
        rows[op.name] = (op.kind, alone.sqnr_db, together.sqnr_db, alone.cosine, together.cosine)
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(COLUMNS)).rename_axis("operator")


def _source(trace: Trace, name: str) -> str:
    """The tensor of the graph that a stored one holds."""
    return trace.manifest.tensors[name].copy_of or name


def _stored(trace: Trace, name: str, matrices: dict[str, Matrix]) -> Stored:
    """A tensor of the reference as the trace stores it."""
    spec = trace.manifest.tensors[name]
    made = encode_tensor(spec, matrices[_source(trace, name)])
    return made.codes.astype(code_type(spec)), made.exponents.astype(np.int16)


def _error(trace: Trace, name: str, stored: list[Stored], fp32: list[dict[str, Matrix]]) -> ErrorMeter:
    meter = ErrorMeter()
    for one, matrices in zip(stored, fp32, strict=True):
        meter.add(matrices[_source(trace, name)], decode_tensor(trace.manifest.tensors[name], one))
    return meter
