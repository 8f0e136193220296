"""The precision plan: a format for every tensor, by role.

``weight`` and ``activation`` are the operands of MATMUL, ``vector`` every other stored tensor, ``bias`` the
biases of linear layers, ``embedding`` tables and positions that are added.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from blocksim.errors import BlocksimError
from blocksim.yamlfile import read_yaml
from hwmodels.formats import Block, Format, parse, parse_block

WIDTHS: dict[str, tuple[int, ...]] = {
    "weight": (4, 8),
    "activation": (8,),
    "vector": (8, 16),
    "bias": (4, 8, 16),
    "embedding": (8, 16),
}
"""Element widths that the datapath takes, by role."""

DEFAULT_BLOCK = "64x64"

PRESETS: dict[str, dict[str, str]] = {
    "bct-int8": {
        "weight": "int8@{weight}",
        "activation": "int8@{activation}",
        "vector": "int16@{activation}",
        "bias": "int8@{bias}",
        "embedding": "int8@row",
    },
    "bct-int8-strict": {
        "weight": "int8@{weight}",
        "activation": "int8@{activation}",
        "vector": "int8@{activation}",
        "bias": "int8@{bias}",
        "embedding": "int8@row",
    },
    "bct-w4a8": {
        "weight": "int4@{weight}",
        "activation": "int8@{activation}",
        "vector": "int16@{activation}",
        "bias": "int8@{bias}",
        "embedding": "int8@row",
    },
    "layerwise-shift8": {
        "weight": "int8@tensor",
        "activation": "int8@tensor",
        "vector": "int16@tensor",
        "bias": "int8@tensor",
        "embedding": "int8@row",
    },
}
"""Shipped plans; ``fp32`` is the reference itself and has no formats."""


class PlanFile(BaseModel):
    """A plan as a YAML file: a format per role, and exceptions by tensor or constant name."""

    model_config = ConfigDict(extra="forbid", strict=True)
    weight: str
    activation: str
    vector: str
    bias: str
    embedding: str
    tensors: dict[str, str] = Field(default_factory=dict)


@dataclass(frozen=True)
class Precision:
    """A plan with its block shapes filled in.

    Attributes
    ----------
    name : str
        Preset or file, with its block where the plan takes one: ``bct-int8 64x64``.
    roles : dict of str to Format
    tensors : dict of str to Format
        Exceptions by name.
    where : str
        Its file, for messages.
    """

    name: str
    roles: dict[str, Format]
    tensors: dict[str, Format]
    where: str = "--precision"

    def of(self, role: str, name: str) -> Format:
        """The format of one tensor or constant.

        Raises
        ------
        BlocksimError
            If an exception gives it a width that the datapath does not take in its role.
        """
        form = self.tensors.get(name, self.roles[role])
        return _format(self.where, f"tensors.{name}", form.name, WIDTHS[role])


def load(
    plan: str | Path, block: str | None = None, weight_block: str | None = None, act_block: str | None = None
) -> Precision:
    """A plan by name or file.

    Parameters
    ----------
    plan : str or path
        A preset's name or a YAML file.
    block, weight_block, act_block : str, optional
        Block shapes for presets that take one; `block` sets both.

    Raises
    ------
    BlocksimError
        If the plan or a block shape cannot be used.
    """
    weight = _block("--block", block) if weight_block is None else _block("--weight-block", weight_block)
    activation = _block("--block", block) if act_block is None else _block("--act-block", act_block)
    blocks = {"weight": weight.name, "activation": activation.name, "bias": _along(weight)}
    if str(plan) in PRESETS:
        texts = PRESETS[str(plan)]
        takes_block = any("{" in t for t in texts.values())
        roles = {
            role: _format("--precision", role, text.format(**blocks), WIDTHS[role])
            for role, text in texts.items()
        }
        shapes = dict.fromkeys((weight.name, activation.name))
        return Precision(f"{plan} {'/'.join(shapes)}" if takes_block else str(plan), roles, {})
    path = Path(plan)
    if not path.is_file():
        known = ", ".join(["fp32", *PRESETS])
        raise BlocksimError("--precision", "plan", plan, f"give one of {known}, or the path of a YAML file")
    for name, given in (("--block", block), ("--weight-block", weight_block), ("--act-block", act_block)):
        if given is not None:
            raise BlocksimError(path, name, given, "a plan file has blocks of its own; change them there")
    return _from_file(path)


def _from_file(path: Path) -> Precision:
    entries = read_yaml(path, PlanFile)
    roles = {
        role: _format(path, role, str(getattr(entries, role)), widths) for role, widths in WIDTHS.items()
    }
    tensors = {
        name: _format(path, f"tensors.{name}", text, (4, 8, 16)) for name, text in entries.tensors.items()
    }
    return Precision(path.stem, roles, tensors, str(path))


def _block(field: str, text: str | None) -> Block:
    try:
        return parse_block(DEFAULT_BLOCK if text is None else text)
    except ValueError as error:
        value, remedy = str(error).split(": ", 1)
        raise BlocksimError("command line", field, value, remedy) from None


def _along(block: Block) -> str:
    """The block of a bias: one line, as deep as a weight's block."""
    return "tensor" if block.depth is None else f"1x{block.depth}"


def _format(where: object, field: str, text: str, widths: tuple[int, ...]) -> Format:
    allowed = " or ".join(f"int{w}@<block>" for w in widths)
    try:
        parsed = parse(text)
    except ValueError as error:
        value, remedy = str(error).split(": ", 1)
        said = remedy if remedy.startswith("a block") else f"the datapath takes {allowed} here"
        raise BlocksimError(where, field, value, said) from None
    if parsed.bits not in widths or parsed.is_float:
        raise BlocksimError(where, field, text, f"the datapath takes {allowed} here")
    return parsed
