"""The shipped machines: what they agree in, and what their files may say."""

from __future__ import annotations

from math import ceil
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from hwmodels import machines
from hwmodels.machines import Machine, load
from hwmodels.units import array_cycles


def test_shipped_names() -> None:
    assert machines.names() == ["bct64", "edge16", "scalesim", "tpu128"]
    assert all(load(name).name == name for name in machines.names())


@pytest.mark.parametrize("name", ["edge16", "tpu128"])
def test_numeric_settings_are_those_of_bct64(name: str) -> None:
    """The weight-stationary machines round, saturate and look up alike."""
    ours, bct = load(name), load("bct64")
    for field in ("lut", "softmax", "norm"):
        assert getattr(ours, field) == getattr(bct, field)
    left, right = ours.array_config, bct.array_config
    assert left.aligner == right.aligner
    assert left.normalise == right.normalise
    assert (left.accumulator.bits, left.accumulator.saturating) == (
        right.accumulator.bits,
        right.accumulator.saturating,
    )
    assert ours.elementwise_config.guard_bits == bct.elementwise_config.guard_bits


@pytest.mark.parametrize(("m", "k", "n", "published"), [(128, 768, 768, 79_680), (128, 768, 3072, 318_720)])
def test_scalesim_is_published(m: int, k: int, n: int, published: int) -> None:
    config = load("scalesim").array_config
    tile = array_cycles.cycles(config, 32, 32, k, [0])
    assert ceil(m / 32) * ceil(n / 32) * tile.total == published
    assert tile.aligner == tile.port == tile.prescan == 0


@pytest.mark.parametrize("name", ["bct64", "tpu128", "edge16"])
def test_ports_are_wide_enough_for_any_block(name: str) -> None:
    config = load(name).array_config
    assert array_cycles.cycles(config, 49, config.columns, 256, list(range(256))).port == 0


def test_the_array_streams_through_its_operands_ports() -> None:
    plain = yaml.safe_load((machines.FOLDER / "bct64.yaml").read_text())
    plain["sram"]["weights"]["port_bytes"], plain["sram"]["activations"]["port_bytes"] = 10, 20
    plain["aligner"]["depth"] = "segment"
    found = {}
    for dataflow in ("ws", "is", "os"):
        plain["array"]["dataflow"] = dataflow
        config = Machine.model_validate(plain).array_config
        found[dataflow] = (config.port_bytes, config.raw_bank)
    assert found == {"ws": (20, True), "is": (10, True), "os": (30, False)}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"array": {"columns": 1025}}, "columns"),
        ({"array": {"dataflow": "os"}}, "give segment"),
        ({"array": {"dataflow": "os", "pack_axis": "K"}, "aligner": {"depth": "segment"}}, "give N"),
        ({"aligner": {"normalise": "none"}}, "normalise"),
        ({"requantizer": {"exponents": "learned"}}, "exponents"),
        ({"sram": {"weights": {"kib": 512, "banks": 8, "ports": 5, "port_bytes": 128}}}, "ports"),
    ],
)
def test_bad_fields_are_named(changes: dict[str, dict[str, object]], message: str, tmp_path: Path) -> None:
    plain = yaml.safe_load((machines.FOLDER / "bct64.yaml").read_text())
    for section, fields in changes.items():
        plain[section].update(fields)
    path = tmp_path / "bad.yaml"
    path.write_text(yaml.safe_dump(plain))
    with pytest.raises(ValidationError, match=message):
        load(path)


def test_a_changed_machine_is_worked_out_anew() -> None:
    """Also where the one that it was made from has been used."""
    before = load("bct64")
    assert (before.array_config.aligners, before.softmax_config.lanes) == (1, 64)
    for after in (
        before.changed(aligner={"per_column": 4}),
        before.model_copy(update={"aligner": before.aligner.model_copy(update={"per_column": 4})}),
    ):
        assert after.array_config.aligners == 4
    ports = before.changed(sram={"activations": {"ports": 1}}).sram
    assert (ports.activations.ports, ports.activations.kib) == (1, before.sram.activations.kib)
    assert before == load("bct64")


@pytest.mark.parametrize("fields", [{"aligner": {"per_colum": 4}}, {"aligners": 1}, {"array": {"rows": 0}}])
def test_a_change_is_checked(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        load("bct64").changed(**fields)
