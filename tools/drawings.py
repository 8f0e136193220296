"""The drawings of the documentation: boxes, arrows and words as SVG, in ink that suits light and dark.

python tools/drawings.py      # writes docs/drawings/*.svg
"""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "docs" / "drawings"

BLUE, GREEN, ORANGE, MAGENTA, PURPLE, TEAL = "#3b6ea5", "#4f9d69", "#e0882f", "#b5507a", "#7a68ae", "#5aa6b2"

STYLE = """
  svg { font-family: system-ui, sans-serif; font-size: 13px; }
  .ink { fill: #1d2733; } .soft { fill: #5d6b7a; font-size: 11px; }
  .line { stroke: #5d6b7a; fill: none; stroke-width: 1.4; } .tip { fill: #5d6b7a; }
  @media (prefers-color-scheme: dark) {
    .ink { fill: #e3e9f0; } .soft { fill: #9aa7b5; } .line { stroke: #9aa7b5; } .tip { fill: #9aa7b5; }
  }
"""


@dataclass
class Sheet:
    """A drawing in the making, in pixels."""

    width: int
    height: int
    title: str
    parts: list[str] = field(default_factory=list)

    def box(self, x: float, y: float, w: float, h: float, colour: str, *lines: str) -> None:
        """A box with words: the first line in ink, further ones soft."""
        self.parts.append(
            f'<rect x="{x}" y="{y}" width="{w}" height="{h}" rx="6" fill="{colour}" fill-opacity=".16" '
            f'stroke="{colour}" stroke-width="1.4"/>'
        )
        top = y + h / 2 - 8 * (len(lines) - 1) + 4
        for i, line in enumerate(lines):
            self.word(x + w / 2, top + 16 * i, line, "middle", soft=i > 0)

    def bar(self, x: float, y: float, w: float, colour: str, word: str = "") -> None:
        """A stretch of time in a track."""
        self.parts.append(f'<rect x="{x}" y="{y}" width="{w}" height="20" rx="3" fill="{colour}"/>')
        if word:
            self.parts.append(
                f'<text x="{x + w / 2}" y="{y + 14}" text-anchor="middle" fill="#fff" font-size="11">'
                f"{escape(word)}</text>"
            )

    def word(self, x: float, y: float, text: str, anchor: str = "start", soft: bool = False) -> None:
        """A line of words."""
        look = "soft" if soft else "ink"
        self.parts.append(
            f'<text class="{look}" x="{x}" y="{y}" text-anchor="{anchor}">{escape(text)}</text>'
        )

    def arrow(self, *points: tuple[float, float], word: str = "") -> None:
        """A line through points, with a tip at its end."""
        path = "M" + "L".join(f"{x} {y}" for x, y in points)
        self.parts.append(f'<path class="line" d="{path}" marker-end="url(#tip)"/>')
        if word:
            (x1, y1), (x2, y2) = points[-2:]
            self.word((x1 + x2) / 2, (y1 + y2) / 2 - 6, word, "middle", soft=True)

    def svg(self) -> str:
        """The whole."""
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" '
                f'width="{self.width}" role="img" aria-label="{escape(self.title)}">',
                f"<style>{STYLE}</style>",
                '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
                'orient="auto"><path class="tip" d="M0 0L8 4L0 8Z"/></marker></defs>',
                *self.parts,
                "</svg>\n",
            ]
        )


def overview() -> Sheet:
    """From a model to a report."""
    s = Sheet(940, 250, "From a model to a report")
    s.box(10, 90, 120, 56, BLUE, "model.onnx", "float32, trained")
    s.box(180, 90, 130, 56, BLUE, "graph", "typed operators")
    s.box(360, 90, 150, 56, GREEN, "trace", "instructions, packed bits")
    s.box(580, 20, 150, 56, ORANGE, "execute", "the datapath's integers")
    s.box(580, 160, 150, 56, MAGENTA, "schedule", "every unit's cycles")
    s.box(800, 90, 130, 56, PURPLE, "report", "error, bits,", "cycles, energy")
    s.arrow((130, 118), (178, 118), word="import")
    s.arrow((310, 118), (358, 118), word="compile")
    s.arrow((510, 108), (545, 108), (545, 48), (578, 48))
    s.arrow((510, 128), (545, 128), (545, 188), (578, 188))
    s.arrow((730, 48), (765, 48), (765, 108), (798, 108))
    s.arrow((730, 188), (765, 188), (765, 128), (798, 128))
    s.box(180, 180, 130, 40, TEAL, "precision plan")
    s.box(360, 180, 150, 40, TEAL, "machine")
    s.arrow((245, 180), (245, 163), (400, 163), (400, 148))
    s.arrow((435, 180), (435, 148))
    s.word(655, 122, "bits and cycles of the same instructions", "middle", soft=True)
    return s


def datapath() -> Sheet:
    """A column of the array and what follows it."""
    s = Sheet(940, 400, "One column of the array, its aligner, the accumulators and the requantizer")
    s.box(20, 20, 150, 52, BLUE, "activation SRAM", "codes | exponents")
    s.box(20, 330, 150, 52, BLUE, "weight SRAM", "codes | exponents")
    for i in range(4):
        s.box(230, 60 + 62 * i, 120, 46, GREEN, "a x w", f"row {i}" if i < 3 else "row R - 1")
        if i < 3:
            s.arrow((290, 106 + 62 * i), (290, 121 + 62 * i))
    s.arrow((170, 46), (200, 46), (200, 83), (228, 83), word="")
    s.arrow((170, 356), (200, 356), (200, 269), (228, 269))
    s.word(358, 80, "a segment: the rows over which", soft=True)
    s.word(358, 96, "both operands' exponents are constant", soft=True)
    s.arrow((290, 292), (290, 322), (415, 322), (415, 214), (438, 214))
    s.word(350, 340, "exact sum of a segment", "middle", soft=True)
    s.box(440, 188, 120, 52, ORANGE, "aligner", "shift by E - e")
    s.box(440, 122, 120, 36, TEAL, "bound E")
    s.arrow((500, 158), (500, 186))
    s.arrow((560, 214), (608, 214), word="")
    s.box(610, 188, 130, 52, PURPLE, "accumulators", "value x 2^(guard - E)")
    s.arrow((740, 214), (778, 214))
    s.box(780, 176, 140, 76, MAGENTA, "requantizer", "block's largest,", "shift, round, saturate")
    s.arrow((850, 176), (850, 46), (172, 46), word="codes and a new exponent for each block")
    s.word(440, 260, "rounds once below the", soft=True)
    s.word(440, 275, "guard bits, flushes", soft=True)
    s.word(440, 290, "beyond max_shift", soft=True)
    s.box(
        610,
        300,
        310,
        62,
        TEAL,
        "softmax, norm, LUT, element-wise",
        "read codes, hand wide sums to the same requantizer",
    )
    s.arrow((765, 300), (765, 270), (830, 270), (830, 254))
    return s


def cycles() -> Sheet:
    """Cycles of a tile, and of units beside each other."""
    s = Sheet(940, 330, "Cycles of one tile, and of the units beside each other")
    s.word(20, 24, "One tile of M rows, weights stay, weights of the next fold loaded while this one streams")
    x, r, stream = 110, 60, 150
    for i, fold in enumerate(("fold 0", "fold 1", "fold 2")):
        s.bar(x + r + stream * i, 44, stream - 2, GREEN, f"{fold}: S = M x II")
        s.bar(x + r + stream * (i - 1) + (stream - r if i == 0 else 0), 70, r, BLUE, "load R")
    s.bar(x + r + 3 * stream, 44, 136, ORANGE, "R + C - 2: the wave")
    s.word(20, 58, "stream"), s.word(20, 84, "load")
    s.word(x, 116, "II = max(1, ceil(segments in the fold / aligners), ceil(bytes fed / port))", soft=True)
    s.word(
        x,
        134,
        "tile = R + sum of max(S, R) over all folds but the last + S of the last + R + C - 2",
        soft=True,
    )
    s.word(20, 176, "Units run beside each other, each in its own order; an instruction waits for tickets")
    tracks = ("dma", "array", "requantizer", "softmax")
    for i, name in enumerate(tracks):
        s.word(20, 210 + 30 * i, name)
    for start, width, track, colour, word in (
        (0, 90, 0, BLUE, "W0"), (92, 90, 0, BLUE, "W1"), (184, 90, 0, BLUE, "W2"),
        (95, 190, 1, GREEN, "QK, head 0"), (290, 190, 1, GREEN, "QK, head 1"),
        (560, 180, 1, GREEN, "AV, head 0"),
        (290, 40, 2, MAGENTA, "req"), (485, 40, 2, MAGENTA, "req"), (520, 40, 2, MAGENTA, "req"),
        (335, 120, 3, PURPLE, "head 0"), (530, 120, 3, PURPLE, "head 1"),
    ):  # fmt: skip
        s.bar(x + start, 196 + 30 * track, width, colour, word)
    s.word(x + 284, 210, "W3 waits until the array has retired what read W0: a count, its ticket", soft=True)
    return s


def proof() -> Sheet:
    """Three writings of one unit, and why they are the same."""
    s = Sheet(940, 300, "Three writings of a unit, and why they are the same")
    s.box(350, 20, 240, 60, BLUE, "specification", "Python over plain integers: ops, step")
    s.box(40, 200, 240, 60, GREEN, "kernels", "the same functions, compiled by lanes")
    s.box(660, 200, 240, 60, MAGENTA, "SystemVerilog", "one module for each unit")
    s.arrow((400, 80), (200, 198))
    s.arrow((540, 80), (740, 198))
    s.arrow((282, 230), (658, 230))
    s.word(210, 130, "tests: Hypothesis, exhaustive", "middle", soft=True)
    s.word(210, 146, "spaces, golden hashes", "middle", soft=True)
    s.word(730, 122, "proof: all states, all inputs,", "start", soft=True)
    s.word(730, 138, "step read on bit-vectors (bitwuzla)", "start", soft=True)
    s.word(470, 222, "co-simulation: whole operations, the same bits and", "middle", soft=True)
    s.word(470, 248, "the same number of cycles (Verilator, CXXRTL)", "middle", soft=True)
    s.word(470, 284, "mutants of all three: what is changed has to be noticed", "middle", soft=True)
    return s


def main() -> None:
    """Write all of them."""
    FOLDER.mkdir(exist_ok=True)
    for draw in (overview, datapath, cycles, proof):
        (FOLDER / f"{draw.__name__}.svg").write_text(draw().svg())


if __name__ == "__main__":
    main()
