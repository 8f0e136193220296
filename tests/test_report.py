"""Reports: figures that add up, tables and plots that show, and the README's own example."""

from __future__ import annotations

import re
import runpy
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

import blocksim as bs
from blocksim.errors import BlocksimError
from blocksim.measure.error import ErrorMeter
from blocksim.report import hardware, plots, table
from blocksim.report.html import page
from blocksim.report.timeline import slices, waits
from blocksim.trace.isa import Unit
from blocksim.zoo import ZooModel

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def reports(vit: ZooModel) -> list[bs.Report]:
    experiment = bs.Experiment(vit.path, {"image": vit.inputs["image"][:6]}, vit.labels[:6])
    return [experiment.run("fp32"), experiment.run("bct-int8", "16x16"), experiment.run("bct-w4a8", "64x64")]


def test_footprint_is_the_formula(reports: list[bs.Report], vit: ZooModel) -> None:
    """Blocks counted by hand: 128 x 128 weights in 16 x 16 blocks, biases in blocks of 16."""
    f = reports[1].data.footprint
    weights = 128 * 16 + 4 * (4 * 128 * 128 + 2 * 128 * 512) + 10 * 128
    biases = 128 + 4 * (4 * 128 + 512 + 128) + 10
    exponents = 8 * 1 + 4 * (4 * 64 + 2 * 8 * 32) + 1 * 8 + (8 + 4 * (4 * 8 + 32 + 8) + 1)
    assert f.weight_bits == 8 * (weights + biases)
    assert f.metadata_bits == 8 * exponents
    assert f.fp32_bits == 32 * (weights + biases)
    assert f.compression_ratio == f.fp32_bits / (f.weight_bits + f.metadata_bits)
    assert f.embedding_bits == 49 * 128 * 8 + 49 * 8
    assert f.norm_bits == 9 * 2 * (128 * 16 + 8 * 8)


def test_layers_add_up_to_the_run(reports: list[bs.Report]) -> None:
    for report in reports[1:]:
        layers, data = report.layers, report.data
        assert layers["macs"].sum() == data.coverage.datapath_macs
        assert layers["cycles"].sum() == sum(u.busy for u in data.units.values())
        assert layers["energy_pj"].sum() + data.energy["static"] == pytest.approx(data.energy_pj)
        assert layers["end"].max() + 100 == data.cycles  # the last bytes reach DRAM after its latency
        counts = {n: a.count * a.pj for n, a in data.actions.items()}
        assert sum(counts.values()) == pytest.approx(data.energy_pj)
        assert (
            layers["sqnr_db"].notna().sum() == len(layers) - 1
        )  # the cut patches are no tensor of the model


def test_tables(reports: list[bs.Report]) -> None:
    frame = bs.compare(reports)
    assert list(frame.index) == ["fp32", "bct-int8 16x16", "bct-w4a8 64x64"]
    assert pd.isna(frame.loc["fp32", "cycles"])
    assert frame.loc["bct-int8 16x16", "cycles"] == reports[1].cycles
    assert "bct-int8 16x16" in repr(reports[1])
    bundle = reports[1]._repr_mimebundle_(include=None, exclude=None)
    assert bundle["text/plain"] == repr(reports[1])
    assert "<table" in bundle["text/html"]
    assert "price of the block" in bundle["text/html"]
    assert not re.search(r"#[0-9a-f]{3}|(?<!opacity):\s*(black|white)", bundle["text/html"])  # light and dark
    assert "no cycles" in reports[0]._repr_html_()
    assert table.plain(reports).count("\n") == 3


PLOTS = [
    *("error", "cycles", "energy", "memory"),
    *("roofline", "stalls", "energy_parts", "shifts", "accumulators"),
]


@pytest.mark.parametrize("name", PLOTS)
def test_plots_say_what_they_show(reports: list[bs.Report], name: str) -> None:
    figure = getattr(reports[1].plot, name)()
    (axes,) = figure.axes
    assert axes.get_title(loc="left")
    assert axes.get_xlabel() or axes.get_ylabel()
    assert axes.get_legend() is not None
    assert figure._repr_png_().startswith(b"\x89PNG")


def test_the_timeline_is_the_schedule(reports: list[bs.Report], tmp_path: Path) -> None:
    report = reports[1]
    assert report.trace is not None and report.timeline is not None
    units, timeline = report.trace.program["unit"], report.timeline
    drawing = report.plot.timeline()
    root = ElementTree.fromstring(drawing.svg)
    told = [e.text or "" for e in root.iter("{http://www.w3.org/2000/svg}title")]
    assert "currentColor" in drawing.svg and "black" not in drawing.svg  # light and dark
    working = [t for t in told if ": " in t and "bytes per cycle" not in t]
    assert {t.split(":")[0] for t in working} <= {o.name for o in report.trace.manifest.operators}
    every = list(slices(report.trace, timeline, 0, timeline.cycles, 0))
    assert sum(s.many for s in every) == (units != Unit.HOST).sum()
    for unit in Unit:
        busy = (timeline.end - timeline.start)[units == unit].sum()
        if unit is not Unit.HOST:
            assert sum(s.end - s.start for s in every if s.unit == unit) == busy
    waited = sum(w.end - w.start for w in waits(report.trace, timeline, -1, timeline.cycles + 1))
    assert waited == timeline.stall[units != Unit.HOST].sum()
    drawing.save(tmp_path / "timeline.svg")
    assert (tmp_path / "timeline.svg").read_text() == drawing.svg
    assert drawing.svg in drawing._repr_html_()


def test_a_part_of_the_timeline(reports: list[bs.Report]) -> None:
    layer = reports[1].layers.set_index("name").loc["encoder.0.ffn1"]
    drawing = reports[1].plot.timeline(layer.start, layer.end)
    assert "encoder.0.ffn1: MATMUL" in drawing.svg and "encoder.3.ffn1: MATMUL" not in drawing.svg
    with pytest.raises(BlocksimError, match="within 0 to"):
        reports[1].plot.timeline(10, 10)


def test_a_report_that_was_read_draws_the_same_timeline(reports: list[bs.Report], tmp_path: Path) -> None:
    reports[1].save(tmp_path, html=False)
    assert bs.Report.open(tmp_path).plot.timeline().svg == reports[1].plot.timeline().svg
    with pytest.raises(BlocksimError):
        reports[0].plot.timeline()


def test_the_price_of_the_block_in_three_panels(reports: list[bs.Report]) -> None:
    figure = hardware.price(reports)
    labels = [axes.get_xlabel() for axes in figure.axes]
    assert labels == ["% of cycles of the run", "% of energy", "% of transistors"]
    said = [text.get_text() for text in figure.legends[0].get_texts()]
    assert len(said) == 4
    assert "requantize (cycles: beside other units)" in said
    widths = [sum(p.get_width() for p in axes.patches[: 2 * 4 : 2]) for axes in figure.axes]
    data = reports[1].data
    assert data.cycles is not None and data.energy_pj is not None
    cycles = sum(p.cycles for p in data.price_of_the_block.values())
    pj = sum(p.pj for p in data.price_of_the_block.values())
    assert widths[0] == pytest.approx(100 * cycles / data.cycles)
    assert widths[1] == pytest.approx(100 * pj / data.energy_pj)


def test_every_cycle_of_the_array_has_one_cause(reports: list[bs.Report]) -> None:
    for report in reports[1:]:
        shares = hardware.array_shares(report.data)
        assert set(shares) == set(hardware.STALL_COLOURS)
        assert sum(shares.values()) == report.cycles
        assert min(shares.values()) >= 0


def test_parts_of_the_energy_all_have_a_colour(reports: list[bs.Report]) -> None:
    for report in reports[1:]:
        assert set(report.data.energy_parts) <= set(hardware.PART_COLOURS)
        assert sum(report.data.energy_parts.values()) == pytest.approx(report.energy_pj)


def test_mechanisms_say_what_is_an_emulation() -> None:
    frame = pd.DataFrame(
        {
            "mechanism": ["none", "align", "encode"],
            "how": ["simulation", "simulation", "emulation"],
            "gain_db": [0.0, 1.5, None],
            "gain_se_db": [0.0, 0.2, None],
        }
    )
    (axes,) = hardware.mechanisms(frame).axes
    labels = [text.get_text() for text in axes.get_yticklabels()]
    assert "align (simulation)" in labels
    assert "encode (emulation)" in labels
    assert any("no simulation" in text.get_text() for text in axes.get_legend().get_texts())


def test_page_stands_alone(reports: list[bs.Report]) -> None:
    text = page(reports, "A title & more")
    assert "A title &amp; more" in text
    assert not re.search(r'(src|href)="(?!#)', re.sub(r'xlink:href="#[^"]*"', "", text))
    assert "prefers-color-scheme: dark" in text
    assert text.count("<figure") == 13
    assert "var(--ink)" in text
    assert not re.search(r"(fill|stroke): #(000000|ffffff)", text)  # plots read on light and on dark
    for said in ("Roofline", "The price of the block", "Stalls by cause", "TOPS/W", "in detail"):
        assert said in text
    assert plots.tradeoff(reports).axes


def test_page_is_the_same_for_the_same_run(reports: list[bs.Report]) -> None:
    assert page(reports[1:2]) == page(reports[1:2])


def test_error_meter() -> None:
    meter = ErrorMeter()
    meter.add(np.array([3.0, 4.0]), np.array([3.0, 4.5]))
    assert meter.sqnr_db == pytest.approx(10 * np.log10(25 / 0.25))
    assert meter.largest == 0.5
    assert meter.cosine == pytest.approx((9 + 18) / (5 * np.hypot(3, 4.5)))
    exact = ErrorMeter()
    exact.add(np.ones(3), np.ones(3))
    assert (exact.sqnr_db, exact.cosine) == (None, pytest.approx(1))
    assert ErrorMeter().cosine is None


def test_smaller_blocks_have_less_error(vit: ZooModel) -> None:
    experiment = bs.Experiment(vit.path, {"image": vit.inputs["image"][:24]})
    sqnr = [
        experiment.run("bct-int8", block).data.outputs["logits"].sqnr_db
        for block in ("64x64", "16x16", "8x8")
    ]
    assert sqnr == sorted(sqnr)
    assert sqnr[2] - sqnr[0] > 3


def test_readme_example_runs(vit: ZooModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As printed, on the first 16 images."""
    few = replace(vit, inputs={"image": vit.inputs["image"][:16]}, labels=vit.labels[:16])
    monkeypatch.setattr(bs.zoo, "load", lambda name: few)
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    (tmp_path / "readme.py").write_text(code)
    names = runpy.run_path(str(tmp_path / "readme.py"))
    assert len(names["reports"]) == 3


def test_import_is_light() -> None:
    """Nothing heavy is imported before it is used."""
    import subprocess

    heavy = ("numba", "onnx", "onnxruntime", "pandas", "matplotlib", "numpy")
    code = f"import sys, blocksim, blocksim.cli; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_hwmodels_never_imports_blocksim() -> None:
    for path in (ROOT / "hwmodels").rglob("*.py"):
        assert not re.search(r"^\s*(from|import) blocksim", path.read_text(), re.M), path
