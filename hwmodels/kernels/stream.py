"""A unit's functions over the elements of a row, as one vector loop.

`stream` turns a body over `Lanes` into something that a compiled kernel can call: it loads the elements of
a row, applies the body sixteen elements at a time, and stores what that gives; `grid` does so for several
rows. The last elements of a row take the same way through a buffer, so that there is one body and no other.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from llvmlite import ir
from numba import types
from numba.core import cgutils

from hwmodels.kernels.instructions import I32, I64, LANES, copied, load, reduced, splat, store
from hwmodels.kernels.jit import emitted
from hwmodels.kernels.lanes import Lanes, LoadedTable, Number, at, bits_for

CHECKED = "BLOCKSIM_CHECKED" in os.environ
"""Whether a loop stops the program where a number is none that it was made for. That tests ask for."""

SIZES = (8, 16, 32, 64)
"""Widths in memory."""


class Read(NamedTuple):
    """A row that is read: the width of its elements in memory, and the values they can have."""

    bits: int
    low: int
    high: int


def signed(bits: int, stored: int) -> Read:
    """Elements of so many signed bits in words of `stored` bits."""
    return Read(stored, -(1 << bits - 1), (1 << bits - 1) - 1)


FLAGS = Read(8, 0, 1)
"""Booleans."""


class Scalar(NamedTuple):
    """What is the same for a whole row, and the values it can have."""

    low: int
    high: int


def unsigned(bits: int) -> Scalar:
    """A number of so many bits without a sign."""
    return Scalar(0, (1 << bits) - 1)


class Fold(NamedTuple):
    """How a row is reduced to one number: the operation, and the width of the lanes of what it has so far."""

    operation: str
    bits: int

    @property
    def neutral(self) -> int:
        """What changes nothing."""
        return 0 if self.operation == "add" else -(1 << self.bits - 1)

    def joined(self, b: ir.IRBuilder, x: ir.Value, y: ir.Value) -> ir.Value:
        """Two numbers, or two vectors of them, as one."""
        return b.add(x, y) if self.operation == "add" else b.select(b.icmp_signed(">", x, y), x, y)


ADD, ADD_32, MOST, MOST_32 = Fold("add", 64), Fold("add", 32), Fold("smax", 64), Fold("smax", 32)
"""The sum and the largest number, and these of numbers whose sum, or which, 32 bits hold."""

Body = Callable[[Sequence[Number], Sequence[Number], Sequence[LoadedTable]], Sequence[Number]]
"""``(elements read, scalars, tables) -> (elements written, then what is reduced)``."""


@dataclass(frozen=True)
class _Loop:
    """One vector loop: see `stream`."""

    body: Body
    reads: tuple[Read, ...]
    writes: tuple[int, ...]
    scalars: tuple[Scalar, ...]
    tables: tuple[Scalar, ...]
    folds: tuple[Fold, ...]

    def __post_init__(self) -> None:
        """Refuse what no memory holds."""
        for bits in (*(r.bits for r in self.reads), *self.writes):
            if bits not in SIZES:
                raise ValueError(f"{bits} bits: elements in memory have {SIZES}")
        for fold in self.folds:
            if fold.bits not in (32, 64):
                raise ValueError(f"{fold}: rows are reduced in 32 or 64 bits")
        for read in self.reads:
            if read.high - read.low >= 1 << read.bits:
                raise ValueError(f"{read}: more values than codes")

    def emit(
        self,
        b: ir.IRBuilder,
        rows: ir.Value,
        n: ir.Value,
        reads: Sequence[ir.Value],
        writes: Sequence[ir.Value],
        steps: Sequence[ir.Value],
        scalars: Sequence[ir.Value],
        tables: Sequence[ir.Value],
        folds: ir.Value,
    ) -> None:
        """The loop over rows, and over whole vectors and the rest of each."""
        known = [self._scalar(b, x, kind) for x, kind in zip(scalars, self.scalars, strict=True)]
        loaded = [LoadedTable(x, *kind) for x, kind in zip(tables, self.tables, strict=True)]
        totals = [_buffer(b, fold.bits) for fold in self.folds]
        for total, fold in zip(totals, self.folds, strict=True):
            b.store(_all(fold), total)
        with cgutils.for_range(b, rows, intp=I64) as loop:
            moved = [b.add(x, b.mul(loop.index, s)) for x, s in zip((*reads, *writes), steps, strict=True)]
            self._row(b, n, moved[: len(reads)], moved[len(reads) :], known, loaded, totals)
        for i, (total, fold) in enumerate(zip(totals, self.folds, strict=True)):
            place = b.inttoptr(b.add(folds, ir.Constant(I64, 8 * i)), I64.as_pointer())
            found = reduced(b, fold.operation, b.load(total))
            wide = found if fold.bits == 64 else b.sext(found, I64)
            b.store(fold.joined(b, wide, b.load(place)), place)

    def _row(
        self,
        b: ir.IRBuilder,
        n: ir.Value,
        reads: Sequence[ir.Value],
        writes: Sequence[ir.Value],
        known: Sequence[Number],
        loaded: Sequence[LoadedTable],
        totals: Sequence[ir.Value],
    ) -> None:
        whole = b.lshr(n, ir.Constant(I64, LANES.bit_length() - 1))
        with cgutils.for_range(b, whole, intp=I64) as loop:
            start = b.mul(loop.index, ir.Constant(I64, LANES))
            self._apply(
                b, self._moved(b, reads, [r.bits for r in self.reads], start),
                self._moved(b, writes, self.writes, start), known, loaded, totals, None,
            )  # fmt: skip
        done = b.mul(whole, ir.Constant(I64, LANES))
        rest = b.sub(n, done)
        with b.if_then(b.icmp_signed(">", rest, ir.Constant(I64, 0)), likely=False):
            self._rest(b, reads, writes, done, rest, known, loaded, totals)

    def _rest(
        self,
        b: ir.IRBuilder,
        reads: Sequence[ir.Value],
        writes: Sequence[ir.Value],
        done: ir.Value,
        rest: ir.Value,
        known: Sequence[Number],
        loaded: Sequence[LoadedTable],
        totals: Sequence[ir.Value],
    ) -> None:
        """The last elements of a row, by way of a buffer that has zeros behind them."""
        held_reads, held_writes = [], []
        for address, kind in zip(
            self._moved(b, reads, [r.bits for r in self.reads], done), self.reads, strict=True
        ):
            buffer = _buffer(b, kind.bits)
            b.store(ir.Constant(buffer.type.pointee, None), buffer)
            copied(b, b.ptrtoint(buffer, I64), address, b.mul(rest, ir.Constant(I64, kind.bits // 8)))
            held_reads.append(b.ptrtoint(buffer, I64))
        held_writes = [b.ptrtoint(_buffer(b, bits), I64) for bits in self.writes]
        order = ir.Constant(ir.VectorType(I64, LANES), list(range(LANES)))
        there = b.icmp_signed("<", order, splat(b, rest))
        self._apply(b, held_reads, held_writes, known, loaded, totals, there)
        for to, source, bits in zip(
            self._moved(b, writes, self.writes, done), held_writes, self.writes, strict=True
        ):
            copied(b, to, source, b.mul(rest, ir.Constant(I64, bits // 8)))

    def _apply(
        self,
        b: ir.IRBuilder,
        reads: Sequence[ir.Value],
        writes: Sequence[ir.Value],
        known: Sequence[Number],
        loaded: Sequence[LoadedTable],
        totals: Sequence[ir.Value],
        there: ir.Value | None,
    ) -> None:
        """One vector from loads to stores; `there` says which lanes count."""
        elements = []
        for address, kind in zip(reads, self.reads, strict=True):
            value = load(b, address, 0, ir.VectorType(ir.IntType(kind.bits), LANES))
            if CHECKED:
                _check(b, value, kind, there)
            bits = bits_for(kind.low, kind.high)
            if kind.bits < bits:
                widen = b.zext if kind.low >= 0 else b.sext
                value = widen(value, ir.VectorType(ir.IntType(bits), LANES))
            elif kind.bits > bits:
                value = b.trunc(value, ir.VectorType(ir.IntType(bits), LANES))
            elements.append(Lanes(b, value, kind.low, kind.high, LANES))
        made = list(self.body(elements, known, loaded))
        like = elements[0]
        for address, bits, value in zip(writes, self.writes, made, strict=False):
            store(b, at(like, value, bits), address, 0)
        for total, fold, value in zip(totals, self.folds, made[len(self.writes) :], strict=True):
            new = at(like, value, fold.bits)
            if there is not None:
                new = b.select(there, new, _all(fold))
            b.store(fold.joined(b, new, b.load(total)), total)

    @staticmethod
    def _moved(
        b: ir.IRBuilder, addresses: Sequence[ir.Value], widths: Sequence[int], by: ir.Value
    ) -> list[ir.Value]:
        return [
            b.add(a, b.mul(by, ir.Constant(I64, bits // 8)))
            for a, bits in zip(addresses, widths, strict=True)
        ]

    @staticmethod
    def _scalar(b: ir.IRBuilder, x: ir.Value, kind: Scalar) -> Number:
        bits = bits_for(*kind)
        if CHECKED:
            _check(b, splat(b, x), kind)
        return Lanes(b, splat(b, b.trunc(x, I32) if bits == 32 else x), *kind, LANES)


def _check(b: ir.IRBuilder, value: ir.Value, kind: Read | Scalar, there: ir.Value | None = None) -> None:
    """Stop the program if a lane that counts is out of range."""
    signed_ = kind.low < 0
    vector = ir.VectorType(I64, LANES)
    wide = value if value.type == vector else (b.sext if signed_ else b.zext)(value, vector)
    low, high = (ir.Constant(vector, [x] * LANES) for x in (kind.low, kind.high))
    beyond = b.or_(b.icmp_signed("<", wide, low), b.icmp_signed(">", wide, high))
    if there is not None:
        beyond = b.and_(beyond, there)
    with b.if_then(reduced(b, "or", beyond), likely=False):
        name = "llvm.trap"
        trap = b.module.globals.get(name) or ir.Function(b.module, ir.FunctionType(ir.VoidType(), []), name)
        b.call(trap, [])


def _all(fold: Fold) -> ir.Constant:
    """A vector that changes nothing."""
    return ir.Constant(ir.VectorType(ir.IntType(fold.bits), LANES), [fold.neutral] * LANES)


def _buffer(b: ir.IRBuilder, bits: int) -> ir.Value:
    return cgutils.alloca_once(b, ir.VectorType(ir.IntType(bits), LANES))


def stream(
    body: Body,
    reads: Sequence[Read],
    writes: Sequence[int],
    scalars: Sequence[Scalar] = (),
    tables: Sequence[Scalar] = (),
    folds: Sequence[Fold] = (),
) -> Any:
    """A vector loop for compiled kernels.

    Parameters
    ----------
    body : callable
        See `Body`; read over `Lanes`.
    reads : sequence of Read
        The rows that are read.
    writes : sequence of int
        Widths in memory of the elements that are written.
    scalars : sequence of Scalar
        What is the same for a whole row.
    tables : sequence of Scalar
        Tables of 32-bit entries, and what an entry can be.
    folds : sequence of Fold
        How what the body gives last is reduced.

    Returns
    -------
    callable
        ``(n, reads, writes, scalars, tables, folds)`` for n elements: tuples of addresses and of numbers, and
        the address of 64-bit numbers, to each of which what is reduced is added, or which it may raise.
    """
    loop = _Loop(body, tuple(reads), tuple(writes), tuple(scalars), tuple(tables), tuple(folds))

    @emitted
    def run(typing: Any, n: Any, reads: Any, writes: Any, scalars: Any, tables: Any, folds: Any) -> Any:
        def code(_context: Any, b: ir.IRBuilder, signature: Any, given: Any) -> Any:
            n, *tuples, folds = given
            reads, writes, scalars, tables = (cgutils.unpack_tuple(b, x) for x in tuples)
            none = [ir.Constant(I64, 0)] * (len(reads) + len(writes))
            loop.emit(b, ir.Constant(I64, 1), n, reads, writes, none, scalars, tables, folds)
            return _context.get_dummy_value()

        lists = (_numbers(x) for x in (reads, writes, scalars, tables))
        return types.void(types.int64, *lists, types.int64), code

    return run


def grid(
    body: Body,
    reads: Sequence[Read],
    writes: Sequence[int],
    scalars: Sequence[Scalar] = (),
    tables: Sequence[Scalar] = (),
    folds: Sequence[Fold] = (),
) -> Any:
    """A vector loop over several rows.

    Parameters are those of `stream`.

    Returns
    -------
    callable
        ``(rows, n, reads, writes, steps, scalars, tables, folds)``: as of `stream`, for so many rows. `steps`
        are the bytes from one row to the next of all that is read, then of all that is written; zero for
        what the rows have in common.
    """
    loop = _Loop(body, tuple(reads), tuple(writes), tuple(scalars), tuple(tables), tuple(folds))

    @emitted
    def run(
        typing: Any, rows: Any, n: Any, reads: Any, writes: Any, steps: Any, scalars: Any, tables: Any,
        folds: Any,
    ) -> Any:  # fmt: skip
        def code(_context: Any, b: ir.IRBuilder, signature: Any, given: Any) -> Any:
            rows, n, *tuples, folds = given
            reads, writes, steps, scalars, tables = (cgutils.unpack_tuple(b, x) for x in tuples)
            loop.emit(b, rows, n, reads, writes, steps, scalars, tables, folds)
            return _context.get_dummy_value()

        lists = (_numbers(x) for x in (reads, writes, steps, scalars, tables))
        return types.void(types.int64, types.int64, *lists, types.int64), code

    return run


def _numbers(x: Any) -> Any:
    """The type of a tuple of 64-bit numbers, as long as another."""
    return types.UniTuple(types.int64, len(x)) if len(x) else types.Tuple(())
