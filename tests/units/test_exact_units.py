"""Every count of every unit, written out by hand at sizes that no two counts share."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hwmodels import machines
from hwmodels.units import accumulator, aligner, dma, elementwise, lut, norm, prescan, requantizer, softmax
from hwmodels.units.accumulator import AccumulatorConfig
from hwmodels.units.actions import Actions
from hwmodels.units.requantizer import RequantizerConfig

MACHINE = machines.load("bct64")
GELU, SOFTMAX, NORM = MACHINE.lut_config("gelu"), MACHINE.softmax_config, MACHINE.norm_config
ADDER = MACHINE.elementwise_config


def of(part: str, **counts: int) -> Actions:
    """Counts under names such as ``add_32`` for ``add:32``."""
    return {(part, name.replace("_", ":")): count for name, count in counts.items()}


def test_accumulator_aligner_prescan_and_dma() -> None:
    word = AccumulatorConfig(24, True, 64, 2, latency=3)
    assert accumulator.actions(word, 5) == {
        **of("accumulate", add_24=5), ("accumulate", "accumulator.bits"): 240
    }  # fmt: skip
    assert accumulator.cycles(word, 5) == 15
    assert aligner.actions(24, 5) == of("align", shift_24=5, add_24=5)
    assert prescan.actions(3, 5, 7) == {
        **of("prescan", add_9=105, compare_10=105), ("prescan", "register.bits"): 150
    }  # fmt: skip
    assert dma.actions(MACHINE.dma_config, 65, 2) == {("dram", "dram.bytes"): 128}


def test_elementwise() -> None:
    assert elementwise.actions_add(7) == {
        **of("elementwise", compare_8=7, add_32=7), **of("align", shift_32=14, add_32=14)
    }  # fmt: skip
    assert elementwise.actions_mul(7) == of("elementwise", mul_16x16=7, add_9=7)
    assert [elementwise.cycles(ADDER, n) for n in (1, 64, 65)] == [4, 4, 5]


def test_lut() -> None:
    assert (GELU.in_bits, GELU.step_bits, len(GELU.table)) == (20, 8, 257)
    assert lut.actions(GELU, 7) == of("lut", shift_20=7, table_20=14, mul_20x8=7, add_20=21)
    assert [lut.cycles(GELU, n) for n in (1, 64, 65)] == [5, 5, 6]


def test_softmax() -> None:
    """3 rows of 7 in words of 21 bits; the exponential's table leaves 10 bits, the reciprocal's here 8."""
    assert (SOFTMAX.guard_bits, len(SOFTMAX.exp2), len(SOFTMAX.reciprocal)) == (4, 65, 65)
    config = replace(SOFTMAX, reciprocal=(0,) * 257)
    counts = of(
        "softmax", shift_21=21, compare_21=21, add_21=21, mul_21x15=21, shift_36=21, table_17=48,
        add_17=48, mul_17x10=21, shift_17=21, add_40=21, lzc_40=3, shift_40=3, mul_17x17=21, shift_34=21,
        mul_17x8=3,
    )  # fmt: skip
    assert softmax.actions(config, 3, 7) == counts | {("softmax", "vector.bits"): 2 * 21 * 38}
    assert softmax.actions(SOFTMAX, 3, 7)["softmax", "mul:17x10"] == 24


def test_softmax_between_entries_as_far_apart_as_can_be() -> None:
    """Half way down from 2**16 to 0 lies half of it; a line there takes a bit more than an entry."""
    half = 1 << softmax.FRACTION - 1
    got = softmax.interpolate((1 << 16, 0, 1 << 16), half, softmax.FRACTION, softmax.ENTRY_BITS + 1)
    assert got == 1 << 15
    below = [softmax.exponential(d, -20, 8, (1 << 16, 0), softmax.FRACTION) for d in range(0, 1 << 20, 9973)]
    assert below[0] == 1 << 16
    assert below == sorted(below, reverse=True)


def test_norm() -> None:
    """3 rows of 9 elements, whose number has 4 bits."""
    assert (len(NORM.root), NORM.newton_steps) == (97, 1)
    counts = of(
        "norm", shift_16=27, mul_16x16=27, add_44=81, mul_44x4=3, mul_20x20=3, add_62=6, shift_62=6,
        lzc_62=3, table_19=6, mul_19x11=3, mul_19x19=18, add_20=12, mul_16x4=27, add_21=27, mul_21x19=27,
        shift_48=27, mul_24x16=27, shift_44=54,
    )  # fmt: skip
    assert norm.actions(replace(NORM, newton_steps=2), 3, 9) == counts | {("norm", "vector.bits"): 864}


@pytest.mark.parametrize(
    ("static", "real", "want"),
    [
        (False, False, {"lzc_32": 50, "compare_12": 50, "shift_32": 50, "add_8": 53, "compare_8": 100}),
        (True, False, {"shift_32": 50, "add_8": 50, "compare_8": 100}),
        (True, True, {"shift_32": 50, "add_8": 50, "compare_8": 100, "mul_32x16": 50, "add_10": 50}),
    ],
)
def test_requantizer(static: bool, real: bool, want: dict[str, int]) -> None:
    assert requantizer.actions(50, 3, 32, 8, static, real) == of("requantize", **want)
    assert requantizer.actions(0, 0, 32, 8, static, real) == {}
    for merged, passes in ((True, 1), (False, 1 if static else 2)):
        config = RequantizerConfig(8, merged, 4)
        assert [requantizer.cycles(config, n, static) for n in (8, 9)] == [passes + 4, 2 * passes + 4]
