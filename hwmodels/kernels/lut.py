"""The LUT kernel: `units.lut` over a matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hwmodels.kernels.instructions import address
from hwmodels.kernels.jit import kernel
from hwmodels.kernels.lanes import Number, reading
from hwmodels.kernels.rows import (
    ENTRY,
    EXPONENT,
    STEP,
    Codes,
    Exponents,
    Index,
    Sums,
    Table,
    both_widths,
    share,
    spread,
)
from hwmodels.kernels.stream import ADD, Scalar
from hwmodels.kernels.team import Team, begin, finish
from hwmodels.units import lut as unit


def _lut(given: Sequence[Number], scalars: Sequence[Number], tables: Sequence[Any]) -> Sequence[Number]:
    code, exponent = given
    fraction, bits, span, step = scalars
    x = reading.of(unit.to_fixed)(code, exponent, fraction, bits)
    clipped = reading.of(unit.is_clipped)(code, exponent, fraction, bits)
    return reading.of(unit.evaluate)(tables[0], x, span, step, bits), clipped


lut_8, lut_16 = both_widths(
    _lut, (EXPONENT,), (32,), (Scalar(0, 24), Scalar(2, 32), Scalar(0, 1 << 27), STEP), (ENTRY,), (ADD,)
)


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
    n, known, own = x.shape[1], -1, np.empty(x.shape[1], np.int16)
    exponents[0] = -fraction
    clipped = np.zeros(1, np.int64)
    first, last = share(x.shape[0], part, parts)
    for i in range(first, last):
        if rows[i] != known:
            known = rows[i]
            spread(shared, known, edges, own)
        given = (address(x) + i * n * x.itemsize, address(own))
        to = (address(sums) + i * n * 4,)
        scalars = (fraction, in_bits, span, step_bits)
        if x.itemsize == 1:
            lut_8(n, given, to, scalars, (address(table),), address(clipped))
        else:
            lut_16(n, given, to, scalars, (address(table),), address(clipped))
    counts[0] += clipped[0]
    finish(team, part, parts)
