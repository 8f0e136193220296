"""Walks: how an operator's tiles are visited, with its tensors whole in SRAM or in windows of rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from blocksim.compiler.constants import aligned
from blocksim.compiler.residency import Residency
from blocksim.compiler.tiling import Spans, Tiling
from blocksim.errors import BlocksimError
from blocksim.trace.manifest import OpSpec, TensorSpec
from hwmodels.machines import Machine

Span = tuple[int, int]

Retile = Callable[[OpSpec, int | None], Tiling]
"""The tiling of an operator, with at most so many rows in a band."""


@dataclass(frozen=True)
class Walk:
    """How an operator's tiles are visited.

    Attributes
    ----------
    tiling : Tiling
    windows : tuple of spans
        Bands by the window of rows that holds them.
    streamed : tuple of str
        Tensors of which only a window lies in SRAM.
    wide_in_dram : bool
        Whether spilled sums go on to DRAM.
    """

    tiling: Tiling
    windows: tuple[Spans, ...]
    streamed: tuple[str, ...] = ()
    wide_in_dram: bool = False


@dataclass(frozen=True)
class WideSums:
    """Where the wide sums of a group lie, once they lie in memory: tile columns one after the other, each
    with its bands.
    """

    machine: Machine
    specs: dict[str, TensorSpec]

    def group_bytes(self, op: OpSpec) -> int:
        """Bytes of the sums of one group."""
        rows, columns = self._extent(op)
        return rows * columns * self._word(op)

    def largest_tile(self, op: OpSpec, tiling: Tiling) -> int:
        """Bytes of the largest tile."""
        rows = max(r1 - r0 for r0, r1 in tiling.bands)
        return rows * max(c1 - c0 for c0, c1 in tiling.tiles) * self._word(op)

    def place(self, op: OpSpec, band: Span, columns: Span) -> Span:
        """Offset and bytes of a tile."""
        rows, width = self._extent(op)[0], columns[1] - columns[0]
        offset = (columns[0] * rows + band[0] * width) * self._word(op)
        return offset, (band[1] - band[0]) * width * self._word(op)

    def _extent(self, op: OpSpec) -> Span:
        out = self.specs[op.out.tensor]
        return (op.m, op.n) if op.kind == "matmul" else (out.rows, out.columns)

    def _word(self, op: OpSpec) -> int:
        return -(-self.machine.wide_bits(op.kind) // 8)


@dataclass(frozen=True)
class Planner:
    """Plans walks, and brings into SRAM what they need.

    Attributes
    ----------
    machine : Machine
    specs : dict of str to TensorSpec
    res : Residency
    wide : WideSums
    retile : Retile
    where : str
        The machine's file or name, for messages.
    """

    machine: Machine
    specs: dict[str, TensorSpec]
    res: Residency
    wide: WideSums
    retile: Retile
    where: str

    def walk(self, op: OpSpec, position: int) -> Walk:
        """Bring what an operator needs into SRAM: all of it where it fits, else windows of rows."""
        tiling = self.retile(op, None)
        inputs = {t for t in op.reads if t in self.specs}
        sizes = {t: self.specs[t].nbytes for t in (*inputs, *op.writes)}
        whole = (tiling.bands,)
        if tiling.spill:
            if self.res.bring({**sizes, wide_name(op): self.wide.group_bytes(op)}, inputs, position):
                return Walk(tiling, whole)
        elif self.res.bring(sizes, inputs, position):
            return Walk(tiling, whole)
        return self._streamed(op, sizes, inputs, position)

    def _streamed(self, op: OpSpec, sizes: dict[str, int], inputs: set[str], position: int) -> Walk:
        """The fewest tensors in windows, and the largest windows, that fit."""
        capacity = self.res.memory.capacity
        by_rows = [t for t in sorted(sizes, key=lambda t: -sizes[t]) if self._by_rows(op, t)]
        rows = op.m if op.kind == "matmul" else self.specs[op.out.tensor].rows
        needed = 0
        for count in range(len(by_rows) + 1):
            streamed = tuple(by_rows[:count])
            kept = sum(aligned(size) for t, size in sizes.items() if t not in streamed)
            limit = rows
            while limit:
                tiling = self.retile(op, limit)
                tallest = max(r1 - r0 for r0, r1 in tiling.bands)
                height = max(limit, tallest)
                slots = {t: self._window_bytes(t, height) for t in streamed}
                if tiling.spill:
                    slots[wide_name(op)] = self.wide.largest_tile(op, tiling)
                needed = kept + sum(2 * aligned(size) for size in slots.values())
                if needed <= capacity:
                    break
                limit = limit // 2 if streamed else 0
            else:
                continue
            self.res.clear(set(), position)
            remaining = {t: size for t, size in sizes.items() if t not in streamed}
            if not self.res.bring(remaining, inputs - set(streamed), position):
                continue
            for t, size in slots.items():
                self.res.open(t, size)
            return Walk(tiling, grouped(tiling.bands, limit), streamed, tiling.spill)
        raise BlocksimError(
            self.where,
            "sram.activations.kib",
            self.machine.sram.activations.kib,
            f"too small for {op.name}, which needs {-(-needed // 1024)} or more",
        )

    def _by_rows(self, op: OpSpec, tensor: str) -> bool:
        """Whether an operator goes through a tensor's rows in order, one window after the other."""
        if op.kind != "matmul":
            return True
        if tensor in op.writes:
            return op.groups == 1 or op.out.row_step > 0
        return op.a is not None and tensor == op.a.tensor and (op.b is None or op.b.tensor != tensor)

    def _window_bytes(self, tensor: str, rows: int) -> int:
        spec = self.specs[tensor]
        rows = min(rows, spec.rows)
        blocks = min(-(-rows // max(1, spec.row_block)) + 1, len(spec.row_starts))
        return -(-rows * spec.columns * spec.bits // 8) + blocks * len(spec.column_starts)


def grouped(bands: Spans, limit: int) -> tuple[Spans, ...]:
    """Neighbouring bands together, up to `limit` rows."""
    out: list[list[tuple[int, int]]] = []
    for band in bands:
        if out and band[1] - out[-1][0][0] <= limit:
            out[-1].append(band)
        else:
            out.append([band])
    return tuple(tuple(group) for group in out)


def wide_name(op: OpSpec) -> str:
    return f"{op.name}.wide"
