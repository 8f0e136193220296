"""How kernels are compiled: where they are cached, and under which name."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numba
import platformdirs
import pytest

import hwmodels
from hwmodels.kernels import jit, lut


def test_the_folder_is_named_after_the_sources_and_the_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BLOCKSIM_CACHE", "/elsewhere")
    own = jit.cache_folder()
    assert own.parent == Path("/elsewhere")
    assert re.fullmatch("[0-9a-f]{16}", own.name)
    monkeypatch.setattr(numba, "__version__", "another")
    assert jit.cache_folder().name != own.name
    monkeypatch.delenv("BLOCKSIM_CACHE")
    assert jit.cache_folder().parent == Path(platformdirs.user_cache_dir("blocksim", appauthor=False))


def test_a_changed_source_has_a_folder_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "kernels").mkdir()
    source = tmp_path / "units.py"
    monkeypatch.setattr(jit, "__file__", str(tmp_path / "kernels" / "jit.py"))
    names = []
    for text in ("a = 1", "a = 2", "a = 1"):
        source.write_text(text)
        names.append(jit.cache_folder().name)
    source.rename(tmp_path / "others.py")
    names.append(jit.cache_folder().name)
    assert names[0] == names[2]
    assert len(set(names)) == 3


def test_kernels_are_cached_and_leave_the_lock() -> None:
    config: Any = numba.config
    before = config.CACHE_DIR
    compiled: Any = jit.kernel(test_kernels_are_cached_and_leave_the_lock)
    assert before == config.CACHE_DIR
    for kernel in (compiled, lut.lut):
        assert kernel.targetoptions["nogil"] is True
        assert Path(kernel.stats.cache_path).is_relative_to(jit.cache_folder())


def test_what_one_process_compiled_another_loads(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "from hwmodels.kernels.jit import kernel\n"
        "@kernel\n"
        "def twice(x):\n"
        "    return 2 * x\n"
        "print(twice(4), sum(twice.stats.cache_hits.values()), sum(twice.stats.cache_misses.values()))\n"
    )
    places = [str(Path(hwmodels.__file__).parent.parent), str(tmp_path)]
    environment = {
        **os.environ,
        "BLOCKSIM_CACHE": str(tmp_path / "cache"),
        "PYTHONPATH": os.pathsep.join(places),
    }
    command = [sys.executable, "-c", "import own"]
    said = [subprocess.run(command, env=environment, capture_output=True, check=True).stdout for _ in "12"]
    assert [line.split() for line in said] == [[b"8", b"0", b"1"], [b"8", b"1", b"0"]]
    assert list((tmp_path / "cache").rglob("own.twice-*.nbi"))
