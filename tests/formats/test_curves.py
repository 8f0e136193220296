"""Curves for attention weights, against the sentences of PAPERS over plain floats."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwmodels.formats import parse
from hwmodels.formats.curves import ANGLES, ETAS, curve

weights = st.lists(st.floats(0, 1, width=32), min_size=1, max_size=9)


def sulq_by_hand(x: float, eta: float, low: float, step: float, codes: int) -> tuple[int, float]:
    """PAPERS, section 3: ``q`` uniform in ``log2(x + eta)``; ``2**round(q d + min) - eta``."""
    q = min(max(round((math.log2(x + eta) - low) / step), 0), codes - 1)
    return q, 2.0 ** round(q * step + low) - eta


@pytest.mark.parametrize(("name", "codes"), [("sulq3", 8), ("sulq4", 16), ("sulq4-paper", 17)])
@given(block=weights)
def test_shift_uniform_log2(name: str, codes: int, block: list[float]) -> None:
    encoded = parse(f"{name}@tensor").encode(np.array([block]))
    eta, low, step = (float(v) for v in encoded.shared[0, 0])
    assert min(abs(eta - e) for e in ETAS) < 1e-8 * 1e2
    for x, q, v in zip(block, encoded.codes[0].tolist(), encoded.decode()[0].tolist(), strict=True):
        want, value = sulq_by_hand(x, eta, low, step, codes)
        near = abs((math.log2(x + eta) - low) / step % 1 - 0.5) < 1e-6  # log2 of one library and of another
        assert q == want or near
        if q == want:
            assert v == pytest.approx(value, rel=1e-6, abs=1e-7)


@given(weights)
def test_the_parameters_are_the_best_of_those_tried(block: list[float]) -> None:
    x = np.array([block])
    for name in ("sulq4", "tanq4"):
        own = curve(name)
        assert own is not None
        got = float(((parse(f"{name}@tensor").encode(x).decode() - x) ** 2).sum())
        for tried in own.candidates(x, own.codes):
            p = np.array(tried, np.float32)
            assert got <= float(((own.values(p)[own.encode(x, p)] - x) ** 2).sum()) * (1 + 1e-5) + 1e-9


def test_the_published_code_has_one_code_too_many() -> None:
    """2**b + 1 codes are stored in b + 1 bits, and counted so."""
    paper, mended = parse("sulq4-paper@tensor"), parse("sulq4@tensor")
    x = np.linspace(0, 1, 33)[None]
    assert (paper.bits, mended.bits) == (5, 4)
    assert paper.encode(x).codes.max() == 16
    assert mended.encode(x).codes.max() == 15
    assert (paper.encode(x).nbytes, mended.encode(x).nbytes) == (-(-33 * 5 // 8) + 12, -(-33 * 4 // 8) + 12)


def test_a_tangent_is_fine_near_both_ends() -> None:
    own = curve("tanq4")
    assert own is not None
    for a in ANGLES:
        values = own.values(np.array([a], np.float32))
        gaps = np.diff(values)
        assert values[[0, -1]].tolist() == pytest.approx([0, 1])
        assert (np.diff(gaps)[:7] > 0).all()
        assert gaps == pytest.approx(gaps[::-1])


@given(weights)
def test_a_tangent_goes_to_the_nearest_step(block: list[float]) -> None:
    encoded = parse("tanq4@tensor").encode(np.array([block]))
    a = float(encoded.shared[0, 0, 0])
    for x, q in zip(block, encoded.codes[0].tolist(), strict=True):
        where = (math.tan(a * (2 * x - 1)) / math.tan(a) + 1) / 2 * 15
        assert abs(where - q) <= 0.5 + 1e-6


@pytest.mark.parametrize("name", ["sulq4@1x4", "tanq3@2x2", "sulq4-paper@row"])
@given(st.integers(1, 5), st.integers(1, 9), st.integers(0, 2**32))
def test_packed_codes_come_back(name: str, rows: int, columns: int, seed: int) -> None:
    form, x = parse(name), np.random.default_rng(seed).random((rows, columns))
    encoded = form.encode(x)
    codes, shared = encoded.pack()
    assert form.unpack(codes, rows * columns).tolist() == encoded.codes.ravel().tolist()
    assert len(shared) == encoded.metadata_bits // 8
    assert len(codes) + len(shared) == encoded.nbytes


@pytest.mark.parametrize("bad", [-1e-3, 1.5])
def test_other_values_are_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        parse("sulq4@tensor").encode(np.array([0.5, bad]))


@pytest.mark.parametrize("name", ["sulq2@row", "sulq4", "tanq4-paper@row", "tanq9@row"])
def test_bad_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="a format is one of"):
        parse(name)
