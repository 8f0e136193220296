"""Residency: where a tensor lies while an operator runs, whole in SRAM or through a window of its rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from blocksim.compiler.constants import aligned
from blocksim.compiler.hazards import Region
from blocksim.compiler.memory import FirstFit
from blocksim.compiler.program import ProgramWriter
from blocksim.trace.isa import Opcode
from blocksim.trace.manifest import TensorSpec

SPACE = "activations"
"""The memory that tensors lie in."""

NEVER = 1 << 30


@dataclass
class Window:
    """Two slots for some rows of a tensor: one is filled or drained while the other is worked on.

    Attributes
    ----------
    slots : (int, int)
        Their addresses.
    first, last : int
        The rows that lie in the slot at hand.
    turn : int
        Which slot is at hand.
    """

    slots: tuple[int, int]
    first: int = 0
    last: int = 0
    turn: int = 0

    @property
    def address(self) -> int:
        """The slot at hand."""
        return self.slots[self.turn]


@dataclass
class Residency:
    """The activation SRAM and the tensors' places in DRAM.

    Attributes
    ----------
    memory : FirstFit
    specs : dict of str to TensorSpec
    writer : ProgramWriter
        Takes the LOADs and STOREs.
    dram_end : int
        First free byte of DRAM.
    uses : dict of str to list of int
        The positions of the operators that read a tensor.
    """

    memory: FirstFit
    specs: dict[str, TensorSpec]
    writer: ProgramWriter
    dram_end: int
    uses: Mapping[str, list[int]]
    dram: dict[str, int] = field(default_factory=dict)
    in_dram: set[str] = field(default_factory=set)
    windows: dict[str, Window] = field(default_factory=dict)

    # -- whole tensors -----------------------------------------------------------------------

    def bring(self, sizes: Mapping[str, int], inputs: set[str], position: int) -> bool:
        """Room for what an operator needs whole; inputs that are not there are loaded.

        While there is no room, the tensor that is needed last goes to DRAM. Where gaps are too small
        although there are enough of them, everything goes. False where even an empty SRAM is too small;
        nothing is lost then.
        """
        if sum(aligned(size) for size in sizes.values()) > self.memory.capacity:
            return False
        if self._fit(sizes, inputs, position):
            return True
        self.clear(keep=set(sizes) - inputs, position=position)
        for name in sizes:
            self.memory.free(name)
        return self._fit(sizes, inputs, position)

    def _fit(self, sizes: Mapping[str, int], inputs: set[str], position: int) -> bool:
        for name, size in sizes.items():
            if name in self.memory.taken:
                continue
            while self.memory.allocate(name, size) is None:
                others = [t for t in self.memory.taken if t not in sizes]
                if not others:
                    return False
                victim = max(others, key=lambda t: self._next_use(t, position))
                self._evict(victim, position)
            if name in inputs:
                self.writer.move(Opcode.LOAD, self.dram_region(name), self.region(name))
        return True

    def clear(self, keep: set[str], position: int) -> None:
        """Send everything to DRAM that is needed again, but for scratch and outputs named in `keep`."""
        for name in list(self.memory.taken):
            if name not in keep:
                self._evict(name, position)

    def _evict(self, name: str, position: int) -> None:
        if self._next_use(name, position) < NEVER:
            self.store(name)
        self.memory.free(name)

    def _next_use(self, name: str, position: int) -> int:
        return min((u for u in self.uses.get(name, []) if u >= position), default=NEVER)

    def store(self, name: str) -> None:
        """Send a whole tensor to DRAM, unless it lies there already."""
        if name not in self.in_dram:
            self.writer.move(Opcode.STORE, self.region(name), self.dram_region(name))
            self.in_dram.add(name)

    def region(self, name: str) -> Region:
        """The bytes of a whole tensor in SRAM."""
        return Region(SPACE, self.memory.taken[name][0], self.specs[name].nbytes)

    def dram_region(self, name: str) -> Region:
        """The bytes of a tensor in DRAM, which get a place where they have none."""
        size = self.specs[name].nbytes
        return Region("dram", self.dram_place(name, size), size)

    def dram_place(self, name: str, size: int) -> int:
        """An address in DRAM for something of this size."""
        if name not in self.dram:
            self.dram[name] = self.dram_end
            self.dram_end = aligned(self.dram_end + size)
        return self.dram[name]

    # -- windows -----------------------------------------------------------------------------

    def open(self, name: str, size: int) -> None:
        """Two slots of `size` bytes for a tensor's window; there is room, or it is a fault."""
        addresses = []
        for turn in (0, 1):
            at = self.memory.allocate(f"{name}#{turn}", size)
            assert at is not None, f"no room for a window of {name}"
            addresses.append(at)
        self.windows[name] = Window((addresses[0], addresses[1]))

    def close(self) -> None:
        """Give all windows back."""
        for name in self.windows:
            self.memory.free(f"{name}#0")
            self.memory.free(f"{name}#1")
        self.windows.clear()

    def turn(self, name: str, first: int, last: int) -> None:
        """Go on to other rows of a tensor that lies in a window."""
        window = self.windows[name]
        window.first, window.last, window.turn = first, last, 1 - window.turn

    def load(self, name: str, first: int, last: int) -> None:
        """Go on to other rows, and load them."""
        if (self.windows[name].first, self.windows[name].last) == (first, last):
            return
        self.turn(name, first, last)
        for source, target in self._pieces(name):
            self.writer.move(Opcode.LOAD, source, target)

    def flush(self, name: str) -> None:
        """Store the rows at hand."""
        for target, source in self._pieces(name):
            self.writer.move(Opcode.STORE, source, target)
        self.in_dram.add(name)

    def _pieces(self, name: str) -> list[tuple[Region, Region]]:
        """The codes and the exponents of a window: their bytes in DRAM, and in SRAM."""
        window, home = self.windows[name], self.dram_region(name).start
        codes, n, exponents, e = self.specs[name].window(window.first, window.last)
        at = window.address
        return [
            (Region("dram", home + codes, n), Region(SPACE, at, n)),
            (Region("dram", home + exponents, e), Region(SPACE, at + n, e)),
        ]

    # -- what an instruction says ------------------------------------------------------------

    def place(self, name: str) -> tuple[int, tuple[int, int]]:
        """The address of a tensor, and which rows lie there: the first, and how many."""
        if name in self.windows:
            window = self.windows[name]
            return window.address, (window.first, window.last - window.first)
        return self.memory.taken[name][0], (0, self.specs[name].rows)

    def rows(self, name: str, first: int, last: int) -> list[Region]:
        """The codes and the exponents of some rows of a tensor in SRAM."""
        spec = self.specs[name]
        address, (start, count) = self.place(name)
        codes, n, exponents, e = spec.window(first, last)
        base, whole, table, _ = spec.window(start, start + count)
        return [
            Region(SPACE, address + codes - base, n),
            Region(SPACE, address + whole + exponents - table, e),
        ]
