"""Codes brought into the order in which the microkernel reads them, many at a time."""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from hwmodels.kernels.instructions import I8, I16, I32, I64, LANES, WORDS, joined, load, numbers, pairs, store
from hwmodels.kernels.jit import emitted
from hwmodels.kernels.target import KIND, OFFSET, PANEL, STEP, TILE, VNNI
from hwmodels.kernels.tile import Grid, repeated

BLOCK = 16
"""Codes of a row that are brought into order at a time."""

LARGEST = 1 << 7
"""The largest magnitude of a code of A."""


@emitted
def pack_step(typing: Any, to: Any, source: Any) -> Any:
    """`STEP` codes of a row, from one address to another, as `A_TYPE` and with `OFFSET` added."""

    def code(context: Any, b: ir.IRBuilder, _signature: Any, given: Any) -> Any:
        codes = load(b, given[1], 0, ir.VectorType(I8, STEP))
        store(b, _of_a(b, codes), given[0], 0)
        return context.get_dummy_value()

    return numbers(to, source), code


@emitted
def pack_block(typing: Any, to: Any, sources: Any, place: Any) -> Any:
    """`BLOCK` codes of all rows of a tile, from a place in the rows that start at `sources`."""

    def code(context: Any, b: ir.IRBuilder, _signature: Any, given: Any) -> Any:
        to, sources, place = given
        store(b, _of_a(b, joined(b, _steps_of_rows(b, sources, place))), to, 0)
        return context.get_dummy_value()

    return numbers(to, sources, place), code


@emitted
def lay_block(typing: Any, to: Any, sources: Any, place: Any) -> Any:
    """`BLOCK` codes of as many columns of a panel as a tile has rows, from a place in their lines."""

    def code(context: Any, b: ir.IRBuilder, _signature: Any, given: Any) -> Any:
        to, sources, place = given
        for k, codes in enumerate(_steps_of_rows(b, sources, place)):
            store(b, codes, to, k * PANEL * STEP)
        return context.get_dummy_value()

    return numbers(to, sources, place), code


@emitted
def lay_step(typing: Any, to: Any, source: Any, stride: Any) -> Any:
    """One packed step of a panel, whose lines lie across the rows of a matrix `stride` bytes apart."""

    def code(context: Any, b: ir.IRBuilder, _signature: Any, given: Any) -> Any:
        to, source, stride = given
        rows = [
            load(b, b.add(source, b.mul(stride, ir.Constant(I64, q))), 0, ir.VectorType(I8, PANEL))
            for q in range(STEP)
        ]
        order = [q * PANEL + j for j in range(PANEL) for q in range(STEP)]
        store(b, _ordered(b, joined(b, rows), order), to, 0)
        return context.get_dummy_value()

    return numbers(to, source, stride), code


@emitted
def column_sums(typing: Any, codes: Any, steps: Any, offset: Any, limit: Any) -> Any:
    """Of so many packed steps of a panel what takes off `OFFSET`, and how large a sum of products can be."""

    def code(context: Any, b: ir.IRBuilder, _signature: Any, given: Any) -> Any:
        codes, steps, offset, limit = given
        nothing = ir.Constant(WORDS, [0] * LANES)

        def body(k: ir.Value, before: Grid) -> Grid:
            own = b.add(codes, b.mul(k, ir.Constant(I64, PANEL * STEP)))
            after: Grid = []
            for c, (total, size) in enumerate(before):
                x = load(b, own, c * LANES * STEP, ir.VectorType(I8, LANES * STEP))
                x = b.sext(x, ir.VectorType(I16, LANES * STEP))
                minus = b.neg(x)
                positive = b.select(b.icmp_signed("<", x, minus), minus, x)
                after.append([b.add(total, _of_columns(b, x)), b.add(size, _of_columns(b, positive))])
            return after

        for c, (total, size) in enumerate(repeated(b, steps, [[nothing, nothing]] * (PANEL // LANES), body)):
            store(b, b.mul(total, ir.Constant(WORDS, [-OFFSET] * LANES)), offset, 4 * c * LANES)
            store(b, b.mul(size, ir.Constant(WORDS, [LARGEST] * LANES)), limit, 4 * c * LANES)
        return context.get_dummy_value()

    return numbers(codes, steps, offset, limit), code


def _of_columns(b: ir.IRBuilder, codes: ir.Value) -> ir.Value:
    """Each column's `STEP` codes added up."""
    while codes.type.count > LANES:
        codes = pairs(b, codes)
    return b.sext(codes, WORDS)


def _steps_of_rows(b: ir.IRBuilder, sources: ir.Value, place: ir.Value) -> list[ir.Value]:
    """`BLOCK` codes of as many rows as a tile has: the packed steps, of each row `STEP` codes."""
    starts = [load(b, sources, 8 * r, I64) for r in range(TILE)]
    rows = [load(b, b.add(x, place), 0, ir.VectorType(I8, BLOCK)) for x in starts]
    codes = joined(b, rows)
    return [
        _ordered(b, codes, [r * BLOCK + k + q for r in range(TILE) for q in range(STEP)])
        for k in range(0, BLOCK, STEP)
    ]


def _ordered(b: ir.IRBuilder, codes: ir.Value, order: list[int]) -> ir.Value:
    """Those codes of a vector in this order."""
    kind = ir.VectorType(I32, len(order))
    return b.shuffle_vector(codes, ir.Constant(codes.type, ir.Undefined), ir.Constant(kind, order))


def _of_a(b: ir.IRBuilder, codes: ir.Value) -> ir.Value:
    """Codes of A as the microkernel reads them."""
    if KIND == VNNI:
        return b.xor(codes, ir.Constant(codes.type, [OFFSET] * codes.type.count))  # adds it, modulo 256
    return b.sext(codes, ir.VectorType(I16, codes.type.count))
