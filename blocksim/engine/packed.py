"""Packed constants as the kernels read them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from blocksim.trace.manifest import ConstantSpec
from hwmodels.formats.packing import packed_bytes, unpack
from hwmodels.kernels.matmul import PANEL
from hwmodels.units.mac_array import bias_floor
from hwmodels.units.ops import ZERO_BLOCK


def bias_floor_of(
    bias_exponents: NDArray[np.int16], bias_bits: int, array: tuple[Any, ...]
) -> NDArray[np.int64]:
    """The lowest bound of every column, see `mac_array.bias_floor`."""
    guard_bits, max_shift, _, bits, _ = array
    return np.asarray(
        [bias_floor(int(e), bias_bits, bits, guard_bits, max_shift) for e in bias_exponents.reshape(-1)],
        np.int64,
    ).reshape(bias_exponents.shape)


def matrix_of(spec: ConstantSpec, data: bytes) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """Codes and exponents of a row-major constant."""
    codes = unpack(data[: spec.codes_bytes], spec.rows * spec.columns, spec.bits)
    shared = unpack(data[spec.codes_bytes :], spec.blocks, 8)
    return (
        codes.reshape(spec.rows, spec.columns),
        shared.reshape(len(spec.row_starts), len(spec.column_starts)),
    )


def panels_of(spec: ConstantSpec, data: bytes) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """A tiled constant as panels: codes (tiles, K, PANEL) and exponents (tiles, K blocks, PANEL)."""
    depth = len(spec.column_starts)
    codes = np.zeros((len(spec.tiles), spec.columns, PANEL), np.int16)
    exponents = np.full((len(spec.tiles), depth, PANEL), ZERO_BLOCK, np.int16)
    for t, (first, last, b0, b1, offset) in enumerate(spec.tiles):
        count = (last - first) * spec.columns
        at = offset + packed_bytes(count, spec.bits)
        codes[t, :, : last - first] = unpack(data[offset:at], count, spec.bits).reshape(spec.columns, -1)
        shared = unpack(data[at : at + (b1 - b0) * depth], (b1 - b0) * depth, 8).reshape(depth, b1 - b0)
        exponents[t, :, : last - first] = shared[:, spec.row_index[first:last] - b0]
    return codes, exponents
