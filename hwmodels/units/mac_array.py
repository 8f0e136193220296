"""The MAC array: weight-, input- or output-stationary, with its aligners and accumulators.

The reduction axis is cut into *segments* over which the exponents of both operands are constant. Each
segment's sum is exact, and is aligned (rounded) once. A weight- or input-stationary array also cuts it
into *folds* of as many elements as it has rows, and segments with them, unless a raw bank keeps the
exact sum of an unfinished segment from one fold to the next. The aligned sums of the segments that end
in a fold are added exactly, then once into the accumulator. An output-stationary array has a raw and an
aligned register in each element, and adds segment by segment. A bias is one more term, in the
accumulator before the first.

What the array does in a clock cycle is in `hwmodels.units.array_step`, or `hwmodels.units.os_array`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from hwmodels.units import accumulator, aligner, prescan
from hwmodels.units.accumulator import AccumulatorConfig
from hwmodels.units.aligner import EXACT, RUNNING, AlignerConfig
from hwmodels.units.ops import FLOOR, ZERO_BLOCK, largest, smallest
from hwmodels.units.product import Code, ProductConfig, decoded, lifted, summed


@dataclass(frozen=True)
class MacArrayConfig:
    """One array.

    Attributes
    ----------
    rows, columns : int
        Processing elements: along the reduction and along the outputs (``ws``), the reduction and the
        rows of outputs (``is``), or the rows and the columns of outputs (``os``).
    dataflow : str
        Which operand stays: ``ws`` the weights, ``is`` the inputs, ``os`` the outputs.
    overlap : bool
        Whether a shadow register loads the next fold's stationary operand while the current one streams.
    aligners : int
        Aligner lanes per column.
    raw_bank : bool
        Whether unfinished segments are kept between folds (``align: segment``); ``os`` needs none.
    normalise : int
        One of `aligner.NORMALISES`.
    pack_axis : str
        What two operands of 4 bits double: the rows (``K``), the columns (``N``), or ``none``.
    port_bytes : int
        Bytes of streaming operands and their exponents that enter per cycle.
    aligner, accumulator
        Their configurations.
    prescan_lanes : int
        Lanes of the prescan unit, where `normalise` is `EXACT`.
    window, window_rounding : int
        Of products of codes that have exponents of their own, see `product`.
    """

    rows: int
    columns: int
    dataflow: str
    overlap: bool
    aligners: int
    raw_bank: bool
    normalise: int
    pack_axis: str
    port_bytes: int
    aligner: AlignerConfig
    accumulator: AccumulatorConfig
    prescan_lanes: int = 64
    window: int = 48
    window_rounding: int = FLOOR

    def product(self, a: Code, w: Code) -> ProductConfig:
        """The multiplier of an element for such codes."""
        return ProductConfig(a, w, self.window, self.window_rounding)


def packing(config: MacArrayConfig, a_bits: int, w_bits: int) -> tuple[int, int]:
    """Codes that an element takes along the rows and along the columns, for operands of these widths.

    By hand: 2 x 1 for int4 x int4 where `pack_axis` is ``K``, 1 x 1 for int8 x int4.
    """
    packed = a_bits <= 4 and w_bits <= 4
    return 1 + (packed and config.pack_axis == "K"), 1 + (packed and config.pack_axis == "N")


@dataclass(frozen=True)
class MatmulOperands:
    """One tile of a product: ``M x K`` times ``K x N``.

    Attributes
    ----------
    a, a_exponents : sequence of rows
        M rows of K codes; M rows of one exponent per segment.
    w, w_exponents : sequence of columns
        N columns of K codes; N columns of one exponent per segment.
    bias, bias_exponents : sequence of int or None
        N codes and their exponents.
    segments : sequence of int
        Where each segment starts along K, see `array_cycles.segment_starts`.
    update : sequence of bool
        After which segments the accumulator is updated, see `array_cycles.updates`.
    w_bits, bias_bits, a_bits : int
        Widths of the multiplier's second operand, of the bias, and of the first operand.
    a_code, w_code : Code, optional
        What the codes of the operands mean; significands of those widths, if they are left out.
    a_anchor, w_anchor : int, optional
        The exponents from which codes count, where these are not those of their blocks.
    """

    a: Sequence[Sequence[int]]
    a_exponents: Sequence[Sequence[int]]
    w: Sequence[Sequence[int]]
    w_exponents: Sequence[Sequence[int]]
    bias: Sequence[int] | None
    bias_exponents: Sequence[int] | None
    segments: Sequence[int]
    update: Sequence[bool]
    w_bits: int = 8
    bias_bits: int = 8
    a_bits: int = 8
    a_code: Code | None = None
    w_code: Code | None = None
    a_anchor: int | None = None
    w_anchor: int | None = None


@dataclass(frozen=True)
class MatmulResult:
    """Wide sums of a tile: ``sums[i][j] * 2**exponents[i][j]``, and what was lost on the way."""

    sums: list[list[int]]
    exponents: list[list[int]]
    flushed: int
    overflows: int


def bias_floor(bias_exponent: int, bias_bits: int, bits: int, guard_bits: int, max_shift: int) -> int:
    """The lowest bound E under which a bias still fits the accumulator of `bits` bits.

    A bias is shifted left by ``exponent - E + guard``: at most as far as the aligner reaches, and so
    that two bits below the word's top stay free. A zero bias bounds nothing beyond the lowest exponent.
    """
    return bias_exponent + guard_bits - smallest(bits - bias_bits - 2, max_shift)


def largest_exponent(exponents: Sequence[int]) -> int:
    """The largest of a row's exponents; `ZERO_BLOCK` where all its blocks are zero."""
    top = ZERO_BLOCK
    for e in exponents:
        top = largest(top, e)
    return top


def start_bound(normalise: int, rows: Sequence[int], columns: Sequence[int], floor: int) -> int:
    """E of one output before its first segment; under `RUNNING` it rises from the bias's floor."""
    if normalise == EXACT:
        return prescan.result(rows, columns, floor)
    if normalise == RUNNING:
        return floor
    return aligner.bound(largest_exponent(rows), largest_exponent(columns), floor, ZERO_BLOCK)


def read(
    code: Code, codes: Sequence[int], edges: Sequence[int], exponents: Sequence[int], anchor: int | None
) -> list[tuple[int, int]]:
    """A row's significands and exponents, which count from those of its blocks."""
    pairs = decoded(code, codes)
    return pairs if anchor is None else lifted(pairs, edges, exponents, anchor)


def result(config: MacArrayConfig, operands: MatmulOperands) -> MatmulResult:
    """Multiply one tile.

    Parameters
    ----------
    config : MacArrayConfig
    operands : MatmulOperands

    Returns
    -------
    MatmulResult
    """
    lane, word, o = config.aligner, config.accumulator, operands
    guard, longest, rounding = lane.guard_bits, lane.max_shift, lane.rounding
    multiplier = config.product(o.a_code or Code(o.a_bits), o.w_code or Code(o.w_bits))
    of_terms = aligner.of_terms(lane, multiplier.fraction)
    edges = [*o.segments, len(o.a[0])]
    flushed = overflows = 0
    sums: list[list[int]] = []
    exponents: list[list[int]] = []
    columns = [read(multiplier.b, w, edges, ew, o.w_anchor) for w, ew in zip(o.w, o.w_exponents, strict=True)]
    for row, ea in zip(o.a, o.a_exponents, strict=True):
        a = read(multiplier.a, row, edges, ea, o.a_anchor)
        sums.append([])
        exponents.append([])
        for j, (w, ew) in enumerate(zip(columns, o.w_exponents, strict=True)):
            b, eb = 0, ZERO_BLOCK
            if o.bias is not None and o.bias_exponents is not None:
                b, eb = o.bias[j], o.bias_exponents[j]
            floor = bias_floor(eb, o.bias_bits, word.bits, guard, longest)
            top = start_bound(config.normalise, ea, ew, floor)
            shift = aligner.distance(top, eb, guard)
            acc = aligner.align(b, shift, longest, rounding)
            flushed += aligner.is_flushed(b, shift, longest)
            total = 0
            for s, (first, last) in enumerate(pairwise(edges)):
                exact = summed(multiplier, a[first:last], w[first:last])
                if config.normalise == RUNNING:
                    higher = prescan.join(top, ea[s], ew[s], ZERO_BLOCK)
                    flushed += aligner.is_flushed(acc, top - higher, longest)
                    acc = aligner.align(acc, top - higher, longest, rounding)
                    top = higher
                shift = aligner.distance(top, ea[s] + ew[s], of_terms.guard_bits)
                flushed += aligner.is_flushed(exact, shift, of_terms.max_shift)
                total += aligner.align(exact, shift, of_terms.max_shift, rounding)
                if o.update[s]:
                    overflows += accumulator.overflows(acc, total, word.bits)
                    acc = accumulator.add(acc, total, word.bits, word.saturating)
                    total = 0
            sums[-1].append(acc)
            exponents[-1].append(top - guard)
    return MatmulResult(sums, exponents, flushed, overflows)
