"""Walks: how an operator's tiles are visited, with its tensors whole in SRAM or in windows of rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from blocksim.compiler.constants import aligned
from blocksim.compiler.hazards import Region
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
    stretches : tuple of (int, int)
        Where sums are spilled: columns that share blocks, and so wait together.
    row_ends : tuple of int
        Where sums are spilled: rows at which blocks end, ascending.
    """

    tiling: Tiling
    windows: tuple[Spans, ...]
    streamed: tuple[str, ...] = ()
    wide_in_dram: bool = False
    stretches: Spans = ()
    row_ends: tuple[int, ...] = ()

    def stretch_of(self, columns: Span) -> int:
        """The number of the stretch that a tile lies in."""
        return next(i for i, (_, last) in enumerate(self.stretches) if columns[1] <= last)

    @property
    def widest(self) -> int:
        """Columns of the widest stretch."""
        return max(last - first for first, last in self.stretches)


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

    def block_ends(self, op: OpSpec) -> set[int]:
        """Columns of a group at which the blocks of every searched form end."""
        n = self._extent(op)[1]
        return set.intersection({n, *range(n)}, *({*s.column_starts.tolist(), n} for s in self._searched(op)))

    def row_ends(self, op: OpSpec) -> set[int]:
        """Rows of a group at which they end."""
        m = self._extent(op)[0]
        return set.intersection({m, *range(m)}, *({*s.row_starts.tolist(), m} for s in self._searched(op)))

    def _searched(self, op: OpSpec) -> list[TensorSpec]:
        """The stored forms whose exponents have to be found."""
        return [self.specs[t] for t in op.writes if self.specs[t].static is None]

    def stretches(self, op: OpSpec, tiling: Tiling) -> Spans:
        """Neighbouring tiles that share blocks: what must wait together."""
        ends, out, start = self.block_ends(op), [], 0
        for _, last in tiling.tiles:
            if last in ends:
                out.append((start, last))
                start = last
        return tuple(out)

    def held_bytes(self, op: OpSpec, walk: Walk, rows: int) -> int:
        """Bytes of SRAM for the sums of some rows that wait: of one stretch, and of the next beside it."""
        return min(2, len(walk.stretches)) * walk.widest * rows * self._word(op)

    def held_place(self, op: OpSpec, walk: Walk, rows: Span, band: Span, columns: Span) -> Span:
        """Offset and bytes of a tile among the sums of some rows that wait in SRAM: stretches take turns."""
        turn, width = walk.stretch_of(columns), columns[1] - columns[0]
        left = (turn % 2) * walk.widest + columns[0] - walk.stretches[turn][0]
        offset = left * (rows[1] - rows[0]) + (band[0] - rows[0]) * width
        return offset * self._word(op), (band[1] - band[0]) * width * self._word(op)

    def tops(self, group: int, op: OpSpec, walk: Walk, band: Span, columns: Span) -> Region:
        """The search registers of the blocks that a tile of spilled sums touches: written by who makes the
        sums, read by who needs the search to be over. `group` tells groups of operators apart.
        """
        first = max((e for e in walk.row_ends if e <= band[0]), default=0)
        last = next(e for e in walk.row_ends if e >= band[1])
        start = walk.stretch_of(columns) * self._extent(op)[0] + first
        return Region("tops", (group << 40) + start, last - first)

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
        return self.machine.buffer_bytes(op.kind)


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
        """Bring what an operator needs into SRAM: all of it where it fits, else windows of rows.

        Wide sums that must wait lie in SRAM where they fit in any way, else in DRAM. Otherwise the fewest
        tensors in windows, and the largest windows, that fit are taken.
        """
        inputs = {t for t in op.reads if t in self.specs}
        # in the operator's order, not a set's: addresses must not depend on how strings are hashed
        sizes = {t: self.specs[t].nbytes for t in (*op.reads, *op.writes) if t in self.specs}
        by_rows = [t for t in sorted(sizes, key=lambda t: -sizes[t]) if self._by_rows(op, t)]
        rows = op.m if op.kind == "matmul" else self.specs[op.out.tensor].rows
        needed = 0
        for in_dram in (False, True):
            for count in range(len(by_rows) + 1):
                for limit in _halves(rows) if count else (rows,):
                    option = self._option(op, tuple(by_rows[:count]), limit, in_dram)
                    if option is None:
                        continue
                    walk, slots, held = option
                    whole = {t: size for t, size in sizes.items() if t not in walk.streamed} | held
                    needed = sum(aligned(s) for s in whole.values())
                    needed += sum(2 * aligned(s) for s in slots.values())
                    if needed <= self.res.memory.capacity and self._brought(
                        walk, whole, slots, inputs, position
                    ):
                        return walk
        raise BlocksimError(
            self.where,
            "sram.activations.kib",
            self.machine.sram.activations.kib,
            f"too small for {op.name}, which needs {-(-needed // 1024)} or more",
        )

    def _option(
        self, op: OpSpec, streamed: tuple[str, ...], limit: int, in_dram: bool
    ) -> tuple[Walk, dict[str, int], dict[str, int]] | None:
        """A walk with windows of at most `limit` rows, the sizes of its windows and of sums that wait."""
        tiling = self.retile(op, limit)
        if in_dram and not tiling.spill:
            return None
        ends = self.wide.row_ends(op) if tiling.spill else set()
        windows = grouped(tiling.bands, limit, ends if tiling.spill and not in_dram else None)
        stretches = self.wide.stretches(op, tiling) if tiling.spill else ()
        walk = Walk(tiling, windows, streamed, in_dram, stretches, tuple(sorted(ends)))
        tallest = max(window[-1][1] - window[0][0] for window in windows)
        slots = {t: self._window_bytes(t, tallest) for t in streamed}
        held: dict[str, int] = {}
        if in_dram:
            slots[wide_name(op)] = self.wide.largest_tile(op, tiling)
        elif tiling.spill:
            held[wide_name(op)] = self.wide.held_bytes(op, walk, tallest)
        return walk, slots, held

    def _brought(
        self,
        walk: Walk,
        whole: dict[str, int],
        slots: dict[str, int],
        inputs: set[str],
        position: int,
    ) -> bool:
        """Make room for a walk, and load what it needs whole."""
        if slots:
            self.res.clear(set(), position)
        if not self.res.bring(whole, inputs - set(walk.streamed), position):
            return False
        for t, size in slots.items():
            self.res.open(t, size)
        return True

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


def _halves(rows: int) -> list[int]:
    """A number of rows, its half and so on, down to 1."""
    return [rows >> i for i in range(rows.bit_length())]


def grouped(bands: Spans, limit: int, ends: set[int] | None = None) -> tuple[Spans, ...]:
    """Neighbouring bands together, up to `limit` rows; where there are `ends`, none leaves off elsewhere."""
    units: list[list[Span]] = [[]]
    for band in bands:
        units[-1].append(band)
        if ends is None or band[1] in ends:
            units.append([])
    out: list[list[Span]] = []
    for unit in filter(None, units):
        if out and unit[-1][1] - out[-1][0][0] <= limit:
            out[-1] += unit
        else:
            out.append(unit)
    return tuple(tuple(group) for group in out)


def wide_name(op: OpSpec) -> str:
    return f"{op.name}.wide"
