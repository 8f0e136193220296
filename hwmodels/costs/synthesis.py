"""What synthesis says of the modules: transistors and LUTs, written by ``make area``."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import yaml
from pydantic import Field

from hwmodels.frozen import Frozen

PATH = Path(__file__).parent / "synthesis.yaml"

TRANSISTOR_FLOW, LUT_FLOW = "cmos4-booth", "xc7-booth"
"""The flows that the figures of units come from."""


class Module(Frozen):
    """A module with its parameters.

    Attributes
    ----------
    fingerprint : str
        Of the sources, parameters, flows and prices of cells that the figures came from.
    """

    module: str
    parameters: dict[str, int]
    fingerprint: str
    flip_flops: int = Field(ge=0)


class Unit(Module):
    """A unit of the shipped machine; `kept` are its parts that were not flattened."""

    kept: tuple[str, ...] = ()
    transistors: int = Field(gt=0)
    luts: int = Field(gt=0)


class Flavour(Module):
    """A MAC flavour: transistors or LUTs by every flow."""

    sizes: dict[str, int]


class Synthesis(Frozen):
    """All of it.

    >>> load().units["lut_lane"].module
    'lut_lane'
    """

    tool: str
    machine: str
    flows: dict[str, tuple[str, ...]]
    units: dict[str, Unit]
    flavours: dict[str, Flavour]

    def density(self, name: str, flow: str) -> float:
        """How many multiply-accumulates of a flavour take the place of one in fp32."""
        return self.flavours["fp32"].sizes[flow] / self.flavours[name].sizes[flow]


@cache
def load() -> Synthesis:
    """The figures as they were written last."""
    return Synthesis.model_validate(yaml.safe_load(PATH.read_text()))
