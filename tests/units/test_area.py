"""Area: gate counts by hand, and what each choice of a machine changes."""

from __future__ import annotations

import pytest
import yaml

from hwmodels import machines
from hwmodels.costs.area import area, cells, multiplier, operator, operators, shifter
from hwmodels.machines import Machine, load
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


def test_bct64_by_hand() -> None:
    """AND 6, full adder 28, multiplexer 12, flip-flop 24, SRAM bit 6 and 2 for a second port."""
    parts = area(load("bct64"))
    elements, sum_bits = 64 * 64, 22
    assert parts["multipliers"].transistors == elements * (64 * 6 + 56 * 28)
    assert parts["running sums"].transistors == elements * sum_bits * 28
    assert parts["registers"].transistors == elements * (8 + 16 + sum_bits) * 24
    assert parts["aligners"].transistors == 64 * (7 * 32 * 12 + (64 + 20) * 28)
    assert parts["accumulators"].transistors == 64 * 512 * 32 * 6 + 64 * 32 * 28
    assert parts["weight SRAM"].transistors == 512 * 1024 * 8 * 8
    assert parts["vector buffer"].transistors == 128 * 1024 * 8 * 6
    for absent in ("raw bank", "prescan", "exponent store"):
        assert parts[absent].transistors == 0


def test_cells_by_hand() -> None:
    known = {name: cell.transistors for name, cell in cells().items()}
    assert sum(known[c] * n for c, n in multiplier(8, 8).items()) == 1952
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
        ({"array": {"overlap": "none"}}, {"registers"}),
        ({"array": {"pack_axis": "K"}}, {"multipliers"}),
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
    for part, figure in area(load(name)).items():
        assert figure.transistors >= 0, part
        assert figure.formula and figure.status == "derived"
        assert bool(figure.source) == (figure.transistors > 0)
