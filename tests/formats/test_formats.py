"""Formats: shift quantisation from its definition over rationals, packing, and the name grammar."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwmodels.formats import parse
from hwmodels.formats.block import index_of, parse_block, starts
from hwmodels.formats.blockwise import quantise
from hwmodels.formats.packing import pack, packed_bytes, unpack
from hwmodels.units.ops import ZERO_BLOCK

finite = st.floats(width=32, allow_nan=False, allow_infinity=False, allow_subnormal=True)
near_ties = st.builds(lambda q, e: float((q + 0.5) * 2.0**e), st.integers(-300, 300), st.integers(-20, 20))
boundaries = st.builds(
    lambda e, d: float(2.0**e + d * 2.0 ** (e - 24)), st.integers(-30, 30), st.integers(-2, 2)
)
values = st.one_of(finite, near_ties, boundaries, st.just(0.0))


def definition(block: list[float], bits: int) -> tuple[list[int], int]:
    """DESIGN's sentence, over exact rationals."""
    exact = [Fraction(v) for v in block]
    m = max(abs(v) for v in exact)
    if m == 0:
        return [0] * len(block), ZERO_BLOCK
    log = m.numerator.bit_length() - m.denominator.bit_length() - 2
    while Fraction(2) ** log < m:
        log += 1
    e = log - (bits - 1)
    limit = 2 ** (bits - 1) - 1
    if round(m / Fraction(2) ** e) > limit:
        e += 1
    e = min(max(e, -127), 127)
    return [min(max(round(v / Fraction(2) ** e), -limit), limit) for v in exact], e


@given(st.lists(values, min_size=1, max_size=9), st.sampled_from([4, 8, 16, 32]))
def test_encode_is_the_definition(block: list[float], bits: int) -> None:
    encoded = parse(f"int{bits}@tensor").encode(np.array([block]))
    codes, e = definition(block, bits)
    assert encoded.codes.ravel().tolist() == codes
    assert encoded.shared.ravel().tolist() == [e]


@given(st.lists(values, min_size=1, max_size=9), st.sampled_from([4, 8, 16]))
def test_encode_is_the_nearest_code(block: list[float], bits: int) -> None:
    """Unless its exponent was clamped, no other code of the block's grid is nearer to any value."""
    encoded = parse(f"int{bits}@tensor").encode(np.array([block]))
    e = int(encoded.shared[0, 0])
    if e in (ZERO_BLOCK, 127):
        return
    for code, value in zip(encoded.codes.ravel().tolist(), block, strict=True):
        assert abs(Fraction(value) - code * Fraction(2) ** e) <= Fraction(2) ** e / 2


@pytest.mark.parametrize("bits", [4, 8, 16])
def test_every_code_survives_decode_and_encode(bits: int) -> None:
    limit = 2 ** (bits - 1) - 1
    codes = np.arange(-limit, limit + 1)
    for e in (-127, -30, 0, 90):
        line = np.ldexp(codes.astype(float), e)[None]
        encoded = parse(f"int{bits}@row").encode(line)
        assert encoded.codes.ravel().tolist() == codes.tolist()
        assert encoded.shared.ravel().tolist() == [e]
        assert (encoded.decode() == line.astype(np.float32)).all()


def test_clamped_exponents_are_counted() -> None:
    tiny, huge = (
        parse("int8@tensor").encode(np.array([[1e-42]])),
        parse("int8@tensor").encode(np.array([[1e60]])),
    )
    assert (tiny.shared[0, 0], tiny.clamped, tiny.saturated, tiny.codes[0, 0]) == (-127, 1, 0, 0)
    assert (huge.shared[0, 0], huge.clamped, huge.saturated, huge.codes[0, 0]) == (127, 1, 1, 127)


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from(["3x5", "1x16", "tensor", "row", "64x64"]))
def test_blocks_are_independent_and_counted(rows: int, columns: int, block: str) -> None:
    rng = np.random.default_rng(rows * 41 + columns)
    x = rng.normal(size=(2, rows, columns)) * 2.0 ** rng.integers(-9, 9, (2, rows, columns))
    form = parse(f"int8@{block}")
    encoded = form.encode(x)
    across, along = form.block.lines or rows, form.block.depth or columns
    assert encoded.shared.shape == (2, -(-rows // across), -(-columns // along))
    assert encoded.payload_bits == 8 * x.size
    assert encoded.metadata_bits == 8 * encoded.shared.size
    assert encoded.nbytes == x.size + encoded.shared.size
    for i in range(0, rows, across):
        for j in range(0, columns, along):
            part = x[1, i : i + across, j : j + along]
            codes, e = definition(part.ravel().tolist(), 8)
            assert encoded.codes[1, i : i + across, j : j + along].ravel().tolist() == codes
            assert encoded.shared[1, i // across, j // along] == e
    assert encoded.decode().shape == x.shape


def test_depth_axis_turns_the_block() -> None:
    x = np.random.default_rng(0).normal(size=(6, 8))
    along = parse("int8@1x4").encode(x, depth_axis=-2)
    assert along.shared.shape == (2, 8)
    turned = parse("int8@1x4").encode(x.T)
    assert (along.codes == turned.codes.T).all()
    assert (along.decode() == turned.decode().T).all()


@given(st.lists(st.integers(-8, 7), max_size=33))
def test_two_int4_in_a_byte(codes: list[int]) -> None:
    data = pack(np.array(codes, np.int16), 4)
    assert len(data) == packed_bytes(len(codes), 4) == -(-len(codes) // 2)
    assert unpack(data, len(codes), 4).tolist() == codes
    if len(codes) > 1:
        assert data[0] == (codes[0] & 15) | ((codes[1] & 15) << 4)


@pytest.mark.parametrize("bits", [8, 16, 32])
def test_packing_is_twos_complement_little_endian(bits: int) -> None:
    step = max(1, 2**bits // 65536)
    codes = np.arange(-(2 ** (bits - 1)), 2 ** (bits - 1), step).astype(np.int32 if bits == 32 else np.int16)
    data = pack(codes, bits)
    assert data == b"".join(int(c).to_bytes(bits // 8, "little", signed=True) for c in codes)
    assert (unpack(data, len(codes), bits) == codes).all()


def test_packed_sections_are_the_counted_bytes() -> None:
    encoded = parse("int4@2x3").encode(np.random.default_rng(1).normal(size=(5, 7)))
    codes, exponents = encoded.pack()
    assert len(codes) + len(exponents) == encoded.nbytes == 18 + 9


def test_density_of_large_blocks() -> None:
    encoded = parse("int8@64x64").encode(np.ones((640, 640)))
    assert 32 * 640 * 640 / (encoded.payload_bits + encoded.metadata_bits) == pytest.approx(3.999, abs=5e-4)


def test_fp32_is_itself() -> None:
    x = np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32)
    encoded = parse("fp32").encode(x)
    assert (encoded.decode() == x).all()
    assert (encoded.payload_bits, encoded.metadata_bits) == (32 * 12, 0)


@pytest.mark.parametrize(
    "bad",
    ["int8", "lin8", "lin4@row", "int8@", "int7@64x64", "int8@64", "int8@0x4", "int8@64x64x2", "float", ""],
)
def test_bad_names_are_refused_with_a_remedy(bad: str) -> None:
    with pytest.raises(ValueError, match=": a "):
        parse(bad)


def test_nan_and_inf_are_refused() -> None:
    for bad in (np.nan, np.inf):
        with pytest.raises(ValueError, match="NaN or Inf"):
            parse("int8@tensor").encode(np.array([1.0, bad]))


def test_blocks_restart_at_a_period() -> None:
    assert starts(12, 5, 6).tolist() == [0, 5, 6, 11]
    assert starts(12, None, 6).tolist() == [0, 6]
    assert index_of(starts(12, 5, 6), 12).tolist() == [0] * 5 + [1] + [2] * 5 + [3]
    assert str(parse_block("1x32")) == "1x32"


def test_int8_blocks_agree_with_an_outside_rounding() -> None:
    """ml_dtypes rounds float32 to int4 and int8 the same way: to nearest, ties to even."""
    ml_dtypes = pytest.importorskip("ml_dtypes")
    x = np.arange(-28, 29, dtype=np.float32)[None] / 4  # int4 codes with quarters, ties among them
    encoded = parse("int4@tensor").encode(x)
    e = int(encoded.shared[0, 0])
    assert (encoded.codes == np.rint(x / 2.0**e).astype(ml_dtypes.int4).astype(int)).all()


small = st.floats(-(2.0**100), 2.0**100, width=32)


@given(st.lists(st.one_of(small, near_ties, st.just(0.0)), min_size=1, max_size=9))
def test_lin8_is_the_scalar_formula(block: list[float]) -> None:
    encoded = parse("lin8@tensor").encode(np.array([block]))
    x = [np.float32(v) for v in block]
    scale = max(abs(v) for v in x) / np.float32(127)
    scale = np.float32(1) if scale == 0 else scale
    assert encoded.shared.dtype == np.float32
    assert encoded.shared.ravel().tolist() == [float(scale)]
    codes = [min(max(round(float(v / scale)), -127), 127) for v in x]  # Python rounds ties to even
    assert encoded.codes.ravel().tolist() == codes
    assert encoded.decode().ravel().tolist() == [float(np.float32(c * float(scale))) for c in codes]


@pytest.mark.parametrize("block", ["channel", "row", "tensor", "3x5", "1x16"])
def test_lin8_agrees_with_quantize_linear(block: str) -> None:
    import onnxruntime as ort
    from onnx import TensorProto, helper

    node = helper.make_node("QuantizeLinear", ["x", "s", "z"], ["y"])
    kinds = (("x", TensorProto.FLOAT, ["a", "b"]), ("s", TensorProto.FLOAT, []), ("z", TensorProto.INT8, []))
    graph = helper.make_graph(
        [node],
        "quantise",
        [helper.make_tensor_value_info(*kind) for kind in kinds],
        [helper.make_tensor_value_info("y", TensorProto.INT8, ["a", "b"])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(4)
    x = (rng.normal(size=(11, 37)) * 2.0 ** rng.integers(-9, 9, (11, 1))).astype(np.float32)
    form = parse(f"lin8@{block}")
    encoded = form.encode(x)
    rows, columns = (np.append(s, n) for s, n in zip(form.starts(11, 37, -1), (11, 37), strict=True))
    for i in range(len(rows) - 1):
        for j in range(len(columns) - 1):
            part = (slice(rows[i], rows[i + 1]), slice(columns[j], columns[j + 1]))
            feeds = {"x": x[part], "s": np.array(encoded.shared[i, j]), "z": np.array(0, np.int8)}
            (want,) = session.run(None, feeds)
            assert (encoded.codes[part] == want).all()
    assert encoded.metadata_bits == 32 * encoded.shared.size
    assert encoded.nbytes == x.size + 4 * encoded.shared.size == sum(map(len, encoded.pack()))
    assert encoded.decode() == pytest.approx(x, abs=float(encoded.shared.max()) / 2 * 1.001)


def test_lin8_of_zeros_and_of_too_large_values() -> None:
    zeros = parse("lin8@row").encode(np.zeros((2, 3)))
    assert zeros.shared.ravel().tolist() == [1.0, 1.0]
    assert not zeros.decode().any()
    with pytest.raises(ValueError, match="beyond float32"):
        parse("lin8@row").encode(np.array([1e300]))


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 4), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_quantisation_does_not_depend_on_the_band(
    rows: int, columns: int, across: int, along: int, seed: int
) -> None:
    x = np.random.default_rng(seed).normal(size=(2, rows, columns)).astype(np.float32)
    x[..., 0, 0] = 3e38
    cut = starts(rows, across), starts(columns, along)
    form = parse("int8@tensor")
    whole = quantise(x, *cut, form.coding, form.sharing)
    for band in (1, 2 * columns, 4 * columns):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("hwmodels.formats.blockwise.BAND", band)
            other = quantise(x, *cut, form.coding, form.sharing)
        assert (other.codes == whole.codes).all()
        assert (other.exponents == whole.exponents).all()
        assert (other.clamped, other.saturated) == (whole.clamped, whole.saturated)
