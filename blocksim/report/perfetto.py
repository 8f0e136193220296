"""A timeline for Perfetto (https://ui.perfetto.dev): a track for each unit, and memory traffic as counters.

The file is in the JSON trace format that Perfetto and Chrome read. A cycle is shown as a microsecond, so that
the numbers in the viewer are cycles.
"""

from __future__ import annotations

import json
from typing import Any

from blocksim.engine.schedule import Timeline
from blocksim.measure.traffic import bytes_over_time
from blocksim.report.style import MEMORIES
from blocksim.trace.file import Trace
from blocksim.trace.isa import Opcode, Unit

PROCESS = 1


def timeline_json(trace: Trace, timeline: Timeline) -> str:
    """The timeline of one sample.

    Parameters
    ----------
    trace : Trace
    timeline : Timeline
        Its schedule.
    """
    events: list[dict[str, Any]] = [_about("process_name", PROCESS, name=trace.manifest.machine.name)]
    for unit in Unit:
        events.append(_about("thread_name", track(unit), name=unit.name.lower()))
        events.append(_about("thread_sort_index", track(unit), sort_index=int(unit)))
    operators = trace.manifest.operators
    for i, record in enumerate(trace.program):
        start, end = int(timeline.start[i]), int(timeline.end[i])
        events.append(
            {
                "ph": "X", "pid": PROCESS, "tid": track(record["unit"]), "ts": start, "dur": end - start,
                "name": operators[record["op_id"]].name, "cat": Opcode(record["opcode"]).name,
                "args": _told(record, i, int(timeline.stall[i])),
            }
        )  # fmt: skip
    about = {
        "clock_ghz": trace.manifest.machine.clock_ghz,
        "model": trace.manifest.model,
        "unit": "1 us = 1 cycle",
    }
    return json.dumps({"traceEvents": events + _traffic(trace, timeline), "otherData": about})


def track(unit: int) -> int:
    """The thread that stands for a unit: not 0, which readers take for an idle one, nor the process's own."""
    return PROCESS + 1 + int(unit)


def _about(what: str, thread: int, **args: Any) -> dict[str, Any]:
    return {"ph": "M", "pid": PROCESS, "tid": thread, "name": what, "args": args}


def _told(record: Any, number: int, stall: int) -> dict[str, Any]:
    """What is shown of an instruction that is clicked on."""
    where = {name: int(record[name]) for name in ("group", "row", "rows", "column", "columns", "size")}
    return {"instruction": number, "opcode": Opcode(record["opcode"]).name, "waited": stall, **where}


def _traffic(trace: Trace, timeline: Timeline) -> list[dict[str, Any]]:
    """Counters of bytes per cycle, an event wherever one changes."""
    return [
        {
            "ph": "C", "pid": PROCESS, "ts": cycle, "name": MEMORIES[memory],
            "args": {"bytes per cycle": round(level, 6)},
        }
        for memory, (cycles, levels) in bytes_over_time(trace, timeline).items()
        for cycle, level in zip(cycles.tolist(), levels.tolist(), strict=True)
    ]  # fmt: skip
