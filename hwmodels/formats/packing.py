"""Packed storage: codes as the bytes that memory holds."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Count = TypeVar("Count", int, NDArray[np.int64])


def packed_bytes(count: Count, bits: int) -> Count:
    """Bytes that `count` codes of `bits` bits take; counts may be an array."""
    return -(-count * bits // 8)


def pack(codes: NDArray[Any], bits: int) -> bytes:
    """Codes in C order as bytes: two's complement, little endian, two int4 in a byte, low half first."""
    flat = np.ascontiguousarray(codes).reshape(-1)
    if bits == 32:
        return flat.astype("<i4").tobytes()
    if bits == 16:
        return flat.astype("<i2").tobytes()
    if bits == 8:
        return flat.astype(np.int8).tobytes()
    halves = flat.astype(np.uint8) & 0xF
    if len(halves) % 2:
        halves = np.append(halves, np.uint8(0))
    return (halves[0::2] | (halves[1::2] << 4)).tobytes()


def unpack(data: bytes | bytearray, count: int, bits: int) -> NDArray[Any]:
    """The inverse of `pack`: `count` codes as int16, those of 32 bits as int32."""
    if bits == 32:
        return np.frombuffer(data, "<i4", count).astype(np.int32)
    if bits == 16:
        return np.frombuffer(data, "<i2", count).astype(np.int16)
    if bits == 8:
        return np.frombuffer(data, np.int8, count).astype(np.int16)
    halves = np.frombuffer(data, np.uint8, packed_bytes(count, 4))
    both = np.stack([halves & 0xF, halves >> 4], axis=1).reshape(-1)[:count].astype(np.int16)
    return np.where(both > 7, both - 16, both).astype(np.int16)
