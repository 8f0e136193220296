"""The DMA engine: moves bytes between DRAM and SRAM in whole bursts."""

from __future__ import annotations

from dataclasses import dataclass

from hwmodels.units.actions import Actions, of


@dataclass(frozen=True)
class DmaConfig:
    """One DMA engine and the DRAM behind it.

    Attributes
    ----------
    bytes_per_cycle : int
        DRAM bandwidth.
    latency : int
        Cycles from the last byte requested to its arrival; later requests overlap it.
    burst : int
        Bytes of one burst: each contiguous run is rounded up to it.
    """

    bytes_per_cycle: int
    latency: int
    burst: int


def result(data: bytes) -> bytes:
    """A transfer changes nothing: the bytes as they are."""
    return data


def transferred(config: DmaConfig, nbytes: int, runs: int) -> int:
    """Bytes on the bus for `runs` equal contiguous runs of `nbytes` bytes together."""
    each = -(-nbytes // runs)
    return runs * -(-each // config.burst) * config.burst


def cycles(config: DmaConfig, nbytes: int, runs: int = 1) -> int:
    """Cycles that a transfer keeps the bus: ``ceil(transferred / bytes_per_cycle)``.

    The latency is not part of it. By hand: 4,097 bytes in one run, bursts of 64 and 32 bytes per
    cycle: 65 bursts, 4,160 bytes, 130 cycles.
    """
    return -(-transferred(config, nbytes, runs) // config.bytes_per_cycle)


def actions(config: DmaConfig, nbytes: int, runs: int = 1) -> Actions:
    """Actions of a transfer: the bytes on the bus."""
    return of("dram", {"dram.bytes": transferred(config, nbytes, runs)})
