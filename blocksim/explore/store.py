"""The store of a sweep: a row as soon as it is there, in a file of its own, and the table of all of them.

A row is written beside its place and renamed, so that it is there whole or not at all, whenever whatever is
killed. Its name is its configuration's, which is a hash of all that the row depends on: what another space
has left in the same folder is not taken for it, and what is still right is not computed again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blocksim.errors import BlocksimError
from blocksim.explore.columns import Column, Row
from blocksim.output import replace_whole

if TYPE_CHECKING:
    import pandas as pd

ROWS, SHARED, LOCK = "results", "shared", ".lock"
TABLE, HOLDOUT, FRONT = "results.parquet", "holdout.parquet", "front.png"
PARTIAL = ".partial"


@dataclass(frozen=True)
class Store:
    """The folder of a sweep.

    Attributes
    ----------
    folder : Path
    """

    folder: Path

    def row(self, config_id: str) -> Row | None:
        """A row that is there."""
        try:
            found = json.loads((self.folder / ROWS / f"{config_id}.json").read_text())
        except FileNotFoundError:
            return None
        return dict(found)

    def put(self, row: Row) -> None:
        """Keep a row."""
        path = self.folder / ROWS / f"{row['config_id']}.json"
        replace_whole(path, json.dumps(row).encode())

    def table(self, rows: Sequence[Row], columns: Sequence[Column], name: str = TABLE) -> None:
        """Write the table of all rows; each column's unit and meaning are in its metadata."""
        pa, parquet = arrow()
        kinds = {str: pa.string(), int: pa.int64(), float: pa.float64()}
        fields = [
            pa.field(
                c.name, kinds[c.kind],
                metadata={"unit": c.unit, "description": c.text, "timing": str(c.timing).lower()},
            )
            for c in columns
        ]  # fmt: skip
        data = [
            pa.array([_as(row.get(c.name), c.kind) for row in rows], kinds[c.kind], from_pandas=True)
            for c in columns
        ]
        sink = pa.BufferOutputStream()
        parquet.write_table(pa.Table.from_arrays(data, schema=pa.schema(fields)), sink)
        replace_whole(self.folder / name, sink.getvalue().to_pybytes())


def read_table(path: Path) -> pd.DataFrame:
    """A sweep's table.

    Raises
    ------
    BlocksimError
        If the file is missing or is no table.
    """
    pa, parquet = arrow()
    try:
        frame: pd.DataFrame = parquet.read_table(path).to_pandas()
    except FileNotFoundError:
        raise BlocksimError(
            path, "file", "missing", "the sweep has not ended; give its command again"
        ) from None
    except pa.ArrowInvalid:
        raise BlocksimError(path, "file", "not a table", "give a folder that blocksim sweep wrote") from None
    return frame


def arrow() -> tuple[Any, Any]:
    """Arrow and its Parquet files, which come with an extra."""
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise BlocksimError(
            "blocksim", "extra", "sweep is not installed", "pip install 'blocksim[sweep]'"
        ) from None
    return pa, parquet


def _as(value: Any, kind: type) -> Any:
    return None if value is None else kind(value)


OWN = (TABLE, HOLDOUT, FRONT, LOCK)
"""Files that lie in the folder itself."""


def _is_partial(path: Path) -> bool:
    """Whether a file is one of a sweep's own that was not finished."""
    return re.fullmatch(rf"({'|'.join(map(re.escape, OWN))})\.\d+{re.escape(PARTIAL)}", path.name) is not None


@contextmanager
def opened(out: Path) -> Iterator[Store]:
    """The folder of a sweep, which nobody else works in meanwhile.

    Raises
    ------
    BlocksimError
        If it holds what no sweep wrote, another sweep is at work there, or it cannot be written to.
    """
    if not out.name or out.name == "..":
        raise BlocksimError("command line", "--out", f"{out}", "give the name of a folder, such as sweep")
    if out.exists() and not out.is_dir():
        raise BlocksimError(out, "--out", "a file", "give a folder")
    try:
        there = sorted(out.iterdir()) if out.is_dir() else []
        foreign = [f.name for f in there if f.name not in (*OWN, ROWS, SHARED) and not _is_partial(f)]
        if foreign:
            raise BlocksimError(out, "--out", f"it holds {foreign[0]}", "not a sweep's; give another folder")
        for folder in (out / ROWS, out / SHARED):
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BlocksimError(out, "--out", "cannot be written", error.strerror or str(error)) from None
    with locked(out / LOCK):
        inside = [*(out / ROWS).glob(f"*{PARTIAL}"), *(out / SHARED).glob(f"*{PARTIAL}")]
        for left in (*(f for f in out.iterdir() if _is_partial(f)), *inside):
            left.unlink(missing_ok=True)  # of a sweep that was killed
        yield Store(out)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock that goes with the process, however it ends."""
    with path.open("w") as file:
        try:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:  # no such locks on this system
            pass
        except OSError:
            raise BlocksimError(
                path.parent, "--out", "another sweep is at work there", "wait for it, or give another folder"
            ) from None
        yield
