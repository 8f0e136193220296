"""Both front ends give the kernel's bits in `cycles()` cycles, and the committed cover table is full."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from hwmodels.rtl.simulate import FRONT_ENDS
from rtl.cosim import FLOWS, Scenario, all_scenarios, outcomes

COVER = Path(__file__).parent / "cover.csv"


def bins() -> Counter[tuple[str, ...]]:
    return Counter(s.place for s in all_scenarios())


def test_the_cover_table_is_full() -> None:
    """Every bin of the committed table is hit, and no other; `python -m rtl.test_cosim` writes it anew."""
    header, *rows = COVER.read_text().splitlines()
    assert header == "unit,mode,parameters,edge,flow"
    assert {tuple(row.split(",")) for row in rows} == set(bins())
    assert {s.flow for s in all_scenarios()} == set(FLOWS)


@pytest.mark.parametrize("scenario", all_scenarios(), ids=lambda s: "-".join(s.place))
def test_the_spec_gives_the_kernels_bits_in_its_cycles(scenario: Scenario) -> None:
    assert scenario.operate(scenario.twin.function("step")) == (scenario.want, scenario.cycles)


@pytest.mark.verify
@pytest.mark.parametrize("front_end", FRONT_ENDS)
@pytest.mark.parametrize("scenario", all_scenarios(), ids=lambda s: "-".join(s.place))
def test_the_module_gives_the_kernels_bits_in_its_cycles(
    scenario: Scenario, front_end: str, compiled: Path
) -> None:
    for outcome in outcomes(scenario, front_end, compiled):
        assert outcome == (scenario.want, scenario.cycles)


def write() -> None:
    """Write the cover table."""
    lines = [",".join(place) for place in sorted(bins())]
    COVER.write_text("\n".join(["unit,mode,parameters,edge,flow", *lines]) + "\n")


if __name__ == "__main__":
    write()
