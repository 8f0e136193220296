"""A unit's own functions, read over something other than integers.

The functions are not written again: each is the same compiled code with other functions behind the
names that it uses. Every function of `hwmodels.units` is read this way, down to the few primitives that
a reading gives a meaning: bit-vectors for a proof, lanes for a compiled loop.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import FunctionType, ModuleType, SimpleNamespace
from typing import Any

PACKAGE = "hwmodels.units"


def _is_unit(name: str) -> bool:
    return name.startswith(PACKAGE + ".")


class Reading:
    """Functions of the units in another meaning.

    Parameters
    ----------
    meanings : mapping of function to function
        What stands for a function: a primitive in this reading, a multiplier or a part that is cut.
    """

    def __init__(self, meanings: Mapping[Callable[..., Any], Callable[..., Any]]) -> None:
        self._meanings: dict[Any, Callable[..., Any]] = dict(meanings)
        self._spaces: dict[str, dict[str, Any]] = {}
        self._functions: dict[FunctionType, Callable[..., Any]] = {}

    def of(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function in this reading."""
        if function in self._meanings:
            return self._meanings[function]
        assert isinstance(function, FunctionType), function
        if function not in self._functions:
            space = self._space(function.__globals__)
            defaults = tuple(self._value(space["__name__"], x) for x in function.__defaults__ or ())
            read = FunctionType(function.__code__, space, function.__name__, defaults, function.__closure__)
            read.__kwdefaults__ = function.__kwdefaults__
            self._functions[function] = read
        return self._functions[function]

    def _space(self, names: dict[str, Any]) -> dict[str, Any]:
        module = names["__name__"]
        if module not in self._spaces:
            space = self._spaces[module] = dict(names)
            for name, value in names.items():
                space[name] = self._value(module, value)
        return self._spaces[module]

    def _value(self, module: str, value: Any) -> Any:
        """What a module's name stands for in this reading."""
        if isinstance(value, FunctionType) and (_is_unit(value.__module__) or value.__module__ == module):
            return self.of(value)
        if isinstance(value, ModuleType) and _is_unit(value.__name__):
            space = SimpleNamespace()
            space.__dict__.update(self._space(vars(value)))
            return space
        return value
