"""The JSON schema of ``report.json``: ``python -m blocksim.measure.schema FILE`` writes it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from blocksim.measure.figures import ReportData


def schema_text() -> str:
    """The schema as indented JSON."""
    return json.dumps(ReportData.model_json_schema(), indent=2) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(schema_text())
