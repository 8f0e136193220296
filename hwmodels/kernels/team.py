"""Threads that share the steps of a program, and wait for each other between two steps.

They wait in compiled code, which costs a fraction of a microsecond and holds no lock of the interpreter's.
So that they need not queue for that lock either, which costs far more, a thread goes back to the interpreter
only when all have finished the step, and the thread before it has begun the next one.
"""

from __future__ import annotations

import ctypes
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numpy.typing import NDArray

from hwmodels.kernels.instructions import I64, address
from hwmodels.kernels.jit import emitted, kernel

Team = NDArray[np.int64]
"""A team's counters, see `assembled`."""

BEGUN, FINISHED, LEFT, STEPS, APART = 0, 8, 16, 24, 8
"""Where the counters lie, in different cache lines: steps begun and finished by all threads together, whether
one has left, and the steps that each has finished."""

SPINS = 1_000
"""How often a counter is read before others may have the processor: some microseconds."""


def _system_yield() -> Any:
    """The system's own function that lets others have the processor."""
    windows = getattr(ctypes, "windll", None)
    return windows.kernel32.SwitchToThread if windows else ctypes.CDLL(None).sched_yield


_YIELD = "blocksim_yield"
llvm.add_symbol(_YIELD, ctypes.cast(_system_yield(), ctypes.c_void_p).value)


@emitted
def _yield(typing: Any) -> Any:
    def code(context: Any, b: ir.IRBuilder, _signature: Any, _given: Any) -> Any:
        kind = ir.FunctionType(ir.VoidType(), [])  # what it returns says nothing
        b.call(cgutils.get_or_insert_function(b.module, kind, _YIELD), [])
        return context.get_dummy_value()

    return types.void(), code


@emitted
def _add_one(typing: Any, counter: Any) -> Any:
    def code(_context: Any, b: ir.IRBuilder, _signature: Any, given: Any) -> Any:
        place = b.inttoptr(given[0], I64.as_pointer())
        return b.atomic_rmw("add", place, ir.Constant(I64, 1), "seq_cst")

    return types.int64(types.int64), code


@emitted
def _read(typing: Any, counter: Any) -> Any:
    def code(_context: Any, b: ir.IRBuilder, _signature: Any, given: Any) -> Any:
        return b.load_atomic(b.inttoptr(given[0], I64.as_pointer()), "seq_cst", 8)

    return types.int64(types.int64), code


def assembled(threads: int) -> Team:
    """The counters of a team of so many threads that have done nothing yet."""
    return np.zeros(STEPS + APART * threads, np.int64)


@kernel
def _of(team: Team, counter: int) -> int:
    """Where a counter lies."""
    place: int = address(team) + 8 * counter
    return place


@kernel
def begin(team: Team, parts: int) -> None:
    """Begin a step: the next thread may take its turn in the interpreter."""
    if parts > 1:
        _add_one(_of(team, BEGUN))


@kernel
def finish(team: Team, part: int, parts: int) -> None:
    """Finish a step: wait for all others, and for this thread's turn."""
    if parts > 1:
        team[STEPS + APART * part] += 1
        steps = team[STEPS + APART * part] * parts
        _add_one(_of(team, FINISHED))
        spins = 0
        while (_read(_of(team, FINISHED)) < steps or _read(_of(team, BEGUN)) < steps + part) and _read(
            _of(team, LEFT)
        ) == 0:
            spins += 1
            if spins % SPINS == 0:
                _yield()


@kernel
def pass_by(team: Team, part: int, parts: int) -> None:
    """A step in which this thread has nothing to do, or has done it."""
    begin(team, parts)
    finish(team, part, parts)


@kernel
def leave(team: Team) -> None:
    """Let all others go, for this thread has failed."""
    _add_one(_of(team, LEFT))
