"""The softmax unit: its parts with any tables for all states, and the whole of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from bitwuzla import Kind

from hwmodels.machines import load
from hwmodels.rtl.reading import Reading
from hwmodels.rtl.twin import Claim, Cut, Edit, Twin
from hwmodels.rtl.words import AnyTable, Number, Terms, at, fits
from hwmodels.units import lut, ops, softmax, softmax_parts, softmax_step
from hwmodels.units.ports import FLAG, Width, signed, unsigned
from hwmodels.units.softmax import (
    CODE_BITS,
    ENTRY_BITS,
    EXPONENT_BITS,
    FRACTION,
    LOG2E_BITS,
    SUM_BITS,
    SoftmaxConfig,
    word_bits,
)
from hwmodels.units.softmax_parts import (
    BELOW_BITS,
    COUNT_BITS,
    PLACES_BITS,
    SHIFT_BITS,
    WHOLE_BITS,
    lane_sum_bits,
)


def control(config: SoftmaxConfig, label: str) -> Twin:
    """The controller."""
    return Twin(
        unit=softmax_parts, label=label, config=config, module="softmax_control",
        parameters={"LATENCY": config.latency, "COUNT": COUNT_BITS},
        name="softmax control", part_of="softmax", ports=softmax_parts.control_ports,
        step=softmax_parts.control_step, reset=lambda *_: softmax_parts.IDLE,
    )  # fmt: skip


def lane(config: SoftmaxConfig, label: str) -> Twin:
    """One lane."""
    return Twin(
        unit=softmax_parts, label=label, config=config, module="softmax_lane",
        parameters={
            "CODE_BITS": CODE_BITS, "GUARD": config.guard_bits, "FRACTION": FRACTION,
            "SEGMENTS": len(config.exp2) - 1, "LATENCY": config.latency,
        },
        cuts=(Cut("multiplier", ("u_line.u_slope", "u_quotient")),),
        name="softmax lane", part_of="softmax", ports=softmax_parts.lane_ports, step=softmax_parts.lane_step,
        reset=lambda _, state: state,
    )  # fmt: skip


def of_row(config: SoftmaxConfig, label: str) -> Twin:
    """The part for rows."""
    return Twin(
        unit=softmax_parts, label=label, config=config, module="softmax_row",
        parameters={
            "GUARD": config.guard_bits, "FRACTION": FRACTION, "SUM_BITS": SUM_BITS,
            "SEGMENTS": len(config.reciprocal) - 1,
        },
        cuts=(Cut("multiplier", ("u_inverse.u_slope",)),),
        name="softmax row", part_of="softmax", ports=softmax_parts.row_ports, step=softmax_parts.row_step,
        reset=lambda _, state: state,
    )  # fmt: skip


def totals(config: SoftmaxConfig, label: str) -> Twin:
    """The part for totals."""
    return Twin(
        unit=softmax_parts, label=label, config=config, module="softmax_totals",
        parameters={
            "BITS": word_bits(config.guard_bits), "SUM_BITS": SUM_BITS,
            "LANE_BITS": lane_sum_bits(config.lanes), "LATENCY": config.latency,
        },
        name="softmax totals", part_of="softmax", ports=softmax_parts.total_ports,
        step=softmax_parts.total_step, reset=lambda _, state: state,
    )  # fmt: skip


def free(terms: Terms, name: str, arguments: Sequence[int], result: Width) -> Callable[..., Number]:
    """Any function of signed numbers of so many bits: equal arguments give equal results.

    Further arguments are parameters: with others it is another function.
    """
    m = terms.manager
    sort = m.mk_fun_sort([m.mk_bv_sort(bits) for bits in arguments], m.mk_bv_sort(result.bits))
    functions: dict[tuple[int, ...], Any] = {}

    def apply(*given: Number) -> Number:
        known = [at(terms, fits(x, bits), bits) for x, bits in zip(given, arguments, strict=False)]
        fixed = given[len(arguments) :]
        if fixed not in functions:
            functions[fixed] = m.mk_const(sort, f"{name} {fixed}")
        return terms.read(m.mk_term(Kind.APPLY, [functions[fixed], *known]), result)

    return apply


def any_functions(terms: Terms, config: SoftmaxConfig) -> dict[Callable[..., Any], Callable[..., Number]]:
    """What an element or a sum goes through, as any functions with results of the widths that are proved.

    `result` and `step` call the same, so that only what is done to what, and when, is left to show.
    """
    entry, word = unsigned(ENTRY_BITS), word_bits(config.guard_bits)
    octaves, product = word + LOG2E_BITS + 1, 2 * ENTRY_BITS + 2
    signatures: dict[Callable[..., Any], tuple[tuple[int, ...], Width]] = {
        softmax.shifted: ((CODE_BITS, BELOW_BITS + 1), signed(word)),
        softmax.in_octaves: ((word + 1,), unsigned(octaves - 1)),
        softmax.held: ((octaves, SHIFT_BITS), unsigned(FRACTION + WHOLE_BITS)),
        lut.between: ((ENTRY_BITS + 1, ENTRY_BITS + 1, FRACTION + 1), entry),
        ops.shift_right: ((ENTRY_BITS + 1, WHOLE_BITS + 1), entry),
        softmax.places_of: ((SUM_BITS + 1,), unsigned(PLACES_BITS)),
        softmax.mantissa_of: ((SUM_BITS + 1, PLACES_BITS + 1), unsigned(FRACTION)),
        ops.mul: ((ENTRY_BITS + 1, ENTRY_BITS + 1), signed(product)),
        softmax.fraction_of: ((product, PLACES_BITS + 1), unsigned(FRACTION)),
    }
    return {f: free(terms, f.__name__, *signature) for f, signature in signatures.items()}


def operation(config: SoftmaxConfig, rows: int, columns: int) -> Callable[[Terms, Reading], Iterator[Claim]]:
    """Rows with any elements, any keys and any tables, from the start to the last word written."""

    def claims(terms: Terms, _: Reading) -> Iterator[Claim]:
        def unknown(name: str, kind: Width) -> list[list[Number]]:
            return [[terms.unknown(f"{name} {r} {c}", kind) for c in range(columns)] for r in range(rows)]

        reading = Reading(any_functions(terms, config))
        operands = (
            unknown("code", signed(CODE_BITS)),
            unknown("exponent", signed(EXPONENT_BITS)),
            unknown("key", FLAG),
        )
        tables: Any = {
            name: AnyTable.named(terms, name, len(table), unsigned(ENTRY_BITS))
            for name, table in (("exp2", config.exp2), ("reciprocal", config.reciprocal))
        }
        own = replace(config, **tables)
        results, count = reading.of(softmax_step.run)(own, *operands)
        yield Claim("cycles", count == softmax.cycles(own, rows, columns))
        for r, (sums, exponents) in enumerate(results):
            want = reading.of(softmax.result)(own, *(operand[r] for operand in operands))
            yield Claim(f"exponents {r}", exponents == want[1])
            for c in range(columns):
                yield Claim(f"sum {r} {c}", sums[c] == want[0][c])

    return claims


def parameters(config: SoftmaxConfig) -> dict[str, int]:
    """Those of the module `softmax`."""
    return {
        "LANES": config.lanes,
        "LATENCY": config.latency,
        "CODE_BITS": CODE_BITS,
        "GUARD": config.guard_bits,
        "FRACTION": FRACTION,
        "SUM_BITS": SUM_BITS,
        "COUNT": COUNT_BITS,
        "EXP2_SEGMENTS": len(config.exp2) - 1,
        "RECIPROCAL_SEGMENTS": len(config.reciprocal) - 1,
    }


def whole(config: SoftmaxConfig, label: str) -> Twin:
    """All of it, with the lanes and the part for rows cut, but neither controller, nor trees, nor totals."""
    instances = tuple(f"lane[{i}].u" for i in range(config.lanes))
    return Twin(
        unit=softmax_step, label=label, config=config, module="softmax", parameters=parameters(config),
        cuts=(
            Cut("softmax_row", ("of_row",), softmax_parts.row_step, softmax_parts.row_ports),
            Cut("softmax_lane", instances, softmax_parts.lane_step, softmax_parts.lane_ports),
        ),
        operation=operation(replace(config, lanes=2), rows=1, columns=3),
        scope="2 lanes, a row of 3, free arithmetic", name="softmax",
    )  # fmt: skip


def uncut(config: SoftmaxConfig, label: str) -> Twin:
    """All of it, with only the multipliers cut; two rows of two elements."""
    instances = [f"lane[{i}].u.{u}" for i in range(config.lanes) for u in ("u_line.u_slope", "u_quotient")]
    return replace(
        whole(config, label),
        cuts=(Cut("multiplier", ("of_row.u_inverse.u_slope", *instances)),),
        operation=operation(config, rows=2, columns=2),
        scope="2 rows of 2, free arithmetic",
    )


def twins() -> list[Twin]:
    """The shipped unit, and others with more or fewer guard bits, other tables and a longer pipeline.

    The machines differ in their lanes only.
    """
    shipped = load("bct64").softmax_config
    other = SoftmaxConfig(lanes=3, guard_bits=0, exp2=(0,) * 9, reciprocal=(0,) * 129, latency=10)
    wide = SoftmaxConfig(lanes=2, guard_bits=8, exp2=(0,) * 3, reciprocal=(0,) * 3, latency=8)
    fine = SoftmaxConfig(lanes=1, guard_bits=1, exp2=(0,) * 32769, reciprocal=(0,) * 32769, latency=9)
    return [
        *(part(shipped, "bct64") for part in (control, lane, of_row, totals, whole)),
        *(part(other, "no guard bits") for part in (control, lane, of_row, totals, whole)),
        *(part(wide, "8 guard bits") for part in (lane, of_row, uncut)),
        *(part(fine, "1 lane") for part in (lane, of_row, uncut)),
        replace(uncut(other, "3 lanes"), default=False),
        *(replace(whole(replace(shipped, lanes=n), f"{n} lanes"), default=False) for n in (16, 128)),
    ]


PARTS = {"softmax_lane": lane, "softmax_row": of_row}
"""Modules that others have as parts, and how a twin of one is made from its configuration."""

BY_HAND = (
    Edit(
        "softmax_lane.sv", ".LONGEST_LEFT(Far), .ROUNDING(1)", ".LONGEST_LEFT(Far), .ROUNDING(0)", "rounding"
    ),
    Edit("softmax_row.sv", ".ROUNDING(0)", ".ROUNDING(1)", "rounding"),
    Edit("round_shift.sv", "half & (sticky | quotient[1])", "half & sticky", "sticky"),
    Edit("softmax_lane.sv", "difference < 0 ? '0", "difference > 0 ? '0", "sign"),
    Edit("softmax_largest.sv", "logic signed [W-1:0] v", "logic [W-1:0] v", "sign"),
    Edit("softmax_control.sv", "IDLE'(LATENCY)", "IDLE'(LATENCY - 1)", "latency"),
    Edit("softmax.sv", "phase[5]", "phase[4]", "latency"),
    Edit("softmax_row.sv", ".LONGEST_LEFT(FRACTION)", ".LONGEST_LEFT(FRACTION - 1)", "width"),
    Edit("softmax_totals.sv", "SUM_BITS'(sums[Last])", "SUM_BITS'(sums[Last][LANE_BITS-2:0])", "width"),
    Edit("softmax_sum.sv", "node[2*i+1].v + node", "node[2*i+1].v | node", "width"),
)
