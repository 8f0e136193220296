"""Probing: what a chain of nodes means is found by running it on a few masks.

Exporters build attention masks in ways of their own: additive, Where, boolean, with guards. What they mean
is the same, and shows in what they do to zeros and ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from blocksim.graph.demand import submodel
from blocksim.graph.ir import Gather
from blocksim.graph.state import State, View

LOWEST = -1e4
"""What is added to a masked score is at most this; what is added to another is zero."""

SEED, PROBES = 7, 4


class Probe:
    """Runs the deferred nodes of a value on chosen masks.

    Parameters
    ----------
    state : State
    found : View
        The value: a walk over a tensor, and deferred nodes.
    value : str
        Its ONNX name.
    """

    def __init__(self, state: State, found: View, value: str) -> None:
        import onnxruntime as ort

        nodes: dict[int, onnx.NodeProto] = {}
        for node in found.deferred:
            for source in node.input:
                nodes |= {id(n): n for n in state.chain(source)}
            nodes[id(node)] = node
        self.found, self.base = found, found.base
        sources = {s for node in nodes.values() for s in node.input}
        self.roots = [name for name in state.inputs if name in sources]
        self.specs = {name: state.inputs[name] for name in self.roots}
        inputs = [(name, kind, shape) for name, (shape, kind) in self.specs.items()]
        inputs.append((self.base, TensorProto.FLOAT, found.shape))
        model = submodel(state, list(nodes.values()), inputs, value, found.shape)
        options = ort.SessionOptions()
        options.log_severity_level = 4
        self.session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def run(self, base: NDArray[np.float32], name: str, values: NDArray[Any]) -> NDArray[np.float32]:
        """The value for a base and one integer input's values; all other inputs are ones."""
        feeds: dict[str, NDArray[Any]] = {self.base: base}
        for each, (shape, kind) in self.specs.items():
            given = values if each == name else np.ones(shape)
            feeds[each] = given.astype(helper.tensor_dtype_to_np_dtype(kind))
        return np.asarray(self.session.run(None, feeds)[0])

    def depends(self, name: str, base: NDArray[np.float32]) -> bool:
        """Whether an input has any say in the value."""
        shape, _ = self.specs[name]
        rng = np.random.default_rng(SEED)
        given = (np.ones(shape), np.zeros(shape), rng.integers(0, 2, shape), rng.integers(0, 1000, shape))
        first, *others = (self.run(base, name, values) for values in given)
        return any(not np.array_equal(first, other, equal_nan=True) for other in others)

    def only(self, base: NDArray[np.float32]) -> str | None:
        """The one input that has a say, a row of tokens; empty where none has, None where another has."""
        having = [name for name in self.roots if self.depends(name, base)]
        if not having:
            return ""
        return having[0] if len(having) == 1 and len(self.specs[having[0]][0]) == 2 else None

    def masks(self, padding: str, holes: bool = True) -> Iterator[NDArray[np.bool_]]:
        """All tokens, then some of them, the first one always; without holes, the first few."""
        shape = self.specs[padding][0] if padding else (1, 1)
        yield np.ones(shape, np.bool_)
        rng = np.random.default_rng(SEED)
        for _ in range(PROBES if padding else 0):
            first = np.arange(shape[1])[None] < rng.integers(1, shape[1] + 1)
            mask = rng.random(shape) < 0.5 if holes else first
            mask[:, 0] = True
            yield mask


@dataclass(frozen=True)
class Mask:
    """What masks scores, (..., queries, keys).

    Attributes
    ----------
    padding : str
        The input that says which keys are there; empty where none does.
    constant : bool array, shape (queries, keys), or None
        Keys that every sample takes, where it does not take all, as under a causal mask.
    holes : bool
        Whether the input may leave out keys before others; else it is counted, as lengths are.
    """

    padding: str
    constant: NDArray[np.bool_] | None
    holes: bool


def mask_of(state: State, found: View, value: str) -> Mask | None:
    """The mask that deferred nodes put on scores; None where they are none."""
    probe = Probe(state, found, value)
    padding = probe.only(np.zeros(found.shape, np.float32))
    if padding is None or any(isinstance(op, Gather) and op.ids == padding for op in state.operators):
        return None  # what numbers mean that look rows up, zeros and ones do not show
    return _mask_of(probe, found, padding, True) or _mask_of(probe, found, padding, False)


def _mask_of(probe: Probe, found: View, padding: str, holes: bool) -> Mask | None:
    zeros = np.zeros(found.shape, np.float32)
    allowed: NDArray[np.bool_] | None = None
    for mask in probe.masks(padding, holes):
        result = probe.run(zeros, padding, mask)
        kept = result > LOWEST
        if np.abs(result[kept]).max(initial=0) > 1e-3:
            return None
        kept = kept.reshape(-1, *kept.shape[-2:])
        allowed = kept[0] if allowed is None else allowed
        keys = mask[0] if padding else np.ones(kept.shape[-1], np.bool_)
        if len(keys) != kept.shape[-1]:
            return None
        queries = keys if kept.shape[-2] == len(keys) else np.ones(kept.shape[-2], np.bool_)
        if (kept != (allowed & keys))[:, queries].any():
            return None
    assert allowed is not None
    return Mask(padding, None if allowed.all() else allowed, holes) if allowed.any() else None


def is_transparent(state: State, found: View, value: str) -> str | None:
    """The padding input under which deferred nodes leave the rows of present tokens as they are.

    The datapath stores zeros in the rows of absent tokens, so such nodes have nothing left to do. None
    where they do something else.
    """
    tokens = state.tensors[found.tensor].tokens
    if not tokens:
        return None
    probe = Probe(state, found, value)
    base = np.random.default_rng(SEED).normal(size=found.shape).astype(np.float32)
    padding = probe.only(base)
    if not padding or probe.specs[padding][0][1] != tokens or found.shape[-2] % tokens:
        return None
    for mask in probe.masks(padding):
        rows = np.tile(mask[0], found.shape[-2] // tokens)
        by_keys = found.shape[-1] == tokens and len(found.shape) == 4
        keys = mask[0] if by_keys else np.ones(found.shape[-1], np.bool_)
        result = probe.run(base, padding, mask)
        if not np.array_equal(result[..., rows, :][..., keys], base[..., rows, :][..., keys]):
            return None
    return padding


def is_positive_scaling(state: State, found: View, value: str) -> bool:
    """Whether deferred nodes multiply all of a sample by one positive number."""
    probe = Probe(state, found, value)
    base = np.random.default_rng(SEED).normal(size=found.shape).astype(np.float32)
    padding = probe.only(base)
    if padding is None:
        return False
    for mask in probe.masks(padding):
        ratio = probe.run(base, padding, mask) / base
        same = ratio.shape == base.shape and np.allclose(ratio, ratio.mean(), rtol=1e-4)
        if not same or ratio.min() <= 0:
            return False
    return True
