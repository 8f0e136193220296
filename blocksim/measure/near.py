"""Names that a user may have meant."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches


def nearest(name: str, known: Sequence[str], at_most: int = 4) -> str:
    """A hint: the names that come close, or the first few where none does.

    >>> nearest("encoder.0.ff1", ["embed", "encoder.0.ffn1"])
    'close are encoder.0.ffn1'
    >>> nearest("zzz", ["embed", "head"])
    'there are embed, head'
    """
    close = get_close_matches(name, known, at_most, 0.6) or [k for k in known if name and name in k]
    if close:
        return f"close are {', '.join(close[:at_most])}"
    rest = ", ..." if len(known) > at_most else ""
    return f"there are {', '.join(known[:at_most])}{rest}"
