"""Segments: where the exponents of a product's operands change along the reduction axis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from blocksim.trace.manifest import Blocks, Index, OperandSpec, OpSpec
from hwmodels.formats.block import index_of
from hwmodels.units.array_cycles import effective, segment_starts, updates
from hwmodels.units.mac_array import MacArrayConfig


@dataclass(frozen=True)
class Segments:
    """The segments of one group of a product.

    Attributes
    ----------
    starts : int64, shape (segments,)
        Along K.
    a_blocks, b_blocks : int64, shape (segments,)
        Block of either operand, along its depth axis, counted over the whole tensor.
    update : bool, shape (segments,)
        After which segments the accumulator is updated.
    """

    starts: Index
    a_blocks: Index
    b_blocks: Index
    update: NDArray[np.bool_]


def depth_starts(blocks: Blocks, operand: OperandSpec | None, group: int) -> tuple[Index, int]:
    """Block starts along an operand's depth axis, and where the group's stretch starts on it."""
    if operand is None:
        return blocks.column_starts, 0
    if operand.transposed:
        return blocks.row_starts, group * operand.row_step
    return blocks.column_starts, group * operand.column_step


def segments_of(op: OpSpec, group: int, a: Blocks, b: Blocks, array: MacArrayConfig) -> Segments:
    """The segments of one group of a product on an array."""
    a_starts, a_offset = depth_starts(a, op.a, group)
    b_starts, b_offset = depth_starts(b, op.b, group)
    cuts = [
        [int(s) - offset for s in starts if offset < s < offset + op.k]
        for starts, offset in ((a_starts, a_offset), (b_starts, b_offset))
    ]
    rows, _ = effective(array, a.bits, b.bits)
    cut = segment_starts(array, rows, op.k, *cuts)
    update = np.array(updates(array, rows, op.k, cut))
    starts = np.array(cut, np.int64)
    a_blocks = index_of(a_starts, a_offset + op.k)[a_offset + starts]
    b_blocks = index_of(b_starts, b_offset + op.k)[b_offset + starts]
    return Segments(starts, a_blocks, b_blocks, update)
