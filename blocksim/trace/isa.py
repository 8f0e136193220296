"""The instruction set: one record per tile-level instruction.

Instructions of one unit run in order, units run beside each other. Each unit counts the instructions
that it has retired; an instruction carries, for every unit, the count that it waits for. These tickets
are the dependency tokens: double buffering is a matter of tickets.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag

import numpy as np
from numpy.typing import NDArray


class Unit(IntEnum):
    """What works in parallel, each with an instruction queue of its own."""

    DMA = 0
    ARRAY = 1
    REQUANTIZER = 2
    SOFTMAX = 3
    NORM = 4
    LUT = 5
    ELEMENTWISE = 6
    HOST = 7


class Opcode(IntEnum):
    """What an instruction does."""

    LOAD = 0
    STORE = 1
    MATMUL = 2
    REQUANT = 3
    SOFTMAX = 4
    NORM = 5
    LUT = 6
    ADD = 7
    MUL = 8
    HOST = 9
    GATHER = 10


class Flag(IntFlag):
    """How an instruction differs from the plain one."""

    NONE = 0
    SPILL = 1
    """Wide sums lie in memory, not in the accumulators or the vector buffer: a block outgrew its tile. Of a
    LOAD or a STORE: it moves wide sums."""
    TO_WEIGHTS = 2
    """A LOAD fills the weight SRAM (else the activation SRAM)."""
    TO_TABLES = 4
    """A LOAD fills the units' table memory."""
    COPY = 8
    """A REQUANT writes the operator's second stored form."""


UNIT_OF = {
    Opcode.LOAD: Unit.DMA,
    Opcode.STORE: Unit.DMA,
    Opcode.MATMUL: Unit.ARRAY,
    Opcode.REQUANT: Unit.REQUANTIZER,
    Opcode.SOFTMAX: Unit.SOFTMAX,
    Opcode.NORM: Unit.NORM,
    Opcode.LUT: Unit.LUT,
    Opcode.ADD: Unit.ELEMENTWISE,
    Opcode.MUL: Unit.ELEMENTWISE,
    Opcode.HOST: Unit.HOST,
    Opcode.GATHER: Unit.DMA,
}

INSTRUCTION = np.dtype(
    [
        ("opcode", "<u1"),
        ("unit", "<u1"),
        ("flags", "<u2"),
        ("op_id", "<u4"),
        ("group", "<u4"),
        ("row", "<u4"),
        ("rows", "<u4"),
        ("column", "<u4"),
        ("columns", "<u4"),
        ("dst", "<u8"),
        ("a", "<u8"),
        ("b", "<u8"),
        ("c", "<u8"),
        ("size", "<u8"),
        ("dst_window", "<u4", (2,)),
        ("a_window", "<u4", (2,)),
        ("b_window", "<u4", (2,)),
        ("wait", "<u4", (len(Unit),)),
    ]
)
"""One instruction.

``row, rows, column, columns`` are the tile of the output within its group; ``dst, a, b, c`` addresses:
for LOAD and STORE ``a`` is the source and ``dst`` the target, ``size`` the bytes; for MATMUL ``b`` is the
second operand and ``c`` the bias; for NORM ``b`` and ``c`` are gamma and beta; for GATHER ``a`` is the table.
The windows are the first row and the number of rows of the tensor that lie at an address. ``wait`` are the
tickets.
"""

Program = NDArray[np.void]
