"""Memory: first-fit allocation of the activation SRAM, and a ring for weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

ALIGNMENT = 64


@dataclass
class FirstFit:
    """An SRAM whose tensors come and go.

    Attributes
    ----------
    capacity : int
        Bytes.
    taken : dict of str to (int, int)
        Address and size of each tensor that lies in it.
    peak : int
        Most bytes taken at a time.
    """

    capacity: int
    taken: dict[str, tuple[int, int]] = field(default_factory=dict)
    peak: int = 0

    def allocate(self, name: str, nbytes: int) -> int | None:
        """An address for `name`, or None where no gap is large enough."""
        size = -(-nbytes // ALIGNMENT) * ALIGNMENT
        at = 0
        for address, length in sorted(self.taken.values()):
            if address - at >= size:
                break
            at = max(at, address + length)
        if at + size > self.capacity:
            return None
        self.taken[name] = (at, size)
        self.peak = max(self.peak, sum(length for _, length in self.taken.values()))
        return at

    def free(self, name: str) -> None:
        """Give the bytes of `name` back."""
        self.taken.pop(name, None)


@dataclass
class Ring:
    """An SRAM that is filled round and round; who overwrites waits for who still reads."""

    capacity: int
    head: int = 0

    def allocate(self, nbytes: int, kept: Sequence[tuple[int, int]] = ()) -> int | None:
        """The next address that has `nbytes` in one piece, or None where they never fit.

        `kept` are addresses and sizes of what must not be overwritten.
        """
        size = -(-nbytes // ALIGNMENT) * ALIGNMENT
        for start in (self.head, 0):
            at = start
            for address, length in sorted(kept):
                if at < address + length and address < at + size:
                    at = -(-(address + length) // ALIGNMENT) * ALIGNMENT
            if at + size <= self.capacity:
                self.head = at + size
                return at
        return None
