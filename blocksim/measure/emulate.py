"""A float64 emulation of a plan: every stored tensor quantised as planned, everything else exact.

It is no simulation: sums, softmax, norm and functions are float64, nothing is aligned, accumulated in a
word or looked up. It exists to switch a mechanism off that the integer datapath cannot do without:
constants or stored tensors may be exact.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blocksim.engine.boundary import (
    HostSession,
    decode_tensor,
    encode_tensor,
    looked_up,
    walk_of,
    walk_of_source,
)
from blocksim.engine.packed import lines_of, mask_of, matrix_of, table_of
from blocksim.graph.ir import Gather, Graph, Norm, Operator
from blocksim.trace.file import Trace
from blocksim.trace.manifest import ConstantSpec, OpSpec
from hwmodels.formats.blockwise import dequantise

Real = NDArray[np.float64]

ERF = np.vectorize(math.erf, otypes=[np.float64])


class Emulator:
    """Runs one sample at a time.

    Parameters
    ----------
    graph : Graph
    trace : Trace
        Compiled from `graph`.
    exact_constants : bool
        Take weights, biases, norm parameters and embeddings as they are in the model.
    exact_tensors : bool
        Store every activation unrounded.
    """

    def __init__(
        self, graph: Graph, trace: Trace, exact_constants: bool = False, exact_tensors: bool = False
    ) -> None:
        self.graph, self.trace, self.manifest = graph, trace, trace.manifest
        self.exact_tensors = exact_tensors
        self.constants: dict[str, Real] = {}
        for op in self.manifest.operators:
            for name in (op.weight, op.bias, op.constant):
                if name is not None:
                    exact = self._exact(name) if exact_constants else self._stored(name, op)
                    self.constants[name] = exact
        self.masks = {
            op.mask: mask_of(self.manifest.constants[op.mask], trace.sections[op.mask])
            for op in self.manifest.operators
            if op.mask is not None
        }
        self.hosts = {
            op.name: HostSession(self.manifest, op, trace.sections[op.model])
            for op in self.manifest.operators
            if op.model is not None
        }

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        """Graph outputs of one sample, whose inputs have a leading axis of 1."""
        values = self.tensors(inputs)
        outputs = {}
        for output in self.manifest.outputs:
            spec = self.manifest.tensors[output.tensor]
            outputs[output.name] = walk_of(spec, output.axes, output.scale).to_value(values[output.tensor])
        return outputs

    def tensors(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, Real]:
        """Every stored form of one sample, as values."""
        values: dict[str, Real] = {}
        present = np.ones(1, np.bool_)
        if self.manifest.padding:
            present = np.asarray(inputs[self.manifest.padding]).reshape(-1) != 0
        for op, node in zip(self.manifest.operators, self.graph.operators, strict=True):
            value = self._compute(op, node, values, inputs, present)
            for name in op.writes:
                spec = self.manifest.tensors[name]
                own = value
                if spec.tokens:
                    there = np.tile(present, spec.rows // spec.tokens)
                    own = np.where(there[:, None], own, 0.0)
                kept = self.exact_tensors or op.kind == "gather"  # a row of a table is stored as it is
                values[name] = own if kept else self._rounded(name, own)
        return values

    def _rounded(self, name: str, value: Real) -> Real:
        spec = self.manifest.tensors[name]
        q = encode_tensor(spec, value)
        return decode_tensor(spec, (q.codes, q.exponents))

    # -- constants ---------------------------------------------------------------------------

    def _exact(self, name: str) -> Real:
        spec = self.manifest.constants[name]
        return np.asarray(self.graph.constant(name), np.float64).reshape(spec.rows, spec.columns)

    def _stored(self, name: str, op: OpSpec) -> Real:
        """A constant's values as they are packed in the trace."""
        spec, data = self.manifest.constants[name], self.trace.sections[name]
        if spec.role not in ("weight", "bias"):
            codes, exponents = table_of(spec, data) if spec.by_row else matrix_of(spec, data)
            if spec.by_row:
                return np.ldexp(codes.astype(np.float64), exponents[:, spec.column_index].astype(np.int32))
            return dequantise(
                codes, exponents, spec.row_starts, spec.column_starts, spec.form.coding, spec.form.anchor
            )
        codes, exponents = lines_of(spec, data)
        lines = np.arange(spec.rows)
        values = dequantise(codes, exponents, lines, spec.column_starts, spec.form.coding, spec.form.anchor)
        return np.asarray(values * self._units(spec, op)[:, None])

    def _units(self, spec: ConstantSpec, op: OpSpec) -> Real:
        """The real number that a code of each line stands for: of a weight its scale, of a bias both."""
        if spec.role == "weight":
            return np.array(spec.scales or (1.0,) * spec.rows)
        assert op.a is not None
        units = np.ones(spec.rows)
        if spec.bits == 32:
            scales = self.manifest.constants[op.weight].scales if op.weight is not None else ()
            units = self.manifest.tensors[op.a.tensor].scale * np.array(scales or (1.0,) * spec.rows)
        return units

    # -- operators ---------------------------------------------------------------------------

    def _compute(
        self,
        op: OpSpec,
        node: Operator,
        values: Mapping[str, Real],
        inputs: Mapping[str, NDArray[Any]],
        present: NDArray[np.bool_],
    ) -> Real:
        if op.kind == "host":
            feeds = {
                s.value: inputs[s.source]
                if s.source in inputs
                else walk_of_source(self.manifest, s).to_value(values[s.source])
                for s in op.sources
            }
            return self.hosts[op.name].run(feeds).astype(np.float64)
        if isinstance(node, Gather):
            assert op.constant is not None
            table = self.constants[op.constant]
            return table[looked_up(inputs[op.ids], len(table), op.name)]
        assert op.a is not None
        a = values[op.a.tensor]
        if op.kind == "matmul":
            return self._matmul(op, values)
        if op.kind == "softmax":
            keys = self.masks[op.mask] if op.mask is not None else np.ones((1, a.shape[1]), np.bool_)
            return softmax(a, keys & present[None] if op.padded else keys)
        if isinstance(node, Norm):
            assert op.weight is not None and op.bias is not None
            centred = a - a.mean(axis=1, keepdims=True) if op.centred else a
            root = np.sqrt((centred**2).mean(axis=1, keepdims=True) + node.epsilon)
            normed = np.divide(centred, root, out=np.zeros_like(a), where=root > 0)
            return np.asarray(normed * self.constants[op.weight] + self.constants[op.bias])
        if op.kind == "lut":
            return function(str(op.function), a)
        b = values[op.b.tensor] if op.b is not None else self.constants[str(op.constant)]
        return np.asarray(a + b if op.kind == "add" else a * b)

    def _matmul(self, op: OpSpec, values: Mapping[str, Real]) -> Real:
        assert op.a is not None
        spec = self.manifest.tensors[op.out.tensor]
        out = np.zeros((spec.rows, spec.columns))
        for g in range(op.groups):
            r, c = g * op.a.row_step, g * op.a.column_step
            a = values[op.a.tensor][r : r + op.m, c : c + op.k]
            if op.b is None:
                lines = self.constants[str(op.weight)]
            else:
                r, c = g * op.b.row_step, g * op.b.column_step
                b = values[op.b.tensor]
                lines = b[r : r + op.k, c : c + op.n].T if op.b.transposed else b[r : r + op.n, c : c + op.k]
            product = a @ lines.T
            if op.bias is not None:
                product = product + self.constants[op.bias][:, 0]
            r, c = g * op.out.row_step, g * op.out.column_step
            out[r : r + op.m, c : c + op.n] = product
        return out


def softmax(x: Real, keys: NDArray[np.bool_]) -> Real:
    """Softmax of every row over the keys that take part; a row without any is zero.

    >>> softmax(np.zeros((1, 4)), np.array([[True, True, False, False]])).tolist()
    [[0.5, 0.5, 0.0, 0.0]]
    """
    there = np.broadcast_to(keys, x.shape)
    top = np.where(there, x, -np.inf).max(axis=1, keepdims=True)
    powers = np.where(there, np.exp(np.where(there, x - np.where(np.isfinite(top), top, 0), 0)), 0)
    total = powers.sum(axis=1, keepdims=True)
    shares: Real = np.divide(powers, total, out=np.zeros_like(powers), where=total > 0)
    return shares


def function(name: str, x: Real) -> Real:
    """An element-wise function that a LUT instruction can name."""
    if name == "gelu":
        return np.asarray(0.5 * x * (1 + ERF(x / math.sqrt(2))))
    if name == "gelu_tanh":
        return np.asarray(0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))))
    return np.asarray(x * (0.5 + 0.5 * np.tanh(0.5 * x)))  # silu
