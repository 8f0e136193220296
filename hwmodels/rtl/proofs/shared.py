"""The modules that several units use: each is proved equal to the function of `ops` or `lut` that it names.

They have no registers. Each `step` here only gives the function the shape of one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from hwmodels.rtl.twin import Cut, Edit, Twin, always
from hwmodels.rtl.words import Number
from hwmodels.units import lut, ops
from hwmodels.units.ops import FLOOR, HALF_UP, RNE
from hwmodels.units.ports import Ports, signed, unsigned


class State(NamedTuple):
    """No registers."""


@dataclass(frozen=True)
class Shift:
    """Widths of a number and of a distance, how far is shifted at most, and the rounding."""

    bits: int
    distance_bits: int
    rounding: int
    limit: int = 0
    longest_left: int = 0


class ShiftInputs(NamedTuple):
    """A number and a distance; `scale` reads its sign, positive is left."""

    x: int
    s: int


class Operand(NamedTuple):
    """One number in."""

    x: int


class Result(NamedTuple):
    """One number out."""

    y: int


def round_shift_ports(config: Shift) -> Ports:
    """Those of `round_shift`."""
    x = signed(config.bits)
    return Ports(ShiftInputs(x, unsigned(config.distance_bits)), State(), Result(x))


def round_shift(config: Shift, state: State, inputs: ShiftInputs) -> tuple[State, Result]:
    """`ops.shift_right`."""
    return state, Result(ops.shift_right(inputs.x, inputs.s, config.rounding))


def scale_ports(config: Shift) -> Ports:
    """Those of `scale`."""
    inputs = ShiftInputs(signed(config.bits), signed(config.distance_bits))
    return Ports(inputs, State(), Result(signed(config.bits + config.longest_left)))


def scale(config: Shift, state: State, inputs: ShiftInputs) -> tuple[State, Result]:
    """`ops.scale`."""
    return state, Result(ops.scale(inputs.x, inputs.s, config.limit, config.rounding))


def left_fits(config: Shift, _: State, inputs: ShiftInputs) -> Number:
    """What a shorter left shift relies on."""
    return inputs.s <= config.longest_left


@dataclass(frozen=True)
class Hold:
    """Widths before and after, and whether the lowest number is left out."""

    bits: int
    out_bits: int
    symmetric: bool


def saturate_ports(config: Hold) -> Ports:
    """Those of `saturate`."""
    return Ports(Operand(signed(config.bits)), State(), Result(signed(config.out_bits)))


def saturate(config: Hold, state: State, inputs: Operand) -> tuple[State, Result]:
    """`ops.saturate` and `ops.saturate_symmetric`."""
    held = ops.saturate_symmetric if config.symmetric else ops.saturate
    return state, Result(held(inputs.x, config.out_bits))


class Length(NamedTuple):
    """The number of bits."""

    n: int


def bit_length_ports(bits: int) -> Ports:
    """Those of `bit_length`."""
    return Ports(Operand(unsigned(bits)), State(), Length(unsigned(bits.bit_length())))


def bit_length(_: int, state: State, inputs: Operand) -> tuple[State, Length]:
    """`ops.bit_length`."""
    return state, Length(ops.bit_length(inputs.x))


class Factors(NamedTuple):
    """Two factors."""

    a: int
    b: int


class Product(NamedTuple):
    """Their product."""

    p: int


def multiplier_ports(widths: tuple[int, int]) -> Ports:
    """Those of `multiplier`."""
    return Ports(Factors(*map(signed, widths)), State(), Product(signed(sum(widths))))


def multiplier(widths: tuple[int, int], state: State, inputs: Factors) -> tuple[State, Product]:
    """`ops.mul`."""
    return state, Product(ops.mul(inputs.a, inputs.b, *widths))


@dataclass(frozen=True)
class Line:
    """Widths of an entry and of what lies between two."""

    bits: int
    low_bits: int


class LineInputs(NamedTuple):
    """Two entries and a place between them."""

    left: int
    right: int
    low: int


def interpolate_ports(config: Line) -> Ports:
    """Those of `interpolate`."""
    entry = signed(config.bits)
    return Ports(LineInputs(entry, entry, unsigned(config.low_bits)), State(), Result(entry))


def interpolate(config: Line, state: State, inputs: LineInputs) -> tuple[State, Result]:
    """`lut.between`."""
    return state, Result(lut.between(inputs.left, inputs.right, inputs.low, config.low_bits, config.bits))


def twin(
    label: str,
    config: Any,
    parameters: dict[str, int],
    step: Callable[..., Any],
    ports: Callable[..., Any],
    promised: Callable[..., Number] = always,
    cuts: tuple[Cut, ...] = (),
) -> Twin:
    """A module of the name that `step` has."""
    return Twin(
        unit=ops, label=label, config=config, module=step.__name__, parameters=parameters, cuts=cuts,
        promised=promised, tested="tests/units/test_ops.py", name=step.__name__,
        step=step, ports=ports, reset=lambda _, state: state,
    )  # fmt: skip


def _round_shift(c: Shift) -> Twin:
    parameters = {"W": c.bits, "S": c.distance_bits, "ROUNDING": c.rounding}
    return twin(_named(c), c, parameters, round_shift, round_shift_ports)


def _scale(c: Shift) -> Twin:
    parameters = {
        "WX": c.bits, "WS": c.distance_bits, "LIMIT": c.limit, "LONGEST_LEFT": c.longest_left,
        "ROUNDING": c.rounding,
    }  # fmt: skip
    label = f"{_named(c)}, right {c.limit}, left {c.longest_left}"
    return twin(label, c, parameters, scale, scale_ports, left_fits if c.longest_left < c.limit else always)


def _named(c: Shift) -> str:
    names = {value: name for name, value in ops.ROUNDINGS.items()}
    return f"{c.bits} bits, {names[c.rounding]}"


def _saturate(c: Hold) -> Twin:
    parameters = {"WI": c.bits, "WO": c.out_bits, "SYMMETRIC": int(c.symmetric)}
    label = f"{c.bits} to {c.out_bits} bits" + (", symmetric" if c.symmetric else "")
    return twin(label, c, parameters, saturate, saturate_ports)


def _interpolate(c: Line) -> Twin:
    cut = (Cut("multiplier", ("u_slope",)),)
    parameters = {"W": c.bits, "LOW": c.low_bits}
    return twin(f"{c.bits} bits", c, parameters, interpolate, interpolate_ports, cuts=cut)


def multiplier_of(widths: tuple[int, int], _: str = "") -> Twin:
    """A multiplier."""
    a, b = widths
    return twin(f"{a} x {b} bits", widths, {"WA": a, "WB": b}, multiplier, multiplier_ports)


def twins() -> list[Twin]:
    """Every mode, at the widths of shipped units and at odd ones."""
    roundings = (FLOOR, HALF_UP, RNE)
    shifts = [Shift(bits, s, r) for bits, s in ((32, 5), (7, 3), (49, 6)) for r in roundings]
    scales = [
        *(Shift(16, 10, r, limit=31, longest_left=31) for r in roundings),
        Shift(40, 12, RNE, limit=62, longest_left=8),
        Shift(5, 7, HALF_UP, limit=1, longest_left=1),
    ]
    holds = [Hold(b, o, s) for b, o in ((36, 20), (32, 8), (9, 2)) for s in (False, True)]
    return [
        *map(_round_shift, shifts),
        *map(_scale, scales),
        *map(_saturate, holds),
        *(
            twin(f"{bits} bits", bits, {"W": bits}, bit_length, bit_length_ports)
            for bits in (1, 8, 17, 32, 62)
        ),
        *(multiplier_of(widths) for widths in ((8, 8), (8, 4), (16, 16), (21, 9))),
        *map(_interpolate, (Line(20, 8), Line(16, 3), Line(9, 1))),
    ]


PARTS = {"multiplier": multiplier_of}
"""Modules that others have as parts, and how a twin of one is made from its configuration."""

BY_HAND = (
    Edit("round_shift.sv", "half & (sticky | quotient[1])", "half & sticky", "sticky"),
    Edit("round_shift.sv", "assign half     = quotient[0]", "assign half     = quotient[1]", "rounding"),
    Edit("scale.sv", "s[WS-1] ? '0 : far", "far", "sign"),
    Edit(
        "scale.sv",
        "localparam int L = $clog2(LONGEST_LEFT + 1)",
        "localparam int L = $clog2(LONGEST_LEFT)",
        "width",
    ),
    Edit("saturate.sv", "SYMMETRIC ? -Highest", "SYMMETRIC ? Highest", "sign"),
    Edit("saturate.sv", "{1'b0, {(WO - 1) {1'b1}}}", "{2'b0, {(WO - 2) {1'b1}}}", "width"),
    Edit("bit_length.sv", "N'(i + 1)", "N'(i)", "width"),
    Edit("interpolate.sv", "1 << (LOW - 1)", "1 << LOW", "rounding"),
)
