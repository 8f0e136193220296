"""Emission: operators become instructions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from blocksim.compiler.constants import ConstantStore, aligned
from blocksim.compiler.fixed import ConstantLoader, Slot
from blocksim.compiler.hazards import Region
from blocksim.compiler.memory import FirstFit
from blocksim.compiler.program import Field, ProgramWriter
from blocksim.compiler.residency import SPACE, Residency
from blocksim.compiler.tiling import Spans
from blocksim.compiler.walk import Planner, Retile, Span, Walk, WideSums, wide_name
from blocksim.trace.isa import Flag, Opcode, Program
from blocksim.trace.manifest import OpSpec, TensorSpec
from hwmodels.machines import Machine

OPCODES = {
    "matmul": Opcode.MATMUL,
    "softmax": Opcode.SOFTMAX,
    "norm": Opcode.NORM,
    "lut": Opcode.LUT,
    "add": Opcode.ADD,
    "mul": Opcode.MUL,
}


@dataclass
class Emitter:
    """Writes the program of a list of operators.

    Attributes
    ----------
    machine : Machine
    specs : dict of str to TensorSpec
    store : ConstantStore
    retile : Retile
    kept : set of str
        Graph outputs: stored to DRAM.
    where : str
        The machine's file or name, for messages.
    """

    machine: Machine
    specs: dict[str, TensorSpec]
    store: ConstantStore
    retile: Retile
    kept: set[str]
    where: str
    writer: ProgramWriter = field(default_factory=ProgramWriter)

    def __post_init__(self) -> None:
        self.fixed = ConstantLoader(self.machine, self.store, self.writer, self.where)
        self.activations = FirstFit(self.machine.sram.activations.nbytes)
        self.uses: dict[str, list[int]] = {}
        self.res = Residency(self.activations, self.specs, self.writer, aligned(self.store.end), self.uses)
        self.wide = WideSums(self.machine, self.specs)
        self.planner = Planner(self.machine, self.specs, self.res, self.wide, self.retile, self.where)
        self.next_bank = 0
        self.next_half = 0

    def run(self, operators: Sequence[OpSpec], progress: Callable[[int], None] | None = None) -> Program:
        """The program of all operators, in order; `progress` is told of each."""
        for i, op in enumerate(operators):
            for t in op.reads:
                self.uses.setdefault(t, []).append(i)
        for i, op in enumerate(operators):
            self.writer.op_id = i
            if op.kind == "host":
                self._host(op)
            else:
                self._on_datapath(op, i)
            for t in op.writes:
                if t in self.kept and t not in self.res.in_dram:
                    self.res.store(t)
            for t in (*op.reads, *op.writes):
                if self.uses.get(t, [-1])[-1] <= i:
                    self.activations.free(t)
            if progress:
                progress(1)
        return self.writer.program()

    # -- where everything lies ---------------------------------------------------------------

    def _on_datapath(self, op: OpSpec, position: int) -> None:
        walk = self.planner.walk(op, position)
        if op.kind == "gather":
            self._gather(op, walk)
        else:
            self._tiles(op, walk)
        self.res.close()
        self.activations.free(wide_name(op))

    # -- tiles -------------------------------------------------------------------------------

    def _tiles(self, op: OpSpec, walk: Walk) -> None:
        """Every tile of an operator, and the requantization of what it gives."""
        tiling, outs = walk.tiling, [t for t in op.writes if t in walk.streamed]
        ends = {last for _, last in walk.stretches}
        self.fixed.begin(op)
        for group in range(op.groups):
            for bands in walk.windows:
                self._enter(op, walk, group, bands, [] if walk.wide_in_dram else outs)
                waiting: list[tuple[Span, Span, Region]] = []
                for t, columns in enumerate(tiling.tiles):
                    weights = self.fixed.tile(op, t) if op.kind == "matmul" else []
                    for band in bands:
                        constants, held = (weights, {}) if op.kind == "matmul" else self.fixed.band(op, band)
                        wide = self._wide_region(op, walk, bands, band, columns)
                        tops = self._tops(op, walk, group, band, columns)
                        self._compute(op, group, band, columns, constants, held, [wide, *tops])
                        if not tiling.spill:
                            self._requant(op, group, band, columns, [wide])
                        elif walk.wide_in_dram:
                            home = self._wide_home(op, band, columns)
                            self.writer.move(Opcode.STORE, wide, home, Flag.SPILL)
                        else:
                            waiting.append((band, columns, wide))
                    if columns[1] in ends:
                        for band, done, wide in waiting:
                            tops = self._tops(op, walk, group, band, done)
                            self._requant(op, group, band, done, [wide, *tops])
                        waiting.clear()
            if walk.wide_in_dram:
                self._drain(op, walk, group, outs)
        for name in outs:
            self.res.flush(name)

    def _drain(self, op: OpSpec, walk: Walk, group: int, outs: list[str]) -> None:
        """Requantize the sums of a group that wait in DRAM."""
        for bands in walk.windows:
            self._next_rows(op, group, bands, outs)
            for band in bands:
                for columns in walk.tiling.tiles:
                    wide = self._wide_region(op, walk, bands, band, columns)
                    self.writer.move(Opcode.LOAD, self._wide_home(op, band, columns), wide, Flag.SPILL)
                    tops = self._tops(op, walk, group, band, columns)
                    self._requant(op, group, band, columns, [wide, *tops])

    def _enter(self, op: OpSpec, walk: Walk, group: int, bands: Spans, outs: list[str]) -> None:
        """Go on to the next window: its rows are loaded before the last one's are stored."""
        first, last = bands[0][0], bands[-1][1]
        for operand in (op.a, op.b):
            if operand is not None and operand.tensor in walk.streamed:
                start = group * operand.row_step if op.kind == "matmul" else 0
                self.res.load(operand.tensor, start + first, start + last)
        self._next_rows(op, group, bands, outs)

    def _next_rows(self, op: OpSpec, group: int, bands: Spans, outs: list[str]) -> None:
        start = group * op.out.row_step
        for t in outs:
            if self.res.windows[t].last:
                self.res.flush(t)
            self.res.turn(t, start + bands[0][0], start + bands[-1][1])

    def _compute(
        self,
        op: OpSpec,
        group: int,
        band: Span,
        columns: Span,
        constants: list[Slot],
        held: dict[str, Span],
        wide: list[Region],
    ) -> None:
        """One tile's sums: into `wide`, and past the search where they are spilled."""
        assert op.a is not None
        reads = [region for _, region in constants]
        fields: dict[str, Field] = {slot: region.start for slot, region in constants if slot}
        if "b" in held:
            fields["b_window"] = held["b"]
        start = group * op.a.row_step
        fields["a"], fields["a_window"] = self.res.place(op.a.tensor)
        reads += self.res.rows(op.a.tensor, start + band[0], start + band[1])
        if op.b is not None:
            fields["b"], fields["b_window"] = self.res.place(op.b.tensor)
            span = band
            if op.kind == "matmul":
                first = group * op.b.row_step
                span = (first, first + op.k) if op.b.transposed else (first + columns[0], first + columns[1])
            reads += self.res.rows(op.b.tensor, *span)
        flags, tile = _spilled(wide), _tile(group, band, columns)
        self.writer.emit(OPCODES[op.kind], reads, wide, flags, **fields, dst=wide[0].start, **tile)

    def _requant(self, op: OpSpec, group: int, band: Span, columns: Span, wide: list[Region]) -> None:
        """Requantize a tile into every stored form of the output."""
        first = group * op.out.row_step
        forms = zip(op.writes, (op.multiplier, op.copy_multiplier), (Flag.NONE, Flag.COPY), strict=False)
        for name, multiplier, which in forms:
            reads, fields = list(wide), dict[str, Field]()
            if multiplier is not None:
                reads.append(self.fixed.kept[multiplier])
                fields["b"] = self.fixed.kept[multiplier].start
            address, window = self.res.place(name)
            rows = self.res.rows(name, first + band[0], first + band[1])
            self.writer.emit(
                Opcode.REQUANT, reads, rows, _spilled(wide) | which,
                a=wide[0].start, dst=address, dst_window=window, **fields, **_tile(group, band, columns),
            )  # fmt: skip

    def _tops(self, op: OpSpec, walk: Walk, group: int, band: Span, columns: Span) -> list[Region]:
        """The search registers of a tile's blocks, where its sums wait for the rest of them."""
        if not walk.tiling.spill:
            return []
        return [self.wide.tops((self.writer.op_id << 20) + group, op, walk, band, columns)]

    def _gather(self, op: OpSpec, walk: Walk) -> None:
        """Rows of a table, straight to where the output lies."""
        assert op.constant is not None
        table = self.store.specs[op.constant]
        name, columns = op.out.tensor, (0, self.specs[op.out.tensor].columns)
        outs = [t for t in op.writes if t in walk.streamed]
        source = Region("dram", table.address, table.size)
        for bands in walk.windows:
            self._next_rows(op, 0, bands, outs)
            for band in bands:
                address, window = self.res.place(name)
                self.writer.emit(
                    Opcode.GATHER, [source], self.res.rows(name, *band),
                    a=source.start, dst=address, dst_window=window,
                    size=(band[1] - band[0]) * table.row_bytes, **_tile(0, band, columns),
                )  # fmt: skip
        for t in outs:
            self.res.flush(t)

    def _host(self, op: OpSpec) -> None:
        reads = []
        for source in (s.source for s in op.sources):
            if source in self.specs:
                self.res.store(source)
                reads.append(self.res.dram_region(source))
        targets = [self.res.dram_region(t) for t in op.writes]
        places: dict[str, Field] = {
            slot: region.start for slot, region in zip(("dst", "c"), targets, strict=False)
        }
        self.writer.emit(Opcode.HOST, reads, targets, **places)
        self.res.in_dram.update(op.writes)

    # -- wide sums ---------------------------------------------------------------------------

    def _wide_region(self, op: OpSpec, walk: Walk, bands: Spans, band: Span, columns: Span) -> Region:
        """Where the sums of a tile go; `bands` are those of its window."""
        if walk.wide_in_dram:
            name = wide_name(op)
            self.res.turn(name, 0, 1)
            return Region(SPACE, self.res.windows[name].address, self.wide.place(op, band, columns)[1])
        if walk.tiling.spill:
            rows = (bands[0][0], bands[-1][1])
            offset, size = self.wide.held_place(op, walk, rows, band, columns)
            return Region(SPACE, self.activations.taken[wide_name(op)][0] + offset, size)
        if op.kind == "matmul":
            bank = self.next_bank
            self.next_bank = (bank + 1) % self.machine.accumulator.banks
            return Region("accumulator", bank, 1)
        half = self.next_half
        self.next_half = 1 - half
        return Region("vector", half, 1)

    def _wide_home(self, op: OpSpec, band: Span, columns: Span) -> Region:
        """The bytes in DRAM of a tile's sums."""
        home = self.res.dram_place(wide_name(op), self.wide.group_bytes(op))
        offset, size = self.wide.place(op, band, columns)
        return Region("dram", home + offset, size)


def _spilled(wide: list[Region]) -> Flag:
    return Flag.SPILL if len(wide) > 1 else Flag.NONE


def _tile(group: int, band: Span, columns: Span) -> dict[str, Field]:
    return {
        "group": group,
        "row": band[0],
        "rows": band[1] - band[0],
        "column": columns[0],
        "columns": columns[1] - columns[0],
    }
