"""A small vocabulary for kernels that write their instructions themselves: vectors, addresses, copies."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core.cgutils import raw_memcpy

from hwmodels.kernels.jit import emitted

LANES = 16
"""Numbers of 32 bits in one vector."""

I1, I8, I16, I32, I64 = (ir.IntType(bits) for bits in (1, 8, 16, 32, 64))
WORDS = ir.VectorType(I32, LANES)


def numbers(*given: Any, gives: Any = types.void) -> Any:
    """The signature of what takes as many 64-bit numbers, and gives nothing, or another."""
    return gives(*(types.int64 for _ in given))


def load(b: ir.IRBuilder, address: ir.Value, byte: int, kind: ir.Type) -> ir.Value:
    """What lies in memory at `byte` after an address."""
    where = b.inttoptr(b.add(address, ir.Constant(I64, byte)), kind.as_pointer())
    return b.load(where, align=_bytes(kind))


def store(b: ir.IRBuilder, value: ir.Value, address: ir.Value, byte: int) -> None:
    """Put a value there."""
    where = b.inttoptr(b.add(address, ir.Constant(I64, byte)), value.type.as_pointer())
    b.store(value, where, align=_bytes(value.type))


def _bytes(kind: ir.Type) -> int:
    """Of a number, or of an element of a vector: what its address is a multiple of."""
    element = kind.element if isinstance(kind, ir.VectorType) else kind
    return int(element.width) // 8


def splat(b: ir.IRBuilder, x: ir.Value, count: int = LANES) -> ir.Value:
    """A number in every lane of a vector."""
    kind = ir.VectorType(x.type, count)
    one = b.insert_element(ir.Constant(kind, ir.Undefined), x, ir.Constant(I32, 0))
    order = ir.Constant(ir.VectorType(I32, count), [0] * count)
    return b.shuffle_vector(one, ir.Constant(kind, ir.Undefined), order)


def reduced(b: ir.IRBuilder, operation: str, x: ir.Value) -> ir.Value:
    """A vector's lanes added up (``add``), the largest (``smax``), or what any of them has set (``or``)."""
    name = f"llvm.vector.reduce.{operation}.v{x.type.count}i{x.type.element.width}"
    function = b.module.globals.get(name) or ir.Function(
        b.module, ir.FunctionType(x.type.element, [x.type]), name
    )
    return b.call(function, [x])


def pairs(b: ir.IRBuilder, x: ir.Value) -> ir.Value:
    """The sums of a vector's neighbours."""
    n = x.type.count // 2
    kind, none = ir.VectorType(I32, n), ir.Constant(x.type, ir.Undefined)
    even, odd = (ir.Constant(kind, [2 * i + odd for i in range(n)]) for odd in (0, 1))
    return b.add(b.shuffle_vector(x, none, even), b.shuffle_vector(x, none, odd))


def joined(b: ir.IRBuilder, parts: list[ir.Value]) -> ir.Value:
    """Vectors side by side."""
    while len(parts) > 1:
        n = 2 * parts[0].type.count
        order = ir.Constant(ir.VectorType(I32, n), list(range(n)))
        parts = [b.shuffle_vector(x, y, order) for x, y in zip(parts[::2], parts[1::2], strict=True)]
    return parts[0]


def phi(b: ir.IRBuilder, *incoming: tuple[ir.Value, ir.Block]) -> ir.Value:
    """A value that depends on the block that came before."""
    made = b.phi(incoming[0][0].type)
    for value, block in incoming:
        made.add_incoming(value, block)
    return made


def copied(b: ir.IRBuilder, to: ir.Value, source: ir.Value, size: ir.Value) -> None:
    """Copy bytes from one address to another."""
    pointer = I8.as_pointer()
    raw_memcpy(b, b.inttoptr(to, pointer), b.inttoptr(source, pointer), size, 1)


@emitted
def address(typing: Any, array: Any) -> Any:
    """Where an array's elements lie. Unlike ``array.ctypes.data`` it counts no reference."""

    def code(context: Any, b: ir.IRBuilder, signature: Any, given: Any) -> Any:
        data = context.make_array(signature.args[0])(context, b, given[0]).data
        return b.ptrtoint(data, I64)

    return types.int64(array), code


@emitted
def item_size(typing: Any, array: Any) -> Any:
    """Bytes of an element. Unlike ``array.itemsize`` it is known when a kernel is compiled."""

    def code(_context: Any, _b: ir.IRBuilder, signature: Any, _given: Any) -> Any:
        return ir.Constant(I64, signature.args[0].dtype.bitwidth // 8)

    return types.int64(array), code


@emitted
def copy(typing: Any, to: Any, source: Any, size: Any) -> Any:
    """Copy `size` bytes from one address to another."""

    def code(context: Any, b: ir.IRBuilder, _signature: Any, given: Any) -> Any:
        copied(b, *given)
        return context.get_dummy_value()

    return numbers(to, source, size), code
