"""Writes the table and the picture of docs/formats.md: ``python tools/formats_page.py``."""

from __future__ import annotations

from pathlib import Path

from blocksim.report.formats import draw, page

DOCS = Path(__file__).parent.parent / "docs"
START, END = "<!-- table -->", "<!-- end of table -->"


def main() -> None:
    """Write both."""
    text = (DOCS / "formats.md").read_text()
    before, rest = text.split(START, 1)
    after = rest.split(END, 1)[1]
    (DOCS / "formats.md").write_text(f"{before}{START}\n{page()}\n{END}{after}")
    draw().savefig(DOCS / "formats.png", dpi=110)


if __name__ == "__main__":
    main()
