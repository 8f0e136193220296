"""Pages that are made from the code, so that they cannot differ from it.

Commands and notebooks go into ``made/`` when the documentation is built. The fields of files are kept in
``fields/``, for who reads them here: ``python docs/generate.py`` (``make schema``) writes them anew.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from typer.main import get_command
from typer.testing import CliRunner

from blocksim.cli import app
from blocksim.compiler.precision import PlanFile
from blocksim.explore.searchfile import SearchFile
from blocksim.explore.space import SpaceFile
from blocksim.measure.figures import ReportData
from hwmodels.costs import CostTable
from hwmodels.machines import Machine

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"

FILES: dict[str, tuple[type[BaseModel], str]] = {
    "machine": (Machine, "A machine, `--machine my.yaml`; see [machines](../machines.md#machine)."),
    "plan": (
        PlanFile,
        "A precision plan, `--precision my-plan.yaml`; see [machines](../machines.md#precision-plan).",
    ),
    "costs": (
        CostTable,
        "An energy table, `--costs my-costs.yaml`; see [machines](../machines.md#energy-table).",
    ),
    "space": (
        SpaceFile,
        "A space of configurations, for `blocksim sweep`; see [sweeps](../explore.md#a-space).",
    ),
    "search": (SearchFile, "A search, for `blocksim search`; see [searches](../explore.md#a-search)."),
    "report": (ReportData, "`report.json`, and `report.data` in Python; see [reports](../reports.md)."),
}
"""Pages about files: what checks them, and a line about them."""


def write_fields(folder: Path) -> None:
    """Write a page for each kind of file."""
    folder.mkdir(exist_ok=True)
    for name in FILES:
        (folder / f"{name}.md").write_text(fields_page(name))


def write_made(folder: Path) -> None:
    """Write the commands and copy the notebooks into a folder, which is made anew."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "commands.md").write_text("\n".join(commands()))
    for notebook in sorted(NOTEBOOKS.glob("*.ipynb")):
        shutil.copy(notebook, folder)


def commands() -> Iterator[str]:
    """What ``--help`` says, command by command."""
    yield "# Commands\n"
    for words in command_names():
        shown = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "100", "NO_COLOR": "1"}).output
        yield f"## blocksim {' '.join(words)}\n\n```text\n{shown.strip()}\n```\n"


def command_names() -> Iterator[list[str]]:
    """Every command, those within a group too."""
    root: Any = get_command(app)
    for name, command in root.commands.items():
        for inner in getattr(command, "commands", {}):
            yield [name, inner]
        if not hasattr(command, "commands"):
            yield [name]


def fields_page(name: str) -> str:
    """Every field of a file, from its JSON schema."""
    model, about = FILES[name]
    schema = model.model_json_schema()
    lines = [f"# Fields: {name}", "", about, "", *fields_table(schema)]
    for part, inner in schema.get("$defs", {}).items():
        if inner.get("properties"):
            said = inner.get("description", "").splitlines()[:1]
            lines += ["", f"## {part}", "", *said, "", *fields_table(inner)]
    return "\n".join(lines) + "\n"


def fields_table(schema: dict[str, Any]) -> Iterator[str]:
    """The fields of one object."""
    yield "| field | is | meaning |\n|---|---|---|"
    for field, spec in schema.get("properties", {}).items():
        is_kind = kind(spec)
        if field not in schema.get("required", ()):
            is_kind = is_kind.removesuffix(" or null") + ", optional"
        said = " ".join(spec.get("description", "").split()).replace("|", "\\|")
        yield f"| `{field}` | {is_kind} | {said} |"


def kind(spec: dict[str, Any]) -> str:
    """What a field may hold, in words."""
    if "$ref" in spec:
        part = spec["$ref"].rsplit("/", 1)[-1]
        return f"[{part}](#{part.lower()})"
    if "anyOf" in spec:
        return " or ".join(dict.fromkeys(kind(one) for one in spec["anyOf"]))
    if "enum" in spec:
        return ", ".join(f"`{one}`" for one in spec["enum"])
    if "const" in spec:
        return f"`{spec['const']}`"
    if spec.get("type") == "array":
        inner = spec.get("items") or {}
        return f"list of {kind(inner)}"
    if spec.get("type") == "object":
        inner = spec.get("additionalProperties")
        return f"by name: {kind(inner)}" if isinstance(inner, dict) and inner else "mapping"
    low, high = spec.get("minimum"), spec.get("maximum")
    if high is not None and high >= 1 << 32:  # a guard against absurdity, which says nothing
        low = high = None
    limits = f" {low} to {high}" if low is not None and high is not None else ""
    limits = limits or (f" of {low} or more" if low is not None else "")
    limits = limits or (f" above {spec['exclusiveMinimum']}" if "exclusiveMinimum" in spec else "")
    return f"{spec.get('type', 'any value')}{limits}"


if __name__ == "__main__":
    write_fields(Path(__file__).parent / "fields")
