"""Precision plan, tiling, memory allocation and instruction emission: a graph becomes a trace."""

from __future__ import annotations

from pathlib import Path

from blocksim._version import __version__
from blocksim.compiler.assign import assign
from blocksim.compiler.constants import ConstantStore, encode_constants
from blocksim.compiler.emit import Emitter
from blocksim.compiler.precision import Precision
from blocksim.compiler.tiling import Tiling, tile_matmul, tile_vector
from blocksim.errors import BlocksimError
from blocksim.graph.ir import (
    Axes,
    Elementwise,
    Graph,
    Host,
    Lut,
    Matmul,
    Norm,
    Operand,
    Operator,
    Softmax,
    out_of,
)
from blocksim.trace.file import Trace
from blocksim.trace.manifest import (
    InputSpec,
    Manifest,
    OperandSpec,
    OpSpec,
    OutputSpec,
    SourceSpec,
    TensorSpec,
)
from hwmodels.machines import Machine
from hwmodels.units.norm import epsilon_of

__all__ = ["Precision", "compile_graph"]


def compile_graph(
    graph: Graph, machine: Machine, precision: Precision, strict: bool = False, where: str | None = None
) -> Trace:
    """Compile a graph for a machine under a precision plan.

    Parameters
    ----------
    graph : Graph
    machine : Machine
    precision : Precision
    strict : bool
        Refuse a model of which the host computes multiply-accumulates.
    where : str, optional
        The machine's file, for messages.

    Returns
    -------
    Trace

    Raises
    ------
    BlocksimError
        If the plan does not fit the model, or a memory is too small for an operator.
    """
    if all(isinstance(op, Host) for op in graph.operators):
        raise BlocksimError(
            graph.source,
            "graph",
            "no operator of the datapath",
            "it needs a product, softmax, norm, GELU or add",
        )
    if strict:
        _refuse_host_macs(graph)
    specs = assign(graph, precision)
    tilings = {op.name: _tiling(op, machine, specs) for op in graph.operators if not isinstance(op, Host)}
    store = encode_constants(graph, precision, tilings)
    tables = _add_tables(graph, machine, store)
    for op in graph.operators:
        if isinstance(op, Host):
            store.add_bytes(f"{op.name}.model", op.model, "host")
    operators = tuple(_op_spec(op, graph, tilings, tables) for op in graph.operators)
    kept = {o.tensor for o in graph.outputs}
    emitter = Emitter(machine, specs, store, tilings, kept, where or machine.name)
    program = emitter.run(operators)
    manifest = Manifest(
        blocksim=__version__,
        model=Path(graph.source).name,
        precision=precision.name,
        formats={role: form.name for role, form in precision.roles.items()},
        machine=machine,
        inputs=tuple(InputSpec(name=i.name, shape=i.shape, dtype=i.dtype) for i in graph.inputs),
        outputs=tuple(
            OutputSpec(
                name=output.name,
                tensor=output.tensor,
                axes=_plain(output.axes),
                scale=graph.tensors[output.tensor].scale,
            )
            for output in graph.outputs
        ),
        tensors=specs,
        constants=store.specs,
        operators=operators,
        scales={name: t.scale for name, t in graph.tensors.items() if t.scale != 1.0},
        dram=dict(emitter.dram),
        dram_bytes=emitter.dram_end,
        peak_activation_bytes=emitter.activations.peak,
        lost_constants=store.lost,
    )
    return Trace(manifest, program, dict(store.sections))


def _refuse_host_macs(graph: Graph) -> None:
    for op in graph.operators:
        if isinstance(op, Host) and op.macs:
            raise BlocksimError(
                graph.source,
                op.name,
                "/".join(op.op_types),
                f"its {op.macs:,} multiply-accumulates would run on the host; leave --strict off to allow it",
            )


def _add_tables(graph: Graph, machine: Machine, store: ConstantStore) -> dict[str, int]:
    """Place every table that the graph needs; their addresses in the units' table memory."""
    contents: dict[str, tuple[int, ...]] = {}
    for op in graph.operators:
        if isinstance(op, Softmax):
            contents["table.exp2"] = machine.softmax_config.exp2
            contents["table.reciprocal"] = machine.softmax_config.reciprocal
        elif isinstance(op, Norm):
            contents["table.root"] = machine.norm_config.root
        elif isinstance(op, Lut):
            contents[f"table.{op.function}"] = machine.lut_config(op.function).table
    addresses, end = {}, 0
    for name, table in contents.items():
        store.add_table(name, table)
        addresses[name] = end
        end += store.specs[name].size
    return addresses


def _tiling(op: Operator, machine: Machine, specs: dict[str, TensorSpec]) -> Tiling:
    """How an operator of the datapath is cut into instructions."""
    out = specs[out_of(op)]
    if isinstance(op, Matmul):
        return tile_matmul(machine, out, op.m, op.n)
    kind = op.kind if isinstance(op, Elementwise) else type(op).__name__.lower()
    return tile_vector(machine, out, -(-machine.wide_bits(kind) // 8))


def _op_spec(op: Operator, graph: Graph, tilings: dict[str, Tiling], tables: dict[str, int]) -> OpSpec:
    """An operator as the trace describes it."""
    if isinstance(op, Host):
        return OpSpec(
            name=op.name, kind="host", out=OperandSpec(tensor=op.out), op_types=op.op_types,
            model=f"{op.name}.model", macs=op.macs, out_axes=_plain(graph.tensors[op.out].axes),
            sources=tuple(
                SourceSpec(value=s.value, source=s.source, axes=_plain(s.axes)) for s in op.sources
            ),
        )  # fmt: skip
    spill = tilings[op.name].spill
    if isinstance(op, Matmul):
        return OpSpec(
            name=op.name, kind="matmul", a=_operand(op.a), b=_operand(op.b) if op.b else None,
            out=_operand(op.out), weight=op.weight, bias=op.bias,
            groups=op.groups, m=op.m, k=op.k, n=op.n, spill=spill,
        )  # fmt: skip
    out, a = OperandSpec(tensor=op.out), OperandSpec(tensor=op.a)
    if isinstance(op, Norm):
        columns = graph.tensors[op.a].columns
        return OpSpec(
            name=op.name, kind="norm", a=a, out=out, weight=op.gamma, bias=op.beta,
            epsilon=epsilon_of(op.epsilon, columns), centred=op.centred,
            tables={"table.root": tables["table.root"]}, spill=spill,
        )  # fmt: skip
    if isinstance(op, Softmax):
        used = {name: tables[name] for name in ("table.exp2", "table.reciprocal")}
        return OpSpec(name=op.name, kind="softmax", a=a, out=out, tables=used, spill=spill)
    if isinstance(op, Lut):
        name = f"table.{op.function}"
        return OpSpec(
            name=op.name, kind="lut", a=a, out=out, function=op.function,
            tables={name: tables[name]}, spill=spill,
        )  # fmt: skip
    assert isinstance(op, Elementwise)
    return OpSpec(
        name=op.name, kind="add" if op.kind == "add" else "mul", a=a,
        b=OperandSpec(tensor=op.b) if op.b else None,
        out=out, constant=op.constant, spill=spill,
    )  # fmt: skip


def _operand(o: Operand) -> OperandSpec:
    return OperandSpec(
        tensor=o.tensor, row_step=o.row_step, column_step=o.column_step, transposed=o.transposed
    )


def _plain(axes: Axes) -> tuple[tuple[int, int, int], ...]:
    return tuple((a.size, a.row_step, a.column_step) for a in axes)
