"""blocksim: a bit- and cycle-accurate simulator of a transformer accelerator's block-quantised datapath.

>>> import blocksim as bs
>>> model = bs.zoo.load("vit_fashion")
>>> report = bs.run(model.path, {"image": model.inputs["image"][:2]}, precision="bct-int8", block="16x16")
>>> report.cycles > 0
True
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from blocksim._version import __version__
from blocksim.errors import BlocksimError

if TYPE_CHECKING:
    from blocksim import zoo
    from blocksim.api import compile_model, run
    from blocksim.engine.execute import execute
    from blocksim.engine.interpret import interpret
    from blocksim.engine.link import link
    from blocksim.engine.schedule import schedule
    from blocksim.engine.stages import execute_in_stages
    from blocksim.experiment import Experiment
    from blocksim.explore.front import front
    from blocksim.explore.search import search
    from blocksim.explore.sweep import sweep
    from blocksim.graph import import_onnx
    from blocksim.report.report import Report
    from blocksim.report.table import compare
    from blocksim.trace import Trace

_HOMES = {
    "Experiment": "blocksim.experiment",
    "Report": "blocksim.report.report",
    "Trace": "blocksim.trace",
    "compare": "blocksim.report.table",
    "compile_model": "blocksim.api",
    "execute": "blocksim.engine.execute",
    "execute_in_stages": "blocksim.engine.stages",
    "front": "blocksim.explore.front",
    "import_onnx": "blocksim.graph",
    "interpret": "blocksim.engine.interpret",
    "link": "blocksim.engine.link",
    "run": "blocksim.api",
    "schedule": "blocksim.engine.schedule",
    "search": "blocksim.explore.search",
    "sweep": "blocksim.explore.sweep",
}
"""Public names and where they live; imported when they are first used."""

__all__ = [
    "BlocksimError",
    "Experiment",
    "Report",
    "Trace",
    "__version__",
    "compare",
    "compile_model",
    "execute",
    "execute_in_stages",
    "front",
    "import_onnx",
    "interpret",
    "link",
    "run",
    "schedule",
    "search",
    "sweep",
    "zoo",
]


def __getattr__(name: str) -> Any:
    if name == "zoo":
        return import_module("blocksim.zoo")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'blocksim' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
