"""The modelled memories of the interpreter: bytes, and the wide sums between a unit and the requantizer."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from blocksim.engine.boundary import Stored
from blocksim.trace.file import Trace
from blocksim.trace.isa import Flag
from blocksim.trace.manifest import Blocks, ConstantSpec, OpSpec, TensorSpec
from hwmodels.formats.packing import pack, packed_bytes, unpack
from hwmodels.units.ops import ZERO_BLOCK

TILE = ("op_id", "group", "row", "column")
"""What tells the tiles of a program apart."""


Wide = dict[tuple[int, int], tuple[int, int]]
"""Wide sums of one memory: the output's row and column to a sum and its exponent."""


@dataclass
class Counters:
    """What was lost on the way: see `blocksim.engine.execute.Counts`."""

    flushed: int = 0
    overflows: int = 0
    clamped: int = 0
    saturated: int = 0


@dataclass
class Machine:
    """The modelled memories."""

    trace: Trace
    dram: bytearray = field(init=False)
    weights: bytearray = field(init=False)
    activations: bytearray = field(init=False)
    tables: bytearray = field(init=False)
    wide: dict[tuple[str, int], Wide] = field(default_factory=dict)
    spilled: dict[tuple[int, ...], Wide] = field(default_factory=dict)
    tops: dict[tuple[str, int, int], int] = field(default_factory=dict)
    counters: dict[str, Counters] = field(default_factory=dict)

    def __post_init__(self) -> None:
        manifest = self.trace.manifest
        self.dram = bytearray(manifest.dram_bytes)
        self.weights = bytearray(manifest.machine.sram.weights.nbytes)
        self.activations = bytearray(manifest.machine.sram.activations.nbytes)
        self.tables = bytearray(
            max(
                (a + manifest.constants[n].size for op in manifest.operators for n, a in op.tables.items()),
                default=0,
            )
        )
        for name, spec in manifest.constants.items():
            self.dram[spec.address : spec.address + spec.size] = self.trace.sections[name]

    # -- wide sums ---------------------------------------------------------------------------

    def fresh(self, r: Any, op: OpSpec) -> Wide:
        """Where a tile's sums go: a bank or a buffer half, or bytes of SRAM, which get a mark of their own.

        The sums themselves have exponents that no byte holds, and are kept aside.
        """
        if not Flag(int(r["flags"])) & Flag.SPILL:
            space = "accumulator" if op.kind == "matmul" else "vector"
            wide = self.wide[space, int(r["dst"])] = {}
            return wide
        key = tuple(int(r[n]) for n in TILE)
        at, mark = int(r["dst"]), self._mark(r, op)
        self.activations[at : at + len(mark)] = mark
        return self.spilled.setdefault(key, {})

    def held(self, r: Any, op: OpSpec) -> Wide:
        """The sums that a REQUANT reads; spilled ones must still lie where it looks for them."""
        if not Flag(int(r["flags"])) & Flag.SPILL:
            return self.wide["accumulator" if op.kind == "matmul" else "vector", int(r["a"])]
        at, mark = int(r["a"]), self._mark(r, op)
        assert self.activations[at : at + len(mark)] == mark, f"{op.name}: spilled sums are gone"
        return self.spilled[tuple(int(r[n]) for n in TILE)]

    def _mark(self, r: Any, op: OpSpec) -> bytes:
        """As many bytes as a tile's sums take, like no other tile's."""
        size = int(r["rows"]) * int(r["columns"]) * self.trace.manifest.machine.buffer_bytes(op.kind)
        seed = hashlib.sha256(repr([int(r[n]) for n in TILE]).encode()).digest()
        return (seed * (size // len(seed) + 1))[:size]

    # -- bytes to integers -------------------------------------------------------------------

    def matrix(
        self, memory: bytearray, address: int, spec: Blocks, window: tuple[int, int] | None = None
    ) -> tuple[Any, Any]:
        """Codes and exponents of the rows of a row-major matrix at an address, one exponent per element.

        `window` is the first row and how many lie there; all of them by default. Rows that do not lie
        there are zero.
        """
        first, count = window or (0, spec.rows)
        codes, grid = self.stored(memory, address, spec, (first, count))
        b0 = int(spec.row_index[first])
        whole = np.zeros((spec.rows, spec.columns), codes.dtype)
        spread = np.full((spec.rows, spec.columns), ZERO_BLOCK, np.int16)
        rows = slice(first, first + count)
        whole[rows] = codes
        spread[rows] = grid[spec.row_index[rows] - b0][:, spec.column_index]
        return whole, spread

    @staticmethod
    def stored(memory: bytearray, address: int, spec: Blocks, window: tuple[int, int]) -> Stored:
        """Codes and block exponents of a window of rows."""
        first, count = window
        _, n, _, e = spec.window(first, first + count)
        codes = spec.form.unpack(memory[address : address + n], count * spec.columns)
        exponents = unpack(memory[address + n : address + n + e], e, 8)
        return codes.reshape(count, spec.columns), exponents.reshape(-1, len(spec.column_starts))

    def store_tile(
        self,
        address: int,
        spec: TensorSpec,
        window: tuple[int, int],
        tile: tuple[slice, slice],
        codes: Any,
        exponents: Any,
    ) -> None:
        """Write codes and block exponents of a tile into the window of rows at an address."""
        first, _ = window
        rows, columns = tile
        whole, grid = self.stored(self.activations, address, spec, window)
        whole[rows.start - first : rows.stop - first, columns] = codes
        b0 = int(spec.row_index[first])
        rb, cb = spec.row_index[rows] - b0, spec.column_index[columns]
        grid[rb[0] : rb[-1] + 1, cb[0] : cb[-1] + 1] = exponents
        data = spec.form.pack(whole) + pack(grid, 8)
        self.activations[address : address + len(data)] = data

    def weight_tile(self, address: int, spec: ConstantSpec, column: int) -> tuple[Any, Any]:
        """Codes (N x K) of the weight tile at an address, and one exponent per line and depth block."""
        first, last, b0, b1, _ = spec.tiles[spec.tile_starts.index(column)]
        count = (last - first) * spec.columns
        size = packed_bytes(count, spec.bits)
        codes = spec.form.unpack(self.weights[address : address + size], count)
        depth = len(spec.column_starts)
        at = address + size
        exponents = unpack(self.weights[at : at + (b1 - b0) * depth], (b1 - b0) * depth, 8)
        lines = spec.row_index[first:last] - b0
        return codes.reshape(spec.columns, last - first).T, exponents.reshape(depth, b1 - b0)[:, lines].T

    def table(self, op: OpSpec, name: str) -> tuple[int, ...]:
        """A lookup table from the units' table memory."""
        at = op.tables[name]
        size = self.trace.manifest.constants[name].size
        return tuple(int(v) for v in np.frombuffer(bytes(self.tables[at : at + size]), "<i4"))


def tile_of(r: Any) -> tuple[slice, slice]:
    """The rows and columns of an instruction's tile."""
    row, column = int(r["row"]), int(r["column"])
    return slice(row, row + int(r["rows"])), slice(column, column + int(r["columns"]))
