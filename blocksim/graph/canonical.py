"""The canonical form: one sample, static shapes, large weights apart, fused patterns undone or made.

onnxruntime's optimiser folds shape chains and fuses what exporters take apart; the few patterns that
it leaves are rewritten here. Large initialisers become inputs first, so that they keep their names.
"""

from __future__ import annotations

import math
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from blocksim.errors import BlocksimError
from blocksim.graph.external import bring_in, is_beside, weight_beside
from blocksim.graph.unfuse import unfuse
from blocksim.graph.unread import Weight
from blocksim.graph.weights import WeightSource

LARGE = 1024
"""Initialisers of this many elements or more, and matrices of any size, are weights, not structure."""

NOT_WANTED = [
    "SkipLayerNormFusion",
    "BiasGeluFusion",
    "BiasSoftmaxFusion",
    "QuickGeluFusion",
    "AttentionFusion",
    "EmbedLayerNormFusion",
    "GemmActivationFusion",
    "ConvActivationFusion",
    "MatMulScaleFusion",
    "MatmulTransposeFusion",
]
"""Fusions of onnxruntime that would hide a tensor that the datapath stores."""

MAX_IR = 13
"""Newest ONNX file version that onnxruntime reads."""


@dataclass(frozen=True)
class Canonical:
    """A canonical graph and the weights taken out of it.

    Attributes
    ----------
    model : onnx.ModelProto
        Weights are graph inputs.
    weights : dict of str to float32 array, read or not
    inputs : dict of str to tuple
        Shape and ONNX element type of each real input, its leading axis 1.
    free_batch : bool
        Whether the leading axis of every input is free.
    filled : dict of str to float32 array, read or not
        What a weight source put into the file's inputs.
    """

    model: onnx.ModelProto
    weights: dict[str, Weight]
    inputs: dict[str, tuple[tuple[int, ...], int]]
    free_batch: bool
    filled: dict[str, Weight]


def read(path: Path) -> onnx.ModelProto:
    """Read and check an ONNX file.

    Raises
    ------
    BlocksimError
        If it is missing, is not ONNX, or is truncated.
    """
    if not path.is_file():
        what = "a folder" if path.is_dir() else "missing"
        raise BlocksimError(path, "file", what, "give the path of an ONNX model")
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # protobuf and file errors have no common base
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BlocksimError(path, "file", "not a whole ONNX model", f"export it again ({reason})") from None
    if not model.graph.node or not model.opset_import:
        raise BlocksimError(path, "file", "not a whole ONNX model", "it holds no operators; export it again")
    try:
        onnx.checker.check_model(str(path) if any(map(is_beside, model.graph.initializer)) else model)
    except onnx.checker.ValidationError as error:
        reason = str(error).strip().splitlines()[0]
        raise BlocksimError(path, "graph", "invalid", f"export it again ({reason})") from None
    return model


def canonicalise(
    model: onnx.ModelProto,
    path: Path,
    bind: dict[str, int],
    source: WeightSource | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
) -> Canonical:
    """Bring a model to canonical form.

    Parameters
    ----------
    model : onnx.ModelProto
    path : Path
        Its file, for messages.
    bind : dict of str to int
        Sizes of free dimensions other than the batch.
    source : WeightSource, optional
        Fills a skeleton: inputs that are weights.
    shapes : dict of str to tuple, optional
        Shapes of the arrays at hand: they bind what `bind` does not.

    Raises
    ------
    BlocksimError
        If a dimension stays free, a weight is NaN or Inf, or onnxruntime refuses the graph.
    """
    model = onnx.ModelProto.FromString(model.SerializeToString())
    model.ir_version = min(model.ir_version, MAX_IR)
    filled = _fill(model, path, source)
    weights = {name: array for name, array in filled.items() if _is_large(array.shape)}
    weights |= _take_weights(model, path)
    free_batch = all(
        value.type.tensor_type.shape.dim and not value.type.tensor_type.shape.dim[0].HasField("dim_value")
        for value in model.graph.input
        if value.name not in weights
    )
    inputs, free = _bind(model, path, bind, set(weights), shapes or {})
    # the first pass makes shapes known, so that fused operators can be taken apart; the second folds on
    known = _optimise(model, path, free)
    unfuse(known, path)
    _slice_weights(known, weights)
    _halve_last(known)
    optimised = _optimise(known, path, free)
    _rewrite(optimised)
    return Canonical(optimised, weights, inputs, free_batch, filled)


def _fill(model: onnx.ModelProto, path: Path, source: WeightSource | None) -> dict[str, Weight]:
    """Give a skeleton its weights; small ones become initialisers, so that what they are part of is fused."""
    filled: dict[str, Weight] = {}
    for value in list(model.graph.input):
        dims = value.type.tensor_type.shape.dim
        fixed = bool(dims) and all(d.HasField("dim_value") for d in dims)
        if not fixed or value.type.tensor_type.elem_type != onnx.TensorProto.FLOAT:
            continue
        shape = tuple(d.dim_value for d in dims)
        if source is not None and source.has(value.name):
            weight = source.weight(value.name, shape)
            if _is_large(shape):  # it stays an input, as a weight does
                filled[value.name] = weight
                continue
            array = filled[value.name] = np.asarray(weight)
            model.graph.initializer.append(onnx.numpy_helper.from_array(array, value.name))
            model.graph.input.remove(value)
        elif value.name.endswith((".weight", ".bias", "_embeddings", "_token")):
            where, what = (path, "no weights") if source is None else (source.where, "missing")
            remedy = "this is a skeleton; give --weights FILE.safetensors, MODEL.onnx or generator"
            raise BlocksimError(where, value.name, what, remedy if source is None else f"{path} needs it")
    return filled


def _is_large(shape: tuple[int, ...]) -> bool:
    return math.prod(shape) >= LARGE or (len(shape) > 1 and math.prod(shape) > 1)


def _take_weights(model: onnx.ModelProto, path: Path) -> dict[str, Weight]:
    weights: dict[str, Weight] = {}
    for initialiser in list(model.graph.initializer):
        if is_beside(initialiser):
            if initialiser.data_type == onnx.TensorProto.FLOAT and _is_large(tuple(initialiser.dims)):
                weights[initialiser.name] = weight_beside(path, initialiser)
                _make_input(model, initialiser)
                continue
            bring_in(path, initialiser)
        array = onnx.numpy_helper.to_array(initialiser)
        if not np.issubdtype(array.dtype, np.floating):
            continue
        if array.dtype != np.float32 and array.ndim > 1:
            raise BlocksimError(
                path, initialiser.name, str(array.dtype), "weights must be float32; export it in float32"
            )
        large = _is_large(array.shape)
        finite = bool(np.isfinite(array).all())
        is_mask = not np.isnan(array).any() and not np.isposinf(array).any() and np.unique(array).size <= 2
        if not finite and not is_mask:
            bad = "NaN" if np.isnan(array).any() else "Inf"
            raise BlocksimError(path, initialiser.name, bad, "weights must be finite; export it again")
        if large:
            weights[initialiser.name] = array.astype(np.float32)
            _make_input(model, initialiser)
    return weights


def _make_input(model: onnx.ModelProto, initialiser: onnx.TensorProto) -> None:
    """Make an input of an initialiser."""
    name, kind, shape = initialiser.name, initialiser.data_type, tuple(initialiser.dims)
    model.graph.initializer.remove(initialiser)
    model.graph.input.append(onnx.helper.make_tensor_value_info(name, kind, shape))


def _slice_weights(model: onnx.ModelProto, weights: dict[str, Weight]) -> None:
    """Weights that are stretches of one weight, such as those of packed projections, become their own."""
    graph = model.graph
    constants = {i.name: onnx.numpy_helper.to_array(i) for i in graph.initializer}
    constants |= {
        node.output[0]: onnx.numpy_helper.to_array(node.attribute[0].t)
        for node in graph.node
        if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value"
    }
    for node in list(graph.node):
        bounds = [constants.get(name) for name in node.input[1:]]
        if node.op_type != "Slice" or node.input[0] not in weights or any(b is None for b in bounds):
            continue
        whole = weights[node.input[0]]
        begins, ends, *rest = (np.asarray(b).reshape(-1).tolist() for b in bounds)
        axes = rest[0] if rest else range(len(begins))
        steps = rest[1] if len(rest) > 1 else [1] * len(begins)
        where = [slice(None)] * whole.ndim
        for begin, end, axis, step in zip(begins, ends, axes, steps, strict=True):
            where[axis] = slice(begin, end, step)
        part = whole[tuple(where)]
        weights[node.output[0]] = part
        info = onnx.helper.make_tensor_value_info(node.output[0], onnx.TensorProto.FLOAT, part.shape)
        graph.input.append(info)
        graph.node.remove(node)


def _bind(
    model: onnx.ModelProto,
    path: Path,
    bind: dict[str, int],
    weights: set[str],
    shapes: Mapping[str, tuple[int, ...]],
) -> tuple[dict[str, tuple[tuple[int, ...], int]], dict[str, int]]:
    """Real inputs of one sample, and a size for every named free dimension."""
    free: dict[str, int] = {}
    inputs = {}
    real = [i for i in model.graph.input if i.name not in weights]
    for value in real:
        shape = []
        given = shapes.get(value.name, shapes.get("", ()) if len(real) == 1 else ())
        kind = onnx.TensorProto.DataType.Name(value.type.tensor_type.elem_type)
        if kind in ("FLOAT16", "BFLOAT16", "DOUBLE"):
            raise BlocksimError(
                path, value.name, kind.lower(), "inputs must be float32; export it in float32"
            )
        for axis, dim in enumerate(value.type.tensor_type.shape.dim):
            if not dim.HasField("dim_value") and not dim.dim_param:
                dim.dim_param = f"{value.name}.{axis}"
            if dim.HasField("dim_value"):
                size = dim.dim_value
            elif axis == 0:
                size = 1
            elif dim.dim_param in bind:
                size = bind[dim.dim_param]
            elif dim.dim_param in free:
                size = free[dim.dim_param]
            elif axis < len(given):
                size = given[axis]
            else:
                name, remedy = dim.dim_param, f"give --bind {dim.dim_param}=SIZE"
                if shapes:  # there are inputs, and this is not among them
                    known = ", ".join(n or "one without a name" for n in shapes)
                    remedy = f"give an input of this name; there are {known}"
                raise BlocksimError(path, value.name, f"dimension {name} is free", remedy)
            if axis == 0 and size != 1:
                raise BlocksimError(
                    path, value.name, f"leading axis is {size}", "export it with a free batch axis, or with 1"
                )
            if dim.dim_param:
                free[dim.dim_param] = size
            shape.append(size)
        inputs[value.name] = (tuple(shape), value.type.tensor_type.elem_type)
    unknown = sorted(set(bind) - set(free))
    if unknown:
        known = ", ".join(sorted(free)) or "none"
        raise BlocksimError(path, "--bind", unknown[0], f"no input has this dimension; free ones: {known}")
    return inputs, free


def _optimise(model: onnx.ModelProto, path: Path, free: dict[str, int]) -> onnx.ModelProto:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.log_severity_level = 4
    for name, size in free.items():
        options.add_free_dimension_override_by_name(name, size)
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "canonical.onnx"
        options.optimized_model_filepath = str(target)
        try:
            ort.InferenceSession(
                model.SerializeToString(),
                options,
                providers=["CPUExecutionProvider"],
                disabled_optimizers=NOT_WANTED,
            )
        except Exception as error:  # onnxruntime raises classes of its own without a common base
            reason = str(error).strip().splitlines()[0]
            raise BlocksimError(path, "graph", "onnxruntime refuses it", reason) from None
        return onnx.load(str(target))


def _halve_last(model: onnx.ModelProto) -> None:
    """Make ``x y / 2`` of a GELU that is ``x (y / 2)``.

    torch's dynamo exporter has it the second way, and the optimiser knows it the first way.
    """
    graph = model.graph
    made = {output: node for node in graph.node for output in node.output}
    readers = Counter(name for node in graph.node for name in node.input)
    tensors = {n.output[0]: n.attribute[0].t for n in graph.node if n.op_type == "Constant"}
    tensors |= {i.name: i for i in graph.initializer}
    halves = {name for name, tensor in tensors.items() if _is_half(tensor)}
    for node in graph.node:
        for x, product in (node.input, reversed(node.input)) if node.op_type == "Mul" else ():
            inner = made.get(product)
            if inner is None or inner.op_type != "Mul" or readers[product] != 1:
                continue
            half = [name for name in inner.input if name in halves]
            others = [name for name in inner.input if name not in halves]
            if half and others and _has_erf(made, others[0], x):
                inner.input[:], node.input[:] = [x, others[0]], [product, half[0]]
                break


def _is_half(tensor: onnx.TensorProto) -> bool:
    return math.prod(tensor.dims) == 1 and bool((onnx.numpy_helper.to_array(tensor) == 0.5).all())


def _has_erf(made: Mapping[str, onnx.NodeProto], name: str, x: str) -> bool:
    """Whether a value is a sum with the Erf of a multiple of `x`."""
    node = made.get(name)
    if node is None or node.op_type != "Add":
        return False
    for erf in (made.get(source) for source in node.input):
        inside = made.get(erf.input[0]) if erf is not None and erf.op_type == "Erf" else None
        if inside is not None and inside.op_type in ("Div", "Mul") and x in inside.input:
            return True
    return False


def _rewrite(model: onnx.ModelProto) -> None:
    """A pattern that the optimiser leaves: the tanh form of GELU."""
    if not {"Tanh", "Pow"} <= {node.op_type for node in model.graph.node}:
        return  # the rewriter takes its time to load
    import onnx_ir
    from onnxscript.rewriter import pattern, rewrite

    def tanh_gelu(op: Any, x: Any) -> Any:
        inner = op.Mul(math.sqrt(2.0 / math.pi), op.Add(x, op.Mul(0.044715, op.Pow(x, 3.0))))
        return op.Mul(op.Mul(0.5, x), op.Add(op.Tanh(inner), 1.0))

    def fast_gelu(op: Any, x: Any) -> Any:
        return op.FastGelu(x, _domain="com.microsoft")

    rules = pattern.RewriteRuleSet([pattern.RewriteRule(tanh_gelu, fast_gelu)], commute=True)
    rewritten = onnx_ir.to_proto(rewrite(onnx_ir.from_proto(model), pattern_rewrite_rules=rules))
    model.CopyFrom(rewritten)
