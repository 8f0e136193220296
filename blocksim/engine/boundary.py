"""The boundary between floats and integers: inputs, outputs and what runs on the host.

Encode and decode are the only places where a float meets a code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from blocksim.errors import BlocksimError
from blocksim.graph.ir import Axis, Tensor
from blocksim.trace.manifest import Manifest, OpSpec, SourceSpec, TensorSpec
from hwmodels.formats.blockwise import Quantised, dequantise, quantise

Stored = tuple[NDArray[np.int16], NDArray[np.int16]]
"""Codes and exponents of one sample's tensor."""


class _Input(Protocol):
    """A graph input of one sample, from a graph or a manifest."""

    @property
    def name(self) -> str: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> str: ...


def check_inputs(
    specs: Sequence[_Input], inputs: Mapping[str, NDArray[Any]], where: object
) -> dict[str, NDArray[Any]]:
    """Inputs with the names, shapes and types that the model asks for.

    Parameters
    ----------
    specs : sequence of inputs
        Of a graph or of a manifest.
    inputs : dict of str to array
        Leading axis N, the same for all: N samples.
    where : object
        The file, for messages.

    Raises
    ------
    BlocksimError
        If a name, a shape or a type differs, or a value is NaN or Inf.
    """
    wanted = {i.name: i for i in specs}
    for name in inputs:
        if name not in wanted:
            raise BlocksimError(where, name, "unknown input", f"the model's inputs are {', '.join(wanted)}")
    checked = {}
    for name, spec in wanted.items():
        if name not in inputs:
            raise BlocksimError(where, name, "missing", f"give an array of shape (N, {_tail(spec.shape)})")
        array = np.asarray(inputs[name])
        if array.shape[1:] != spec.shape[1:] or array.ndim != len(spec.shape) or not array.shape[0]:
            raise BlocksimError(
                where, name, f"shape {array.shape}", f"must be (N, {_tail(spec.shape)}) with N samples"
            )
        if array.dtype.kind != np.dtype(spec.dtype).kind:
            raise BlocksimError(where, name, f"type {array.dtype}", f"must be {spec.dtype}")
        with np.errstate(over="ignore"):
            cast = array.astype(spec.dtype)
        if cast.dtype.kind == "f" and not np.isfinite(cast).all():
            bad = "NaN" if np.isnan(cast).any() else "Inf"
            raise BlocksimError(where, name, bad, f"values must be finite in {spec.dtype}")
        checked[name] = cast
    if len({len(a) for a in checked.values()}) > 1:
        sizes = ", ".join(f"{n} {len(a)}" for n, a in checked.items())
        raise BlocksimError(where, "leading axis", sizes, "all inputs must have the same number of samples")
    return checked


def check_samples(
    manifest: Manifest, inputs: Mapping[str, NDArray[Any]], where: object
) -> dict[str, NDArray[Any]]:
    """Inputs as of `check_inputs`; a mask that the model counts must have no holes."""
    checked = check_inputs(manifest.inputs, inputs, where)
    if manifest.padding and not manifest.holes:
        there = checked[manifest.padding] != 0
        if (there[:, 1:] & ~there[:, :-1]).any():
            raise BlocksimError(
                where,
                manifest.padding,
                "a token after an absent one",
                "this model counts tokens; pad at the end",
            )
    return checked


def _tail(shape: Sequence[int]) -> str:
    return ", ".join(str(s) for s in shape[1:])


def encode_tensor(spec: TensorSpec, matrix: NDArray[np.floating]) -> Quantised:
    """The codes of a matrix as a tensor stores them."""
    if spec.static is None:
        form = spec.form
        return quantise(matrix, spec.row_starts, spec.column_starts, form.coding, form.sharing)
    limit = (1 << (spec.bits - 1)) - 1
    scaled = np.rint(np.ldexp(np.asarray(matrix, np.float64) / spec.scale, -spec.static))
    codes = np.clip(scaled, -limit, limit)
    shared = np.full((len(spec.row_starts), len(spec.column_starts)), spec.static, np.int16)
    return Quantised(codes.astype(np.int16), shared, 0, int((codes != scaled).sum()))


def decode_tensor(spec: TensorSpec, stored: Stored) -> NDArray[np.float64]:
    """The values that a stored tensor stands for."""
    return (
        dequantise(*stored, spec.row_starts, spec.column_starts, spec.form.coding, spec.form.anchor)
        * spec.scale
    )


def looked_up(ids: NDArray[np.integer], rows: int, field: str, where: object = "inputs") -> NDArray[np.int64]:
    """The numbers of an input, each of which must be a row of a table.

    Raises
    ------
    BlocksimError
        If one is not.
    """
    flat = np.asarray(ids, np.int64).reshape(-1)
    wrong = flat[(flat < 0) | (flat >= rows)]
    if len(wrong):
        raise BlocksimError(where, field, wrong[0], f"its table has the rows 0 to {rows - 1}")
    return flat


def walk_of(spec: TensorSpec, axes: Sequence[tuple[int, int, int]], scale: float) -> Tensor:
    """A tensor with the axes of the ONNX value that it holds."""
    return Tensor(
        spec.name, spec.rows, spec.columns, spec.row_period, spec.column_period, spec.name,
        tuple(Axis(*a) for a in axes), scale,
    )  # fmt: skip


def walk_of_source(manifest: Manifest, source: SourceSpec) -> Tensor:
    """A tensor as the ONNX value that the host reads."""
    spec = manifest.tensors[source.source]
    return walk_of(spec, source.axes, manifest.scales.get(source.source, 1.0))


def decode_outputs(
    manifest: Manifest, stored: Mapping[str, Sequence[Stored]]
) -> dict[str, NDArray[np.float32]]:
    """Graph outputs of all samples, as float32 under their ONNX names."""
    outputs = {}
    for output in manifest.outputs:
        spec = manifest.tensors[output.tensor]
        walk = walk_of(spec, output.axes, output.scale)
        values = [walk.to_value(decode_tensor(spec, one)) for one in stored[output.tensor]]
        outputs[output.name] = np.concatenate(values)
    return outputs


class HostSession:
    """What the machine lacks, in fp32 through onnxruntime, one sample at a time."""

    def __init__(self, manifest: Manifest, op: OpSpec, model: bytes) -> None:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        self._session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        spec = manifest.tensors[op.out.tensor]
        self._tensor = walk_of(spec, op.out_axes, 1.0)
        self._name, self._op_types = op.name, "/".join(op.op_types)

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        """The operator's output as its tensor's matrix.

        Raises
        ------
        BlocksimError
            If it is NaN or Inf, which no block can hold.
        """
        value = self._session.run(None, dict(feeds))[0]
        if not np.isfinite(value).all():
            raise BlocksimError("host", self._name, "NaN or Inf", f"{self._op_types} must give finite values")
        return self._tensor.to_matrix(value)


def as_classes(labels: object, where: object) -> NDArray[np.integer]:
    """Right classes as an array; `where` is what a refusal calls them.

    Returns
    -------
    int array, shape (N,)

    Raises
    ------
    BlocksimError
        If they are no vector of integers.
    """
    given = np.asarray(labels)
    if given.ndim != 1 or given.dtype.kind not in "iu":
        found = f"{given.dtype} of shape {given.shape}"
        raise BlocksimError(where, "classes", found, "give a vector of integers, one per sample")
    return given
