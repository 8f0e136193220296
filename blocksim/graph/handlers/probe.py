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

    def run(self, base: NDArray[np.float32], padding: str, mask: NDArray[Any]) -> NDArray[np.float32]:
        """The value for a base and a mask; other integer inputs are ones."""
        feeds: dict[str, NDArray[Any]] = {self.base: base}
        for name, (shape, kind) in self.specs.items():
            dtype = helper.tensor_dtype_to_np_dtype(kind)
            feeds[name] = mask.astype(dtype) if name == padding else np.ones(shape, dtype)
        return np.asarray(self.session.run(None, feeds)[0])

    def candidates(self) -> list[str]:
        """Inputs that may say which tokens are there; an empty name where there is none at all."""
        return [name for name in self.roots if len(self.specs[name][0]) == 2] or [""]

    def masks(self, padding: str, holes: bool = True) -> Iterator[NDArray[np.bool_]]:
        """All tokens, then some of them, the first one always; without holes, the first few."""
        shape = self.specs[padding][0] if padding else (1, 1)
        yield np.ones(shape, np.bool_)
        rng = np.random.default_rng(SEED)
        for _ in range(PROBES if padding else 0):
            mask = (
                rng.random(shape) < 0.5
                if holes
                else np.arange(shape[1])[None] < rng.integers(1, shape[1] + 1)
            )
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
    return _mask_of(probe, found, True) or _mask_of(probe, found, False)


def _mask_of(probe: Probe, found: View, holes: bool) -> Mask | None:
    zeros = np.zeros(found.shape, np.float32)
    for padding in probe.candidates():
        allowed: NDArray[np.bool_] | None = None
        for mask in probe.masks(padding, holes):
            result = probe.run(zeros, padding, mask)
            kept = result > LOWEST
            if np.abs(result[kept]).max(initial=0) > 1e-3:
                break
            kept = kept.reshape(-1, *kept.shape[-2:])
            if allowed is None:
                allowed = kept[0]
            keys = mask[0] if padding else np.ones(kept.shape[-1], np.bool_)
            if len(keys) != kept.shape[-1]:
                break
            queries = keys if kept.shape[-2] == len(keys) else np.ones(kept.shape[-2], np.bool_)
            if (kept != (allowed & keys))[:, queries].any():
                break
        else:
            assert allowed is not None
            return Mask(padding, None if allowed.all() else allowed, holes)
    return None


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
    for padding in filter(None, probe.candidates()):
        same = True
        for mask in probe.masks(padding):
            present = np.broadcast_to(mask.reshape(mask.shape[1:]), (found.shape[-2] // tokens, tokens))
            if mask.shape[1] != tokens or found.shape[-2] % tokens:
                return None
            rows = present.reshape(-1)
            keys = np.ones(found.shape[-1], np.bool_)
            if found.shape[-1] == tokens and len(found.shape) == 4:
                keys = mask[0]
            result = probe.run(base, padding, mask)
            same = same and bool(
                np.array_equal(result[..., rows, :][..., keys], base[..., rows, :][..., keys])
            )
        if same:
            return padding
    return None


def is_positive_scaling(state: State, found: View, value: str) -> bool:
    """Whether deferred nodes multiply all of a sample by one positive number."""
    probe = Probe(state, found, value)
    base = np.random.default_rng(SEED).normal(size=found.shape).astype(np.float32)
    for padding in probe.candidates():
        for mask in probe.masks(padding):
            ratio = probe.run(base, padding, mask) / base
            if (
                ratio.shape != base.shape
                or ratio.min() <= 0
                or not np.allclose(ratio, ratio.mean(), rtol=1e-4)
            ):
                return False
    return True
