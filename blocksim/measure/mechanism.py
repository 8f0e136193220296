"""Error by mechanism: what the output error becomes when one source of it is taken away.

What the integer datapath can do more finely is *simulated*: the same program on a machine with more
guard bits, a wider accumulator or finer tables. What it cannot leave out, encoding and requantizing, is
*emulated* in float64 (see `emulate`) and held against an emulation with nothing taken away. The column
``how`` says which it is; the two are never mixed in one difference.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from blocksim.engine.boundary import check_inputs
from blocksim.engine.execute import execute
from blocksim.engine.link import link
from blocksim.graph.ir import Graph
from blocksim.measure.emulate import Emulator
from blocksim.measure.error import ErrorMeter
from blocksim.trace.file import Trace
from hwmodels.machines import Machine
from hwmodels.units import norm, tables
from hwmodels.units.ops import LONGEST_SHIFT

if TYPE_CHECKING:
    import pandas as pd

SIMULATION, EMULATION = "simulation", "emulation"

GUARD_BITS, ALIGNED_BITS = 24, 60
"""More guard bits for ``align``, and the accumulator that holds them."""

ACCUMULATOR_BITS = 62
"""Width of the accumulator for ``accumulate``: no sum of the datapath overflows it."""

FINEST = {
    "lut": {"segments": 1 << 16, "fraction": 20, "word_bits": 32},
    "softmax": {"exp2_segments": 1 << 15, "reciprocal_segments": 1 << 15},
    "norm": {"root_segments": 3 << 15, "newton_steps": 3, "latency": norm.stages(3)},
}
"""The finest tables that a machine's file may ask for."""

Noise = NDArray[np.float64]
"""Noise power of each sample."""

COLUMNS = (
    "mechanism", "how", "change", "against", "sqnr_db", "max_abs_error", "cosine", "gain_db", "gain_se_db",
)  # fmt: skip
"""Columns of the result."""


@dataclass(frozen=True)
class Variant:
    """One run with one mechanism taken away, and which one it is held against (``none``: as it is)."""

    mechanism: str
    how: str
    change: str
    against: str = "none"


def mechanisms(
    graph: Graph,
    trace: Trace,
    inputs: Mapping[str, NDArray[Any]],
    reference: Mapping[str, NDArray[np.float32]],
    samples: int = 8,
) -> pd.DataFrame:
    """The error of the first output with one mechanism after the other switched to exact.

    Parameters
    ----------
    graph : Graph
    trace : Trace
        Compiled from `graph`.
    inputs : dict of str to array, leading axis N
    reference : dict of str to float32 array, leading axis N
        The fp32 outputs of the same inputs.
    samples : int
        How many samples are looked at, from the first on.

    Returns
    -------
    DataFrame
        A row per mechanism, and a row ``none`` for either way of telling. ``gain_db`` is the change of
        the SQNR against another row of the same ``how``: ``none``, and for ``align`` the row
        ``accumulate``, since more guard bits need a wider accumulator. ``gain_se_db`` is its standard error
        over samples (jackknife): a gain of less than about two of these says nothing.
    """
    import pandas as pd

    checked = check_inputs(trace.manifest.inputs, inputs, "inputs")
    few = {name: array[:samples] for name, array in checked.items()}
    name = trace.manifest.outputs[0].name
    exact = reference[name][:samples]
    rows: list[dict[str, object]] = []
    base: dict[tuple[str, str], Noise] = {}
    for variant, outputs in _runs(graph, trace, few, name):
        meter, noise = ErrorMeter(), []
        for r, v in zip(exact, outputs, strict=True):
            meter.add(r, v)
            noise.append(float(((np.asarray(r, np.float64) - v) ** 2).sum()))
        base[variant.how, variant.mechanism] = np.array(noise)
        gain, error = gain_of(base[variant.how, variant.against], np.array(noise))
        rows.append(
            {
                **vars(variant),
                "sqnr_db": meter.sqnr_db,
                "max_abs_error": meter.largest,
                "cosine": meter.cosine,
                "gain_db": gain,
                "gain_se_db": error,
            }
        )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def gain_of(base: Noise, noise: Noise) -> tuple[float | None, float | None]:
    """How many dB less noise there is than in `base`, sample by sample, and the standard error of that.

    None where either has no noise, and for the error of fewer than three samples.

    >>> gain_of(np.array([10.0, 10.0, 10.0]), np.array([1.0, 1.0, 1.0]))
    (10.0, 0.0)
    """
    if not base.sum() or not noise.sum():
        return None, None
    gain = 10 * math.log10(base.sum() / noise.sum())
    n = len(base)
    if n < 3 or not (base.sum() - base).all() or not (noise.sum() - noise).all():
        return gain, None
    left_out = 10 * np.log10((base.sum() - base) / (noise.sum() - noise))
    return gain, float(np.sqrt((n - 1) / n * ((left_out - left_out.mean()) ** 2).sum()))


def _runs(
    graph: Graph, trace: Trace, inputs: Mapping[str, NDArray[Any]], output: str
) -> list[tuple[Variant, NDArray[np.float32]]]:
    """Every variant with its outputs, after the one that it is held against."""
    machine = trace.manifest.machine
    aligned, change = finer_aligner(trace)
    simulated = [
        (Variant("none", SIMULATION, "the trace as it is"), trace),
        (
            Variant("accumulate", SIMULATION, f"accumulator of {ACCUMULATOR_BITS} bits"),
            on_machine(trace, changed(machine, accumulator={"bits": ACCUMULATOR_BITS})),
        ),
        (Variant("align", SIMULATION, change, "accumulate"), aligned),
        (Variant("lut", SIMULATION, "finest tables: " + _said(FINEST)), finest_tables(trace)),
    ]
    emulated = [
        (Variant("none", EMULATION, "float64, constants and tensors quantised as planned"), False, False),
        (Variant("encode", EMULATION, "float64, constants exact"), True, False),
        (Variant("requantize", EMULATION, "float64, stored tensors exact"), False, True),
    ]
    runs = [(variant, execute(link(t), inputs).outputs[output]) for variant, t in simulated]
    for variant, constants, tensors in emulated:
        emulator = Emulator(graph, trace, constants, tensors)
        count = len(next(iter(inputs.values())))
        ones = ({name: a[s : s + 1] for name, a in inputs.items()} for s in range(count))
        runs.append((variant, np.concatenate([emulator.run(one)[output] for one in ones])))
    return runs


def _said(sections: Mapping[str, Mapping[str, int]]) -> str:
    return ", ".join(f"{s}.{f} {v}" for s, fields in sections.items() for f, v in fields.items())


def changed(machine: Machine, **sections: Mapping[str, int]) -> Machine:
    """A machine with some fields changed, also beyond what a machine's file may ask for."""
    fields = {name: getattr(machine, name) for name in Machine.model_fields}
    for section, values in sections.items():
        own = {name: getattr(fields[section], name) for name in type(fields[section]).model_fields}
        fields[section] = type(fields[section]).model_construct(**{**own, **values})
    return Machine.model_construct(**fields)


def on_machine(trace: Trace, machine: Machine, sections: Mapping[str, bytes] | None = None) -> Trace:
    """The same program on another machine, with other tables where given."""
    manifest = trace.manifest.model_copy(update={"machine": machine})
    return Trace(manifest, trace.program, trace.sections | (sections or {}))


def finer_aligner(trace: Trace) -> tuple[Trace, str]:
    """More guard bits, as many as the widest exact sum leaves room for, and what that is in words."""
    machine = trace.manifest.machine
    products = [op for op in trace.manifest.operators if op.kind == "matmul"]
    widest = max((16 + op.k.bit_length() for op in products), default=16)
    room = ALIGNED_BITS - widest
    if any(op.multiplier or op.copy_multiplier for op in trace.manifest.operators):
        room = 0  # sums of real scales have one exponent, and go through a multiplier of 16 bits yet
    own = machine.aligner.guard_bits
    guard = max(own, min(own + GUARD_BITS, room))
    lane = {"guard_bits": guard, "max_shift": LONGEST_SHIFT}
    wide = {"bits": ALIGNED_BITS}
    said = f"guard_bits {own} to {guard}, max_shift {LONGEST_SHIFT}, accumulator of {ALIGNED_BITS} bits"
    return on_machine(trace, changed(machine, aligner=lane, accumulator=wide)), said


def finest_tables(trace: Trace) -> Trace:
    """Every table as fine as a machine's file may ask for."""
    machine = changed(trace.manifest.machine, **FINEST)
    contents = {
        "table.exp2": lambda: machine.softmax_config.exp2,
        "table.reciprocal": lambda: machine.softmax_config.reciprocal,
        "table.root": lambda: machine.norm_config.root,
        **{f"table.{name}": _table_of(machine, name) for name in tables.FUNCTIONS},
    }
    sections = {
        name: np.asarray(content(), "<i4").tobytes()
        for name, content in contents.items()
        if name in trace.sections
    }
    return on_machine(trace, machine, sections)


def _table_of(machine: Machine, function: str) -> Any:
    return lambda: machine.lut_config(function).table
