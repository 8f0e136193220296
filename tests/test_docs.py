"""The documentation: examples that do what they say, commands with examples, public names explained."""

from __future__ import annotations

import doctest
import inspect
import re
import shlex
from pathlib import Path

import generate
import pytest
from typer.testing import CliRunner

import blocksim as bs
from blocksim.cli import app
from blocksim.compiler.precision import load
from blocksim.report.plots import Plots

DOCS = Path(__file__).parent.parent / "docs"
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
RUNNABLE = [p for p in sorted(DOCS.glob("*.md")) if ">>> " in p.read_text()]


@pytest.mark.parametrize("page", RUNNABLE, ids=lambda p: p.stem)
def test_examples_print_what_is_shown(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the commands of the tutorial run on the files that its examples have written."""
    monkeypatch.chdir(tmp_path)
    text = re.sub("^```$", "", page.read_text(), flags=re.MULTILINE)  # what is shown ends with the fence
    test = doctest.DocTestParser().get_doctest(text, {}, page.stem, str(page), 0)
    failures: list[str] = []
    done = doctest.DocTestRunner(optionflags=FLAGS).run(test, out=failures.append)
    assert not done.failed, "".join(failures)
    if page.stem == "tutorial":
        shells = "\n".join(re.findall(r"```sh\n(.*?)\n\n", text, re.DOTALL))
        commands = re.findall(r"^blocksim (.+)$", shells, re.MULTILINE)
        assert len(commands) >= 3
        for command in commands:
            ran = CliRunner().invoke(app, shlex.split(command))
            assert ran.exit_code == 0, ran.output


def test_plans_that_are_shown_can_be_loaded(tmp_path: Path) -> None:
    shown = [
        plan
        for page in DOCS.glob("*.md")
        for plan in re.findall(r"```yaml\n(weight:.*?)```", page.read_text(), re.DOTALL)
    ]
    assert len(shown) >= 2
    for plan in shown:
        (tmp_path / "plan.yaml").write_text(plan)
        load(tmp_path / "plan.yaml")


@pytest.mark.parametrize("words", list(generate.command_names()), ids=" ".join)
def test_help_has_an_example(words: list[str]) -> None:
    shown = CliRunner().invoke(app, [*words, "--help"])
    assert shown.exit_code == 0
    assert f"Example: blocksim {' '.join(words)}" in shown.output


PUBLIC = {name: getattr(bs, name) for name in bs.__all__ if callable(getattr(bs, name))} | {
    f"{owner.__name__}.{name}": member
    for owner in (bs.Experiment, bs.Report, Plots)
    for name, member in inspect.getmembers(owner, inspect.isfunction)
    if not name.startswith("_")
}


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_are_explained(name: str) -> None:
    """In numpydoc: what goes in, by name and with what it is, what comes out, and what may be refused."""
    it = PUBLIC[name]
    told = inspect.getdoc(it) or ""
    assert told
    if inspect.isclass(it) and (issubclass(it, Exception) or "Attributes\n" in told):
        return
    parameters = [p for p in inspect.signature(it).parameters if p not in ("self", "_")]
    elsewhere = "parameters are those of" in told
    assert not parameters or elsewhere or "Parameters\n---" in told
    assert elsewhere or [p for p in parameters if not re.search(rf"\b{p}\b", told)] == []
    if not inspect.isclass(it) and inspect.signature(it).return_annotation not in ("None", "Figure", "str"):
        assert "Returns\n---" in told
    if "BlocksimError(" in inspect.getsource(it):
        assert "Raises\n---" in told


@pytest.mark.parametrize("name", generate.FILES)
def test_fields_are_explained_as_they_are(name: str) -> None:
    page = generate.fields_page(name)
    assert (DOCS / "fields" / f"{name}.md").read_text() == page, "make schema writes it anew"
    assert re.findall(r"^\| (`\w+`) \|[^|]*\|  \|$", page, re.MULTILINE) == []


def test_every_public_name_is_in_the_reference() -> None:
    page = (DOCS / "reference.md").read_text()
    assert [n for n in bs.__all__ if n not in ("__version__", "zoo") and f"blocksim.{n}" not in page] == []


def test_links_lead_somewhere() -> None:
    """Of the README and the pages, within the repository."""
    for page in (DOCS.parent / "README.md", *DOCS.glob("*.md")):
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            made = target.startswith(("made/", "../made/"))
            assert made or (page.parent / target).exists(), f"{page.name}: {target}"
