"""The typed graph: what one sample of a transformer does, in the operators of the datapath.

Every activation is a matrix of one sample, ``rows x columns``. Heads are stretches of rows or columns
that an operand walks over in groups; blocks never leave such a stretch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from blocksim.graph.unread import Matrix, Weight


@dataclass(frozen=True)
class Axis:
    """One axis of an ONNX value, as a walk over its tensor's matrix."""

    size: int
    row_step: int
    column_step: int


Axes = tuple[Axis, ...]


@dataclass(frozen=True)
class Tensor:
    """An activation.

    Attributes
    ----------
    name : str
        The operator that produces it, or the graph input.
    rows, columns : int
    row_period, column_period : int
        Stretch of rows and columns that no block leaves (a head).
    reference : str
        ONNX value that holds it.
    axes : tuple of Axis
        How that value's axes walk over the matrix.
    scale : float
        Factor from the reference to this tensor, where a constant was folded into weights.
    tokens : int
        Where the rows are the tokens of a padded sequence, group after group: how many a group has.
        Rows of absent tokens are zero. Else 0.
    """

    name: str
    rows: int
    columns: int
    row_period: int
    column_period: int
    reference: str
    axes: Axes
    scale: float = 1.0
    tokens: int = 0

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the ONNX value."""
        return tuple(a.size for a in self.axes)

    def to_matrix(self, value: NDArray[np.floating]) -> Matrix:
        """The ONNX value as this tensor's matrix, `scale` applied."""
        matrix = np.empty((self.rows, self.columns), np.float32)
        self._walk(matrix)[...] = value
        return matrix * np.float32(self.scale)

    def to_value(self, matrix: NDArray[np.floating]) -> Matrix:
        """The matrix as the ONNX value, `scale` taken off."""
        return (self._walk(np.ascontiguousarray(matrix)) / self.scale).astype(np.float32)

    def _walk(self, matrix: NDArray[Any]) -> NDArray[Any]:
        """A contiguous matrix seen along the value's axes, each with its steps through rows and columns."""
        steps = [(a.row_step * self.columns + a.column_step) * matrix.itemsize for a in self.axes]
        return as_strided(matrix, self.shape, steps)


@dataclass(frozen=True)
class Operand:
    """A tensor as one operand of a MATMUL: for group g, a matrix at ``g * (row_step, column_step)``.

    `transposed` says that the reduction runs along the tensor's rows.
    """

    tensor: str
    row_step: int = 0
    column_step: int = 0
    transposed: bool = False


@dataclass(frozen=True)
class Matmul:
    """``out[g] = a[g] x b[g]^T + bias``: a is (m, k), b is (n, k) as weights are, for each group."""

    name: str
    a: Operand
    b: Operand | None
    weight: str | None
    bias: str | None
    out: Operand
    groups: int
    m: int
    k: int
    n: int


@dataclass(frozen=True)
class Elementwise:
    """``out = a + b`` or ``a * b``; b is a tensor or a constant, of as many columns."""

    name: str
    kind: str
    a: str
    b: str | None
    constant: str | None
    out: str


@dataclass(frozen=True)
class Norm:
    """LayerNorm (`centred`) or RMSNorm of every row."""

    name: str
    a: str
    gamma: str
    beta: str
    epsilon: float
    centred: bool
    out: str


@dataclass(frozen=True)
class Softmax:
    """Softmax of every row over the keys that take part.

    `mask` names a constant of ones and zeros, (rows, columns): keys that every sample takes or leaves.
    `padded` says that the keys are tokens, of which those that are absent are left out.
    """

    name: str
    a: str
    out: str
    mask: str | None = None
    padded: bool = False


@dataclass(frozen=True)
class Gather:
    """Rows of a table by the numbers of an integer input."""

    name: str
    table: str
    ids: str
    out: str


@dataclass(frozen=True)
class Lut:
    """An element-wise function by table."""

    name: str
    function: str
    a: str
    out: str


@dataclass(frozen=True)
class HostSource:
    """An input of host nodes: the ONNX value, what feeds it, and its walk over that tensor.

    `axes` is empty where a graph input feeds it.
    """

    value: str
    source: str
    axes: Axes = ()


@dataclass(frozen=True)
class Host:
    """What the machine lacks: ONNX nodes that run in fp32 on the host.

    Attributes
    ----------
    name : str
    op_types : tuple of str
        ONNX operator types.
    model : bytes
        A model of exactly these nodes; its inputs are `sources`, its output the tensor's reference.
    sources : tuple of HostSource
    out : str
    macs : int
    """

    name: str
    op_types: tuple[str, ...]
    model: bytes
    sources: tuple[HostSource, ...]
    out: str
    macs: int


Operator = Matmul | Elementwise | Norm | Softmax | Lut | Gather | Host


@dataclass(frozen=True)
class GraphInput:
    """A graph input of one sample, its leading axis 1."""

    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class GraphOutput:
    """A graph output: the tensor that holds it, and how its axes walk over the matrix."""

    name: str
    tensor: str
    axes: Axes


@dataclass(frozen=True)
class Graph:
    """One sample of a model.

    Attributes
    ----------
    source : str
        The file it came from.
    inputs : tuple of GraphInput
    outputs : tuple of GraphOutput
    tensors : dict of str to Tensor
    operators : tuple of Operator
        In an order in which they can run.
    constants : dict of str to float32 array, read or not, see `constant`
    canonical : bytes
        The canonical ONNX graph without large weights, for the fp32 reference.
    weights : dict of str to float32 array, read or not
        The weights that `canonical` is without.
    free_batch : bool
        Whether the file leaves the batch free, so that samples can be given together.
    padding : str
        The input that says which tokens are there; empty where all are.
    holes : bool
        Whether tokens may be absent before others that are there.
    filled : dict of str to float32 array, read or not
        What a weight source put into the file's inputs.
    """

    source: str
    inputs: tuple[GraphInput, ...]
    outputs: tuple[GraphOutput, ...]
    tensors: dict[str, Tensor]
    operators: tuple[Operator, ...]
    constants: dict[str, Weight] = field(repr=False)
    canonical: bytes = field(repr=False)
    weights: dict[str, Weight] = field(repr=False)
    free_batch: bool
    padding: str = ""
    holes: bool = True
    filled: dict[str, Weight] = field(default_factory=dict, repr=False)

    def constant(self, name: str) -> Matrix:
        """The values of a constant; of one that is unread they are read now."""
        return np.asarray(self.constants[name])

    def matmuls(self) -> Iterator[Matmul]:
        """The products, in order."""
        return (op for op in self.operators if isinstance(op, Matmul))

    @property
    def datapath_macs(self) -> int:
        """Multiply-accumulates of one sample on the datapath."""
        return sum(op.groups * op.m * op.k * op.n for op in self.matmuls())

    @property
    def host_macs(self) -> int:
        """Multiply-accumulates of one sample on the host."""
        return sum(op.macs for op in self.operators if isinstance(op, Host))


def sources_of(op: Operator) -> tuple[str, ...]:
    """The tensors that an operator reads."""
    if isinstance(op, Matmul):
        return (op.a.tensor,) if op.b is None else (op.a.tensor, op.b.tensor)
    if isinstance(op, Elementwise):
        return (op.a,) if op.b is None else (op.a, op.b)
    if isinstance(op, Host):
        return tuple(s.source for s in op.sources)
    return () if isinstance(op, Gather) else (op.a,)


def out_of(op: Operator) -> str:
    """The tensor that an operator writes."""
    return op.out.tensor if isinstance(op, Matmul) else op.out
