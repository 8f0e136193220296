"""Widths and shapes of ports."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from hwmodels.units import ports
from hwmodels.units.ports import FLAG, flat, leaves, map_leaves, signed, unflat, unsigned, zeros


class Part(NamedTuple):
    x: Any
    y: Any


SHAPE = Part(signed(4), (Part(FLAG, (unsigned(3), FLAG)), Part(FLAG, (unsigned(3), FLAG))))


@pytest.mark.parametrize(("width", "low", "high"), [(signed(4), -8, 7), (unsigned(3), 0, 7), (FLAG, 0, 1)])
def test_what_a_width_holds(width: ports.Width, low: int, high: int) -> None:
    held = [x for x in range(-20, 21) if width.holds(x)]
    assert held == list(range(low, high + 1))


def test_names_of_leaves() -> None:
    inner = ["x", "y[0]", "y[1]"]
    assert [n for n, _ in leaves(SHAPE)] == ["x", *(f"y[{i}].u.{n}" for i in (0, 1) for n in inner)]
    assert [n for n, _ in leaves(Part(FLAG, Part(FLAG, FLAG)))] == ["x", "y.x", "y.y"]
    nested = Part(FLAG, (((Part(FLAG, FLAG),),),))
    assert [n for n, _ in leaves(nested)] == ["x", "y[0].at[0].at[0].u.x", "y[0].at[0].at[0].u.y"]
    assert [n for n, _ in leaves(Part((FLAG, FLAG), ((FLAG, FLAG),)))] == [
        "x[0]",
        "x[1]",
        "y[0][0]",
        "y[0][1]",
    ]


def test_shapes_come_back() -> None:
    values = list(range(7))
    made = unflat(SHAPE, values)
    assert made == Part(0, (Part(1, (2, 3)), Part(4, (5, 6))))
    assert isinstance(made, Part) and isinstance(made.y[0], Part)
    assert flat(made) == values
    assert flat(zeros(SHAPE)) == [0] * 7
    assert map_leaves(lambda a, b: a + b, made, made) == Part(0, (Part(2, (4, 6)), Part(8, (10, 12))))
    assert [w.bits for w in flat(SHAPE)] == [4, 1, 3, 1, 1, 3, 1]
    with pytest.raises(ValueError, match="zip"):
        map_leaves(lambda a, b: a, (1, 2), (1,))
