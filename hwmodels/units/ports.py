"""The widths of a unit's ports and registers, and the shapes they come in.

A unit's inputs, outputs and state are named tuples of integers, of tuples of integers (one per lane or
stage), or of further named tuples (the state of a part). `Ports` has the same shapes with a `Width` in
place of each integer; the RTL has a port or a register of that width and name for each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple


class Width(NamedTuple):
    """Bits of a port or register, and whether they are a two's complement number."""

    bits: int
    signed: bool

    def holds(self, x: int) -> bool:
        """Whether a number fits."""
        low = -(1 << self.bits - 1) if self.signed else 0
        return low <= x < low + (1 << self.bits)


def signed(bits: int) -> Any:
    """The `Width` of a two's complement number, in the place of an integer."""
    return Width(bits, True)


def unsigned(bits: int) -> Any:
    """The `Width` of a number that is not negative, in the place of an integer."""
    return Width(bits, False)


FLAG = unsigned(1)
"""One bit: 1 where something holds."""


@dataclass(frozen=True)
class Ports:
    """Widths of everything that a unit's `step` takes and gives.

    Attributes
    ----------
    inputs, state, outputs : named tuple
        As those of `step`, with a `Width` for each integer.
    """

    inputs: Any
    state: Any
    outputs: Any


def map_leaves(f: Callable[..., Any], first: Any, *others: Any) -> Any:
    """The same shape with `f` of each leaf, or of the leaves at the same place of several shapes."""
    if isinstance(first, tuple) and not isinstance(first, Width):
        parts = [map_leaves(f, *together) for together in zip(first, *others, strict=True)]
        return type(first)(*parts) if hasattr(first, "_fields") else tuple(parts)
    return f(first, *others)


def leaves(shape: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf with its name in the RTL.

    A field of a named tuple is ``field``; of a part's, ``part.field``. A tuple is an array ``field[i]``; a
    tuple of parts is the instance ``u`` in a generate block each, ``field[i].u.x``, and a tuple of tuples
    of parts is a block in a block, ``field[i].at[j].u.x``.

    >>> dict(leaves(((1, 2), 3), "x"))
    {'x[0][0]': 1, 'x[0][1]': 2, 'x[1]': 3}
    """
    if hasattr(shape, "_fields") and not isinstance(shape, Width):
        for field, part in zip(shape._fields, shape, strict=True):
            yield from leaves(part, f"{name}.{field}" if name else field)
    elif isinstance(shape, tuple) and not isinstance(shape, Width):
        for i, part in enumerate(shape):
            yield from leaves(part, f"{name}[{i}]" + _block(part))
    else:
        yield name, shape


def _block(part: Any) -> str:
    if hasattr(part, "_fields") and not isinstance(part, Width):
        return ".u"
    return ".at" if _holds_parts(part) else ""


def _holds_parts(part: Any) -> bool:
    if isinstance(part, Width) or not isinstance(part, tuple):
        return False
    return any((hasattr(p, "_fields") and not isinstance(p, Width)) or _holds_parts(p) for p in part)


def flat(shape: Any) -> list[Any]:
    """The leaves in order.

    >>> flat(((1, 2), 3))
    [1, 2, 3]
    """
    return [leaf for _, leaf in leaves(shape)]


def unflat(shape: Any, values: list[Any]) -> Any:
    """The shape with these leaves, in order."""
    rest = iter(values)
    return map_leaves(lambda _: next(rest), shape)


def zeros(shape: Any) -> Any:
    """The shape with zeros: what a simulation starts from before its reset."""
    return map_leaves(lambda _: 0, shape)
