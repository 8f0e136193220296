"""Whole products of codes with exponents, on arrays of every kind, against the kernel."""

from __future__ import annotations

from dataclasses import replace

from hwmodels.rtl.proofs.product import E2M1, E4M3, E5M2
from hwmodels.units.aligner import RUNNING
from hwmodels.units.built_array import BuiltArray
from hwmodels.units.ops import RNE
from hwmodels.units.product import INT8, STICKY, Code
from rtl.cosim import Scenario
from rtl.scenarios import mac_array
from rtl.scenarios.mac_array import built


def of(a: Code, w: Code, config: BuiltArray) -> BuiltArray:
    """The same array for other codes."""
    return replace(config, a=a, w=w)


CONFIGS = {
    name: ("codes with exponents", config)
    for name, config in {
        "4 x 4 E4M3": of(E4M3, E4M3, built()),
        "4 x 4 serial two aligners E2M1 x int8": of(E2M1, INT8, built(overlap=False, aligners=2)),
        "4 x 4 inputs int8 x E4M3 20 bits": of(
            INT8, E4M3, built(dataflow="is", window=20, window_rounding=RNE)
        ),
        "4 x 4 rising bound E5M2 x E4M3 sticky": of(
            E5M2, E4M3, built(normalise=RUNNING, window=30, window_rounding=STICKY)
        ),
        "4 x 4 raw bank E4M3 x int8": of(E4M3, INT8, built(raw_bank=True)),
        "4 x 4 packed E2M1": of(E2M1, E2M1, built(pack_axis="K")),
    }.items()
}


def scenarios() -> list[Scenario]:
    """Every array at every edge, and the flows of several folds."""
    return list(mac_array.products(CONFIGS))
