"""The MAC flavours against plain Python, and floats against IEEE arithmetic for all operands."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import bitwuzla as bw
import numpy as np
import pytest

from hwmodels.rtl import area, netlist, yosys
from hwmodels.rtl.area import FLAVOURS, Wanted
from hwmodels.rtl.netlist import Netlist
from hwmodels.rtl.words import Terms
from hwmodels.units.ops import RNE, saturate, shift_right

LANES = 16


def elaborated(terms: Terms, wanted: Wanted, folder: Path) -> Netlist:
    path = folder / "netlist.smt2"
    commands = [*area.read(wanted), "setattr -mod -unset keep_hierarchy *", *netlist.FLATTENED]
    yosys.run([*commands, *netlist.WRITTEN, f"write_smt2 -stbv -wires {path}"])
    return netlist.parsed(terms, path.read_text())


class Simulated:
    """A flavour, one cycle at a time."""

    def __init__(self, name: str, folder: Path, lanes: int = LANES) -> None:
        self.terms = Terms()
        wanted = FLAVOURS[name]
        parameters = {**wanted.parameters, "LANES": lanes}
        net = elaborated(self.terms, Wanted(wanted.module, parameters), folder)
        (acc,) = net.registers
        self.after = acc.after
        self.places = {**net.wires, "acc": acc.now}

    def step(self, **inputs: int) -> int:
        """What the accumulator holds after a cycle."""
        manager = self.terms.manager
        options = bw.Options()
        options.set(bw.Option.PRODUCE_MODELS, True)
        solver = bw.Bitwuzla(manager, options)
        for name, value in inputs.items():
            place = self.places[name]
            width = place.sort().bv_size()
            constant = self.terms.value(value & (1 << width) - 1, width)
            solver.assert_formula(manager.mk_term(bw.Kind.EQUAL, [place, constant]))
        found = manager.mk_const(self.after.sort(), "found")
        solver.assert_formula(manager.mk_term(bw.Kind.EQUAL, [found, self.after]))
        assert solver.check_sat() == bw.Result.SAT
        return int(solver.get_value(found).value(10))


def packed(codes: list[int], bits: int) -> int:
    return sum((code & (1 << bits) - 1) << i * bits for i, code in enumerate(codes))


def wrapped(x: int, bits: int) -> int:
    return (x + (1 << bits - 1)) % (1 << bits) - (1 << bits - 1)


@pytest.mark.parametrize(("name", "bits"), [("int8", 8), ("int4", 4)])
def test_integers(name: str, bits: int, tmp_path: Path) -> None:
    mac, draw = Simulated(name, tmp_path), random.Random(1)
    lowest = -(1 << bits - 1)
    for k in range(8):
        a, b = ([draw.randrange(lowest, -lowest) if k else lowest for _ in range(LANES)] for _ in range(2))
        acc, first = draw.randrange(-(1 << 31), 1 << 31), k % 2
        want = wrapped((0 if first else acc) + sum(x * y for x, y in zip(a, b, strict=True)), 32)
        got = mac.step(acc=acc, first=first, a=packed(a, bits), b=packed(b, bits))
        assert wrapped(got, 32) == want


@pytest.mark.parametrize(("name", "magnitude"), [("BFP6", 5), ("BFP4", 3)])
def test_block_floats(name: str, magnitude: int, tmp_path: Path) -> None:
    mac, draw = Simulated(name, tmp_path), random.Random(2)
    top = (1 << magnitude) - 1
    for k in range(12):
        a, b = ([draw.randint(-top, top) if k else top for _ in range(LANES)] for _ in range(2))
        codes = [packed([abs(x) | (x < 0) << magnitude for x in row], magnitude + 1) for row in (a, b)]
        ea, eb, below = draw.randint(-100, 100), draw.randint(-100, 100), [0, 3, 9, 12, 40, 300][k % 6]
        acc = draw.randrange(-(1 << 31), 1 << 31) if k else (1 << 31) - 5
        dot = sum(x * y for x, y in zip(a, b, strict=True))
        bound = min(ea + eb + below, 255)
        want = saturate(acc + shift_right(dot << 8, bound - ea - eb, RNE), 32)
        got = mac.step(
            acc=acc, first=0, a=codes[0], b=codes[1], a_exponent=ea, b_exponent=eb, bound=bound
        )  # fmt: skip
        assert wrapped(got, 32) == want


def e4m3(code: int) -> int:
    """A code's value in units of the smallest subnormal."""
    exponent, fraction = code >> 3 & 15, code & 7
    return (-1 if code >> 7 else 1) * ((8 + fraction) << exponent - 1 if exponent else fraction)


def test_minifloats(tmp_path: Path) -> None:
    mac, draw = Simulated("E4M3", tmp_path), random.Random(3)
    for k in range(12):
        a, b = ([draw.randrange(256) >> (4 if k % 3 == 2 else 0) for _ in range(LANES)] for _ in range(2))
        if k < 2:
            a, b = [255 - 128 * k] * LANES, [255] * LANES
        acc = draw.randrange(-(1 << 47), 1 << 47) if k else -(1 << 47) + 3
        want = saturate(acc + sum(e4m3(x) * e4m3(y) for x, y in zip(a, b, strict=True)), 48)
        assert wrapped(mac.step(acc=acc, first=0, a=packed(a, 8), b=packed(b, 8)), 48) == want


@pytest.mark.parametrize(("name", "dropped"), [("fp32", 0), ("bf16", 16)])
def test_floats(name: str, dropped: int, tmp_path: Path) -> None:
    mac, draw = Simulated(name, tmp_path, 4), np.random.default_rng(4)
    for _ in range(4):
        rows = (draw.normal(size=(2, 4)) * 2.0 ** draw.integers(-12, 12, (2, 4))).astype(np.float32)
        codes = rows.view(np.uint32) >> dropped
        rows = (codes << dropped).view(np.float32)
        acc = np.float32(draw.normal())
        nodes = list(rows[0] * rows[1])
        while len(nodes) > 1:
            nodes = [x + y for x, y in zip(nodes[::2], nodes[1::2], strict=True)]
        got = mac.step(
            acc=int(acc.view(np.uint32)),
            first=0,
            **{port: packed(row.tolist(), 32 - dropped) for port, row in zip("ab", codes, strict=True)},
        )
        assert got == int((acc + nodes[0]).view(np.uint32))


FORMATS = {"half": (5, 10), "single": (8, 23)}


@pytest.mark.parametrize(
    ("module", "format"),
    [("float_add", "half"), ("float_add", "single"), ("float_multiply", "half")],
)
def test_floats_are_ieee_arithmetic_flushed_and_saturated(module: str, format: str, tmp_path: Path) -> None:
    """For all operands, against the solver's own floats."""
    (e, m), terms = FORMATS[format], Terms()
    make: Any = terms.manager.mk_term
    kind, nearest = bw.Kind, terms.manager.mk_rm_value(bw.RoundingMode.RNE)
    multiply = module == "float_multiply"
    net = elaborated(terms, Wanted(module, {"E": e, "M": m, **({"MO": m} if multiply else {})}), tmp_path)

    def real(bits: Any) -> Any:
        return make(kind.FP_TO_FP_FROM_BV, [bits], [e, m + 1])

    def flush(x: Any) -> Any:
        none = make(kind.FP_MUL, [nearest, x, real(terms.value(0, e + m + 1))])  # a zero of its sign
        return make(kind.ITE, [make(kind.FP_IS_SUBNORMAL, [x]), none, x])

    a, b = (net.wires[name] for name in "ab")
    got = real(net.wires["p" if multiply else "sum"])
    solver = bw.Bitwuzla(terms.manager, bw.Options())
    least, most = terms.value(1 << m, e + m), terms.value((1 << e + m) - 1 - (1 << m), e + m)
    if multiply:
        # exact in the next wider format; what rounds up to the least normal number is no smaller than `edge`
        wide, lowest = [8, 24], 2.0 ** (2 - (1 << e - 1))
        factors = [make(kind.FP_TO_FP_FROM_FP, [nearest, flush(real(x))], wide) for x in (a, b)]
        exact = make(kind.FP_MUL, [nearest, *factors])
        negative = make(kind.BV_XOR, [sign(terms, a), sign(terms, b)])

        def under(value: float) -> Any:
            code = terms.value(int(np.float32(value).view(np.uint32)), 32)
            return make(kind.FP_LT, [make(kind.FP_ABS, [exact]), make(kind.FP_TO_FP_FROM_BV, [code], wide)])

        none, some = (real(make(kind.BV_CONCAT, [negative, x])) for x in (terms.value(0, e + m), least))
        edge = make(kind.ITE, [under(lowest * (1 - 2.0 ** -(m + 2))), none, some])
        rounded = make(kind.FP_TO_FP_FROM_FP, [nearest, exact], [e, m + 1])
        want = make(kind.ITE, [under(lowest), edge, rounded])
        # a whole multiplier is too much for the solver: of b, four bits of the significand are free
        few = make(kind.BV_EXTRACT, [b], [m - 4, 0])
        solver.assert_formula(make(kind.EQUAL, [few, terms.value(0, m - 3)]))
    else:
        want = flush(make(kind.FP_ADD, [nearest, flush(real(a)), flush(real(b))]))
    one, zero = terms.value(1, 1), terms.value(0, 1)
    side = make(kind.ITE, [make(kind.FP_IS_NEG, [want]), one, zero])
    limit = real(make(kind.BV_CONCAT, [side, most]))
    want = make(kind.ITE, [make(kind.FP_IS_INF, [want]), limit, want])
    for x in (a, b):  # every operand is a number
        for wrong in (kind.FP_IS_INF, kind.FP_IS_NAN):
            solver.assert_formula(make(kind.NOT, [make(wrong, [real(x)])]))
    solver.assert_formula(make(kind.DISTINCT, [got, want]))
    assert solver.check_sat() == bw.Result.UNSAT


def sign(terms: Terms, x: Any) -> Any:
    top = x.sort().bv_size() - 1
    make: Any = terms.manager.mk_term
    return make(bw.Kind.BV_EXTRACT, [x], [top, top])
