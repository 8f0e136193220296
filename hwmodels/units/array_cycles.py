"""Segments, cycles and actions of the MAC array: how the reduction is cut, and what a tile of it takes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from hwmodels.units import accumulator, aligner, prescan
from hwmodels.units.actions import Actions, merged, of
from hwmodels.units.aligner import EXACT, RUNNING
from hwmodels.units.mac_array import MacArrayConfig, packing
from hwmodels.units.ops import bit_length
from hwmodels.units.prescan import PrescanConfig
from hwmodels.units.product import INT8, Code, ProductConfig

RAW_BITS, RAW_DEPTH_BITS = 32, 17
"""Width of a raw sum that outlives a fold; what it adds to a product's is exact below a depth of 2**17."""

UNLIMITED = sys.maxsize
"""As many aligners, or as wide a port, as an array could use."""


def effective(config: MacArrayConfig, a_bits: int, w_bits: int) -> tuple[int, int]:
    """Rows and columns for operands of these widths.

    Where both have 4 bits or fewer, an element takes two of them: along the rows (and the input port
    feeds twice the codes in the same bytes), or along the columns.

    By hand: 64 x 64 packed along K is 128 x 64 for int4 x int4, and 64 x 64 for int8 x int4.
    """
    depth, width = packing(config, a_bits, w_bits)
    return config.rows * depth, config.columns * width


def segment_starts(config: MacArrayConfig, rows: int, k: int, *boundaries: Sequence[int]) -> list[int]:
    """Where each segment starts: at every block boundary of either operand, and where a fold ends one.

    `rows` are the effective rows. By hand, k = 72 in blocks of 48 on 64 rows: 0, 48, 64 where the
    accumulator holds only aligned sums; 0, 48 with a raw bank or where outputs stay.
    """
    starts = {0}
    if config.dataflow != "os" and not config.raw_bank:
        starts.update(range(0, k, rows))
    for cuts in boundaries:
        starts.update(c for c in cuts if 0 <= c < k)
    return sorted(starts)


def segment_ends(k: int, starts: Sequence[int]) -> list[int]:
    """Where each segment ends."""
    return [*starts[1:], k]


def updates(config: MacArrayConfig, rows: int, k: int, starts: Sequence[int]) -> list[bool]:
    """After which segments the accumulator is updated.

    A segment belongs to the fold in which it ends, and the last one of each fold brings the update.
    Where outputs stay, or the bound rises with the terms, every segment brings its own.
    """
    if config.dataflow == "os" or config.normalise == RUNNING:
        return [True] * len(starts)
    folds = [(end - 1) // rows for end in segment_ends(k, starts)]
    return [*(here != after for here, after in pairwise(folds)), True]


def terms_per_fold(rows: int, k: int, starts: Sequence[int]) -> list[int]:
    """The number of segments that have a part in each fold: sums that one row asks of its column.

    One that goes on in the next fold needs no aligner yet, but its sum, for the raw bank, comes down the
    same chains as the others, and takes a slot like them. By hand, k = 200 in segments of 48 on 64 rows
    with a raw bank: 0 to 48 and a part of 48 to 96 are 2, and so on: 2, 2, 2, and the last 8 codes 1.
    """
    terms = [0] * -(-k // rows)
    for start, end in zip(starts, segment_ends(k, starts), strict=True):
        for fold in range(start // rows, (end - 1) // rows + 1):
            terms[fold] += 1
    return terms


@dataclass(frozen=True)
class ArrayCycles:
    """Cycles of one tile, and how many of them are due to what.

    Attributes
    ----------
    total : int
    weight_load : int
        Waiting for the stationary operand.
    aligner, port : int
        What unlimited aligners would save, and what a wide port would save beyond that.
    fill : int
        Filling and draining the systolic wave.
    prescan : int
        The exact bounds, found before anything streams.
    """

    total: int
    weight_load: int
    aligner: int
    fill: int
    port: int = 0
    prescan: int = 0


def intervals_of(rows: int, terms: Sequence[int], bits: int, aligners: int, port: int) -> list[int]:
    """Cycles II that each fold keeps a moving row, of `rows` codes of `bits` bits.

    The longest of 1, what the aligners need for the row's terms, and what the port needs for its codes and
    one exponent byte per term.
    """
    codes = -(-rows * bits // 8)
    return [max(1, aligner.cycles(t, aligners), -(-(codes + t) // port)) for t in terms]


def streams_of(
    config: MacArrayConfig, moving: int, rows: int, terms: Sequence[int], bits: int, aligners: int, port: int
) -> list[int]:
    """Cycles that each fold streams `moving` rows of `bits`-bit codes: ``S = moving II``.

    The last row needs all of its slots too. S is not below the accumulator's latency.
    """
    intervals = intervals_of(rows, terms, bits, aligners, port)
    return [max(moving * ii, config.accumulator.latency) for ii in intervals]


def segment_cycles(
    rows: int, columns: int, k: int, starts: Sequence[int], bits: tuple[int, int], aligners: int, port: int
) -> int:
    """Cycles that an output-stationary array takes for its segments, one after the other.

    A segment of length B takes the longest of B, the aligning of its column's `rows` sums, and the
    entry of `rows` codes of A plus `columns` codes of W per step, with their exponents once.
    """
    total = 0
    for start, end in zip(starts, segment_ends(k, starts), strict=True):
        fed = -(-(end - start) * (rows * bits[0] + columns * bits[1]) // 8) + rows + columns
        total += max(end - start, aligner.cycles(rows, aligners), -(-fed // port))
    return total


def cycles(
    config: MacArrayConfig, m: int, n: int, k: int, starts: Sequence[int], a_bits: int = 8, w_bits: int = 8
) -> ArrayCycles:
    """Cycles of a tile of ``m x n`` outputs with its whole reduction of k, cut at `starts`.

    With R x C elements, and S cycles that a fold streams (see `streams_of`; m rows where the
    weights stay, n columns where the inputs stay): serial folds take ``2 R + C - 2 + S`` each; with
    overlap they take ``R + sum of max(S, R) over all folds but the last + S of the last + R + C - 2``.
    Where the outputs stay, a tile takes its segments (see `segment_cycles`) and ``R + C - 2`` for the
    wave, whatever `overlap` says: nothing stationary is loaded.

    Packed operands make folds deeper or outputs more (see `effective`), and not the array larger: the two
    codes of an element are loaded in one cycle, by the wires that bring one of 8 bits, and their products
    are added in one. So R and C of the load and of the wave are the elements that there are.

    By hand, 64 x 64 ``ws``, m = 49, two folds of one segment, overlap: S = 49, 64 + 64 + 49 + 126 = 303.
    With four segments in each and one aligner: II = 4, S = 196, 64 + 196 + 196 + 126 = 582; the aligner
    costs 279. With four in the first and one in the second: 64 + 196 + 49 + 126 = 435. 32 x 32 ``os``,
    k = 768 in one segment: 768 + 62 = 830; in 48 of 16 with one aligner, 48 x 32 + 62 = 1,598.
    64 x 64 ``ws`` packed along K, int4 x int4, m = 49, k = 256 in two folds of 128, overlap: again
    64 + 64 + 49 + 126 = 303.
    """
    rows, columns = effective(config, a_bits, w_bits)
    down, wave = config.rows, config.rows + config.columns - 2
    terms = terms_per_fold(rows, k, starts)
    moving, bits = (m, a_bits) if config.dataflow == "ws" else (n, w_bits)

    def streams(aligners: int, port: int) -> list[int]:
        return streams_of(config, moving, rows, terms, bits, aligners, port)

    def total(aligners: int, port: int) -> int:
        if config.dataflow == "os":
            return segment_cycles(rows, columns, k, starts, (a_bits, w_bits), aligners, port) + wave
        s = streams(aligners, port)
        if config.overlap:
            return down + sum(max(x, down) for x in s[:-1]) + s[-1] + wave
        return sum(down + x + wave for x in s)

    load, fill = len(terms) * down, len(terms) * wave
    if config.dataflow == "os":
        load, fill = 0, wave
    elif config.overlap:
        load = down + sum(max(0, down - x) for x in streams(config.aligners, config.port_bytes)[:-1])
        fill = wave
    full, fed = total(UNLIMITED, UNLIMITED), total(UNLIMITED, config.port_bytes)
    actual = total(config.aligners, config.port_bytes)
    before = 0
    if config.normalise == EXACT:
        before = prescan.cycles(PrescanConfig(config.prescan_lanes), m, n, len(starts))
    return ArrayCycles(actual + before, load, actual - fed, fill, fed - full, before)


def raw_bits(product: ProductConfig) -> int:
    """Width of a raw sum of such products, which holds those of int8 in any case.

    By hand: 32 for int8, whose products have 15 bits; 54 for E4M3 in an exact window of 37.
    """
    return max(RAW_BITS, product.bits + RAW_DEPTH_BITS)


def running_bits(config: MacArrayConfig, rows: int, product: ProductConfig) -> int:
    """Width of an element's running sum: a product and the bits of a fold's depth, or a raw register."""
    return raw_bits(product) if config.dataflow == "os" else product.summed_bits + bit_length(rows - 1)


def multiplications(multiplier: ProductConfig, count: int) -> Actions:
    """Actions of so many products: of significands, unless one is a sign alone; of exponents; a shift.

    >>> e4m3 = Code(8, 4, hidden=True, subnormal=True, largest=0x7E)
    >>> multiplications(ProductConfig(e4m3, e4m3, 48, 0), 1)
    {('multiply', 'mul:5x5'): 1, ('multiply', 'add:5'): 1, ('multiply', 'shift:37'): 1}
    >>> multiplications(ProductConfig(Code(8), Code(4), 48, 0), 1)
    {('multiply', 'mul:8x4'): 1}
    >>> e2m1 = Code(4, 2, hidden=True, subnormal=True, largest=7)
    >>> multiplications(ProductConfig(e2m1, Code(8), 48, 0), 1)
    {('multiply', 'mul:3x8'): 1, ('multiply', 'shift:12'): 1}
    >>> octaves = Code(4, 4, hidden=True, subnormal=True, largest=15, signed=False)
    >>> multiplications(ProductConfig(octaves, Code(8), 48, 0), 1)
    {('multiply', 'shift:23'): 1}
    """
    a, b = multiplier.a, multiplier.b
    made = {}
    if multiplier.multiplies:
        made[f"mul:{a.signed_bits}x{b.signed_bits}"] = count
    if multiplier.adds_exponents:
        made[f"add:{multiplier.reach.bit_length()}"] = count
    if multiplier.has_exponents:
        made[f"shift:{multiplier.bits}"] = count
    return of("multiply", made)


def actions(
    config: MacArrayConfig,
    m: int,
    n: int,
    k: int,
    starts: Sequence[int],
    a_code: Code = INT8,
    w_code: Code = INT8,
) -> Actions:
    """Actions of a tile of ``m x n`` outputs with its whole reduction of k.

    Multiply: every product (see `multiplications`) with an add of the running sum; the registers that
    move operands and sum, and those of the stationary operand. Align: a shift and a rounding add per term,
    the adds that join terms before an update, the raw bank's words and adds; under `RUNNING` the
    accumulator's own shift and a compare and store of E per term. Accumulate: every update, in the
    accumulator memory, or in the element's aligned register, which goes to the memory once. Prescan: see its
    unit.
    """
    a_bits, w_bits, multiplier = a_code.bits, w_code.bits, config.product(a_code, w_code)
    rows, _ = effective(config, a_bits, w_bits)
    bits, outputs, macs = config.accumulator.bits, m * n, m * n * k
    summed = running_bits(config, rows, multiplier)
    moved, held = {
        "ws": (a_bits, k * n * w_bits),
        "is": (w_bits, m * k * a_bits),
        "os": (a_bits + w_bits, 0),
    }[config.dataflow]
    multiply = {
        f"add:{summed}": macs,
        "register.bits": macs * (moved + summed) + held,
    }
    updated = sum(updates(config, rows, k, starts))
    terms = outputs * len(starts)
    align = [
        aligner.actions(max(bits, summed) if multiplier.has_exponents else bits, terms),
        of("align", {f"add:{bits}": terms - outputs * updated}),
    ]
    if config.raw_bank and config.dataflow != "os":
        carried = outputs * len(set(range(rows, k, rows)) - set(starts))
        raw = raw_bits(multiplier)
        align.append(of("align", {f"add:{raw}": carried, "accumulator.bits": 2 * raw * carried}))
    if config.normalise == RUNNING:
        kept = {f"compare:{prescan.WORD}": terms, "register.bits": prescan.WORD * terms}
        align += [aligner.actions(bits, terms), of("align", kept)]
    accumulate = accumulator.actions(config.accumulator, outputs * updated)
    if config.dataflow == "os":
        own = {f"add:{bits}": terms, "register.bits": bits * terms, "accumulator.bits": bits * outputs}
        accumulate = of("accumulate", own)
    scan = prescan.actions(m, n, len(starts)) if config.normalise == EXACT else {}
    products = multiplications(multiplier, macs)
    return merged(products, of("multiply", multiply), *align, accumulate, scan)
