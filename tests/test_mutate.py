"""The mutation tool: what it changes, what it leaves, and that a change is noticed."""

from __future__ import annotations

import ast
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent

SOURCE = '''"""Text: 1 + 2 < 3."""
from a import largest, smallest
WIDTH: int | None = 3
"""More text: 4."""

@decorated(frozen=True)
def f(x: int | None, rounding: int = RNE) -> int | None:
    """Text: 5."""
    for a, b in zip(x, x, strict=True):
        x = select(a < b, (a  # + b
            + b), largest(x[0], a[:-1]))
    return x if a == b and not c else {f"add:{a + 1}": x >> 2}
'''


@pytest.fixture
def tools(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import mutate

    return mutate


def test_mutants_of_a_small_module(tools: ModuleType) -> None:
    found = list(tools.mutants("units/f", SOURCE))
    assert found == list(tools.mutants("units/f", SOURCE))
    assert len({m.source for m in found}) == len(found)
    for m in found:
        ast.parse(m.source)
        assert m.source.splitlines()[m.number - 1].strip() == m.after
    changed = {m.number: {n.after for n in found if n.number == m.number} for m in found}
    assert set(changed) == {3, 7, 10, 11, 12}
    assert changed[3] == {"WIDTH: int | None = 4", "WIDTH: int | None = 2"}
    assert changed[7] == {f"def f(x: int | None, rounding: int = {r}) -> int | None:" for r in (0, 1)}
    assert changed[10] == {
        "x = select(a <= b, (a  # + b", "x = select(a < b, (largest(x[0], a[:-1])), a  # + b",
    }  # fmt: skip
    assert changed[11] == {
        "- b), largest(x[0], a[:-1]))", "+ b), smallest(x[0], a[:-1]))", "+ b), largest(x[1], a[:-1]))",
        "+ b), largest(x[0], a[:+1]))", "+ b), largest(x[0], a[:-2]))", "+ b), largest(x[0], a[:-0]))",
    }  # fmt: skip
    line = 'return x if a == b and not c else {f"add:{a + 1}": x >> 2}'
    changes = (("==", "!="), (" and ", " or "), ("not ", ""), (">>", "<<"), ("2}", "3}"))
    assert changed[12] >= {line.replace(*pair) for pair in changes}


def test_every_module_has_mutants_and_tests(tools: ModuleType) -> None:
    assert {"units/ops", "kernels/panel"} <= set(tools.modules())
    for module in tools.modules():
        assert any(tools.mutants(module, (ROOT / "hwmodels" / f"{module}.py").read_text())), module
        assert tools.tests_of(module), module
    assert set(tools.TESTS) <= set(tools.modules())


def test_every_reason_has_a_module_and_a_text(tools: ModuleType) -> None:
    for (module, line, becomes), why in tools.reasons().items():
        assert module in tools.modules()
        assert line != becomes
        assert why.endswith(".")


def test_a_change_is_noticed(tools: ModuleType, tmp_path: Path) -> None:
    """One that a test of `ops` rejects, and one that changes nothing."""
    bench = tools.Bench(tmp_path / "bench")
    source = (ROOT / "hwmodels" / "units" / "ops.py").read_text()
    tests = ("tests/units/test_exact_ops.py",)
    assert bench.run(tools.RUN, tests, 120) == 0
    path = bench.folder / "hwmodels" / "units" / "ops.py"
    for old, new, rejected in (
        ("select(a > b, a, b)", "select(a < b, a, b)", True),
        ("a > b", "a >= b", False),
    ):
        assert old in source
        path.write_text(source.replace(old, new, 1))
        assert (bench.run(tools.RUN, tests, 120) != 0) is rejected
