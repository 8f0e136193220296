"""Layout without copies: reshape and transpose only change how a value walks over its tensor."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from blocksim.graph.ir import Axes, Axis


def contiguous(shape: Sequence[int]) -> Axes:
    """A new value: its last axis is the columns, all others are the rows."""
    axes = [Axis(shape[-1], 0, 1)]
    step = 1
    for size in reversed(shape[:-1]):
        axes.insert(0, Axis(size, step, 0) if size > 1 else Axis(1, 0, 0))
        step *= size
    return tuple(axes)


def transpose(axes: Axes, order: Sequence[int]) -> Axes:
    """The axes in another order."""
    return tuple(axes[i] for i in order)


def reshape(axes: Axes, shape: Sequence[int]) -> Axes | None:
    """The same walk in another shape, or None where elements would have to move."""
    if prod(shape) != prod(a.size for a in axes):
        return None
    left = [a for a in _merged(axes) if a.size > 1]
    out: list[Axis] = []
    for size in reversed(shape):
        if size == 1:
            out.insert(0, Axis(1, 0, 0))
            continue
        if not left or left[-1].size % size:
            return None
        last = left.pop()
        out.insert(0, Axis(size, last.row_step, last.column_step))
        if last.size > size:
            rest = last.size // size
            left.append(Axis(rest, last.row_step * size, last.column_step * size))
    return tuple(out)


def _merged(axes: Axes) -> list[Axis]:
    """Neighbouring axes joined where the outer one steps over exactly one run of the inner one."""
    out: list[Axis] = []
    for axis in axes:
        if axis.size == 1:
            continue
        if out:
            outer = out[-1]
            if (outer.row_step, outer.column_step) == (
                axis.row_step * axis.size,
                axis.column_step * axis.size,
            ):
                out[-1] = Axis(outer.size * axis.size, axis.row_step, axis.column_step)
                continue
        out.append(axis)
    return out
