"""Formats: what the bits of a stored block mean.

>>> from hwmodels.formats import parse
>>> parse("int8@64x64")
Format(name='int8@64x64')
>>> import numpy as np
>>> encoded = parse("int8@1x4").encode(np.array([[1.0, -0.5, 0.25, 0.1]], np.float32))
>>> encoded.codes.tolist(), encoded.shared.tolist()
([[64, -32, 16, 6]], [[-6]])
>>> encoded.payload_bits, encoded.metadata_bits, encoded.nbytes
(32, 8, 5)

`lin8` has a real scale per block, a float32, instead of a power of two:

>>> real = parse("lin8@row").encode(np.array([[1.0, -0.5, 0.25, 0.1]], np.float32))
>>> real.codes.tolist(), real.metadata_bits
([[127, -64, 32, 13]], 32)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwmodels.formats import curves, real
from hwmodels.formats.block import Block, parse_block, starts
from hwmodels.formats.blockwise import dequantise, quantise
from hwmodels.formats.catalogue import EXAMPLES, Element, element
from hwmodels.formats.coding import Floating, Integer
from hwmodels.formats.curves import CURVES, Curve, curve
from hwmodels.formats.packing import from_sign_bit, pack, packed_bytes, unpack, with_sign_bit
from hwmodels.formats.real import SCALE_BITS, multiplier_of
from hwmodels.formats.sharing import EXPONENT_BITS, Sharing
from hwmodels.units.product import Code

__all__ = [
    "EXPONENT_BITS", "Block", "Element", "Encoded", "Floating", "Format", "Integer", "Sharing",
    "multiplier_of", "parse", "parse_block",
]  # fmt: skip


@dataclass(frozen=True)
class Format:
    """A stored block: an element and a block shape, or plain ``fp32``; ``lin8`` has a real scale.

    Attributes
    ----------
    name : str
        In the grammar ``<element>@<block>``; elements that share nothing need no block. Those that have
        exponents of their own may have one, of which an exponent then bounds the values.
    element : str
    bits : int
        Width of an element.
    block : Block
    meaning : Element or None
        What codes mean and blocks share; None for ``fp32``, ``lin8`` and curves.
    """

    name: str
    element: str = field(repr=False)
    bits: int = field(repr=False)
    block: Block = field(repr=False)
    meaning: Element | None = field(repr=False)

    @property
    def is_float(self) -> bool:
        """Whether this is ``fp32``, which has no blocks."""
        return self.element == "fp32"

    @property
    def is_real(self) -> bool:
        """Whether a block has a real scale instead of a power of two."""
        return self.element == "lin8"

    @property
    def curve(self) -> Curve | None:
        """The curve on which steps are uniform, where a block has real parameters of one."""
        return curve(self.element)

    @property
    def coding(self) -> Integer | Floating:
        """What the codes mean; those of ``lin8`` count in its scale."""
        return self.meaning.coding if self.meaning else Integer(self.bits)

    @property
    def code(self) -> Code:
        """What the datapath knows of a code."""
        return self.coding.code

    @property
    def has_exponents(self) -> bool:
        """Whether codes have exponents of their own."""
        return isinstance(self.coding, Floating)

    @property
    def sharing(self) -> Sharing:
        """What the elements of a block share.

        Raises
        ------
        ValueError
            If that is not a power of two.
        """
        if self.meaning is None:
            raise ValueError(f"{self.name}: has no shared exponent")
        return self.meaning.sharing

    @property
    def anchor(self) -> int | None:
        """The exponent from which all codes count, where it is not that of their block."""
        return self.meaning.sharing.anchor if self.meaning else None

    @property
    def shared_bits(self) -> int:
        """Bits that a block has beside its codes: an exponent, a float32 scale, or nothing."""
        if self.is_real:
            return SCALE_BITS
        if self.curve:
            return SCALE_BITS * len(self.curve.parameters)
        return EXPONENT_BITS if "@" in self.name else 0

    def encode(self, x: NDArray[Any], depth_axis: int = -1) -> Encoded:
        """Encode an array.

        Parameters
        ----------
        x : array of float, shape (..., lines, depth)
            Finite values; a vector is one line. Leading axes never share a block.
        depth_axis : int
            The axis that the consumer reduces: -1 or -2, the other is the lines.

        Returns
        -------
        Encoded

        Raises
        ------
        ValueError
            If a value is NaN or infinite, or `depth_axis` is not one of the last two; and where a curve
            holds attention weights, if one is not between 0 and 1.
        """
        values = np.asarray(x, np.float64)
        if not np.isfinite(values).all():
            raise ValueError(f"{self.name}: NaN or Inf cannot be encoded; give finite values")
        if depth_axis not in (-1, -2):
            raise ValueError(f"depth_axis: {depth_axis}: give -1 or -2")
        matrix = values.reshape((1,) * (2 - values.ndim) + values.shape)
        if self.is_float:
            codes = matrix.astype(np.float32)
            empty = np.zeros((*matrix.shape[:-2], 0, 0), np.int16)
            return Encoded(self, values.shape, depth_axis, codes, empty, 0, 0)
        rows, columns = self.starts(matrix.shape[-2], matrix.shape[-1], depth_axis)
        if self.is_real:
            real_codes, scales = real.quantise(matrix, rows, columns)
            return Encoded(self, values.shape, depth_axis, real_codes, scales, 0, 0)
        if self.curve:
            steps, parameters = curves.quantise(matrix, rows, columns, self.curve)
            return Encoded(self, values.shape, depth_axis, steps, parameters, 0, 0)
        q = quantise(matrix, rows, columns, self.coding, self.sharing)
        return Encoded(self, values.shape, depth_axis, q.codes, q.exponents, q.clamped, q.saturated)

    def starts(self, rows: int, columns: int, depth_axis: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where blocks start on the rows and the columns of a matrix."""
        across, along = self.block.lines, self.block.depth
        if depth_axis == -2:
            across, along = along, across
        return starts(rows, across), starts(columns, along)

    def pack(self, codes: NDArray[Any]) -> bytes:
        """Codes as the bytes that memory holds."""
        if isinstance(self.coding, Integer) and self.coding.sign_magnitude:
            codes = with_sign_bit(codes, self.bits)
        return pack(codes, self.bits)

    def unpack(self, data: bytes | bytearray, count: int) -> NDArray[Any]:
        """The inverse of `pack`: `count` codes."""
        coding = self.coding
        if isinstance(coding, Floating) or self.curve:
            return unpack(data, count, self.bits, signed=False)
        if coding.sign_magnitude:
            return from_sign_bit(unpack(data, count, self.bits, signed=False), self.bits)
        return unpack(data, count, self.bits)


@dataclass(frozen=True)
class Encoded:
    """An encoded array.

    Attributes
    ----------
    format : Format
    shape : tuple of int
        Shape of the array that was encoded.
    depth_axis : int
    codes : int16 (int32 of 32 bits, float32 for ``fp32``), shape (..., rows, columns)
        Significands, or the bits of a `Floating` element.
    shared : int16, shape (..., row blocks, column blocks)
        The shared exponents; -128 is a block of zeros. For ``lin8`` the float32 scales, for curves their
        parameters, along one more axis.
    clamped, saturated : int
        Exponents and codes that had to be brought into range.
    """

    format: Format
    shape: tuple[int, ...]
    depth_axis: int
    codes: NDArray[Any]
    shared: NDArray[Any]
    clamped: int
    saturated: int

    @property
    def payload_bits(self) -> int:
        """Bits of all codes."""
        return int(self.codes.size) * self.format.bits

    @property
    def metadata_bits(self) -> int:
        """Bits of all shared exponents or scales."""
        numbers = len(self.format.curve.parameters) if self.format.curve else 1
        return int(self.shared.size) // numbers * self.format.shared_bits

    @property
    def nbytes(self) -> int:
        """Bytes of the packed array: codes and exponents (or scales) in sections of their own."""
        return packed_bytes(self.codes.size, self.format.bits) + self.metadata_bits // 8

    def pack(self) -> tuple[bytes, bytes]:
        """The two packed sections: codes, and shared exponents or scales."""
        if self.format.is_float:
            return self.codes.astype("<f4").tobytes(), b""
        if self.format.is_real or self.format.curve:
            return self.format.pack(self.codes), self.shared.astype("<f4").tobytes()
        shared = pack(self.shared, EXPONENT_BITS) if self.format.shared_bits else b""
        return self.format.pack(self.codes), shared

    def decode(self) -> NDArray[np.float32]:
        """The values as float32, in the original shape; what rounds beyond float32 is held in range."""
        if self.format.is_float:
            return self.codes.astype(np.float32).reshape(self.shape)
        rows, columns = self.format.starts(self.codes.shape[-2], self.codes.shape[-1], self.depth_axis)
        if self.format.is_real:
            return real.dequantise(self.codes, self.shared, rows, columns).reshape(self.shape)
        if self.format.curve:
            found = curves.dequantise(self.codes, self.shared, rows, columns, self.format.curve)
            return found.astype(np.float32).reshape(self.shape)
        limit = np.finfo(np.float32).max
        values = dequantise(
            self.codes, self.shared, rows, columns, self.format.coding, self.format.anchor
        ).clip(-limit, limit)
        return values.astype(np.float32).reshape(self.shape)


def parse(name: str) -> Format:
    """The format of a name such as ``int8@64x64``, ``bfp6@1x16``, ``mxfp4@1x32``, ``e4m3`` or ``fp32``.

    Raises
    ------
    ValueError
        If the name is not in the grammar; the message says what would be right.
    """
    if name == "fp32":
        return Format(name, "fp32", 32, Block(None, None, "tensor"), None)
    text, at, block = name.partition("@")
    if text == "lin8" and at:
        return Format(name, text, 8, parse_block(block), None)
    if at and (own := curve(text)):
        return Format(name, text, own.bits, parse_block(block), None)
    found = element(text)
    if found is None or (found.blocked and not at):
        known = [f"{e}@<block>" if _blocked(e) else e for e in (*EXAMPLES, *CURVES)]
        raise ValueError(f"{name}: a format is one of {', '.join(known)}, or fp32")
    full = found.name + at + block
    shape = parse_block(block) if at else Block(None, None, "tensor")
    return Format(full, found.name, found.coding.bits, shape, found)


def _blocked(name: str) -> bool:
    known = element(name)
    return known is None or known.blocked
