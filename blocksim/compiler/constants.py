"""Constants: encoded once, packed in the order in which the array reads them, placed in DRAM."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from blocksim.compiler.assign import Assignment
from blocksim.compiler.cache import ConstantCache
from blocksim.compiler.precision import Precision
from blocksim.compiler.tiling import Tiling
from blocksim.graph.ir import Elementwise, Gather, Graph, Matmul, Norm, Softmax
from blocksim.graph.unread import Weight
from blocksim.trace.manifest import ConstantSpec
from blocksim.trace.sections import Section, digest_of
from hwmodels.formats import Format, multiplier_of
from hwmodels.formats.block import starts
from hwmodels.formats.blockwise import quantise
from hwmodels.formats.packing import pack

ALIGNMENT = 64
ConstantRole = Literal["weight", "bias", "vector", "embedding", "table", "host", "mask", "multiplier"]


def aligned(address: int) -> int:
    """The next address that a DRAM burst can start at."""
    return -(-address // ALIGNMENT) * ALIGNMENT


@dataclass
class ConstantStore:
    """Packed constants and where they lie in DRAM."""

    cache: ConstantCache = field(default_factory=ConstantCache)
    specs: dict[str, ConstantSpec] = field(default_factory=dict)
    sections: dict[str, Section] = field(default_factory=dict)
    lost: int = 0
    end: int = 0

    def add_matrix(
        self,
        name: str,
        weight: Weight,
        form: Format,
        role: ConstantRole,
        tile_starts: tuple[int, ...] = (0,),
        by_row: bool = False,
    ) -> None:
        """Encode and pack a matrix: weights and biases in tiles, tables by rows, others row-major."""

        def make() -> tuple[ConstantSpec, bytes, int]:
            return _packed(name, np.asarray(weight), form, role, tile_starts, by_row)

        asked = (name, form.name, role, tile_starts, by_row, weight.shape)
        self._place(*self.cache.packed(asked, weight, make))

    def add_linear_bias(
        self, name: str, bias: NDArray[np.float32], units: NDArray[np.float64], tile_starts: tuple[int, ...]
    ) -> None:
        """A bias in units of its column's products: plain integers of 32 bits."""
        limit = (1 << 31) - 1
        codes = np.rint(bias / units).clip(-limit, limit).astype(np.int64)[:, None]
        rows = len(codes)
        spec = ConstantSpec(
            name=name, format="int32@tensor", role="bias", rows=rows, columns=1, bits=32,
            row_block=rows, row_period=rows, column_block=1, column_period=1, tile_starts=tile_starts,
            address=0, size=0, sha256="", value_bits=int(np.abs(codes).max(initial=0)).bit_length() + 1,
        )  # fmt: skip
        data = b"".join(pack(codes[first:last], 32) + bytes(b1 - b0) for first, last, b0, b1, _ in spec.tiles)
        self._place(spec, data, 0)

    def add_multiplier(self, name: str, factors: NDArray[np.float64]) -> None:
        """Factors of wide sums: 16-bit multipliers, then their exponents."""
        pairs = [_multiplier(float(f)) for f in factors]
        data = np.array([m for m, _ in pairs], "<u2").tobytes()
        data += np.array([e for _, e in pairs], np.int8).tobytes()
        self._place(_plain_spec(name, len(pairs), 24, "multiplier"), data, 0)

    def add_mask(self, name: str, mask: NDArray[np.bool_]) -> None:
        """Ones and zeros, eight in a byte."""
        data = np.packbits(mask, axis=1, bitorder="little").tobytes()
        rows, columns = mask.shape
        spec = _plain_spec(name, columns, 1, "mask")
        self._place(spec.model_copy(update={"rows": rows, "row_block": rows, "row_period": rows}), data, 0)

    def add_bytes(self, name: str, data: bytes, role: ConstantRole) -> None:
        """Place plain bytes: a lookup table or a host model."""
        self._place(_plain_spec(name, len(data), 8, role), data, 0)

    def add_table(self, name: str, table: tuple[int, ...]) -> None:
        """Place a lookup table as 32-bit words."""
        self.add_bytes(name, np.asarray(table, "<i4").tobytes(), "table")

    def _place(self, spec: ConstantSpec, data: Section, lost: int) -> None:
        address = aligned(self.end)
        self.end = address + len(data)
        digest = spec.sha256 or digest_of(data)
        self.specs[spec.name] = spec.model_copy(
            update={"address": address, "size": len(data), "sha256": digest}
        )
        self.sections[spec.name] = data
        self.lost += lost


def _multiplier(factor: float) -> tuple[int, int]:
    """A multiplier and its exponent, which has 8 bits: what is smaller is zero."""
    m, e = multiplier_of(factor)
    return (0, 0) if e < -128 else (m, min(e, 127))


def _plain_spec(name: str, size: int, bits: int, role: ConstantRole) -> ConstantSpec:
    return ConstantSpec(
        name=name, format="bytes", role=role, rows=1, columns=size, bits=bits,
        row_block=1, row_period=1, column_block=size, column_period=size,
        tile_starts=(0,), address=0, size=0, sha256="",
    )  # fmt: skip


def _packed(
    name: str,
    array: NDArray[np.float32],
    form: Format,
    role: ConstantRole,
    tile_starts: tuple[int, ...],
    by_row: bool,
) -> tuple[ConstantSpec, bytes, int]:
    """A constant without its place, its bytes, and how many codes and exponents were brought into range."""
    rows, columns = array.shape
    across = min(form.block.lines or rows, rows)
    along = min(form.block.depth or columns, columns)
    if role == "bias":  # N x 1: its block runs along the outputs
        across, along = min(form.block.depth or rows, rows), 1
    scales: tuple[float, ...] = ()
    if form.is_real:
        encoded = form.encode(array)
        spread = np.broadcast_to(encoded.shared, (rows, 1))
        scales = tuple(float(s) for s in spread[:, 0])
        codes, exponents, lost = encoded.codes, np.zeros((1, 1), np.int16), encoded.saturated
        across, along = rows, columns
    else:
        q = quantise(array, starts(rows, across), starts(columns, along), form.coding, form.sharing)
        codes, exponents, lost = q.codes, q.exponents, q.saturated + q.clamped
    spec = ConstantSpec(
        name=name, format=form.name, role=role, rows=rows, columns=columns, bits=form.bits,
        row_block=across, row_period=rows, column_block=along, column_period=columns,
        tile_starts=tile_starts, address=0, size=0, sha256="", by_row=by_row, scales=scales,
    )  # fmt: skip
    if role in ("weight", "bias"):
        data = b"".join(
            form.pack(np.ascontiguousarray(codes[first:last].T))
            + pack(np.ascontiguousarray(exponents[b0:b1].T), 8)
            for first, last, b0, b1, _ in spec.tiles
        )
    elif by_row:
        lines = np.frombuffer(form.pack(codes), np.uint8).reshape(rows, -1)  # 8 or 16 bits: whole bytes
        shared = exponents[spec.row_index].astype(np.int8).view(np.uint8)
        data = np.concatenate([lines, shared], axis=1).tobytes()
    else:
        data = form.pack(codes) + pack(exponents, 8)
    digest = hashlib.sha256(data).hexdigest()
    return spec.model_copy(update={"sha256": digest}), data, lost


def encode_constants(
    graph: Graph,
    precision: Precision,
    assignment: Assignment,
    tilings: dict[str, Tiling],
    cache: ConstantCache | None = None,
    progress: Callable[[int], None] | None = None,
) -> ConstantStore:
    """Encode every weight, bias, table, norm parameter and added constant of a graph.

    `tilings` are those of the operators: a product's weights are packed tile by tile. `progress` is told of
    each operator when it is done.
    """
    store = ConstantStore(cache or ConstantCache())
    for op in graph.operators:
        if isinstance(op, Matmul):
            _encode_product(store, graph, precision, assignment, op, tilings[op.name])
        elif isinstance(op, Norm):
            for name in (op.gamma, op.beta):
                form = precision.of("vector", name)
                store.add_matrix(name, graph.constant(name)[None], form, "vector")
        elif isinstance(op, Elementwise) and op.constant is not None and op.constant not in store.specs:
            role: Literal["embedding", "vector"] = "embedding" if op.kind == "add" else "vector"
            form = precision.of(role, op.constant)
            store.add_matrix(op.constant, graph.constants[op.constant], form, role)
        elif isinstance(op, Gather):
            form = precision.of("embedding", op.table)
            store.add_matrix(op.table, graph.constants[op.table], form, "embedding", by_row=True)
        elif isinstance(op, Softmax) and op.mask is not None:
            store.add_mask(op.mask, graph.constant(op.mask) > 0)
        if progress:
            progress(1)
    return store


def _encode_product(
    store: ConstantStore,
    graph: Graph,
    precision: Precision,
    assignment: Assignment,
    op: Matmul,
    tiling: Tiling,
) -> None:
    starts_at = tuple(first for first, _ in tiling.tiles)
    if op.weight is not None:
        form = precision.of("weight", op.weight)
        store.add_matrix(op.weight, graph.constants[op.weight], form, "weight", starts_at)
    if op.bias is None:
        return
    form = precision.of("bias", op.bias)
    if form.bits == 32:
        store.add_linear_bias(op.bias, graph.constant(op.bias), units_of(store, assignment, op), starts_at)
    else:
        store.add_matrix(op.bias, graph.constant(op.bias)[:, None], form, "bias", starts_at)


def units_of(store: ConstantStore, assignment: Assignment, op: Matmul) -> NDArray[np.float64]:
    """What a product's sums are in units of, column by column: the product of its operands' scales."""
    a = assignment.specs[assignment.operand(op.a.tensor)].scale
    if op.weight is not None:
        return a * np.array(store.specs[op.weight].scales or [1.0] * op.n)
    assert op.b is not None
    return np.full(op.n, a * assignment.specs[assignment.operand(op.b.tensor)].scale)
