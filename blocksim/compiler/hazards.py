"""Hazards: which earlier instructions one must wait for, from the bytes that each reads and writes."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Region:
    """A stretch of a memory."""

    space: str
    start: int
    size: int

    def overlaps(self, other: Region) -> bool:
        """Whether the two share a byte."""
        return self.start < other.start + other.size and other.start < self.start + self.size


@dataclass
class _Use:
    region: Region
    writers: list[int]
    readers: list[int] = field(default_factory=list)


@dataclass
class HazardTracker:
    """The last writers and the readers since, of every region of every memory."""

    uses: dict[str, list[_Use]] = field(default_factory=dict)

    def read(self, region: Region, instruction: int) -> set[int]:
        """Enter a read; returns the writers that it must wait for."""
        waits: set[int] = set()
        for use in self.uses.setdefault(region.space, []):
            if use.region.overlaps(region):
                waits.update(use.writers)
                use.readers.append(instruction)
        return waits

    def write(self, region: Region, instruction: int) -> set[int]:
        """Enter a write; returns the readers and writers that it must wait for.

        A region that the write covers altogether is forgotten; one that it covers in part stays, so
        that later readers of the rest still find its writers.
        """
        waits: set[int] = set()
        kept = []
        for use in self.uses.setdefault(region.space, []):
            if use.region.overlaps(region):
                waits.update(use.writers, use.readers)
                inside = (
                    region.start <= use.region.start
                    and use.region.start + use.region.size <= region.start + region.size
                )
                if inside:
                    continue
            kept.append(use)
        kept.append(_Use(region, [instruction]))
        self.uses[region.space] = kept
        return waits
