"""One model and its samples, for many configurations."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from blocksim import compiler
from blocksim.compiler import precision as plans
from blocksim.compiler.cache import ConstantCache
from blocksim.compiler.precision import Precision
from blocksim.engine.boundary import as_classes, check_inputs, looked_up
from blocksim.engine.schedule import Schedules
from blocksim.errors import BlocksimError
from blocksim.graph import Graph, import_onnx
from blocksim.graph.ir import Gather
from blocksim.graph.reference import Reference, peaks, refuse_mixed_batch
from blocksim.graph.weights import weight_source
from blocksim.measure.figures import Measurement
from blocksim.measure.mechanism import mechanisms
from blocksim.measure.run import LAYER_SAMPLES, measure, measure_fp32
from blocksim.report.progress import progress_bar
from blocksim.report.report import Report
from blocksim.trace import Trace
from blocksim.yamlfile import costs_for, load_machine
from hwmodels.costs import CostTable
from hwmodels.machines import Machine

if TYPE_CHECKING:
    import pandas as pd

Arrays = Mapping[str, NDArray[Any]]


class Experiment:
    """One model and its samples: imported once, with one fp32 reference for all configurations.

    Parameters
    ----------
    model : path
        An ONNX file.
    inputs : dict of str to array, or array
        Graph inputs, leading axis N; a bare array for a model with one input.
    labels : int array, shape (N,), optional
        Right classes, for accuracy.
    bind : dict of str to int, optional
        Sizes of free dimensions other than the batch; else they are those of the inputs.
    threads : int, optional
        Threads for execution; all cores by default. The bits do not depend on it.
    progress : bool
        Show progress bars.
    inputs_name, labels_name : object
        Their files, for messages.
    weights : str or path, optional
        What fills a skeleton: a safetensors or ONNX file, or ``generator[:SEED]``.
    calibration : dict of str to array, optional
        Samples other than `inputs`, for plans and machines with static scales or exponents.
    reference : dict of str to float32 array, optional
        The fp32 outputs of `inputs`, where they are known.
    peaks : dict of str to float, optional
        What `calibrate` has found, where that is known.

    Raises
    ------
    BlocksimError
        If the model, the inputs or the labels cannot be used.
    """

    def __init__(
        self,
        model: str | Path,
        inputs: Arrays | NDArray[Any],
        labels: NDArray[np.integer] | None = None,
        bind: Mapping[str, int] | None = None,
        threads: int | None = None,
        progress: bool = False,
        inputs_name: object = "inputs",
        labels_name: object = "labels",
        weights: str | Path | None = None,
        calibration: Arrays | NDArray[Any] | None = None,
        reference: Mapping[str, NDArray[np.float32]] | None = None,
        peaks: Mapping[str, float] | None = None,
    ) -> None:
        if threads is not None and threads < 1:
            raise BlocksimError("command line", "--threads", threads, "give 1 or more")
        source = None if weights is None else weight_source(weights)
        given = inputs if isinstance(inputs, Mapping) else {"": inputs}
        shapes = {name: np.shape(array) for name, array in given.items()}
        self.graph = import_onnx(model, dict(bind or {}), source, shapes)
        self._calibration, self._reference, self._peaks = calibration, reference, peaks
        self.constants, self.schedules = ConstantCache(), Schedules()
        if not isinstance(inputs, Mapping):
            inputs = {self.graph.inputs[0].name: inputs}
        self.inputs = check_inputs(self.graph.inputs, inputs, inputs_name)
        for op in self.graph.operators:
            if isinstance(op, Gather):
                looked_up(self.inputs[op.ids], self.graph.constants[op.table].shape[0], op.name, inputs_name)
        self.samples = len(next(iter(self.inputs.values())))
        if labels is not None:
            labels = as_classes(labels, labels_name)
            self._check_labels(labels, labels_name)
        self.labels = labels
        self.threads = threads if threads is not None else os.cpu_count() or 1
        self.progress = progress

    def _check_labels(self, labels: NDArray[np.integer], where: object) -> None:
        """Labels are classes of the first output, (N, classes), one per sample."""
        output = self.graph.outputs[0]
        shape = tuple(axis.size for axis in output.axes)
        if len(shape) != 2:
            shown = ", ".join(str(s) for s in shape[1:])
            raise BlocksimError(
                where, output.name, f"shape (N, {shown})", "labels need an output of shape (N, classes)"
            )
        if len(labels) != self.samples:
            raise BlocksimError(where, "length", len(labels), f"there are {self.samples} samples")
        wrong = labels[(labels < 0) | (labels >= shape[1])]
        if len(wrong):
            raise BlocksimError(where, "label", wrong[0], f"classes are 0 to {shape[1] - 1}")

    @cached_property
    def fp32(self) -> Reference:
        """What gives the outputs and every tensor in fp32."""
        return Reference(self.graph, tuple(self.graph.tensors))

    @cached_property
    def reference(self) -> dict[str, NDArray[np.float32]]:
        """The fp32 outputs of all samples."""
        if self._reference is not None:
            return dict(self._reference)
        with progress_bar("fp32 reference", self.samples, self.progress) as told:
            outputs = self.fp32.outputs(self.inputs, told)
        refuse_mixed_batch(self.graph, self.inputs, outputs)
        return outputs

    @cached_property
    def calibration(self) -> Mapping[str, float] | None:
        """The largest magnitude of every tensor over the calibration samples, in fp32."""
        if self._peaks is not None:
            return self._peaks
        if self._calibration is None:
            return None
        return calibrate(self.graph, self._calibration, self.progress)

    def compile(
        self,
        precision: str | Path = "bct-int8",
        block: str | None = None,
        machine: str | Path | Machine = "bct64",
        weight_block: str | None = None,
        act_block: str | None = None,
        strict: bool = False,
    ) -> Trace:
        """Compile one configuration, which `run` would run; the parameters are those of `run`.

        Returns
        -------
        Trace

        Raises
        ------
        BlocksimError
            If the configuration cannot be built.
        """
        plan = plans.load(precision, block, weight_block, act_block)
        return self.trace(plan, load_machine(machine), strict, machine_name(machine))

    def trace(
        self, plan: Precision, machine: Machine, strict: bool = False, where: str | None = None
    ) -> Trace:
        """Compile a plan for a machine, both at hand.

        Parameters
        ----------
        plan : Precision
        machine : Machine
        strict : bool
            Refuse multiply-accumulates on the host.
        where : str, optional
            What messages call the machine; its name by default.

        Returns
        -------
        Trace

        Raises
        ------
        BlocksimError
            If the machine lacks what the plan needs.
        """
        return compiler.compile_graph(
            self.graph, machine, plan, strict, where or machine.name, self.calibration, self.constants
        )

    def mechanisms(
        self,
        precision: str | Path = "bct-int8",
        block: str | None = None,
        machine: str | Path | Machine = "bct64",
        samples: int = 8,
    ) -> pd.DataFrame:
        """Where the error comes from: the output's error with one mechanism at a time made exact.

        The first parameters are those of `run`.

        Parameters
        ----------
        samples : int
            How many samples are looked at, from the first on.

        Returns
        -------
        DataFrame
            A row per mechanism, errors in dB; see `blocksim.measure.mechanism.mechanisms`.
        """
        trace = self.compile(precision, block, machine)
        return mechanisms(self.graph, trace, self.inputs, self.reference, samples)

    def run(
        self,
        precision: str | Path = "bct-int8",
        block: str | None = None,
        machine: str | Path | Machine = "bct64",
        weight_block: str | None = None,
        act_block: str | None = None,
        costs: str | Path | None = None,
        strict: bool = False,
    ) -> Report:
        """One configuration.

        Parameters
        ----------
        precision : str or path
            A plan by name (``fp32`` gives the reference itself) or a YAML file.
        block, weight_block, act_block : str, optional
            Block shapes, for plans that take one.
        machine : str, path or Machine
            A machine by name, a YAML file, or one that is at hand.
        costs : str or path, optional
            An energy table other than the machine's.
        strict : bool
            Refuse multiply-accumulates on the host.

        Returns
        -------
        Report

        Raises
        ------
        BlocksimError
            If the configuration cannot be built.
        """
        loaded = load_machine(machine)
        if str(precision) == "fp32":
            return Report.of(measure_fp32(self.graph, loaded, self.inputs, self.reference, self.labels))
        table = costs_for(loaded, costs)
        with ThreadPoolExecutor(1) as beside:  # onnxruntime computes while Python compiles
            reference = beside.submit(lambda: self.reference)
            trace = self.compile(precision, block, machine, weight_block, act_block, strict)
            reference.result()
        return Report.of(self.measure(trace, table))

    def measure(self, trace: Trace, costs: CostTable, layer_samples: int = LAYER_SAMPLES) -> Measurement:
        """Execute and schedule a trace of this model.

        Parameters
        ----------
        trace : Trace
            As `compile` or `trace` gives it.
        costs : CostTable
            Energies and areas, see `hwmodels.costs.load`.
        layer_samples : int
            How many samples, from the first on, give the errors of single layers.

        Returns
        -------
        Measurement
            Figures and outputs; ``Report.of`` makes a report of it.
        """
        reference = self.reference
        with progress_bar(trace.manifest.precision, self.samples, self.progress) as told:
            return measure(
                self.graph, trace, costs, self.inputs, reference, self.fp32, self.labels, self.threads,
                told, layer_samples, self.schedules.of(trace),
            )  # fmt: skip


def calibrate(graph: Graph, samples: Arrays | NDArray[Any], progress: bool = False) -> dict[str, float]:
    """The largest magnitude of every tensor over some samples, in fp32.

    Parameters
    ----------
    graph : Graph
    samples : dict of str to array, or array
        Graph inputs, leading axis N.
    progress : bool
        Show a progress bar.
    """
    given = samples if isinstance(samples, Mapping) else {graph.inputs[0].name: samples}
    checked = check_inputs(graph.inputs, given, "--calibration")
    total = len(next(iter(checked.values())))
    with progress_bar("calibration", total, progress) as told:
        return peaks(graph, checked, told)


def machine_name(machine: str | Path | Machine) -> str:
    """The machine as the user named it, for messages."""
    return machine.name if isinstance(machine, Machine) else str(machine)
