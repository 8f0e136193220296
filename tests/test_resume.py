"""Sweeps that are killed, and sweeps on a cluster: the table is that of a sweep that nobody disturbed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import psutil
import pytest
import yaml

from blocksim.errors import BlocksimError
from blocksim.explore.columns import COLUMNS
from blocksim.explore.store import ROWS, TABLE, read_table
from blocksim.explore.sweep import sweep

TIMING = [c.name for c in COLUMNS if c.timing]
GRID = {
    "block": ["8x8", "16x16", "64x64"],
    "machine.aligner.per_column": [1, 2],
    "machine.lut.segments": [64, 256],
}


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("space") / "space.yaml"
    path.write_text(yaml.safe_dump({"model": "vit_fashion", "samples": 8, "grid": GRID}, sort_keys=False))
    return path


@pytest.fixture(scope="module")
def undisturbed(space: Path, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    return told(sweep(space, tmp_path_factory.mktemp("sweep") / "out", jobs=2).frame)


def told(frame: pd.DataFrame) -> pd.DataFrame:
    """All columns except timing."""
    return frame.drop(columns=TIMING)


def begun(space: Path, out: Path) -> subprocess.Popen[bytes]:
    """The command, in a group of its own."""
    command = [sys.executable, "-m", "blocksim.cli", "sweep", str(space), "--out", str(out), "--jobs", "2"]
    return subprocess.Popen(
        command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def seconds(space: Path, folder: Path) -> float:
    """How long the whole command takes."""
    start = time.perf_counter()
    assert begun(space, folder / "timed").wait() == 0
    return time.perf_counter() - start


def workers_of(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """The spawned processes of a sweep, without what watches over their resources."""
    try:
        found = psutil.Process(process.pid).children(recursive=True)
        return [p for p in found if "spawn_main" in " ".join(p.cmdline())]
    except psutil.NoSuchProcess:
        return []


def kill(victim: str, process: subprocess.Popen[bytes]) -> None:
    """Kill -9 the sweep, one of its workers, or all of them."""
    if victim == "group":
        os.killpg(process.pid, signal.SIGKILL)
    elif victim == "sweep":
        process.kill()
    else:
        for worker in workers_of(process)[:1]:
            worker.kill()


def disturbed(space: Path, out: Path, victim: str, after: float) -> None:
    """Begin a sweep, and kill; a sweep that only lost a worker goes on by itself."""
    process = begun(space, out)
    time.sleep(after)
    workers = workers_of(process)
    kill(victim, process)
    assert process.wait() == (0 if victim == "worker" else -signal.SIGKILL) or process.returncode == 0
    _, left = psutil.wait_procs(workers, timeout=20)
    assert not left, "a worker outlives its sweep"


def check(space: Path, out: Path, want: pd.DataFrame) -> None:
    frame = sweep(space, out, jobs=2).frame
    assert frame["config_id"].is_unique
    pd.testing.assert_frame_equal(told(frame), want)
    assert len(list((out / ROWS).iterdir())) == len(want)


@pytest.mark.parametrize("victim", ["sweep", "worker", "group"])
def test_a_sweep_that_is_killed_goes_on(
    space: Path, undisturbed: pd.DataFrame, tmp_path: Path, victim: str
) -> None:
    rows = tmp_path / "out" / ROWS
    process = begun(space, tmp_path / "out")
    while process.poll() is None and len(list(rows.glob("*.json"))) < 3:
        time.sleep(0.01)
    workers = workers_of(process)
    kill(victim, process)
    process.wait()
    _, left = psutil.wait_procs(workers, timeout=20)
    assert not left, "a worker outlives its sweep"
    if victim == "worker":  # it went on by itself
        assert process.returncode == 0
        pd.testing.assert_frame_equal(told(read_table(tmp_path / "out" / TABLE)), undisturbed)
    else:
        assert not (tmp_path / "out" / TABLE).exists()
    check(space, tmp_path / "out", undisturbed)


@pytest.mark.verify
@pytest.mark.parametrize("moment", range(20))
def test_a_sweep_that_is_killed_at_any_moment_goes_on(
    space: Path, undisturbed: pd.DataFrame, tmp_path: Path, moment: int, whole: float
) -> None:
    """The sweep, a worker and the group in turn, each at a random moment of its time."""
    draw = random.Random(moment)
    for victim in draw.sample(["sweep", "worker", "group"], 3):
        disturbed(space, tmp_path / "out", victim, draw.uniform(0, whole))
    check(space, tmp_path / "out", undisturbed)


@pytest.fixture(scope="module")
def whole(space: Path, tmp_path_factory: pytest.TempPathFactory) -> float:
    return seconds(space, tmp_path_factory.mktemp("time"))


@pytest.fixture
def cluster(request: pytest.FixtureRequest) -> Iterator[str]:
    from distributed import LocalCluster

    count, threads = request.param
    with LocalCluster(
        n_workers=count, threads_per_worker=threads, dashboard_address=None, silence_logs=50
    ) as own:
        yield own.scheduler_address


@pytest.mark.parametrize("cluster", [(2, 1)], indirect=True)
def test_a_cluster_gives_the_same(
    space: Path, undisturbed: pd.DataFrame, tmp_path: Path, cluster: str
) -> None:
    frame = sweep(space, tmp_path / "out", scheduler=cluster).frame
    pd.testing.assert_frame_equal(told(frame), undisturbed)
    assert frame["worker"].nunique() == 2


@pytest.mark.parametrize("cluster", [(1, 2)], indirect=True)
def test_workers_with_more_threads_are_refused(space: Path, tmp_path: Path, cluster: str) -> None:
    with pytest.raises(BlocksimError, match="2 threads: start workers with --nthreads 1"):
        sweep(space, tmp_path / "out", scheduler=cluster)


@pytest.mark.parametrize("cluster", [(0, 1)], indirect=True)
def test_a_cluster_without_workers_is_refused(space: Path, tmp_path: Path, cluster: str) -> None:
    with pytest.raises(BlocksimError, match="workers: none: start some"):
        sweep(space, tmp_path / "out", scheduler=cluster)


def test_a_scheduler_that_is_not_there_is_refused(
    space: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blocksim.explore.workers.CONNECT_SECONDS", 1)
    with pytest.raises(BlocksimError, match=r"--scheduler: tcp://127.0.0.1:1: no Dask scheduler"):
        sweep(space, tmp_path / "out", scheduler="tcp://127.0.0.1:1")
    with pytest.raises(BlocksimError, match=r"--scheduler: localhost:1: no Dask scheduler"):
        sweep(space, tmp_path / "out", scheduler="localhost:1")


def test_a_worker_that_always_ends_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its row says so, the others are there, and the next call tries it again."""
    path = tmp_path / "space.yaml"
    path.write_text(
        yaml.safe_dump({"model": "vit_fashion", "samples": 2, "grid": {"block": ["8x8", "16x16", "64x64"]}})
    )
    program = (
        "import os, sys; from blocksim.explore import evaluate, workers\n"
        "kept = workers.evaluate\n"
        "def fragile(e, w, c): return os._exit(9) if c.settings['block'] == '16x16' else kept(e, w, c)\n"
        "workers.evaluate = fragile\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "sitecustomize.py").write_text(
        f"import sys\nif 'multiprocessing' in ' '.join(sys.orig_argv):\n    exec({program!r})\n"
    )
    frame = sweep(path, tmp_path / "out", jobs=2).frame
    assert frame["error"].isna().tolist() == [True, False, True]
    assert "its worker ended 3 times" in frame["error"].iloc[1]
    (tmp_path / "sitecustomize.py").unlink()
    assert sweep(path, tmp_path / "out", jobs=1).frame["error"].isna().all()
