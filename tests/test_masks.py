"""Masks become predicates, whatever an exporter makes of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from models import HEADS, TOKENS, WIDTH, Builder
from onnx import TensorProto, helper
from oracle import Oracle
from test_engine import assert_equal_to_interpreter

from blocksim import BlocksimError, Experiment
from blocksim.graph.ir import Host, Softmax

LOWEST = np.float32(-3.4028235e38)


class Masked(Builder):
    """One attention, its scores masked in some way."""

    def __init__(self, kind: str) -> None:
        super().__init__(3)
        self.kind = kind

    def attention(self) -> str:
        q = self.heads(self.linear("x", "query", WIDTH, WIDTH), "q", [0, 2, 1, 3])
        k = self.heads(self.linear("x", "key", WIDTH, WIDTH), "k", [0, 2, 3, 1])
        v = self.heads(self.linear("x", "value", WIDTH, WIDTH), "v", [0, 2, 1, 3])
        scores = getattr(self, self.kind)(self.node("MatMul", [q, k], "scores"))
        weights = self.node("Softmax", [scores], "weights", axis=-1)
        if self.kind == "guarded":
            nan = self.node("IsNaN", [weights], "nan")
            zero = self.constant("zero", np.float32(0))
            weights = self.node("Where", [nan, zero, weights], "guard")
        mixed = self.node("Transpose", [self.node("MatMul", [weights, v], "av")], "back", perm=[0, 2, 1, 3])
        shape = self.constant("merge", np.array([-1, TOKENS, WIDTH], np.int64))
        return self.linear(self.node("Reshape", [mixed, shape], "merged"), "out", WIDTH, WIDTH)

    def _mask(self) -> str:
        """The mask, 1 or 0, as (batch, 1, 1, tokens)."""
        axes = self.constant("mask_axes", np.array([1, 2], np.int64))
        return self.node("Unsqueeze", ["mask", axes], "mask4")

    def additive(self, scores: str) -> str:
        m = self.node("Cast", [self._mask()], "mask_float", to=TensorProto.FLOAT)
        one, low = self.constant("one", np.float32(1)), self.constant("low", LOWEST)
        away = self.node("Mul", [self.node("Sub", [one, m], "away"), low], "penalty")
        return self.node("Add", [scores, away], "masked")

    def where(self, scores: str) -> str:
        keep = self.node("Cast", [self._mask()], "keep", to=TensorProto.BOOL)
        return self.node("Where", [keep, scores, self.constant("low", LOWEST)], "masked")

    def where_not(self, scores: str) -> str:
        zero = self.constant("nought", np.int64(0))
        gone = self.node("Equal", [self._mask(), zero], "gone")
        low = self.constant("low", np.float32(-np.inf))
        return self.node("Where", [gone, low, scores], "masked")

    def guarded(self, scores: str) -> str:
        return self.where_not(scores)

    def causal(self, scores: str) -> str:
        """Padding and a constant triangle."""
        triangle = np.where(np.tri(TOKENS, dtype=bool), 0, LOWEST).astype(np.float32)
        return self.node("Add", [self.additive(scores), self.constant("triangle", triangle)], "both")

    def only_causal(self, scores: str) -> str:
        triangle = np.where(np.tri(TOKENS, dtype=bool), 0, LOWEST).astype(np.float32)
        return self.node("Add", [scores, self.constant("triangle", triangle)], "both")

    def biased(self, scores: str) -> str:
        """Not a mask: something is added to the scores that stay."""
        m = self.node("Cast", [self._mask()], "mask_float", to=TensorProto.FLOAT)
        return self.node("Add", [scores, m], "shifted")


def build(path: Path, kind: str) -> Path:
    b = Masked(kind)
    b.attention()
    b.nodes[-1].output[0] = "y"
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", TOKENS, WIDTH])]
    if kind != "only_causal":
        inputs.append(helper.make_tensor_value_info("mask", TensorProto.INT64, ["batch", TOKENS]))
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", TOKENS, WIDTH])
    graph = helper.make_graph(b.nodes, "masked", inputs, [output], b.initialisers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, str(path))
    return path


def inputs_of(kind: str) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(8)
    x = rng.normal(size=(3, TOKENS, WIDTH)).astype(np.float32)
    mask = np.array([[1] * TOKENS, [1] * 6 + [0] * 4, [1, 0, 1, 1, 0, 0, 1, 0, 1, 0]], np.int64)
    return {"x": x} if kind == "only_causal" else {"x": x, "mask": mask}


KINDS = ("additive", "where", "where_not", "guarded", "causal", "only_causal")


@pytest.mark.parametrize("kind", KINDS)
def test_masks_are_predicates(tmp_path: Path, kind: str) -> None:
    experiment = Experiment(build(tmp_path / "m.onnx", kind), inputs_of(kind), threads=1)
    (softmax,) = (op for op in experiment.graph.operators if isinstance(op, Softmax))
    assert [op.name for op in experiment.graph.operators if isinstance(op, Host)] == ["x.encode"]
    assert softmax.padded == (kind != "only_causal")
    assert experiment.graph.padding == ("" if kind == "only_causal" else "mask")
    if "causal" in kind:
        assert softmax.mask is not None
        kept = experiment.graph.constants[softmax.mask].reshape(HEADS, TOKENS, TOKENS)
        assert (kept == np.tri(TOKENS)).all()
    else:
        assert softmax.mask is None
    report = experiment.run("bct-int8", "8x8")
    assert report.trace is not None
    oracle = Oracle(experiment.graph, report.trace)
    for sample in range(3):
        one = {name: array[sample : sample + 1] for name, array in experiment.inputs.items()}
        assert_equal_to_interpreter(report.trace, one)
        exact, ours = oracle.run(one)["y"], report.outputs["y"][sample].ravel()
        reference = experiment.reference["y"][sample].ravel()
        noise = [np.linalg.norm(x - reference) / np.linalg.norm(reference) for x in (ours, exact)]
        assert noise[0] < 1.3 * noise[1] + 0.01  # what the plan loses, and hardly more


def test_what_is_no_mask_is_refused(tmp_path: Path) -> None:
    path = build(tmp_path / "m.onnx", "biased")
    with pytest.raises(BlocksimError, match="must be a mask of keys"):
        Experiment(path, inputs_of("biased"))


def test_a_sample_without_any_token(tmp_path: Path) -> None:
    """All keys masked: zeros, not NaN."""
    inputs = inputs_of("guarded")
    inputs["mask"][1] = 0
    report = Experiment(build(tmp_path / "m.onnx", "guarded"), inputs, threads=1).run("bct-int8", "8x8")
    assert np.isfinite(report.outputs["y"]).all()
    assert np.ptp(report.outputs["y"][1], axis=0).max() == 0  # every row is the last layer's bias
