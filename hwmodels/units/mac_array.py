"""The MAC array: a weight-stationary systolic array with its aligners and accumulators.

The reduction axis is cut twice: into *folds* of as many elements as the array has rows, and inside
a fold into *segments* over which the exponents of both operands are constant. Each segment's sum is
exact, and is aligned (rounded) once. The aligned sums of a fold are added exactly, then once into
the accumulator, fold after fold. A bias is one more term, in the accumulator before the first fold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hwmodels.units import accumulator, aligner
from hwmodels.units.accumulator import AccumulatorConfig
from hwmodels.units.aligner import AlignerConfig
from hwmodels.units.ops import ZERO_BLOCK, bit_length, largest, mul, smallest


@dataclass(frozen=True)
class MacArrayConfig:
    """One array.

    Attributes
    ----------
    rows, columns : int
        Processing elements along the reduction axis and along the outputs.
    overlap : bool
        Whether a shadow register loads the next fold's weights while the current fold streams.
    aligners : int
        Aligner lanes per column.
    aligner, accumulator
        Their configurations.
    """

    rows: int
    columns: int
    overlap: bool
    aligners: int
    aligner: AlignerConfig
    accumulator: AccumulatorConfig


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
        Where each segment starts along K, folds included, ascending from 0.
    w_bits, bias_bits : int
        Widths of the multiplier's second operand (4 or 8) and of the bias.
    """

    a: Sequence[Sequence[int]]
    a_exponents: Sequence[Sequence[int]]
    w: Sequence[Sequence[int]]
    w_exponents: Sequence[Sequence[int]]
    bias: Sequence[int] | None
    bias_exponents: Sequence[int] | None
    segments: Sequence[int]
    w_bits: int = 8
    bias_bits: int = 8


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
    lane, word = config.aligner, config.accumulator
    k = len(operands.a[0])
    ends = [*operands.segments[1:], k]
    fold_of = [start // config.rows for start in operands.segments]
    flushed = overflows = 0
    sums, exponents = [], []
    for a, ea in zip(operands.a, operands.a_exponents, strict=True):
        row_top = largest_exponent(ea)
        sums.append([0] * len(operands.w))
        exponents.append([0] * len(operands.w))
        for j, (w, ew) in enumerate(zip(operands.w, operands.w_exponents, strict=True)):
            b, eb = 0, ZERO_BLOCK
            if operands.bias is not None and operands.bias_exponents is not None:
                b, eb = operands.bias[j], operands.bias_exponents[j]
            floor = bias_floor(eb, operands.bias_bits, word.bits, lane.guard_bits, lane.max_shift)
            top = aligner.bound(row_top, largest_exponent(ew), floor, ZERO_BLOCK)
            shift = aligner.distance(top, eb, lane.guard_bits)
            acc = aligner.align(b, shift, lane.max_shift, lane.rounding)
            flushed += aligner.is_flushed(b, shift, lane.max_shift)
            fold_sum = 0
            for s, start in enumerate(operands.segments):
                exact = sum(
                    mul(x, y, 8, operands.w_bits)
                    for x, y in zip(a[start : ends[s]], w[start : ends[s]], strict=True)
                )
                shift = aligner.distance(top, ea[s] + ew[s], lane.guard_bits)
                flushed += aligner.is_flushed(exact, shift, lane.max_shift)
                fold_sum += aligner.align(exact, shift, lane.max_shift, lane.rounding)
                if s + 1 == len(ends) or fold_of[s + 1] != fold_of[s]:
                    overflows += accumulator.overflows(acc, fold_sum, word.bits)
                    acc = accumulator.add(acc, fold_sum, word.bits, word.saturating)
                    fold_sum = 0
            sums[-1][j], exponents[-1][j] = acc, top - lane.guard_bits
    return MatmulResult(sums, exponents, flushed, overflows)


@dataclass(frozen=True)
class ArrayCycles:
    """Cycles of one tile, and how many of them are due to what."""

    total: int
    weight_load: int
    aligner: int
    fill: int


def cycles(config: MacArrayConfig, m: int, segments: Sequence[int]) -> ArrayCycles:
    """Cycles of a tile of m rows and as many columns as the array has, or fewer.

    `segments` is the number of segments in each of the F folds. Fold f streams ``S = 1 + (m - 1) II``
    rows, where ``II = max(1, ceil(segments / aligners))``, and not fewer than the accumulator's latency.
    Without overlap it takes ``2R + C - 2 + S`` (R to load, S to stream, R + C - 2 to drain). With overlap
    the next weights load beside the streaming: ``R + sum over all folds but the last of max(S, R) + S of
    the last + R + C - 2``.

    By hand, 64 x 64, m = 49, two folds of one segment, overlap: S = 49, 64 + 64 + 49 + 126 = 303. With
    four segments in each and one aligner: II = 4, S = 193, 64 + 193 + 193 + 126 = 576; the aligner costs
    273. With four in the first and one in the second: 64 + 193 + 49 + 126 = 432.

    Returns
    -------
    ArrayCycles
        `aligner` is the total minus the total at full rate; `weight_load` what the array waits for
        weights; `fill` the filling and draining of the systolic wave.
    """
    folds = len(segments)
    wave = config.rows + config.columns - 2

    def streamed(ii: int) -> int:
        return max(1 + (m - 1) * ii, config.accumulator.latency)

    def total(streams: Sequence[int]) -> int:
        if config.overlap:
            return config.rows + sum(max(s, config.rows) for s in streams[:-1]) + streams[-1] + wave
        return sum(config.rows + s + wave for s in streams)

    streams = [streamed(max(1, aligner.cycles(n, config.aligners))) for n in segments]
    waiting = folds * config.rows
    if config.overlap:
        waiting = config.rows + sum(max(0, config.rows - s) for s in streams[:-1])
    return ArrayCycles(
        total=total(streams),
        weight_load=waiting,
        aligner=total(streams) - total([streamed(1)] * folds),
        fill=wave if config.overlap else folds * wave,
    )


def actions(
    config: MacArrayConfig, m: int, k: int, n: int, segments: int, folds: int, a_bits: int, w_bits: int
) -> dict[str, int]:
    """Actions of an ``m x k`` times ``k x n`` tile.

    Every multiply has an add of the column's running sum (products and the bits of a fold's depth)
    and moves its operands and its sum through registers; every segment is aligned; the segments of a
    fold are joined by adds; every fold is one accumulator update.
    """
    depth_bits = bit_length(config.rows - 1)
    sum_bits = a_bits + w_bits + depth_bits
    macs = m * k * n
    counts: dict[str, int] = {
        f"mul:{a_bits}x{w_bits}": macs,
        f"add:{sum_bits}": macs,
        "register.bits": macs * (a_bits + sum_bits) + k * n * w_bits,
    }
    for part in (
        {f"add:{config.accumulator.bits}": m * n * (segments - folds)},
        aligner.actions(config.accumulator.bits, m * n * segments),
        accumulator.actions(config.accumulator, m * n * folds),
    ):
        for name, count in part.items():
            counts[name] = counts.get(name, 0) + count
    return counts


def segment_starts(k: int, rows: int, *boundaries: Sequence[int]) -> list[int]:
    """Where each segment starts: at every fold and at every block boundary of either operand."""
    starts = {0, *range(0, k, rows)}
    for cuts in boundaries:
        starts.update(c for c in cuts if c < k)
    return sorted(starts)


def segments_per_fold(segments: Sequence[int], rows: int) -> tuple[int, ...]:
    """The number of segments in each fold: what one row asks of its column's aligners."""
    counts: dict[int, int] = {}
    for start in segments:
        counts[start // rows] = counts.get(start // rows, 0) + 1
    return tuple(counts.values())
