"""Precision plan, tiling, memory allocation and instruction emission: a graph becomes a trace."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from blocksim._version import __version__
from blocksim.compiler.assign import Assignment, Calibration, assign
from blocksim.compiler.cache import ConstantCache
from blocksim.compiler.constants import ConstantStore, encode_constants
from blocksim.compiler.describe import Describer, plain
from blocksim.compiler.emit import Emitter
from blocksim.compiler.precision import Precision
from blocksim.compiler.tiling import Tiling, tile_elements, tile_matmul, tile_rows, tile_vector
from blocksim.errors import BlocksimError
from blocksim.graph.ir import Elementwise, Gather, Graph, Host, Lut, Matmul, Norm, Operator, Softmax, out_of
from blocksim.trace.file import Trace
from blocksim.trace.manifest import InputSpec, Manifest, OutputSpec
from blocksim.trace.sections import Sections
from hwmodels.machines import Machine
from hwmodels.units.array_cycles import RAW_DEPTH_BITS
from hwmodels.units.norm import LENGTH_BITS

__all__ = ["Calibration", "ConstantCache", "Precision", "compile_graph"]


def compile_graph(
    graph: Graph,
    machine: Machine,
    precision: Precision,
    strict: bool = False,
    where: str | None = None,
    calibration: Calibration | None = None,
    cache: ConstantCache | None = None,
    progress: Callable[[int], None] | None = None,
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
    calibration : dict of str to float, optional
        The largest magnitude of each tensor over calibration samples, for static exponents and scales.
    cache : ConstantCache, optional
        Packed constants of earlier compilations of the same model.
    progress : callable, optional
        Told of operators: of each once when its constants are packed, and once when it is emitted.

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
    assignment = assign(graph, machine, precision, calibration)
    _refuse_long_rows(graph, assignment)
    on_datapath = {op.name: op for op in graph.operators if not isinstance(op, Host)}

    def retile(name: str, at_most: int | None = None) -> Tiling:
        return _tiling(on_datapath[name], machine, precision, assignment, at_most)

    tilings = {name: retile(name) for name in on_datapath}
    store = encode_constants(graph, precision, assignment, tilings, cache, progress)
    tables = _add_tables(graph, machine, store)
    for op in graph.operators:
        if isinstance(op, Host):
            store.add_bytes(f"{op.name}.model", op.model, "host")
    describe = Describer(graph, assignment, store, tables)
    operators = tuple(describe(op) for op in graph.operators)
    kept = {o.tensor for o in graph.outputs}
    emitter = Emitter(
        machine, assignment.specs, store, lambda op, most: retile(op.name, most), kept, where or machine.name
    )
    program = emitter.run(operators, progress)
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
                axes=plain(output.axes),
                scale=graph.tensors[output.tensor].scale,
            )
            for output in graph.outputs
        ),
        tensors=assignment.specs,
        constants=store.specs,
        operators=operators,
        scales={name: t.scale for name, t in graph.tensors.items() if t.scale != 1.0},
        dram={name: at for name, at in emitter.res.dram.items() if name in assignment.specs},
        dram_bytes=emitter.res.dram_end,
        peak_activation_bytes=emitter.activations.peak,
        lost_constants=store.lost,
        padding=graph.padding,
        holes=graph.holes,
    )
    return Trace(manifest, program, Sections(store.sections))


def _refuse_host_macs(graph: Graph) -> None:
    for op in graph.operators:
        if isinstance(op, Host) and op.macs:
            raise BlocksimError(
                graph.source,
                op.name,
                "/".join(op.op_types),
                f"its {op.macs:,} multiply-accumulates would run on the host; leave --strict off to allow it",
            )


def _refuse_long_rows(graph: Graph, assignment: Assignment) -> None:
    """What the counters of the norm unit and the raw sums of the array have no room for."""
    for op in graph.operators:
        if isinstance(op, Norm):
            length, limit, what = assignment.specs[op.a].columns, 1 << LENGTH_BITS, "elements in a row"
        elif isinstance(op, Matmul):
            length, limit, what = op.k, 1 << RAW_DEPTH_BITS, "products in a sum"
        else:
            continue
        if length >= limit:
            raise BlocksimError(graph.source, op.name, f"{length:,} {what}", f"give fewer than {limit:,}")


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


def _tiling(
    op: Operator, machine: Machine, precision: Precision, assignment: Assignment, at_most: int | None
) -> Tiling:
    """How an operator of the datapath is cut into instructions."""
    forms = [assignment.specs[out_of(op)]]
    twin = assignment.copy(out_of(op))
    if twin is not None:
        forms.append(assignment.specs[twin])
    if isinstance(op, Matmul):
        a_bits = assignment.specs[assignment.operand(op.a.tensor)].bits
        if op.b is not None:
            w_bits = assignment.specs[assignment.operand(op.b.tensor)].bits
        else:
            assert op.weight is not None
            w_bits = precision.of("weight", op.weight).bits
        return tile_matmul(machine, forms, op.m, op.n, (a_bits, w_bits), at_most)
    if isinstance(op, Gather):
        return tile_rows(forms[0], at_most)
    kind = op.kind if isinstance(op, Elementwise) else type(op).__name__.lower()
    tile = tile_elements if isinstance(op, Elementwise | Lut) else tile_vector
    return tile(machine, forms, machine.buffer_bytes(kind), at_most)
