"""The REQUANT kernel for codes that have exponents of their own: `units.encoder` over a matrix of sums."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwmodels.kernels.instructions import address, item_size
from hwmodels.kernels.jit import kernel
from hwmodels.kernels.lanes import Number, largest, reading
from hwmodels.kernels.requantizer import EXPONENT
from hwmodels.kernels.stream import ADD, Read, Scalar, stream, unsigned
from hwmodels.kernels.stream import signed as signed_bits
from hwmodels.kernels.team import Team, begin, finish
from hwmodels.kernels.window import NO_ANCHOR
from hwmodels.units import encoder
from hwmodels.units.encoder import EncoderConfig, bounding
from hwmodels.units.requantizer_lane import NO_RANK, SUM_BITS, block_exponent, is_clamped

Index = NDArray[np.int64]
Codes = NDArray[Any]

_block_rank, _floating, _logarithm, _code, _is_saturated = (
    reading.of(f)
    for f in (encoder.block_rank, encoder.floating, encoder.logarithm, encoder.code, encoder.is_saturated)
)

WIDE, NARROW = signed_bits(SUM_BITS, 64), signed_bits(32, 32)
RANK, UNIT = Read(32, -(1 << 13), 1 << 13), Read(32, -1024, 1024)
FLAG, STORED_BITS, LARGEST, BITS = unsigned(1), unsigned(3), unsigned(9), Scalar(2, 9)


def _ranked(given: Sequence[Number], scalars: Sequence[Number], _: Any) -> Sequence[Number]:
    x, exponent, top = given
    found = _block_rank(x, exponent, scalars[0] != 0)
    return (largest(top, found),)


def _floats(given: Sequence[Number], scalars: Sequence[Number], _: Any) -> Sequence[Number]:
    x, exponent, unit = given
    stored_bits, hidden, most, bits = scalars
    whole = _floating(x, exponent, unit, stored_bits, hidden)
    return _code(x, whole, most, bits), whole > most


def _logarithms(given: Sequence[Number], scalars: Sequence[Number], _: Any) -> Sequence[Number]:
    x, exponent, unit = given
    signed, roots, most, bits = scalars
    whole = _logarithm(x, exponent, unit, roots)
    return _code(x, whole, most, bits, signed), _is_saturated(x, whole, most, signed)


ranked_32, ranked_64 = (stream(_ranked, (x, EXPONENT, RANK), (32,), (FLAG,)) for x in (NARROW, WIDE))
floats_32, floats_64, logarithms_32, logarithms_64 = (
    stream(body, (x, EXPONENT, UNIT), (16,), (first, FLAG, LARGEST, BITS), folds=(ADD,))
    for body, first in ((_floats, STORED_BITS), (_logarithms, FLAG))
    for x in (NARROW, WIDE)
)


Fields = tuple[int, int, int, int, int, int, int, int, int, int, int]


def fields(config: EncoderConfig, anchor: int | None) -> Fields:
    """The arguments of `encode_floating` that say what codes are, and from where they count."""
    return (
        config.stored_bits, int(config.hidden), config.largest, config.bits, config.fraction,
        int(config.geometric), int(config.signed), int(config.roots), config.binade, config.reach,
        NO_ANCHOR if anchor is None else anchor,
    )  # fmt: skip


@kernel
def encode_floating(
    team: Team,
    part: int,
    parts: int,
    samples: int,
    sums: Codes,
    exponents: NDArray[np.int16],
    groups: Index,
    valid: NDArray[np.bool_],
    row_edges: Index,
    column_edges: Index,
    config: Fields,
    codes: Codes,
    shared: NDArray[np.int16],
    counts: Index,
) -> None:
    """Fill `codes` and `shared`; everything but `config` is as for `requantizer.requantize`."""
    begin(team, parts)
    stored_bits, hidden, most, bits, fraction, geometric, signed, roots, binade, reach, anchor = config
    m = sums.shape[0] // samples
    height, tall = codes.shape[0] // samples, shared.shape[0] // samples
    rows, columns = row_edges.shape[0] - 1, column_edges.shape[0] - 1
    n, units, width = sums.shape[1], samples * rows, binade + 2
    tops, below = np.empty(n, np.int32), np.empty(n, np.int32)
    line, saturated = np.empty(n, np.int16), np.zeros(1, np.int64)
    scalars = (signed, roots, most, bits) if geometric else (stored_bits, hidden, most, bits)
    for of in range(units * part // parts, units * (part + 1) // parts):
        q, rb = of // rows, of % rows
        first, last = q * m + row_edges[rb], q * m + row_edges[rb + 1]
        tops[:] = NO_RANK
        for i in range(first, last):
            if valid[i]:
                row_of = address(sums) + i * n * item_size(sums)
                given = (row_of, address(exponents) + 2 * groups[i] * n, address(tops))
                if item_size(sums) == 4:
                    ranked_32(n, given, (address(tops),), (geometric,), (), 0)
                else:
                    ranked_64(n, given, (address(tops),), (geometric,), (), 0)
        for cb in range(columns):
            begins, stops = column_edges[cb], column_edges[cb + 1]
            top = tops[begins:stops].max()
            stored = block_exponent(top, width)
            if anchor == NO_ANCHOR:
                below[begins:stops] = stored - fraction
                counts[0] += is_clamped(top, width)
            else:
                below[begins:stops] = anchor - fraction
                stored = bounding(stored, anchor, reach, geometric != 0)
            shared[q * tall + rb, cb] = stored
        for i in range(first, last):
            row = q * height + i - q * m
            if not valid[i]:
                codes[row] = 0
                continue
            row_of = address(sums) + i * n * item_size(sums)
            given = (row_of, address(exponents) + 2 * groups[i] * n, address(below))
            to, found = (address(line),), address(saturated)
            if item_size(sums) == 4:
                if geometric:
                    logarithms_32(n, given, to, scalars, (), found)
                else:
                    floats_32(n, given, to, scalars, (), found)
            elif geometric:
                logarithms_64(n, given, to, scalars, (), found)
            else:
                floats_64(n, given, to, scalars, (), found)
            for j in range(n):
                codes[row, j] = line[j]
    counts[1] += saturated[0]
    finish(team, part, parts)
