"""Stretches of files: the tensors of a safetensors file by where their bytes lie, and read when wanted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CHUNK = 1 << 22
"""Bytes that are read at a time, of what is only passed on."""


@dataclass(frozen=True)
class Stretch:
    """Some bytes of a file.

    Attributes
    ----------
    path : Path
    start, size : int
    sha256 : str
        What the bytes must hash to, so that a file that was replaced is not read for the old one; empty
        where nobody knows.
    """

    path: Path
    start: int
    size: int
    sha256: str = ""

    def __len__(self) -> int:
        return self.size

    def read(self) -> bytes:
        """All of the bytes.

        Raises
        ------
        OSError
            If the file is gone, or is another by now.
        """
        with self.path.open("rb") as file:
            file.seek(self.start)
            data = file.read(self.size)
        if len(data) < self.size:
            raise self._shorter()
        if self.sha256 and hashlib.sha256(data).hexdigest() != self.sha256:
            raise OSError(0, "was replaced while it was in use", str(self.path))
        return data

    def chunks(self) -> Iterator[bytes]:
        """The bytes, a few at a time."""
        left = self.size
        with self.path.open("rb") as file:
            file.seek(self.start)
            while left:
                data = file.read(min(CHUNK, left))
                if not data:
                    raise self._shorter()
                left -= len(data)
                yield data

    def _shorter(self) -> OSError:
        return OSError(0, "became shorter while it was in use", str(self.path))


@dataclass(frozen=True)
class Entry:
    """A tensor of a safetensors file."""

    dtype: str
    shape: tuple[int, ...]
    data: Stretch


def entries(path: Path) -> tuple[dict[str, str], dict[str, Entry]]:
    """The metadata of a safetensors file, and its tensors by name.

    Raises
    ------
    safetensors.SafetensorError, OSError
        If it is none; the library checks that its tensors lie within the file and do not overlap.
    """
    from safetensors import safe_open

    with safe_open(str(path), "np") as file:
        metadata = dict(file.metadata() or {})
    with path.open("rb") as raw:
        length = int.from_bytes(raw.read(8), "little")
        head = json.loads(raw.read(length))
    head.pop("__metadata__", None)
    found = {}
    for name, entry in head.items():
        start, end = entry["data_offsets"]
        stretch = Stretch(path, 8 + length + start, end - start)
        found[name] = Entry(entry["dtype"], tuple(entry["shape"]), stretch)
    return metadata, found
