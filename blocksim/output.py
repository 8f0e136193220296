"""Output: written beside its place, renamed when whole; nothing that blocksim did not write is replaced."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from blocksim.errors import BlocksimError

OWN = {
    "report.json", "report.html", "layers.csv", "COMPUTE_REPORT.csv", "model.trace", "scores.csv",
    "outputs.npz", "counts.csv", "comparison.csv", "weights.csv", "operators.csv",
}  # fmt: skip
"""Files that a run writes; a demo has folders of these."""

KEPT = (".json", ".packed", ".safetensors", ".partial")
"""How the names of files end that an interrupted command has left to go on from."""


def foreign_files(folder: Path) -> list[str]:
    """What lies in a folder that blocksim did not write."""
    foreign = []
    for entry in sorted(folder.iterdir()):
        if entry.is_dir() and not entry.is_symlink():
            inside = foreign_files(entry)
            foreign += [f"{entry.name}/{name}" for name in inside]
        elif entry.name not in OWN:
            foreign.append(entry.name)
    return foreign


def _replaceable(out: Path, folder: Path) -> None:
    foreign = foreign_files(folder)
    if foreign:
        raise BlocksimError(
            out,
            "--out",
            f"{folder.name} holds {foreign[0]}",
            "not blocksim's; give another folder",
        )


def partial_of(out: Path) -> Path:
    """Where an output lies until it is whole: ``<out>.partial``."""
    return out.with_name(out.name + ".partial")


@contextmanager
def output_folder(out: Path, force: bool) -> Iterator[Path]:
    """A folder to write to; it becomes `out` when the block ends well, and is removed otherwise.

    Parameters
    ----------
    out : Path
        Where the output goes; it is written to ``<out>.partial`` first.
    force : bool
        Replace a folder that an earlier run wrote, if it holds nothing else.

    Raises
    ------
    BlocksimError
        If `out` exists and must not be replaced, or cannot be written.
    """
    if not out.name or out.name == "..":
        raise BlocksimError("command line", "--out", f"{out}", "give the name of a folder, such as run")
    partial = partial_of(out)
    try:
        if out.is_symlink() or (out.exists() and not out.is_dir()):
            kind = "a link" if out.is_symlink() else "a file"
            raise BlocksimError(out, "--out", kind, "give a folder")
        if out.is_dir():
            if not force and any(out.iterdir()):
                raise BlocksimError(out, "--out", "exists", "give another folder, or --force to replace it")
            _replaceable(out, out)
        if partial.exists():
            _replaceable(out, partial)
            shutil.rmtree(partial)
        partial.mkdir(parents=True)
    except OSError as error:
        raise BlocksimError(out, "--out", "cannot be written", error.strerror or str(error)) from None
    try:
        yield partial
        try:
            if out.is_dir():
                _replaceable(out, out)
                shutil.rmtree(out)
            partial.rename(out)
        except OSError as error:
            raise BlocksimError(out, "--out", "cannot be written", error.strerror or str(error)) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def refuse_existing(out: Path) -> None:
    """Refuse to write over a file, whoever wrote it."""
    if out.exists():
        raise BlocksimError(out, "--out", "exists", "give another file")


@contextmanager
def output_file(out: Path) -> Iterator[Path]:
    """A new file beside `out` to write to; it becomes `out` when the block ends well.

    Raises
    ------
    BlocksimError
        If the folder of `out` cannot be written to.
    """
    try:
        handle, name = tempfile.mkstemp(prefix=f"{out.name}.", suffix=".partial", dir=out.parent)
        os.close(handle)
    except OSError as error:
        raise BlocksimError(out, "file", "cannot be written", error.strerror or str(error)) from None
    partial = Path(name)
    try:
        yield partial
        partial.chmod(0o644)
        partial.replace(out)
    except OSError as error:
        raise BlocksimError(out, "file", "cannot be written", error.strerror or str(error)) from None
    finally:
        partial.unlink(missing_ok=True)


def replace_whole(path: Path, data: bytes) -> None:
    """Write a file beside its place, and put it there when it is whole: no reader sees a part of it."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    partial.write_bytes(data)
    partial.replace(path)


@contextmanager
def kept_folder(out: Path) -> Iterator[Path]:
    """The folder ``<out>.partial`` for what a long command has done, to go on from when it is given again.

    It is gone when the block ends well or is refused, and stays when the block is interrupted.

    Raises
    ------
    BlocksimError
        If the folder cannot be made, or holds what blocksim did not write.
    """
    folder = partial_of(out)
    if folder.exists() and not folder.is_dir():
        raise BlocksimError(out, "--out", f"{folder.name} is a file", "not blocksim's; give another name")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        foreign = sorted(f.name for f in folder.iterdir() if f.is_dir() or f.suffix not in KEPT)
    except OSError as error:
        raise BlocksimError(out, "--out", "cannot be written", error.strerror or str(error)) from None
    if foreign:
        raise BlocksimError(
            out, "--out", f"{folder.name} holds {foreign[0]}", "not blocksim's; give another name"
        )
    try:
        yield folder
    except BlocksimError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)


class Kept(Exception):  # noqa: N818 (no error: it says where an interrupted command goes on from)
    """An interruption that left a folder to go on from."""


@contextmanager
def goes_on_from(folder: Path) -> Iterator[None]:
    """Say of an interruption where what is done lies, for a command line."""
    try:
        yield
    except KeyboardInterrupt:
        if folder.is_dir():
            raise Kept(folder) from None
        raise
