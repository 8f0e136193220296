"""The formats, as `blocksim formats` lists them and docs/formats.md draws them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from hwmodels.costs import synthesis
from hwmodels.formats import Floating, Format, parse
from hwmodels.formats.catalogue import EXAMPLES, element
from hwmodels.formats.curves import CURVES

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.table import Table

USUAL = {"BFP": "1x16", "BM": "1x16", "BL": "1x16", "MX": "1x32", "shift": "64x64"}
"""The block that a family comes with in the papers, or here by default."""

FLAVOURS = {"int8": "int8", "int4": "int4", "bfp6": "BFP6", "bfp4": "BFP4", "e4m3": "E4M3"}
"""Elements of which a multiply-accumulate was synthesised, see docs/area.md."""

WIDTH = 150
"""Characters that the table needs."""

COLUMNS = {
    "format": "in the block that it comes with",
    "family": "",
    "bits": "per element, with its share of what a block shares",
    "density": "32 over that",
    "binades": "from the smallest magnitude that is not zero to the largest",
    "largest": "magnitude, where no shared exponent moves it",
    "step": "the smallest, where no shared exponent moves it",
    "codes": "different values",
    "MAC": "transistors of a multiply-accumulate over those of fp32, where it was synthesised (docs/area.md)",
    "source": "of its definition",
}
"""Columns and what they mean."""


def listed() -> list[Format]:
    """The formats that are listed, each in the block that it comes with."""
    return [_usual(name) for name in EXAMPLES if element(name) is not None] + [
        parse(name) for name in ("lin8@channel", *(f"{c}@tensor" for c in CURVES))
    ]


def _usual(name: str) -> Format:
    known = element(name)
    assert known is not None
    return parse(f"{name}@{USUAL[known.family]}" if known.blocked else name)


def _row(form: Format) -> dict[str, object]:
    lines, depth = form.block.lines, form.block.depth
    elements = lines * depth if lines and depth else 0
    bits = form.bits + (form.shared_bits / elements if elements else 0)
    least, most = _magnitudes(form)
    alone = None if form.anchor is None else 2.0**form.anchor
    flavour = FLAVOURS.get(form.element)
    sizes = synthesis.load()
    return {
        "format": form.name,
        "family": form.meaning.family if form.meaning else "curve" if form.curve else "real scale",
        "bits": bits,
        "density": 32 / bits,
        "binades": None if form.curve else math.log2(most / least),
        "largest": most * alone if alone else None,
        "step": least * alone if alone else None,
        "codes": _codes(form),
        "MAC": 1 / sizes.density(flavour, synthesis.TRANSISTOR_FLOW) if flavour else None,
        "source": _source(form),
    }


def _source(form: Format) -> str:
    if form.meaning:
        return form.meaning.source
    return form.curve.source if form.curve else "ONNX QuantizeLinear"


def _magnitudes(form: Format) -> tuple[float, float]:
    """The smallest magnitude that is not zero, and the largest."""
    coding = form.coding
    if isinstance(coding, Floating):
        values = coding.ladder[0]
        least, most = (float(v) * 2.0**-coding.fraction for v in (values[values > 0][0], values[-1]))
        return least, most
    return 1.0, float(max(coding.largest, -(coding.lowest or 0)))


def _codes(form: Format) -> int:
    coding = form.coding
    if form.curve:
        return form.curve.codes
    if isinstance(coding, Floating):
        count = len(coding.ladder[0])
        return 2 * count - int(coding.ladder[0][0] == 0) if coding.signed else count
    return coding.largest + 1 - (-coding.largest if coding.lowest is None else coding.lowest)


def table() -> Table:
    """For the terminal."""
    from rich.table import Table

    made = Table(title="Formats: <element>@<block>", title_justify="left")
    for column in COLUMNS:
        made.add_column(column, justify="left" if column in ("format", "family", "source") else "right")
    for form in listed():
        made.add_row(*(_text(name, value) for name, value in _row(form).items()))
    return made


def _text(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name in ("bits", "density"):
        return f"{value:.3f}".rstrip("0").rstrip(".") if name == "bits" else f"{value:.2f}"
    if name == "MAC":
        return f"{value:.3f}"
    if name == "binades":
        return f"{value:.1f}"
    if name in ("largest", "step"):
        return f"{value:.4g}"
    return str(value)


COLOURS = {
    "sign": "#b5507a",
    "exponent": "#e0882f",
    "significand": "#3b6ea5",
    "step": "#4f9d69",
    "shared": "#8a8a8a",
}


def layout(form: Format) -> list[tuple[str, int]]:
    """The fields of a code, from the highest bit on."""
    coding = form.coding
    if form.curve:
        return [("step", form.bits)]
    if isinstance(coding, Floating):
        fields = [("sign", int(coding.signed)), ("exponent", coding.exponent_bits)]
        fields.append(("significand", coding.stored_bits))
        return [(name, bits) for name, bits in fields if bits]
    sign = coding.sign_magnitude
    return [("sign", 1), ("significand", form.bits - 1)] if sign else [("significand", form.bits)]


def draw() -> Figure:
    """The bits of every format of up to nine bits: fields of a code, and what a block shares."""
    from blocksim.report.style import new_figure

    forms = [f for f in listed() if f.bits <= 9 and not f.element.endswith("-paper")]
    figure, axes = new_figure(8, 0.3 * len(forms) + 1)
    for y, form in enumerate(forms):
        x = 0
        for name, bits in layout(form):
            _field(axes, (x, y), bits, COLOURS[name])
            x += bits
        if form.shared_bits:
            _field(axes, (10, y), min(form.shared_bits, 8), COLOURS["shared"])
            note = "a float32 scale" if form.is_real else "an exponent"
            note = ", ".join(form.curve.parameters) if form.curve else note
            axes.text(18.4, y, f"{note} per {form.block}", va="center", fontsize=7)
    axes.set_yticks(range(len(forms)), [f.element for f in forms], fontsize=8)
    axes.set_ylim(len(forms) - 0.4, -0.6)
    axes.set_xlim(0, 23)
    axes.set_xticks([])
    axes.grid(False)
    axes.spines[["bottom", "left"]].set_visible(False)
    axes.tick_params(length=0)
    for name, colour in COLOURS.items():
        axes.bar(0, 0, color=colour, label="shared by a block" if name == "shared" else name)
    axes.legend(fontsize=8, frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=5)
    return figure


def _field(axes: Any, place: tuple[int, int], bits: int, colour: str) -> None:
    """So many squares in a row."""
    x, y = place
    for i in range(bits):
        axes.barh(y, 0.92, height=0.7, left=x + i, color=colour)


def page() -> str:
    """The table in Markdown."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|---|---|---:|---:|---:|---:|---:|---:|---:|---|"]
    for form in listed():
        lines.append("| " + " | ".join(_text(n, v) for n, v in _row(form).items()) + " |")
    return "\n".join(lines)
