"""Fronts: the configurations that no other beats, and how much of the space they leave to be beaten."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from blocksim.errors import BlocksimError
from blocksim.explore.columns import BY_NAME

if TYPE_CHECKING:
    import pandas as pd

Points = NDArray[np.float64]
"""One row for each configuration, one column for each objective; less is better."""


def points(frame: pd.DataFrame, objectives: Sequence[str]) -> Points:
    """The objectives of a table, turned so that less is better; NaN where a row has none.

    Raises
    ------
    BlocksimError
        If a column is none, or neither more nor less of it is better.
    """
    for name in objectives:
        if name not in BY_NAME or not BY_NAME[name].better:
            known = ", ".join(c.name for c in BY_NAME.values() if c.better)
            raise BlocksimError("front", "objective", name, f"give some of {known}")
    if not len(frame):
        return np.zeros((0, len(objectives)))
    columns = [
        -BY_NAME[name].better * frame[name].to_numpy(np.float64, na_value=np.nan) for name in objectives
    ]
    return np.stack(columns, axis=1)


def undominated(given: Points) -> NDArray[np.bool_]:
    """Which points no other is better than in one objective and as good as in all; equals stay together.

    >>> undominated(np.array([[1.0, 3.0], [2.0, 2.0], [2.0, 3.0], [1.0, 3.0], [np.nan, 0.0]])).tolist()
    [True, True, False, True, False]
    """
    kept: NDArray[np.bool_] = np.logical_not(np.isnan(given).any(axis=1))
    for i in np.flatnonzero(kept):
        others = given[kept]
        kept[i] = not ((others <= given[i]).all(axis=1) & (others < given[i]).any(axis=1)).any()
    return kept


def front(frame: pd.DataFrame, objectives: Sequence[str] = ("sqnr_db", "weight_bits")) -> pd.DataFrame:
    """The rows of a sweep's table that no other row beats, in the order of the last objective.

    Parameters
    ----------
    frame : DataFrame
        See `blocksim.explore.columns.COLUMNS`.
    objectives : sequence of str
        Columns of which more or less is better.

    Returns
    -------
    DataFrame

    Raises
    ------
    BlocksimError
        If a column is none, or neither more nor less of it is better.
    """
    if not objectives:
        raise BlocksimError("front", "objectives", "none", "name columns, such as sqnr_db and weight_bits")
    given = points(frame, objectives)
    chosen = frame[undominated(given)]
    return chosen.sort_values(list(reversed(objectives)), kind="stable")


def hypervolume(given: Points, worst: Sequence[float]) -> float:
    """The volume between a point that is worse than all and those that are better in every objective.

    By hand: (1, 3) and (2, 1) before (4, 4) take 3 x 1 and 2 x 3, of which 2 x 1 is in both: 7.

    >>> hypervolume(np.array([[1.0, 3.0], [2.0, 1.0], [5.0, 0.0]]), (4.0, 4.0))
    7.0
    """
    inside = given[(given < np.asarray(worst)).all(axis=1)]
    if given.shape[1] == 1:
        return float(worst[0] - inside.min()) if len(inside) else 0.0
    levels = [*np.unique(inside[:, -1]), worst[-1]]
    return math.fsum(
        (above - below) * hypervolume(inside[inside[:, -1] <= below, :-1], worst[:-1])
        for below, above in pairwise(levels)
    )
