"""Golden hashes: the compiled kernels give the bits that the plain-integer specs gave."""

from __future__ import annotations

import json

import golden
import pytest

import blocksim as bs

COMMITTED = json.loads(golden.FILE.read_text())


@pytest.mark.parametrize("name", golden.cases())
def test_execute_gives_the_golden_bits(name: str) -> None:
    trace, inputs = golden.made(name)
    probes = bs.execute(bs.link(trace), inputs, probe=tuple(golden.certain(trace))).probes
    assert golden.digest(trace, {tensor: stored[0] for tensor, stored in probes.items()}) == COMMITTED[name]


@pytest.mark.verify
@pytest.mark.parametrize("name", golden.cases())
def test_the_specs_still_give_the_golden_bits(name: str) -> None:
    assert golden.interpreted(name) == COMMITTED[name]


def test_every_case_is_committed() -> None:
    assert set(COMMITTED) == set(golden.cases())
