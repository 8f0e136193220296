"""The same bits whatever processor the kernels are compiled for, and by every microkernel."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from hwmodels.kernels.target import KIND, PLAIN, PORTABLE, VNNI, processor_features

TARGETS = {
    "portable": {"BLOCKSIM_MICROKERNEL": PORTABLE},
    "plain": {"BLOCKSIM_MICROKERNEL": PLAIN},
    "avx2": {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx2,+fma,+bmi,+bmi2,+lzcnt,+popcnt"},
    "baseline": {"NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": ""},
}


@cache
def digest(target: str) -> str:
    """The hash that another process gives; an empty name is the processor as it is."""
    names = ("BLOCKSIM_MICROKERNEL", "NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES")
    environment = {k: v for k, v in os.environ.items() if k not in names} | TARGETS.get(target, {})
    script = Path(__file__).with_name("digest.py")
    done = subprocess.run(
        [sys.executable, str(script)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("target", TARGETS)
def test_the_same_bits_on_every_target(target: str) -> None:
    if "NUMBA_CPU_NAME" in TARGETS[target] and platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("the processor is no x86-64")
    assert digest(target) == digest("")


def test_the_fastest_way_that_the_processor_has() -> None:
    named = os.environ.get("BLOCKSIM_MICROKERNEL")
    assert named or (VNNI if "+avx512vnni" in processor_features() else PORTABLE) == KIND


def test_a_way_that_is_not_known_is_told(tmp_path: Path) -> None:
    environment = os.environ | {"BLOCKSIM_MICROKERNEL": "fast"}
    command = [sys.executable, "-m", "blocksim.cli", "demo", "--out", str(tmp_path / "out")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith("blocksim: environment: BLOCKSIM_MICROKERNEL: fast: give one of plain, portable")
    assert "Traceback" not in done.stderr
