"""Awkward graphs and machines, each of which once gave a wrong bit, count or message."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from models import Builder, one_product
from test_engine import BCT64, assert_equal_to_interpreter, machine

import blocksim as bs
from blocksim.compiler import compile_graph
from blocksim.compiler.precision import Precision, load
from blocksim.engine.boundary import check_inputs
from blocksim.graph import Graph, import_onnx
from blocksim.graph.reference import Reference
from blocksim.trace.isa import Flag
from hwmodels.formats import parse
from hwmodels.machines import Machine
from hwmodels.units import array_cycles, softmax


def graph_of(b: Builder, tmp_path: Path, output: str, shape: list[object], **inputs: list[object]) -> Graph:
    b.save(tmp_path / "m.onnx", output, shape, inputs)
    return import_onnx(tmp_path / "m.onnx")


def samples(*shape: int, scale: float = 1.0) -> np.ndarray:
    return (np.random.default_rng(1).normal(size=shape) * scale).astype(np.float32)


def run(graph: Graph, inputs: dict[str, np.ndarray], block: str = "16x16", on: Machine = BCT64) -> bs.Report:
    """Equal to the interpreter, and near to fp32."""
    trace = compile_graph(graph, on, load("bct-int8", block))
    assert_equal_to_interpreter(trace, {n: a[:1] for n, a in inputs.items()})
    out = bs.execute(bs.link(trace), inputs).outputs
    for name, want in Reference(graph).outputs(inputs).items():
        assert np.abs(out[name] - want).max() < 0.03 * np.abs(want).max()
    return out  # type: ignore[return-value]


def test_constants_of_one_instruction_never_share_bytes(tmp_path: Path) -> None:
    """A weight tile and its bias that fill the weight SRAM together, or do not fit it."""
    b = Builder()
    b.linear("x", "layer", 15, 64)
    graph = graph_of(b, tmp_path, "layer_out", ["batch", 4, 64], x=["batch", 4, 15])
    with pytest.raises(bs.BlocksimError, match=r"weights.kib: 1: too small for layer"):
        run(graph, {"x": samples(2, 4, 15)}, on=machine(sram={"weights": {"kib": 1, "banks": 1}}))
    run(graph, {"x": samples(2, 4, 15)}, on=machine(sram={"weights": {"kib": 2, "banks": 1}}))


@pytest.mark.parametrize("changes", [{"max_shift": 16}, {"max_shift": 9, "guard_bits": 8}])
def test_a_large_bias_is_never_flushed(tmp_path: Path, changes: dict[str, object]) -> None:
    b = Builder()
    w = b.constant("layer.weight", np.full((8, 4), 1e-6, np.float32))
    y = b.node("MatMul", ["x", w], "y0")
    b.node("Add", [y, b.constant("layer.bias", np.full(4, 200, np.float32))], "y")
    graph = graph_of(b, tmp_path, "y", ["batch", 2, 4], x=["batch", 2, 8])
    run(graph, {"x": samples(1, 2, 8)}, on=machine(aligner=changes))
    run(graph, {"x": samples(1, 2, 8)}, on=machine(accumulator={"bits": 48}))


def test_an_aligner_must_reach_over_its_guard_bits() -> None:
    for guard in (8, -8):
        with pytest.raises(ValueError, match="max_shift 4 must reach"):
            machine(aligner={"max_shift": 4, "guard_bits": guard})


def test_softmax_of_fine_rows_keeps_their_differences() -> None:
    """16-bit codes far below one: the exponent needs a long right shift, which is no flush."""
    got, _ = softmax.result(BCT64.softmax_config, [32767, 0, 16000], [-23] * 3, [True] * 3)
    x = np.array([32767, 0, 16000]) * 2.0**-23
    want = np.exp(x) / np.exp(x).sum()
    assert np.abs(np.array(got) / 65536 - want).max() < 1e-4


def test_the_host_reads_a_value_as_it_lies_in_the_model(tmp_path: Path) -> None:
    b = Builder()
    x = b.linear("x", "layer", 6, 6)
    x = b.node("Abs", [b.node("Transpose", [x], "turned", perm=[0, 2, 1])], "abs")
    b.linear(x, "next", 6, 5)
    run(graph_of(b, tmp_path, "next_out", ["batch", 6, 5], x=["batch", 6, 6]), {"x": samples(2, 6, 6)}, "1x3")


def test_the_host_may_read_a_value_twice(tmp_path: Path) -> None:
    b = Builder()
    x = b.linear("x", "layer", 6, 6)
    b.node("Max", [x, x], "y")
    run(graph_of(b, tmp_path, "y", ["batch", 6, 6], x=["batch", 6, 6]), {"x": samples(2, 6, 6)})


def test_a_host_result_that_is_not_finite_is_refused(tmp_path: Path) -> None:
    b = Builder()
    b.node("Log", [b.linear("x", "layer", 6, 6)], "y")
    trace = compile_graph(
        graph_of(b, tmp_path, "y", ["batch", 6, 6], x=["batch", 6, 6]), BCT64, load("bct-int8")
    )
    with pytest.raises(bs.BlocksimError, match=r"host: layer.log: NaN or Inf"):
        bs.execute(bs.link(trace), {"x": samples(1, 6, 6)})


def test_inputs_must_be_finite_in_the_type_of_the_model(tiny_graph: Graph) -> None:
    huge = np.full((1, 10, 12), 1e39)
    with pytest.raises(bs.BlocksimError, match="Inf: values must be finite in float32"):
        check_inputs(tiny_graph.inputs, {"tokens": huge}, "inputs")


def test_rows_that_a_unit_has_no_room_for_are_refused(tmp_path: Path) -> None:
    b = Builder()
    b.norm("x", "wide", 1 << 14)
    wide = graph_of(b, tmp_path, "wide_out", ["batch", 1, 1 << 14], x=["batch", 1, 1 << 14])
    with pytest.raises(bs.BlocksimError, match="wide: 16,384 elements in a row: give fewer than 16,384"):
        compile_graph(wide, BCT64, load("bct-int8"))
    one_product(tmp_path / "deep.onnx", 1, 1 << 17, 1, np.ones((1, 1 << 17)))
    deep = bs.import_onnx(tmp_path / "deep.onnx")
    with pytest.raises(bs.BlocksimError, match="131,072 products in a sum: give fewer than 131,072"):
        compile_graph(deep, BCT64, load("bct-int8"))


@pytest.mark.parametrize("tokens", [70, 130])
def test_long_attention_counts_no_loss_of_padding(tmp_path: Path, tokens: int) -> None:
    """More keys than a panel has columns, and not a multiple of them."""
    b = Builder()
    q, k = b.linear("x", "query", 8, 8), b.linear("x", "key", 8, 8)
    t = b.node("Transpose", [k], "turned", perm=[0, 2, 1])
    b.node("MatMul", [q, t], "scores")
    graph = graph_of(b, tmp_path, "scores", ["batch", tokens, tokens], x=["batch", tokens, 8])
    on = machine(accumulator={"bits": 20}, aligner={"guard_bits": 2, "max_shift": 12})
    trace = compile_graph(graph, on, load("bct-int8", "16x16"))
    scale = np.geomspace(1e-3, 300, tokens)[None, :, None]
    assert_equal_to_interpreter(trace, {"x": (samples(1, tokens, 8) * scale).astype(np.float32)})


def test_head_dimensions_that_do_not_divide_the_array_are_tiled_by_heads(tmp_path: Path) -> None:
    b = Builder()
    heads = []
    for name, order in (("query", [0, 2, 1, 3]), ("key", [0, 2, 3, 1])):
        x = b.linear("x", name, 12, 96)
        shape = b.constant(f"{name}_shape", np.array([-1, 5, 2, 48], np.int64))
        split = b.node("Reshape", [x, shape], f"{name}_s")
        heads.append(b.node("Transpose", [split], f"{name}_h", perm=order))
    b.node("MatMul", heads, "y")
    graph = graph_of(b, tmp_path, "y", ["batch", 2, 5, 5], x=["batch", 5, 12])
    trace = compile_graph(graph, BCT64, load("bct-int8", "64x64"))
    assert not (trace.program["flags"] & Flag.SPILL).any()
    assert trace.manifest.constants["query.weight"].tile_starts == (0, 48)
    run(graph, {"x": samples(2, 5, 12)}, "64x64")


def test_a_scale_is_folded_only_where_nobody_else_reads(tmp_path: Path) -> None:
    b = Builder()
    q, k = b.linear("x", "query", 6, 6), b.linear("x", "key", 6, 6)
    t = b.node("Transpose", [k], "turned", perm=[0, 2, 1])
    ten = b.constant("ten", np.float32(10))
    scores = b.node("Div", [b.node("MatMul", [q, t], "qk"), ten], "scores")
    again = b.node("Reshape", [q, b.constant("s", np.array([-1, 6, 6], np.int64))], "again")
    b.node("MatMul", [b.node("Softmax", [scores], "weights", axis=-1), again], "y")
    run(graph_of(b, tmp_path, "y", ["batch", 6, 6], x=["batch", 6, 6]), {"x": samples(2, 6, 6)}, "6x6")


def test_a_constant_may_be_used_at_two_widths(tmp_path: Path) -> None:
    b = Builder()
    two = b.constant("two", np.array([2.0], np.float32))
    x = b.node("Mul", [b.linear("x", "wide", 6, 20), two], "doubled")
    b.node("Mul", [b.linear(x, "narrow", 20, 8), two], "y")
    run(graph_of(b, tmp_path, "y", ["batch", 3, 8], x=["batch", 3, 6]), {"x": samples(2, 3, 6)})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("encoder.0.norm1", "int16@8x8"),
        ("encoder.0.ffn1.weight", "int16@8x8"),
        ("encoder.0.ffn1.bias", "fp32"),
    ],
)
def test_exceptions_keep_to_the_widths_of_their_role(tiny_graph: Graph, name: str, text: str) -> None:
    plan = load("bct-int8", "8x8")
    plan = Precision("mine", plan.roles, {name: parse(text)}, "mine.yaml")
    with pytest.raises(bs.BlocksimError, match=rf"mine.yaml: tensors.{name}: {text}: the datapath takes"):
        compile_graph(tiny_graph, BCT64, plan)


def test_losses_outside_the_array_are_counted_too(tmp_path: Path) -> None:
    b = Builder()
    b.gelu(b.linear("x", "layer", 6, 6), "act")
    graph = graph_of(b, tmp_path, "act_out", ["batch", 2, 6], x=["batch", 2, 6])
    trace = compile_graph(graph, BCT64, load("bct-int8", "1x6"))
    assert assert_equal_to_interpreter(trace, {"x": samples(1, 2, 6, scale=3000.0)})["saturated"] > 0
    assert assert_equal_to_interpreter(trace, {"x": np.full((1, 2, 6), 1e-42, np.float32)})["clamped"] > 0


def test_a_lut_segment_is_at_least_two_steps_wide() -> None:
    with pytest.raises(ValueError, match="two steps"):
        machine(lut={"segments": 65536})


def test_a_block_beyond_float32_is_held_in_range() -> None:
    top = np.array([[np.finfo(np.float32).max]])
    assert np.isfinite(parse("int8@tensor").encode(top).decode()).all()


def test_one_product_equals_matmul_integer_through_the_whole_way(tmp_path: Path) -> None:
    """ONNX, blocks, trace, execution: integers in one block come out as onnxruntime's own integers."""
    rng = np.random.default_rng(0)
    a, w = rng.integers(-127, 128, (7, 60)), rng.integers(-127, 128, (33, 60))
    a[0, 0] = w[0, 0] = 127
    one_product(tmp_path / "m.onnx", 7, 60, 33, w)
    graph = import_onnx(tmp_path / "m.onnx")
    roles = load("bct-int8", "tensor").roles
    trace = compile_graph(graph, BCT64, Precision("exact", roles, {}))
    out = bs.execute(bs.link(trace), {"x": a[None].astype(np.float32)}, probe=("x.encode", "linear"))
    codes, shared = out.probes["x.encode"][0]
    assert (codes == a).all()
    assert shared.tolist() == [[0]]
    exact = (a @ w.T).astype(np.float64)
    codes, shared = out.probes["linear"][0]
    e = int(shared[0, 0])
    assert (codes == np.rint(exact / 2.0**e)).all()
    assert e == int(np.ceil(np.log2(np.abs(exact).max()))) - 15


def test_cycles_follow_each_fold() -> None:
    assert array_cycles.cycles(BCT64.array_config, 49, 64, 128, (0, 16, 32, 48, 64)).total == 435


def test_reference_is_onnxruntime(tmp_path: Path) -> None:
    b = Builder()
    b.linear("x", "layer", 6, 4)
    graph = graph_of(b, tmp_path, "layer_out", ["batch", 3, 4], x=["batch", 3, 6])
    x = samples(5, 3, 6)
    (want,) = ort.InferenceSession(str(tmp_path / "m.onnx"), providers=["CPUExecutionProvider"]).run(
        None, {"x": x}
    )
    np.testing.assert_allclose(Reference(graph).outputs({"x": x})["layer_out"], want, atol=1e-5)


@pytest.mark.parametrize("function", ["gelu_tanh", "silu"])
def test_other_functions_by_table(tmp_path: Path, function: str) -> None:
    """The tanh form of GELU, and a value times its own sigmoid in either order."""
    b = Builder()
    y = b.linear("x", "layer", 12, 20)
    if function == "silu":
        gate = b.node("Sigmoid", [y], "gate")
        y = b.node("Mul", [gate, b.node("Mul", [y, b.node("Sigmoid", [y], "gate1")], "once")], "y")
        names = ["layer.silu"]
    else:
        cube = b.node("Mul", [b.node("Pow", [y, b.constant("three", np.float32(3))], "cube"),
                              b.constant("rate", np.float32(0.044715))], "scaled")  # fmt: skip
        inner = b.node("Add", [y, cube], "inner")
        root = b.constant("root", np.float32(np.sqrt(2 / np.pi)))
        tanh = b.node("Tanh", [b.node("Mul", [inner, root], "times")], "tanh")
        above = b.node("Add", [tanh, b.constant("one", np.float32(1))], "above")
        half = b.node("Mul", [y, b.constant("half", np.float32(0.5))], "halved")
        y, names = b.node("Mul", [half, above], "y"), ["layer.gelu"]
    graph = graph_of(b, tmp_path, "y", ["batch", 4, 20], x=["batch", 4, 12])
    assert [op.name for op in graph.operators if getattr(op, "function", "") == function] == names
    run(graph, {"x": samples(3, 4, 12, scale=3)})
