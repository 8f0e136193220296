"""The accumulator at widths from 16 to 48 bits, and a word's updates one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from hwmodels.machines import load
from hwmodels.rtl.reading import Reading
from hwmodels.rtl.twin import Claim, Edit, Twin
from hwmodels.rtl.words import Terms
from hwmodels.units import accumulator
from hwmodels.units.accumulator import AccumulatorConfig
from hwmodels.units.ports import signed


def operation(
    config: AccumulatorConfig, updates: int, words: int
) -> Callable[[Terms, Reading], Iterator[Claim]]:
    """Any terms, added to any words in turn."""

    def claims(terms: Terms, reading: Reading) -> Iterator[Claim]:
        start = [terms.unknown(f"word {i}", signed(config.bits)) for i in range(words)]
        added = [terms.unknown(f"term {i}", signed(config.sum_bits)) for i in range(updates)]
        given = [(i % words, x) for i, x in enumerate(added)]
        (after, _), count = reading.of(accumulator.run)(config, start, given)
        yield Claim("cycles", count == accumulator.cycles(config, updates, words))
        for i in range(words):
            yield Claim(
                f"word {i}", after[i] == reading.of(accumulator.result)(config, start[i], added[i::words])
            )

    return claims


def twin(config: AccumulatorConfig, label: str, words: int) -> Twin:
    """One accumulator; a whole operation of three updates."""
    return Twin(
        unit=accumulator, label=label, config=config, module="accumulator_port",
        parameters={
            "BITS": config.bits, "SUM_BITS": config.sum_bits, "SATURATING": int(config.saturating),
            "ROWS": config.rows, "LATENCY": config.latency,
        },
        operation=operation(config, 3, words),
    )  # fmt: skip


def twins() -> list[Twin]:
    """The shipped one; the narrowest and widest words, wrapping, longer latencies, sums of any width."""
    return [
        twin(load("bct64").array_config.accumulator, "bct64", 1),
        twin(load("scalesim").array_config.accumulator, "scalesim", 2),
        twin(AccumulatorConfig(16, True, 5, 2, 3, 40), "16 bits, latency 3", 1),
        twin(AccumulatorConfig(48, False, 8, 2, 1, 48), "48 bits, wrapping", 1),
        twin(AccumulatorConfig(24, False, 1, 1, 2, 20), "24 bits, wrapping, latency 2", 1),
        twin(AccumulatorConfig(17, True, 2, 1, 4, 33), "17 bits, latency 4", 2),
    ]


BY_HAND = (
    Edit("accumulator.sv", "SATURATING ? held : exact", "SATURATING ? exact[BITS-1:0] : exact", "width"),
    Edit("accumulator.sv", "W'(held) != exact", "W'(held[BITS-2:0]) != exact", "sign"),
    Edit("accumulator.sv", "SUM_BITS) + 1", "SUM_BITS)", "width"),
    Edit("accumulator_port.sv", "again ? sums[Last] : word", "again ? word : sums[Last]", "latency"),
    Edit("accumulator_port.sv", "again <= write &&", "again <= read &&", "latency"),
    Edit("accumulator_port.sv", "write_word = sums[LATENCY-2]", "write_word = sums[LATENCY-1]", "latency"),
)
