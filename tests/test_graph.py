"""Import: the canonical graph computes what the file does, and everything of an encoder is recognised."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import given
from hypothesis import strategies as st
from models import TOKENS, WIDTH, Builder, encoder_layer

from blocksim.graph import Graph, axes, import_onnx
from blocksim.graph.ir import Host, Lut, Matmul, Norm, Softmax
from blocksim.graph.reference import Reference
from blocksim.zoo import ZooModel

HOST_OPS = ["embed.patches", "norm.reducemean"]
"""All that the embedded model leaves to the host: cutting patches, and the mean before the head."""


def test_host_ops_are_the_committed_list(vit_graph: Graph) -> None:
    host = [op for op in vit_graph.operators if isinstance(op, Host)]
    assert [op.name for op in host] == HOST_OPS
    assert vit_graph.host_macs == 0
    assert {t for op in host for t in op.op_types} == {"Slice", "Reshape", "Transpose", "ReduceMean"}


def test_every_operator_of_the_encoder_is_on_the_datapath(vit_graph: Graph) -> None:
    kinds = [type(op) for op in vit_graph.operators]
    assert kinds.count(Softmax) == kinds.count(Lut) == 4
    assert kinds.count(Norm) == 9
    assert kinds.count(Matmul) == 1 + 4 * 8 + 1
    per_layer = 4 * 49 * 128 * 128 + 2 * 49 * 128 * 512 + 2 * 4 * 49 * 49 * 32
    assert vit_graph.datapath_macs == 49 * 16 * 128 + 4 * per_layer + 128 * 10


def test_operators_are_named_after_their_weights(vit_graph: Graph) -> None:
    names = [op.name for op in vit_graph.operators]
    assert names[-3:] == ["norm", "norm.reducemean", "head"]
    assert {"encoder.3.ffn1", "encoder.3.ffn1.gelu", "encoder.0.query.softmax", "encoder.2.out.add"} <= set(
        names
    )
    assert len(set(names)) == len(names)


def test_canonical_computes_what_the_file_does(vit: ZooModel, vit_graph: Graph) -> None:
    images = vit.inputs["image"][:16]
    (want,) = ort.InferenceSession(str(vit.path), providers=["CPUExecutionProvider"]).run(
        None, {"image": images}
    )
    got = Reference(vit_graph).outputs({"image": images})["logits"]
    assert np.abs(got - want).max() < 1e-5


def test_card_states_the_accuracy(vit: ZooModel, vit_graph: Graph) -> None:
    logits = Reference(vit_graph).outputs(vit.inputs)["logits"]
    measured = (logits.argmax(axis=1) == vit.labels).mean()
    assert abs(measured - vit.card["fp32_accuracy"]["packaged_1000"]) <= 0.002


def test_reference_tensors_are_the_operators(vit: ZooModel, vit_graph: Graph) -> None:
    """Each linear layer's reference is its input's reference times its weights: names and layouts agree."""
    names = list(vit_graph.tensors)
    values = Reference(vit_graph, names).matrices({"image": vit.inputs["image"][:1]})
    for op in vit_graph.matmuls():
        if op.weight is None or op.a.tensor not in values:
            continue
        assert op.bias is not None
        want = values[op.a.tensor] @ vit_graph.constants[op.weight].T + vit_graph.constants[op.bias]
        np.testing.assert_allclose(values[op.out.tensor], want, atol=2e-4)
    for op in vit_graph.operators:
        if isinstance(op, Matmul) and op.b is not None:
            for g in range(op.groups):
                a = values[op.a.tensor][g * op.a.row_step :][: op.m, g * op.a.column_step :][:, : op.k]
                b = values[op.b.tensor][g * op.b.row_step :, g * op.b.column_step :]
                b = b[: op.k, : op.n].T if op.b.transposed else b[: op.n, : op.k]
                out = values[op.out.tensor][g * op.out.row_step :, g * op.out.column_step :]
                np.testing.assert_allclose(out[: op.m, : op.n], a @ b.T, atol=2e-4)


def test_odd_layers_import(tiny_graph: Graph) -> None:
    host = [op.name for op in tiny_graph.operators if isinstance(op, Host)]
    assert host == ["tokens.encode"]
    assert any(op.name == "norm.mul" for op in tiny_graph.operators)


def test_unknown_operators_go_to_the_host(tmp_path: Path) -> None:
    b = Builder()
    b.node("Sinh", [encoder_layer(b, "x", "encoder.0")], "y")
    b.save(tmp_path / "m.onnx", "y", ["batch", TOKENS, WIDTH], {"x": ["batch", TOKENS, WIDTH]})
    graph = import_onnx(tmp_path / "m.onnx")
    assert [op.name for op in graph.operators if isinstance(op, Host)] == ["x.encode", "encoder.0.ffn2.sinh"]


@given(
    st.permutations([0, 1, 2, 3]), st.sampled_from([(1, 6, 4, 5), (1, 24, 1, 5), (2, 3, 4, 5), (6, 4, 5, 1)])
)
def test_axes_walk_as_numpy_does(order: list[int], shape: tuple[int, ...]) -> None:
    """Reshape and transpose of a walk are those of the array that it walks over."""
    base = np.arange(24 * 5).reshape(24, 5)
    first = axes.reshape(axes.contiguous((24, 5)), shape)
    assert first is not None
    walked = axes.transpose(first, order)
    values = base.reshape(shape).transpose(order)
    assert (gather(base, walked) == values).all()
    merged = axes.reshape(walked, (values.shape[0] * values.shape[1], *values.shape[2:]))
    if merged is not None:
        assert (gather(base, merged) == values.reshape(-1, *values.shape[2:])).all()


def gather(base: np.ndarray, walk: axes.Axes) -> np.ndarray:
    grid = np.indices([a.size for a in walk])
    rows = sum(g * a.row_step for g, a in zip(grid, walk, strict=True))
    columns = sum(g * a.column_step for g, a in zip(grid, walk, strict=True))
    return base[rows, columns]


def test_axes_refuse_what_would_move_elements() -> None:
    split = axes.reshape(axes.contiguous((6, 8)), (6, 2, 4))
    assert split is not None
    assert axes.reshape(axes.transpose(split, [1, 0, 2]), (6, 8)) is None
    assert axes.reshape(split, (5, 5)) is None


@pytest.mark.parametrize("bind", [{"seq": 7}, {"seq": 9}])
def test_free_dimensions_are_bound(tmp_path: Path, bind: dict[str, int]) -> None:
    b = Builder()
    b.linear("x", "layer", 6, 4)
    b.save(tmp_path / "m.onnx", "layer_out", ["batch", "seq", 4], {"x": ["batch", "seq", 6]})
    graph = import_onnx(tmp_path / "m.onnx", bind)
    assert graph.inputs[0].shape == (1, bind["seq"], 6)
    assert next(graph.matmuls()).m == bind["seq"]
