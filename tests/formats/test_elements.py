"""Elements: every code against an outside library, and encoding against its definition over rationals."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from pathlib import Path

import gfloat
import ml_dtypes
import numpy as np
import pytest
from gfloat.formats import (
    format_info_ocp_e2m1,
    format_info_ocp_e2m3,
    format_info_ocp_e3m2,
    format_info_ocp_e4m3,
    format_info_ocp_e5m2,
    format_info_ocp_int8,
)
from hypothesis import given
from hypothesis import strategies as st

from hwmodels.formats import Element, Floating, Format, Integer, parse
from hwmodels.formats.blockwise import codes_of, dequantise
from hwmodels.formats.catalogue import EXAMPLES, element
from hwmodels.formats.coding import CLAMPED, EVEN, GEOMETRIC
from hwmodels.units.ops import ZERO_BLOCK

OCP = {
    "e4m3": format_info_ocp_e4m3, "e5m2": format_info_ocp_e5m2, "mxfp8e4m3": format_info_ocp_e4m3,
    "mxfp8e5m2": format_info_ocp_e5m2, "mxfp6e2m3": format_info_ocp_e2m3, "mxfp6e3m2": format_info_ocp_e3m2,
    "mxfp4": format_info_ocp_e2m1, "mxint8": format_info_ocp_int8,
}  # fmt: skip
ML_DTYPES = {
    "e4m3": "float8_e4m3fn", "e5m2": "float8_e5m2", "mxfp8e4m3": "float8_e4m3fn", "mxfp8e5m2": "float8_e5m2",
    "mxfp6e2m3": "float6_e2m3fn", "mxfp6e3m2": "float6_e3m2fn", "mxfp4": "float4_e2m1fn",
}  # fmt: skip
OFFSET = {
    "e4m3": 2, "e5m2": 9, "mxfp8e4m3": 2, "mxfp8e5m2": 9, "mxfp6e2m3": -3, "mxfp6e3m2": -2, "mxfp4": -1,
    "mxint8": -6,
}  # fmt: skip
"""What the exponent stored here is more than the X of the OCP specification: all values below 2**7."""

OTHERS = ("bm7e3m3", "bm9e5m3", "bm4e2m1", "bl5", "log6", "minifloat6e3m2", "dmf7e3m3", "fixed5f2")
"""Of the families' other members some that are not listed."""

KNOWN = {name: known for name in (*EXAMPLES, *OTHERS) if (known := element(name))}
FLOATS = [name for name, known in KNOWN.items() if isinstance(known.coding, Floating)]
NARROW = [name for name, known in KNOWN.items() if known.coding.bits <= 9]


def known_as(name: str) -> Element:
    """The element of a name."""
    known = element(name)
    assert known is not None
    return known


def form_of(name: str, block: str = "tensor") -> Format:
    """The format of an element, with a block if it takes one."""
    return parse(f"{name}@{block}" if known_as(name).blocked else name)


def value_of(name: str, code: int) -> Fraction | None:
    """What a stored code means under a shared exponent of zero; codes of integers are two's complement."""
    coding = known_as(name).coding
    if isinstance(coding, Floating):
        return coding.value(code)
    return Fraction(code)


def representable(name: str) -> list[Fraction]:
    """All values that encoding may give, under a shared exponent of zero."""
    coding = known_as(name).coding
    if isinstance(coding, Integer):
        low = -coding.largest if coding.lowest is None else coding.lowest
        return [Fraction(k) for k in range(low, coding.largest + 1)]
    found = {v for v in (coding.value(c) for c in range(1 << coding.bits)) if v is not None}
    return sorted(found)


@pytest.mark.parametrize("name", OCP)
def test_every_code_is_what_gfloat_says(name: str) -> None:
    form, info = form_of(name), OCP[name]
    codes = form.unpack(form.pack(np.arange(1 << form.bits)), 1 << form.bits)
    for raw, code in enumerate(codes.tolist()):
        theirs = gfloat.decode_float(info, raw).fval
        ours = value_of(name, code)
        assert (
            (math.isnan(theirs) or math.isinf(theirs))
            if ours is None
            else ours * Fraction(2) ** OFFSET[name] == Fraction(theirs)
        )


@pytest.mark.parametrize("name", ML_DTYPES)
def test_every_code_is_what_ml_dtypes_says(name: str) -> None:
    form, kind = form_of(name), np.dtype(getattr(ml_dtypes, ML_DTYPES[name]))
    theirs = np.arange(1 << form.bits).astype(np.uint8).view(kind).astype(np.float64)
    for code, other in enumerate(theirs.tolist()):
        ours = value_of(name, code)
        assert (
            not math.isfinite(other)
            if ours is None
            else ours * Fraction(2) ** OFFSET[name] == Fraction(other)
        )


@pytest.mark.parametrize("name", NARROW)
def test_every_code_survives_packing(name: str) -> None:
    form = form_of(name)
    coding = form.coding
    codes = np.arange(1 << form.bits)
    if isinstance(coding, Integer):
        codes = np.arange(-coding.largest, coding.largest + 1)
    data = form.pack(codes)
    assert len(data) == -(-len(codes) * form.bits // 8)
    assert form.unpack(data, len(codes)).tolist() == codes.tolist()
    assert form.unpack(form.pack(codes[:3]), 3).tolist() == codes[:3].tolist()


def test_sign_magnitude_is_stored_as_such() -> None:
    form = parse("bfp6@1x16")
    assert form.pack(np.array([5, -5, 0, -31])) == bytes(
        sum(raw << 6 * i for i, raw in enumerate((0b000101, 0b100101, 0, 0b111111))).to_bytes(3, "little")
    )
    assert parse("bfp6@1x16").unpack(b"\x20", 1).tolist() == [0]  # minus zero


@pytest.mark.parametrize("name", ML_DTYPES)
@given(st.lists(st.floats(-70000, 70000, width=32) | st.floats(-2, 2, width=32), min_size=1, max_size=9))
def test_rounding_is_that_of_ml_dtypes(name: str, values: list[float]) -> None:
    """Under a shared exponent of zero, and where ml_dtypes does not leave the range."""
    coding = known_as(name).coding
    assert isinstance(coding, Floating)

    x = np.array(values)
    ours, _ = codes_of(np.ldexp(x, coding.fraction - OFFSET[name]), coding)
    theirs = x.astype(np.dtype(getattr(ml_dtypes, ML_DTYPES[name]))).astype(np.float64)
    largest = math.ldexp(float(max(representable(name))), OFFSET[name])
    inside = np.abs(theirs) <= largest  # not NaN, not infinite
    decoded = np.ldexp(coding.values[ours], OFFSET[name] - coding.fraction)
    assert (decoded[inside] == theirs[inside]).all()
    assert (np.abs(decoded[~inside]) == largest).all()


near = st.builds(math.ldexp, st.integers(-600, 600), st.integers(-30, 20))
values_of = st.one_of(st.floats(-(2.0**60), 2.0**60, width=32), near, st.just(0.0))


def exponent_of(name: str, block: list[Fraction]) -> int:
    """The shared exponent, over rationals: from the sentences in PAPERS and the OCP specification."""
    known = known_as(name)
    m = max(abs(v) for v in block)
    if known.sharing.anchor is not None:
        return known.sharing.anchor
    if m == 0:
        return ZERO_BLOCK
    floor = math.frexp(m.numerator)[1] - math.frexp(m.denominator)[1]
    while Fraction(2) ** floor > m:
        floor -= 1
    while Fraction(2) ** (floor + 1) <= m:
        floor += 1
    ceiling = floor + (Fraction(2) ** floor != m)
    bits = known.coding.bits
    if name.startswith("int") or (name.startswith("bfp") and not name.endswith("paper")):
        e = ceiling - (bits - 1)
        e += round(m / Fraction(2) ** e) > 2 ** (bits - 1) - 1
    elif name.startswith("bfp"):
        e = ceiling - (bits - 1)
    elif name.startswith("bm") and name.endswith("paper"):
        e = 15 - min(max(floor, 0), 255) - 6
    elif name.startswith("bm"):  # an int8's binade, or as far as the lowest code is from the largest
        exponent_bits, mantissa_bits = map(int, re.findall(r"e(\d)m(\d)", name)[0])
        e = floor - min(6, (1 << exponent_bits) - 2 + mantissa_bits)
    elif name.startswith("bl"):
        e = ceiling - 6
    else:
        emax = {"mxint8": 0, "mxfp8e4m3": 8, "mxfp8e5m2": 15, "mxfp6e2m3": 2, "mxfp6e3m2": 4, "mxfp4": 2}
        e = floor - emax[name] + OFFSET[name]
    return min(max(e, -127), 127)


@pytest.mark.parametrize("name", [n for n in NARROW if not n.endswith("-paper") and "2u" not in n])
@given(st.lists(values_of, min_size=1, max_size=5))
def test_encoding_gives_the_nearest_code(name: str, block: list[float]) -> None:
    form, exact = form_of(name), [Fraction(v) for v in block]
    encoded = form.encode(np.array([block]))
    e = exponent_of(name, exact)
    if form.anchor is None:
        assert encoded.shared.ravel().tolist() == [e]
    if e == ZERO_BLOCK:
        assert not encoded.codes.any()
        return
    known, coding = representable(name), form.coding
    for code, v in zip(encoded.codes.ravel().tolist(), exact, strict=True):
        scaled, got = v / Fraction(2) ** e, value_of(name, code)
        assert got is not None
        if isinstance(coding, Floating) and coding.rounding == GEOMETRIC:
            assert got in nearest_by_ratio(known, scaled)
            continue
        gap = min(abs(scaled - k) for k in known)
        assert abs(scaled - got) == gap
        tied = [k for k in known if abs(scaled - k) == gap]
        if len(tied) == 2:
            assert got == even_of(tied)


def even_of(tied: list[Fraction]) -> Fraction:
    """Of two neighbours that whose significand, counted in the gap between them, is even."""
    gap = abs(tied[0] - tied[1])
    return next(k for k in tied if k / gap % 2 == 0)


def nearest_by_ratio(known: list[Fraction], x: Fraction) -> list[Fraction]:
    """Of powers of two of both signs those with the nearest logarithm; zero below half a step."""
    sizes = sorted(k for k in known if k > 0)
    if abs(x) ** 2 < sizes[0] ** 2 / 2:
        return [Fraction(0)]
    best = min(sizes, key=lambda k: max(abs(x) / k, k / abs(x)))
    return [best if x > 0 else -best]


@given(st.lists(values_of, min_size=1, max_size=5), st.sampled_from([f"bfp{b}-paper" for b in range(3, 10)]))
def test_block_floating_point_of_the_paper(block: list[float], name: str) -> None:
    """PAPERS, section 2: ``k = clamp(rne(|x| / 2**e * 2**M), 0, 2**M - 1)`` under ``e = ceil(log2 max)``."""
    m = int(name[3]) - 1
    form, exact = form_of(name), [Fraction(v) for v in block]
    encoded = form.encode(np.array([block]))
    e = exponent_of(name, exact)
    if e == ZERO_BLOCK:
        return
    want = [min(round(abs(v) / Fraction(2) ** e), 2**m - 1) * (1 if v > 0 else -1) for v in exact]
    assert encoded.codes.ravel().tolist() == want


ALONE = [
    n for n in NARROW if known_as(n).sharing.base != "constant" and not known_as(n).blocked and "2u" not in n
]


@pytest.mark.parametrize("name", ALONE)
@given(st.lists(values_of, min_size=1, max_size=5))
def test_an_exponent_that_is_not_shared_bounds_its_block(name: str, block: list[float]) -> None:
    """It changes no code; counted from it, every value stays where a shared exponent would have it."""
    alone, blocked = parse(name), parse(f"{name}@tensor")
    encoded, bounded = alone.encode(np.array([block])), blocked.encode(np.array([block]))
    assert encoded.codes.tolist() == bounded.codes.tolist()
    assert encoded.metadata_bits == 0
    assert bounded.metadata_bits == 8
    e, anchor, coding = int(bounded.shared[0, 0]), alone.anchor, alone.coding
    assert anchor is not None
    values = [abs(float(v)) for v in dequantise(bounded.codes, bounded.shared, ZERO, ZERO, coding, anchor)[0]]
    if e == ZERO_BLOCK:
        assert not any(block)
        return
    assert max(values) < 2.0 ** (e + 7)
    assert isinstance(coding, Floating)
    assert anchor - coding.reach <= e <= anchor
    found = [coding.number(code) for code in bounded.codes.ravel().tolist()]
    assert all(n and (not n.significand or n.exponent + anchor - e <= coding.reach) for n in found)
    if anchor - coding.reach < e < anchor:  # and it is no more than a step too large
        assert max(abs(v) for v in block) >= 2.0 ** (e + 7 - 2 - (coding.rounding == GEOMETRIC))


ZERO = np.zeros(1, np.int64)


def test_bounds_by_hand() -> None:
    """E4M3 counts from 2**2: 448 is in the binade of 2**8, and is taken to be below 2**9 = 2**(2 + 7)."""
    form = parse("e4m3@1x1")
    assert form.anchor == 2
    encoded = form.encode(np.array([[448.0, 1.0, 0.0, 2.0**-9, -3.9]]))
    assert encoded.shared.ravel().tolist() == [2, -5, ZERO_BLOCK, -12, -4]
    assert encoded.decode().ravel().tolist() == [448.0, 1.0, 0.0, 2.0**-9, -4.0]


def test_the_papers_quirks_by_hand() -> None:
    def decoded(name: str, *values: float) -> list[float]:
        return [float(v) for v in form_of(name).encode(np.array([values])).decode().ravel()]

    assert decoded("bfp6-paper", 1.0) == [0.96875]
    assert decoded("bfp6", 1.0) == [1.0]
    assert decoded("minifloat8e4m3-paper", 1.99, 1e9) == [1.875, 480.0]
    assert decoded("minifloat8e4m3", 1.99, 1e9) == [2.0, 480.0]
    assert decoded("dmf8e4m3-paper", 1.0, 1.01, 1e9) == [0.875, 1.0, 224.0]
    assert decoded("dmf8e4m3", 1.0, 1.01, 1e9) == [1.0, 1.0, 224.0]
    assert decoded("bm8e4m3-paper", 0.9, 0.05) == [1.0, 0.0]  # bias 0: subnormals of 2**-2
    assert decoded("bm8e4m3-paper", 300.0) == [240.0]  # bias 8: up to 2**7 * 1.875
    assert decoded("bm8e4m3", 300.0, 0.9) == [288.0, 0.875]
    assert decoded("log8-paper", 0.0, 3.0) == [2.0**-63, 4.0]
    assert decoded("log8", 0.0, 3.0, -2.8) == [0.0, 4.0, -2.0]


@pytest.mark.parametrize(("e", "m"), [(4, 3), (3, 4), (5, 2), (2, 3)])
@given(value=values_of)
def test_minifloat_of_the_paper(e: int, m: int, value: float) -> None:
    """PAPERS, section 2, over rationals; without the code's 1e-9."""
    bias, x = 2 ** (e - 1) - 1, abs(Fraction(value))
    k = -bias
    while k < 2**e - 1 - bias and x >= Fraction(2) ** (k + 1):
        k += 1
    if k == -bias:
        part = min(round(x / Fraction(2) ** k * 2**m / 2), 2**m - 1)
        want = Fraction(2) ** (1 - bias) * Fraction(part, 2**m)
    else:
        part = round(x / Fraction(2) ** k * 2**m - 2**m)
        want = Fraction(2) ** k * (1 + Fraction(min(max(part, 0), 2**m - 1), 2**m))
    got = form_of(f"minifloat{1 + e + m}e{e}m{m}-paper").encode(np.array([value])).decode()
    assert Fraction(float(got[0])) == (want if value > 0 else -want)


@pytest.mark.parametrize(("e", "m"), [(4, 3), (3, 4), (2, 3)])
@given(value=values_of)
def test_minifloat_without_a_leading_one_of_the_paper(e: int, m: int, value: float) -> None:
    """PAPERS, section 2, over rationals; without the code's 1e-9."""
    bias, x = 2 ** (e - 1) - 1, abs(Fraction(value))
    k = -bias
    while k < 2**e - 1 - bias and x > Fraction(2) ** k:
        k += 1
    want = Fraction(2) ** k * Fraction(min(round(x / Fraction(2) ** k * 2**m), 2**m - 1), 2**m)
    got = form_of(f"dmf{1 + e + m}e{e}m{m}-paper").encode(np.array([value])).decode()
    assert Fraction(float(got[0])) == (want if value > 0 else -want)


@pytest.mark.parametrize("bits", [4, 6, 8])
@given(values=st.lists(values_of.filter(bool), min_size=1, max_size=5))
def test_block_logarithm_of_the_paper(bits: int, values: list[float]) -> None:
    """PAPERS, section 2: ``2**clamp(rne(log2 |x|), -bias, 2**E - 1 - bias)``, the bias from the block."""
    e, exact = bits - 1, [abs(Fraction(v)) for v in values]
    bias = min(max(2**e - 1 - exponent_of("bl8", exact) - 6, 0), 255)
    got = form_of(f"bl{bits}-paper").encode(np.array([values])).decode().ravel().tolist()
    for v, x, own in zip(values, exact, got, strict=True):
        k = -bias
        while k < 2**e - 1 - bias and x**2 > Fraction(2) ** (2 * k + 1):
            k += 1
        if bias not in (0, 255) and -149 <= k <= 127:  # float32 holds it
            assert own == math.copysign(2.0**k, v)


def test_density_is_that_of_the_papers() -> None:
    x = np.random.default_rng(0).normal(size=(64, 1024))
    want = {"bfp8": 3.76, "bfp6": 4.92, "bfp5": 5.82, "bfp4": 7.11, "bfp3": 9.14}
    for name, density in want.items():
        assert 32 * x.size / (8 * parse(f"{name}@1x16").encode(x).nbytes) == pytest.approx(density, abs=5e-3)
    for name, density in {"mxint8": 3.88, "mxfp8e4m3": 3.88, "mxfp6e2m3": 5.12, "mxfp4": 7.53}.items():
        assert 32 * x.size / (8 * parse(f"{name}@1x32").encode(x).nbytes) == pytest.approx(density, abs=5e-3)
    whole = np.random.default_rng(0).normal(size=(1024, 1024))
    assert 8 * parse("int8@64x64").encode(whole).nbytes == 8 * whole.size + 8 * whole.size // 4096  # 3.999


@pytest.mark.parametrize("name", [n for n in KNOWN if not n.startswith("int")])
def test_packed_sections_are_the_counted_bytes(name: str) -> None:
    encoded = form_of(name, "2x3").encode(np.random.default_rng(1).normal(size=(5, 7)))
    codes, exponents = encoded.pack()
    assert len(codes) + len(exponents) == encoded.nbytes
    assert len(codes) == -(-35 * encoded.format.bits // 8)
    assert len(exponents) == (9 if known_as(name).blocked else 0)
    again = encoded.format.unpack(codes, 35)
    assert again.tolist() == encoded.codes.ravel().tolist()


@pytest.mark.parametrize("name", FLOATS)
def test_thresholds_stand_between_their_neighbours(name: str) -> None:
    coding = known_as(name).coding
    assert isinstance(coding, Floating)
    values, codes = coding.ladder
    assert (np.diff(values) > 0).all()
    assert (values[:-1] < coding.thresholds[:-1]).all()
    assert (coding.thresholds[:-1] <= np.nextafter(values[1:], np.inf)).all()
    assert len(codes) == len(coding.thresholds)
    assert coding.rounding in (EVEN, CLAMPED, GEOMETRIC)


@pytest.mark.parametrize(
    "bad", ["bfp2@1x16", "bm8e4m4@1x16", "e4m3@1x", "bl8", "mxfp4", "log9", "int7@1x4", "fixed8f4@rows"]
)
def test_bad_names_are_refused(bad: str) -> None:
    with pytest.raises(ValueError, match=r": "):
        parse(bad)


def test_short_names_are_the_papers_defaults() -> None:
    assert parse("bm8@1x16") == parse("bm8e4m3@1x16")
    assert parse("fixed8") == parse("fixed8f4")


def test_a_mirrored_bias_is_kept_as_published() -> None:
    """BM's published bias grows with the block, so that a large block reaches less far."""
    form = parse("bm8e4m3-paper@1x1")
    assert form.encode(np.array([[0.01, 1.0, 2.0, 300.0]])).shared.tolist() == [[9, 9, 8, 1]]


@pytest.mark.parametrize("bits", [3, 4, 6])
@given(a=st.floats(0, 1, width=32))
def test_logarithms_of_attention_weights(bits: int, a: float) -> None:
    """RepQ-ViT: ``q = clip(rne(-log2 a), 0, 2**b - 1)``; and with two codes per power of two, zero beyond."""
    last = 2**bits - 1
    got = form_of(f"log2u{bits}-paper").encode(np.array([a])).codes[0, 0]
    exact = next((q for q in range(last) if Fraction(a) ** 2 * 2 > Fraction(1, 4**q)), last)
    assert got == last - exact
    assert form_of(f"log2u{bits}").encode(np.array([a])).codes[0, 0] == last - exact
    got = form_of(f"logsqrt2u{bits}").encode(np.array([a])).codes[0, 0]
    exact = next((q for q in range(last) if Fraction(a) ** 4 * 2 > Fraction(1, 4**q)), last)
    assert got == last - exact


def test_codes_of_attention_weights_by_hand() -> None:
    def values(name: str) -> list[float]:
        coding, form = known_as(name).coding, form_of(name)
        assert isinstance(coding, Floating)
        assert form.anchor is not None
        found = [coding.value(15 - q) for q in range(16)]
        return [math.ldexp(float(v), form.anchor) for v in found if v is not None]

    assert values("log2u4-paper") == [2.0**-q for q in range(16)]
    assert values("log2u4") == [*(2.0**-q for q in range(15)), 0.0]
    root = round(2**7 * 2**0.5) / 2**7
    want = [(root if q % 2 else 1.0) / 2 ** ((q + 1) // 2) for q in range(15)]
    assert values("logsqrt2u4") == [*want, 0.0]


def test_the_page_lists_what_there_is() -> None:
    from blocksim.report.formats import page

    text = (Path(__file__).parents[2] / "docs" / "formats.md").read_text()
    assert page() in text
