"""Packed constants that are made once: for several traces of a model, or for a compilation that goes on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from blocksim._version import __version__
from blocksim.graph.unread import Weight, identity_of
from blocksim.output import replace_whole
from blocksim.stretches import Stretch
from blocksim.trace.manifest import ConstantSpec
from blocksim.trace.sections import Section, digest_of

Asked = tuple[object, ...]
"""What a constant is packed as: name, format, role, tiles, order and shape."""

Packed = tuple[ConstantSpec, Section, int]
"""A constant without its place, its bytes, and how many codes and exponents were brought into range."""


class ConstantCache:
    """The packed constants of one model: its traces for several lengths or machines share them."""

    def __init__(self) -> None:
        self._known: dict[Asked, Packed] = {}

    def packed(
        self, asked: Asked, weight: Weight, make: Callable[[], tuple[ConstantSpec, bytes, int]]
    ) -> Packed:
        """A constant as it is asked for, made if it is new; `weight` is what it is made of."""
        if asked not in self._known:
            self._known[asked] = self._made(asked, weight, make)
        return self._known[asked]

    def _made(
        self, asked: Asked, weight: Weight, make: Callable[[], tuple[ConstantSpec, bytes, int]]
    ) -> Packed:
        del asked, weight
        return make()


class ConstantFolder(ConstantCache):
    """Packed constants as files of a folder, so that neither memory nor a second try is spent on them.

    A constant stands there when its ``.json`` does, which is written last. Its name is a hash of all that
    went into it, so that what another model or plan left is not taken for it. Several processes may share one
    folder: each file appears there whole.

    Parameters
    ----------
    folder : Path
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def _made(
        self, asked: Asked, weight: Weight, make: Callable[[], tuple[ConstantSpec, bytes, int]]
    ) -> Packed:
        made_of = f"{__version__} {asked} {identity_of(weight)}"
        key = hashlib.sha256(made_of.encode()).hexdigest()[:32]
        about, data = self.folder / f"{key}.json", self.folder / f"{key}.packed"
        if about.exists() and data.exists():
            found = json.loads(about.read_text())
            spec, section = ConstantSpec.model_validate(found["spec"]), Stretch(data, 0, data.stat().st_size)
            if digest_of(section) == spec.sha256:
                return spec, replace(section, sha256=spec.sha256), int(found["lost"])
        spec, packed, lost = make()
        replace_whole(data, packed)
        replace_whole(about, json.dumps({"spec": spec.model_dump(mode="json"), "lost": lost}).encode())
        return spec, Stretch(data, 0, len(packed), spec.sha256), lost
