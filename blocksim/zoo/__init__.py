"""The embedded model: small, trained, with images to judge it by.

>>> from blocksim import zoo
>>> model = zoo.load("vit_fashion")
>>> model.inputs["image"].shape, model.labels.shape
((1000, 1, 28, 28), (1000,))
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blocksim.errors import BlocksimError

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class ZooModel:
    """A model with its evaluation data.

    Attributes
    ----------
    path : Path
        The ONNX file.
    inputs : dict of str to float32 array, leading axis N
    labels : int64 array, shape (N,)
    card : dict
        Data, licence, accuracy, and how it was trained.
    """

    path: Path
    inputs: dict[str, NDArray[np.float32]]
    labels: NDArray[np.int64]
    card: dict[str, Any]


def names() -> list[str]:
    """The embedded models."""
    return sorted(p.parent.name for p in FOLDER.glob("*/card.json"))


def load(name: str) -> ZooModel:
    """An embedded model by name.

    Raises
    ------
    BlocksimError
        If there is no such model.
    """
    if name not in names():
        raise BlocksimError("zoo", "model", name, f"give one of {', '.join(names())}")
    folder = FOLDER / name
    card = json.loads((folder / "card.json").read_text())
    with np.load(folder / "images.npz") as data:
        images, labels = data["images"], data["labels"]
    given = card["model"]["input"]
    pixels = (images.astype(np.float32) / 255 - np.float32(given["mean"])) / np.float32(given["std"])
    return ZooModel(folder / "model.onnx", {given["name"]: pixels[:, None]}, labels.astype(np.int64), card)


def fetched(name: str) -> Path:
    """The folder of a model that ``blocksim fetch`` has fetched.

    It is looked for in the folder that ``BLOCKSIM_MODELS`` names, or in ``.models`` in the current folder
    and those above it.

    Raises
    ------
    BlocksimError
        If it is not there.
    """
    own = os.environ.get("BLOCKSIM_MODELS")
    here = Path.cwd()
    places = [Path(own)] if own else [folder / ".models" for folder in (here, *here.parents)]
    for place in places:
        if (place / name / "card.json").is_file():
            return place / name
    raise BlocksimError("zoo", "fetched", name, f"not in {places[0]}; run blocksim fetch {name} first")
