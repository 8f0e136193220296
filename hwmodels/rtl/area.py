"""Synthesis for area: modules by fixed flows, counted in transistors or in an FPGA's LUTs.

`cmos4-booth` and `xc7-booth` are the flows that every figure of a unit comes from. The others show how far a
figure depends on the flow. Multipliers go through `booth`: left alone, yosys extends the signs of both
factors and builds an array of twice the width.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from pkgutil import iter_modules
from types import MappingProxyType

from hwmodels.costs.area import cells
from hwmodels.costs.synthesis import LUT_FLOW, TRANSISTOR_FLOW, Flavour, Synthesis, Unit
from hwmodels.rtl import yosys

MACHINE = "bct64"
"""The machine whose units are synthesised."""


def _gates(how: str, gates: str) -> tuple[str, ...]:
    # flip-flops all become the plain one, so that every cell has a price
    return (
        f"synth -flatten{how}",
        "dfflegalize -cell $_DFF_P_ x",
        f"abc -g {gates}",
        "opt_clean",
    )


_FPGA = "synth_xilinx -family xc7 -flatten -nodsp -noiopad -noclkbuf"

FLOWS: Mapping[str, tuple[str, ...]] = {
    TRANSISTOR_FLOW: _gates(" -booth", "cmos4"),
    "cmos4": _gates("", "cmos4"),
    "cmos4-tree": _gates(" -arith_tree", "cmos4"),
    "cmos2": _gates("", "cmos2"),
    "cmos-booth": _gates(" -booth", "cmos"),
    "xc7": (_FPGA,),
    LUT_FLOW: (
        *("flatten", "opt_expr", "opt_clean", "opt -nodffe -nosdff", "wreduce", "peepopt", "opt_clean"),
        "booth",
        _FPGA,
    ),
    "lut6": ("synth -flatten -lut 6",),
}
"""The commands of each flow, after the sources are read."""

GATES: Mapping[str, str] = {
    "$_NOT_": "inverter",
    "$_NAND_": "nand2",
    "$_NOR_": "nor2",
    "$_AOI3_": "aoi21",
    "$_OAI3_": "aoi21",
    "$_AOI4_": "aoi22",
    "$_OAI4_": "aoi22",
    "$_XOR_": "xor2",
    "$_XNOR_": "xor2",
    "$_MUX_": "mux2",
    "$_NMUX_": "mux2",
    "$_DFF_P_": "flip_flop",
}
"""Which cell of `transistors.yaml` a gate of yosys is."""

_LUT = re.compile(r"LUT\d|SRL(16|C32)E|\$lut")
_FLIP_FLOP = re.compile(r"FD[RSCP]E(_1)?|\$_S?DFFC?E?_\w+_")


@dataclass(frozen=True)
class Wanted:
    """A module that is to be synthesised, with its parameters and the parts that are not flattened."""

    module: str
    parameters: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    kept: tuple[str, ...] = ()


FLAVOURS: Mapping[str, Wanted] = {
    "fp32": Wanted("mac_float", {"M": 23, "MS": 23}),
    "bf16": Wanted("mac_float", {"M": 7, "MS": 23}),
    "bf16 sums in bf16": Wanted("mac_float", {"M": 7, "MS": 7}),
    "E4M3": Wanted("mac_minifloat", {"E": 4, "M": 3}),
    "int8": Wanted("mac_int", {"W": 8}),
    "int4": Wanted("mac_int", {"W": 4}),
    "BFP6": Wanted("mac_block", {"M": 5}),
    "BFP4": Wanted("mac_block", {"M": 3}),
}
"""Sixteen multiply-accumulates per cycle in every number format."""

SINGLE: Mapping[str, Wanted] = {
    "multiplier": Wanted("multiplier", {"WA": 8, "WB": 8}),
    "accumulator": Wanted("accumulator", {"BITS": 32, "SUM_BITS": 36, "SATURATING": 1}),
    "prescan_lane": Wanted("prescan_lane"),
    "requantizer_scale": Wanted("requantizer_scale"),
}
"""Modules inside of others that count as parts of their own, with the parameters they have there."""


DISSOLVED = ("multiplier", "aligner")
"""Parts without registers, which gain from what is around them."""

LEFT_OUT = ("mac_array", "norm", "requantizer", "softmax")
"""Little but their parts, of which there are many: they take hours, and stay with textbook counts."""


def units() -> dict[str, Wanted]:
    """What is proved of the shipped machine, and what `SINGLE` adds.

    A twin labelled with the machine's name is a module at the machine's parameters. Where there are several
    of one module, as in ``bct64: bias``, what follows the colon tells them apart. Parts that a proof cuts
    are synthesised once and counted as often as they are there, but for those in `DISSOLVED`.
    """
    proofs = import_module("hwmodels.rtl.proofs")
    names = sorted(module.name for module in iter_modules(proofs.__path__))
    twins = [twin for name in names for twin in import_module(f"{proofs.__name__}.{name}").twins()]
    twins = [twin for twin in twins if twin.label.partition(": ")[0] == MACHINE]
    cut = {part.part for twin in twins for part in twin.cuts}.difference(DISSOLVED)
    found = {name: wanted for name, wanted in SINGLE.items() if wanted.module in _known()}
    for twin in twins:
        key = "_".join([twin.module, *twin.label.partition(": ")[2].split()])
        if key not in SINGLE and twin.module not in LEFT_OUT:
            inside = [path.stem for path in sources(twin.module)[1:]]
            found[key] = Wanted(twin.module, twin.parameters, tuple(part for part in inside if part in cut))
    return found


def _known() -> dict[str, Path]:
    return {path.stem: path for path in yosys.SOURCES.rglob("*.sv")}


def sources(module: str) -> list[Path]:
    """The files that a module needs, its own first."""
    known = _known()
    found: dict[str, None] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop(0)
        if name not in found:
            found[name] = None
            words = set(re.findall(r"\w+", code(known[name])))
            waiting += sorted((words & known.keys()) - found.keys())
    return [known[name] for name in found]


def code(path: Path) -> str:
    """A source without comments, and with one space wherever there is any."""
    return " ".join(re.sub(r"//.*|/\*.*?\*/", "", path.read_text()).split())


UNIT_FLOWS = (TRANSISTOR_FLOW, LUT_FLOW)
"""The flows that units pass."""


def fingerprint(wanted: Wanted, flows: Iterable[str] = UNIT_FLOWS) -> str:
    """What the figures of a module follow from: its sources, parameters and flows, and the cells' prices."""
    said = [code(path) for path in sources(wanted.module)]
    said += [repr((dict(wanted.parameters), wanted.kept)), *(repr(FLOWS[flow]) for flow in flows)]
    said.append(repr({cell: price.transistors for cell, price in cells().items()}))
    return hashlib.sha256("\n".join(said).encode()).hexdigest()[:16]


def tool() -> str:
    """The synthesiser and its version."""
    return f"yosys {version('pyosys')}"


def read(wanted: Wanted) -> list[str]:
    """The commands that read a module's sources and set its parameters.

    Parameters go in before the hierarchy is built: yosys makes a module anew once it knows the ports of its
    parts, and stumbles over one that `hierarchy` has renamed for its parameters.
    """
    top = wanted.module
    files = " ".join(f'"{path}"' for path in sources(top))
    return [
        f"read_verilog -sv -defer {files}",
        *(f"chparam -set {name} {value} $abstract\\{top}" for name, value in wanted.parameters.items()),
        f"hierarchy -check -top {top}",
        *(f"setattr -mod -set keep_hierarchy 1 A:hdlname=\\{part}" for part in wanted.kept),
        "proc",
    ]


def synthesise(wanted: Wanted, flow: str) -> dict[str, int]:
    """How many of each cell a module takes.

    Raises
    ------
    YosysError
        If the sources cannot be read.
    """
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "cells.json"
        yosys.run([*read(wanted), *FLOWS[flow], f"tee -q -o {path} stat -json"])
        modules = {
            name.lstrip("\\"): {**found["num_cells_by_type"], **found.get("num_submodules_by_type", {})}
            for name, found in json.loads(path.read_text())["modules"].items()
        }
    return _hierarchy(modules, wanted.module)


def _hierarchy(modules: Mapping[str, Mapping[str, int]], name: str) -> dict[str, int]:
    count: dict[str, int] = {}
    for cell, times in modules[name].items():
        inner = cell.lstrip("\\")
        for leaf, number in (_hierarchy(modules, inner) if inner in modules else {cell: 1}).items():
            count[leaf] = count.get(leaf, 0) + times * number
    return {cell: number for cell, number in count.items() if cell != "$scopeinfo"}


def size(count: Mapping[str, int]) -> int:
    """Transistors of a module in gates, LUTs of one in LUTs; the shift registers of LUTs are LUTs."""
    if luts := sum(number for cell, number in count.items() if _LUT.fullmatch(cell)):
        return luts
    prices = cells()
    return sum(number * prices[GATES[cell]].transistors for cell, number in count.items())


def flip_flops(count: Mapping[str, int]) -> int:
    """Flip-flops of a module."""
    return sum(number for cell, number in count.items() if _FLIP_FLOP.fullmatch(cell))


Counts = Mapping[str, Mapping[str, int]]
"""Cells by flow."""


def unit(wanted: Wanted, counts: Counts) -> Unit:
    """The figures of a unit."""
    return Unit(
        module=wanted.module,
        parameters=dict(wanted.parameters),
        kept=wanted.kept,
        fingerprint=fingerprint(wanted),
        transistors=size(counts[TRANSISTOR_FLOW]),
        flip_flops=flip_flops(counts[TRANSISTOR_FLOW]),
        luts=size(counts[LUT_FLOW]),
    )


def flavour(wanted: Wanted, counts: Counts) -> Flavour:
    """The figures of a MAC flavour, by every flow."""
    return Flavour(
        module=wanted.module,
        parameters=dict(wanted.parameters),
        fingerprint=fingerprint(wanted, FLOWS),
        flip_flops=flip_flops(counts[TRANSISTOR_FLOW]),
        sizes={flow: size(count) for flow, count in counts.items()},
    )


def table(units: Mapping[str, Unit], flavours: Mapping[str, Flavour]) -> Synthesis:
    """All figures together, with what they came from."""
    return Synthesis(
        tool=tool(), machine=MACHINE, flows=dict(FLOWS), units=dict(units), flavours=dict(flavours)
    )
