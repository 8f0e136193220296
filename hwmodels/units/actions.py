"""Actions: what an operation does, counted by the part of the datapath that does it.

A key is ``(part, action)`` such as ``("align", "shift:32")``; a cost table gives each action its energy.
"""

from __future__ import annotations

from collections.abc import Mapping

Actions = dict[tuple[str, str], int]
"""How often each action of each part happens."""


def of(part: str, counts: Mapping[str, int]) -> Actions:
    """The actions of one part.

    >>> of("align", {"shift:32": 4})
    {('align', 'shift:32'): 4}
    """
    return {(part, action): count for action, count in counts.items()}


def merged(*parts: Actions) -> Actions:
    """The sum of several counts; what never happens is left out.

    >>> merged(of("align", {"add:32": 4}), of("align", {"add:32": 2, "shift:32": 0}))
    {('align', 'add:32'): 6}
    """
    total: Actions = {}
    for counts in parts:
        for key, count in counts.items():
            if count:
                total[key] = total.get(key, 0) + count
    return total
