"""Write the table of columns into docs/explore.md, and the plot of its example."""

from __future__ import annotations

import tempfile
from pathlib import Path

from blocksim.explore.bound import bound_of
from blocksim.explore.columns import COLUMNS, TRIAL
from blocksim.explore.distortion import Weights
from blocksim.explore.plots import save_fronts
from blocksim.explore.space import load
from blocksim.explore.sweep import sweep

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "explore.md"


def table() -> str:
    """Every column: its unit, and what it is."""
    lines = ["| column | unit | what it is |", "|---|---|---|"]
    for c in (*TRIAL, *COLUMNS):
        text = f"{c.text} (timing)" if c.timing else c.text
        lines.append(f"| `{c.name}` | {c.unit} | {text} |")
    return "\n".join(lines)


def main() -> None:
    """Both."""
    before, rest = PAGE.read_text().split("<!-- columns -->", 1)
    _, after = rest.split("<!-- end of columns -->", 1)
    PAGE.write_text(f"{before}<!-- columns -->\n{table()}\n<!-- end of columns -->{after}")
    space = load(ROOT / "examples" / "space.yaml")
    with tempfile.TemporaryDirectory() as folder:
        frame = sweep(space, Path(folder) / "sweep", progress=True).frame
    bound = bound_of(Weights(space.workload.open().graph))
    save_fronts(
        frame,
        ROOT / "docs" / "explore.png",
        "ViT: 18 configurations, and what their accuracy costs",
        bound=bound,
    )


if __name__ == "__main__":
    main()
