"""The benchmark beside other simulators: what can be checked of it where none of them is installed."""

from __future__ import annotations

import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from hwmodels.units import mac_array

ROOT = Path(__file__).parent.parent

REPORT = """\
LayerID, Total Cycles (incl. prefetch), Total Cycles, Stall Cycles, Overall Util %, Mapping Efficiency %, Compute Util %,
0, 95855, 79679, 0, 92.53128176809447, 100.0, 92.53012048192771,
"""  # noqa: E501
"""What SCALE-Sim 3.0.0 writes for 128 x 768 x 768 where outputs stay in 32 x 32 elements."""


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "bench"))


@pytest.fixture
def scalesim(bench: None) -> ModuleType:
    import scalesim_peer

    return scalesim_peer


@pytest.fixture
def peers(bench: None) -> ModuleType:
    import peers

    return peers


def test_scalesims_report_is_read(scalesim: ModuleType) -> None:
    assert scalesim.cycles_of(REPORT) == (79_679, 0)
    assert scalesim.Case("os", 32, 128, 768, 768).closed_form - 1 == 79_679
    assert scalesim.Case("ws", 128, 128, 3072, 768).closed_form - 1 == 73_439


@pytest.mark.parametrize(
    "text", ["", "LayerID,\n", REPORT.splitlines()[0], REPORT.replace("Stall", "Lost"), 2 * REPORT]
)
def test_another_report_is_refused(scalesim: ModuleType, text: str) -> None:
    with pytest.raises(scalesim.PeerError, match=r"^COMPUTE_REPORT.csv: .*one layer") as refused:
        scalesim.cycles_of(text)
    assert "\n" not in str(refused.value)


def test_files_for_scalesim(scalesim: ModuleType, tmp_path: Path) -> None:
    scalesim.write_inputs(scalesim.Case("ws", 64, 128, 768, 3072), tmp_path)
    array = ConfigParser()
    array.read(tmp_path / "array.cfg")
    presets = array["architecture_presets"]
    assert (presets["ArrayHeight"], presets["ArrayWidth"], presets["Dataflow"]) == ("64", "64", "ws")
    assert array["run_presets"]["InterfaceBandwidth"] == "CALC"
    header, layer = (tmp_path / "gemm.csv").read_text().splitlines()
    named = dict(zip(header.replace(" ", "").split(","), layer.replace(" ", "").split(","), strict=True))
    assert named == {"Layer": "gemm", "M": "128", "N": "3072", "K": "768", "": ""}
    assert len((tmp_path / "layout.csv").read_text().splitlines()) == 1


@pytest.mark.parametrize("dataflow", ["os", "ws"])
def test_blocksims_cycles_are_the_closed_form(scalesim: ModuleType, dataflow: str) -> None:
    case = scalesim.Case(dataflow, 32, 48, 64, 40)
    row = scalesim.ours(case, 1)
    assert row["cycles"] == case.closed_form < row["whole"]
    assert set(row["seconds"]) == {*scalesim.STAGES, "again"}
    assert min(row["seconds"].values()) > 0


def test_the_kernels_bits_of_a_tile(bench: None) -> None:
    import rtl_peer
    import tiles

    tile = tiles.Tile(8, 0)
    want = mac_array.result(tiles.built(8).array, tiles.operands(tile))
    bits, seconds, cycles = rtl_peer.ours(tile, 1)
    assert bits == (want.sums, want.exponents, [want.flushed, want.overflows])
    # 32 folds of 8 rows: the first load, 128 rows in each, and the wave
    assert seconds > 0 and cycles == 8 + 32 * 128 + 14


def test_a_missing_peer_is_one_line_and_exit_2(
    peers: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import environments

    missing = environments.Environment("scalesim", "scalesim", tmp_path)
    monkeypatch.setattr(peers, "EVERY", (missing,))
    assert peers.main([]) == 2
    said = capsys.readouterr()
    assert not said.out
    assert (
        said.err == f"peers: {tmp_path / 'scalesim'}: scalesim 3.0.0: not installed: run make bench-peers\n"
    )


def test_another_version_is_missing_too(bench: None, tmp_path: Path) -> None:
    import environments

    packages = tmp_path / "cxxrtl" / "lib" / "python3.12" / "site-packages"
    (packages / "pyosys-0.1.dist-info").mkdir(parents=True)
    env = environments.Environment("cxxrtl", "pyosys", tmp_path)
    with pytest.raises(environments.MissingPeerError, match="pyosys"):
        env.packages()
    (packages / f"pyosys-{env.pins['pyosys']}.dist-info").mkdir()
    assert env.packages() == packages


def test_a_peer_that_fails_is_one_line(bench: None) -> None:
    import environments

    program = "print('so far'); raise ValueError('no such array')"
    with pytest.raises(environments.PeerError) as failed:
        environments.printed("run.py", [sys.executable, "-c", program], {}, None)
    assert str(failed.value) == "run.py: exit 1: ValueError: no such array"
    with pytest.raises(subprocess.TimeoutExpired):
        environments.printed("run.py", [sys.executable, "-c", "while True: pass"], {}, 0.5)


def figures(scalesim_seconds: float | None) -> dict[str, Any]:
    seconds = {"import": 0.1, "compile": 0.2, "schedule": 0.001, "link": 0.1, "execute": 0.1, "again": 0.009}
    theirs = {
        "cycles": None if scalesim_seconds is None else 79_679,
        "seconds": scalesim_seconds,
        "clock": scalesim_seconds,
        "limit": 60,
    }
    return {
        "machine": {"processor": "some"}, "peers": {"scalesim": "scalesim 3.0.0"}, "rounds": 1,
        "gemms": [{
            "gemm": "128 x 768 x 768", "array": "32 x 32 os", "closed_form": 79_680, "scalesim": theirs,
            "blocksim": {"cycles": 79_680, "whole": 79_766, "seconds": seconds, "total": 0.5},
        }],
        "tiles": [{
            "tool": "verilator", "array": "8 x 8 ws", "tile": "128 x 256 x 8", "tiles": 3, "cycles": 4118,
            "macs": 262_144, "build": 20.0, "seconds": 0.01, "kernel": 0.001,
        }],
    }  # fmt: skip


def test_the_page(peers: ModuleType, tmp_path: Path) -> None:
    text = peers.page(figures(12.0))
    assert "| 79,679 | 79,680 | 12 | 1 | 12,000 | 10 | 1,200 | 0.5 | 24 |" in text
    assert "| Verilator | 8 x 8 ws | 128 x 256 x 8 | 4,118 | 20 | 10 | 26.2 | 1 | 262 | 10 |" in text
    peers.draw(figures(12.0), tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 10_000


def test_a_run_that_was_stopped_has_no_cycles_and_a_least_ratio(peers: ModuleType) -> None:
    text = peers.page(figures(None))
    assert (
        "| not done | 79,680 | more than 60 of the clock | 1 | more than 60,000 | 10 | more than 6,000 |"
        in text
    )
