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
    _, guard_bits, max_shift, _, bits, _ = array
    return np.asarray(
        [bias_floor(int(e), bias_bits, bits, guard_bits, max_shift) for e in bias_exponents.reshape(-1)],
        np.int64,
    ).reshape(bias_exponents.shape)


def matrix_of(spec: ConstantSpec, data: bytes) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """Codes and exponents of a row-major constant."""
    codes = spec.form.unpack(data[: spec.codes_bytes], spec.rows * spec.columns)
    shared = unpack(data[spec.codes_bytes :], spec.blocks, 8)
    return (
        codes.reshape(spec.rows, spec.columns),
        shared.reshape(len(spec.row_starts), len(spec.column_starts)),
    )


def lines_of(spec: ConstantSpec, data: bytes) -> tuple[NDArray[Any], NDArray[np.int16]]:
    """A tiled constant by lines: codes (N, K) and exponents (N, K blocks)."""
    depth = len(spec.column_starts)
    wide = np.int32 if spec.bits == 32 else np.int16
    codes = np.zeros((spec.rows, spec.columns), wide)
    exponents = np.full((spec.rows, depth), ZERO_BLOCK, np.int16)
    for first, last, b0, b1, offset in spec.tiles:
        count = (last - first) * spec.columns
        at = offset + packed_bytes(count, spec.bits)
        codes[first:last] = spec.form.unpack(data[offset:at], count).reshape(spec.columns, -1).T
        shared = unpack(data[at : at + (b1 - b0) * depth], (b1 - b0) * depth, 8).reshape(depth, b1 - b0)
        exponents[first:last] = shared[:, spec.row_index[first:last] - b0].T
    return codes, exponents


def panels_of(spec: ConstantSpec, data: bytes) -> tuple[NDArray[Any], NDArray[np.int16]]:
    """A tiled constant as panels: codes (panels, K, PANEL) and exponents (panels, K blocks, PANEL)."""
    codes, exponents = lines_of(spec, data)
    return paneled(codes, 0), paneled(exponents, ZERO_BLOCK)


def paneled(lines: NDArray[Any], filler: int) -> NDArray[Any]:
    """Lines (N, K) side by side in panels (panels, K, PANEL), the last one filled up."""
    n, k = lines.shape
    panels = -(-n // PANEL)
    padded = np.full((panels * PANEL, k), filler, lines.dtype)
    padded[:n] = lines
    return np.ascontiguousarray(padded.reshape(panels, PANEL, k).transpose(0, 2, 1))


def multipliers_of(
    spec: ConstantSpec, data: bytes, columns: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Multipliers and their exponents, one for every column."""
    m = np.frombuffer(data, "<u2", spec.columns).astype(np.int64)
    e = np.frombuffer(data, np.int8, spec.columns, 2 * spec.columns).astype(np.int64)
    return np.ascontiguousarray(np.broadcast_to(m, columns)), np.ascontiguousarray(
        np.broadcast_to(e, columns)
    )


def mask_of(spec: ConstantSpec, data: bytes) -> NDArray[np.bool_]:
    """Ones and zeros, eight in a byte."""
    rows = np.frombuffer(data, np.uint8).reshape(spec.rows, -1)
    return np.unpackbits(rows, axis=1, count=spec.columns, bitorder="little").astype(np.bool_)


def table_of(spec: ConstantSpec, data: bytes) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """Codes and exponents of a table that rows are looked up in."""
    lines = np.frombuffer(data, np.uint8).reshape(spec.rows, spec.row_bytes)
    across = len(spec.column_starts)
    codes = spec.form.unpack(np.ascontiguousarray(lines[:, :-across]).tobytes(), spec.rows * spec.columns)
    exponents = np.ascontiguousarray(lines[:, -across:]).view(np.int8).astype(np.int16)
    return codes.reshape(spec.rows, spec.columns), exponents
