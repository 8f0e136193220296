"""The SRAM's widths, and what a run asks of it."""

from __future__ import annotations

from hwmodels.units import sram
from hwmodels.units.ports import signed, unsigned
from hwmodels.units.sram import Access, Outputs, SramConfig, State


def test_widths() -> None:
    bits = {1: 1, 2: 1, 3: 2, 4: 2, 5: 3, 8: 3, 9: 4, 256: 8}
    assert {words: sram.address_bits(words) for words in bits} == bits
    ports = sram.ports(SramConfig(5, 7))
    assert ports.inputs == Access(unsigned(1), unsigned(3), unsigned(1), unsigned(3), signed(7))
    assert ports.state == State((signed(7),) * 5, signed(7))
    assert ports.outputs == Outputs(signed(7))


def test_a_memory_is_filled_with_zeros_and_left_alone_at_the_end() -> None:
    """A module's memory holds anything when it is switched on."""
    asked = []

    def stepper(config: SramConfig, state: State, access: Access) -> tuple[State, Outputs]:
        asked.append(access)
        return sram.step(config, state, access)

    own = [Access(0, 0, 1, 2, -5), Access(1, 2, 0, 0, 0)]
    assert sram.run(SramConfig(3, 8), own, stepper) == ([-5], 3)
    zeros = [Access(0, 0, 1, i, 0) for i in range(3)]
    assert asked == [*zeros, *own, Access(0, 0, 0, 0, 0)]
