"""Linking products: weights as the kernels read them, and the kernel that the codes of both operands take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blocksim.engine.packed import bias_floor_of, lines_of, paneled, panels_of
from blocksim.engine.segments import Segments, segments_of
from blocksim.engine.workspace import Workspace
from blocksim.errors import BlocksimError
from blocksim.trace.file import Trace
from blocksim.trace.manifest import Blocks, Index, OpSpec
from hwmodels.kernels.matmul import PANEL, matmul_dynamic, matmul_static, stays_narrow
from hwmodels.kernels.matmul_window import SUM_BITS, dynamic_window, pack_lines_window, static_window
from hwmodels.kernels.packed_operands import pack_lines
from hwmodels.kernels.window import NO_ANCHOR, Operands, lift_words, operands
from hwmodels.units.ops import ZERO_BLOCK
from hwmodels.units.product import ProductConfig

Panels = dict[tuple[str, bytes], tuple[Any, ...]]
"""Weights as the kernels read them, by the hash of their bytes, and by format and layout."""


@dataclass(frozen=True)
class Window:
    """How two operands multiply where codes have exponents of their own.

    Attributes
    ----------
    multiplier : ProductConfig
    words : Operands
        The words of all codes of both.
    anchors : tuple of int
        The exponents from which they count, or `NO_ANCHOR`.
    """

    multiplier: ProductConfig
    words: Operands
    anchors: tuple[int, int]

    @property
    def scalars(self) -> tuple[int, int, int]:
        """What the kernels ask for: the fraction, the rounding, and the reach."""
        return self.multiplier.fraction, self.multiplier.rounding, self.words.reach

    @property
    def key(self) -> bytes:
        """What tells weights that are laid out for different windows apart."""
        return repr((self.multiplier, self.anchors)).encode()


class ProductLinker:
    """Turns products into kernel calls.

    Parameters
    ----------
    trace : Trace
    panels : dict
        Weights that are laid out already; what is new is entered.
    """

    def __init__(self, trace: Trace, panels: Panels) -> None:
        self.trace, self.manifest, self.panels = trace, trace.manifest, panels
        self.machine = trace.manifest.machine

    def linked(self, op: OpSpec) -> Callable[..., None]:
        """The kernel calls of one product."""
        return self._static(op) if op.b is None else self._dynamic(op)

    def _array(self) -> tuple[Any, ...]:
        """The arguments that every MATMUL kernel ends with: aligner, then accumulator."""
        config = self.machine.array_config
        lane, word = config.aligner, config.accumulator
        return config.normalise, lane.guard_bits, lane.max_shift, lane.rounding, word.bits, word.saturating

    def _static(self, op: OpSpec) -> Callable[..., None]:
        assert op.a is not None and op.weight is not None
        a = self.manifest.tensors[op.a.tensor]
        weight = self.manifest.constants[op.weight]
        segments = segments_of(op, 0, a, weight, self.machine.array_config)
        edges, update = _edges(segments, op.k)
        window = self._window(a, weight)
        self._check_room(window, edges)
        layout = edges.tobytes() + (b"" if window is None else window.key)
        key = (weight.sha256, weight.format.encode() + layout)
        if key not in self.panels:
            lines, line_exponents = lines_of(weight, self.trace.sections[op.weight])
            if window is None:
                self.panels[key] = (*pack_lines(lines, edges), paneled(line_exponents, ZERO_BLOCK))
            else:
                packed = pack_lines_window(lines, window.words.b)
                exponents = paneled(line_exponents, ZERO_BLOCK)
                self.panels[key] = (packed, None, None, exponents)
                if window.anchors[1] != NO_ANCHOR:
                    for panel, own in zip(packed, exponents[:, segments.b_blocks], strict=True):
                        lift_words(
                            panel, np.ascontiguousarray(own), edges, window.anchors[1], window.words.reach
                        )
        panels, offsets, limits, exponents = self.panels[key]
        w_exponents = np.ascontiguousarray(exponents[:, segments.b_blocks])
        bias = np.zeros((len(panels), PANEL), np.int16)
        bias_exponents = np.full((len(panels), PANEL), ZERO_BLOCK, np.int16)
        bias_bits = 8
        if op.bias is not None:
            spec = self.manifest.constants[op.bias]
            values, shared = panels_of(spec, self.trace.sections[op.bias])
            bias, bias_exponents = values[:, 0].copy(), shared[:, 0].copy()
            bias_bits = spec.value_bits or spec.bits
        array = self._array()
        floor = bias_floor_of(bias_exponents, bias_bits, array)
        top = w_exponents.max(axis=1)
        narrow, name = stays_narrow(self.machine.array_config, a.bits, weight.bits, edges, update), a.name
        call: Callable[..., None] = matmul_static if window is None else static_window
        weights = (panels, offsets, limits) if window is None else (window.words.a, panels)
        modes = (narrow,) if window is None else (window.scalars, window.anchors[0])

        def compute(
            w: Workspace, part: int, parts: int, sums: Any, exponents: Any, groups: Index, counts: Any
        ) -> None:
            call(
                w.team, part, parts, w.samples,
                w.codes[name], w.shared[name], w.maps[name].rows, segments.a_blocks,
                *weights, w_exponents, top, floor, bias, bias_exponents,
                edges, update, sums, exponents, groups, op.n, *modes, *array, counts,
            )  # fmt: skip

        return compute

    def _window(self, a: Blocks, b: Blocks) -> Window | None:
        """How two operands multiply where codes have exponents of their own, or more than 8 bits."""
        if not (a.form.has_exponents or b.form.has_exponents) and max(a.bits, b.bits) <= 8:
            return None
        multiplier = self.machine.array_config.product(a.form.code, b.form.code)
        anchors = [NO_ANCHOR if x.form.anchor is None else x.form.anchor for x in (a, b)]
        return Window(multiplier, operands(multiplier), (anchors[0], anchors[1]))

    def _check_room(self, window: Window | None, edges: Index) -> None:
        """Refuse segments so long that their sums in a window may leave 64 bits."""
        longest = int(np.diff(edges).max())
        if window is not None and longest << window.multiplier.bits - 1 > 1 << SUM_BITS - 1:
            most = SUM_BITS - (longest - 1).bit_length()
            raise BlocksimError(
                self.machine.name, "window.bits", window.multiplier.bits,
                f"sums of {longest} products need room; give at most {most}",
            )  # fmt: skip

    def _dynamic(self, op: OpSpec) -> Callable[..., None]:
        assert op.a is not None and op.b is not None
        a, b = self.manifest.tensors[op.a.tensor], self.manifest.tensors[op.b.tensor]
        array = self._array()
        floor = bias_floor_of(np.full(PANEL, ZERO_BLOCK, np.int16), 8, array)
        window = self._window(a, b)
        call: Callable[..., None] = matmul_dynamic if window is None else dynamic_window
        alike: dict[tuple[int, ...], list[int]] = {}  # groups whose segments are the same run in one call
        segments = [segments_of(op, g, a, b, self.machine.array_config) for g in range(op.groups)]
        for g, s in enumerate(segments):
            alike.setdefault(tuple(s.starts.tolist()), []).append(g)
        calls = []
        for groups in alike.values():
            edges, update = _edges(segments[groups[0]], op.k)
            self._check_room(window, edges)
            a_places = np.array([(g * op.a.row_step, g * op.a.column_step) for g in groups], np.int64)
            b_places = np.array([(g * op.b.row_step, g * op.b.column_step) for g in groups], np.int64)
            o_places = np.array([(g * op.out.row_step, g * op.out.column_step) for g in groups], np.int64)
            index, axis = (b.column_index, 1) if op.b.transposed else (b.row_index, 0)
            left = (
                np.stack([a.row_index[r : r + op.m] for r, _ in a_places]),
                np.stack([segments[g].a_blocks for g in groups]),
                a_places,
                *(() if window is None else (window.words.a,)),
            )
            right = (
                np.stack([index[place[axis] : place[axis] + op.n] for place in b_places]),
                np.stack([segments[g].b_blocks for g in groups]),
                b_places,
                *(() if window is None else (window.words.b,)),
                op.b.transposed,
                floor,
                edges,
                update,
            )
            narrow = stays_narrow(self.machine.array_config, a.bits, b.bits, edges, update)
            calls.append(
                (left, right, o_places, (narrow,) if window is None else (window.scalars, window.anchors))
            )

        def compute(
            w: Workspace, part: int, parts: int, sums: Any, exponents: Any, groups: Index, counts: Any
        ) -> None:
            for left, right, o_places, modes in calls:
                call(
                    w.team, part, parts, w.samples, op.k, w.codes[a.name], w.shared[a.name], *left,
                    w.codes[b.name], w.shared[b.name], *right,
                    sums, exponents, groups, o_places, *modes, *array, counts,
                )  # fmt: skip

        return compute


def _edges(segments: Segments, k: int) -> tuple[Index, NDArray[np.bool_]]:
    return np.append(segments.starts, k), segments.update
