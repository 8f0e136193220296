"""Whole products on arrays under a bound that rises with the terms, against the kernel."""

from __future__ import annotations

from hwmodels.units.accumulator import AccumulatorConfig
from hwmodels.units.aligner import RUNNING, AlignerConfig
from hwmodels.units.ops import FLOOR, HALF_UP
from rtl.cosim import Scenario
from rtl.scenarios import mac_array
from rtl.scenarios.mac_array import built

WRAPS, HOLDS = AccumulatorConfig(20, False, 16, 2, 1), AccumulatorConfig(18, True, 16, 2, 1)

CONFIGS = {
    name: ("rising bound", config)
    for name, config in {
        "4 x 4": built(normalise=RUNNING),
        "4 x 4 serial two aligners": built(normalise=RUNNING, overlap=False, aligners=2),
        "4 x 4 inputs floor saturates": built(
            (8, 4, 8),
            normalise=RUNNING,
            dataflow="is",
            aligner=AlignerConfig(-2, 9, FLOOR),
            accumulator=HOLDS,
        ),
        "4 x 4 half up wraps": built(
            (8, 8, 32), normalise=RUNNING, aligner=AlignerConfig(3, 31, HALF_UP), accumulator=WRAPS
        ),
        "4 x 4 packed narrow port": built((4, 4, 8), normalise=RUNNING, pack_axis="K", port_bytes=3),
    }.items()
}


def scenarios() -> list[Scenario]:
    """Every array at every edge, and the flows of several folds."""
    return list(mac_array.products(CONFIGS))
