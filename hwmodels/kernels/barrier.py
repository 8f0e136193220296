"""Where threads of one team wait for each other between two steps: a counter that they watch for a while.

Waiting in compiled code costs a fraction of a microsecond, and holds no lock of the interpreter's. Who waits
for longer is told so, and may let others run.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from hwmodels.kernels.jit import kernel
from hwmodels.kernels.microkernel import address

Counter = NDArray[np.int64]

SPINS = 20_000
"""How often the counter is read before who waits is told: some tens of microseconds."""

I64 = ir.IntType(64)


@intrinsic
def _add_one(typing: Any, counter: Any) -> Any:
    def code(_context: Any, b: ir.IRBuilder, _signature: Any, given: Any) -> Any:
        place = b.inttoptr(given[0], I64.as_pointer())
        return b.atomic_rmw("add", place, ir.Constant(I64, 1), "seq_cst")

    return types.int64(types.int64), code


@intrinsic
def _read(typing: Any, counter: Any) -> Any:
    def code(_context: Any, b: ir.IRBuilder, _signature: Any, given: Any) -> Any:
        return b.load_atomic(b.inttoptr(given[0], I64.as_pointer()), "seq_cst", 8)

    return types.int64(types.int64), code


@kernel
def arrive(counter: Counter) -> None:
    """Say that one more thread is here."""
    _add_one(address(counter))


@kernel
def is_reached(counter: Counter, arrivals: int) -> bool:
    """Whether so many have arrived, after waiting for it for a while."""
    for _ in range(SPINS):
        if _read(address(counter)) >= arrivals:
            return True
    return False
