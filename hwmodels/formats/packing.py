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
    """The low bits of codes in C order as bytes: little endian, the first code in the lowest bits."""
    flat = np.ascontiguousarray(codes).reshape(-1)
    if bits in (16, 32):
        return flat.astype(f"<i{bits // 8}").tobytes()
    if bits == 8:
        return flat.astype(np.int8).tobytes()
    if bits == 4:
        halves = flat.astype(np.uint8) & 0xF
        if len(halves) % 2:
            halves = np.append(halves, np.uint8(0))
        return (halves[0::2] | (halves[1::2] << 4)).tobytes()
    places = flat.astype(np.int16)[:, None] >> np.arange(bits, dtype=np.int16)
    return np.packbits((places & 1).astype(np.uint8), bitorder="little").tobytes()


def unpack(data: bytes | bytearray, count: int, bits: int, signed: bool = True) -> NDArray[Any]:
    """The inverse of `pack`: `count` codes as int16, those of 32 bits as int32.

    Codes are two's complement, or, if not `signed`, just bits.
    """
    if bits == 32:
        return np.frombuffer(data, "<i4", count).astype(np.int32)
    if bits == 16:
        return np.frombuffer(data, "<i2", count).astype(np.int16)
    if bits == 8:
        return np.frombuffer(data, np.int8 if signed else np.uint8, count).astype(np.int16)
    if bits == 4:
        halves = np.frombuffer(data, np.uint8, packed_bytes(count, 4))
        codes = np.stack([halves & 0xF, halves >> 4], axis=1).reshape(-1)[:count].astype(np.int16)
    else:
        held = np.frombuffer(data, np.uint8, packed_bytes(count, bits))
        places = np.unpackbits(held, count=count * bits, bitorder="little").reshape(count, bits)
        codes = (places.astype(np.int16) << np.arange(bits, dtype=np.int16)).sum(axis=1, dtype=np.int16)
    top = 1 << (bits - 1)
    return np.where(signed & (codes >= top), codes - 2 * top, codes).astype(np.int16)


def with_sign_bit(codes: NDArray[Any], bits: int) -> NDArray[np.int16]:
    """Two's complement significands as a sign and a magnitude; zero has no sign."""
    magnitudes = np.abs(codes).astype(np.int16)
    found: NDArray[np.int16] = np.where(codes < 0, magnitudes | (1 << (bits - 1)), magnitudes)
    return found


def from_sign_bit(codes: NDArray[np.int16], bits: int) -> NDArray[np.int16]:
    """The inverse of `with_sign_bit`."""
    top = 1 << (bits - 1)
    found: NDArray[np.int16] = np.where(codes & top, -(codes & (top - 1)), codes)
    return found
