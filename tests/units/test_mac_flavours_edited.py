"""The MAC flavours have no specification to be proved against: their tests refuse edits made by hand."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import test_mac_flavours as flavours

from hwmodels.rtl import area, yosys
from hwmodels.rtl.twin import Edit

ieee = flavours.test_floats_are_ieee_arithmetic_flushed_and_saturated
Case = tuple[Edit, Callable[..., Any], tuple[Any, ...]]

CASES: list[Case] = [
    (Edit("mac_int.sv", "dot + SUM'", "dot - SUM'", "sign"), flavours.test_integers, ("int4", 4)),
    (Edit("mac_block.sv", "x[M] ^ y[M]", "x[M] | y[M]", "sign"), flavours.test_block_floats, ("BFP4", 3)),
    (Edit("mac_block.sv", "<<< GUARD", "<<< (GUARD - 1)", "width"), flavours.test_block_floats, ("BFP4", 3)),
    (Edit("mac_minifloat.sv", "- (E + 1)'(y_normal)", "", "width"), flavours.test_minifloats, ()),
    (Edit("mac_float.sv", "first ? '0 : acc", "'0", "latency"), flavours.test_floats, ("bf16", 16)),
    (Edit("float_add.sv", "shifted[0] | sticky", "shifted[0]", "sticky"), ieee, ("float_add", "half")),
    (Edit("float_add.sv", "{W{1'b1}} << shift", "{W{1'b1}} >> shift", "sticky"), ieee, ("float_add", "half")),
    (Edit("float_multiply.sv", "- Bias +", "- Bias -", "sign"), ieee, ("float_multiply", "half")),
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the sources that `area.read` finds."""
    copy = tmp_path / "rtl"
    shutil.copytree(yosys.SOURCES, copy, ignore=lambda place, names: {n for n in names if n.endswith(".py")})
    monkeypatch.setattr(area.yosys, "SOURCES", copy)
    return copy


def test_every_flavour_is_edited() -> None:
    assert {edit.file for edit, _, _ in CASES} == {path.name for path in (yosys.SOURCES / "mac").glob("*.sv")}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0].file}-{case[0].kind}")
def test_an_edit_is_refused(case: Case, folder: Path) -> None:
    edit, test, arguments = case
    path = folder / "mac" / edit.file
    text = path.read_text()
    assert text.count(edit.old) == 1, "a mutant changes one place"
    path.write_text(text.replace(edit.old, edit.new))
    with pytest.raises(AssertionError):
        test(*arguments, folder)
