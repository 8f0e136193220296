"""Running yosys: a script in a process of its own, so that its log and its failures stay there."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

SOURCES = Path(__file__).parent

_RUNNER = """
import sys
from pyosys import libyosys
design = libyosys.Design()
for command in sys.stdin.read().splitlines():
    libyosys.run_pass(command, design)
"""


class YosysError(Exception):
    """What yosys says is wrong."""


def run(commands: Iterable[str]) -> str:
    """Run the commands of one script and give the log.

    Raises
    ------
    YosysError
        With the last lines of the log.
    """
    done = subprocess.run(
        [sys.executable, "-c", _RUNNER],
        input="\n".join(commands),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        lines = (done.stdout + done.stderr).strip().splitlines()
        errors = [line for line in lines if "ERROR" in line or "Error" in line]
        raise YosysError("\n".join(errors or lines[-5:]))
    return done.stdout


def _literal(value: int) -> str:
    """A parameter's value; yosys reads no sign in front of a number."""
    return str(value) if value >= 0 else f"32'sb{value & 0xFFFFFFFF:032b}"


def read(top: str, parameters: Mapping[str, int], folder: Path = SOURCES) -> list[str]:
    """The commands that read a folder of modules and make `top` with these parameters."""
    sources = " ".join(f'"{p}"' for p in sorted(folder.glob("*.sv")))
    values = " ".join(f"-chparam {name} {_literal(value)}" for name, value in parameters.items())
    return [f"read_verilog -sv -defer {sources}", f"hierarchy -check -top {top} {values}", "proc"]
