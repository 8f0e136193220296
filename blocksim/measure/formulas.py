"""Cycle formulas with their numbers put in: one per opcode, each beside its value.

A formula is text that can be worked out by hand, and by `evaluate`: ``x`` multiplies, ``ceil`` rounds up.
Tests hold every one against the cost model.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from blocksim.engine.cost import CostModel
from blocksim.trace.isa import Flag, Opcode
from hwmodels.units import array_cycles
from hwmodels.units.aligner import EXACT
from hwmodels.units.mac_array import MacArrayConfig


@dataclass(frozen=True)
class Formula:
    """Cycles of one instruction.

    Attributes
    ----------
    rule : str
        In symbols.
    text : str
        With the numbers put in.
    value : int
        What it gives.
    """

    rule: str
    text: str
    value: int


def formula_of(model: CostModel, record: Any) -> Formula:
    """The cycles of an instruction, as its unit counts them.

    Parameters
    ----------
    model : CostModel
    record
        One record of a program.

    Returns
    -------
    Formula
    """
    opcode = Opcode(record["opcode"])
    build = {
        Opcode.MATMUL: _matmul,
        Opcode.LOAD: _transfer,
        Opcode.STORE: _transfer,
        Opcode.GATHER: _transfer,
        Opcode.REQUANT: _requant,
        Opcode.SOFTMAX: _softmax,
        Opcode.NORM: _norm,
        Opcode.HOST: _host,
    }.get(opcode, _elements)
    rule, text = build(model, record)
    return Formula(rule, text, int(evaluate(text)))


def _matmul(model: CostModel, record: Any) -> tuple[str, str]:
    op_id, group = int(record["op_id"]), int(record["group"])
    op, array = model.manifest.operators[op_id], model.machine.array_config
    m, n = int(record["rows"]), int(record["columns"])
    a, b = model.manifest.operands(op)
    starts = model.segments(op_id, group).starts.tolist()
    rows, columns = array_cycles.effective(array, a.bits, b.bits)
    wave = f"{array.rows} + {array.columns} - 2"
    if array.dataflow == "os":
        rule = "sum over segments of max(B, ceil(R / aligners), ceil(bytes fed / port)) + R + C - 2"
        text = _segments(array, rows, columns, op.k, starts, (a.bits, b.bits))
        text += f" + {wave}"
    else:
        moving, bits = (m, a.bits) if array.dataflow == "ws" else (n, b.bits)
        fed = -(-rows * bits // 8)
        terms = array_cycles.terms_per_fold(rows, op.k, starts)
        streams = [_stream(array, moving, fed, t) for t in terms]
        if array.overlap:
            rule = "R + sum of max(S, R) over all folds but the last + S of the last + R + C - 2"
            parts = [_times(count, f"max({s}, {array.rows})") for s, count in _runs(streams[:-1])]
            text = " + ".join([f"{array.rows}", *parts, streams[-1], wave])
        else:
            rule = "(2 R + C - 2 + S) of every fold"
            each = [(f"(2 x {array.rows} + {array.columns} - 2 + {s})", count) for s, count in _runs(streams)]
            text = " + ".join(_times(count, one) for one, count in each)
        rule += "; S = M x II, II = max(1, ceil(terms / aligners), ceil(bytes fed / port))"
    if array.normalise == EXACT:
        rule += "; + ceil(M N / prescan lanes) x segments"
        text += f" + ceil({m} x {n} / {array.prescan_lanes}) x {len(starts)}"
    return rule, text


def _stream(array: MacArrayConfig, moving: int, fed: int, terms: int) -> str:
    """Cycles that a fold streams."""
    interval = f"max(1, ceil({terms} / {array.aligners}), ceil({fed + terms} / {array.port_bytes}))"
    text = f"({moving} x {interval})"
    latency = array.accumulator.latency
    return f"max({text}, {latency})" if latency > 1 else text


def _segments(
    array: MacArrayConfig, rows: int, columns: int, k: int, starts: list[int], bits: tuple[int, int]
) -> str:
    """Cycles of an output-stationary array's segments."""
    parts = []
    lengths = [e - s for s, e in zip(starts, array_cycles.segment_ends(k, starts), strict=True)]
    for length, count in _runs(lengths):
        codes = f"ceil({length} x {rows * bits[0] + columns * bits[1]} / 8)"
        entry = f"ceil(({codes} + {rows + columns}) / {array.port_bytes})"
        parts.append(_times(count, f"max({length}, ceil({rows} / {array.aligners}), {entry})"))
    return " + ".join(parts)


def _transfer(model: CostModel, record: Any) -> tuple[str, str]:
    dma, size = model.machine.dma_config, int(record["size"])
    runs = int(record["rows"]) if Opcode(record["opcode"]) is Opcode.GATHER else 1
    rule = "ceil(runs x whole bursts of a run / bytes per cycle)"
    each = f"ceil({size} / {runs})" if runs > 1 else f"{size}"
    bursts = f"ceil({each} / {dma.burst}) x {dma.burst}"
    return rule, f"ceil({_times(runs, bursts)} / {dma.bytes_per_cycle})"


def _requant(model: CostModel, record: Any) -> tuple[str, str]:
    op, flags = model.manifest.operators[int(record["op_id"])], Flag(int(record["flags"]))
    config = model.machine.requantizer_config
    static = model.stored_form(op, flags).static is not None
    passes = 1 if config.merged or static or flags & Flag.SPILL else 2
    text = f"{passes} x ceil({record['rows']} x {record['columns']} / {config.lanes}) + {config.latency}"
    return "passes x ceil(M N / lanes) + latency", text


def _softmax(model: CostModel, record: Any) -> tuple[str, str]:
    c = model.machine.softmax_config
    rule = "rows x 3 x ceil(columns / lanes) + 3 x latency"
    return rule, f"{record['rows']} x 3 x ceil({record['columns']} / {c.lanes}) + 3 x {c.latency}"


def _norm(model: CostModel, record: Any) -> tuple[str, str]:
    c = model.machine.norm_config
    rule = "rows x 2 x ceil(columns / lanes) + 2 x latency"
    return rule, f"{record['rows']} x 2 x ceil({record['columns']} / {c.lanes}) + 2 x {c.latency}"


def _elements(model: CostModel, record: Any) -> tuple[str, str]:
    """LUT, ADD and MUL."""
    machine = model.machine
    is_lut = Opcode(record["opcode"]) is Opcode.LUT
    latency = machine.lut.latency if is_lut else machine.elementwise_config.latency
    text = f"ceil({record['rows']} x {record['columns']} / {machine.vector.lanes}) + {latency}"
    return "ceil(M N / lanes) + latency", text


def _host(_model: CostModel, _record: Any) -> tuple[str, str]:
    return "the host's time is not modelled", "0"


def _runs(values: list[Any]) -> list[tuple[Any, int]]:
    """Equal neighbours, and how many."""
    return [(value, len(list(same))) for value, same in groupby(values)]


def _times(count: int, text: str) -> str:
    return text if count == 1 else f"{count} x {text}"


OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.USub: operator.neg,
}
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "ceil": math.ceil,
    "max": max,
    "sum": lambda *values: math.fsum(values) if any(isinstance(v, float) for v in values) else sum(values),
}


def evaluate(text: str, names: Mapping[str, Any] | None = None) -> Any:
    """What a formula gives.

    Parameters
    ----------
    text : str
        Numbers, names, ``+ - x / **``, parentheses, and ``ceil``, ``max`` and ``sum``.
    names : dict of str to number or sequence of numbers, optional
        What the names stand for; ``sum`` of a name with several numbers adds them up, exactly rounded.

    >>> evaluate("64 + 2 x max(49, 64) + ceil(3 / 2)")
    194
    """
    known = names or {}

    def value(node: ast.AST) -> Any:
        if isinstance(node, ast.Expression):
            return value(node.body)
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Name):
            return known[node.id]
        if isinstance(node, ast.BinOp):
            return OPERATORS[type(node.op)](value(node.left), value(node.right))
        if isinstance(node, ast.UnaryOp):
            return OPERATORS[type(node.op)](value(node.operand))
        assert isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        inner = [value(argument) for argument in node.args]
        spread = [v for one in inner for v in (one if isinstance(one, list | tuple) else [one])]
        return FUNCTIONS[node.func.id](*spread)

    return value(ast.parse(text.replace(" x ", " * "), mode="eval"))
