"""The prescan: a lane for all states, lanes side by side, and whole tiles with any exponents."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from hwmodels.machines import load
from hwmodels.rtl.reading import Reading
from hwmodels.rtl.twin import Claim, Cut, Edit, Twin
from hwmodels.rtl.words import Terms
from hwmodels.units import prescan
from hwmodels.units.ports import signed
from hwmodels.units.prescan import EXPONENT_BITS, WORD, PrescanConfig


def operation(lanes: int, m: int, n: int, segments: int) -> Callable[[Terms, Reading], Iterator[Claim]]:
    """A tile with any exponents and any floors."""

    def claims(terms: Terms, reading: Reading) -> Iterator[Claim]:
        config, exponent = PrescanConfig(lanes), signed(EXPONENT_BITS)
        rows = [[terms.unknown(f"row {i} {s}", exponent) for s in range(segments)] for i in range(m)]
        columns = [[terms.unknown(f"column {j} {s}", exponent) for s in range(segments)] for j in range(n)]
        floors = [terms.unknown(f"floor {j}", signed(WORD)) for j in range(n)]
        bounds, count = reading.of(prescan.run)(config, rows, columns, floors)
        yield Claim("cycles", count == prescan.cycles(config, m, n, segments))
        for i in range(m):
            for j in range(n):
                want = reading.of(prescan.result)(rows[i], columns[j], floors[j])
                yield Claim(f"bound {i} {j}", bounds[i][j] == want)

    return claims


def lane(config: PrescanConfig, label: str) -> Twin:
    """One lane, whatever the number of lanes."""
    return Twin(
        unit=prescan, label=label, config=config, module="prescan_lane",
        parameters={"EXPONENT_BITS": EXPONENT_BITS}, name="prescan lane", part_of="prescan",
        ports=prescan.lane_ports, step=prescan.lane_step, reset=lambda _, state: state,
    )  # fmt: skip


def whole(lanes: int, label: str) -> Twin:
    """All lanes, each of them cut; a tile of two rows and three columns with two segments on four lanes."""
    instances = tuple(f"lane[{i}].u" for i in range(lanes))
    return Twin(
        unit=prescan, label=label, config=PrescanConfig(lanes), module="prescan", parameters={"LANES": lanes},
        cuts=(Cut("prescan_lane", instances, prescan.lane_step, prescan.lane_ports),),
        operation=operation(min(lanes, 4), 2, 3, 2), scope="2 x 3 outputs, 2 segments",
    )  # fmt: skip


def twins() -> list[Twin]:
    """The shipped numbers of lanes, and few."""
    return [
        lane(PrescanConfig(1), "8 bits"),
        whole(load("bct64").array_config.prescan_lanes, "bct64"),
        whole(load("edge16").array_config.prescan_lanes, "edge16"),
        whole(1, "1 lane"),
        whole(3, "3 lanes"),
    ]


PARTS = {"prescan_lane": lane}
"""Modules that others have as parts, and how a twin of one is made from its configuration."""

BY_HAND = (
    Edit(
        "prescan_lane.sv",
        "logic signed [EXPONENT_BITS:0] sum",
        "logic signed [EXPONENT_BITS-1:0] sum",
        "width",
    ),
    Edit("prescan_lane.sv", "logic signed [EXPONENT_BITS:0] sum", "logic [EXPONENT_BITS:0] sum", "sign"),
    Edit("prescan_lane.sv", "row != ZeroBlock &&", "", "sign"),
    Edit("prescan_lane.sv", "{1'b1, {(EXPONENT_BITS - 1) {1'b0}}}", "-EXPONENT_BITS'(127)", "width"),
    Edit("prescan_lane.sv", "if (valid) bound", "bound", "latency"),
    Edit("prescan.sv", "valid & last", "valid & first", "latency"),
    Edit("prescan.sv", ".column(column[i*", ".column(row[i*", "width"),
)
