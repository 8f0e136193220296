"""What the memories around the array hold of a product, by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hwmodels.units import array_run
from hwmodels.units.accumulator import AccumulatorConfig
from hwmodels.units.aligner import BOUND, EXACT, AlignerConfig
from hwmodels.units.array_run import Memories
from hwmodels.units.built_array import BuiltArray
from hwmodels.units.column import Place
from hwmodels.units.mac_array import MacArrayConfig, MatmulOperands
from hwmodels.units.ops import RNE, ZERO_BLOCK

OWN = MacArrayConfig(
    2, 3, "ws", True, 2, False, BOUND, "none", 64,
    AlignerConfig(8, 31, RNE), AccumulatorConfig(32, True, 16, 2, 1),
)  # fmt: skip
A, W = [[1, 2, 3, 4, 5]], [[-1, -2, -3, -4, -5], [6, 7, 8, 9, 10]]
AE, WE = [[7, -3, 5, 9]], [[1, 2, 3, 4], [-4, -3, -2, -1]]


def memories(config: MacArrayConfig = OWN, bias: bool = False) -> Memories:
    """A reduction of 5 in segments of 1, 1, 2 and 1: three folds of 2 rows, with 2, 1 and 1 of them."""
    biases = ([11, -12], [-6, 3]) if bias else (None, None)
    o = MatmulOperands(A, AE, W, WE, *biases, [0, 1, 2, 4], [False, True, True, True], 8, 8)
    return array_run.memories_of(BuiltArray(config), o)


def test_where_a_row_belongs() -> None:
    two, one = memories(), memories(replace(OWN, aligners=1))
    rows = [(fold, row) for fold in range(3) for row in range(2)]
    assert (two.terms, two.depth) == ([2, 1, 1], 5)
    assert [two.tag(*row) for row in rows] == [0b1, 0b10, 0b1, 0b1, 0b1, 0]
    assert [one.tag(*row) for row in rows] == [0b1, 0b11, 0b1, 0b1, 0b1, 0]
    assert [two.code(two.held, 1, *row) for row in rows] == [6, 7, 8, 9, 10, 0]
    assert two.code(two.held, 2, 0, 0) == 0


def test_exponents_of_a_slot() -> None:
    """Those of blocks of zeros where a fold has fewer segments, and beyond the lines."""
    two, one = memories(), memories(replace(OWN, aligners=1))
    assert [two.exponents(AE, 0, Place(1, 1, 0, 0, fold)) for fold in range(3)] == [
        (7, -3),
        (5, ZERO_BLOCK),
        (9, ZERO_BLOCK),
    ]
    assert [one.exponents(WE, 1, Place(1, 1, slot, 0, 0)) for slot in range(2)] == [(-4,), (-3,)]
    assert two.exponents(AE, 1, Place(1, 1, 0, 0, 0)) == (ZERO_BLOCK, ZERO_BLOCK)


@pytest.mark.parametrize(("dataflow", "moving", "held"), [("ws", A, W), ("is", W, A)])
def test_what_moves_and_what_is_held(dataflow: str, moving: list[list[int]], held: list[list[int]]) -> None:
    own = memories(replace(OWN, dataflow=dataflow))
    assert (own.moving[0], own.held[0]) == (moving, held)
    assert own.output(Place(1, 1, 0, 4, 0), 2) == ((2, 4) if dataflow == "is" else (4, 2))
    tops = ([4, -1], [9]) if dataflow == "is" else ([9], [4, -1])
    assert (own.moving_tops, own.held_tops) == tops


@pytest.mark.parametrize("normalise", [BOUND, EXACT])
def test_a_column_reads_its_exponents_the_floor_and_the_bias(normalise: int) -> None:
    config = replace(OWN, normalise=normalise)
    own, place = memories(config, bias=True), Place(1, 1, 0, 0, 0)
    floors = own.bounds[0] if normalise == EXACT else own.floors
    assert own.column(0, place, 99) == ((1, 2), 4, floors[0], 11, -6, 99)
    assert own.column(1, place, 99) == ((-4, -3), -1, floors[1], -12, 3, 99)
    for absent, j in ((place, 2), (place._replace(valid=0), 0)):
        assert own.column(j, absent, 99) == ((0, 0), 0, 0, 0, 0, 0)
    assert own.top(place) == (ZERO_BLOCK if normalise == EXACT else 9)
    assert memories(config).column(0, place, 7)[3:] == (0, ZERO_BLOCK, 7)
