"""The fp32 reference: the canonical graph through onnxruntime, optimisation off, sample by sample."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from blocksim.errors import BlocksimError
from blocksim.graph.ir import Axes, Elementwise, Graph, Host, Matmul, Operator, out_of
from blocksim.graph.unread import Matrix


def refuse_mixed_batch(
    graph: Graph, inputs: Mapping[str, NDArray[Any]], outputs: Mapping[str, Matrix]
) -> None:
    """Check that the model's file treats the samples of a batch apart, as the datapath does.

    Raises
    ------
    BlocksimError
        If a batch of two gives something else than the two samples alone.
    """
    import onnxruntime as ort

    samples = min(2, len(next(iter(inputs.values()))))
    if samples < 2 or not graph.free_batch:
        return
    options = ort.SessionOptions()
    options.log_severity_level = 4
    session = ort.InferenceSession(graph.source, options, providers=["CPUExecutionProvider"])
    wanted = {i.name for i in session.get_inputs()}
    feeds = {name: array[:samples] for name, array in inputs.items()}
    feeds |= {name: np.asarray(graph.filled[name]) for name in wanted & set(graph.filled)}
    padded = any(graph.tensors[o.tensor].tokens for o in graph.outputs)
    for name, made in zip(outputs, session.run(list(outputs), feeds), strict=True):
        alone = outputs[name][:samples]
        absent = padded and made.shape == alone.shape  # rows of absent tokens are nobody's
        together = np.where(alone == 0, alone, made) if absent else made
        scale = float(np.abs(alone).max())
        if together.shape != alone.shape or float(np.abs(together - alone).max()) > 1e-2 * scale + 1e-6:
            raise BlocksimError(
                graph.source, name, "mixes the samples of a batch", "export it with a leading axis of 1"
            )


class Reference:
    """Runs a graph's canonical model in fp32.

    Parameters
    ----------
    graph : Graph
    tensors : sequence of str
        Tensors to give besides the outputs; those that only exist in this graph are left out.
    """

    def __init__(self, graph: Graph, tensors: Sequence[str] = ()) -> None:
        import onnxruntime as ort

        self._graph = graph
        model = onnx.ModelProto.FromString(graph.canonical)
        made = {output for node in model.graph.node for output in node.output}
        self._outputs = [output.name for output in graph.outputs]
        self._by_keys = scores_of(graph)
        self._values = {t: graph.tensors[t].reference for t in tensors if graph.tensors[t].reference in made}
        known = {o.name for o in model.graph.output}
        for value in dict.fromkeys(self._values.values()):
            if value not in known:
                model.graph.output.append(onnx.ValueInfoProto(name=value))
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = 4
        self._session = ort.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        wanted = {i.name for i in self._session.get_inputs()}
        self._weights = {name: np.asarray(array) for name, array in graph.weights.items() if name in wanted}

    def outputs(
        self, inputs: Mapping[str, NDArray[Any]], progress: Callable[[int], None] | None = None
    ) -> dict[str, Matrix]:
        """Graph outputs of all samples, leading axis N."""
        samples = len(next(iter(inputs.values())))
        rows: list[list[Matrix]] = []
        for s in range(samples):
            feeds = {name: array[s : s + 1] for name, array in inputs.items()}
            values = self._run(self._outputs, feeds)
            outputs = zip(self._graph.outputs, values, strict=True)
            rows.append([self._present(o.tensor, o.axes, v, feeds) for o, v in outputs])
            if progress:
                progress(1)
        return {
            name: np.concatenate([row[i] for row in rows]).astype(np.float32)
            for i, name in enumerate(self._outputs)
        }

    def matrices(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, Matrix]:
        """The tensors asked for, of one sample, as the datapath lays them out."""
        names = list(self._values)
        values = self._run([self._values[n] for n in names], inputs)
        tensors = [self._graph.tensors[n] for n in names]
        present = [self._present(t.name, t.axes, v, inputs) for t, v in zip(tensors, values, strict=True)]
        return {t.name: t.to_matrix(v) for t, v in zip(tensors, present, strict=True)}

    def _run(self, names: Sequence[str], inputs: Mapping[str, NDArray[Any]]) -> list[Matrix]:
        try:
            return list(self._session.run(names, {**self._weights, **inputs}))
        except Exception as error:  # onnxruntime raises classes of its own without a common base
            reason = str(error).strip().splitlines()[0]
            raise BlocksimError("inputs", "fp32 reference", "onnxruntime refuses them", reason) from None

    def _present(self, tensor: str, axes: Axes, value: Matrix, inputs: Mapping[str, NDArray[Any]]) -> Matrix:
        """A value with zeros for absent tokens, which the datapath leaves out: rows, and keys of scores."""
        t = self._graph.tensors[tensor]
        if not t.tokens:
            return value
        there = np.asarray(inputs[self._graph.padding]).reshape(-1) != 0
        if there.all():
            return value
        kept = np.broadcast_to(np.tile(there, t.rows // t.tokens)[:, None], (t.rows, t.columns))
        if tensor in self._by_keys:
            kept = kept & there
        walk = replace(t, axes=axes, scale=1.0)
        return np.where(walk.to_value(kept.astype(np.float32)) > 0, value, np.float32(0))


def scores_of(graph: Graph) -> set[str]:
    """The tensors whose columns are tokens: products with keys, and what is multiplied from them."""
    found: set[str] = set()
    for op in graph.operators:
        if isinstance(op, Matmul) and op.b is not None and not op.b.transposed:
            if graph.tensors[op.b.tensor].tokens:
                found.add(op.out.tensor)
        elif isinstance(op, Elementwise) and op.kind == "mul" and op.a in found:
            found.add(op.out)
    return found


def peaks(
    graph: Graph, inputs: Mapping[str, NDArray[Any]], progress: Callable[[int], None] | None = None
) -> dict[str, float]:
    """The largest magnitude of every tensor over some samples, in fp32."""
    reference = Reference(graph, tuple(graph.tensors))
    largest: dict[str, float] = {}
    for s in range(len(next(iter(inputs.values())))):
        sample = {name: array[s : s + 1] for name, array in inputs.items()}
        matrices = reference.matrices(sample)
        for op in graph.operators:  # what only this graph has
            if out_of(op) not in matrices:
                made = _computed(graph, op, matrices, sample)
                matrices |= {} if made is None else {out_of(op): made}
        for name, matrix in matrices.items():
            largest[name] = max(largest.get(name, 0.0), float(np.abs(matrix).max(initial=0)))
        if progress:
            progress(1)
    return largest


def _computed(
    graph: Graph, op: Operator, matrices: Mapping[str, Matrix], inputs: Mapping[str, NDArray[Any]]
) -> Matrix | None:
    """A tensor that the file's graph does not have: what the host makes of inputs, and its product."""
    if isinstance(op, Host) and all(s.source in inputs for s in op.sources):
        import onnxruntime as ort

        session = ort.InferenceSession(op.model, providers=["CPUExecutionProvider"])
        (value,) = session.run(None, {s.value: inputs[s.source] for s in op.sources})
        return graph.tensors[op.out].to_matrix(np.asarray(value, np.float32))
    if isinstance(op, Matmul) and op.weight is not None and op.a.tensor in matrices:
        product = matrices[op.a.tensor][: op.m] @ graph.constant(op.weight).T
        return product if op.bias is None else product + graph.constant(op.bias)
    return None
