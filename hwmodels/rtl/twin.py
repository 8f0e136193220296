"""A twin: a unit's spec and the module that is to be proved equal to it, with one set of parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from hwmodels.rtl.reading import Reading
from hwmodels.rtl.words import Number, Terms
from hwmodels.units import ops


def always(*_: Any) -> int:
    """A condition that holds."""
    return 1


@dataclass(frozen=True)
class Cut:
    """Parts that a proof takes for granted: their inputs are shown to be equal, their outputs are free.

    Attributes
    ----------
    part : str
        The module that keeps only its ports. A multiplier has the ports `a`, `b` and `p`.
    instances : tuple of str
        Its instances, in the order in which the spec calls `function`.
    function : callable
        `ops.mul`, or the `step` of a part that is proved on its own.
    ports : callable, optional
        The part's `ports`, where `function` is a `step`.
    promised : callable
        What the part's own proof takes as promised, which is then shown of every instance.
    """

    part: str
    instances: tuple[str, ...]
    function: Callable[..., Any] = ops.mul
    ports: Callable[..., Any] | None = None
    promised: Callable[..., Number] = always


@dataclass(frozen=True)
class Claim:
    """What has to hold, in words and as a number that is not zero."""

    text: str
    holds: Number


@dataclass(frozen=True)
class Twin:
    """What is proved of a unit at one set of parameters.

    Attributes
    ----------
    unit : module
        The spec, with `ports`, `reset` and `step`.
    label : str
        What tells this set of parameters from others, such as a machine's name.
    config
        The unit's configuration.
    module : str
        The SystemVerilog module.
    parameters : mapping of str to int
        Its parameters.
    cuts : tuple of Cut
        What is proved elsewhere.
    invariant : callable
        ``(config, state) -> condition``: assumed of the state before a cycle; shown of a reset state, and of
        the state after every cycle.
    promised : callable
        ``(config, state, inputs) -> condition``: what whoever feeds the unit sees to.
    operation : callable, optional
        ``(terms, reading) -> claims``: that a whole operation gives `result` in `cycles`, by unrolling.
    scope : str
        How large that operation is, where it is not of the unit's own size: lanes, elements.
    tested : str
        Where that is tested, if it is not unrolled.
    part_of : str
        The unit whose whole operations this is a part of, if it is none of its own.
    default : bool
        Whether it belongs to the set that every test run proves.
    name : str
        The unit's name, where a module holds several.
    step, reset, ports : callable, optional
        The spec's functions, where a module holds several.
    """

    unit: ModuleType
    label: str
    config: Any
    module: str
    parameters: Mapping[str, int]
    cuts: tuple[Cut, ...] = ()
    invariant: Callable[..., Number] = always
    promised: Callable[..., Number] = always
    operation: Callable[[Terms, Reading], Iterable[Claim]] | None = None
    scope: str = ""
    tested: str = ""
    part_of: str = ""
    default: bool = True
    name: str = ""
    step: Callable[..., Any] | None = None
    reset: Callable[..., Any] | None = None
    ports: Callable[..., Any] | None = None

    @property
    def title(self) -> str:
        """The unit's name."""
        return self.name or self.unit.__name__.rpartition(".")[2]

    def function(self, name: str) -> Callable[..., Any]:
        """The spec's `step`, `reset` or `ports`."""
        return getattr(self, name) or getattr(self.unit, name)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Edit:
    """A mutant made by hand: one piece of a module's text, replaced. A proof has to refuse it.

    Attributes
    ----------
    file, old, new : str
        Where, and what stands for what.
    kind : str
        What it breaks: rounding, sticky, sign, latency or width.
    """

    file: str
    old: str
    new: str
    kind: str
