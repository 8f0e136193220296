"""Whole tiles of the prescan against the exponents that the MATMUL kernel finds under exact bounds."""

from __future__ import annotations

import random
from functools import partial

import numpy as np

from hwmodels.kernels.jit import kernel
from hwmodels.kernels.panel import Codes, Index
from hwmodels.rtl.proofs import prescan as proofs
from hwmodels.units import prescan
from hwmodels.units.ops import ZERO_BLOCK
from hwmodels.units.prescan import PrescanConfig, join
from rtl.cosim import FLOWS, Scenario, Stepper

EDGES = {
    "one output": (1, 1, 1),
    "one output many segments": (1, 1, 9),
    "a full group": (1, 4, 3),
    "one output more": (1, 5, 3),
    "several rows": (5, 3, 4),
}

MODES = {"any": (-128, 127), "close": (-3, 3), "highest": (120, 127), "blocks of zeros": (-128, -127)}


@kernel
def bounds_of(rows: Codes, columns: Codes, floors: Index, bounds: Index) -> None:
    """The loop of `panel_each` that joins the segments of an output."""
    for i in range(rows.shape[0]):
        for j in range(columns.shape[0]):
            top = floors[j]
            for s in range(rows.shape[1]):
                top = join(top, rows[i, s], columns[j, s], ZERO_BLOCK)
            bounds[i, j] = top


def scenarios() -> list[Scenario]:
    """Each range of exponents, number of lanes and shape of a tile."""
    made = []
    for mode, (low, high) in MODES.items():
        for lanes in (1, 4):
            config, twin = PrescanConfig(lanes), proofs.whole(lanes, f"{lanes} lanes")
            for edge, (m, n, segments) in EDGES.items():
                draw = random.Random(f"{mode} {lanes} {edge}")
                rows = [[draw.randint(low, high) for _ in range(segments)] for _ in range(m)]
                columns = [[draw.randint(low, high) for _ in range(segments)] for _ in range(n)]
                floors = [draw.randint(-174, 20) for _ in range(n)]
                bounds = np.zeros((m, n), np.int64)
                bounds_of(
                    np.array(rows, np.int16), np.array(columns, np.int16), np.array(floors, np.int64), bounds
                )
                length = prescan.cycles(config, m, n, segments)
                for flow in FLOWS if edge == "several rows" else FLOWS[:1]:
                    gaps = (0, 5, length - 1) if flow == "bubbles" else ()
                    made.append(
                        Scenario(
                            "prescan", mode, f"{lanes} lanes", edge, flow, twin,
                            partial(_operate, config, rows, columns, floors, gaps),
                            bounds.tolist(), length + len(gaps),
                        )
                    )  # fmt: skip
    return made


def _operate(
    config: PrescanConfig,
    rows: list[list[int]],
    columns: list[list[int]],
    floors: list[int],
    gaps: tuple[int, ...],
    stepper: Stepper,
) -> tuple[list[list[int]], int]:
    return prescan.run(config, rows, columns, floors, stepper, gaps)
