"""Block shapes: how an axis is cut into blocks that share an exponent."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Starts = NDArray[np.int64]
"""Where each block of an axis starts, ascending from 0."""

NAMED = {"tensor": (None, None), "row": (1, None), "channel": (1, None)}


@dataclass(frozen=True)
class Block:
    """A block shape ``<lines>x<depth>``; depth lies along the axis that the consumer reduces.

    Attributes
    ----------
    lines, depth : int or None
        Extent across and along the reduced axis; None is the whole axis.
    name : str
        As the user wrote it.
    """

    lines: int | None
    depth: int | None
    name: str

    def __str__(self) -> str:
        return self.name


def parse_block(text: str) -> Block:
    """A block shape from ``16x16``, ``1x32``, ``tensor``, ``row`` or ``channel``.

    Raises
    ------
    ValueError
        If the text is none of these; the message says what would be right.
    """
    if text in NAMED:
        return Block(*NAMED[text], name=text)
    match = re.fullmatch(r"([1-9]\d{0,5})x([1-9]\d{0,5})", text)
    if not match:
        raise ValueError(f"{text}: a block is <lines>x<depth> such as 16x16 or 1x32, or tensor, row, channel")
    return Block(int(match[1]), int(match[2]), text)


def starts(length: int, size: int | None, period: int | None = None) -> Starts:
    """Where the blocks of an axis start; they restart at every `period` (a head, a batch item).

    Parameters
    ----------
    length : int
        Elements of the axis.
    size : int or None
        Elements of a block; None is the whole period.
    period : int or None
        Elements of the stretch that no block leaves; None is the whole axis.
    """
    period = period or length
    step = min(size or period, period)
    return np.concatenate(
        [np.arange(p, min(p + period, length), step, dtype=np.int64) for p in range(0, length, period)]
    )


def index_of(starts: Starts, length: int) -> NDArray[np.int64]:
    """The block that each element of an axis lies in, shape ``(length,)``."""
    return np.searchsorted(starts, np.arange(length), side="right") - 1
