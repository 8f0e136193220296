"""The SRAM with all its words: small memories, as a large one differs in nothing but its size."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from hwmodels.rtl.reading import Reading
from hwmodels.rtl.twin import Claim, Edit, Twin
from hwmodels.rtl.words import Number, Terms
from hwmodels.units import sram
from hwmodels.units.ops import select
from hwmodels.units.ports import FLAG, signed, unsigned
from hwmodels.units.sram import Access, SramConfig


def promised(config: SramConfig, _: sram.State, inputs: Access) -> Number:
    """No address beyond the last word."""
    return (inputs.read_address < config.words) & (inputs.write_address < config.words)


def operation(config: SramConfig) -> Callable[[Terms, Reading], Iterator[Claim]]:
    """Any word written to an address, any other to any address, and any address read at the same time."""

    def claims(terms: Terms, reading: Reading) -> Iterator[Claim]:
        word, address = signed(config.bits), unsigned(sram.address_bits(config.words))
        first, second = terms.unknown("first", word), terms.unknown("second", word)
        other, read = terms.unknown("other", address), terms.unknown("read", address)
        write = terms.unknown("write", FLAG)
        accesses = [
            Access(0, 0, 1, 2, first),
            Access(1, read, write, other, second),
            Access(1, read, 0, 0, 0),
        ]
        words, count = reading.of(sram.run)(config, accesses)
        before = reading.of(select)(read == 2, first, 0)
        yield Claim("cycles", count == sram.cycles(len(accesses)))
        yield Claim("the old word", words[0] == before)
        yield Claim("the new word", words[1] == reading.of(select)(write & (other == read), second, before))

    return claims


def twin(words: int, bits: int) -> Twin:
    """A memory of this size."""
    config = SramConfig(words, bits)
    return Twin(
        unit=sram, label=f"{words} x {bits}", config=config, module="sram_1r1w",
        parameters={"WORDS": words, "BITS": bits},
        promised=promised,
        operation=operation(config) if words == 4 else None,
        tested="tests/units/test_sram_step.py",
    )  # fmt: skip


def twins() -> list[Twin]:
    """Words of both kinds of count, a power of two and not, and of the widths that accumulators have."""
    return [twin(4, 8), twin(16, 32), twin(5, 48), twin(1, 3)]


BY_HAND = (
    Edit("sram_1r1w.sv", "if (read) word <=", "if (read | write) word <=", "latency"),
    Edit("sram_1r1w.sv", "word <= store[read_address]", "word <= store[write_address]", "latency"),
    Edit("sram_1r1w.sv", "if (write) store", "if (write & ~read) store", "latency"),
    Edit(
        "sram_1r1w.sv", "word <= store[read_address]",
        "word <= write && read_address == write_address ? write_word : store[read_address]", "latency",
    ),
    Edit("sram_1r1w.sv", "logic signed [BITS-1:0] store", "logic signed [BITS-2:0] store", "width"),
    Edit("sram_1r1w.sv", "store[write_address] <= write_word", "store[write_address] <= -write_word", "sign"),
)  # fmt: skip
