"""Figures that follow from others: rates, and the price of the block."""

from __future__ import annotations

from collections.abc import Mapping

from blocksim.engine.cost import PRICE_PARTS
from blocksim.engine.schedule import Timeline
from blocksim.measure.figures import AreaEntry, Price, Stalls
from blocksim.trace.file import Trace
from blocksim.trace.isa import Unit
from hwmodels.costs.area import Built, area
from hwmodels.formats import Floating
from hwmodels.machines import Machine

NOTES = {
    "prescan": "array cycles before anything streams; its actions; its lanes",
    "align": "array cycles that unlimited aligners would save; shifts and adds of terms, those of the "
    "element-wise unit too; the array's lanes and, with a raw bank, its words",
    "requantize": "cycles that the requantizer is busy, most of them beside other units; its actions; its "
    "lanes without the multipliers of real scales",
    "exponents": "no cycles of their own, they come with the codes; their bytes in SRAM and DRAM; the "
    "store of bounds",
}
"""What the figures of each part of the price stand for: cycles; energy; transistors."""

AREAS = {
    "prescan": ("prescan",),
    "align": ("aligners", "raw bank"),
    "requantize": ("requantizer", "encoder"),
    "exponents": ("exponent store",),
}
"""The parts of the area that belong to each part of the price."""


def area_of(trace: Trace) -> dict[str, AreaEntry]:
    """Transistors of a machine that is built for the formats of a trace, part by part."""
    return {name: AreaEntry(**vars(f)) for name, f in area(trace.manifest.machine, built_for(trace)).items()}


def built_for(trace: Trace) -> Built:
    """The products that an element has to make, and the codes that an encoder has."""
    manifest, products, encoded = trace.manifest, {}, {}
    for op in manifest.operators:
        if op.kind == "matmul":
            a, b = (blocks.form.code for blocks in manifest.operands(op))
            products[a, b] = manifest.machine.array_config.product(a, b)
        for name in op.writes:
            coding = manifest.tensors[name].form.coding
            if isinstance(coding, Floating):
                encoded[coding.name] = coding.encoder
    return Built(tuple(products.values()), tuple(encoded.values())) if products else Built()


def peak_tops_of(machine: Machine) -> float:
    """Two operations per multiplier and cycle."""
    return 2 * machine.array.rows * machine.array.columns * machine.clock_ghz / 1e3


def tops_of(macs: int, cycles: int, clock_ghz: float) -> float:
    """Two operations per MAC over a time: per ns are 1e-3 TOPS."""
    return 2 * macs * clock_ghz / cycles / 1e3


def price_of(
    trace: Trace,
    timeline: Timeline,
    stall: Stalls,
    parts: Mapping[str, float],
    areas: Mapping[str, AreaEntry],
) -> dict[str, Price]:
    """The price of the block, part by part."""
    program = trace.program
    busy = int((timeline.end - timeline.start)[program["unit"] == Unit.REQUANTIZER].sum())
    cycles = {"prescan": stall.prescan, "align": stall.aligner, "requantize": busy, "exponents": 0}
    return {
        part: Price(
            cycles=cycles[part],
            pj=parts.get(part, 0.0),
            transistors=sum(areas[name].transistors for name in AREAS[part]),
            note=NOTES[part],
        )
        for part in PRICE_PARTS
    }
