"""Area: gate counts by hand, what synthesis gives, and what each choice of a machine changes."""

from __future__ import annotations

import pytest
import yaml

from hwmodels import costs, machines
from hwmodels.costs import synthesis
from hwmodels.costs.area import (
    AreaFigure,
    Built,
    Part,
    Piece,
    area,
    cells,
    figure,
    multiplied,
    multiplier,
    operator,
    operators,
    parts_of,
    shifter,
    transistors,
)
from hwmodels.costs.area import memory as bits_of
from hwmodels.formats import Floating, parse
from hwmodels.machines import Machine, load
from hwmodels.rtl import area as flow
from hwmodels.rtl.area import FLAVOURS, FLOWS
from hwmodels.units.actions import of


def changed(**sections: dict[str, object]) -> Machine:
    plain = yaml.safe_load((machines.FOLDER / "bct64.yaml").read_text())
    for section, fields in sections.items():
        plain[section].update(fields)
    return Machine.model_validate(plain)


def different(machine: Machine) -> set[str]:
    """Parts in which a machine differs from bct64."""
    ours, theirs = area(machine), area(load("bct64"))
    return {part for part in ours if ours[part].transistors != theirs[part].transistors}


def figures(count: dict[str, int]) -> AreaFigure:
    """Of a part of so many cells."""
    part = Part("a part", (Piece(1, count),))
    return figure(part, part)


def test_bct64_by_hand() -> None:
    """AND 6, full adder 28, multiplexer 12, flip-flop 24, SRAM bit 6, 2 for a second port, at 70 percent."""
    bct64 = load("bct64")
    textbook, parts = parts_of(bct64), area(bct64)
    (element,), sum_bits = textbook["processing elements"].logic, 22
    assert element.number == 64 * 64
    one = 64 * 6 + 56 * 28 + sum_bits * 28 + (8 + 16 + sum_bits) * 24
    assert transistors(element.one) == one
    aligners = sum(p.number * transistors(p.one) for p in textbook["aligners"].logic)
    assert aligners == 64 * (7 * 32 * 12 + (64 + 20) * 28)
    assert textbook["accumulators"].bits == {"sram_bit": 64 * 512 * 32}
    assert parts["weight SRAM"].transistors == -(-512 * 1024 * 8 * 8 * 10 // 7)
    assert parts["vector buffer"].transistors == -(-128 * 1024 * 8 * 6 * 10 // 7)
    for absent in ("raw bank", "prescan", "exponent store"):
        assert parts[absent].transistors == 0


def test_a_synthesised_part() -> None:
    """As it is for the shipped machine, and in proportion to textbook counts for any other."""
    unit = synthesis.load().units["lut"].transistors
    tables = -(-64 * 257 * 20 * 6 * 10 // 7)
    assert area(load("bct64"))["lut"].transistors == unit + tables
    half = area(changed(vector={"lanes": 32}))["lut"]
    assert half.transistors == -(-unit // 2) + tables // 2
    assert "1 lut x ceil(" in half.formula
    assert synthesis.load().tool in half.source


def test_a_part_of_another_part_is_taken_out_of_it() -> None:
    part = Part("without", (Piece(1, {"and2": 10}), Piece(-2, {"and2": 3})), bits_of(7))
    assert figure(part, part).transistors == 4 * 6 + 60
    assert figure(part, part).formula == "without: 4 and2 x 6 + ceil((7 sram_bit x 6) x 100 / 70)"


def test_cells_by_hand() -> None:
    assert figures(multiplier(8, 8)).transistors == 1952
    assert cells()["full_adder"].transistors == 28
    assert shifter(32, 31) == {"mux2": 224}
    assert operators(of("lut", {"add:20": 3, "table:20": 2})) == {"full_adder": 60}
    with pytest.raises(KeyError):
        operator("divide:8")


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"aligner": {"per_column": 4}}, {"aligners"}),
        ({"aligner": {"max_shift": 62}}, {"aligners"}),
        ({"aligner": {"normalise": "exact"}}, {"prescan", "exponent store"}),
        ({"aligner": {"normalise": "running"}}, {"aligners", "exponent store"}),
        ({"aligner": {"depth": "segment"}}, {"raw bank"}),
        ({"array": {"overlap": "none"}}, {"processing elements"}),
        ({"array": {"pack_axis": "K"}}, {"processing elements"}),
        ({"accumulator": {"rows": 128}}, {"accumulators"}),
        ({"requantizer": {"exponents": "static"}}, {"requantizer"}),
        ({"lut": {"segments": 512}}, {"lut"}),
        ({"softmax": {"exp2_segments": 128}}, {"softmax"}),
        ({"sram": {"weights": {"kib": 512, "banks": 8, "ports": 1, "port_bytes": 128}}}, {"weight SRAM"}),
    ],
)
def test_a_choice_changes_its_own_part(changes: dict[str, dict[str, object]], parts: set[str]) -> None:
    assert different(changed(**changes)) == parts


@pytest.mark.parametrize("name", machines.names())
def test_every_figure_explains_itself(name: str) -> None:
    for part, found in area(load(name)).items():
        assert found.transistors >= 0, part
        assert found.formula and found.status == "derived"
        assert bool(found.source) == (found.transistors > 0)


def built(a: str, b: str, *encoded: str) -> Built:
    """For a product of two formats, and for what is stored in others."""
    array = load("bct64").array_config
    codings = [coding for name in encoded if isinstance(coding := parse(name).coding, Floating)]
    return Built((array.product(parse(a).code, parse(b).code),), [c.encoder for c in codings])


def test_an_element_is_built_for_its_format() -> None:
    """By hand: 6 x 6 are 36 AND gates, 30 full adders; E4M3 has 5 x 5, 5 bits of exponent, and shifts 37."""
    product = built("bfp6@1x16", "bfp6@1x16").products[0]
    assert multiplied(product) == {"and2": 36, "full_adder": 30}
    product = built("e4m3", "e4m3").products[0]
    assert multiplied(product) == {"and2": 25, "full_adder": 20 + 5, "mux2": 37 * (5 + 2)}
    product = built("log2u4", "int8@1x16").products[0]
    assert multiplied(product) == {"mux2": 23 * (4 + 2)}


def test_area_follows_the_format() -> None:
    machine = load("bct64")
    names = ("bfp4@1x16", "bfp6@1x16", "int8@1x16", "bfp9@1x16")
    sizes = [area(machine, built(n, n))["processing elements"].transistors for n in names]
    assert sizes == sorted(set(sizes))
    assert area(machine, built("int8@1x16", "int8@1x16")) == area(machine)
    both = Built((*built("bfp4@1x16", "bfp4@1x16").products, *built("int8@1x16", "int8@1x16").products))
    assert area(machine, both) == area(machine)  # the costliest of them
    logs = area(machine, built("bl8@1x16", "bl8@1x16", "bl8@1x16"))
    assert "multiplier" not in logs["processing elements"].formula
    assert logs["encoder"].transistors > 0 == area(machine)["encoder"].transistors
    assert logs["aligners"].transistors > area(machine)["aligners"].transistors


# -- synthesis -----------------------------------------------------------------------------------


def test_the_figures_are_those_of_the_sources() -> None:
    """A module, a parameter, a flow or a price of a cell that changes asks for ``make area``."""
    found, wanted = synthesis.load(), flow.units()
    assert found.flows == dict(FLOWS) and found.machine == flow.MACHINE
    assert {n: u.fingerprint for n, u in found.units.items()} == {
        n: flow.fingerprint(w) for n, w in wanted.items()
    }
    assert {n: f.fingerprint for n, f in found.flavours.items()} == {
        n: flow.fingerprint(w, FLOWS) for n, w in FLAVOURS.items()
    }


def test_a_small_module_comes_out_the_same() -> None:
    found = synthesis.load()
    if found.tool != flow.tool():
        pytest.skip(f"figures are of {found.tool}, here is {flow.tool()}")
    wanted = flow.SINGLE["multiplier"]
    counts = {name: flow.synthesise(wanted, name) for name in flow.UNIT_FLOWS}
    assert flow.unit(wanted, counts) == found.units["multiplier"]
    count = flow.synthesise(FLAVOURS["int4"], "cmos4-tree")
    assert flow.size(count) == found.flavours["int4"].sizes["cmos4-tree"]


def test_parts_that_are_kept_apart_are_counted_as_often_as_they_are_there() -> None:
    units = synthesis.load().units
    assert units["lut"].kept == ("lut_lane",)
    for amount in ("transistors", "luts", "flip_flops"):
        lanes, whole = 64 * getattr(units["lut_lane"], amount), getattr(units["lut"], amount)
        assert lanes <= whole < 1.01 * lanes


def test_sources_of_a_module() -> None:
    assert [path.stem for path in flow.sources("lut")][:2] == ["lut", "lut_lane"]
    assert "round_shift" in {path.stem for path in flow.sources("lut")}
    assert "//" not in flow.code(flow.sources("lut")[0])


def test_densities() -> None:
    """Every flow agrees on the order of formats, and on the magnitude that arXiv 2310.05079 states."""
    found = synthesis.load()
    for name in FLOWS:
        assert found.density("fp32", name) == 1
        order = [found.density(n, name) for n in ("bf16", "E4M3", "int8", "BFP6", "int4")]
        assert order[0] == min(order) and order[3] > order[1] and order[4] > order[2]
        assert 1 < found.density("BFP6", name) / found.density("int8", name) < 4


def test_the_tables_of_energy_are_not_those_of_area() -> None:
    assert not {"synthesis", "transistors"} & set(costs.names())
