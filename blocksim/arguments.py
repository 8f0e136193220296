"""What the words of a command line stand for: arrays, classes, sizes of dimensions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from blocksim.errors import BlocksimError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


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
    import numpy as np

    loaded = _load(path)
    if not isinstance(loaded, np.ndarray) or loaded.ndim != 1 or loaded.dtype.kind not in "iu":
        raise BlocksimError(path, "--labels", "not a vector of integers", "give an .npy of shape (N,)")
    return loaded


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
