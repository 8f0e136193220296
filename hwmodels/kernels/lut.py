"""The LUT kernel: `units.lut` over a matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hwmodels.kernels.instructions import address, item_size
from hwmodels.kernels.jit import kernel
from hwmodels.kernels.lanes import Number, reading
from hwmodels.kernels.rows import (
    LONGEST_STEP,
    Codes,
    Exponents,
    Index,
    Sums,
    Table,
    block_end,
    both_widths,
    share,
    spread,
)
from hwmodels.kernels.stream import ADD_32, Read, Scalar, signed
from hwmodels.kernels.team import Team, begin, finish
from hwmodels.units import lut as unit


def _lut(given: Sequence[Number], scalars: Sequence[Number], tables: Sequence[Any]) -> Sequence[Number]:
    code, shift = given
    bits, span, step = scalars
    x = reading.of(unit.to_fixed)(code, shift, 0, bits)
    clipped = reading.of(unit.is_clipped)(code, shift, 0, bits)
    return reading.of(unit.evaluate)(tables[0], x, span, step, bits), clipped


LONGEST_FRACTION, NARROW_LEFT, NARROW_BITS, NARROW_STEP = 24, 14, 20, 9
"""The most fraction bits; and the longest left shift, the widest word and the longest step that leave room
in 32 bits for all that lies between."""


def _loops(left: int, bits: int, step: int) -> Any:
    """Loops for shifts, words and steps no longer than these."""
    entry = signed(bits, 32)
    scalars = (Scalar(2, bits), Scalar(0, 1 << min(bits - 1, 27)), Scalar(0, step))
    shift, entries = Read(16, -128, left), (Scalar(entry.low, entry.high),)
    return both_widths(_lut, (shift,), (32,), scalars, entries, (ADD_32,))


lut_8, lut_16 = _loops(127 + LONGEST_FRACTION, 32, LONGEST_STEP)
narrow_8, narrow_16 = _loops(NARROW_LEFT, NARROW_BITS, NARROW_STEP)


@kernel
def lut(
    team: Team,
    part: int,
    parts: int,
    x: Codes,
    shared: Codes,
    rows: Index,
    edges: Index,
    table: Table,
    fraction: int,
    in_bits: int,
    span: int,
    step_bits: int,
    sums: Sums,
    exponents: Exponents,
    counts: Index,
) -> None:
    """The table's function of every element; `counts` are the inputs beyond the fixed-point word."""
    begin(team, parts)
    n, shifts = x.shape[1], np.empty(x.shape[1], np.int16)
    exponents[0] = -fraction
    clipped = np.zeros(1, np.int64)
    fits = (in_bits <= NARROW_BITS) & (step_bits <= NARROW_STEP)
    scalars, tables, step = (in_bits, span, step_bits), (address(table),), n * item_size(x)
    steps = (step, 0, 4 * n)
    i, last = share(x.shape[0], part, parts)
    while i < last:
        end = block_end(rows, i, last)
        spread(shared, rows[i], edges, shifts)
        for j in range(n):
            shifts[j] += fraction
        given, to = (address(x) + i * step, address(shifts)), (address(sums) + i * n * 4,)
        if fits and shifts.max() <= NARROW_LEFT:
            if item_size(x) == 1:
                narrow_8(end - i, n, given, to, steps, scalars, tables, address(clipped))
            else:
                narrow_16(end - i, n, given, to, steps, scalars, tables, address(clipped))
        elif item_size(x) == 1:
            lut_8(end - i, n, given, to, steps, scalars, tables, address(clipped))
        else:
            lut_16(end - i, n, given, to, steps, scalars, tables, address(clipped))
        i = end
    counts[0] += clipped[0]
    finish(team, part, parts)
