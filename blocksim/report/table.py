"""The comparison table: one row per run, in the terminal and as a DataFrame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hwmodels.costs.area import logic

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

    from blocksim.measure.figures import Measurement

COLUMNS = {
    "configuration": "",
    "accuracy": "share of right labels",
    "cosine": "mean cosine to fp32",
    "SQNR dB": "signal to quantisation noise of the output",
    "compression": "fp32 bits over stored bits, linear layers",
    "cycles": "per sample",
    "time us": "cycles over clock",
    "energy uJ": "per sample",
    "utilisation": "share of multiplier cycles in use",
    "logic Mtr": "million transistors without memories, of a machine built for the formats",
}
"""Columns and what they mean."""


def rows(reports: Sequence[Measurement]) -> list[dict[str, object]]:
    """One row of values per report; None where a report has no such value."""
    table: list[dict[str, object]] = []
    for report in reports:
        data = report.data
        first = next(iter(data.outputs.values()))
        transistors = logic(data.area)
        table.append(
            {
                "configuration": data.precision,
                "accuracy": data.accuracy,
                "cosine": first.cosine,
                "SQNR dB": first.sqnr_db,
                "compression": data.footprint.compression_ratio,
                "cycles": data.cycles,
                "time us": None if data.cycles is None else data.cycles / data.clock_ghz / 1e3,
                "energy uJ": None if data.energy_pj is None else data.energy_pj / 1e6,
                "utilisation": data.utilisation,
                "logic Mtr": transistors / 1e6 if transistors else None,
            }
        )
    return table


def compare(reports: Sequence[Measurement]) -> pd.DataFrame:
    """The table of several runs as a DataFrame.

    Parameters
    ----------
    reports : sequence of Report
        Of any models and machines.

    Returns
    -------
    DataFrame
        A row per report; cosine and SQNR (dB) are those of the first output, cycles, time (us) and
        energy (uJ) those of one sample. Empty where a report has no such figure.

    Examples
    --------
    >>> import blocksim as bs
    >>> model = bs.zoo.load("vit_fashion")
    >>> experiment = bs.Experiment(model.path, model.inputs["image"][:2])
    >>> bs.compare([experiment.run(block=b) for b in ("64x64", "16x16")])["cycles"].to_list()
    [44570, 74185]
    """
    import pandas as pd

    return pd.DataFrame(rows(reports), columns=list(COLUMNS)).convert_dtypes().set_index("configuration")


FORMATS = {
    "accuracy": "{:.1%}",
    "cosine": "{:.5f}",
    "SQNR dB": "{:.1f}",
    "compression": "{:.3f}x",
    "cycles": "{:,}",
    "time us": "{:.1f}",
    "energy uJ": "{:.2f}",
    "utilisation": "{:.1%}",
    "logic Mtr": "{:.2f}",
}


def texts(reports: Sequence[Measurement]) -> list[dict[str, str]]:
    """The table as text; a dash where there is no value."""
    return [
        {name: "-" if value is None else FORMATS.get(name, "{}").format(value) for name, value in row.items()}
        for row in rows(reports)
    ]


def shown_columns(reports: Sequence[Measurement]) -> list[str]:
    """The columns that have a value in at least one row."""
    return [name for name in COLUMNS if any(row[name] is not None for row in rows(reports))]


def rich_table(reports: Sequence[Measurement], title: str) -> Table:
    """The table for the terminal."""
    from rich.table import Table

    table = Table(title=title, title_justify="left", header_style="bold")
    shown = shown_columns(reports)
    for name in shown:
        table.add_column(name, justify="left" if name == "configuration" else "right", no_wrap=True)
    for row in texts(reports):
        table.add_row(*(row[name] for name in shown))
    return table


LOSSES = {
    "flushed": "terms flushed",
    "overflows": "accumulator overflows",
    "clamped": "exponents clamped",
    "saturated": "codes saturated",
    "constants": "codes or exponents of constants brought into range",
}
"""What can be lost, as `Saturation` counts it."""


def losses(reports: Sequence[Measurement]) -> list[str]:
    """One line for every report that lost something on the way."""
    lines = []
    for report in reports:
        lost = report.data.saturation.model_dump()
        said = ", ".join(f"{count:,} {LOSSES[name]}" for name, count in lost.items() if count)
        if said:
            lines.append(f"{report.data.precision} lost on the way, over all samples: {said}")
    return lines


def plain(reports: Sequence[Measurement]) -> str:
    """The table as plain text."""
    shown, body = shown_columns(reports), texts(reports)
    widths = {name: max(len(name), *(len(row[name]) for row in body)) for name in shown}
    lines = ["  ".join(name.ljust(widths[name]) for name in shown)]
    lines += [
        "  ".join(
            row[name].rjust(widths[name]) if i else row[name].ljust(widths[name])
            for i, name in enumerate(shown)
        )
        for row in body
    ]
    return "\n".join(line.rstrip() for line in lines)
