"""Constants: encoded once, packed in the order in which the array reads them, placed in DRAM."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from blocksim.compiler.precision import Precision
from blocksim.compiler.tiling import Tiling
from blocksim.graph.ir import Elementwise, Graph, Matmul, Norm
from blocksim.trace.manifest import ConstantSpec
from hwmodels.formats import Format
from hwmodels.formats.block import starts
from hwmodels.formats.packing import pack
from hwmodels.formats.shift import quantise

ALIGNMENT = 64
ConstantRole = Literal["weight", "bias", "vector", "embedding", "table", "host"]


def aligned(address: int) -> int:
    """The next address that a DRAM burst can start at."""
    return -(-address // ALIGNMENT) * ALIGNMENT


@dataclass
class ConstantStore:
    """Packed constants and where they lie in DRAM."""

    specs: dict[str, ConstantSpec] = field(default_factory=dict)
    sections: dict[str, bytes] = field(default_factory=dict)
    lost: int = 0
    end: int = 0

    def add_matrix(
        self,
        name: str,
        array: NDArray[np.float32],
        form: Format,
        role: ConstantRole,
        tile_starts: tuple[int, ...] = (0,),
    ) -> None:
        """Encode and pack a matrix: weights and biases in tiles, others row-major."""
        rows, columns = array.shape
        across = min(form.block.lines or rows, rows)
        along = min(form.block.depth or columns, columns)
        if role == "bias":  # N x 1: its block runs along the outputs
            across, along = min(form.block.depth or rows, rows), 1
        q = quantise(array, starts(rows, across), starts(columns, along), form.bits)
        self.lost += q.saturated + q.clamped
        spec = ConstantSpec(
            name=name, format=form.name, role=role, rows=rows, columns=columns, bits=form.bits,
            row_block=across, row_period=rows, column_block=along, column_period=columns,
            tile_starts=tile_starts, address=0, size=0, sha256="",
        )  # fmt: skip
        if role in ("weight", "bias"):
            data = b"".join(
                pack(np.ascontiguousarray(q.codes[first:last].T), form.bits)
                + pack(np.ascontiguousarray(q.exponents[b0:b1].T), 8)
                for first, last, b0, b1, _ in spec.tiles
            )
        else:
            data = pack(q.codes, form.bits) + pack(q.exponents, 8)
        self._place(spec, data)

    def add_bytes(self, name: str, data: bytes, role: ConstantRole) -> None:
        """Place plain bytes: a lookup table or a host model."""
        size = len(data)
        spec = ConstantSpec(
            name=name, format="bytes", role=role, rows=1, columns=size, bits=8,
            row_block=1, row_period=1, column_block=size, column_period=size,
            tile_starts=(0,), address=0, size=0, sha256="",
        )  # fmt: skip
        self._place(spec, data)

    def add_table(self, name: str, table: tuple[int, ...]) -> None:
        """Place a lookup table as 32-bit words."""
        self.add_bytes(name, np.asarray(table, "<i4").tobytes(), "table")

    def _place(self, spec: ConstantSpec, data: bytes) -> None:
        address = aligned(self.end)
        self.end = address + len(data)
        digest = hashlib.sha256(data).hexdigest()
        self.specs[spec.name] = spec.model_copy(
            update={"address": address, "size": len(data), "sha256": digest}
        )
        self.sections[spec.name] = data


def encode_constants(graph: Graph, precision: Precision, tilings: dict[str, Tiling]) -> ConstantStore:
    """Encode every weight, bias, norm parameter and added constant of a graph.

    `tilings` are those of the operators: a product's weights are packed tile by tile.
    """
    store = ConstantStore()
    for op in graph.operators:
        if isinstance(op, Matmul) and op.weight is not None:
            starts_at = tuple(first for first, _ in tilings[op.name].tiles)
            form = precision.of("weight", op.weight)
            store.add_matrix(op.weight, graph.constants[op.weight], form, "weight", starts_at)
            if op.bias is not None:
                form = precision.of("bias", op.bias)
                store.add_matrix(op.bias, graph.constants[op.bias][:, None], form, "bias", starts_at)
        elif isinstance(op, Norm):
            for name in (op.gamma, op.beta):
                form = precision.of("vector", name)
                store.add_matrix(name, graph.constants[name][None], form, "vector")
        elif isinstance(op, Elementwise) and op.constant is not None and op.constant not in store.specs:
            role: Literal["embedding", "vector"] = "embedding" if op.kind == "add" else "vector"
            form = precision.of(role, op.constant)
            store.add_matrix(op.constant, graph.constants[op.constant], form, role)
    return store
