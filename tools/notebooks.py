"""Run notebooks from a clean kernel, in a folder of their own, and keep what they show.

python tools/notebooks.py [NAME ...]      # all of notebooks/ unless named
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "notebooks"
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def run(path: Path) -> nbformat.NotebookNode:
    """A notebook with what it shows, executed where nothing else lies.

    Raises
    ------
    RuntimeError
        If it writes a file, or warns.
    """
    os.environ.setdefault("BLOCKSIM_MODELS", str(ROOT / ".models"))
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            notebook, timeout=900, kernel_name="python3", resources={"metadata": {"path": folder}}
        )
        client.execute()
        left = sorted(p.name for p in Path(folder).iterdir())
    told = [o for cell in notebook.cells for o in cell.get("outputs", []) if o.get("name") == "stderr"]
    if left or told:
        raise RuntimeError(f"{path.name}: left {left}, warned {[o['text'] for o in told]}")
    return notebook


def tidied(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Without what differs from run to run."""
    notebook.metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    for i, cell in enumerate(notebook.cells):
        cell.metadata, cell.id = {}, f"cell-{i}"
    return notebook


def main() -> None:
    """Run and write them, one after the other."""
    for path in sorted(FOLDER.glob("*.ipynb")):
        if not sys.argv[1:] or any(path.stem.startswith(name) for name in sys.argv[1:]):
            began = time.perf_counter()
            nbformat.write(tidied(run(path)), path)
            print(f"{path.name}: {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
