"""The report: a measurement that shows itself as table, DataFrame, plots, JSON and HTML."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from blocksim.errors import BlocksimError
from blocksim.measure.derive import Derivation, derive
from blocksim.measure.explain import explain_layer
from blocksim.measure.figures import Layer, Measurement, ReportData, Stalls
from blocksim.report.explain import figure_text, frame, layer_text, refuse_fp32, run_text
from blocksim.report.scalesim import COMPUTE_REPORT, compute_report
from blocksim.report.table import plain
from blocksim.trace.file import Trace

if TYPE_CHECKING:
    import pandas as pd

    from blocksim.engine.schedule import Timeline
    from blocksim.report.plots import Plots

TRACE = "model.trace"
"""The trace beside ``report.json``: what every figure can be followed back to."""


@dataclass(frozen=True, repr=False)
class Report(Measurement):
    """One run: its figures, its outputs, and what they were made from; see `Measurement`.

    Attributes
    ----------
    folder : Path or None
        Where it was read from; the trace that lies there is read when it is asked for.
    """

    folder: Path | None = field(default=None, repr=False)

    @classmethod
    def of(cls, measurement: Measurement) -> Report:
        """A measurement as a report."""
        return cls(measurement.data, measurement.outputs, measurement.trace, measurement.timeline)

    @cached_property
    def layers(self) -> pd.DataFrame:
        """One row per operator, see `Layer` for the columns; a column for each cause of a stall."""
        import pandas as pd  # takes a third of a second to load

        columns, rows = self._rows()
        return pd.DataFrame(rows, columns=columns)

    def _rows(self) -> tuple[list[str], list[list[object]]]:
        """The columns and rows of `layers`."""
        names = [name for name in Layer.model_fields if name != "stalls"]
        causes = [f"stall_{cause}" for cause in Stalls.model_fields]
        rows = [
            [getattr(layer, n) for n in names] + list(layer.stalls.model_dump().values())
            for layer in self.data.layers
        ]
        return names + causes, rows

    @property
    def cycles(self) -> int | None:
        """Cycles of one sample."""
        return self.data.cycles

    @property
    def energy_pj(self) -> float | None:
        """Energy of one sample in pJ."""
        return self.data.energy_pj

    @property
    def plot(self) -> Plots:
        """Plots of this report, such as ``report.plot.price()``; see `Plots` for all of them."""
        from blocksim.report.plots import Plots  # drawing takes a second to load

        return Plots(self)

    def to_json(self) -> str:
        """The figures as indented JSON."""
        return self.data.model_dump_json(indent=2) + "\n"

    def save(self, folder: Path | str, html: bool = True) -> None:
        """Write the report, and the trace where there is one.

        Parameters
        ----------
        folder : path
            Gets ``report.json`` and ``layers.csv``; from a trace also that, and the products as SCALE-Sim
            would list them, ``COMPUTE_REPORT.csv``.
        html : bool
            Write ``report.html`` too, a page with plots.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "report.json").write_text(self.to_json())
        with (folder / "layers.csv").open("w", newline="") as file:
            columns, rows = self._rows()
            csv.writer(file, lineterminator="\n").writerows([columns, *rows])
        if self._program is not None:
            self._program.save(folder / TRACE)
        if self.trace is not None:
            (folder / COMPUTE_REPORT).write_text(compute_report(self))
        if html:
            from blocksim.report.html import page

            (folder / "report.html").write_text(page([self]))

    def explain(self, layer: str) -> pd.DataFrame:
        """Where a layer's cycles, bytes and picojoules come from.

        Parameters
        ----------
        layer : str
            As in ``layers``.

        Returns
        -------
        DataFrame
            Rows with ``count x each = total``, see `blocksim.measure.explain.Row`. Those of the figure
            ``cycles`` add up to the layer's cycles, those of ``energy`` to its energy (with `math.fsum`).

        Raises
        ------
        BlocksimError
            If there is no such layer, or the report has no trace.
        """
        return frame(explain_layer(self.data, self._needed_trace(), layer))

    def explain_figure(self, name: str) -> Derivation:
        """A figure's formula, inputs and source, such as those of ``tops_per_watt``.

        Parameters
        ----------
        name : str
            A field of ``report.data``.

        Returns
        -------
        Derivation
            Formula, inputs by name with their values, and source.

        Raises
        ------
        BlocksimError
            If there is no such figure, or it needs the trace and the report has none.
        """
        return derive(self.data, self._program, name)

    def explanation(self, layer: str | None = None, figure: str | None = None) -> str:
        """An explanation as text: of a layer, of a figure, or of the whole run.

        Parameters
        ----------
        layer : str, optional
            As in ``layers``.
        figure : str, optional
            A field of ``report.data``; it is explained before any layer.

        Returns
        -------
        str

        Raises
        ------
        BlocksimError
            If there is nothing of that name, or the report has no trace or is fp32's.
        """
        if figure is not None:
            return figure_text(self.explain_figure(figure))
        refuse_fp32(self.data, self.data.model)
        if layer is not None:
            return layer_text(explain_layer(self.data, self._needed_trace(), layer), self.data.costs)
        return run_text(self.data)

    @cached_property
    def _program(self) -> Trace | None:
        """The trace, from beside ``report.json`` where the report was read from a file."""
        if self.trace is None and self.folder is not None and (self.folder / TRACE).is_file():
            trace = Trace.open(self.folder / TRACE)
            manifest = trace.manifest
            own = (
                self.data.model,
                self.data.precision,
                self.data.machine,
                [x.name for x in self.data.layers],
            )
            names = [op.name for op in manifest.operators]
            if own != (manifest.model, manifest.precision, manifest.machine.name, names):
                said = "not the report's trace; run the model again"
                raise BlocksimError(self.folder / TRACE, "trace", manifest.model, said)
            return trace
        return self.trace

    def scheduled(self) -> tuple[Trace, Timeline]:
        """The trace, and when each of its instructions runs.

        Returns
        -------
        trace : Trace
        timeline : Timeline
            In cycles; worked out anew where the report was read from a file.

        Raises
        ------
        BlocksimError
            If the report has no trace, or is fp32's.
        """
        from blocksim.engine.schedule import schedule

        refuse_fp32(self.data, self.data.model)
        trace = self._needed_trace()
        return trace, self.timeline or schedule(trace)

    def _needed_trace(self) -> Trace:
        if self._program is None:
            where = self.folder or "report"
            raise BlocksimError(where, TRACE, "missing", "run the model again; it lies beside report.json")
        return self._program

    @classmethod
    def open(cls, path: Path | str) -> Report:
        """Read ``report.json``, given itself or its folder.

        Raises
        ------
        BlocksimError
            If it is missing or is not a report.
        """
        path = Path(path)
        inside = sorted(p.parent.name for p in path.glob("*/report.json"))
        path = path / "report.json" if path.is_dir() else path
        if not path.is_file():
            said = f", such as {', '.join(inside[:4])} in it" if inside else ""
            raise BlocksimError(path, "file", "missing", f"give a folder that blocksim run wrote{said}")
        try:
            data = ReportData.model_validate_json(path.read_text())
        except UnicodeDecodeError:
            said = "give a folder that blocksim run wrote"
            raise BlocksimError(path, "file", "not a report", said) from None
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"]) or "file"
            raise BlocksimError(path, name, str(first["input"])[:40], first["msg"]) from None
        return cls(data, folder=path.parent)

    def __repr__(self) -> str:
        return plain([self])

    def _repr_html_(self) -> str:
        from blocksim.report.html import card

        return card(self)

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return {"text/html": self._repr_html_(), "text/plain": repr(self)}
