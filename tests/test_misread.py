"""Models that invite a wrong reading: each is computed as its file says, or refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from models import Builder
from onnx import TensorProto, helper
from test_engine import assert_equal_to_interpreter
from variants import machine

import blocksim as bs
from blocksim import BlocksimError, Experiment

TOKENS, WIDTH, HEADS = 8, 16, 2
FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
RNG = np.random.default_rng(1)
X = RNG.normal(size=(3, TOKENS, WIDTH)).astype(np.float32)
MASK = np.array([[1] * TOKENS, [1] * 5 + [0] * 3, [1] * 2 + [0] * 6], np.int64)
IDS = RNG.integers(0, 40, (3, TOKENS))
IMAGE = RNG.normal(size=(3, 3, 8, 8)).astype(np.float32)

Shapes = dict[str, tuple[int, list[object]]]


class Odd(Builder):
    """A builder with attention on top of it."""

    def number(self, name: str, value: object) -> str:
        return self.constant(name, np.asarray(value))

    def split(self, x: str, name: str, perm: list[int]) -> str:
        shape = self.number(f"{name}_shape", np.array([-1, TOKENS, HEADS, WIDTH // HEADS], np.int64))
        return self.node("Transpose", [self.node("Reshape", [x, shape], f"{name}_r")], name, perm=perm)

    def penalty(self, mask: str, axes: list[int]) -> str:
        m = self.node("Cast", [mask], "mask_float", to=FLOAT)
        if axes:
            m = self.node("Unsqueeze", [m, self.number("mask_axes", np.array(axes, np.int64))], "mask_wide")
        away = self.node("Sub", [self.number("one", np.float32(1)), m], "away")
        return self.node("Mul", [away, self.number("low", np.float32(-1e9))], "penalty")

    def attention(self, x: str, name: str, penalty: str | None = None) -> str:
        q = self.split(self.linear(x, f"{name}.query", WIDTH, WIDTH), f"{name}_q", [0, 2, 1, 3])
        k = self.split(self.linear(x, f"{name}.key", WIDTH, WIDTH), f"{name}_k", [0, 2, 3, 1])
        v = self.split(self.linear(x, f"{name}.value", WIDTH, WIDTH), f"{name}_v", [0, 2, 1, 3])
        scores = self.node("MatMul", [q, k], f"{name}_scores")
        root = self.number(f"{name}_root", np.float32(np.sqrt(WIDTH // HEADS)))
        scores = self.node("Div", [scores, root], f"{name}_scaled")
        if penalty is not None:
            scores = self.node("Add", [scores, penalty], f"{name}_masked")
        weights = self.node("Softmax", [scores], f"{name}_weights", axis=-1)
        mixed = self.node("MatMul", [weights, v], f"{name}_av")
        merged = self.node("Transpose", [mixed], f"{name}_t", perm=[0, 2, 1, 3])
        shape = self.number(f"{name}_merge", np.array([-1, TOKENS, WIDTH], np.int64))
        out = self.linear(self.node("Reshape", [merged, shape], f"{name}_m"), f"{name}.out", WIDTH, WIDTH)
        return self.node("Add", [x, out], f"{name}_end")

    def words(self) -> str:
        return self.node("Gather", [self.weight("words.weight", 40, WIDTH, scale=1.0), "ids"], "embedded")

    def patches(self) -> str:
        w, bias = self.weight("patch.weight", WIDTH, 3, 4, 4), self.weight("patch.bias", WIDTH)
        cut = self.node("Conv", ["image", w, bias], "conv", strides=[4, 4], kernel_shape=[4, 4])
        flat = self.node("Reshape", [cut, self.number("flat", np.array([-1, WIDTH, 4], np.int64))], "cut")
        return self.node("Transpose", [flat], "patches", perm=[0, 2, 1])

    def class_token(self, patches: str) -> str:
        whole = self.node("Concat", [self.weight("class_token", 1, 1, WIDTH), patches], "whole", axis=1)
        return self.node("Add", [whole, self.weight("positions", 1, 5, WIDTH)], "placed")

    def finish(self, path: Path, outputs: dict[str, list[object]], inputs: Shapes) -> Path:
        graph = helper.make_graph(
            self.nodes,
            "odd",
            [helper.make_tensor_value_info(n, kind, shape) for n, (kind, shape) in inputs.items()],
            [helper.make_tensor_value_info(n, FLOAT, shape) for n, shape in outputs.items()],
            self.initialisers,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        onnx.checker.check_model(model)
        onnx.save(model, str(path))
        return path


ROW: list[object] = ["batch", TOKENS, WIDTH]
IN_X: Shapes = {"x": (FLOAT, ROW)}
IN_MASK: Shapes = {"mask": (INT64, ["batch", TOKENS])}
IN_IDS: Shapes = {"ids": (INT64, ["batch", TOKENS])}
IN_IMAGE: Shapes = {"image": (FLOAT, [1, 3, 8, 8])}


def unmasked_mean(b: Odd, path: Path) -> Path:
    """Attention is masked, the mean over tokens is not."""
    y = b.attention(b.words(), "layer", b.penalty("mask", [1, 2]))
    b.node("ReduceMean", [y, b.number("axes", np.array([1], np.int64))], "y", keepdims=0)
    return b.finish(path, {"y": ["batch", WIDTH]}, {**IN_IDS, **IN_MASK})


def flattened(b: Odd, path: Path) -> Path:
    """A classifier over all tokens, those that attention masks among them."""
    y = b.attention(b.words(), "layer", b.penalty("mask", [1, 2]))
    flat = b.node("Reshape", [y, b.number("flat", np.array([-1, TOKENS * WIDTH], np.int64))], "flattened")
    b.linear(flat, "head", TOKENS * WIDTH, 4)
    b.nodes[-1].output[0] = "y"
    return b.finish(path, {"y": ["batch", 4]}, {**IN_IDS, **IN_MASK})


def second_layer_unmasked(b: Odd, path: Path) -> Path:
    y = b.attention(b.attention(b.words(), "a", b.penalty("mask", [1, 2])), "b")
    b.nodes[-1].output[0] = "y"
    return b.finish(path, {"y": ROW}, {**IN_IDS, **IN_MASK}) if y else path


def patches_read_twice(b: Odd, path: Path) -> Path:
    patches = b.patches()
    b.linear(b.class_token(patches), "main", WIDTH, WIDTH)
    b.nodes[-1].output[0] = "y"
    b.linear(patches, "side", WIDTH, WIDTH)
    b.nodes[-1].output[0] = "z"
    return b.finish(path, {"y": [1, 5, WIDTH], "z": [1, 4, WIDTH]}, IN_IMAGE)


def patches_as_output(b: Odd, path: Path) -> Path:
    b.linear(b.class_token(b.patches()), "main", WIDTH, WIDTH)
    b.nodes[-1].output[0] = "y"
    return b.finish(path, {"y": [1, 5, WIDTH], "patches": [1, 4, WIDTH]}, IN_IMAGE)


COMPUTED: dict[str, tuple[Callable[[Odd, Path], Path], dict[str, np.ndarray]]] = {
    "unmasked mean": (unmasked_mean, {"ids": IDS, "mask": MASK}),
    "flattened tokens": (flattened, {"ids": IDS, "mask": MASK}),
    "second layer unmasked": (second_layer_unmasked, {"ids": IDS, "mask": MASK}),
    "patches read twice": (patches_read_twice, {"image": IMAGE}),
    "patches as output": (patches_as_output, {"image": IMAGE}),
}


@pytest.mark.parametrize("name", COMPUTED)
def test_computed_as_the_file_says(tmp_path: Path, name: str) -> None:
    build, inputs = COMPUTED[name]
    path = build(Odd(), tmp_path / "m.onnx")
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    outputs = [o.name for o in session.get_outputs()]
    experiment = Experiment(path, inputs, threads=1)
    ours = bs.execute(bs.link(experiment.compile("bct-int8", "4x4")), inputs).outputs
    for i in range(3):
        one = {n: array[i : i + 1] for n, array in inputs.items()}
        for output, want in zip(outputs, session.run(outputs, one), strict=True):
            got = ours[output][i]
            assert np.abs(experiment.reference[output][i] - want).max() < 1e-4
            assert got.ravel() @ want.ravel() > 0.995 * np.linalg.norm(got) * np.linalg.norm(want), output


def masked_by(b: Odd, path: Path, mask: str, axes: list[int], inputs: Shapes) -> Path:
    source = b.words() if "ids" in inputs else "x"
    b.attention(source, "layer", b.penalty(mask, axes))
    b.nodes[-1].output[0] = "y"
    return b.finish(path, {"y": ROW}, inputs)


@pytest.mark.parametrize("kind", ["four axes", "two inputs", "numbers above 5", "numbers not 0"])
def test_masks_that_are_not_a_row_of_tokens_are_refused(tmp_path: Path, kind: str) -> None:
    b, path = Odd(), tmp_path / "m.onnx"
    if kind == "four axes":
        wide = np.ones((3, 1, 1, TOKENS), np.int64)
        masked_by(b, path, "mask", [], {**IN_X, "mask": (INT64, ["batch", 1, 1, TOKENS])})
        inputs = {"x": X, "mask": wide}
    elif kind == "two inputs":
        both = b.node("Mul", ["mask", "segment"], "both")
        masked_by(b, path, both, [1, 2], {**IN_X, **IN_MASK, "segment": (INT64, ["batch", TOKENS])})
        inputs = {"x": X, "mask": MASK, "segment": MASK}
    else:
        limit = b.number("limit", np.array(5 if "5" in kind else 0, np.int64))
        kept = b.node("Greater", ["ids", limit], "kept")
        masked_by(b, path, b.node("Cast", [kept], "numbers", to=INT64), [1, 2], IN_IDS)
        inputs = {"ids": IDS}
    with pytest.raises(BlocksimError, match="must be a mask of keys"):
        Experiment(path, inputs)


def test_a_factor_before_a_mask_that_no_weight_can_take(tmp_path: Path) -> None:
    """Q is read twice: the scores are multiplied; neither calibration nor report sees the mask in them."""
    b = Odd()
    b.attention("x", "layer", b.penalty("mask", [1, 2]))
    b.nodes[-1].output[0] = "y"
    b.node("Identity", ["layer.query_out"], "q")
    path = b.finish(tmp_path / "m.onnx", {"y": ROW, "q": ROW}, {**IN_X, **IN_MASK})
    inputs = {"x": X, "mask": MASK}
    experiment = Experiment(path, inputs, threads=1, calibration=inputs)
    assert max(experiment.calibration.values()) < 1e4 if experiment.calibration else False
    for on in (machine(), machine(requantizer={"exponents": "static"})):
        report = experiment.run("bct-int8", "4x4", on)
        assert report.data.outputs["y"].cosine > 0.999
        assert all(layer.sqnr_db is None or layer.sqnr_db > 10 for layer in report.data.layers)


def test_weights_that_are_still_in_use_are_not_overwritten(tmp_path: Path) -> None:
    b = Builder()
    b.linear(b.linear("x", "big", 32, 1200), "small", 1200, 8)
    b.nodes[-1].output[0] = "y"
    b.save(tmp_path / "m.onnx", "y", ["batch", 40, 8], {"x": ["batch", 40, 32]})
    x = np.random.default_rng(0).normal(size=(1, 40, 32)).astype(np.float32)
    experiment = Experiment(tmp_path / "m.onnx", {"x": x}, threads=1, calibration={"x": x})
    for kib in (16, 32, 512):
        on = machine(
            array={"rows": 16, "columns": 16},
            accumulator={"rows": 16},
            sram={"weights": {"kib": kib, "banks": 1}},
        )
        assert_equal_to_interpreter(experiment.compile("layerwise-lin8", None, on), {"x": x})


@pytest.mark.parametrize("scale", [0.0, 1e-38])
def test_tensors_that_vanish_in_calibration(tmp_path: Path, scale: float) -> None:
    b = Builder()
    w = b.constant("layer.weight", (scale * RNG.normal(size=(12, 12))).astype(np.float32))
    b.linear(b.node("MatMul", ["x", w], "h"), "next", 12, 4)
    b.nodes[-1].output[0] = "y"
    b.save(tmp_path / "m.onnx", "y", ["batch", 5, 4], {"x": ["batch", 5, 12]})
    x = RNG.normal(size=(1, 5, 12)).astype(np.float32)
    experiment = Experiment(tmp_path / "m.onnx", {"x": x}, threads=1, calibration={"x": x})
    assert_equal_to_interpreter(experiment.compile("layerwise-lin8"), {"x": x})
    on = machine(requantizer={"exponents": "static"})
    assert_equal_to_interpreter(experiment.compile("bct-int8", "4x4", on), {"x": x})
