"""Skeletons: exported graphs without trained numbers, their weights turned into graph inputs.

A skeleton is small enough to commit and carries nothing of a checkpoint. Each weight is an input that has
the name, type and shape of its tensor in the checkpoint, so that a safetensors file fills it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch
from torch import Tensor

LARGE = 1024
"""A skeleton holds no constant of this many elements or more."""

MAX_IR = 13

PREFIX = "model."
"""What the wrappers of the export scripts put before each name; see `Wrapper`."""


class Wrapper(torch.nn.Module):
    """Base of the modules that are exported: the model lies in ``self.model``."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model
        self.eval()

    def keys(self) -> list[str]:
        """Names of the weights in a checkpoint."""
        return list(self.model.state_dict())


def padded_batch(names: Sequence[str], vocabulary: int) -> dict[str, Tensor]:
    """Three texts of different lengths, padded: tokens, a mask and, if wanted, token types of zero."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(vocabulary // 30, vocabulary, (3, 13), generator=generator)
    mask = torch.ones_like(ids)
    mask[1, 6:], mask[2, 11:] = 0, 0
    return dict(zip(names, (ids * mask, mask, torch.zeros_like(ids)), strict=False))


def dynamo(
    module: Wrapper, feeds: Mapping[str, Tensor], opset: int, output: str, axes: dict[int, torch.export.Dim]
) -> onnx.ModelProto:
    """What torch's newer exporter writes when it is not told to optimise, which keeps the weights' names.

    Parameters
    ----------
    module : Wrapper
    feeds : mapping of str to Tensor
        An example of each input.
    opset : int
    output : str
        The name of the one output.
    axes : dict
        The free axes of every input.
    """
    program = torch.onnx.export(
        module,
        kwargs=dict(feeds),
        dynamo=True,
        opset_version=opset,
        optimize=False,
        output_names=[output],
        dynamic_shapes=dict.fromkeys(feeds, axes),
        verbose=False,
    )
    return program.model_proto


def skeletonise(
    model: onnx.ModelProto, trained: Collection[str], shape: Sequence[int | str]
) -> onnx.ModelProto:
    """Take the weights out of an exported model, and everything that tells of the machine it was made on.

    Parameters
    ----------
    model : onnx.ModelProto
    trained : collection of str
        Names of the checkpoint's tensors. These become inputs whatever their size.
    shape : sequence of int and str
        Of the one output, since tracing leaves invented names in it.
    """
    made = onnx.ModelProto.FromString(model.SerializeToString())
    graph = made.graph
    if made.functions or any(a.HasField("g") or a.graphs for n in graph.node for a in n.attribute):
        raise ValueError("functions and subgraphs are not foreseen")
    names = {i.name: i.name.removeprefix(PREFIX) for i in graph.initializer}
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
    kept = []
    for initialiser in graph.initializer:
        initialiser.name = names[initialiser.name]
        if initialiser.name in trained or np.prod(initialiser.dims, dtype=int) >= LARGE:
            if initialiser.name not in trained:
                raise ValueError(f"{initialiser.name}: large, and not in the checkpoint")
            graph.input.append(
                onnx.helper.make_tensor_value_info(
                    initialiser.name, initialiser.data_type, list(initialiser.dims)
                )
            )
        else:
            kept.append(initialiser)
    del graph.initializer[:]
    graph.initializer.extend(kept)
    (output,) = graph.output
    output.CopyFrom(onnx.helper.make_tensor_value_info(output.name, onnx.TensorProto.FLOAT, list(shape)))
    _strip(made)
    onnx.checker.check_model(made, full_check=True)
    return made


def _strip(model: onnx.ModelProto) -> None:
    """Remove texts, metadata, intermediate shapes and the producer."""
    graph = model.graph
    model.ir_version = min(model.ir_version, MAX_IR)
    for field in ("producer_name", "producer_version", "domain", "model_version", "doc_string"):
        model.ClearField(field)
    del model.metadata_props[:]
    del graph.metadata_props[:]
    del graph.value_info[:]
    graph.ClearField("doc_string")
    graph.name = "skeleton"
    for item in [*graph.input, *graph.output, *graph.initializer, *graph.node]:
        item.ClearField("doc_string")
        del item.metadata_props[:]
    for node in graph.node:
        for attribute in node.attribute:
            attribute.ClearField("doc_string")
            if np.prod(attribute.t.dims, dtype=int) >= LARGE:
                raise ValueError(f"{node.name}: a constant of {list(attribute.t.dims)}")


def write(
    made: onnx.ModelProto, path: Path, wrapper: Wrapper, feeds: Mapping[str, Tensor], tolerance: float
) -> None:
    """Run a skeleton with the module's weights; write it if it computes what the module does.

    Raises
    ------
    ValueError
        If the output differs by more than `tolerance`.
    """
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"])
    weights = wrapper.model.state_dict()
    values = {i.name: (feeds | weights)[i.name].detach().numpy() for i in session.get_inputs()}
    with torch.no_grad():
        want = wrapper(**feeds).numpy()
    (got,) = session.run(None, values)
    error = float(np.abs(want - got).max())
    if error > tolerance:
        raise ValueError(f"{path.name}: differs from torch by {error:.1e}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(made.SerializeToString(deterministic=True))
    print(f"{path}: {path.stat().st_size / 1e3:.0f} kB, {len(made.graph.node)} nodes, {error:.0e} from torch")
