"""Writing a program: each instruction with the tickets that the bytes it touches ask for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from blocksim.compiler.hazards import HazardTracker, Region
from blocksim.trace.isa import INSTRUCTION, UNIT_OF, Flag, Opcode, Program, Unit

Field = int | tuple[int, int]


@dataclass
class ProgramWriter:
    """Collects instructions in program order.

    Attributes
    ----------
    op_id : int
        The operator at hand: goes into every record.
    """

    op_id: int = 0
    records: list[dict[str, object]] = field(default_factory=list)
    tracker: HazardTracker = field(default_factory=HazardTracker)
    retired: list[int] = field(default_factory=lambda: [0] * len(Unit))
    tickets: list[tuple[Unit, int]] = field(default_factory=list)

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
        record = {"opcode": opcode, "unit": unit, "flags": flags, "op_id": self.op_id}
        self.records.append({**record, **fields, "wait": tickets})

    def move(self, opcode: Opcode, source: Region, target: Region, flags: Flag = Flag.NONE) -> None:
        """A LOAD or a STORE of all bytes of a region."""
        self.emit(
            opcode, [source], [target], flags, a=source.start, dst=target.start, size=source.size
        )  # fmt: skip

    def program(self) -> Program:
        """The instructions so far."""
        out = np.zeros(len(self.records), INSTRUCTION)
        for i, record in enumerate(self.records):
            for name, value in record.items():
                out[name][i] = value
        return out
