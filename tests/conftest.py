"""Shared fixtures: the embedded model, its experiment, and small models made here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from models import tiny_vit

from blocksim import zoo
from blocksim.graph import Graph, import_onnx
from blocksim.zoo import ZooModel

settings.register_profile("blocksim", deadline=None, max_examples=60, derandomize=True)
settings.load_profile("blocksim")


@pytest.fixture(scope="session")
def vit() -> ZooModel:
    return zoo.load("vit_fashion")


@pytest.fixture(scope="session")
def vit_graph(vit: ZooModel) -> Graph:
    return import_onnx(vit.path)


@pytest.fixture(scope="session")
def tiny_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tiny") / "tiny.onnx"
    tiny_vit(path)
    return path


@pytest.fixture(scope="session")
def tiny_graph(tiny_path: Path) -> Graph:
    return import_onnx(tiny_path)


@pytest.fixture
def tiny_inputs() -> Iterator[dict[str, np.ndarray]]:
    rng = np.random.default_rng(5)
    yield {"tokens": rng.normal(size=(3, 10, 12)).astype(np.float32)}
