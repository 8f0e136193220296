"""From a row's elements to its root in the norm unit, a step per clock cycle: sums, V, Newton steps.

Pipelines without a control of their own, see `hwmodels.units.norm_step`. What only the arithmetic as a
whole bounds, such as ``V >= 0``, is kept in as many low bits as `norm.result` asserts to be enough.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

from hwmodels.units import norm
from hwmodels.units.lut import between
from hwmodels.units.norm import (
    EPSILON_LONGEST,
    ERROR_BITS,
    HALF_BITS,
    LENGTH_BITS,
    MANTISSA_BITS,
    MANTISSA_FRACTION,
    NEWTON,
    PASS_1,
    ROOT_BITS,
    S1_BITS,
    S2_BITS,
    SQUARE_BITS,
    V_BITS,
    WORD,
    NormConfig,
    step_bits,
)
from hwmodels.units.norm_lanes import EXPONENT_BITS, SPARE_BITS
from hwmodels.units.ops import fits_unsigned, select, wrap
from hwmodels.units.ports import FLAG, Ports, signed, unsigned

EPSILON_BITS, EPSILON_EXPONENT_BITS = 16, 11
"""Widths of epsilon's mantissa, which has no sign, and of its exponent."""

T = TypeVar("T")


def tree(f: Callable[[T, T], T], values: Sequence[T]) -> T:
    """All values as one, neighbours first: a balanced tree. An odd one is handed to the next level.

    >>> tree(lambda a, b: f"({a}{b})", "abcde")
    '(((ab)(cd))e)'
    """
    level = list(values)
    while len(level) > 1:
        pairs = [f(a, b) for a, b in zip(level[::2], level[1::2], strict=False)]
        level = pairs + level[2 * len(pairs) :]
    return level[0]


def add(a: int, b: int) -> int:
    """One node of a tree of sums."""
    return a + b


class SumsInputs(NamedTuple):
    """What is summed in a cycle, whether it counts, and whether it begins a row."""

    gather: int
    fresh: int
    words: tuple[int, ...]
    squares: tuple[int, ...]


class SumsState(NamedTuple):
    """Sums over the lanes, and of the row so far."""

    word_sum: int
    word_sum_2: int
    square_sum: int
    s1: int
    s2: int


class SumsOutputs(NamedTuple):
    """The row's sums, after its last chunk."""

    s1: int
    s2: int


def sums_ports(config: NormConfig) -> Ports:
    """The widths of the sums."""
    n, more = config.lanes, (config.lanes - 1).bit_length()
    word, s1, s2 = signed(WORD + more), signed(S1_BITS), unsigned(S2_BITS)
    return Ports(
        SumsInputs(FLAG, FLAG, (signed(WORD),) * n, (signed(2 * WORD),) * n),
        SumsState(word, word, signed(2 * WORD + more), s1, s2),
        SumsOutputs(s1, s2),
    )


def sums_step(_config: NormConfig, state: SumsState, inputs: SumsInputs) -> tuple[SumsState, SumsOutputs]:
    """One clock cycle of the sums: the words' a stage before the squares', then both into the row's."""
    s, fresh = state, inputs.fresh
    s1 = wrap(select(fresh, 0, s.s1) + s.word_sum_2, S1_BITS)
    s2 = (select(fresh, 0, s.s2) + s.square_sum) & ((1 << S2_BITS) - 1)
    after = SumsState(
        word_sum=tree(add, inputs.words),
        word_sum_2=s.word_sum,
        square_sum=tree(add, inputs.squares),
        s1=select(inputs.gather, s1, s.s1),
        s2=select(inputs.gather, s2, s.s2),
    )
    return after, SumsOutputs(s.s1, s.s2)


class NewtonInputs(NamedTuple):
    """What enters a Newton step: the root, and one cycle later the mantissa that it is of."""

    root: int
    mantissa: int


class NewtonState(NamedTuple):
    """The registers of a Newton step."""

    square: int
    root_1: int
    error: int
    root_2: int


class NewtonOutputs(NamedTuple):
    """The better root, on its way to a register."""

    better: int


def newton_ports(_config: NormConfig) -> Ports:
    """The widths of a Newton step."""
    root = unsigned(ROOT_BITS)
    return Ports(
        NewtonInputs(root, unsigned(MANTISSA_BITS)),
        NewtonState(unsigned(SQUARE_BITS), root, signed(ERROR_BITS), root),
        NewtonOutputs(root),
    )


def newton_step(
    _config: NormConfig, state: NewtonState, inputs: NewtonInputs
) -> tuple[NewtonState, NewtonOutputs]:
    """One clock cycle of a Newton step: three multiplies, one a stage."""
    error = norm.root_error(inputs.mantissa, state.square)
    better = norm.root_next(state.root_2, state.error) & ((1 << ROOT_BITS) - 1)
    after = NewtonState(norm.root_square(inputs.root), inputs.root, error, state.root_1)
    return after, NewtonOutputs(better)


class RootInputs(NamedTuple):
    """What a row's root is found from.

    The row's sums come three stages after its exponent; the rest holds for the tile. `even` and `odd` are
    what the memories of the table hold at the addresses of the cycle before.
    """

    s1: int
    s2: int
    row_exponent: int
    length: int
    centred: int
    spare: int
    epsilon: int
    epsilon_exponent: int
    even: int
    odd: int


class RootState(NamedTuple):
    """The registers from a row's sums to its root, stage by stage."""

    exponents: tuple[int, ...]
    length_squares: int
    sum_squared: int
    epsilon_term: int
    s1s: tuple[int, ...]
    v: int
    mantissa: tuple[int, ...]
    halves: tuple[int, ...]
    odd_first: int
    low: int
    roots: tuple[int, ...]
    newton: tuple[NewtonState, ...]


class RootOutputs(NamedTuple):
    """Addresses of the table's memories, and what pass 2 needs of a row."""

    even_address: int
    odd_address: int
    held_s1: int
    root: int
    held_half: int


def table_address_bits(config: NormConfig) -> int:
    """Bits of an address in either memory of the table."""
    return ((len(config.root) - 1) >> 1).bit_length()


def root_ports(config: NormConfig) -> Ports:
    """The widths of the way from a row's sums to its root."""
    steps, latency = config.newton_steps, config.latency
    s1, root, exponent = signed(S1_BITS), unsigned(ROOT_BITS), signed(EXPONENT_BITS)
    address, half, mantissa = (
        unsigned(table_address_bits(config)),
        unsigned(HALF_BITS),
        unsigned(MANTISSA_BITS),
    )
    return Ports(
        RootInputs(
            s1, unsigned(S2_BITS), exponent, unsigned(LENGTH_BITS), FLAG, unsigned(SPARE_BITS),
            unsigned(EPSILON_BITS), signed(EPSILON_EXPONENT_BITS), root, root,
        ),
        RootState(
            (exponent,) * 4, unsigned(LENGTH_BITS + S2_BITS), signed(2 * S1_BITS),
            unsigned(EPSILON_BITS + EPSILON_LONGEST), (s1,) * (latency - 4), unsigned(V_BITS),
            (mantissa,) * (1 + NEWTON * steps), (half,) * (latency - 6),
            FLAG, unsigned(step_bits(len(config.root))),
            (root,) * (latency - PASS_1 + 1 - (NEWTON - 1) * steps), (newton_ports(config).state,) * steps,
        ),
        RootOutputs(address, address, s1, root, half),
    )  # fmt: skip


def root_step(config: NormConfig, state: RootState, inputs: RootInputs) -> tuple[RootState, RootOutputs]:
    """One clock cycle: products in stage 5, V in 6, its mantissa in 7, the table, the line in 9, Newton."""
    s, low_bits, steps = state, step_bits(len(config.root)), config.newton_steps
    s1 = select(inputs.centred, inputs.s1, 0)
    unit = s.exponents[-1] - inputs.spare
    half = norm.half_exponent(s.v)
    position = s.mantissa[0] - (1 << MANTISSA_FRACTION)
    i, addresses = position >> low_bits, (1 << table_address_bits(config)) - 1
    left, right = select(s.odd_first, inputs.odd, inputs.even), select(s.odd_first, inputs.even, inputs.odd)
    roots = [fits_unsigned(between(left, right, s.low, low_bits, ROOT_BITS + 1), ROOT_BITS)]
    newton = []
    for k in range(steps):
        own = NewtonInputs(s.roots[k], s.mantissa[NEWTON * (k + 1)])
        after, out = newton_step(config, s.newton[k], own)
        newton.append(after)
        roots.append(out.better)
    after_this = RootState(
        exponents=(inputs.row_exponent, *s.exponents[:-1]),
        length_squares=norm.length_times_squares(inputs.length, inputs.s2),
        sum_squared=norm.square_of_sum(s1),
        epsilon_term=norm.epsilon_term(inputs.epsilon, inputs.epsilon_exponent, unit),
        s1s=(s1, *s.s1s[:-1]),
        v=(s.length_squares - s.sum_squared + s.epsilon_term) & ((1 << V_BITS) - 1),
        mantissa=(norm.mantissa_of(s.v, half), *s.mantissa[:-1]),
        halves=(half, *s.halves[:-1]),
        odd_first=i & 1,
        low=position & ((1 << low_bits) - 1),
        roots=(*roots, *s.roots[steps:-1]),
        newton=tuple(newton),
    )
    outputs = RootOutputs(
        even_address=((i + 1) >> 1) & addresses,
        odd_address=(i >> 1) & addresses,
        held_s1=s.s1s[-1],
        root=s.roots[-1],
        held_half=s.halves[-1],
    )
    return after_this, outputs
