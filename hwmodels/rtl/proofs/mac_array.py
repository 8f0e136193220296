"""The array: whole where it is small, and the shipped ones with their rows, edges and sequencer cut."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from hwmodels.machines import load
from hwmodels.rtl.proofs import processing_element as one
from hwmodels.rtl.proofs.product import E2M1, E4M3
from hwmodels.rtl.reading import Reading
from hwmodels.rtl.twin import Claim, Cut, Edit, Twin
from hwmodels.rtl.words import Number, Terms, select
from hwmodels.units import (
    array_row,
    array_run,
    array_step,
    column,
    mac_array,
    packed_row,
    raw_bank,
    rising_column,
    sequencer,
)
from hwmodels.units.accumulator import AccumulatorConfig
from hwmodels.units.aligner import BOUND, RUNNING, AlignerConfig
from hwmodels.units.array_cycles import cycles, segment_starts, updates
from hwmodels.units.built_array import BuiltArray
from hwmodels.units.mac_array import MacArrayConfig, MatmulOperands
from hwmodels.units.ops import HALF_UP, RNE, ZERO_BLOCK
from hwmodels.units.ports import signed
from hwmodels.units.product import Code
from hwmodels.units.sequencer import FOLD_BITS


def parameters(config: BuiltArray) -> dict[str, int]:
    """Those of the module."""
    own, multiplier = config.array, one.multiplier(config.product)
    return {
        "ROWS": own.rows,
        "COLUMNS": own.columns,
        "OVERLAP": int(own.overlap),
        "CHAINS": own.aligners,
        "CODE_BITS": multiplier["MOVING_BITS"],
        **{name: value for name, value in multiplier.items() if name != "MOVING_BITS"},
        "DEPTH": config.depth,
        "WIDTH": config.width,
        "BIAS_BITS": config.bias_bits,
        "MOVING_BITS": config.moving_bits,
        "FOLD_BITS": FOLD_BITS,
        "GUARD_BITS": own.aligner.guard_bits,
        "MAX_SHIFT": own.aligner.max_shift,
        "ROUNDING": own.aligner.rounding,
        "BITS": own.accumulator.bits,
        "SATURATING": int(own.accumulator.saturating),
        "LATENCY": own.accumulator.latency,
        "RISING": int(config.rising),
        "BANKED": int(own.raw_bank),
        "RAW_BITS": config.raw_bits,
        "FRACTION": config.product.fraction,
    }


def cuts(config: BuiltArray) -> tuple[Cut, ...]:
    """The parts, which are proved on their own."""
    rows = range(config.array.rows)
    row = Cut("array_row", tuple(f"row[{r}].u" for r in rows), array_row.step, array_row.ports)
    if config.packed:
        row = Cut("packed_row", tuple(f"pack[{r}].u" for r in rows), packed_row.step, packed_row.ports)
    outputs = range(config.outputs)
    edge = Cut("column", tuple(f"column[{j}].u" for j in outputs), column.step, column.ports)
    if config.rising:
        rising = tuple(f"rising[{j}].u" for j in outputs)
        edge = Cut("rising_column", rising, rising_column.step, rising_column.ports)
    banks = tuple(f"bank[{j}].u" for j in outputs) if config.array.raw_bank else ()
    return (
        Cut("sequencer", ("control",), sequencer.step, sequencer.ports),
        row,
        edge,
        Cut("raw_bank", banks, raw_bank.step, raw_bank.ports),
    )


def operation(config: BuiltArray, m: int, k: int, cuts: Sequence[int]) -> Callable[..., Iterator[Claim]]:
    """Any product of `m` rows and a full array of columns, from the first code in to the last word written.

    The codes of a block of zeros are zeros.
    """

    def claims(terms: Terms, reading: Reading) -> Iterator[Claim]:
        n, own = config.outputs, config.array
        starts = segment_starts(own, config.terms, k, cuts)

        def lines(name: str, count: int, length: int, bits: int) -> list[list[Number]]:
            return [
                [terms.unknown(f"{name} {i} {j}", signed(bits)) for j in range(length)] for i in range(count)
            ]

        def codes(name: str, code: Code, exponents: list[list[Number]]) -> list[list[Number]]:
            segment = [sum(start <= i for start in starts) - 1 for i in range(k)]
            return [
                [select(e[segment[i]] == ZERO_BLOCK, 0, x) for i, x in enumerate(line)]
                for line, e in zip(lines(name, len(exponents), k, code.bits), exponents, strict=True)
            ]

        ea, ew = lines("ea", m, len(starts), 8), lines("ew", n, len(starts), 8)
        a, w = codes("a", config.a, ea), codes("w", config.w, ew)
        bias, below = lines("bias", 1, n, config.bias_bits)[0], lines("eb", 1, n, 8)[0]
        update = updates(own, config.terms, k, starts)
        bits = config.w.bits, config.bias_bits, config.a.bits
        o = MatmulOperands(a, ea, w, ew, bias, below, starts, update, *bits, config.a, config.w)
        got, count = reading.of(array_run.run)(config, o)
        want = reading.of(mac_array.result)(own, o)
        yield Claim("cycles", count == cycles(own, m, n, k, starts, bits[2], bits[0]).total)
        yield Claim("flushed", got.flushed == want.flushed)
        yield Claim("overflows", got.overflows == want.overflows)
        for i in range(m):
            for j in range(n):
                yield Claim(f"sum {i} {j}", got.sums[i][j] == want.sums[i][j])
                yield Claim(f"exponent {i} {j}", got.exponents[i][j] == want.exponents[i][j])

    return claims


def array(
    config: BuiltArray,
    label: str,
    whole: bool = False,
    default: bool = True,
    product: tuple[int, int, Sequence[int]] | None = None,
) -> Twin:
    """One array, with its parts cut or whole; with a `product`, see `operation`, any such of it too."""
    return Twin(
        unit=array_step, label=label, config=config, module="mac_array", name="mac_array",
        parameters=parameters(config),
        cuts=() if whole else cuts(config), operation=operation(config, *product) if product else None,
        scope=f"{product[0]} rows, {product[1]} steps" if product else "",
        tested="tests/units/test_mac_array_step.py", default=default,
    )  # fmt: skip


def small(
    rows: int, columns: int, aligners: int = 1, overlap: bool = True, dataflow: str = "ws"
) -> BuiltArray:
    """An array of few elements with narrow words."""
    own = MacArrayConfig(
        rows, columns, dataflow, overlap, aligners, False, BOUND, "none", 16,
        AlignerConfig(2, 7, HALF_UP if overlap else RNE), AccumulatorConfig(16, overlap, 8, 1, 1),
    )  # fmt: skip
    return BuiltArray(own, Code(8), Code(3), bias_bits=4)


def packed(config: BuiltArray, axis: str) -> BuiltArray:
    """The same array with operands so narrow that an element takes two codes."""
    return replace(config, array=replace(config.array, pack_axis=axis), a=Code(4))


def running(config: BuiltArray) -> BuiltArray:
    """The same array under a bound that rises."""
    return replace(config, array=replace(config.array, normalise=RUNNING))


def floating(config: BuiltArray, window: int = 48) -> BuiltArray:
    """The same array for codes of which one side has exponents, or where they are packed, both."""
    own = replace(config.array, window=window)
    return replace(config, array=own, a=E2M1, w=E2M1 if config.packed else config.w)


def banked(config: BuiltArray) -> BuiltArray:
    """The same array with a raw bank."""
    return replace(config, array=replace(config.array, raw_bank=True))


def twins() -> list[Twin]:
    """Arrays up to 3 x 3 down to their multipliers, and the shipped sizes."""
    return [
        array(small(2, 1), "2 x 1", whole=True, product=(1, 2, (1,))),
        array(small(2, 1), "2 x 1, two folds", default=False, product=(2, 3, ())),
        array(small(2, 2, overlap=False), "2 x 2 serial", whole=True),
        array(small(2, 2, aligners=2, overlap=False), "2 x 2 two aligners", whole=True, default=False),
        array(small(3, 3, dataflow="is"), "3 x 3 inputs stay", whole=True),
        array(small(3, 2, aligners=2), "3 x 2, parts cut"),
        array(packed(small(2, 1), "K"), "2 x 1 packed along K", whole=True, product=(1, 4, (1,))),
        array(packed(small(2, 1), "N"), "2 x 1 packed along N", whole=True, product=(1, 2, (1,))),
        array(packed(small(2, 2, 2, overlap=False), "N"), "2 x 2 serial packed along N", whole=True),
        array(packed(small(3, 2, 2, dataflow="is"), "K"), "3 x 2 packed along K, parts cut"),
        array(running(small(2, 1)), "2 x 1 rising bound", whole=True, product=(1, 2, (1,))),
        array(running(small(2, 1, 2, overlap=False)), "2 x 1 serial rising bound", whole=True),
        array(running(packed(small(3, 2, 2), "N")), "3 x 2 rising bound packed along N, parts cut"),
        array(banked(small(2, 1)), "2 x 1 raw bank", whole=True, product=(1, 3, ())),
        array(banked(small(2, 1, 2, overlap=False)), "2 x 1 serial raw bank", whole=True),
        array(banked(packed(small(3, 2, 2), "N")), "3 x 2 raw bank packed along N, parts cut"),
        array(banked(running(small(3, 2))), "3 x 2 rising bound and raw bank, parts cut"),
        array(floating(small(2, 1)), "2 x 1 E2M1", whole=True, product=(1, 2, (1,))),
        array(floating(small(2, 2, 2, overlap=False, dataflow="is"), 5), "2 x 2 E2M1, 5 bits", whole=True),
        array(floating(packed(small(3, 2, 2), "K")), "3 x 2 E2M1 packed along K, parts cut"),
        array(floating(banked(running(small(3, 2)))), "3 x 2 E2M1 rising bound and raw bank, parts cut"),
        array(BuiltArray(load("edge16").array_config), "edge16"),
        array(BuiltArray(load("bct64").array_config), "bct64"),
        array(BuiltArray(load("bct64").array_config, E4M3, E4M3), "bct64 of E4M3"),
        array(BuiltArray(load("tpu128").array_config), "tpu128", default=False),
    ]


BY_HAND = (
    Edit("mac_array.sv", "waves[(ROWS-2)*WAVE+:WAVE]", "waves[(ROWS-1)*WAVE+:WAVE]", "latency"),
    Edit("mac_array.sv", "corner_row_now  = turning[1] ? '0", "corner_row_now  = turning[2] ? '0", "latency"),
    Edit("mac_array.sv", "corner_fold + 1'b1", "corner_fold + turning[0]", "width"),
    Edit("mac_array.sv", "loads[0]           = load", "loads[0]           = load_next", "latency"),
    Edit("mac_array.sv", "totals[(ROWS-1)*SUMS+:SUMS]", "sums[ROWS*SUMS+:SUMS]", "latency"),
    Edit(
        "mac_array.sv",
        "place_out[2+SLOT_BITS+:MOVING_BITS], write, places[j*PLACE+:PLACE]\n    };\n    column",
        "places[j*PLACE+2+SLOT_BITS+:MOVING_BITS], write, places[j*PLACE+:PLACE]\n    };\n    column",
        "latency",
    ),
    Edit("mac_array.sv", ".sum(bottom[j*CHAINS", ".sum(bottom[j/WIDTH*CHAINS", "width"),
    Edit("mac_array.sv", ".coming(places[j*PLACE])", ".coming(places[j*PLACE+1])", "latency"),
    Edit(
        "mac_array.sv", "floor, held} = column_in[j*READ+:EDGE]", "floor, held} = column_in[0+:EDGE]", "width"
    ),
)
