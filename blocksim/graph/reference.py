"""The fp32 reference: the canonical graph through onnxruntime, optimisation off, sample by sample."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from blocksim.errors import BlocksimError
from blocksim.graph.ir import Graph, Matrix


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
    feeds = {name: array[:samples] for name, array in inputs.items()}
    for name, together in zip(outputs, session.run(list(outputs), feeds), strict=True):
        alone = outputs[name][:samples]
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
        self._weights = {name: array for name, array in graph.weights.items() if name in wanted}

    def outputs(
        self, inputs: Mapping[str, NDArray[Any]], progress: Callable[[int], None] | None = None
    ) -> dict[str, Matrix]:
        """Graph outputs of all samples, leading axis N."""
        samples = len(next(iter(inputs.values())))
        rows: list[list[Matrix]] = []
        for s in range(samples):
            feeds = {name: array[s : s + 1] for name, array in inputs.items()}
            rows.append(self._session.run(self._outputs, {**self._weights, **feeds}))
            if progress:
                progress(1)
        return {
            name: np.concatenate([row[i] for row in rows]).astype(np.float32)
            for i, name in enumerate(self._outputs)
        }

    def matrices(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, Matrix]:
        """The tensors asked for, of one sample, as the datapath lays them out."""
        names = list(self._values)
        values = self._session.run([self._values[n] for n in names], {**self._weights, **inputs})
        return {n: self._graph.tensors[n].to_matrix(v) for n, v in zip(names, values, strict=True)}
