"""The manifest: everything about a trace that is not an instruction or a byte of data."""

from __future__ import annotations

from functools import cached_property
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hwmodels.formats import Format, parse
from hwmodels.formats.block import index_of, starts
from hwmodels.formats.packing import packed_bytes
from hwmodels.frozen import Frozen
from hwmodels.machines import Machine

TRACE_VERSION = 2

Index = NDArray[np.int64]


class Blocks(Frozen):
    """A matrix cut into blocks: its format, sizes, and stretches that no block leaves."""

    format: str
    rows: int
    columns: int
    bits: int
    row_block: int
    row_period: int
    column_block: int
    column_period: int

    @cached_property
    def form(self) -> Format:
        """What its codes mean."""
        return parse(self.format)

    @cached_property
    def row_starts(self) -> Index:
        """Where blocks start along the rows."""
        return starts(self.rows, self.row_block, self.row_period)

    @cached_property
    def column_starts(self) -> Index:
        """Where blocks start along the columns."""
        return starts(self.columns, self.column_block, self.column_period)

    @cached_property
    def row_index(self) -> Index:
        """The row block of each row."""
        return index_of(self.row_starts, self.rows)

    @cached_property
    def column_index(self) -> Index:
        """The column block of each column."""
        return index_of(self.column_starts, self.columns)

    @property
    def blocks(self) -> int:
        """How many exponents the matrix has."""
        return len(self.row_starts) * len(self.column_starts)

    @property
    def payload_bits(self) -> int:
        """Bits of all codes."""
        return self.rows * self.columns * self.bits

    @property
    def metadata_bits(self) -> int:
        """Bits of all exponents."""
        return 8 * self.blocks

    @property
    def codes_bytes(self) -> int:
        """Bytes of the packed codes."""
        return packed_bytes(self.rows * self.columns, self.bits)

    @property
    def nbytes(self) -> int:
        """Bytes of the packed codes and exponents."""
        return self.codes_bytes + self.blocks

    def window(self, first: int, last: int) -> tuple[int, int, int, int]:
        """Of some rows: offset and bytes of their codes, offset and bytes of their exponents."""
        start, end = (
            packed_bytes(first * self.columns, self.bits),
            packed_bytes(last * self.columns, self.bits),
        )
        across = len(self.column_starts)
        b0, b1 = int(self.row_index[first]), int(self.row_index[last - 1]) + 1
        return start, end - start, self.codes_bytes + b0 * across, (b1 - b0) * across


def spanned(index: Index, first: int, count: int) -> int:
    """How many blocks a stretch of an axis touches."""
    return int(index[first + count - 1] - index[first]) + 1


class TensorSpec(Blocks):
    """An activation: row-major codes, then row-major exponents.

    `tokens` is the number of tokens that a group of rows stands for (0: rows are no tokens); rows of absent
    tokens are zero. `static` is the exponent that every block has by calibration, where it has one, and
    `scale` the real number that a code stands for beside its exponent. `copy_of` names the tensor that this
    one stores once more, in another format.
    """

    name: str
    role: Literal["activation", "vector"]
    tokens: int = 0
    static: int | None = None
    scale: float = 1.0
    copy_of: str = ""


class ConstantSpec(Blocks):
    """A constant in DRAM.

    Weights (and biases, as matrices of depth 1) are N x K and lie in tiles of at most the array's
    columns, which start at `tile_starts`: each tile holds its codes, k after k, then its exponents, k
    block after k block. A table that rows are looked up in (`by_row`) holds each row's codes, then its
    exponents. Other constants lie row-major. Tables and host models are plain bytes, masks a bit an
    element, multipliers 16 bits and an exponent of 8 bits each.

    `value_bits` is the width that a code needs, where its storage is wider; `scales` are the real numbers
    that a code of each line stands for beside its exponent, where there are any.
    """

    name: str
    role: Literal["weight", "bias", "vector", "embedding", "table", "host", "mask", "multiplier"]
    tile_starts: tuple[int, ...]
    address: int
    size: int
    sha256: str
    by_row: bool = False
    value_bits: int = 0
    scales: tuple[float, ...] = ()

    @property
    def row_bytes(self) -> int:
        """Bytes of a row of a table that rows are looked up in."""
        return packed_bytes(self.columns, self.bits) + len(self.column_starts)

    def window(self, first: int, last: int) -> tuple[int, int, int, int]:
        """Of some rows, as of any matrix; each row of a mask starts with a byte of its own."""
        if self.role == "mask":
            row = packed_bytes(self.columns, 1)
            return first * row, (last - first) * row, 0, 0
        return super().window(first, last)

    @cached_property
    def tiles(self) -> tuple[tuple[int, int, int, int, int], ...]:
        """Per tile: first and last line, first and last line block, offset of its bytes."""
        out, offset = [], 0
        for first, last in pairwise((*self.tile_starts, self.rows)):
            b0, b1 = int(self.row_index[first]), int(self.row_index[last - 1]) + 1
            out.append((first, last, b0, b1, offset))
            offset += self.tile_bytes(first, last, b0, b1)
        return tuple(out)

    def tile_span(self, t: int) -> tuple[int, int]:
        """Offset and size of tile `t` in the constant's bytes."""
        *tile, offset = self.tiles[t]
        return offset, self.tile_bytes(*tile)

    def tile_bytes(self, first: int, last: int, b0: int, b1: int) -> int:
        """Bytes of one tile."""
        return packed_bytes((last - first) * self.columns, self.bits) + (b1 - b0) * len(self.column_starts)


class OperandSpec(Frozen):
    """A tensor as an operand, see `blocksim.graph.ir.Operand`."""

    tensor: str
    row_step: int = 0
    column_step: int = 0
    transposed: bool = False


AxesSpec = tuple[tuple[int, int, int], ...]
"""Axes of an ONNX value: size, row step and column step of each, see `blocksim.graph.ir.Axis`."""


class SourceSpec(Frozen):
    """What a host operator reads: an ONNX value, the tensor or graph input that it is, and its axes."""

    value: str
    source: str
    axes: AxesSpec = ()


class OpSpec(Frozen):
    """One operator: what its instructions have in common.

    `copy_` is a second stored form of the output. `multiplier` and `copy_multiplier` scale wide sums on their
    way to either form, column by column. `mask` names a constant of keys that take part, `padded` says that
    absent tokens do not. `ids` is the input whose numbers look rows up. `tables` gives the address of each
    lookup table in the units' table memory.
    """

    name: str
    kind: Literal["matmul", "softmax", "norm", "lut", "add", "mul", "gather", "host"]
    a: OperandSpec | None = None
    b: OperandSpec | None = None
    out: OperandSpec
    copy_: OperandSpec | None = None
    multiplier: str | None = None
    copy_multiplier: str | None = None
    weight: str | None = None
    bias: str | None = None
    constant: str | None = None
    groups: int = 1
    m: int = 0
    k: int = 0
    n: int = 0
    mask: str | None = None
    padded: bool = False
    ids: str = ""
    tables: dict[str, int] = Field(default_factory=dict)
    function: str | None = None
    epsilon: tuple[int, int] | None = None
    centred: bool = True
    op_types: tuple[str, ...] = ()
    model: str | None = None
    sources: tuple[SourceSpec, ...] = ()
    out_axes: AxesSpec = ()
    macs: int = 0

    @property
    def reads(self) -> tuple[str, ...]:
        """The tensors and inputs that it reads."""
        operands = [o.tensor for o in (self.a, self.b) if o is not None]
        return tuple(dict.fromkeys([*operands, *(s.source for s in self.sources)]))

    @property
    def writes(self) -> tuple[str, ...]:
        """The tensors that it writes: its output's stored forms."""
        return (self.out.tensor,) if self.copy_ is None else (self.out.tensor, self.copy_.tensor)


class InputSpec(Frozen):
    """A graph input of one sample."""

    name: str
    shape: tuple[int, ...]
    dtype: str


class OutputSpec(Frozen):
    """A graph output: where its tensor lies in DRAM and how it walks over the matrix."""

    name: str
    tensor: str
    axes: AxesSpec
    scale: float


class Manifest(Frozen):
    """The description of a trace."""

    version: Literal[2] = 2
    blocksim: str
    model: str
    precision: str
    formats: dict[str, str]
    machine: Machine
    inputs: tuple[InputSpec, ...]
    outputs: tuple[OutputSpec, ...]
    tensors: dict[str, TensorSpec]
    constants: dict[str, ConstantSpec]
    operators: tuple[OpSpec, ...]
    scales: dict[str, float]
    dram: dict[str, int]
    dram_bytes: int
    peak_activation_bytes: int
    lost_constants: int
    padding: str = ""
    holes: bool = True

    def operands(self, op: OpSpec) -> tuple[Blocks, Blocks]:
        """The two operands of a product."""
        assert op.a is not None
        a: Blocks = self.tensors[op.a.tensor]
        if op.weight is not None:
            return a, self.constants[op.weight]
        assert op.b is not None
        return a, self.tensors[op.b.tensor]
