"""Models larger than memory: weights read when wanted, packed into files, executed in stages."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from oracle import Oracle
from safetensors.numpy import save_file
from test_engine import BCT64, assert_equal_to_interpreter

import blocksim as bs
from blocksim.api import compile_model
from blocksim.compiler import compile_graph
from blocksim.compiler.precision import load
from blocksim.engine.stages import CHECKPOINT, execute_in_stages, stages
from blocksim.graph import Graph, import_onnx
from blocksim.graph.ir import Host, Lut
from blocksim.graph.reference import Reference
from blocksim.graph.unread import Unread, identity_of, same, scaled
from blocksim.graph.weights import GeneratorSource, SafetensorsSource, ShardedSource, weight_source
from blocksim.output import kept_folder
from blocksim.zoo.llama import Llama, skeleton

TINY = Llama(layers=2, hidden=48, heads=3, inner=100, vocabulary=70, tokens=12)
IDS = {"input_ids": np.random.default_rng(0).integers(0, 70, (3, 12))}


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("llama") / "llama.onnx"
    onnx.save(skeleton(TINY), path)
    return path


@pytest.fixture(scope="module")
def graph(llama: Path) -> Graph:
    return import_onnx(llama, weights=GeneratorSource())


@pytest.fixture
def trace(graph: Graph, tmp_path: Path) -> bs.Trace:
    """Opened from a file."""
    compile_graph(graph, BCT64, load("bct-int8", "16x16")).save(tmp_path / "llama.trace")
    return bs.Trace.open(tmp_path / "llama.trace")


# -- weights


def test_an_unread_weight_is_read_when_its_values_are_wanted() -> None:
    reads = []
    array = np.arange(12, dtype=np.float32).reshape(3, 4)

    def read() -> np.ndarray:
        reads.append(1)
        return array

    weight = Unread((3, 4), read, "w")
    third = np.float32(1 / 3)
    derived = {
        "T": (weight.T, array.T),
        "part": (weight[1:, ::2], array[1:, ::2]),
        "times": (weight * third, array * third),
        "scaled": (scaled(weight, 1 / 3), (array * np.float64(1 / 3)).astype(np.float32)),
        "shape": (weight.reshape(2, -1), array.reshape(2, 6)),
    }
    assert not reads
    for name, (unread, want) in derived.items():
        assert isinstance(unread, Unread)
        assert (unread.shape, unread.ndim, unread.size) == (want.shape, want.ndim, want.size), name
        assert np.array_equal(np.asarray(unread), want), name
        assert np.asarray(unread).dtype == unread.dtype == np.float32
    assert len(reads) == 2 * len(derived)
    identities = {u.identity for u, _ in derived.values()} | {weight.identity}
    assert len(identities) == 1 + len(derived)
    assert same(weight.T, Unread((3, 4), read, "w").T)
    assert not same(weight, weight.T)
    assert not same(weight, array)
    assert same(array, array.copy())
    assert identity_of(array) == identity_of(array.copy()) != identity_of(array.T)


def test_import_reads_no_matrix(llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    made = GeneratorSource._made

    def counted(self: GeneratorSource, name: str, shape: tuple[int, ...]) -> np.ndarray:
        read.append(name)
        return made(self, name, shape)

    monkeypatch.setattr(GeneratorSource, "_made", counted)
    graph = import_onnx(llama, weights=GeneratorSource())
    assert all(name.endswith("norm.weight") for name in read)  # vectors, which are part of what is fused
    read.clear()
    compile_graph(graph, BCT64, load("bct-int8", "16x16"))
    matrices = [name for name in read if "norm" not in name]
    assert len(matrices) == len(set(matrices)) == 2 + 7 * TINY.layers


def test_no_shape_is_found_by_a_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("all shapes can be inferred")

    monkeypatch.setattr("blocksim.graph.importer._tried_shapes", never)
    root = Path(__file__).parent.parent / "traces"
    for name in ("bert_tiny", "distilbert_tiny", "deit_tiny", "minilm/dynamo18"):
        bind = {} if "deit" in name else {"seq": 9}
        import_onnx(root / f"{name}.onnx", bind=bind, weights=GeneratorSource())


def bfloat16(path: Path, name: str, array: np.ndarray) -> np.ndarray:
    """Write a safetensors file of one bfloat16 tensor by hand; returns what it holds."""
    upper = (array.astype(np.float32).view(np.uint32) >> 16).astype("<u2")
    shape = list(array.shape)
    head = {name: {"dtype": "BF16", "shape": shape, "data_offsets": [0, 2 * array.size]}}
    text = json.dumps(head).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + upper.tobytes())
    return (upper.astype(np.uint32) << 16).view(np.float32)


def test_weights_of_every_float_type_and_of_shards(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(3, 5))
    stored = {kind: values.astype(kind) for kind in ("float16", "float32", "float64")}
    save_file(stored, str(tmp_path / "a.safetensors"))
    upper = bfloat16(tmp_path / "b.safetensors", "bfloat16", values)
    files = dict.fromkeys(stored, "a.safetensors") | {"bfloat16": "b.safetensors"}
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": files}))
    source = weight_source(index)
    assert isinstance(source, ShardedSource)
    assert source.has("float16")
    assert not source.has("other")
    for kind, array in stored.items():
        assert np.array_equal(source.weight(kind, (3, 5)), array.astype(np.float32))
    assert np.array_equal(source.weight("bfloat16", (3, 5)), upper)


@pytest.mark.parametrize("text", ["{", "[]", '{"weight_map": 3}', '{"other": {}}'])
def test_a_bad_index_is_refused(tmp_path: Path, text: str) -> None:
    index = tmp_path / "index.json"
    index.write_text(text)
    with pytest.raises(bs.BlocksimError, match=r"index.json: weight_map: not an index"):
        weight_source(index)
    index.write_text(json.dumps({"weight_map": {"a": "gone.safetensors"}}))
    with pytest.raises(bs.BlocksimError, match=r"gone.safetensors: file: not a whole"):
        weight_source(index)


def test_bad_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    bad = np.array([[1.0, np.inf]], np.float32)
    save_file({"w": np.zeros((2, 3), np.float32), "i": np.zeros((2, 3), np.int32), "bad": bad}, str(path))
    source = SafetensorsSource(path)
    with pytest.raises(bs.BlocksimError, match=r"w.safetensors: w: shape \(2, 3\): the model needs \(3, 2\)"):
        source.weight("w", (3, 2))
    with pytest.raises(bs.BlocksimError, match=r"w.safetensors: i: I32: weights must be of F32"):
        source.weight("i", (2, 3))
    with pytest.raises(bs.BlocksimError, match=r"w.safetensors: bad: NaN or Inf"):
        np.asarray(source.weight("bad", (1, 2)))


def test_weights_beside_the_model(tiny_path: Path, tmp_path: Path) -> None:
    """External data gives the same trace, is read when it is wanted, and must lie beside the model."""
    model, path = onnx.load(tiny_path), tmp_path / "tiny.onnx"
    onnx.save(model, path, save_as_external_data=True, location="tiny.data", size_threshold=0)
    graph = import_onnx(path)
    assert any(isinstance(weight, Unread) for weight in graph.weights.values())
    plan = load("bct-int8", "8x8")
    own, beside = compile_graph(import_onnx(tiny_path), BCT64, plan), compile_graph(graph, BCT64, plan)
    assert own.manifest.model_dump() == beside.manifest.model_dump()
    assert dict(own.sections) == dict(beside.sections)

    data = (tmp_path / "tiny.data").read_bytes()
    (tmp_path / "tiny.data").write_bytes(data[:-4])
    with pytest.raises(bs.BlocksimError, match=r"tiny.data too short: download it again"):
        import_onnx(path)
    (tmp_path / "tiny.data").unlink()
    with pytest.raises(bs.BlocksimError, match=r"tiny.onnx: .*tiny.data"):
        import_onnx(path)
    (tmp_path / "below").mkdir()
    (tmp_path / "tiny.data").write_bytes(data)
    skeleton = onnx.load(path, load_external_data=False)
    for tensor in skeleton.graph.initializer:
        tensor.external_data[0].value = "../tiny.data"
    onnx.save(skeleton, tmp_path / "below" / "tiny.onnx")
    with pytest.raises(bs.BlocksimError, match=r"tiny.onnx: .*\.\./tiny.data"):
        import_onnx(tmp_path / "below" / "tiny.onnx")
    matrix = next(t for t in skeleton.graph.initializer if len(t.dims) == 2)
    at = next(int(e.value) for e in matrix.external_data if e.key == "offset")
    broken = data[:at] + np.float32(np.nan).tobytes() + data[at + 4 :]
    (tmp_path / "tiny.data").write_bytes(broken)
    with pytest.raises(bs.BlocksimError, match=f"tiny.onnx: {matrix.name}: NaN or Inf"):
        compile_graph(import_onnx(path), BCT64, plan)


# -- the model


def test_a_llama_goes_through_the_datapath(graph: Graph) -> None:
    """Only the halves of a head that rotary positions swap are the host's; the oracle is near."""
    host = [op for op in graph.operators if isinstance(op, Host)]
    assert len(host) == 2 * TINY.layers
    assert {kind for op in host for kind in op.op_types} == {"Split", "Neg", "Concat", "Mul"}
    assert sum(isinstance(op, Lut) and op.function == "silu" for op in graph.operators) == TINY.layers
    trace = compile_graph(graph, BCT64, load("bct-int8", "16x16"))
    assert_equal_to_interpreter(trace, {n: a[:1] for n, a in IDS.items()})
    ours = bs.execute(bs.link(trace), IDS).outputs["lm_head.out"]
    fp32 = Reference(graph).outputs(IDS)["lm_head.out"]
    oracle = Oracle(graph, trace)
    exact = np.concatenate([oracle.run({"input_ids": ids[None]})["lm_head.out"] for ids in IDS["input_ids"]])

    def cosine(a: np.ndarray, b: np.ndarray) -> float:
        return float(a.ravel() @ b.ravel() / np.linalg.norm(a) / np.linalg.norm(b))

    assert abs(cosine(ours, fp32) - cosine(exact, fp32)) < 0.005
    assert cosine(ours, exact) > 0.998


def test_the_shape_is_that_of_the_paper() -> None:
    assert Llama().parameters == 6_738_415_616  # 6.7 G: arXiv 2302.13971, table 2
    inputs = {i.name: i for i in skeleton(TINY).graph.input}
    assert len(inputs) == 1 + 2 + 1 + 9 * TINY.layers


# -- packing into files


def test_a_trace_packed_into_files_is_the_same(graph: Graph, llama: Path, tmp_path: Path) -> None:
    out = tmp_path / "llama.trace"
    found = compile_model(llama, block="16x16", weights="generator", out=out)
    compile_graph(graph, BCT64, load("bct-int8", "16x16")).save(tmp_path / "other.trace")
    assert out.read_bytes() == (tmp_path / "other.trace").read_bytes()
    assert dict(found.sections) == dict(bs.Trace.open(out).sections)
    assert sorted(f.name for f in tmp_path.iterdir()) == ["llama.trace", "other.trace"]


def interrupted_after(count: int) -> Callable[[int], None]:
    left = [count]

    def told(done: int) -> None:
        left[0] -= done
        if left[0] <= 0:
            raise KeyboardInterrupt

    return told


def test_an_interrupted_compilation_goes_on(
    llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, half = tmp_path / "llama.trace", tmp_path / "llama.trace.partial"
    want = compile_model(llama, block="16x16", weights="generator")
    read: list[str] = []
    made, compiled = GeneratorSource._made, compile_graph

    def counted(self: GeneratorSource, name: str, shape: tuple[int, ...]) -> np.ndarray:
        read.append(name)
        return made(self, name, shape)

    def stopped(*given: object) -> bs.Trace:
        return compiled(*given[:-1], interrupted_after(20))  # type: ignore[arg-type]

    monkeypatch.setattr(GeneratorSource, "_made", counted)
    with monkeypatch.context() as patched:
        patched.setattr("blocksim.compiler.compile_graph", stopped)
        with pytest.raises(KeyboardInterrupt):
            compile_model(llama, block="16x16", weights="generator", out=out)
    assert not out.exists()
    before = {name for name in read if "norm" not in name}
    largest = max(half.glob("*.packed"), key=lambda f: f.stat().st_size)
    largest.write_bytes(largest.read_bytes()[:-1])  # what a crash may leave is made anew
    read.clear()
    found = compile_model(llama, block="16x16", weights="generator", out=out)
    after = {name for name in read if "norm" not in name}
    assert len(before) > 5
    assert len(before & after) == 1
    assert len(before | after) == 2 + 7 * TINY.layers
    assert dict(found.sections) == dict(want.sections)
    assert found.manifest.model_dump() == want.manifest.model_dump()
    assert not half.exists()


def test_another_model_does_not_take_what_was_packed(llama: Path, tmp_path: Path) -> None:
    from blocksim.compiler.cache import ConstantFolder

    for seed in (0, 1):
        graph = import_onnx(llama, weights=GeneratorSource(seed))
        plan = load("bct-int8", "16x16")
        trace = compile_graph(graph, BCT64, plan, cache=ConstantFolder(tmp_path))
        assert dict(trace.sections) == dict(compile_graph(graph, BCT64, plan).sections)


def test_a_folder_to_go_on_from(tmp_path: Path) -> None:
    out, half = tmp_path / "out", tmp_path / "out.partial"
    with pytest.raises(KeyboardInterrupt), kept_folder(out) as folder:
        (folder / "a.packed").touch()
        raise KeyboardInterrupt
    with kept_folder(out) as folder:
        assert (folder / "a.packed").exists()
    assert not half.exists()
    with pytest.raises(bs.BlocksimError, match="mine"), kept_folder(out):
        raise bs.BlocksimError("mine", "field", 0, "refused")
    assert not half.exists()
    half.mkdir()
    (half / "thesis.tex").touch()
    with pytest.raises(bs.BlocksimError, match=r"out.partial holds thesis.tex"), kept_folder(out):
        pass
    assert (half / "thesis.tex").exists()


def test_a_trace_that_was_replaced_is_not_read_for_the_old_one(
    trace: bs.Trace, llama: Path, tmp_path: Path
) -> None:
    compile_model(llama, block="16x16", weights="generator:1", out=tmp_path / "llama.trace")
    with pytest.raises(OSError, match="was replaced while it was in use"):
        bs.link(trace)
    (tmp_path / "llama.trace").write_bytes(b"")
    with pytest.raises(OSError, match="became shorter"):
        bs.link(trace)


# -- execution in stages


@pytest.mark.parametrize("budget", [0, 20_000, 1 << 30])
@pytest.mark.parametrize("threads", [1, 2])
def test_stages_give_the_bits_of_the_whole(trace: bs.Trace, budget: int, threads: int) -> None:
    probe = ("model.layers.0.mlp.up_proj", "model.layers.1.self_attn.q_proj")
    want = bs.execute(bs.link(trace), IDS, probe)
    told: list[int] = []
    got = execute_in_stages(trace, IDS, probe, threads, told.append, budget=budget)
    assert sum(told) == len(trace.manifest.operators)
    assert (len(told) == 1) == (budget == 1 << 30)
    for name, value in want.outputs.items():
        assert np.array_equal(got.outputs[name], value)
    assert got.counts == want.counts
    for name in probe:
        for ours, theirs in zip(got.probes[name], want.probes[name], strict=True):
            assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_stages_are_as_large_as_their_budget_allows(trace: bs.Trace) -> None:
    manifest = trace.manifest
    count = len(manifest.operators)
    for budget in (0, 5_000, 20_000):
        cuts = list(stages(manifest, 3, budget))
        assert [i for cut in cuts for i in cut] == list(range(3, count))
        sizes = [
            sum(
                manifest.constants[name].size
                for i in cut
                for name in (manifest.operators[i].weight, manifest.operators[i].constant)
                if name is not None
            )
            for cut in cuts
        ]
        assert all(size <= budget or len(cut) == 1 for size, cut in zip(sizes, cuts, strict=True))


def test_an_interrupted_execution_goes_on(trace: bs.Trace, tmp_path: Path) -> None:
    want = bs.execute(bs.link(trace), IDS)
    with pytest.raises(KeyboardInterrupt):
        execute_in_stages(trace, IDS, progress=interrupted_after(20), folder=tmp_path, budget=20_000)
    told: list[int] = []
    got = execute_in_stages(trace, IDS, progress=told.append, folder=tmp_path, budget=20_000)
    assert told[0] >= 20
    assert sum(told) == len(trace.manifest.operators)
    assert np.array_equal(got.outputs["lm_head.out"], want.outputs["lm_head.out"])
    assert got.counts == want.counts
    told.clear()
    others = {"input_ids": IDS["input_ids"][::-1].copy()}
    got = execute_in_stages(trace, others, progress=told.append, folder=tmp_path, budget=20_000)
    assert told[0] < 20  # other inputs start anew
    assert np.array_equal(got.outputs["lm_head.out"], want.outputs["lm_head.out"][::-1])
    (tmp_path / CHECKPOINT).write_bytes(b"half of a file")
    got = execute_in_stages(trace, IDS, folder=tmp_path)
    assert got.counts == want.counts
