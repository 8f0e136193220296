"""The requantizer: turns a block of wide sums into codes with one shared exponent.

A wide sum stands for ``acc * 2**exponent``. The elements of a block may differ in their exponent.
Pass 1 finds the block's exponent, pass 2 shifts, rounds and saturates. The outcome equals
``encode(decode(sums))`` of the block's format with round-to-nearest-even. A static, calibrated exponent
takes the place of pass 1. Before both, sums of operands with real scales go through a multiplier.

The hardware is that of `requantizer_step`; here are what a whole operation gives, and its cycles.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from hwmodels.units.actions import Actions, of
from hwmodels.units.ops import largest, select
from hwmodels.units.ports import zeros
from hwmodels.units.requantizer_lane import (
    MULTIPLIER_BITS,
    NO_RANK,
    RANK_BITS,
    STAGES,
    LaneInputs,
    block_exponent,
    code,
    form_of,
    is_clamped,
    is_saturated,
    rank,
    scaled,
    scaled_exponent,
)
from hwmodels.units.requantizer_step import (
    SEARCH_STAGES,
    Inputs,
    Outputs,
    RequantizerConfig,
    State,
    ports,
    reset,
    step,
)

__all__ = [
    "MULTIPLIER_BITS",
    "NO_STATIC",
    "SEARCH_STAGES",
    "STAGES",
    "Inputs",
    "Outputs",
    "RequantizerConfig",
    "State",
    "actions",
    "cycles",
    "ports",
    "reset",
    "result",
    "run",
    "scaled",
    "scaled_exponent",
    "search",
    "step",
    "top_of",
]

NO_STATIC = -10000
"""In place of a static exponent: find the block's own."""


def top_of(sums: Sequence[int], exponents: Sequence[int], bits: int, raised: bool = True) -> int:
    """Pass 1: the largest rank of a block's sums.

    By hand, 8 bits: 255 x 2**-4 has key 4 and rounds up to 128, rank 9; 300 x 2**-9 has key 0, rank 0.
    """
    top = NO_RANK
    for acc, exponent in zip(sums, exponents, strict=True):
        top = largest(top, rank(acc, exponent, bits, raised))
    return top


def result(
    sums: Sequence[int],
    exponents: Sequence[int],
    bits: int,
    stored: int | None = None,
    top: int | None = None,
    raised: bool = True,
) -> tuple[list[int], int, int, int]:
    """Requantize one block.

    Parameters
    ----------
    sums, exponents : sequence of int
        The block's wide sums and the exponent of each.
    bits : int
        Width of a stored code.
    stored : int, optional
        A static exponent: no search, and it stands for a block of zeros too.
    top : int, optional
        The block's largest rank, where pass 1 ran while the sums were written (see `top_of`).
    raised : bool
        Whether the exponent is raised where the largest sum would be rounded beyond the largest code.

    Returns
    -------
    codes : list of int
        One code per sum, in plus or minus ``2**(bits-1) - 1``.
    exponent : int
        The shared exponent, `ZERO_BLOCK` for a block of zeros.
    clamped, saturated : int
        1 if the exponent was clamped; how many codes were saturated.

    Notes
    -----
    By hand, 8 bits: 255 and -64 at 2**-4 have the largest rank 9, so the exponent is 4 - 7 + 1 = -2 and
    the codes are 64 (63.75 rounded) and -16. Under a static -4 they are 127, saturated, and -64.
    """
    clamped: int = False
    if stored is None:
        found = top_of(sums, exponents, bits, raised) if top is None else top
        stored, clamped = block_exponent(found, bits), is_clamped(found, bits)
    codes = [code(a, e, stored, bits) for a, e in zip(sums, exponents, strict=True)]
    saturated = sum(is_saturated(a, e, stored, bits) for a, e in zip(sums, exponents, strict=True))
    return codes, stored, select(clamped, 1, 0), saturated


class Elements(NamedTuple):
    """A block's sums with their exponents, and the multiplier of each and its exponent."""

    sums: Sequence[int]
    exponents: Sequence[int]
    multipliers: Sequence[int]
    shifts: Sequence[int]


def chunk(fields: Sequence[Sequence[int]], k: int, lanes: int) -> list[tuple[int, ...]]:
    """What of each field enters in the chunk `k`; lanes without an element get zeros."""
    parts = [tuple(field[k * lanes : (k + 1) * lanes]) for field in fields]
    return [part + (0,) * (lanes - len(part)) for part in parts]


def _elements(
    sums: Sequence[int], exponents: Sequence[int], scales: tuple[Sequence[int], Sequence[int]] | None
) -> Elements:
    n = len(sums)
    return Elements(sums, exponents, *(scales or ((1,) * n, (0,) * n)))


def _entering(config: RequantizerConfig, elements: Elements, k: int, is_searched: bool) -> dict[str, Any]:
    """The ports that take the chunk `k`, on its way into the search or into pass 2."""
    written = "written_" if is_searched and config.merged else ""
    names = [written + name for name in LaneInputs._fields[:4]]
    return dict(zip(names, chunk(elements, k, config.lanes), strict=True))


def searched(
    config: Any, state: Any, feed: Sequence[Any], idle: Any, stepper: Callable[..., Any]
) -> tuple[int, int, Any]:
    """Pass 1 on its own, of what is fed: the largest rank, the cycles until it is there, and the state then.

    Also the encoder's, which has ports of its own.
    """
    found, count, top = 0, 0, NO_RANK
    while found < len(feed):
        state, out = stepper(config, state, feed[count] if count < len(feed) else idle)
        count += 1
        if out.found:
            found, top = found + 1, out.found_top[0]
    return top, count, state


def converted(
    config: Any, state: Any, feed: Sequence[Any], idle: Any, total: int, stepper: Callable[..., Any]
) -> tuple[tuple[list[int], int, int, int], int]:
    """What is fed, and cycles until `total` codes have left: these as of `result`, and how many cycles."""
    codes: list[int] = []
    exponent = clamped = saturated = count = 0
    while len(codes) < total:
        state, out = stepper(config, state, feed[count] if count < len(feed) else idle)
        count += 1
        if out.done:
            fresh = min(config.lanes, total - len(codes))
            codes += out.code[:fresh]
            saturated += sum(out.saturated[:fresh])
            exponent, clamped = out.stored[0], out.clamped[0]
    return (codes, exponent, clamped, saturated), count


def _search(
    config: RequantizerConfig, elements: Elements, form: int, stepper: Callable[..., Any], state: State
) -> tuple[int, int, State]:
    """`searched`, of all elements."""
    chunks, idle = -(-len(elements.sums) // config.lanes), zeros(ports(config).inputs)
    steering = {"search": 1, "level": config.levels, "search_form": form}
    feed = [
        idle._replace(first=int(k == 0), **steering, **_entering(config, elements, k, is_searched=True))
        for k in range(chunks)
    ]
    return searched(config, state, feed, idle, stepper)


def search(
    config: RequantizerConfig,
    sums: Sequence[int],
    exponents: Sequence[int],
    bits: int,
    scales: tuple[Sequence[int], Sequence[int]] | None = None,
    stepper: Callable[..., Any] = step,
    raised: bool = True,
) -> tuple[int, int]:
    """Pass 1 of one block on its own, as while sums are written: what `top_of` gives, and the cycles.

    `scales` and `stepper` are as for `run`.
    """
    state = reset(config, zeros(ports(config).state))
    form = form_of(bits, raised)
    return _search(config, _elements(sums, exponents, scales), form, stepper, state)[:2]


def run(
    config: RequantizerConfig,
    sums: Sequence[int],
    exponents: Sequence[int],
    bits: int,
    stored: int | None = None,
    top: int | None = None,
    scales: tuple[Sequence[int], Sequence[int]] | None = None,
    stepper: Callable[..., Any] = step,
    gaps: Sequence[int] = (),
    raised: bool = True,
) -> tuple[tuple[list[int], int, int, int], int]:
    """Requantize one block, clock cycle by clock cycle: what `result` gives, and the cycles it took.

    Parameters
    ----------
    config : RequantizerConfig
    sums, exponents, bits, stored, top, raised
        As for `result`, before the multiplication; one sum or more. Where passes are merged and neither
        `stored` nor `top` is given, the search runs first, in cycles that are those of the writing.
    scales : pair of sequence of int, optional
        The multiplier of each sum and its exponent.
    stepper : callable
        `step` or what behaves like it, such as a simulated module.
    gaps : sequence of int
        The chunks, of both passes in order, before which one cycle passes idle.
    """
    n, total, elements = config.lanes, len(sums), _elements(sums, exponents, scales)
    form = form_of(bits, raised)
    state = reset(config, zeros(ports(config).state))
    if config.merged and stored is None and top is None:
        top, _, state = _search(config, elements, form, stepper, state)
    own, chunks = stored is None and top is None, -(-total // n)
    idle = zeros(ports(config).inputs)
    searching = {"search": 1, "level": config.levels, "search_form": form}
    converting = {
        "convert": 1,
        "form": form,
        "own": int(own),
        "fixed": int(stored is not None),
        "fixed_exponent": 0 if stored is None else stored,
        "top": (0 if top is None else top,) * n,
    }
    feed = []
    for k in range(2 * chunks if own else chunks):
        is_searched = own and k < chunks
        steering = {**searching, "first": int(k == 0)} if is_searched else converting
        entering = _entering(config, elements, k % chunks, is_searched)
        feed += [idle] * (k in gaps) + [idle._replace(**steering, **entering)]
    return converted(config, state, feed, idle, total, stepper)


def cycles(config: RequantizerConfig, elements: int, static: bool = False) -> int:
    """Cycles for `elements` sums: ``passes * ceil(elements / lanes) + latency``.

    One pass where the exponent is static or pass 1 is merged into the writing of the sums (to the
    accumulators, or to the SRAM that they spill to), two where it is not.

    By hand: 49 x 64 sums on 64 lanes, merged, latency 4: 49 + 4 = 53 cycles.
    """
    passes = 1 if config.merged or static else 2
    return passes * -(-elements // config.lanes) + config.latency


def actions(
    elements: int, blocks: int, wide_bits: int, bits: int, static: bool = False, real: bool = False
) -> Actions:
    """Actions: per element a leading-zero count and a compare, then a shift, an add, a saturation.

    A static exponent saves the search; a real scale adds a multiply and an add of exponents.
    """
    search = 0 if static else elements
    counts = {
        f"lzc:{wide_bits}": search,
        f"compare:{RANK_BITS}": search,
        f"shift:{wide_bits}": elements,
        f"add:{bits}": elements + (0 if static else blocks),
        f"compare:{bits}": 2 * elements,
    }
    if real:
        counts[f"mul:{wide_bits}x{MULTIPLIER_BITS}"] = elements
        counts["add:10"] = elements
    return of("requantize", {action: count for action, count in counts.items() if count})
