"""A float64 oracle: the same plan, every stored tensor quantised as planned, sums and functions exact.

Written apart from the simulator: it shares the graph and the block boundaries of the trace, and nothing
of the integer datapath.
"""

from __future__ import annotations

import math
from dataclasses import replace

import ml_dtypes
import numpy as np
import onnxruntime as ort

from blocksim.graph.ir import Elementwise, Gather, Graph, Host, HostSource, Lut, Matmul, Norm, Softmax
from blocksim.trace import Trace
from blocksim.trace.manifest import Blocks

ERF = np.vectorize(math.erf)


def quantised(x: np.ndarray, spec: Blocks) -> np.ndarray:
    """A matrix as its format stores it, block by block, in float64."""
    limit = 2 ** (spec.bits - 1) - 1
    scale = getattr(spec, "scale", 1.0)
    if getattr(spec, "static", None) is not None:  # one calibrated step for all blocks
        step = scale * 2.0**spec.static
        return np.clip(np.rint(x / step), -limit, limit) * step
    values = np.asarray(x, np.float64)
    peaks = np.maximum.reduceat(np.abs(values), spec.row_starts, axis=0)
    peaks = np.maximum.reduceat(peaks, spec.column_starts, axis=1)
    down, across = np.diff([*spec.row_starts, spec.rows]), np.diff([*spec.column_starts, spec.columns])
    peak = peaks.repeat(down, axis=0).repeat(across, axis=1)
    shown = rounded(values, np.where(peak == 0, 1, peak), spec.format.partition("@")[0], spec.bits)
    return np.where(peak == 0, 0, shown)


MX = {
    "mxfp8e4m3": (8, ml_dtypes.float8_e4m3fn), "mxfp8e5m2": (15, ml_dtypes.float8_e5m2),
    "mxfp6e2m3": (2, ml_dtypes.float6_e2m3fn), "mxfp6e3m2": (4, ml_dtypes.float6_e3m2fn),
    "mxfp4": (2, ml_dtypes.float4_e2m1fn),
}  # fmt: skip
"""The binade of an element's largest number, and the outside library's type."""


ALONE = {
    "e4m3": (2.0**-9, 448.0, ml_dtypes.float8_e4m3fn), "e5m2": (2.0**-16, 57344.0, ml_dtypes.float8_e5m2),
    "minifloat8e4m3": (2.0**-9, 480.0, None), "dmf8e4m3": (2.0**-10, 224.0, None),
}  # fmt: skip
"""Elements without a block: the smallest and the largest number, and the outside library's type."""


def rounded(x: np.ndarray, peak: np.ndarray, element: str, bits: int) -> np.ndarray:
    """Values under the exponents that the largest magnitudes of their blocks give, none of them zero."""
    mantissa, length = np.frexp(peak)
    limit, floor, ceiling = 2 ** (bits - 1) - 1, length - 1, length - (mantissa == 0.5)
    if element in MX:
        emax, kind = MX[element]
        most, step = float(ml_dtypes.finfo(kind).max), 2.0 ** (floor - emax)
        return np.clip(x / step, -most, most).astype(kind).astype(np.float64) * step
    if element == "mxint8":
        step = 2.0 ** (floor - 6)
        return np.clip(np.rint(x / step), -limit, limit) * step
    if element == "bm8e4m3":
        _, own = np.frexp(x)
        step, top = 2.0 ** (np.maximum(own - 1, floor - 14) - 3), 1.875 * 2.0**floor
        return np.clip(np.rint(x / step) * step, -top, top)
    if element == "bl8":
        size = np.abs(x) / 2.0**ceiling  # 1 at most
        powers = np.rint(np.log2(np.maximum(size, 2.0**-200)))
        return np.where(powers < -126, 0, np.sign(x) * 2.0 ** (powers + ceiling))
    if element in ALONE:
        lowest, most, kind = ALONE[element]
        if kind is not None:
            return np.clip(x, -most, most).astype(kind).astype(np.float64)
        _, own = np.frexp(np.where(x == 0, lowest, x))
        step = np.maximum(2.0 ** (own - (3 if element == "dmf8e4m3" else 4)), lowest)
        return np.clip(np.rint(x / step) * step, -most, most)
    if element.startswith("fixed8f"):
        step = 2.0 ** -int(element[7:])
        return np.clip(np.rint(x / step), -127, 127) * step
    if element.startswith("log"):  # attention weights: distances from 1 in octaves, or in half octaves
        steps, last = 2 if element.startswith("logsqrt2") else 1, 2**bits - 1
        q = np.rint(-steps * np.log2(np.maximum(x, 2.0**-99)))
        roots = np.where(q % 2 == 1, 181 / 128, 1.0) if steps == 2 else 1.0
        return np.where(q >= last, 0, roots * 2.0 ** -np.ceil(q / steps))
    assert element.startswith(("int", "bfp")), element
    step = 2.0 ** (ceiling - (bits - 1))
    step = np.where(np.rint(peak / step) > limit, 2 * step, step)
    return np.rint(x / step) * step


class Oracle:
    """Runs one sample at a time."""

    def __init__(self, graph: Graph, trace: Trace, known: dict[str, np.ndarray] | None = None) -> None:
        """`known` are constants that another length of the same plan quantised; new ones are entered."""
        self.graph, self.manifest = graph, trace.manifest
        self.constants = {} if known is None else known
        for name, spec in trace.manifest.constants.items():
            if spec.role in ("table", "host", "mask", "multiplier"):
                continue
            array = graph.constant(name)
            if name in self.constants and self.constants[name].shape == (spec.rows, spec.columns):
                continue
            matrix = array[:, None] if spec.role == "bias" else array.reshape(spec.rows, spec.columns)
            if spec.scales:  # a real scale for each line
                scales = np.array(spec.scales)[:, None]
                self.constants[name] = np.rint(matrix / scales) * scales
            elif spec.bits == 32:
                self.constants[name] = matrix.astype(np.float64)
            else:
                self.constants[name] = quantised(matrix, spec)
        self.sessions = {
            op.name: ort.InferenceSession(op.model, providers=["CPUExecutionProvider"])
            for op in graph.operators
            if isinstance(op, Host)
        }

    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Graph outputs of one sample."""
        tensors: dict[str, np.ndarray] = {}
        for op in self.graph.operators:
            name, value = self._compute(op, tensors, inputs)
            spec = self.manifest.tensors[name]
            there = self._there(inputs, spec.rows) if spec.tokens else np.ones((spec.rows, 1))
            for form in (name, name + ".operand"):
                if form in self.manifest.tensors:
                    stored = self.manifest.tensors[form]
                    kept = value * there
                    tensors[form] = kept if isinstance(op, Gather) else quantised(kept, stored)
        outputs = {}
        for output in self.graph.outputs:
            tensor = self.graph.tensors[output.tensor]
            flat = tensors[tensor.name] / tensor.scale
            outputs[output.name] = flat.reshape(-1)
        return outputs

    def _there(self, inputs: dict[str, np.ndarray], rows: int) -> np.ndarray:
        mask = inputs[self.graph.padding].reshape(-1, 1) != 0
        return np.tile(mask, (rows // len(mask), 1)).astype(np.float64)

    @staticmethod
    def _operand(t: dict[str, np.ndarray], name: str) -> np.ndarray:
        return t.get(name + ".operand", t[name])

    def _compute(
        self, op: object, t: dict[str, np.ndarray], inputs: dict[str, np.ndarray]
    ) -> tuple[str, np.ndarray]:
        if isinstance(op, Host):
            feeds = {
                s.value: inputs[s.source] if s.source in inputs else self._value(s, t[s.source])
                for s in op.sources
            }
            (value,) = self.sessions[op.name].run(None, feeds)
            return op.out, self.graph.tensors[op.out].to_matrix(value).astype(np.float64)
        if isinstance(op, Matmul):
            return op.out.tensor, self._matmul(op, t)
        if isinstance(op, Elementwise):
            b = t[op.b] if op.b is not None else self.constants[op.constant]
            return op.out, t[op.a] + b if op.kind == "add" else t[op.a] * b
        if isinstance(op, Norm):
            x = t[op.a]
            centre = x - x.mean(axis=1, keepdims=True)
            centre = centre if op.centred else x
            with np.errstate(invalid="ignore", divide="ignore"):
                y = centre / np.sqrt((centre**2).mean(axis=1, keepdims=True) + op.epsilon)
            y = np.nan_to_num(y)
            return op.out, y * self.constants[op.gamma] + self.constants[op.beta]
        if isinstance(op, Softmax):
            keys = np.ones_like(t[op.a]) if op.mask is None else self.graph.constant(op.mask)
            if op.padded:
                keys = keys * self._there(inputs, t[op.a].shape[1])[:, 0]
            scores = np.where(keys > 0, t[op.a], -np.inf)
            top = np.where(keys.any(axis=1, keepdims=True), scores.max(axis=1, keepdims=True), 0)
            e = np.exp(scores - top)
            return op.out, e / np.maximum(e.sum(axis=1, keepdims=True), 1e-300)
        if isinstance(op, Gather):
            return op.out, self.constants[op.table][inputs[op.ids].reshape(-1)]
        assert isinstance(op, Lut)
        x = t[op.a]
        function = {
            "gelu": lambda: 0.5 * x * (1 + ERF(x / math.sqrt(2))),
            "gelu_tanh": lambda: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
            "silu": lambda: x / (1 + np.exp(-x)),
        }
        return op.out, function[op.function]()

    def _value(self, source: HostSource, matrix: np.ndarray) -> np.ndarray:
        return replace(self.graph.tensors[source.source], axes=source.axes).to_value(matrix)

    def _matmul(self, op: Matmul, t: dict[str, np.ndarray]) -> np.ndarray:
        spec = self.manifest.tensors[op.out.tensor]
        out = np.zeros((spec.rows, spec.columns))
        for g in range(op.groups):
            r, c = g * op.a.row_step, g * op.a.column_step
            a = self._operand(t, op.a.tensor)[r : r + op.m, c : c + op.k]
            if op.b is None:
                w = self.constants[op.weight]
            else:
                r, c = g * op.b.row_step, g * op.b.column_step
                b = self._operand(t, op.b.tensor)
                w = b[r : r + op.k, c : c + op.n].T if op.b.transposed else b[r : r + op.n, c : c + op.k]
            y = a @ w.T
            if op.bias is not None:
                y = y + self.constants[op.bias][:, 0]
            r, c = g * op.out.row_step, g * op.out.column_step
            out[r : r + op.m, c : c + op.n] = y
        return out
