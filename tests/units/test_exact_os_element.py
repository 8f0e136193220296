"""The element whose output stays and its aligner: sizes and choices by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hwmodels.units import os_element
from hwmodels.units.accumulator import AccumulatorConfig
from hwmodels.units.aligner import BOUND, AlignerConfig
from hwmodels.units.built_array import BuiltArray
from hwmodels.units.mac_array import MacArrayConfig
from hwmodels.units.ops import RNE
from hwmodels.units.ports import unsigned

OWN = MacArrayConfig(
    8, 8, "os", False, 1, False, BOUND, "none", 1 << 20,
    AlignerConfig(8, 31, RNE), AccumulatorConfig(32, True, 256, 2, 1),
)  # fmt: skip


def of(guard: int, bits: int, shift: int = 31) -> MacArrayConfig:
    return replace(
        OWN, aligner=AlignerConfig(guard, shift, RNE), accumulator=AccumulatorConfig(bits, True, 256, 2, 1)
    )


@pytest.mark.parametrize(
    ("guard", "bits", "shift", "reach", "term"),
    [
        (8, 32, 31, 22, 40),  # a bias of 8 bits goes 22 to the left
        (8, 32, 20, 20, 40),
        (15, 16, 20, 15, 47),
        (8, 16, 20, 8, 40),
        (-8, 16, 20, 6, 32),
        (-8, 10, 20, 1, 32),
        (0, 11, 20, 1, 32),
        (-3, 48, 62, 38, 48),
        (1, 10, 20, 1, 33),
        (2, 10, 20, 2, 34),
    ],
)
def test_how_far_and_how_wide(guard: int, bits: int, shift: int, reach: int, term: int) -> None:
    config = BuiltArray(of(guard, bits, shift))
    assert (os_element.reach(config), os_element.term_bits(config)) == (reach, term)


def test_rows_of_an_aligner() -> None:
    """Aligners, rows of each, aligners that have rows, and bits of a row's number."""
    want = {1: (8, 1, 3), 2: (4, 2, 2), 3: (3, 3, 2), 5: (2, 4, 1), 8: (1, 8, 1)}
    for aligners, sizes in want.items():
        config = BuiltArray(replace(OWN, aligners=aligners))
        got = os_element.group(config), os_element.groups(config), os_element.turn_bits(config)
        assert got == sizes
        assert os_element.aligner_ports(config).inputs.turn == unsigned(sizes[2])


def test_a_turn_that_no_row_has_gives_nothing() -> None:
    assert [os_element.chosen(turn, (5, -6, 7)) for turn in range(4)] == [5, -6, 7, 0]
