"""Rows of codes as the kernels of the vector units read them: in 8 or 16 bits, with the exponents of blocks.

These kernels write wide sums, whose exponents several rows may have in common: each says which row of
`exponents` they are in. `rows` is the block of each row; `edges` cut the columns into runs whose exponent is
constant. Of `parts` threads each takes its share of the rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwmodels.kernels.jit import kernel
from hwmodels.kernels.stream import Scalar, grid, signed
from hwmodels.units.ops import FLOOR, LONGEST_SHIFT, RNE

Codes = NDArray[Any]
Index = NDArray[np.int64]
Sums = NDArray[Any]
Exponents = NDArray[np.int16]
Table = NDArray[np.int32]

CODE_8, CODE_16, EXPONENT = signed(8, 8), signed(16, 16), signed(8, 16)
LONGEST_GUARD, LONGEST_STEP = 15, 26
GUARD, MAX_SHIFT, ROUNDING = (
    Scalar(-15, LONGEST_GUARD),
    Scalar(0, LONGEST_SHIFT),
    Scalar(FLOOR, RNE),
)


def both_widths(*arguments: Any, **named: Any) -> tuple[Any, Any]:
    """A loop over rows of codes, of 8 and of 16 bits, which are what it reads first."""
    body, reads, *rest = arguments
    return tuple(grid(body, (code, *reads), *rest, **named) for code in (CODE_8, CODE_16))


@kernel
def share(rows: int, part: int, parts: int) -> tuple[int, int]:
    """The first row of a thread's share, and the first that is not."""
    return rows * part // parts, rows * (part + 1) // parts


@kernel
def block_end(rows: Index, first: int, last: int) -> int:
    """Where the rows end that are in the same block as the first."""
    end = first + 1
    while end < last and rows[end] == rows[first]:
        end += 1
    return end


@kernel
def spread(shared: Codes, block: int, edges: Index, out: Exponents) -> None:
    """The exponent of every column of a row of blocks."""
    for c in range(edges.shape[0] - 1):
        out[edges[c] : edges[c + 1]] = shared[block, c]
