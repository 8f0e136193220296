"""Output folders: written beside their place, renamed when whole, never overwritten unasked."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from blocksim.errors import BlocksimError

OWN = {"report.json", "report.html", "layers.csv"}


@contextmanager
def output_folder(out: Path, force: bool) -> Iterator[Path]:
    """A folder to write to; it becomes `out` when the block ends well, and is removed otherwise.

    Parameters
    ----------
    out : Path
        Where the output goes.
    force : bool
        Replace a folder that an earlier run wrote.

    Raises
    ------
    BlocksimError
        If `out` exists and must not be replaced, or cannot be written.
    """
    if out.exists():
        if not out.is_dir():
            raise BlocksimError(out, "--out", "a file", "give a folder")
        names = {p.name for p in out.iterdir()}
        if not force and names:
            raise BlocksimError(out, "--out", "exists", "give another folder, or --force to replace it")
        if names and not names & OWN:
            raise BlocksimError(out, "--out", "not a folder of blocksim's", "give another folder")
    partial = out.with_name(out.name + ".partial")
    try:
        if partial.exists():
            shutil.rmtree(partial)
        partial.mkdir(parents=True)
    except OSError as error:
        raise BlocksimError(out, "--out", "cannot be written", error.strerror or str(error)) from None
    try:
        yield partial
        if out.exists():
            shutil.rmtree(out)
        partial.rename(out)
    except OSError as error:
        raise BlocksimError(out, "--out", "cannot be written", error.strerror or str(error)) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
