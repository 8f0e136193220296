"""Every figure of a report as a formula over inputs, with the source of what it stands on.

``evaluate(derivation.formula, derivation.inputs)`` gives the figure itself, to the last bit, wherever
`exact` holds; error figures are stated in words, for they are taken over whole outputs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from blocksim.engine.cost import CostModel
from blocksim.engine.schedule import PARTS, Timeline, schedule
from blocksim.errors import BlocksimError
from blocksim.measure.energy import STATIC, Spent, spent_by
from blocksim.measure.explain import busy_by_layer
from blocksim.measure.figures import ReportData
from blocksim.measure.footprint import IN_MODEL
from blocksim.measure.formulas import evaluate
from blocksim.measure.near import nearest
from blocksim.measure.rates import AREAS
from blocksim.measure.traffic import BYTES, lower_bound, peak_sram
from blocksim.trace.file import Trace
from blocksim.trace.isa import Opcode, Unit

NO_FIGURES = ("version", "layers", "actions", "machine_parameters", "histograms", "formats")
"""Keys that are explained in ways of their own (`explain` a layer), or that are no figures."""


@dataclass(frozen=True)
class Derivation:
    """How one figure comes about.

    Attributes
    ----------
    name : str
        With dots: ``tops_per_watt``, ``footprint.compression_ratio``, ``energy_parts.align``.
    value : int or float
    meaning : str
        From the schema.
    formula : str
        Over the names of `inputs`.
    inputs : dict of str to number or to dict of numbers
        A dict is several numbers with their labels, such as one per layer.
    source : str
    exact : bool
        Whether the formula gives the value to the last bit.
    """

    name: str
    value: int | float
    meaning: str
    formula: str
    inputs: dict[str, Any]
    source: str
    exact: bool = True

    def evaluated(self) -> Any:
        """What the formula gives."""
        plain = {k: list(v.values()) if isinstance(v, Mapping) else v for k, v in self.inputs.items()}
        return evaluate(self.formula, plain)


def figure_names(data: ReportData) -> list[str]:
    """The numeric figures of a report, with dots."""
    content = data.model_dump()
    return [name for key in content if key not in NO_FIGURES for name, _ in _leaves(key, content[key])]


def _leaves(name: str, value: Any) -> Iterator[tuple[str, int | float]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(f"{name}.{key}", inner)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield name, value


def derive(data: ReportData, trace: Trace | None, name: str) -> Derivation:
    """How a figure comes about.

    Parameters
    ----------
    data : ReportData
    trace : Trace or None
        What the report was made from; some figures need it.
    name : str
        See `figure_names`.

    Raises
    ------
    BlocksimError
        If there is no such figure, or it needs the trace and there is none.
    """
    known = dict(leaf for key, value in data.model_dump().items() for leaf in _leaves(key, value))
    names = figure_names(data)
    if name not in names:
        raise BlocksimError("explain", "--figure", name, f"no such figure; {nearest(name, names)}")
    formula, inputs, source, *exact = _Deriver(data, trace).of(name)
    return Derivation(name, known[name], _meaning(name), formula, inputs, source, not exact or exact[0])


def _meaning(name: str) -> str:
    """The schema's description of a figure, or of the nearest key above it."""
    schema = ReportData.model_json_schema()
    node, said = schema, ""
    for key in name.split("."):
        node = node.get("properties", {}).get(key) or node.get("additionalProperties", {})
        said = node.get("description", said)
        for option in [node, *node.get("anyOf", [])]:
            if "$ref" in option:
                node = schema["$defs"][option["$ref"].rsplit("/", 1)[1]]
    return said


Found = tuple[Any, ...]
"""Formula, inputs, source, and whether the formula is exact where it is not."""


class _Deriver:
    """Formulas by the first part of a figure's name."""

    def __init__(self, data: ReportData, trace: Trace | None) -> None:
        self.data, self._trace = data, trace

    def of(self, name: str) -> Found:
        first, _, rest = name.partition(".")
        d = self.data
        given = {
            "samples": "as many as were given",
            "layer_samples": "blocksim.measure.run.LAYER_SAMPLES at most",
            "histogram_samples": "blocksim.measure.histogram.SAMPLES at most",
            "clock_ghz": f"machine {d.machine}",
        }
        if name in given:
            return name, {name: getattr(d, name)}, given[name]
        handlers: dict[str, Callable[[str], Found]] = {
            "footprint": self._footprint,
            "outputs": self._outputs,
            "coverage": self._coverage,
            "saturation": self._saturation,
            "units": self._units,
            "array_parts": self._array_parts,
            "stall": self._stall,
            "energy": lambda n: self._energy(n, 0),
            "energy_parts": lambda n: self._energy(n, 1),
            "price_of_the_block": self._price,
            "area": self._area,
            "peak_sram_bytes": self._peak,
            "traffic": self._traffic,
            "metadata_traffic_share": self._share,
        }
        return handlers[first](rest) if first in handlers else self._plain(name)

    @property
    def trace(self) -> Trace:
        if self._trace is None:
            raise BlocksimError("explain", "trace", "none", "the report has no trace; run it again")
        return self._trace

    @cached_property
    def timeline(self) -> Timeline:
        return schedule(self.trace)

    @cached_property
    def spent(self) -> dict[str, Spent]:
        model, program = CostModel(self.trace.manifest), self.trace.program
        names = [op.name for op in self.trace.manifest.operators]
        return {n: spent_by(model, program[program["op_id"] == i]) for i, n in enumerate(names)}

    def _layers(self, key: str) -> dict[str, Any]:
        return {layer.name: getattr(layer, key) for layer in self.data.layers if getattr(layer, key)}

    def _plain(self, name: str) -> Found:
        d, rates = self.data, "blocksim.measure.rates"
        macs, cycles, energy = d.coverage.datapath_macs, d.cycles, d.energy_pj
        array = d.machine_parameters["array"]
        sides = {"rows": array["rows"], "columns": array["columns"]}
        if name in ("accuracy", "reference_accuracy"):
            right = round(getattr(d, name) * d.samples)
            return "right / samples", {"right": right, "samples": d.samples}, "outputs against the labels"
        if name == "cycles":
            return self._cycles()
        if name in ("array_cycles", "dram_bytes"):
            return "sum(layers)", {"layers": self._layers(name)}, "explain each layer"
        if name == "dram_lower_bound_bytes":
            bound = lower_bound(self.trace.manifest)
            return " + ".join(bound), bound, "blocksim.measure.traffic.lower_bound, from the trace's manifest"
        if name == "spill_bytes":
            spills = {memory: parts.get("spill", 0) for memory, parts in d.traffic.items()}
            return "sum(memories)", {"memories": spills}, "traffic.*.spill"
        macs_in = {"datapath_macs": macs}
        return {
            "utilisation": (
                "datapath_macs / (rows x columns) / cycles",
                {**macs_in, **sides, "cycles": cycles}, "the schedule",
            ),
            "energy_pj": (
                "sum(layers, static)",
                {"layers": self._layers("energy_pj"), "static": d.energy.get("static")},
                f"explain each layer; energy.static; table {d.costs}",
            ),
            "tops": (
                "2 x datapath_macs x clock_ghz / cycles / 1e3",
                {**macs_in, "clock_ghz": d.clock_ghz, "cycles": cycles}, rates,
            ),
            "peak_tops": (
                "2 x rows x columns x clock_ghz / 1e3",
                {**sides, "clock_ghz": d.clock_ghz}, f"machine {d.machine}",
            ),
            "tops_per_watt": (
                "2 x datapath_macs / energy_pj",
                {**macs_in, "energy_pj": energy}, f"energy_pj; table {d.costs}",
            ),
            "tops_per_area": (
                "1e6 x tops / sum(transistors)",
                {"tops": d.tops, "transistors": {n: a.transistors for n, a in d.area.items()}},
                "hwmodels.costs.area, textbook gate counts",
            ),
            "edp": (
                "energy_pj x 1e-12 x cycles / (clock_ghz x 1e9)",
                {"energy_pj": energy, "cycles": cycles, "clock_ghz": d.clock_ghz}, "energy_pj and cycles",
            ),
        }[name]  # fmt: skip

    def _cycles(self) -> Found:
        t, program = self.timeline, self.trace.program
        model = CostModel(self.trace.manifest)
        latency = np.array([model.busy(record).latency for record in program.tolist()])
        last = int(np.argmax(t.end + latency))
        record = program[last]
        who = f"instruction {last}, {Opcode(record['opcode']).name} of {self._op_name(record)}"
        inputs = {"end": int(t.end[last]), "latency": int(latency[last])}
        return "end + latency", inputs, f"the schedule's last result: {who}"

    def _op_name(self, record: Any) -> str:
        return self.trace.manifest.operators[int(record["op_id"])].name

    def _footprint(self, key: str) -> Found:
        f = self.data.footprint
        ratios = {
            "compression_ratio": "fp32_bits / (weight_bits + metadata_bits)",
            "ratio_with_everything": "fp32_everything_bits / everything_bits",
            "ratio_with_padding": "fp32_everything_bits / (everything_bits + padding_bits)",
        }
        if key in ratios:
            names = re.findall(r"[a-z]\w+", ratios[key])
            return ratios[key], {n: getattr(f, n) for n in names}, "footprint"
        manifest = self.trace.manifest
        constants, tensors = manifest.constants, manifest.tensors
        linear = {n: c for n, c in constants.items() if c.role in ("weight", "bias")}
        datapath = {n: c for n, c in constants.items() if c.role != "host"}
        if key == "padding_bits":
            end = max((c.address + c.size for c in datapath.values()), default=0)
            inputs = {"end": end, "everything_bits": f.everything_bits}
            return "8 x end - everything_bits", inputs, "where the trace's constants lie in DRAM"
        if key == "peak_activation_bytes":
            return "peak", {"peak": manifest.peak_activation_bytes}, "the compiler's allocation of the SRAM"

        def whole(role: str) -> dict[str, int]:
            return {n: c.payload_bits + c.metadata_bits for n, c in constants.items() if c.role == role}

        multipliers = {n: c.payload_bits for n, c in constants.items() if c.role == "multiplier"}
        parts = {
            "weight_bits": {n: c.payload_bits for n, c in linear.items()},
            "metadata_bits": {n: c.metadata_bits for n, c in linear.items()} | multipliers,
            "fp32_bits": {n: 32 * c.rows * c.columns for n, c in linear.items()},
            "fp32_everything_bits": {
                n: 32 * c.rows * c.columns for n, c in constants.items() if c.role in IN_MODEL
            },
            "everything_bits": {n: 8 * c.size for n, c in datapath.items()},
            "norm_bits": whole("vector"),
            "embedding_bits": whole("embedding"),
            "table_bits": {n: 8 * c.size for n, c in constants.items() if c.role == "table"},
            "activation_bits": {n: t.payload_bits + t.metadata_bits for n, t in tensors.items()},
            "activation_metadata_bits": {n: t.metadata_bits for n, t in tensors.items()},
            "fp32_activation_bits": {n: 32 * t.rows * t.columns for n, t in tensors.items()},
        }[key]
        return "sum(parts)", {"parts": parts}, "the trace's packed sections"

    def _outputs(self, key: str) -> Found:
        said = {
            "sqnr_db": "10 log10(sum ref^2 / sum (ref - x)^2) over all elements of all samples",
            "max_abs_error": "max |ref - x| over all elements of all samples",
            "cosine": "mean over samples of ref . x / (|ref| |x|), flattened",
        }[key.rsplit(".", 1)[1]]
        return said, {"samples": self.data.samples}, "outputs against the fp32 reference (onnxruntime)", False

    def _coverage(self, key: str) -> Found:
        host = key == "host_macs"
        layers = {n: v for n, v in self._layers("macs").items() if (self._kind(n) == "host") == host}
        return "sum(layers)", {"layers": layers}, "the graph's products" if not host else "the host's nodes"

    def _kind(self, name: str) -> str:
        return next(layer.kind for layer in self.data.layers if layer.name == name)

    def _saturation(self, key: str) -> Found:
        if key == "constants":
            return "lost", {"lost": self.trace.manifest.lost_constants}, "the compiler, encoding constants"
        return "sum(layers)", {"layers": self._layers(key)}, "counted by the kernels, over all samples"

    def _units(self, key: str) -> Found:
        unit_name, what, *cause = key.split(".")
        t, program = self.timeline, self.trace.program
        mine = program["unit"] == Unit[unit_name.upper()]
        if what == "busy":
            cycles = (t.end - t.start) * mine
        elif cause == ["port"]:
            cycles = t.port * mine
        else:
            cycles = (t.stall - t.port) * (mine & (t.cause == Unit[cause[0].upper()]))
        return "sum(layers)", {"layers": busy_by_layer(self.trace, cycles)}, "the schedule"

    def _array_parts(self, key: str) -> Found:
        cycles = self.timeline.parts[:, PARTS.index(key)]
        return (
            "sum(layers)",
            {"layers": busy_by_layer(self.trace, cycles)},
            "hwmodels.units.array_cycles.cycles",
        )

    def _stall(self, key: str) -> Found:
        layers = {layer.name: getattr(layer.stalls, key) for layer in self.data.layers}
        return "sum(layers)", {"layers": {n: v for n, v in layers.items() if v}}, "the schedule"

    def _energy(self, key: str, place: int) -> Found:
        actions = self.data.actions
        if key == "static":
            figure = actions[STATIC]
            inputs = {"cycles": figure.count, "pj_per_cycle": figure.pj}
            return "cycles x pj_per_cycle", inputs, f"{figure.formula}; {figure.source} ({figure.status})"
        counts: dict[str, int] = {}
        for spent in self.spent.values():
            for names, count in spent.items():
                if names[place] == key:
                    counts[names[2]] = counts.get(names[2], 0) + count
        terms = {f"{a}: {n:,} x {actions[a].pj:g} pJ": n * actions[a].pj for a, n in counts.items()}
        sources = "; ".join(dict.fromkeys(f"{actions[a].source} ({actions[a].status})" for a in counts))
        return "sum(actions)", {"actions": terms}, sources

    def _price(self, key: str) -> Found:
        part, what = key.split(".")
        d = self.data
        note = d.price_of_the_block[part].note
        if what == "transistors":
            return "sum(parts)", {"parts": {n: d.area[n].transistors for n in AREAS[part]}}, f"area; {note}"
        if what == "pj":
            return "part", {"part": d.energy_parts.get(part, 0.0)}, f"energy_parts.{part}; {note}"
        assert d.stall is not None
        cycles = {
            "prescan": d.stall.prescan,
            "align": d.stall.aligner,
            "requantize": d.units["requantizer"].busy,
            "exponents": 0,
        }
        return "part", {"part": cycles[part]}, f"stall, units.requantizer; {note}"

    def _area(self, key: str) -> Found:
        figure = self.data.area[key.removesuffix(".transistors")]
        note, _, cells = figure.formula.rpartition(": ")
        text = re.sub(r" [a-z]\w* x ", " x ", cells.replace(",", ""))
        return text, {}, f"{note}; {cells}; {figure.source or 'nothing of it in this machine'}"

    def _peak(self, key: str) -> Found:
        reached = peak_sram(self.trace)[key]
        source = "the compiler's allocation" if key == "activations" else "the highest byte that a LOAD fills"
        return "peak", {"peak": reached}, source

    def _traffic(self, key: str) -> Found:
        memory, part = key.split(".")
        layers = {
            name: sum(n for (_, p, a), n in spent.items() if p == part and BYTES.get(a) == memory)
            for name, spent in self.spent.items()
        }
        return "sum(layers)", {"layers": {n: v for n, v in layers.items() if v}}, "explain each layer"

    def _share(self, key: str) -> Found:
        memories = ("dram",) if key == "dram" else ("activations", "weights")
        traffic = self.data.traffic
        inputs = {
            "exponents": {m: traffic[m].get("exponents", 0) for m in memories},
            "all_bytes": {f"{m} {p}": n for m in memories for p, n in traffic[m].items()},
        }
        return "sum(exponents) / sum(all_bytes)", inputs, "traffic"
