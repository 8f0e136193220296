"""Build the wheel, install it in a fresh environment elsewhere, and run the demo from there."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parent.parent
LARGEST = 6 * 2**20
"""Bytes that the embedded model may take."""


def run(*command: object, cwd: Path) -> None:
    """Run a command; stop where it fails."""
    print("+", *command, flush=True)
    subprocess.run([str(c) for c in command], cwd=cwd, check=True, env={**os.environ, "PYTHONPATH": ""})


def main() -> None:
    """Do it all in a temporary folder."""
    zoo = sum(p.stat().st_size for p in (ROOT / "blocksim" / "zoo" / "vit_fashion").iterdir())
    if zoo > LARGEST:
        sys.exit(f"the embedded model takes {zoo:,} bytes, more than {LARGEST:,}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, ROOT, cwd=folder)
        (wheel,) = folder.glob("blocksim-*.whl")
        venv.create(folder / "env", with_pip=True)
        python = folder / "env" / "bin" / "python"
        run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel, cwd=folder)
        run(folder / "env" / "bin" / "blocksim", "demo", "--out", folder / "demo", cwd=folder)
        if not (folder / "demo" / "report.html").stat().st_size > 100_000:
            sys.exit("the demo wrote no page")


if __name__ == "__main__":
    main()
