"""The elements by name: what their codes mean, what a block shares, and where that is from.

A name that ends in ``-paper`` has the semantics of the published code of arXiv 2310.05079 (as far as codes
can express them), quirks included: without its 1e-9 guards against a logarithm of zero, and without its
passing by of values below 1e-8. The same name without it has the quirk mended.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Literal

from hwmodels.formats.coding import CLAMPED, EVEN, GEOMETRIC, Floating, Integer, floating, logarithm
from hwmodels.formats.sharing import Sharing
from hwmodels.units.product import ROOT_BITS

BCT, PAPER, OCP, FP8 = "arXiv 2304.01483", "arXiv 2310.05079", "OCP MX v1.0", "ml_dtypes"
REPQ = "RepQ-ViT's code"


@dataclass(frozen=True)
class Element:
    """One element: its codes, what a block of them shares, and its source.

    Attributes
    ----------
    name : str
    coding : Integer or Floating
    sharing : Sharing
    family : str
    source : str
    """

    name: str
    coding: Integer | Floating
    sharing: Sharing
    family: str
    source: str

    @property
    def blocked(self) -> bool:
        """Whether it comes in blocks, whose shape a format's name gives after an ``@``."""
        return self.sharing.is_shared


INT8_TOP = 6
"""The binade of an int8's largest significand."""


def _int(name: str, bits: str) -> Element:
    width = int(bits)
    return Element(name, Integer(width), Sharing("floor", width - 2, raised=True), "shift", BCT)


def _bfp(name: str, bits: str, paper: str) -> Element:
    width = int(bits)
    sharing = Sharing("ceiling", width - 1) if paper else Sharing("floor", width - 2, raised=True)
    return Element(name, Integer(width, sign_magnitude=True), sharing, "BFP", PAPER)


def _fixed(name: str, bits: str, fraction: str, paper: str) -> Element:
    width = int(bits)
    coding = Integer(width, lowest=-(1 << (width - 1)) if paper else None)
    return Element(name, coding, Sharing("constant", anchor=-int(fraction)), "fixed point", PAPER)


def _minifloat(name: str, bits: str, e: str, m: str, paper: str) -> Element:
    coding = floating(name, int(e), int(m), rounding=CLAMPED if paper else EVEN)
    return Element(name, _of_width(coding, bits), _alone(coding, 1 - _bias(e) - int(m)), "MiniFloat", PAPER)


def _dmf(name: str, bits: str, e: str, m: str, paper: str) -> Element:
    coding = floating(name, int(e), int(m), hidden=False, rounding=CLAMPED if paper else EVEN)
    return Element(name, _of_width(coding, bits), _alone(coding, -_bias(e) - int(m)), "DMF", PAPER)


def _bm(name: str, bits: str, e: str, m: str, paper: str) -> Element:
    coding = floating(name, int(e), int(m), rounding=CLAMPED if paper else EVEN)
    # the published bias is that of the exponent field, of which the highest is 2**E - 1
    top = _top(coding)
    sharing = Sharing("mirrored", (1 << int(e)) - 1 - top) if paper else Sharing("floor", top)
    return Element(name, _of_width(coding, bits), sharing, "BM", PAPER)


def _bl(name: str, bits: str, paper: str) -> Element:
    coding = floating(name, int(bits) - 1, 0, subnormal=not paper, rounding=GEOMETRIC)
    return Element(name, coding, Sharing("ceiling", _top(coding)), "BL", PAPER)


def _log(name: str, bits: str, paper: str) -> Element:
    e = int(bits) - 1
    coding = floating(name, e, 0, subnormal=not paper, rounding=GEOMETRIC)
    return Element(name, coding, _alone(coding, (not paper) - _bias(str(e))), "LOG", PAPER)


def _mxint(name: str) -> Element:
    return Element(name, Integer(8), Sharing("floor", INT8_TOP), "MX", OCP)


def _mxfp(name: str, e: int, m: int, largest: int | None = None) -> Element:
    coding = floating(name, e, m, largest=largest)
    return Element(name, coding, Sharing("floor", _top(coding)), "MX", OCP)


def _fp8(name: str, e: int, m: int, largest: int) -> Element:
    coding = floating(name, e, m, largest=largest)
    return Element(name, coding, _alone(coding, 1 - _bias(str(e)) - m), "FP8", FP8)


def _log2u(name: str, bits: str, paper: str) -> Element:
    coding = logarithm(name, int(bits), zero=not paper)
    return Element(name, coding, _alone(coding, -coding.reach), "log2", REPQ)


def _logsqrt2u(name: str, bits: str) -> Element:
    coding = logarithm(name, int(bits), roots=True)
    return Element(name, coding, _alone(coding, -coding.reach - ROOT_BITS), "log-sqrt2", REPQ)


def _top(coding: Floating) -> int:
    """The binade of the largest number, under a shared exponent of zero."""
    return coding.fixed_bits - 2 - coding.fraction


def _alone(coding: Floating, unit: int) -> Sharing:
    """Codes have all of their exponent, of which the lowest counts in units of ``2**unit``.

    What bounds a block is one more than its largest binade, as values may be rounded up; logarithms are not,
    beyond the next power of two.
    """
    anchor, is_log = unit + coding.fraction, coding.rounding == GEOMETRIC
    base: Literal["ceiling", "floor"] = "ceiling" if is_log else "floor"
    top = _top(coding) - (not is_log)
    return Sharing(base, top, lowest=anchor - coding.reach, highest=anchor, anchor=anchor)


def _bias(e: str) -> int:
    return (1 << (int(e) - 1)) - 1


def _of_width(coding: Floating, bits: str) -> Floating:
    if coding.bits != int(bits):
        raise ValueError(f"{coding.name}: {bits} bits: a sign and these fields are {coding.bits} bits")
    return coding


_P = r"(-paper)?"
_FIELDS = r"([4-9])e([1-5])m([1-6])"
_SHAPES: tuple[tuple[str, Callable[..., Element]], ...] = (
    ("int(4|8|16|32)", _int),
    (f"bfp([3-9]){_P}", _bfp),
    (f"bm{_FIELDS}{_P}", _bm),
    (f"bl([3-8]){_P}", _bl),
    ("mxint8", _mxint),
    ("mxfp8e4m3", lambda name: _mxfp(name, 4, 3, 0x7E)),
    ("mxfp8e5m2", lambda name: _mxfp(name, 5, 2, 0x7B)),
    ("mxfp6e2m3", lambda name: _mxfp(name, 2, 3)),
    ("mxfp6e3m2", lambda name: _mxfp(name, 3, 2)),
    ("mxfp4", lambda name: _mxfp(name, 2, 1)),
    ("e4m3", lambda name: _fp8(name, 4, 3, 0x7E)),
    ("e5m2", lambda name: _fp8(name, 5, 2, 0x7B)),
    (f"minifloat{_FIELDS}{_P}", _minifloat),
    (f"dmf{_FIELDS}{_P}", _dmf),
    (f"log([3-8]){_P}", _log),
    (f"log2u([2-6]){_P}", _log2u),
    ("logsqrt2u([2-6])", _logsqrt2u),
    (rf"fixed([3-9]|16)f(\d\d?){_P}", _fixed),
)
SHORT = {"bm8": "bm8e4m3", "minifloat8": "minifloat8e4m3", "dmf8": "dmf8e4m3", "fixed8": "fixed8f4"}
"""Names that stand for another: the default configurations of arXiv 2310.05079's code."""

EXAMPLES = (
    "int4", "int8", "int16", "int32", "lin8", *(f"bfp{b}" for b in range(3, 10)), "bfp6-paper", "bm8e4m3",
    "bm8e4m3-paper", "bl8", "bl8-paper", "mxint8", "mxfp8e4m3", "mxfp8e5m2", "mxfp6e2m3", "mxfp6e3m2",
    "mxfp4", "e4m3", "e5m2", "minifloat8e4m3", "minifloat8e4m3-paper", "dmf8e4m3", "dmf8e4m3-paper", "log8",
    "log8-paper", "fixed8f4", "fixed8f7", "fixed8f4-paper",
    "log2u4", "log2u4-paper", "logsqrt2u4",
)  # fmt: skip
"""What is listed: of the families with parameters those that the papers use."""


@cache
def element(name: str) -> Element | None:
    """The element of a name; None if there is none.

    Raises
    ------
    ValueError
        If a name has fields that do not add up to its width.
    """
    full = SHORT.get(name, name)
    for shape, make in _SHAPES:
        match = re.fullmatch(shape, full)
        if match:
            return make(full, *match.groups())
    return None
