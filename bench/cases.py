"""What the benchmark times: products, whole models and schedules, each beside what it is compared with."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

import blocksim as bs
from blocksim.compiler import compile_graph
from blocksim.compiler.precision import load
from blocksim.engine.execute import through
from blocksim.engine.workspace import Linked, Workspace
from blocksim.graph.weights import weight_source
from hwmodels import machines
from hwmodels.formats import parse
from hwmodels.kernels.team import pass_by
from hwmodels.machines import Window

ROOT = Path(__file__).parent.parent

THREADS = 2
REST = 0.3
"""Seconds of rest before a turn: threads of NumPy and onnxruntime spin for a while after theirs, and would
take a core from whoever comes next."""

SHAPES = ((128, 768, 768), (128, 768, 3072), (128, 3072, 768), (512, 1024, 4096))
TURN = 5e9
"""Multiply-accumulates of a turn: some hundredths of a second."""

BCT64 = machines.load("bct64")
WIDE = BCT64.model_copy(update={"window": Window(bits=51, rounding="floor")})
PRODUCTS = (
    ("bct-int8 64x64", load("bct-int8", "64x64"), BCT64),
    ("bct-int8 16x16", load("bct-int8", "16x16"), BCT64),
    ("bct-w4a8 64x64", load("bct-w4a8", "64x64"), BCT64),
)
MX = load("mxfp8")
E5M2 = replace(MX, roles=MX.roles | {"activation": parse("mxfp8e5m2@1x32")})
FLOATS = (
    ("mxfp8", MX, BCT64),
    ("bl8 in 48 bits", load("bl8"), BCT64),
    ("mxfp8, E5M2 x E4M3 in 51 bits", E5M2, WIDE),
)
"""Plans whose codes have exponents, timed on BERT-base's shapes: they take ten times as long or more."""

TOKENS = 128
SKELETONS = {"MiniLM": "traces/minilm/dynamo18.onnx", "BERT-base": "traces/bert_base.onnx"}


@dataclass(frozen=True)
class Case:
    """Two sides of a comparison: each call takes a turn and gives the seconds of one piece of work."""

    group: str
    name: str
    ours: Callable[[], float]
    theirs: dict[str, Callable[[], float]]
    work: float = 0.0
    """Multiply-accumulates of one piece of work."""


def timed(function: Callable[[], Any], warm: int = 2, repeats: int = 1) -> Callable[[], float]:
    """A turn: rest, warm up, then seconds for one call on average."""

    def turn() -> float:
        time.sleep(REST)
        for _ in range(warm):
            function()
        start = time.perf_counter()
        for _ in range(repeats):
            function()
        return (time.perf_counter() - start) / repeats

    return turn


def session(model: onnx.ModelProto | Path, threads: int = THREADS) -> ort.InferenceSession:
    """A session of onnxruntime on as many threads."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    source = str(model) if isinstance(model, Path) else model.SerializeToString()
    return ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])


# -- products


def product_model(m: int, k: int, n: int) -> onnx.ModelProto:
    """A linear layer without a bias."""
    weight = np.random.default_rng(0).standard_normal((k, n)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "layer.weight"], ["y"])], "product",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, m, k])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, m, n])],
        [numpy_helper.from_array(weight, "layer.weight")],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def integer_product(m: int, k: int, n: int) -> Callable[[], Any]:
    """The integer product of onnxruntime, MatMulInteger: unsigned times signed."""
    rng = np.random.default_rng(0)
    weight = rng.integers(-127, 128, (k, n), np.int8)
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["a", "w"], ["y"])], "product",
        [helper.make_tensor_value_info("a", TensorProto.UINT8, [m, k])],
        [helper.make_tensor_value_info("y", TensorProto.INT32, [m, n])],
        [numpy_helper.from_array(weight, "w")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    run, a = session(model), {"a": rng.integers(0, 256, (m, k), np.uint8)}
    return lambda: run.run(None, a)


def products() -> Iterator[Case]:
    """MATMUL alone: codes and exponents in, wide sums out, every alignment and every overflow counted."""
    for m, k, n in SHAPES:
        repeats = max(5, round(TURN / (m * k * n)))
        fp32 = np.random.default_rng(0).standard_normal((2, max(m, k), max(k, n))).astype(np.float32)
        left, right = fp32[0, :m, :k].copy(), fp32[1, :k, :n].copy()
        theirs = {
            "MatMulInteger": timed(integer_product(m, k, n), 10, repeats),
            "NumPy fp32": timed(lambda a=left, b=right: a @ b, 5, max(repeats // 4, 3)),
        }
        for label, plan, machine in (*PRODUCTS, *(FLOATS if (m, k, n) in SHAPES[:3] else ())):
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "product.onnx"
                onnx.save(product_model(m, k, n), path)
                trace = compile_graph(bs.import_onnx(path), machine, plan)
            x = {"x": np.random.default_rng(1).standard_normal((1, m, k)).astype(np.float32)}
            linked = bs.link(trace)
            own = max(5, repeats // 10) if (label, plan, machine) in FLOATS else repeats
            alone = {"one thread": matmul_alone(linked, x, own, 1)}
            ours = matmul_alone(linked, x, own)
            name = f"{m} x {k} x {n}, {label}"
            yield Case("product", name, ours, theirs | alone, m * k * n)


def matmul_alone(
    linked: Linked, x: dict[str, np.ndarray], repeats: int, threads: int = THREADS
) -> Callable[[], float]:
    """The one MATMUL of a program, again and again by a team of threads.

    As many times before the clock starts: the system needs some time to give a new thread a core of its own.
    """
    op, steps = next((op, steps) for op, steps in linked.steps if op.kind == "matmul")
    times: list[float] = []

    def clock(w: Workspace, part: int, parts: int) -> None:
        if part == 0:
            times.append(time.perf_counter())
        pass_by(w.team, part, parts)

    run = (steps[0],) * repeats
    again = replace(linked, steps=((op, (*run, clock, *run, clock)),))
    bs.execute(linked, x, threads=threads)  # leaves the operands in the workspace

    def turn() -> float:
        time.sleep(REST)
        with again.workspace(1, threads) as w:
            through(again, w, (), threads)
        return (times[-1] - times[-2]) / repeats

    return turn


# -- models


def filled(path: Path) -> onnx.ModelProto:
    """A skeleton with generated weights inside."""
    source, model = weight_source("generator"), onnx.load(path)
    inputs = [i for i in model.graph.input if not source.has(i.name)]
    for i in model.graph.input:
        if source.has(i.name):
            shape = tuple(d.dim_value for d in i.type.tensor_type.shape.dim)
            model.graph.initializer.append(
                numpy_helper.from_array(np.asarray(source.weight(i.name, shape)), i.name)
            )
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    return model


def token_inputs(names: list[str]) -> dict[str, np.ndarray]:
    """One sentence of `TOKENS` tokens, without padding."""
    ids = np.random.default_rng(0).integers(5, 20_000, (1, TOKENS))
    known = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    return {name: known[name] for name in names}


def compiled(path: Path, plan: str, block: str) -> bs.Trace:
    """A skeleton's trace, with generated weights."""
    graph = bs.import_onnx(path, weights=weight_source("generator"), bind={"batch": 1, "seq": TOKENS})
    return compile_graph(graph, BCT64, load(plan, block))


def models() -> Iterator[Case]:
    """Whole models, from encoding the inputs to decoding the outputs."""
    vit = bs.zoo.load("vit_fashion")
    fp32, graph = session(vit.path), bs.import_onnx(vit.path)
    for plan, block in (("bct-int8", "64x64"), ("bct-int8", "16x16"), ("bct-w4a8", "64x64")):
        linked = bs.link(compile_graph(graph, BCT64, load(plan, block)))
        for batch in (1, 64):
            x = {"image": vit.inputs["image"][:batch]}
            yield Case(
                "model", f"ViT, batch {batch}, {plan} {block}",
                timed(lambda p=linked, x=x: bs.execute(p, x, threads=THREADS)),
                {"onnxruntime fp32": timed(lambda s=fp32, x=x: s.run(None, x))},
            )  # fmt: skip
    for name, skeleton in SKELETONS.items():
        run = session(filled(ROOT / skeleton))
        x = token_inputs([i.name for i in run.get_inputs()])
        for plan, block in (("bct-int8", "64x64"), ("bct-int8", "16x16")):
            trace = compiled(ROOT / skeleton, plan, block)
            linked = bs.link(trace)
            yield Case(
                "model", f"{name}, {TOKENS} tokens, {plan} {block}",
                timed(lambda p=linked, x=x: bs.execute(p, x, threads=THREADS)),
                {"onnxruntime fp32": timed(lambda s=run, x=x: s.run(None, x))},
            )  # fmt: skip
            yield Case(
                "schedule", f"{name}, {plan} {block}: {len(trace.program):,} instructions",
                timed(lambda t=trace: bs.schedule(t)), {},
            )  # fmt: skip


def cases() -> Iterator[Case]:
    """All of them."""
    yield from products()
    yield from models()
