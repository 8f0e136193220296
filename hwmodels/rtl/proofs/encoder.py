"""The encoder: what ranks a sum, and what makes a code of it."""

from __future__ import annotations

from hwmodels.rtl.twin import Edit, Twin
from hwmodels.units import encoder
from hwmodels.units.encoder import EncoderConfig


def coder(label: str, config: EncoderConfig, default: bool = True) -> Twin:
    """What makes a code of a sum."""
    parameters = {
        "BITS": config.bits, "STORED_BITS": config.stored_bits, "HIDDEN": int(config.hidden),
        "LARGEST": config.largest, "FRACTION": config.fraction, "GEOMETRIC": int(config.geometric),
        "SIGNED": int(config.signed), "ROOTS": int(config.roots),
    }  # fmt: skip
    return Twin(
        unit=encoder, label=label, config=config, module="encoder_code", parameters=parameters,
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


def twins() -> list[Twin]:
    """The codes that plans take, and one without a hidden one."""
    return [
        coder("E4M3", EncoderConfig(8, 3, True, 0x7E, 11, False)),
        coder("E5M2", EncoderConfig(8, 2, True, 0x7B, 25, False), default=False),
        coder("E2M3", EncoderConfig(6, 3, True, 0x1F, 0, False), default=False),
        coder("E3M2", EncoderConfig(6, 2, True, 0x1F, 2, False), default=False),
        coder("E2M1", EncoderConfig(4, 1, True, 0x7, 0, False)),
        coder("DMF", EncoderConfig(8, 3, False, 0x7F, 11, False)),
        coder("logarithms", EncoderConfig(8, 0, True, 0x7F, 120, True)),
        coder("octaves", EncoderConfig(4, 0, True, 0xF, 8, True, signed=False)),
        coder("half octaves", EncoderConfig(4, 1, True, 0xF, 8, True, signed=False, roots=True)),
        ranker("floor", False),
        ranker("logarithms", True),
    ]


BY_HAND = (
    Edit("encoder_code.sv", ".ROUNDING(2)", ".ROUNDING(1)", "rounding"),
    Edit("encoder_code.sv", "$signed({1'b0, leading})", "$signed({leading, 1'b0})", "width"),
    Edit("encoder_code.sv", "place < 0 ? S'(SUM_BITS + 1)", "place < 0 ? S'(SUM_BITS)", "width"),
    Edit("encoder_code.sv", "leading > Root", "leading >= {1'b1, {(SUM_BITS - 1) {1'b0}}}", "rounding"),
    Edit("encoder_code.sv", "{sum < 0 && held != 0, held[M-1:0]}", "{sum < 0, held[M-1:0]}", "sign"),
    Edit("encoder_code.sv", "sum < 0 ? '0 : held[M-1:0]", "held[M-1:0]", "sign"),
    Edit("encoder_code.sv", "leading > Third", "leading > First", "rounding"),
    Edit("encoder_rank.sv", "SUM_BITS'(-sum)", "SUM_BITS'(~sum)", "sign"),
)
