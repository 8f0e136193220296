"""Whole products on arrays in which weights or inputs stay, against the kernel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from products import operands_of, run_static

from hwmodels.rtl.proofs import mac_array as proofs
from hwmodels.units import array_cycles, array_run
from hwmodels.units.accumulator import AccumulatorConfig
from hwmodels.units.aligner import BOUND, EXACT, AlignerConfig
from hwmodels.units.built_array import BuiltArray
from hwmodels.units.mac_array import MacArrayConfig, MatmulOperands, MatmulResult
from hwmodels.units.ops import FLOOR, HALF_UP, RNE
from hwmodels.units.product import Code
from rtl.cosim import Scenario, Stepper

BASE = BuiltArray(
    MacArrayConfig(
        4, 4, "ws", True, 1, False, BOUND, "none", 64,
        AlignerConfig(8, 31, RNE), AccumulatorConfig(32, True, 16, 2, 1),
    )
)  # fmt: skip


def built(widths: tuple[int, int, int] = (8, 8, 8), **changes: Any) -> BuiltArray:
    """Like `BASE` but for some fields of the array, and the widths of operands and bias."""
    a, w, bias = widths
    return BuiltArray(replace(BASE.array, **changes), Code(a), Code(w), bias)


CONFIGS = {
    "4 x 4": ("weights stay", BASE),
    "4 x 4 serial": ("weights stay", built(overlap=False)),
    "4 x 4 two aligners": ("weights stay", built(aligners=2)),
    "4 x 4 serial two aligners": ("weights stay", built(overlap=False, aligners=2)),
    "4 x 4 floor saturates": (
        "weights stay",
        built(
            (8, 4, 8), aligner=AlignerConfig(-2, 9, FLOOR), accumulator=AccumulatorConfig(18, True, 16, 2, 1)
        ),
    ),
    "4 x 4 half up wraps slowly": (
        "weights stay",
        built(
            (8, 8, 32),
            aligner=AlignerConfig(3, 31, HALF_UP),
            accumulator=AccumulatorConfig(20, False, 16, 2, 6),
        ),
    ),
    "4 x 4 exact narrow port": ("weights stay", built(normalise=EXACT, port_bytes=3)),
    "4 x 4 inputs": ("inputs stay", built((8, 4, 8), dataflow="is")),
    "8 x 8": ("weights stay", built(rows=8, columns=8)),
    "8 x 8 inputs serial": ("inputs stay", built(rows=8, columns=8, dataflow="is", overlap=False)),
}

EDGES = {"one element": (1, 1), "ragged folds": (5, 2), "whole folds": (4, 3)}
"""Moving rows, and how many folds."""

SEGMENTS = {"one element": (1,), "ragged folds": (1, 2, 4), "whole folds": (2,)}
"""Most segments in a fold, one after the other."""


def scenarios() -> list[Scenario]:
    """Every array at every edge, each with as many segments in a fold, and the flows of several folds."""
    return list(products(CONFIGS))


def products(configs: Mapping[str, tuple[str, BuiltArray]]) -> Iterator[Scenario]:
    """Those of some arrays, each with its mode."""
    for name, (mode, config) in configs.items():
        for edge, (moving, folds) in EDGES.items():
            for segments in SEGMENTS[edge]:
                o = operands(config, edge, moving, folds, segments)
                flows = ["plain"]
                if edge == "ragged folds" and segments == 4:
                    flows += ["reset", "back-to-back"]
                for flow in flows:
                    yield Scenario(
                        "mac_array", mode, name, f"{edge} {segments} segments", flow,
                        proofs.array(config, name, whole=True), partial(operate, config, o),
                        compiled(config, o), cycles(config, o),
                    )  # fmt: skip


def operands(config: BuiltArray, edge: str, moving: int, folds: int, segments: int) -> MatmulOperands:
    """A product that fills the array's columns, or all but one."""
    rows, held = config.terms, config.outputs - (edge == "ragged folds")
    k = rows * folds - (edge == "ragged folds")
    if edge == "one element":
        held = k = 1
    m, n = (moving, held) if config.array.dataflow == "ws" else (held, moving)
    return operands_of(config, m, k, n, range(0, k, rows // segments), 17 * segments + k)


def operate(config: BuiltArray, o: MatmulOperands, stepper: Stepper) -> tuple[Any, int]:
    """The product with a stepper."""
    return array_run.run(config, o, stepper)


def compiled(config: BuiltArray, o: MatmulOperands) -> MatmulResult:
    """What the kernel gives."""
    sums, exponents, (flushed, overflows) = run_static(config.array, o)
    return MatmulResult(sums.tolist(), exponents.tolist(), flushed, overflows)


def cycles(config: BuiltArray, o: MatmulOperands) -> int:
    """What the array takes, the prescan left out."""
    size = len(o.a), len(o.w), len(o.a[0])
    took = array_cycles.cycles(config.array, *size, o.segments, config.a.bits, config.w.bits)
    return took.total - took.prescan
