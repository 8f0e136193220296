"""Notebooks run from a clean kernel, warn of nothing, and hold no path of the machine that wrote them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import nbformat
import pytest

import notebooks

MODELS = notebooks.ROOT / ".models" / "minilm"
EVERY = sorted(notebooks.FOLDER.glob("*.ipynb"), reverse=True)
"""The last take longest: begun first, they leave no core idle in the end."""

QUICK = ("01", "02")
"""Those that ``make test`` runs; the others wait for ``make verify``."""


def needed(path: Path) -> pytest.ParameterSet:
    marks = [] if path.stem.startswith(QUICK) else [pytest.mark.verify]
    if "fetched(" in path.read_text() and not MODELS.is_dir():
        marks.append(pytest.mark.skip(reason="MiniLM is not there; make models fetches it"))
    return pytest.param(path, marks=marks, id=path.stem)


@pytest.mark.parametrize("path", [needed(path) for path in EVERY])
def test_notebook_runs(path: Path) -> None:
    """It raises where a cell fails, a warning is shown, or a file is left behind."""
    notebook = notebooks.run(path)
    shown = [o.get("data", {}) for cell in notebook.cells for o in cell.get("outputs", [])]
    assert sum("image/png" in data or "<svg" in str(data.get("text/html")) for data in shown) >= 2


@pytest.mark.parametrize("path", EVERY, ids=lambda p: p.stem)
def test_committed_outputs_are_clean(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert all(cell.outputs for cell in code if isinstance(ast.parse(cell.source).body[-1], ast.Expr))
    assert not re.search(r"/(home|root|work|tmp|Users)/", path.read_text())
    assert not any(
        o.output_type == "error" or o.get("name") == "stderr" for cell in code for o in cell.outputs
    )


@pytest.mark.parametrize("path", EVERY, ids=lambda p: p.stem)
def test_each_says_what_was_found(path: Path) -> None:
    """A conclusion in words; of the questions also what its limits are."""
    told = "\n".join(c.source for c in nbformat.read(path, as_version=4).cells if c.cell_type == "markdown")
    assert "## Conclusion" in told
    assert path.stem.startswith("01") or "**Limits.**" in told
