"""Whatever a run asks of a unit fits the unit's ports: a module would take no more of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest
from products import operands_of

from hwmodels import machines
from hwmodels.units import (
    accumulator,
    array_run,
    array_step,
    dma,
    elementwise,
    encoder_step,
    lut,
    norm,
    norm_step,
    prescan,
    processing_element,
    requantizer,
    requantizer_step,
    sequencer,
    softmax_step,
    sram,
)
from hwmodels.units.accumulator import AccumulatorConfig
from hwmodels.units.aligner import BOUND, AlignerConfig
from hwmodels.units.built_array import BuiltArray
from hwmodels.units.encoder import EncoderConfig
from hwmodels.units.mac_array import MacArrayConfig
from hwmodels.units.ops import RNE
from hwmodels.units.ports import flat
from hwmodels.units.processing_element import ElementConfig, Passage
from hwmodels.units.product import integers

MACHINE = machines.load("bct64")
ADDER = replace(MACHINE.elementwise_config, lanes=2)
CODER = replace(MACHINE.requantizer_config, lanes=2)
E4M3 = EncoderConfig(8, 3, True, 0x7E, 11, False)
BLOCKS = encoder_step.EncoderUnitConfig(E4M3, 2, True, 4)
SOFTMAX = replace(MACHINE.softmax_config, lanes=2)
WORD = AccumulatorConfig(24, True, 8, 2, 1)
CODES, EXPONENTS = [5, -7, 32767], [-9, -14, 0]


def products(stepper: Callable[..., Any], **changes: Any) -> None:
    config = MacArrayConfig(3, 2, "ws", True, 1, False, BOUND, "none", 64, AlignerConfig(8, 31, RNE), WORD)
    built = BuiltArray(replace(config, **changes))
    array_run.run(built, operands_of(built, 2, 8, 2, [0, 2, 5], 1), stepper)


def tile(stepper: Callable[..., Any]) -> None:
    config, ones = replace(MACHINE.norm_config, lanes=2), (1,) * 3
    o = norm.NormOperands(16, True, norm.epsilon_of(1e-5, 3), ones, ones, ones, ones)
    norm_step.run(config, o, [CODES] * 2, [EXPONENTS] * 2, stepper, [1])


FOLDS = [(held, [Passage(x, (1, 0), (4, 5)) for x in (1, -2)]) for held in (3, -4)]
KEYS = [True, False, True]
RUNS: list[tuple[ModuleType, Callable[..., Any]]] = [
    (accumulator, lambda s: accumulator.run(WORD, [3, -4], [(0, 5), (1, -6)], s, [1])),
    (dma, lambda s: dma.run(replace(MACHINE.dma_config, burst=4), list(range(11)), 2, None, s)),
    (elementwise, lambda s: elementwise.run(ADDER, False, CODES, EXPONENTS, CODES, EXPONENTS, s, [1])),
    (elementwise, lambda s: elementwise.run(ADDER, True, CODES, EXPONENTS, CODES, EXPONENTS, s, [1])),
    (lut, lambda s: lut.run(replace(MACHINE.lut_config("gelu"), lanes=2), CODES, EXPONENTS, s, [1])),
    (array_step, products),
    (array_step, lambda s: products(s, overlap=False, dataflow="is")),
    (norm_step, tile),
    (prescan, lambda s: prescan.run(prescan.PrescanConfig(2), [EXPONENTS], [EXPONENTS] * 3, [0] * 3, s, [1])),
    (
        processing_element,
        lambda s: processing_element.run(ElementConfig(integers(8, 8), 20, 2, True), FOLDS, s),
    ),
    (
        processing_element,
        lambda s: processing_element.run(ElementConfig(integers(8, 8), 20, 2, False), FOLDS, s),
    ),
    (
        requantizer,
        lambda s: requantizer.run(CODER, CODES, EXPONENTS, 8, stepper=s, gaps=[1]),
    ),
    (requantizer, lambda s: requantizer.run(CODER, CODES, EXPONENTS, 4, 3, stepper=s)),
    (encoder_step, lambda s: encoder_step.run(BLOCKS, CODES, EXPONENTS, stepper=s, gaps=[1])),
    (encoder_step, lambda s: encoder_step.run(replace(BLOCKS, merged=False), CODES, EXPONENTS, 3, stepper=s)),
    (sequencer, lambda s: sequencer.run(sequencer.SequencerConfig(3, 2, True, 2, 3, 4), 4, [2, 1], s)),
    (softmax_step, lambda s: softmax_step.run(SOFTMAX, [CODES] * 2, [EXPONENTS] * 2, [KEYS] * 2, s)),
    (sram, lambda s: sram.run(sram.SramConfig(3, 8), [sram.Access(1, 2, 1, 1, -5)], s)),
]


@pytest.mark.parametrize("case", RUNS, ids=[module.__name__.rpartition(".")[2] for module, _ in RUNS])
def test_inputs_fit_their_ports(case: tuple[ModuleType, Callable[..., Any]]) -> None:
    module, run = case
    unit: Any = requantizer_step if module is requantizer else module
    asked = []

    def stepper(config: Any, state: Any, inputs: Any) -> Any:
        kinds = flat(unit.ports(config).inputs)
        for kind, x in zip(kinds, flat(inputs), strict=True):
            assert kind.holds(x)
        asked.append(inputs)
        return unit.step(config, state, inputs)

    run(stepper)
    assert asked
