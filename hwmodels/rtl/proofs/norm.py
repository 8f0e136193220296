"""The norm unit: lanes, sums, root and control each for all states and any table, and the whole of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from hwmodels.machines import load
from hwmodels.rtl.reading import Reading
from hwmodels.rtl.twin import Claim, Cut, Edit, Twin, always
from hwmodels.rtl.words import AnyTable, Number, Terms, fits, fits_unsigned
from hwmodels.units import norm, norm_lanes, norm_root, norm_step, ops, tables
from hwmodels.units.norm import (
    HALF_BITS,
    MANTISSA_BITS,
    ROOT_BITS,
    ROOT_FRACTION,
    SHIFT_BITS,
    SUM_BITS,
    WORD,
    NormConfig,
    NormOperands,
)
from hwmodels.units.norm_lanes import EXPONENT_BITS, EntryInputs, EntryState
from hwmodels.units.norm_root import EPSILON_BITS, EPSILON_EXPONENT_BITS
from hwmodels.units.ports import FLAG, signed, unsigned

TESTED = "tests/units/test_norm_step.py"


def aligned_to_largest(_config: NormConfig, _state: EntryState | None, inputs: EntryInputs) -> Number:
    """What the feeder promises of an element: it has the tile's width, and no exponent is above the row's."""
    top = 1 << (WORD - 1)
    code = inputs.code << inputs.spare
    return (inputs.exponent <= inputs.row_exponent) & (code >= -top) & (code < top)


def all_aligned(config: NormConfig, _state: norm_step.State, inputs: norm_step.Inputs) -> Number:
    """The same of every lane."""
    promised: Number = 1
    for code, exponent in zip(inputs.code, inputs.exponent, strict=True):
        own = EntryInputs(code, exponent, inputs.row_exponent, inputs.spare)
        promised = promised & aligned_to_largest(config, None, own)
    return promised


def root_multipliers(config: NormConfig, within: str = "") -> tuple[str, ...]:
    """The multipliers on the way to a root, in the order in which the spec uses them."""
    newton = (
        f"{within}newton[{i}].u.{each}"
        for i in range(config.newton_steps)
        for each in ("u_error", "u_next", "u_square")
    )
    return (f"{within}u_between.u_slope", *newton, f"{within}u_length", f"{within}u_square")


def root_parameters(config: NormConfig) -> dict[str, int]:
    """Those of the module `norm_root`."""
    return {
        "NEWTON": config.newton_steps,
        "SEGMENTS": len(config.root) - 1,
        "LATENCY": config.latency,
    }


def part(
    name: str, config: NormConfig, label: str, parameters: dict[str, int], multipliers: tuple[str, ...] = ()
) -> dict[str, Any]:
    """What all twins of a part have in common; its functions are those of its name."""
    home: Any = norm_step if name == "control" else norm_root if name in ("sums", "root") else norm_lanes
    return {
        "unit": home,
        "label": label,
        "config": config,
        "module": f"norm_{name}",
        "parameters": parameters,
        "name": f"norm {name}",
        "part_of": "norm",
        "step": getattr(home, f"{name}_step"),
        "ports": getattr(home, f"{name}_ports"),
        "reset": getattr(home, f"{name}_reset", lambda _, state: state),
        "cuts": (Cut("multiplier", multipliers),) if multipliers else (),
    }


def entry(config: NormConfig, label: str) -> Twin:
    """A lane of pass 1."""
    return Twin(**part("entry", config, label, {}, ("u_square",)), promised=aligned_to_largest)


def element(config: NormConfig, label: str) -> Twin:
    """A lane of pass 2."""
    multipliers = ("u_length", "u_root", "u_gamma")
    return Twin(**part("element", config, label, {"LATENCY": config.latency}, multipliers))


def sums(config: NormConfig, label: str) -> Twin:
    """The sums over the lanes and over a row."""
    return Twin(**part("sums", config, label, {"LANES": config.lanes}))


def root(config: NormConfig, label: str) -> Twin:
    """From a row's sums to its root."""
    return Twin(**part("root", config, label, root_parameters(config), root_multipliers(config)))


def control(config: NormConfig, label: str) -> Twin:
    """The control."""
    return Twin(**part("control", config, label, {"LATENCY": config.latency}))


def parts(config: NormConfig) -> tuple[Cut, ...]:
    """All parts but the control, each as a cut."""
    lanes = range(config.lanes)

    def cut(
        module: str,
        instances: tuple[str, ...],
        home: Any,
        name: str,
        promised: Callable[..., Number] = always,
    ) -> Cut:
        ports: Callable[..., Any] = getattr(home, f"{name}_ports")
        return Cut(module, instances, getattr(home, f"{name}_step"), ports, promised)

    return (
        cut("norm_entry", tuple(f"entry[{i}].u" for i in lanes), norm_lanes, "entry", aligned_to_largest),
        cut("norm_sums", ("sums",), norm_root, "sums"),
        cut("norm_root", ("reciprocal",), norm_root, "root"),
        cut("norm_element", tuple(f"element[{i}].u" for i in lanes), norm_lanes, "element"),
    )


def whole(config: NormConfig, label: str) -> Twin:
    """The unit with its control, the other parts cut."""
    return Twin(
        unit=norm_step, label=label, config=config, module="norm", name="norm",
        parameters={"LANES": config.lanes, **root_parameters(config)}, cuts=parts(config), tested=TESTED,
        promised=all_aligned,
    )  # fmt: skip


def operated(config: NormConfig, columns: int, label: str) -> Twin:
    """The same with a whole operation on one row, of fewer lanes."""
    few = replace(config, lanes=columns)
    return replace(
        whole(config, label), operation=operation(few, columns), scope=f"a row of {columns}", tested=""
    )


def uncut(config: NormConfig, label: str) -> Twin:
    """The unit with all its parts; only multipliers are cut."""
    lanes = range(config.lanes)
    multipliers = (
        *(f"entry[{i}].u.u_square" for i in lanes),
        *root_multipliers(config, "reciprocal."),
        *(f"element[{i}].u.{each}" for i in lanes for each in ("u_length", "u_root", "u_gamma")),
    )
    return replace(whole(config, label), cuts=(Cut("multiplier", multipliers),), name="norm, uncut")


def other(lanes: int, newton_steps: int, latency: int, segments: int) -> NormConfig:
    """A unit with other parameters."""
    table = tables.reciprocal_root(segments, ROOT_FRACTION)
    return NormConfig(lanes, table, newton_steps, latency)


def natural(config: NormConfig, reading: Reading) -> Reading:
    """The reading of `norm.result` in which numbers keep the low bits that the hardware keeps of them.

    That V is not negative, that 24 bits hold y, and that 19 hold a root after a Newton step, is true of
    products only, not of any function in their place: `norm.result` asserts it, and tests go to the
    extremes. What a single stage shows, by contrast, has to be shown here too.
    """
    shown = (HALF_BITS, MANTISSA_BITS, SHIFT_BITS, *(() if config.newton_steps else (ROOT_BITS,)))

    def low(x: Number, bits: int) -> Number:
        return fits(x, bits) if bits in (WORD, SUM_BITS) else ops.wrap(x, bits)

    def low_unsigned(x: Number, bits: int) -> Number:
        return fits_unsigned(x, bits) if bits in shown else x & ((1 << bits) - 1)

    multiply = reading.of(ops.mul)
    return Reading({ops.mul: multiply, ops.fits: low, ops.fits_unsigned: low_unsigned})


def operation(config: NormConfig, columns: int) -> Callable[[Terms, Reading], Iterator[Claim]]:
    """One row of any elements, any table, gamma, beta and epsilon, from the first in to the last out."""

    def claims(terms: Terms, reading: Reading) -> Iterator[Claim]:
        def unknown(name: str, kind: Any) -> tuple[Number, ...]:
            return tuple(terms.unknown(f"{name} {i}", kind) for i in range(columns))

        word, exponent = signed(WORD), signed(EXPONENT_BITS)
        table: Any = AnyTable.named(terms, "table", len(config.root), unsigned(ROOT_BITS))
        own = replace(config, root=table)
        epsilon = (
            terms.unknown("epsilon", unsigned(EPSILON_BITS)),
            terms.unknown("exponent of epsilon", signed(EPSILON_EXPONENT_BITS)),
        )
        gamma, below_gamma = unknown("gamma", word), unknown("exponent of gamma", exponent)
        beta, below_beta = unknown("beta", word), unknown("exponent of beta", exponent)
        operands = NormOperands(
            WORD, terms.unknown("centred", FLAG), epsilon, gamma, below_gamma, beta, below_beta
        )
        codes, exponents = unknown("code", word), unknown("exponent", exponent)
        ((sums, below),), count = reading.of(norm_step.run)(own, operands, [codes], [exponents])
        wanted, wanted_below = natural(own, reading).of(norm.result)(own, operands, codes, exponents)
        terms.obligations[:] = dict.fromkeys(terms.obligations)  # an idle stage asks the same every cycle
        yield Claim("cycles", count == norm.cycles(own, 1, columns))
        for i in range(columns):
            yield Claim(f"exponent {i}", below[i] == wanted_below[i])
            yield Claim(f"sum {i}", sums[i] == wanted[i])

    return claims


def twins() -> list[Twin]:
    """The shipped unit, and others with fewer lanes, other tables, and more and fewer Newton steps."""
    shipped = load("bct64").norm_config
    bare = other(lanes=1, newton_steps=0, latency=11, segments=3)
    long = other(lanes=3, newton_steps=2, latency=17, segments=6)
    most = other(lanes=2, newton_steps=3, latency=18, segments=3 << 15)
    own, short, longer, longest = "bct64", "no Newton step", "two Newton steps", "three Newton steps"
    slow = (
        element(bare, short),
        root(most, longest),
        operated(shipped, 1, "one element"),
        operated(replace(bare, lanes=2), 2, "two elements, no Newton step"),
        whole(replace(shipped, lanes=128), "128 lanes"),
        *(uncut(c, label) for c, label in ((bare, short), (most, longest), (long, longer))),
    )
    return [
        entry(shipped, "any"),
        *(element(c, label) for c, label in ((shipped, own), (long, longer))),
        *(sums(replace(shipped, lanes=n), f"{n} lanes") for n in (1, 2, 3, 5, 16, 64, 128)),
        *(root(c, label) for c, label in ((shipped, own), (bare, short), (long, longer))),
        *(control(c, label) for c, label in ((shipped, own), (long, longer))),
        *(whole(c, label) for c, label in ((shipped, own), (bare, short), (long, longer))),
        *(replace(twin, default=False) for twin in slow),
    ]


PARTS = {"norm_entry": entry, "norm_element": element, "norm_sums": sums, "norm_root": root}
"""Modules that others have as parts, and how a twin of one is made from its configuration."""

BY_HAND = (
    Edit("norm_newton.sv", "(product + 40'sd32768)", "product", "rounding"),
    Edit("norm_element.sv", ".S(6), .ROUNDING(1)", ".S(6), .ROUNDING(2)", "rounding"),
    Edit("round_shift.sv", "half & (sticky | quotient[1])", "half & sticky", "sticky"),
    Edit("norm_tree.sv", "Bits'(left) + Bits'(right)", "Bits'($unsigned(left)) + Bits'(right)", "sign"),
    Edit("norm_root.sv", "- 62'(sum_squared)", "+ 62'(sum_squared)", "sign"),
    Edit("norm.sv", "assign own_root = root[2]", "assign own_root = root[1]", "latency"),
    Edit("norm_control.sv", "fetch         = issued[5]", "fetch         = issued[4]", "latency"),
    Edit("norm_root.sv", ".LIMIT(44)", ".LIMIT(44), .LONGEST_LEFT(43)", "width"),
    Edit("norm_control.sv", "address + 16'd1", "16'(15'(address + 16'd1))", "width"),
    Edit("norm_entry.sv", "10'(exponent) - 10'(row_exponent)", "10'(exponent) + 10'(row_exponent)", "sign"),
    Edit("norm_sums.sv", "fresh ? 30'sd0", "gather ? 30'sd0", "latency"),
)
