"""Emission: operators become instructions, addresses and tickets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from blocksim.compiler.constants import ConstantStore, aligned
from blocksim.compiler.hazards import HazardTracker, Region
from blocksim.compiler.memory import FirstFit, Ring
from blocksim.compiler.tiling import Tiling
from blocksim.errors import BlocksimError
from blocksim.trace.isa import INSTRUCTION, UNIT_OF, Flag, Opcode, Program, Unit
from blocksim.trace.manifest import ConstantSpec, OperandSpec, OpSpec, TensorSpec
from hwmodels.machines import Machine

OPCODES = {
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
    tilings : dict of str to Tiling
        By operator.
    kept : set of str
        Graph outputs: stored to DRAM.
    where : str
        The machine's file or name, for messages.
    """

    machine: Machine
    specs: dict[str, TensorSpec]
    store: ConstantStore
    tilings: dict[str, Tiling]
    kept: set[str]
    where: str
    dram: dict[str, int] = field(default_factory=dict)
    dram_end: int = 0
    records: list[dict[str, object]] = field(default_factory=list)
    op_id: int = 0

    def __post_init__(self) -> None:
        self.tracker = HazardTracker()
        self.activations = FirstFit(self.machine.sram.activations.nbytes)
        self.weights = Ring(self.machine.sram.weights.nbytes)
        self.dram_end = aligned(self.store.end)
        self.retired = [0] * len(Unit)
        self.tickets: list[tuple[Unit, int]] = []
        self.in_dram: set[str] = set()
        self.next_bank = 0
        self.next_half = 0
        self.tables: dict[str, int] = {}

    # -- operators ---------------------------------------------------------------------------

    def run(self, operators: Sequence[OpSpec]) -> Program:
        """The program of all operators, in order."""
        last_use = {t: i for i, op in enumerate(operators) for t in _reads(op)}
        uses = {
            t: [i for i, op in enumerate(operators) if t in _reads(op)]
            for t in {t for op in operators for t in _reads(op)}
        }
        for i, op in enumerate(operators):
            self.op_id = i
            if op.kind == "host":
                self._host(op)
            else:
                self._on_datapath(op, i, uses)
            if op.out.tensor in self.kept:
                self._store(op.out.tensor)
            for t in [*_reads(op), op.out.tensor]:
                if last_use.get(t, -1) <= i:
                    self.activations.free(t)
        program = np.zeros(len(self.records), INSTRUCTION)
        for i, record in enumerate(self.records):
            for name, value in record.items():
                program[name][i] = value
        return program

    def _on_datapath(self, op: OpSpec, position: int, uses: dict[str, list[int]]) -> None:
        out = self.specs[op.out.tensor]
        tiling = self.tilings[op.name]
        sizes = {t: self.specs[t].nbytes for t in (*_reads(op), out.name)}
        if tiling.spill:
            sizes[_wide(op)] = out.rows * out.columns * -(-self.machine.wide_bits(op.kind) // 8)
        self._place(op, sizes, position, uses)
        if op.kind == "matmul":
            self._matmul(op, tiling)
        else:
            self._vector(op, tiling)
        self.activations.free(_wide(op))

    def _matmul(self, op: OpSpec, tiling: Tiling) -> None:
        assert op.a is not None
        a = self.specs[op.a.tensor]
        weight = self.store.specs[op.weight] if op.weight else None
        bias = self.store.specs[op.bias] if op.bias else None
        for group in range(op.groups):
            for t, (c0, c1) in enumerate(tiling.tiles):
                reads, b_address, bias_address = [], 0, 0
                if weight is not None:
                    parts = [(c, *c.tile_span(t)) for c in (weight, bias) if c is not None]
                    reads = self._load_constants(op, parts)
                    b_address, bias_address = reads[0].start, reads[-1].start
                else:
                    assert op.b is not None
                    b_address = self._address(op.b.tensor)
                    b = self.specs[op.b.tensor]
                    first = group * op.b.row_step
                    span = (first, first + op.k) if op.b.transposed else (first + c0, first + c1)
                    reads += self._rows(b, *span)
                for r0, r1 in tiling.bands:
                    first = group * op.a.row_step
                    rows = self._rows(a, first + r0, first + r1)
                    tile = {"group": group, "row": r0, "rows": r1 - r0, "column": c0, "columns": c1 - c0}
                    wide = self._wide_region(op, tiling, matmul=True)
                    self._emit(
                        Opcode.MATMUL, [*reads, *rows], [wide], flags=self._spilled(tiling),
                        a=self._address(a.name), b=b_address, c=bias_address, dst=wide.start, **tile,
                    )  # fmt: skip
                    if not tiling.spill:
                        self._requant(op, wide, Flag.NONE, tile)
            if tiling.spill:
                tile = {"group": group, "row": 0, "rows": op.m, "column": 0, "columns": op.n}
                self._requant(op, self._wide_region(op, tiling, matmul=True), Flag.SPILL, tile)

    def _vector(self, op: OpSpec, tiling: Tiling) -> None:
        assert op.a is not None
        out, a = self.specs[op.out.tensor], self.specs[op.a.tensor]
        slots = [
            (slot, self.store.specs[name])
            for slot, name in (("b", op.constant or op.weight), ("c", op.bias))
            if name is not None
        ]
        constants = self._load_constants(op, [(spec, 0, spec.size) for _, spec in slots])
        addresses = {slot: region.start for (slot, _), region in zip(slots, constants, strict=True)}
        if op.b is not None:
            addresses["b"] = self._address(op.b.tensor)
        for name, address in op.tables.items():
            constants.append(self._load_table(name, address))
        for r0, r1 in tiling.bands:
            reads = [*self._rows(a, r0, r1), *constants]
            if op.b is not None:
                reads += self._rows(self.specs[op.b.tensor], r0, r1)
            tile = {"row": r0, "rows": r1 - r0, "columns": out.columns}
            wide = self._wide_region(op, tiling, matmul=False)
            self._emit(
                OPCODES[op.kind], reads, [wide], flags=self._spilled(tiling),
                a=self._address(a.name), dst=wide.start, **addresses, **tile,
            )  # fmt: skip
            if not tiling.spill:
                self._requant(op, wide, Flag.NONE, tile)
        if tiling.spill:
            tile = {"row": 0, "rows": out.rows, "columns": out.columns}
            self._requant(op, self._wide_region(op, tiling, matmul=False), Flag.SPILL, tile)

    def _requant(self, op: OpSpec, wide: Region, flags: Flag, tile: dict[str, int]) -> None:
        out = self.specs[op.out.tensor]
        first = tile.get("group", 0) * op.out.row_step + tile["row"]
        self._emit(
            Opcode.REQUANT, [wide], self._rows(out, first, first + tile["rows"]), flags=flags,
            a=wide.start, dst=self._address(out.name), **tile,
        )  # fmt: skip

    def _host(self, op: OpSpec) -> None:
        reads = []
        for source in (s.source for s in op.sources):
            if source in self.specs:
                self._store(source)
                reads.append(self._dram_region(source))
        target = self._dram_region(op.out.tensor)
        self._emit(Opcode.HOST, reads, [target], dst=target.start)
        self.in_dram.add(op.out.tensor)

    # -- memory ------------------------------------------------------------------------------

    def _place(self, op: OpSpec, sizes: dict[str, int], position: int, uses: dict[str, list[int]]) -> None:
        """Bring an operator's tensors into SRAM: its inputs from DRAM where needed, room for the rest.

        While there is no room, the tensor that is needed last goes to DRAM. Where gaps are too small
        although there are enough of them, everything goes, and the operator starts in an empty SRAM.
        """
        inputs = set(_reads(op))
        if not self._fit(sizes, inputs, position, uses):
            for name in list(self.activations.taken):
                if name not in sizes or name in inputs:
                    self._store(name)
                self.activations.free(name)
            if not self._fit(sizes, inputs, position, uses):
                raise BlocksimError(
                    self.where,
                    "sram.activations.kib",
                    self.machine.sram.activations.kib,
                    f"too small for {op.name}, whose tensors need {-(-sum(sizes.values()) // 1024)} or more",
                )

    def _fit(
        self, sizes: dict[str, int], inputs: set[str], position: int, uses: dict[str, list[int]]
    ) -> bool:
        """Allocate what is not there yet, and load inputs; False where that cannot be done."""
        for name, size in sizes.items():
            if name in self.activations.taken:
                continue
            while self.activations.allocate(name, size) is None:
                others = [t for t in self.activations.taken if t not in sizes]
                if not others:
                    return False

                def next_use(t: str) -> int:
                    return min((u for u in uses.get(t, []) if u >= position), default=1 << 30)

                victim = max(others, key=next_use)
                self._store(victim)
                self.activations.free(victim)
            if name in inputs:
                source = self._dram_region(name)
                target = Region("activations", self._address(name), size)
                self._emit(Opcode.LOAD, [source], [target], a=source.start, dst=target.start, size=size)
        return True

    def _store(self, name: str) -> None:
        if name in self.in_dram:
            return
        spec, target = self.specs[name], self._dram_region(name)
        source = Region("activations", self._address(name), spec.nbytes)
        self._emit(Opcode.STORE, [source], [target], a=source.start, dst=target.start, size=spec.nbytes)
        self.in_dram.add(name)

    def _dram_region(self, name: str) -> Region:
        spec = self.specs[name]
        if name not in self.dram:
            self.dram[name] = self.dram_end
            self.dram_end = aligned(self.dram_end + spec.nbytes)
        return Region("dram", self.dram[name], spec.nbytes)

    def _load_constants(self, op: OpSpec, parts: list[tuple[ConstantSpec, int, int]]) -> list[Region]:
        """Load what one instruction reads, given as constants with offset and size, in one piece."""
        if not parts:
            return []
        total = sum(aligned(size) for _, _, size in parts)
        at = self.weights.allocate(total)
        if at is None:
            raise BlocksimError(
                self.where,
                "sram.weights.kib",
                self.machine.sram.weights.kib,
                f"too small for {op.name}, one tile of {parts[0][0].name} needs {-(-total // 1024)} or more",
            )
        regions = []
        for spec, offset, size in parts:
            source, target = Region("dram", spec.address + offset, size), Region("weights", at, size)
            self._emit(
                Opcode.LOAD, [source], [target], flags=Flag.TO_WEIGHTS, a=source.start, dst=at, size=size
            )
            regions.append(target)
            at += aligned(size)
        return regions

    def _load_table(self, name: str, address: int) -> Region:
        spec = self.store.specs[name]
        region = Region("tables", address, spec.size)
        if name not in self.tables:
            self.tables[name] = address
            source = Region("dram", spec.address, spec.size)
            self._emit(
                Opcode.LOAD, [source], [region],
                flags=Flag.TO_TABLES, a=source.start, dst=address, size=spec.size,
            )  # fmt: skip
        return region

    def _address(self, name: str) -> int:
        return self.activations.taken[name][0]

    def _rows(self, spec: TensorSpec, first: int, last: int) -> list[Region]:
        """The codes and the exponents of some rows of a tensor in SRAM."""
        base = self._address(spec.name)
        width = spec.columns * spec.bits // 8
        across = len(spec.column_starts)
        b0, b1 = int(spec.row_index[first]), int(spec.row_index[last - 1]) + 1
        return [
            Region("activations", base + first * width, (last - first) * width),
            Region("activations", base + spec.codes_bytes + b0 * across, (b1 - b0) * across),
        ]

    def _wide_region(self, op: OpSpec, tiling: Tiling, matmul: bool) -> Region:
        """Where the sums of the next tile go."""
        if tiling.spill:
            at, size = self.activations.taken[_wide(op)]
            return Region("activations", at, size)
        if matmul:
            bank = self.next_bank
            self.next_bank = (bank + 1) % self.machine.accumulator.banks
            return Region("accumulator", bank, 1)
        half = self.next_half
        self.next_half = 1 - half
        return Region("vector", half, 1)

    # -- records -----------------------------------------------------------------------------

    @staticmethod
    def _spilled(tiling: Tiling) -> Flag:
        return Flag.SPILL if tiling.spill else Flag.NONE

    def _emit(
        self,
        opcode: Opcode,
        reads: list[Region],
        writes: list[Region],
        flags: Flag = Flag.NONE,
        **fields: int,
    ) -> None:
        index, unit = len(self.records), UNIT_OF[opcode]
        waits: set[int] = set()
        for region in reads:
            waits |= self.tracker.read(region, index)
        for region in writes:
            waits |= self.tracker.write(region, index)
        tickets = [0] * len(Unit)
        for other in waits - {index}:
            other_unit, ticket = self.tickets[other]
            tickets[other_unit] = max(tickets[other_unit], ticket)
        self.retired[unit] += 1
        self.tickets.append((unit, self.retired[unit]))
        self.records.append(
            {
                "opcode": opcode,
                "unit": unit,
                "flags": flags,
                "op_id": self.op_id,
                **fields,
                "wait": tickets,
            }
        )


def _wide(op: OpSpec) -> str:
    return f"{op.name}.wide"


def _reads(op: OpSpec) -> list[str]:
    operands: list[OperandSpec | None] = [op.a, op.b]
    return [o.tensor for o in operands if o is not None] + [s.source for s in op.sources]
