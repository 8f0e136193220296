"""Constants on their way from DRAM into the weight SRAM and the units' table memory, when needed."""

from __future__ import annotations

from dataclasses import dataclass, field

from blocksim.compiler.constants import ConstantStore, aligned
from blocksim.compiler.hazards import Region
from blocksim.compiler.memory import Ring
from blocksim.compiler.program import ProgramWriter
from blocksim.errors import BlocksimError
from blocksim.trace.isa import Flag, Opcode
from blocksim.trace.manifest import ConstantSpec, OpSpec
from hwmodels.machines import Machine

Part = tuple[ConstantSpec, int, int]
"""Some bytes of a constant: offset and size."""

Slot = tuple[str, Region]
"""The field of an instruction that takes an address, and what lies there; no field for a table."""


@dataclass
class ConstantLoader:
    """Fills the weight SRAM round and round, around what the operator at hand keeps.

    Attributes
    ----------
    machine : Machine
    store : ConstantStore
    writer : ProgramWriter
        Takes the LOADs.
    where : str
        The machine's file or name, for messages.
    """

    machine: Machine
    store: ConstantStore
    writer: ProgramWriter
    where: str
    tables: set[str] = field(default_factory=set)
    kept: dict[str, Region] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ring = Ring(self.machine.sram.weights.nbytes)

    def begin(self, op: OpSpec) -> None:
        """Forget what the last operator kept, and load what this one keeps for all its tiles."""
        self.kept.clear()
        names = [op.multiplier, op.copy_multiplier]
        if op.kind != "matmul":
            names += [
                n for n in (op.constant or op.weight or op.mask, op.bias) if n and not self._by_bands(op, n)
            ]
        for name in dict.fromkeys(n for n in names if n is not None and op.kind != "gather"):
            spec = self.store.specs[name]
            (self.kept[name],) = self._load(op, [(spec, 0, spec.size)])

    def tile(self, op: OpSpec, tile: int) -> list[Slot]:
        """The weights and biases of one tile of a product."""
        named = [(s, self.store.specs[n]) for s, n in (("b", op.weight), ("c", op.bias)) if n is not None]
        regions = self._load(op, [(spec, *spec.tile_span(tile)) for _, spec in named])
        return [(slot, region) for (slot, _), region in zip(named, regions, strict=True)]

    def band(self, op: OpSpec, rows: tuple[int, int]) -> tuple[list[Slot], dict[str, tuple[int, int]]]:
        """What a vector operator reads beside activations for some rows, and the rows that lie there."""
        slots: list[Slot] = []
        windows = {}
        for slot, name in (("b", op.constant or op.weight or op.mask), ("c", op.bias)):
            if name is None:
                continue
            if name in self.kept:
                slots.append((slot, self.kept[name]))
                windows[slot] = (0, self.store.specs[name].rows)
                continue
            spec = self.store.specs[name]
            codes, n, exponents, e = spec.window(*rows)
            pieces = [(codes, n)] if spec.role == "mask" else [(codes, n), (exponents, e)]
            slots.append((slot, self._joined(op, spec, pieces)))
            windows[slot] = (rows[0], rows[1] - rows[0])
        for name, at in op.tables.items():
            slots.append(("", self._table(name, at)))
        return slots, windows

    def _by_bands(self, op: OpSpec, name: str) -> bool:
        """Whether a constant has rows of its own for every row of the output."""
        return name in (op.constant, op.mask) and self.store.specs[name].rows > 1

    def _joined(self, op: OpSpec, spec: ConstantSpec, pieces: list[tuple[int, int]]) -> Region:
        """Pieces of a constant, one behind the other."""
        at = self._room(op, spec, sum(size for _, size in pieces))
        first = at
        for offset, size in pieces:
            source, target = Region("dram", spec.address + offset, size), Region("weights", at, size)
            self.writer.move(Opcode.LOAD, source, target, Flag.TO_WEIGHTS)
            at += size
        return Region("weights", first, at - first)

    def _load(self, op: OpSpec, parts: list[Part]) -> list[Region]:
        """Load what one instruction reads, with room for it in one piece."""
        if not parts:
            return []
        at = self._room(op, parts[0][0], sum(aligned(size) for _, _, size in parts))
        regions = []
        for spec, offset, size in parts:
            source, target = Region("dram", spec.address + offset, size), Region("weights", at, size)
            self.writer.move(Opcode.LOAD, source, target, Flag.TO_WEIGHTS)
            regions.append(target)
            at += aligned(size)
        return regions

    def _room(self, op: OpSpec, spec: ConstantSpec, size: int) -> int:
        at = self.ring.allocate(size, [(r.start, r.size) for r in self.kept.values()])
        if at is None:
            raise BlocksimError(
                self.where,
                "sram.weights.kib",
                self.machine.sram.weights.kib,
                f"too small for {op.name}, which needs {-(-size // 1024)} or more of {spec.name} at a time",
            )
        return at

    def _table(self, name: str, address: int) -> Region:
        spec = self.store.specs[name]
        region = Region("tables", address, spec.size)
        if name not in self.tables:
            self.tables.add(name)
            source = Region("dram", spec.address, spec.size)
            self.writer.move(Opcode.LOAD, source, region, Flag.TO_TABLES)
        return region
