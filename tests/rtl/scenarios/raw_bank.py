"""Whole products on arrays with a raw bank, against the kernel: segments that end where folds do not."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from products import operands_of

from hwmodels.rtl.proofs import mac_array as proofs
from hwmodels.units.aligner import EXACT, RUNNING
from rtl.cosim import Scenario
from rtl.scenarios import mac_array
from rtl.scenarios.mac_array import built

CONFIGS = {
    "4 x 4": built(raw_bank=True),
    "4 x 4 serial two aligners": built(raw_bank=True, overlap=False, aligners=2),
    "4 x 4 inputs exact": built((8, 4, 8), raw_bank=True, dataflow="is", normalise=EXACT),
    "4 x 4 rising bound": built(raw_bank=True, normalise=RUNNING),
    "4 x 4 packed": built((4, 4, 8), raw_bank=True, pack_axis="K"),
    "4 x 4 packed outputs": built((4, 4, 8), raw_bank=True, pack_axis="N", aligners=2),
}

EDGES = {
    "one segment in all folds": (3, 14, 14),
    "across every fold": (5, 14, 3),
    "longer than folds": (2, 25, 11),
}
"""Moving rows, depth, and the length of segments."""


def scenarios() -> list[Scenario]:
    """Every array at every edge, and the flows of segments that go on from each fold."""
    return list(_scenarios())


def _scenarios() -> Iterator[Scenario]:
    for name, config in CONFIGS.items():
        for edge, (moving, k, length) in EDGES.items():
            held = config.outputs - 1
            m, n = (moving, held) if config.array.dataflow == "ws" else (held, moving)
            o = operands_of(config, m, k, n, range(0, k, length), k * length)
            for flow in ("plain", "reset", "back-to-back") if edge == "across every fold" else ("plain",):
                yield Scenario(
                    "mac_array", "raw bank", name, edge, flow, proofs.array(config, name, whole=True),
                    partial(mac_array.operate, config, o), mac_array.compiled(config, o),
                    mac_array.cycles(config, o),
                )  # fmt: skip
