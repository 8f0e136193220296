"""Writing a program: each instruction with the tickets that the bytes it touches ask for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from blocksim.compiler.hazards import HazardTracker, Region, Tickets, latest
from blocksim.trace.isa import INSTRUCTION, UNIT_OF, Flag, Opcode, Program, Unit

Field = int | tuple[int, int]

CHUNK = 4096
"""Instructions that are collected before they take the form of a program, which is smaller."""


@dataclass
class ProgramWriter:
    """Collects instructions in program order.

    Attributes
    ----------
    op_id : int
        The operator at hand: goes into every record.
    records, chunks : list
        The last instructions, and those before as they go into the program.
    """

    op_id: int = 0
    records: list[dict[str, object]] = field(default_factory=list)
    chunks: list[Program] = field(default_factory=list)
    tracker: HazardTracker = field(default_factory=HazardTracker)
    retired: list[int] = field(default_factory=lambda: [0] * len(Unit))

    def emit(
        self,
        opcode: Opcode,
        reads: Sequence[Region],
        writes: Sequence[Region],
        flags: Flag = Flag.NONE,
        /,
        **fields: Field,
    ) -> None:
        """Append one instruction; `fields` are those of `isa.INSTRUCTION`."""
        unit = UNIT_OF[opcode]
        self.retired[unit] += 1
        ticket = self.retired[unit]
        waits: Tickets = {}
        for region in reads:
            latest(waits, self.tracker.read(region, unit, ticket))
        for region in writes:
            latest(waits, self.tracker.write(region, unit, ticket))
        tickets = [0] * len(Unit)
        for other, count in waits.items():
            tickets[other] = min(count, ticket - 1) if other == unit else count
        record = {"opcode": opcode, "unit": unit, "flags": flags, "op_id": self.op_id}
        self.records.append({**record, **fields, "wait": tickets})
        if len(self.records) == CHUNK:
            self._settle()

    def move(self, opcode: Opcode, source: Region, target: Region, flags: Flag = Flag.NONE) -> None:
        """A LOAD or a STORE of all bytes of a region."""
        self.emit(
            opcode, [source], [target], flags, a=source.start, dst=target.start, size=source.size
        )  # fmt: skip

    def program(self) -> Program:
        """The instructions so far."""
        self._settle()
        return np.concatenate(self.chunks)

    def _settle(self) -> None:
        out = np.zeros(len(self.records), INSTRUCTION)
        for name in INSTRUCTION.names or ():
            blank = (0,) * len(Unit) if name == "wait" else (0, 0) if name.endswith("_window") else 0
            if len(out):
                out[name] = [record.get(name, blank) for record in self.records]
        self.chunks.append(out)
        self.records.clear()
