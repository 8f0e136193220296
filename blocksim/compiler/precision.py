"""The precision plan: a format for every tensor, by role.

``weight`` and ``activation`` are the operands of MATMUL, ``vector`` every other stored tensor, ``bias`` the
biases of linear layers, ``embedding`` tables and positions that are added. ``softmax`` and ``norm`` are
activations that these units make, where a plan sets them apart.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from blocksim.compiler.presets import PRESETS, SECOND, Axis
from blocksim.errors import BlocksimError
from blocksim.yamlfile import read_yaml
from hwmodels.formats import Block, Format, parse, parse_block

FIELDS = "[4-9]e[2-5]m[1-6]"
OPERANDS = (
    "int4", "int8", "lin8", "bfp[3-9]", f"bm{FIELDS}", "bl[3-8]", "mxint8", "mxfp8e4m3", "mxfp8e5m2",
    "mxfp6e2m3", "mxfp6e3m2", "mxfp4", "e4m3", "e5m2", f"minifloat{FIELDS}", f"dmf{FIELDS}", "log[3-8]",
    "fixed[3-9]f[0-9]+",
)  # fmt: skip

ELEMENTS: dict[str, tuple[str, ...]] = {
    "weight": OPERANDS,
    "activation": OPERANDS,
    "softmax": (*OPERANDS, "log2u[2-6]", "logsqrt2u[3-6]"),
    "norm": OPERANDS,
    "vector": ("int8", "int16", "bfp[3-9]", "mxint8"),
    "bias": ("int4", "int8", "int16", "int32"),
    "embedding": ("int8", "int16"),
}
"""Elements that the datapath takes, by role, as patterns."""

APART = ("softmax", "norm")
"""Roles that a plan may leave to ``activation``."""

LINEAR_BLOCKS = {"weight": ("channel", "tensor"), **dict.fromkeys(("activation", *APART), ("tensor",))}
"""Blocks that may share a real scale: a sum has one scale, whatever the depth of the reduction."""

DEFAULT_BLOCK = "64x64"


class PlanFile(BaseModel):
    """A plan as a YAML file: a format per role, and exceptions by tensor or constant name.

    `second` says along which axis the second operands of attention's products are cut: that which is reduced,
    or the last, as arXiv 2310.05079's code does.
    """

    model_config = ConfigDict(extra="forbid", strict=True)
    weight: str = Field(
        description="of products: any element of docs/formats.md with its blocks, such as int4@16x16"
    )
    activation: str = Field(description="the other operand of products, int8@16x16 for one")
    vector: str = Field(
        description="int8, int16, bfp or mxint8: what only vector units read, and norm parameters"
    )
    bias: str = Field(description="int4, int8 or int16; int32 beside lin8")
    embedding: str = Field(description="int8 or int16: constants that are added, such as positions")
    softmax: str | None = Field(
        default=None, description="activations that softmax makes; log2u and logsqrt2u too"
    )
    norm: str | None = Field(default=None, description="activations that normalisations make")
    second: Axis = Field(
        default="reduction",
        description="axis along which attention's second operands are cut: the reduced one, or the last",
    )
    tensors: dict[str, str] = Field(
        default_factory=dict,
        description="exceptions by name: what an operator writes has its name, its weight that and .weight",
    )


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
    second : str
        See `PlanFile`.
    """

    name: str
    roles: dict[str, Format]
    tensors: dict[str, Format]
    where: str = "--precision"
    second: Axis = "reduction"

    def of(self, role: str, name: str) -> Format:
        """The format of one tensor or constant.

        Raises
        ------
        BlocksimError
            If an exception gives it a width that the datapath does not take in its role.
        """
        form = self.tensors.get(name, self.roles.get(role, self.roles["activation"]))
        return _format(self.where, f"tensors.{name}", form.name, role)


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
    if str(plan) == "fp32":
        said = "the reference has no trace; give a plan of integers"
        raise BlocksimError("--precision", "plan", "fp32", said)
    weight = _block("--block", block) if weight_block is None else _block("--weight-block", weight_block)
    activation = _block("--block", block) if act_block is None else _block("--act-block", act_block)
    blocks = {"weight": weight.name, "activation": activation.name, "bias": _along(weight)}
    if str(plan) in PRESETS:
        texts = PRESETS[str(plan)]
        takes_block = any("{" in t for t in texts.values())
        roles = {
            role: _format("--precision", role, text.format(**blocks), role) for role, text in texts.items()
        }
        shapes = dict.fromkeys((weight.name, activation.name))
        name = f"{plan} {'/'.join(shapes)}" if takes_block else str(plan)
        return Precision(name, roles, {}, second=SECOND.get(str(plan), "reduction"))
    path = Path(plan)
    if not path.is_file():
        known = ", ".join(["fp32", *PRESETS])
        raise BlocksimError("--precision", "plan", plan, f"give one of {known}, or the path of a YAML file")
    for name, given in (("--block", block), ("--weight-block", weight_block), ("--act-block", act_block)):
        if given is not None:
            raise BlocksimError(path, name, given, "a plan file has blocks of its own; change them there")
    return _from_file(path)


def changed(
    plan: Precision,
    roles: Mapping[str, str] | None = None,
    tensors: Mapping[str, str] | None = None,
    second: Axis | None = None,
) -> Precision:
    """A plan with other formats for some roles or tensors.

    Parameters
    ----------
    plan : Precision
    roles : dict of str to str, optional
        A format, an element alone (``int4``, in the blocks that the role has) or a block alone (``@1x16``).
    tensors : dict of str to str, optional
        Formats by tensor or constant name.
    second : str, optional
        See `PlanFile`.

    Raises
    ------
    BlocksimError
        If the datapath does not take a format in its role.
    """
    made = dict(plan.roles)
    for role, text in (roles or {}).items():
        known = made.get(role, made["activation"])
        element, at, block = text.partition("@")
        whole = f"{element or known.element}@{block if at else known.block.name}"
        made[role] = _format(plan.where, role, whole, role)
    apart = {
        name: _format(plan.where, f"tensors.{name}", text, None) for name, text in (tensors or {}).items()
    }
    _refuse_mixed_scales(plan.where, made)
    return replace(plan, roles=made, tensors=plan.tensors | apart, second=second or plan.second)


def _from_file(path: Path) -> Precision:
    entries = read_yaml(path, PlanFile)
    given = {role: getattr(entries, role) for role in ELEMENTS}
    roles = {role: _format(path, role, text, role) for role, text in given.items() if text is not None}
    tensors = {name: _format(path, f"tensors.{name}", text, None) for name, text in entries.tensors.items()}
    _refuse_mixed_scales(path, roles)
    return Precision(path.stem, roles, tensors, str(path), entries.second)


def _block(field: str, text: str | None) -> Block:
    if text is not None and not isinstance(text, str):
        raise BlocksimError("command line", field, text, "give a text such as 16x16")
    try:
        return parse_block(DEFAULT_BLOCK if text is None else text)
    except ValueError as error:
        value, remedy = str(error).split(": ", 1)
        raise BlocksimError("command line", field, value, remedy) from None


def _along(block: Block) -> str:
    """The block of a bias: one line, as deep as a weight's block."""
    return "tensor" if block.depth is None else f"1x{block.depth}"


def _format(where: object, field: str, text: str, role: str | None) -> Format:
    """A format, which must be one that the datapath takes in a role, or in any."""
    elements = (
        ELEMENTS[role] if role else tuple(dict.fromkeys(e for known in ELEMENTS.values() for e in known))
    )
    allowed = " or ".join(f"{e}@<block>" for e in elements)

    def is_taken(element: str) -> bool:
        return any(re.fullmatch(pattern, element) for pattern in elements)

    try:
        parsed = parse(text)
    except ValueError as error:
        value, remedy = str(error).split(": ", 1)
        ours = is_taken(text.partition("@")[0]) or remedy.startswith("a block")
        said = remedy if ours else f"the datapath takes {allowed} here"
        raise BlocksimError(where, field, value, said) from None
    if not is_taken(parsed.element):
        raise BlocksimError(where, field, text, f"the datapath takes {allowed} here")
    blocks = LINEAR_BLOCKS.get(role or "", ())
    if parsed.is_real and role and parsed.block.name not in blocks:
        raise BlocksimError(where, field, text, f"a real scale needs the block {' or '.join(blocks)} here")
    return parsed


def _refuse_mixed_scales(where: object, roles: dict[str, Format]) -> None:
    """Real scales come together: weights, activations, and biases in units of both."""
    linear = [roles[r].is_real for r in ("weight", "activation")]
    for role in ("activation", *APART):
        if role in roles and roles[role].is_real != linear[0]:
            odd = role if linear[0] or role in APART else "weight"
            raise BlocksimError(
                where, odd, roles[odd].name, "weights and activations are both lin8, or neither"
            )
    if linear[0] != (roles["bias"].bits == 32):
        want = "int32@tensor" if linear[0] else "int8@<block>"
        raise BlocksimError(where, "bias", roles["bias"].name, f"with {roles['weight'].name} give {want}")
