"""The default set of proofs, the lint, and the mutants made by hand."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hwmodels.rtl import proof, yosys
from hwmodels.rtl.simulate import lint
from hwmodels.rtl.suite import by_hand, places, twins, units
from hwmodels.rtl.twin import Edit

MODULES = sorted(path.stem for path in yosys.SOURCES.glob("*.sv"))
DEFAULT = places(units(), False)
EDITS = [(unit, edit) for unit in units() for edit in by_hand(unit)]


def named(place: tuple[str, int]) -> str:
    twin = twins(place[0])[place[1]]
    return f"{twin.title}-{twin.label}"


@pytest.mark.parametrize("place", DEFAULT, ids=named)
def test_a_module_is_its_spec(place: tuple[str, int]) -> None:
    unit, i = place
    proved = proof.prove(twins(unit)[i])
    assert proved.holds, "\n".join(proved.counterexample)


@pytest.mark.parametrize("module", MODULES)
def test_verilator_has_nothing_to_say(module: str) -> None:
    assert lint(module) == []


@pytest.mark.parametrize("unit", units())
def test_a_unit_has_five_mutants_by_hand(unit: str) -> None:
    assert len(by_hand(unit)) >= 5


def test_every_module_has_a_mutant_by_hand() -> None:
    """Those of ``mac/``, which have no spec, are edited in ``test_mac_flavours.py``."""
    assert {edit.file for _, edit in EDITS} == {f"{module}.sv" for module in MODULES}


@pytest.mark.parametrize(("unit", "edit"), EDITS, ids=[f"{u}-{e.kind}-{i}" for i, (u, e) in enumerate(EDITS)])
def test_a_mutant_made_by_hand_is_refused(unit: str, edit: Edit, tmp_path: Path) -> None:
    for source in yosys.SOURCES.glob("*.sv"):
        shutil.copy(source, tmp_path)
    text = (tmp_path / edit.file).read_text()
    assert text.count(edit.old) == 1, "a mutant changes one place"
    (tmp_path / edit.file).write_text(text.replace(edit.old, edit.new))
    quick_first = sorted((i for _, i in places([unit], False)), key=lambda i: size(unit, i))
    assert any(refuses(unit, i, tmp_path) for i in quick_first)


def size(unit: str, i: int) -> int:
    """How many parts are cut; a module that is proved whole comes after those with few."""
    return sum(len(cut.instances) for cut in twins(unit)[i].cuts) or 20


def refuses(unit: str, i: int, folder: Path) -> bool:
    try:
        return not proof.one_cycle(twins(unit)[i], folder).holds
    except yosys.YosysError:
        return False  # a mutant that is not even a module proves nothing
