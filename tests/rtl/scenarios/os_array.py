"""Whole tiles of the array in which outputs stay against the MATMUL kernel."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import partial

from products import run_static

from hwmodels.rtl.proofs import os_array as proofs
from hwmodels.rtl.proofs.product import E2M1, E4M3
from hwmodels.units import array_cycles, os_array
from hwmodels.units.accumulator import AccumulatorConfig
from hwmodels.units.aligner import NORMALISES, AlignerConfig
from hwmodels.units.array_cycles import segment_starts
from hwmodels.units.built_array import BuiltArray
from hwmodels.units.mac_array import MacArrayConfig, MatmulOperands, MatmulResult
from hwmodels.units.ops import HALF_UP, RNE, ZERO_BLOCK
from hwmodels.units.product import INT8, Code
from rtl.cosim import FLOWS, Scenario, Stepper

NARROW = MacArrayConfig(
    3, 2, "os", False, 2, False, 0, "none", 1 << 20,
    AlignerConfig(4, 12, RNE), AccumulatorConfig(16, True, 8, 2, 1),
)  # fmt: skip
WRAPPING = MacArrayConfig(
    2, 3, "os", False, 1, False, 0, "none", 9,
    AlignerConfig(-1, 20, HALF_UP), AccumulatorConfig(24, False, 8, 2, 1),
)  # fmt: skip

CONFIGS = {
    "3 x 2 of 16 bits": BuiltArray(NARROW),
    "2 x 3 of 24 bits wrapping": BuiltArray(WRAPPING),
    "3 x 2 E4M3 x int8": BuiltArray(NARROW, E4M3, INT8),
    "2 x 3 E2M1 x E4M3 in 12 bits": BuiltArray(replace(WRAPPING, window=12), E2M1, E4M3),
}

EDGES = {
    "one product": (1, 1, 1, 1, 8),
    "one segment": (2, 2, 9, 9, 8),
    "segments of one": (3, 3, 5, 1, 8),
    "ragged": (3, 3, 11, 4, 8),
    "a wide bias": (3, 3, 7, 3, 32),
}
"""Rows and columns at most, the reduction, the length of segments, and the bits of a bias."""


def operands(built: BuiltArray, edge: str, seed: str) -> MatmulOperands:
    """A tile with codes near their ends, exponents as far apart as an aligner reaches, and zeros."""
    config, (m, n, k, block, bits) = built.array, EDGES[edge]
    m, n, draw = min(m, config.rows), min(n, config.columns), random.Random(f"{edge} {seed}")
    starts = segment_starts(config, config.rows, k, range(0, k, block))
    ends = array_cycles.segment_ends(k, starts)

    def number(code: Code) -> int:
        top = code.largest or 127
        size = draw.choice([top, draw.randint(0, top)])
        sign = draw.randint(0, 1)
        return size | sign << code.bits - 1 if code.exponent_bits else size * (1 - 2 * sign)

    def operand(code: Code, count: int) -> tuple[list[list[int]], list[list[int]]]:
        codes, exponents = [], []
        for _ in range(count):
            own = [draw.choice([ZERO_BLOCK, *range(-8, 9)]) for _ in starts]
            row = [
                0 if e == ZERO_BLOCK else number(code)
                for e, first, last in zip(own, starts, ends, strict=True)
                for _ in range(first, last)
            ]
            codes.append(row)
            exponents.append(own)
        return codes, exponents

    top = (1 << bits - 1) - 1
    bias = [draw.choice([0, top, draw.randint(-top, top)]) for _ in range(n)]
    return MatmulOperands(
        *operand(built.a, m), *operand(built.w, n), bias, [draw.randint(-8, 8) for _ in range(n)], starts,
        array_cycles.updates(config, config.rows, k, starts), 8, bits, a_code=built.a, w_code=built.w,
    )  # fmt: skip


def kernel_result(config: MacArrayConfig, o: MatmulOperands) -> MatmulResult:
    """What the MATMUL kernel makes of a tile."""
    sums, exponents, (flushed, overflows) = run_static(config, o)
    return MatmulResult(sums.tolist(), exponents.tolist(), flushed, overflows)


def scenarios() -> list[Scenario]:
    """Each way to find E, array, and shape of a tile."""
    made = []
    for mode, kind in NORMALISES.items():
        for name, built in CONFIGS.items():
            config = replace(built, array=replace(built.array, normalise=kind))
            twin = proofs.array(config, name)
            for edge in EDGES:
                o = operands(config, edge, f"{mode} {name}")
                want, k = kernel_result(config.array, o), len(o.a[0])
                for flow in FLOWS if edge == "ragged" else FLOWS[:1]:
                    gaps = (0, 4, k - 1) if flow == "bubbles" else ()
                    made.append(
                        Scenario(
                            "os array", mode, name, edge, flow, twin,
                            partial(_operate, config, o, gaps),
                            want, os_array.cycles(config, k, o.segments) + len(gaps),
                        )
                    )  # fmt: skip
    return made


def _operate(
    config: BuiltArray, o: MatmulOperands, gaps: tuple[int, ...], stepper: Stepper
) -> tuple[MatmulResult, int]:
    return os_array.run(config, o, stepper, gaps)
