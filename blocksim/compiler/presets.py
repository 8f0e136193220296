"""Shipped precision plans: a format for every role.

``{weight}``, ``{activation}`` and ``{bias}`` are the block shapes that the user gives; other plans have
shapes of their own.
"""

from __future__ import annotations

from typing import Literal

Plan = dict[str, str]
Axis = Literal["reduction", "last"]
"""Along which axis the second operands of attention's products are cut, see `precision.PlanFile`."""


def _shift(weight: str, vector: str = "int16") -> Plan:
    """BCT's: blocks of any shape, each with an exponent."""
    return {
        "weight": f"{weight}@{{weight}}",
        "activation": "int8@{activation}",
        "vector": f"{vector}@{{activation}}",
        "bias": "int8@{bias}",
        "embedding": "int8@row",
    }


def _whole(element: str, bias: str, blocks: tuple[str, str]) -> Plan:
    """One scale for a whole tensor, or for a channel of a weight."""
    return {
        "weight": f"{element}@{blocks[0]}",
        "activation": f"{element}@{blocks[1]}",
        "vector": "int16@tensor",
        "bias": bias,
        "embedding": "int8@row",
    }


def _alike(element: str, block: str, vector: str = "int16") -> Plan:
    """One element for both operands, in the blocks that it comes with; of what shares nothing, in any."""
    return {
        "weight": f"{element}@{block}",
        "activation": f"{element}@{block}",
        "vector": f"{vector}@{block}",
        "bias": f"int8@{block}",
        "embedding": "int8@row",
    }


PRESETS: dict[str, Plan] = {
    "bct-int8": _shift("int8"),
    "bct-int8-strict": _shift("int8", vector="int8"),
    "bct-int8-fp8": _shift("int8") | {"softmax": "e4m3@{activation}", "norm": "e4m3@{activation}"},
    "bct-int8-log2": _shift("int8") | {"softmax": "log2u4@{activation}"},
    "bct-int8-logsqrt2": _shift("int8") | {"softmax": "logsqrt2u4@{activation}"},
    "bct-w4a8": _shift("int4"),
    "layerwise-shift8": _whole("int8", "int8@tensor", ("tensor", "tensor")),
    "layerwise-lin8": _whole("lin8", "int32@tensor", ("channel", "tensor")),
    "bfp-w6a6": _alike("bfp6", "1x16", vector="int8"),
    "bfp-w6a6-strict": _alike("bfp6", "1x16", vector="bfp6"),
    "bfp-w6a6-last": _alike("bfp6", "1x16", vector="int8"),
    "bfp-w4a4": _alike("bfp4", "1x16", vector="int8"),
    "bm8": _alike("bm8e4m3", "1x16"),
    "bl8": _alike("bl8", "1x16"),
    "minifloat8": _alike("minifloat8e4m3", "64x64"),
    "dmf8": _alike("dmf8e4m3", "64x64"),
    "fixed8": {**_alike("fixed8f4", "tensor"), "weight": "fixed8f7@tensor"},
    "mxint8": _alike("mxint8", "1x32"),
    "mxfp8": _alike("mxfp8e4m3", "1x32"),
    "mxfp6": _alike("mxfp6e2m3", "1x32"),
    "mxfp4": _alike("mxfp4", "1x32"),
}
"""By name; ``fp32`` is the reference itself and has no formats."""

SECOND: dict[str, Axis] = {"bfp-w6a6-last": "last"}
"""Plans that cut second operands along another axis than the one that is reduced."""

CALIBRATED = ("layerwise-lin8",)
"""Plans whose scales come from calibration samples."""
