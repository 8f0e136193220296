"""Compiling: the units' own ops become callable from compiled loops, and the loops are cached.

Numba's cache does not notice a changed helper in another file, so the cache folder is keyed by a
hash of all hwmodels sources and the Numba version. Ranges are asserted in the plain reading only.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, TypeVar, cast

import numba
import platformdirs
from numba.extending import intrinsic, overload, register_jitable

from hwmodels.units import (
    accumulator,
    aligner,
    elementwise,
    encoder,
    lut,
    norm,
    ops,
    prescan,
    product,
    requantizer_lane,
    softmax,
)

F = TypeVar("F", bound=Callable[..., Any])


def cache_folder() -> Path:
    """Where compiled kernels lie: ``$BLOCKSIM_CACHE`` or the user's cache, keyed by what they are made of.

    That is the sources, the compiler, and the microkernel and the checks that are asked for.
    """
    root = os.environ.get("BLOCKSIM_CACHE") or platformdirs.user_cache_dir("blocksim", appauthor=False)
    asked = [os.environ.get(name, "") for name in ("BLOCKSIM_MICROKERNEL", "BLOCKSIM_CHECKED")]
    made_of = " ".join([numba.__version__, *asked])
    digest = hashlib.sha256(made_of.encode())
    package = Path(__file__).resolve().parent.parent
    for source in sorted(package.rglob("*.py")):
        digest.update(source.relative_to(package).as_posix().encode())
        digest.update(source.read_bytes())
    return Path(root) / digest.hexdigest()[:16]


_CACHE = str(cache_folder())


def kernel(function: F) -> F:
    """Compile a loop on first use, without the interpreter's lock, cached across processes."""
    config: Any = numba.config
    before = config.CACHE_DIR  # read only while a function is decorated, so put back after
    config.CACHE_DIR = _CACHE
    try:
        return cast("F", numba.njit(cache=True, nogil=True)(function))
    finally:
        config.CACHE_DIR = before


def emitted(function: Callable[..., Any]) -> Any:
    """Let a kernel call what writes its instructions itself: an intrinsic, in Numba's words."""
    return intrinsic(function)


def _identity_of_fits(name: str) -> None:
    @overload(getattr(ops, name), inline="always")
    def unchecked(x: int, bits: int) -> Callable[[int, int], int]:
        def first(x: int, bits: int) -> int:  # numba compares the signatures, annotations included
            return x

        return first


def _register(module: ModuleType, skip: tuple[str, ...] = ()) -> None:
    """Make a unit's functions callable from kernels; what a kernel never calls is never compiled."""
    for name, function in vars(module).items():
        if isinstance(function, FunctionType) and function.__module__ == module.__name__ and name not in skip:
            register_jitable(function)


UNCHECKED = ("fits", "fits_unsigned")
"""Ops that only assert a range: in a kernel they are their first argument."""

for _name in UNCHECKED:
    _identity_of_fits(_name)
_register(ops, skip=UNCHECKED)
for _module in (
    aligner, accumulator, prescan, product, requantizer_lane, encoder, lut, softmax, norm, elementwise,
):  # fmt: skip
    _register(_module)
