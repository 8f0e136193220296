"""Hazards: what an instruction must wait for, from the bytes that it and earlier ones read and write."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Region:
    """A stretch of a memory."""

    space: str
    start: int
    size: int


Tickets = dict[int, int]
"""By unit, the count of retired instructions to wait for. A unit retires in order, so the last one counts."""


@dataclass
class _Piece:
    """Bytes with the same history: who wrote them last, and who read them since."""

    start: int
    end: int
    writers: Tickets
    readers: Tickets = field(default_factory=dict)


@dataclass
class _Space:
    """The written bytes of one memory, as pieces that do not overlap, by their start."""

    starts: list[int] = field(default_factory=list)
    pieces: list[_Piece] = field(default_factory=list)

    def overlapping(self, start: int, end: int) -> tuple[int, int]:
        """First and last index of the pieces that share a byte with a stretch."""
        first = max(0, bisect_right(self.starts, start) - 1)
        while first < len(self.pieces) and self.pieces[first].end <= start:
            first += 1
        last = first
        while last < len(self.pieces) and self.pieces[last].start < end:
            last += 1
        return first, last

    def replace(self, first: int, last: int, pieces: list[_Piece]) -> None:
        """Put other pieces in the place of some."""
        self.pieces[first:last] = pieces
        self.starts[first:last] = [p.start for p in pieces]


@dataclass
class HazardTracker:
    """Keeps the history of every written byte of every memory."""

    spaces: dict[str, _Space] = field(default_factory=dict)

    def read(self, region: Region, unit: int, ticket: int) -> Tickets:
        """Enter a read; returns the writers that it must wait for."""
        space = self.spaces.setdefault(region.space, _Space())
        first, last = space.overlapping(region.start, region.start + region.size)
        waits: Tickets = {}
        for piece in space.pieces[first:last]:
            latest(waits, piece.writers)
            piece.readers[unit] = ticket
        return waits

    def write(self, region: Region, unit: int, ticket: int) -> Tickets:
        """Enter a write; returns the readers and writers that it must wait for.

        Of a piece that the write covers in part, the rest keeps its history.
        """
        space = self.spaces.setdefault(region.space, _Space())
        start, end = region.start, region.start + region.size
        first, last = space.overlapping(start, end)
        waits: Tickets = {}
        kept = [_Piece(start, end, {unit: ticket})]
        for piece in space.pieces[first:last]:
            latest(waits, piece.writers)
            latest(waits, piece.readers)
            if piece.start < start:
                kept.insert(0, _Piece(piece.start, start, dict(piece.writers), dict(piece.readers)))
            if piece.end > end:
                kept.append(_Piece(end, piece.end, dict(piece.writers), dict(piece.readers)))
        space.replace(first, last, kept)
        return waits


def latest(into: Tickets, more: Tickets) -> None:
    """Join tickets: of each unit, the last."""
    for unit, ticket in more.items():
        if into.get(unit, 0) < ticket:
            into[unit] = ticket
