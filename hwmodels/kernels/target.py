"""What kernels are compiled for: the microkernel that the processor allows, and the sizes of its tiles."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numba.core import registry

TILE, PANEL = 4, 32
"""Rows and columns of a tile: its sums and its words fit the registers of AVX-512 together."""

ROW_BYTES = 4 * PANEL
"""Of 32-bit numbers, one for each column of a panel."""

PLAIN, PORTABLE, VNNI = "plain", "portable", "vnni"
"""Three ways to the same bits: loops over the units' own functions; vector code for any processor; and for
one that multiplies and sums four bytes in an instruction."""


def processor_features() -> str:
    """What the processor that code is compiled for can do, as LLVM names it."""
    return str(registry.cpu_target.target_context.codegen()._tm_features)


class TargetError(ValueError):
    """The environment names a microkernel that there is none of, or that the processor lacks."""


def best() -> str:
    """The fastest way that the processor has, or the one that ``BLOCKSIM_MICROKERNEL`` names.

    Raises
    ------
    TargetError
        If it names none, or one that the processor lacks.
    """
    able = [PLAIN, PORTABLE] + [VNNI] * ("+avx512vnni" in processor_features())
    named = os.environ.get("BLOCKSIM_MICROKERNEL") or able[-1]
    if named not in able:
        raise TargetError(f"environment: BLOCKSIM_MICROKERNEL: {named}: give one of {', '.join(able)}")
    return named


KIND = best()

STEP = 4 if KIND == VNNI else 2
"""Steps of the reduction that are packed together: as many products as one instruction adds up."""

OFFSET = 128 if KIND == VNNI else 0
"""What is added to the codes of A: the instruction takes them without a sign."""

A_TYPE: Any = np.uint8 if KIND == VNNI else np.int16
