"""Storing: which unit turns wide sums into the codes of a tensor, and how."""

from __future__ import annotations

from blocksim.trace.manifest import TensorSpec
from hwmodels.formats import Floating
from hwmodels.units import encoder, requantizer


def top_of(spec: TensorSpec, sums: list[int], exponents: list[int]) -> int:
    """The largest rank of some of a block's sums."""
    coding = spec.form.coding
    if isinstance(coding, Floating):
        return encoder.top_of(coding.encoder, sums, exponents)
    return requantizer.top_of(sums, exponents, spec.bits, is_raised(spec))


def requantized(
    spec: TensorSpec, sums: list[int], exponents: list[int], top: int | None
) -> tuple[list[int], int, int, int]:
    """A block's codes and exponent, by the unit that makes such codes."""
    coding = spec.form.coding
    if isinstance(coding, Floating):
        return encoder.result(coding.encoder, sums, exponents, top, spec.form.anchor)
    return requantizer.result(sums, exponents, spec.bits, spec.static, top, is_raised(spec))


def is_raised(spec: TensorSpec) -> bool:
    """Whether the requantizer raises a block's exponent; it needs not to know of a static one."""
    return spec.static is not None or spec.form.sharing.raised
