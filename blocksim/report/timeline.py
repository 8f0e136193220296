"""The timeline as a drawing: a track for each unit, and below them what each memory moves.

It is SVG, in the ink of the page or notebook around it, so that it reads on light and on dark; what lies
under the pointer is told in words.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import NamedTuple

import numpy as np

from blocksim.engine.schedule import Timeline
from blocksim.errors import BlocksimError
from blocksim.measure.traffic import bytes_over_time
from blocksim.report.style import MEMORIES, QUIET, UNIT_COLOURS
from blocksim.trace.file import Trace
from blocksim.trace.isa import Opcode, Unit

WIDTH, LEFT, RIGHT = 1056, 104, 28
"""Of the drawing and its margins, in pixels."""

TRACK, SLICE, COUNTER, LEVEL, TOP = 30, 18, 52, 36, 44
"""Heights: of a unit's track and of what is drawn in it, of a memory's, and of the title and legend."""

LETTER = 5.4
"""Width of a letter of a label, about."""

PALE = frozenset({Opcode.STORE, Opcode.GATHER})
"""What the DMA engine does besides loading is drawn paler."""


@dataclass(frozen=True)
class Drawing:
    """An SVG that a notebook shows.

    Attributes
    ----------
    svg : str
    """

    svg: str = field(repr=False)

    def _repr_html_(self) -> str:
        return f'<div style="overflow-x:auto">{self.svg}</div>'

    def save(self, path: Path | str) -> None:
        """Write the SVG to a file."""
        Path(path).write_text(self.svg)


class Slice(NamedTuple):
    """Instructions of one unit, operator and opcode that lie so close together that they look like one."""

    unit: Unit
    opcode: Opcode
    operator: str
    start: int
    end: int
    many: int


class Wait(NamedTuple):
    """A free unit that waits, and for what: another unit, or a port."""

    unit: Unit
    cause: str
    start: int
    end: int


def draw_timeline(trace: Trace, timeline: Timeline, first: int = 0, last: int | None = None) -> Drawing:
    """When each unit works and waits, and what memories move, over some cycles of one sample.

    Parameters
    ----------
    trace : Trace
    timeline : Timeline
        Its schedule.
    first, last : int
        The first cycle that is shown, and the first one after; all of them unless told.

    Raises
    ------
    BlocksimError
        If there are no such cycles.
    """
    last = timeline.cycles if last is None else last
    if not 0 <= first < last <= timeline.cycles:
        raise BlocksimError("timeline", "cycles", f"{first} to {last}", f"within 0 to {timeline.cycles:,}")
    return Drawing(_Sheet(trace, timeline, first, last).svg())


class _Sheet:
    """One drawing in the making."""

    def __init__(self, trace: Trace, timeline: Timeline, first: int, last: int) -> None:
        self.trace, self.timeline, self.first, self.last = trace, timeline, first, last
        self.scale = (WIDTH - LEFT - RIGHT) / (last - first)
        used = set(trace.program["unit"].tolist()) - {int(Unit.HOST)}
        self.units = [unit for unit in Unit if unit in used]
        self.height = TOP + TRACK * len(self.units) + COUNTER * len(MEMORIES) + 34

    def svg(self) -> str:
        """The whole."""
        manifest = self.trace.manifest
        shown = (
            f": cycles {self.first:,} to {self.last:,}"
            if self.last - self.first < self.timeline.cycles
            else ""
        )
        title = (
            f"One sample, {self.timeline.cycles:,} cycles: {manifest.precision} on {manifest.machine.name}"
        )
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {self.height}" width="{WIDTH}" '
            f'role="img" aria-label="{escape(title)}" font-family="system-ui, sans-serif" font-size="10" '
            'fill="currentColor">',
            f'<text x="{LEFT}" y="14" font-size="13">{escape(title + shown)}</text>',
            *self.legend(), *self.grid(), *self.tracks(), *self.counters(), "</svg>",
        ]  # fmt: skip
        return "\n".join(parts)

    def x(self, cycle: float) -> float:
        """Where a cycle lies."""
        return LEFT + (min(max(cycle, self.first), self.last) - self.first) * self.scale

    def legend(self) -> Iterator[str]:
        """What marks mean; the units are named at the left."""
        for x, y, height, opacity, whose, meaning in (
            (LEFT, 22, 10, 1, "dma", "works"),
            (LEFT + 62, 22, 10, 0.6, "dma", "stores or gathers"),
            (LEFT + 176, 25, 4, 0.7, "dma", "waits for the unit of this colour"),
            (LEFT + 370, 25, 4, 0.7, "port", "waits for a port"),
        ):
            yield (
                f'<rect x="{x}" y="{y}" width="14" height="{height}" fill="{UNIT_COLOURS[whose]}" '
                f'opacity="{opacity}"/><text x="{x + 19}" y="31" opacity=".8">{meaning}</text>'
            )

    def grid(self) -> Iterator[str]:
        """Cycles along the bottom, and names at the left."""
        bottom = self.height - 24
        for cycle in ticks(self.first, self.last):
            x = self.x(cycle)
            yield f'<path d="M{x:.1f} {TOP - 4}V{bottom}" stroke="currentColor" stroke-opacity=".15"/>'
            yield f'<text x="{x:.1f}" y="{bottom + 13}" text-anchor="middle" opacity=".8">{cycle:,}</text>'
        yield f'<text x="{LEFT - 28}" y="{bottom + 13}" text-anchor="end" opacity=".8">cycle</text>'
        for i, unit in enumerate(self.units):
            y = TOP + i * TRACK + SLICE / 2 + 4
            yield f'<text x="{LEFT - 8}" y="{y}" text-anchor="end">{unit.name.lower()}</text>'

    def tracks(self) -> Iterator[str]:
        """What each unit does, and what it waits for."""
        places = {unit: TOP + i * TRACK for i, unit in enumerate(self.units)}
        for wait in waits(self.trace, self.timeline, self.first, self.last):
            x, end = self.x(wait.start), self.x(wait.end)
            if end - x >= 0.5:
                told = f"waits {wait.end - wait.start:,} cycles for {wait.cause}"
                y = places[wait.unit] + SLICE / 2 - 2
                yield (
                    f'<rect x="{x:.1f}" y="{y:.0f}" width="{end - x:.1f}" height="4" '
                    f'fill="{UNIT_COLOURS[wait.cause]}" opacity=".7"><title>{told}</title></rect>'
                )
        for s in slices(self.trace, self.timeline, self.first, self.last, 0.7 / self.scale):
            x, end = self.x(s.start), self.x(s.end)
            many = f"{s.many:,} instructions, " if s.many > 1 else ""
            told = f"{s.operator}: {s.opcode.name}, {many}cycles {s.start:,} to {s.end:,}"
            y, width = places[s.unit], max(end - x, 0.6)
            faded = ' opacity=".6"' if s.opcode in PALE else ""
            yield (
                f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{SLICE}" '
                f'fill="{UNIT_COLOURS[s.unit.name.lower()]}"{faded}><title>{escape(told)}</title></rect>'
            )
            if width > LETTER * len(s.operator) + 6:
                yield (
                    f'<text x="{x + 4:.1f}" y="{y + SLICE - 5}" fill="#fff" pointer-events="none">'
                    f"{escape(s.operator)}</text>"
                )

    def counters(self) -> Iterator[str]:
        """Bytes per cycle of each memory, the mean over each pixel."""
        edges = np.linspace(self.first, self.last, WIDTH - LEFT - RIGHT + 1)
        top = TOP + TRACK * len(self.units)
        for memory, (cycles, levels) in bytes_over_time(self.trace, self.timeline).items():
            total = (
                np.concatenate([[0.0], np.cumsum(levels[:-1] * np.diff(cycles))]) if len(cycles) else [0.0]
            )
            means = np.diff(np.interp(edges, cycles if len(cycles) else [0], total)) / np.diff(edges)
            most = float(means.max())
            base = top + LEVEL
            heights = np.round(base - means / max(most, 1e-9) * (LEVEL - 8), 1)
            path = "".join(f"V{h:g}h1" for h in heights)
            yield (
                f'<path d="M{LEFT} {base}{path}V{base}Z" fill="{QUIET}">'
                f"<title>{MEMORIES[memory]}: bytes per cycle</title></path>"
            )
            yield f'<text x="{LEFT - 8}" y="{base - 10}" text-anchor="end">{MEMORIES[memory]}</text>'
            scale = f"to {most:,.3g} B/cycle"
            yield f'<text x="{LEFT - 8}" y="{base + 1}" text-anchor="end" opacity=".7">{scale}</text>'
            top += COUNTER


def ticks(first: int, last: int) -> range:
    """Some eight round cycles."""
    rough = (last - first) / 8
    power = 10 ** int(np.floor(np.log10(max(rough, 1))))
    step = int(next(m for m in (1, 2, 5, 10) if m * power >= rough) * power)
    return range(-(-first // step) * step, last + 1, step)


def slices(trace: Trace, timeline: Timeline, first: int, last: int, gap: float) -> Iterator[Slice]:
    """What the units do within some cycles; what lies no further apart than `gap` cycles is one."""
    operators = trace.manifest.operators
    held: dict[Unit, Slice] = {}
    inside = (timeline.end > first) & (timeline.start < last) & (trace.program["unit"] != Unit.HOST)
    for i in np.flatnonzero(inside).tolist():
        record, start, end = trace.program[i], int(timeline.start[i]), int(timeline.end[i])
        unit, opcode = Unit(record["unit"]), Opcode(record["opcode"])
        operator, before = operators[record["op_id"]].name, held.get(unit)
        if before and (before.opcode, before.operator) == (opcode, operator) and start - before.end <= gap:
            held[unit] = before._replace(end=end, many=before.many + 1)
            continue
        if before:
            yield before
        held[unit] = Slice(unit, opcode, operator, start, end, 1)
    yield from held.values()


def waits(trace: Trace, timeline: Timeline, first: int, last: int) -> Iterator[Wait]:
    """What free units wait for within some cycles: first for tickets, then for a port."""
    start = timeline.start
    chosen = (timeline.stall > 0) & (start > first) & (start - timeline.stall < last)
    for i in np.flatnonzero(chosen & (trace.program["unit"] != Unit.HOST)).tolist():
        unit, began = Unit(trace.program["unit"][i]), int(start[i])
        granted = began - int(timeline.port[i])
        asked = began - int(timeline.stall[i])
        if granted > asked:
            yield Wait(unit, Unit(int(timeline.cause[i])).name.lower(), asked, granted)
        if began > granted:
            yield Wait(unit, "port", granted, began)
