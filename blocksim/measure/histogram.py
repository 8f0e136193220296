"""Histograms per product: how far terms are shifted, and how many bits the final sums use.

They answer how many stages a shifter needs and how wide an accumulator must be. A *term* is the exact
sum of one segment of one output. Its shift follows from the stored exponents of both operands, the
output's bound E and the machine's guard bits; no value is looked at, so that a term of a block that is
not zero counts even where its own sum is. The bias is no term here, and under ``running`` neither are
the accumulator's own shifts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blocksim.engine.boundary import check_inputs
from blocksim.engine.packed import bias_floor_of, lines_of
from blocksim.engine.segments import segments_of
from blocksim.engine.workspace import Linked, Workspace, stored
from blocksim.measure.figures import Histogram
from blocksim.trace.file import Trace
from blocksim.trace.manifest import Blocks, OpSpec
from hwmodels.units.aligner import EXACT, RUNNING
from hwmodels.units.mac_array import MacArrayConfig
from hwmodels.units.ops import ZERO_BLOCK

SAMPLES = 2
"""Samples that histograms are taken over by default."""

CHUNK = 32
"""Different rows that are looked at together."""

Exponents = NDArray[np.int64]


def histograms(
    trace: Trace, linked: Linked, inputs: Mapping[str, NDArray[Any]], samples: int = SAMPLES
) -> dict[str, Histogram]:
    """Histograms of every product of a trace.

    Parameters
    ----------
    trace : Trace
    linked : Linked
        Linked from `trace`.
    inputs : dict of str to array, leading axis N
    samples : int
        How many of them are looked at.

    Returns
    -------
    dict of str to Histogram
        By operator.
    """
    manifest = trace.manifest
    checked = check_inputs(manifest.inputs, inputs, "inputs")
    few = {name: array[:samples] for name, array in checked.items()}
    found: dict[str, Histogram] = {}
    with linked.workspace(len(next(iter(few.values())))) as w:
        w.feed(few, manifest.padding)
        for op, steps in linked.steps:
            for step in steps:
                step(w, 0, 1)
            if op.kind == "matmul":
                shifts, flushed, zero = _shifts(trace, op, w)
                bits = _bits(trace, op, w)
                found[op.name] = Histogram(shifts=shifts, flushed=flushed, zero=zero, bits=bits)
    return found


def _bits(trace: Trace, op: OpSpec, w: Workspace) -> dict[int, int]:
    """The final sums, which still lie in the workspace, by the bit length of their magnitude."""
    out = trace.manifest.tensors[op.out.tensor]
    wide = np.int64 if trace.manifest.machine.wide_bits(op.kind) > 32 else np.int32
    sums = w.sums.view(wide)[: w.samples * out.rows * out.columns]
    _, length = np.frexp(np.abs(sums.astype(np.float64)))  # exact: sums have 53 bits or fewer
    counts = np.bincount(length)
    return {int(n): int(counts[n]) for n in np.flatnonzero(counts)}


def _shifts(trace: Trace, op: OpSpec, w: Workspace) -> tuple[dict[int, int], int, int]:
    """Terms by shift, those flushed, and those of blocks of zeros, over all samples and groups."""
    array = trace.manifest.machine.array_config
    counter: Counter[int] = Counter()
    zero = 0
    for rows, columns, floor in _exponents(trace, op, w):
        for shift, count in _terms(array, rows, columns, floor):
            if shift is None:
                zero += count
            else:
                counter[shift] += count
    longest = array.aligner.max_shift
    kept = {shift: counter[shift] for shift in sorted(counter) if abs(shift) <= longest}
    return kept, sum(counter.values()) - sum(kept.values()), zero


def _exponents(
    trace: Trace, op: OpSpec, w: Workspace
) -> Iterator[tuple[Exponents, Exponents, NDArray[np.int64]]]:
    """Per sample and group: exponents of rows and of columns by segment, and the columns' floors."""
    assert op.a is not None
    manifest = trace.manifest
    array = manifest.machine.array_config
    a = manifest.tensors[op.a.tensor]
    fixed = _floors(trace, op)
    weights = None
    b: Blocks
    if op.weight is not None:
        b = manifest.constants[op.weight]
        _, weights = lines_of(manifest.constants[op.weight], trace.sections[op.weight])
    else:
        assert op.b is not None
        b = manifest.tensors[op.b.tensor]
    for group in range(op.groups):
        segments = segments_of(op, group, a, b, array)
        first = group * op.a.row_step
        lines = a.row_index[first : first + op.m]
        for sample in range(w.samples):
            rows = stored(w, a, sample)[1][lines][:, segments.a_blocks]
            if weights is not None:
                columns = weights[:, segments.b_blocks]
            else:
                assert op.b is not None
                shared = stored(w, manifest.tensors[op.b.tensor], sample)[1]
                start = group * (op.b.column_step if op.b.transposed else op.b.row_step)
                index = (b.column_index if op.b.transposed else b.row_index)[start : start + op.n]
                by_line = shared.T if op.b.transposed else shared
                columns = by_line[index][:, segments.b_blocks]
            yield rows.astype(np.int64), columns.astype(np.int64), fixed


def _floors(trace: Trace, op: OpSpec) -> NDArray[np.int64]:
    """The lowest bound of every column, under which its bias still fits."""
    config = trace.manifest.machine.array_config
    lane, word = config.aligner, config.accumulator
    array = (config.normalise, lane.guard_bits, lane.max_shift, lane.rounding, word.bits, word.saturating)
    if op.bias is None:
        return bias_floor_of(np.full(op.n, ZERO_BLOCK, np.int16), 8, array)
    spec = trace.manifest.constants[op.bias]
    _, exponents = lines_of(spec, trace.sections[op.bias])
    return bias_floor_of(exponents[:, 0], spec.value_bits or spec.bits, array)


def _terms(
    array: MacArrayConfig, rows: Exponents, columns: Exponents, floor: NDArray[np.int64]
) -> Iterator[tuple[int | None, int]]:
    """Shifts and how many terms have them; None for terms of a block of zeros.

    Rows that share all their exponents are looked at once, and so are columns.
    """
    left, row_counts = np.unique(rows, axis=0, return_counts=True)
    both, column_counts = np.unique(
        np.concatenate([columns, floor[:, None]], axis=1), axis=0, return_counts=True
    )
    right, low = both[:, :-1], both[:, -1]
    for at in range(0, len(left), CHUNK):
        some = left[at : at + CHUNK, None, :]
        sums = some + right[None]
        is_zero = (some == ZERO_BLOCK) | (right[None] == ZERO_BLOCK)
        bound = _bounds(array.normalise, some, right[None], np.where(is_zero, -(1 << 20), sums), low)
        shifts = array.aligner.guard_bits - (bound - sums)
        weight = np.broadcast_to(
            (row_counts[at : at + CHUNK, None] * column_counts[None])[:, :, None], sums.shape
        )
        yield None, int(weight[is_zero].sum())
        values, counts = shifts[~is_zero], weight[~is_zero]
        if len(values):
            lowest = int(values.min())
            totals = np.bincount(values - lowest, counts)
            for i in np.flatnonzero(totals):
                yield int(i) + lowest, int(totals[i])


def _bounds(
    normalise: int, rows: Exponents, columns: Exponents, sums: Exponents, floor: NDArray[np.int64]
) -> Exponents:
    """E of every output: one for all segments, or rising with them; `sums` are very low for zeros."""
    low = floor[None, :, None]
    if normalise == RUNNING:
        rising: Exponents = np.maximum(np.maximum.accumulate(sums, axis=2), low)
        return rising
    if normalise == EXACT:
        exact: Exponents = np.maximum(sums.max(axis=2, keepdims=True), low)
        return exact
    top, line = rows.max(axis=2, keepdims=True), columns.max(axis=2, keepdims=True)
    product = np.where((top == ZERO_BLOCK) | (line == ZERO_BLOCK), low, top + line)
    bound: Exponents = np.maximum(product, low)
    return bound
