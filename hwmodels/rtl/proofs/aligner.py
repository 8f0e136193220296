"""The aligner: a lane under every rounding and reach, and the stage of a column's aligners."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from hwmodels.machines import load
from hwmodels.rtl.reading import Reading
from hwmodels.rtl.twin import Claim, Cut, Edit, Twin
from hwmodels.rtl.words import Number, Terms
from hwmodels.units import aligner
from hwmodels.units.aligner import AlignerConfig, LaneConfig, LaneInputs, LaneState, StageConfig
from hwmodels.units.ops import FLOOR, HALF_UP, RNE
from hwmodels.units.ports import signed, unsigned
from hwmodels.units.prescan import WORD


def parameters(config: LaneConfig) -> dict[str, int]:
    """Those of the module `aligner`."""
    return {
        "X_BITS": config.x_bits,
        "E_BITS": config.e_bits,
        "GUARD_BITS": config.aligner.guard_bits,
        "MAX_SHIFT": config.aligner.max_shift,
        "LONGEST_LEFT": config.longest_left,
        "ROUNDING": config.aligner.rounding,
    }


def promised(config: LaneConfig, _: LaneState, inputs: LaneInputs) -> Number:
    """No term but zero is shifted left by more than there is room for: E is what it is for that."""
    return aligner.within_reach(config, inputs)


def all_promised(config: StageConfig, _: aligner.State, inputs: aligner.Inputs) -> Number:
    """The same of every lane."""
    kept: Number = 1
    for x, exponent in zip(inputs.x, inputs.exponent, strict=True):
        kept = kept & promised(config.lane, LaneState(), LaneInputs(x, exponent, inputs.bound))
    return kept


def lane(config: LaneConfig, label: str) -> Twin:
    """One lane."""
    return Twin(
        unit=aligner, label=label, config=config, module="aligner",
        parameters={**parameters(config), "OUT_BITS": config.out_bits},
        promised=promised, part_of="aligner stage",
        name="aligner lane", ports=aligner.lane_ports, step=aligner.lane_step, reset=lambda _, state: state,
    )  # fmt: skip


def operation(config: StageConfig, terms: int, gaps: Sequence[int]) -> Callable[..., Iterator[Claim]]:
    """Any terms of an output under a bound that is not below their exponents."""

    def claims(made: Terms, reading: Reading) -> Iterator[Claim]:
        lane = config.lane
        x = [made.unknown(f"x {i}", signed(lane.x_bits)) for i in range(terms)]
        bound = made.unknown("bound", signed(lane.e_bits - 1))
        below = [made.unknown(f"below {i}", unsigned(lane.e_bits - 2)) for i in range(terms)]
        exponents = [bound - b for b in below]
        (total, flushed), count = reading.of(aligner.run)(config, x, exponents, bound, gaps=gaps)
        want = reading.of(aligner.result_sum)(lane.aligner, x, exponents, bound)
        yield Claim("cycles", count == aligner.cycles(terms, config.lanes) + len(gaps))
        yield Claim("sum", total == want[0])
        yield Claim("flushed", flushed == want[1])

    return claims


def stage(config: StageConfig, label: str, small: StageConfig, default: bool = True) -> Twin:
    """The stage with its lanes cut; a whole output of `small` in two cycles with a gap between them."""
    instances = tuple(f"lane[{i}].u" for i in range(config.lanes))
    return Twin(
        unit=aligner, label=label, config=config, module="aligner_stage",
        parameters={"LANES": config.lanes, "SUM_BITS": config.sum_bits, **parameters(config.lane)},
        cuts=(Cut("aligner", instances, aligner.lane_step, aligner.lane_ports, promised),),
        promised=all_promised,
        operation=operation(small, small.lanes + 1, (1,)),
        scope=f"{small.lanes} lanes, {small.lanes + 1} terms of {small.lane.x_bits} bits",
        default=default, name="aligner stage",
    )  # fmt: skip


def twins() -> list[Twin]:
    """The shipped lane as its terms, its bias and a sum under a rising bound use it, and others."""
    machine = load("bct64")
    own, bits = machine.array_config.aligner, machine.accumulator.bits
    terms = LaneConfig(own, 32, WORD, own.guard_bits)
    bias = LaneConfig(own, 16, WORD, min(bits - 16 - 2, own.max_shift))
    rising = LaneConfig(AlignerConfig(0, own.max_shift, own.rounding), bits, WORD, 0)
    dropping = LaneConfig(AlignerConfig(-4, 40, HALF_UP), 24, WORD, -4)
    anything = LaneConfig(AlignerConfig(3, 5, FLOOR), 9, 6, 5)
    far = LaneConfig(AlignerConfig(15, 62, RNE), 32, WORD, 15)
    small = StageConfig(LaneConfig(AlignerConfig(2, 5, RNE), 6, 7, 2), 2, 12)
    return [
        lane(terms, "bct64: terms"),
        lane(bias, "bct64: bias"),
        lane(rising, "bct64: rising bound"),
        lane(dropping, "guard bits -4, half up"),
        lane(anything, "any shift, floor"),
        lane(far, "guard bits 15, shifts of 62"),
        stage(StageConfig(terms, 1, 48), "bct64", small),
        stage(StageConfig(dropping, 3, 32), "3 lanes", small),
    ]


PARTS = {"aligner": lane}
"""Modules that others have as parts, and how a twin of one is made from its configuration."""

BY_HAND = (
    Edit("round_shift.sv", "half & (sticky | quotient[1])", "half & quotient[1]", "sticky"),
    Edit("round_shift.sv", "assign half     = quotient[0]", "assign half     = quotient[1]", "rounding"),
    Edit(
        "aligner.sv", "Guard - (WS'(bound) - WS'(exponent))", "Guard + (WS'(bound) - WS'(exponent))", "sign"
    ),
    Edit("aligner.sv", "localparam int WS = E_BITS + 2", "localparam int WS = E_BITS", "width"),
    Edit("aligner.sv", "shift < -Longest", "shift <= -Longest", "width"),
    Edit("aligner_stage.sv", "last ? '0 : sum", "sum", "latency"),
)
