"""What the words of a command line stand for: arrays, classes, sizes, and a model with its inputs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from blocksim.errors import BlocksimError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from blocksim.experiment import Experiment


def arrays(path: Path) -> dict[str, NDArray[Any]] | NDArray[Any]:
    """The arrays of an .npz, or the one array of an .npy."""
    import numpy as np

    loaded = _load(path)
    if isinstance(loaded, np.ndarray):
        return loaded
    with loaded:
        try:
            return {name: loaded[name] for name in loaded.files}
        except (ValueError, OSError, KeyError) as error:
            raise BlocksimError(path, "file", "unreadable", str(error)) from None


def classes(path: Path) -> NDArray[np.integer]:
    """The right class of each sample."""
    from blocksim.engine.boundary import as_classes

    return as_classes(_load(path), path)


def _load(path: Path) -> Any:
    import zipfile

    import numpy as np

    if not path.is_file():
        what = "a folder" if path.is_dir() else "missing"
        raise BlocksimError(path, "file", what, "give the path of an .npz or .npy file")
    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile):
        raise BlocksimError(
            path, "file", "not a whole .npz or .npy of numbers", "write it with numpy.savez"
        ) from None


def bindings(bind: list[str] | None) -> dict[str, int]:
    """Sizes of free dimensions, from ``name=size``."""
    sizes = {}
    for text in bind or []:
        name, equals, size = text.partition("=")
        if not (name and equals and size.isdigit() and 0 < int(size) < 1 << 31):
            raise BlocksimError("command line", "--bind", text, "give NAME=SIZE, such as seq=128")
        sizes[name] = int(size)
    return sizes


def experiment_of(
    model: Path,
    inputs: Path,
    labels: Path | None,
    bind: list[str] | None,
    threads: int | None,
    weights: str | None,
    calibration: Path | None,
) -> Experiment:
    """A model with its inputs, and with what else was given."""
    from blocksim.experiment import Experiment

    given, right = arrays(inputs), None if labels is None else classes(labels)
    samples = None if calibration is None else arrays(calibration)
    made = Experiment(
        model, given, right, bindings(bind), threads, True, inputs, labels or "labels", weights, samples
    )
    note_compilation()
    return made


def note_compilation() -> None:
    """Say why the first run takes longer."""
    from hwmodels.kernels.jit import cache_folder

    if not cache_folder().exists():
        typer.echo("compiling kernels, once for this version", err=True)
