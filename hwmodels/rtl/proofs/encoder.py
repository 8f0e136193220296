"""The encoder: what ranks a sum, what makes a code of it, a lane, and lanes side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from hwmodels.rtl.reading import Reading
from hwmodels.rtl.twin import Claim, Cut, Edit, Twin
from hwmodels.rtl.words import Number, Terms
from hwmodels.units import encoder, encoder_step, requantizer
from hwmodels.units.encoder import EncoderConfig
from hwmodels.units.encoder_step import EncoderUnitConfig, LaneInputs, LaneState
from hwmodels.units.ports import signed
from hwmodels.units.requantizer_lane import EXPONENT_BITS, RANK_BITS, STORED_BITS, SUM_BITS, form_of

E4M3 = EncoderConfig(8, 3, True, 0x7E, 11, False)
E2M1 = EncoderConfig(4, 1, True, 0x7, 0, False)
LOG = EncoderConfig(8, 0, True, 0x7F, 120, True)
OCTAVES = EncoderConfig(4, 0, True, 0xF, 8, True, signed=False)
HALF_OCTAVES = EncoderConfig(4, 1, True, 0xF, 8, True, signed=False, roots=True)


def parameters(config: EncoderConfig) -> dict[str, int]:
    """Those of the module `encoder_code`."""
    return {
        "BITS": config.bits, "STORED_BITS": config.stored_bits, "HIDDEN": int(config.hidden),
        "LARGEST": config.largest, "FRACTION": config.fraction, "GEOMETRIC": int(config.geometric),
        "SIGNED": int(config.signed), "ROOTS": int(config.roots),
    }  # fmt: skip


def coder(label: str, config: EncoderConfig, default: bool = True) -> Twin:
    """What makes a code of a sum."""
    return Twin(
        unit=encoder, label=label, config=config, module="encoder_code", parameters=parameters(config),
        tested="tests/units/test_encoder.py", name="encoder code", reset=lambda _, state: state,
        default=default,
    )  # fmt: skip


def ranker(label: str, geometric: bool) -> Twin:
    """What ranks a sum."""
    return Twin(
        unit=encoder, label=label, config=geometric, module="encoder_rank",
        parameters={"GEOMETRIC": int(geometric)}, tested="tests/units/test_encoder.py", name="encoder rank",
        ports=encoder.rank_ports, step=encoder.rank_step, reset=lambda _, state: state,
    )  # fmt: skip


def unit_parameters(config: EncoderUnitConfig) -> dict[str, int]:
    """Those of the module `encoder_lane`."""
    own = {"MERGED": int(config.merged), "LATENCY": config.latency, "REACH": config.codes.reach}
    return own | {"FORM": form_of(config.width, raised=False)} | parameters(config.codes)


def lane(config: EncoderUnitConfig, label: str) -> Twin:
    """One lane."""
    return Twin(
        unit=encoder, label=label, config=config, module="encoder_lane", parameters=unit_parameters(config),
        name="encoder lane", part_of="encoder", ports=encoder_step.lane_ports, step=encoder_step.lane_step,
        reset=lambda _, state: state, promised=has_room,
    )  # fmt: skip


def has_room(config: EncoderUnitConfig, _: LaneState, inputs: LaneInputs) -> Number:
    """The lowest bound under the anchor is an exponent that can be stored."""
    return inputs.anchor >= config.codes.reach - (1 << STORED_BITS - 1) + 1


def operation(
    config: EncoderUnitConfig, elements: int, mode: str
) -> Callable[[Terms, Reading], Iterator[Claim]]:
    """One block of any sums, with its exponent searched, its `top` known, or under an `anchor`."""

    def claims(terms: Terms, reading: Reading) -> Iterator[Claim]:
        def any_of(name: str, kind: Any) -> list[Any]:
            return [terms.unknown(f"{name} {i}", kind) for i in range(elements)]

        sums, exponents = any_of("sum", signed(SUM_BITS)), any_of("exponent", signed(EXPONENT_BITS))
        known: dict[str, Any] = {
            "search": {}, "anchor": {"anchor": 2}, "top": {"top": terms.unknown("top", signed(RANK_BITS))},
        }[mode]  # fmt: skip
        (codes, exponent, clamped, saturated), count = reading.of(encoder_step.run)(
            config, sums, exponents, **known
        )
        want = reading.of(encoder.result)(config.codes, sums, exponents, **known)
        yield Claim("cycles", count == requantizer.cycles(timed(config), elements, mode == "top"))
        yield Claim("exponent", exponent == want[1])
        yield Claim("clamped", clamped == want[2])
        yield Claim("saturated", saturated == want[3])
        for i in range(elements):
            yield Claim(f"code {i}", codes[i] == want[0][i])

    return claims


def timed(config: EncoderUnitConfig) -> requantizer.RequantizerConfig:
    """The requantizer with the same pipeline, whose cycles an encoder takes."""
    return requantizer.RequantizerConfig(config.lanes, config.merged, config.latency)


def whole(config: EncoderUnitConfig, label: str, mode: str = "search", default: bool = True) -> Twin:
    """All lanes, each of them cut; a whole operation of two lanes and three elements."""
    instances = tuple(f"lane[{i}].u" for i in range(config.lanes))
    cut = Cut("encoder_lane", instances, encoder_step.lane_step, encoder_step.lane_ports)
    return Twin(
        unit=encoder, label=label, config=config, module="encoder",
        parameters={"LANES": config.lanes, **unit_parameters(config)}, cuts=(cut,), name="encoder",
        ports=encoder_step.ports, step=encoder_step.step, reset=encoder_step.reset,
        operation=operation(replace(config, lanes=2), 3, mode), scope="2 lanes, 3 elements", default=default,
    )  # fmt: skip


def twins() -> list[Twin]:
    """The codes that plans take, and one without a hidden one; lanes and units as of the requantizer."""
    shipped = EncoderUnitConfig(E4M3, 64, True, 4)
    odd = EncoderUnitConfig(E2M1, 3, False, 6)
    single = EncoderUnitConfig(OCTAVES, 1, False, 6)
    pair = EncoderUnitConfig(LOG, 2, True, 5)
    return [
        coder("E4M3", E4M3),
        coder("E5M2", EncoderConfig(8, 2, True, 0x7B, 25, False), default=False),
        coder("E2M3", EncoderConfig(6, 3, True, 0x1F, 0, False), default=False),
        coder("E3M2", EncoderConfig(6, 2, True, 0x1F, 2, False), default=False),
        coder("E2M1", E2M1),
        coder("DMF", EncoderConfig(8, 3, False, 0x7F, 11, False)),
        coder("logarithms", LOG),
        coder("octaves", OCTAVES),
        coder("half octaves", HALF_OCTAVES),
        ranker("floor", False),
        ranker("logarithms", True),
        lane(shipped, "E4M3"),
        lane(odd, "E2M1, separate passes"),
        lane(pair, "logarithms, five stages"),
        lane(single, "octaves"),
        replace(whole(shipped, "bct64, E4M3"), operation=None, tested="tests/units/test_encoder_step.py"),
        replace(
            whole(odd, "E2M1, separate passes"), operation=None, tested="tests/units/test_encoder_step.py"
        ),
        whole(replace(shipped, lanes=2), "two lanes, E4M3, searched", default=False),
        whole(replace(odd, lanes=2), "two lanes, E2M1, separate passes", default=False),
        whole(single, "octaves, one lane"),
        whole(pair, "logarithms, two lanes, searched before", "top"),
        whole(EncoderUnitConfig(E4M3, 2, True, 4), "E4M3, two lanes, anchored", "anchor"),
    ]


PARTS = {"encoder_lane": lane}
"""Modules that others have as parts, and how a twin of one is made from its configuration."""

BY_HAND = (
    Edit("encoder_code.sv", ".ROUNDING(2)", ".ROUNDING(1)", "rounding"),
    Edit("encoder_code.sv", "$signed({1'b0, leading})", "$signed({leading, 1'b0})", "width"),
    Edit("encoder_code.sv", "place < 0 ? S'(SUM_BITS + 1)", "place < 0 ? S'(SUM_BITS)", "width"),
    Edit("encoder_code.sv", "leading > Root", "leading >= {1'b1, {(SUM_BITS - 1) {1'b0}}}", "rounding"),
    Edit("encoder_code.sv", "{sum < 0 && held != 0, held[M-1:0]}", "{sum < 0, held[M-1:0]}", "sign"),
    Edit("encoder_code.sv", "sum < 0 ? '0 : held[M-1:0]", "held[M-1:0]", "sign"),
    Edit("encoder_code.sv", "leading > Third", "leading > First", "rounding"),
    Edit("encoder_rank.sv", "SUM_BITS'(-sum)", "SUM_BITS'(~sum)", "sign"),
    Edit("encoder_lane.sv", "own ? joined : top_1", "own ? joined : top", "latency"),
    Edit("encoder_lane.sv", "GEOMETRIC ? 10'sd0 : 10'sd1", "10'sd0", "rounding"),
    Edit("encoder_lane.sv", "above > 10'(anchor) ? anchor", "above < 10'(anchor) ? anchor", "sign"),
    Edit("encoder_lane.sv", "beyond & ~anchored", "beyond", "sign"),
    Edit("sum_register.sv", "sum      <= x", "sum      <= -x", "sign"),
    Edit("encoder.sv", ".anchor(anchor_2)", ".anchor(anchor_1)", "latency"),
)
