"""Weights that lie beside an ONNX file: external data, as models of more than 2 GB have it."""

from __future__ import annotations

from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
import onnx
from onnx.external_data_helper import ExternalDataInfo, uses_external_data

from blocksim.errors import BlocksimError
from blocksim.graph.unread import Matrix, Unread
from blocksim.graph.weights import finite
from blocksim.stretches import Stretch


def is_beside(tensor: onnx.TensorProto) -> bool:
    """Whether a tensor's values lie in another file."""
    return bool(uses_external_data(tensor))


def weight_beside(path: Path, tensor: onnx.TensorProto) -> Unread:
    """The float32 values of a tensor that lie beside the ONNX file `path`.

    Raises
    ------
    BlocksimError
        If its file is missing or too short, or lies elsewhere than beside the model.
    """
    stretch, shape = _stretch(path, tensor), tuple(tensor.dims)
    stat = stretch.path.stat()
    identity = f"{stretch.path.resolve()} {stat.st_size} {stat.st_mtime_ns} {stretch.start} {shape}"
    return Unread(shape, partial(_read, path, tensor.name, stretch, shape), identity)


def bring_in(path: Path, tensor: onnx.TensorProto) -> None:
    """Put the values of a tensor that lie beside the ONNX file `path` into the tensor."""
    tensor.raw_data = _stretch(path, tensor).read()
    tensor.data_location = onnx.TensorProto.DEFAULT
    del tensor.external_data[:]


def _stretch(path: Path, tensor: onnx.TensorProto) -> Stretch:
    info = ExternalDataInfo(tensor)
    where = PurePosixPath(info.location)
    if where.is_absolute() or ".." in where.parts:
        raise BlocksimError(path, tensor.name, info.location, "external data must lie beside the model")
    file = path.parent / where
    size = (
        int(np.prod(tensor.dims, dtype=np.int64))
        * onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    )
    if not file.is_file():
        raise BlocksimError(path, tensor.name, f"{info.location} missing", "put it beside the model")
    start = int(info.offset or 0)
    if file.stat().st_size < start + size:
        raise BlocksimError(path, tensor.name, f"{info.location} too short", "download it again")
    return Stretch(file, start, size)


def _read(path: Path, name: str, stretch: Stretch, shape: tuple[int, ...]) -> Matrix:
    return finite(path, name, np.frombuffer(stretch.read(), "<f4").reshape(shape))
