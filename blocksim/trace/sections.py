"""The packed constants of a trace: bytes at hand, or stretches of a file that are read when wanted."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

from blocksim.stretches import Stretch

Section = bytes | Stretch
"""A packed constant."""


def chunks_of(section: Section) -> Iterator[bytes]:
    """The bytes of a packed constant, a few at a time."""
    if isinstance(section, Stretch):
        yield from section.chunks()
    else:
        yield section


def digest_of(section: Section) -> str:
    """The SHA-256 of a packed constant."""
    digest = hashlib.sha256()
    for chunk in chunks_of(section):
        digest.update(chunk)
    return digest.hexdigest()


class Sections(Mapping[str, bytes]):
    """Packed constants by name; each look-up gives the bytes, from the file where they lie in one.

    Parameters
    ----------
    parts : dict of str to Section
    """

    def __init__(self, parts: Mapping[str, Section]) -> None:
        self.parts = dict(parts)

    def __getitem__(self, name: str) -> bytes:
        found = self.parts[name]
        return found.read() if isinstance(found, Stretch) else found

    def __contains__(self, name: object) -> bool:
        return name in self.parts

    def __iter__(self) -> Iterator[str]:
        return iter(self.parts)

    def __len__(self) -> int:
        return len(self.parts)

    def __or__(self, others: Mapping[str, Section]) -> Sections:
        """These, with others in the place of some."""
        return Sections({**self.parts, **others})
