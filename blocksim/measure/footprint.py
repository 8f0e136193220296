"""Memory footprint: bits of codes and exponents, from the packed sections of the trace."""

from __future__ import annotations

from pydantic import Field

from blocksim.trace.file import Trace
from hwmodels.frozen import Frozen

IN_MODEL = ("weight", "bias", "vector", "embedding")
"""Roles of constants that the fp32 model has too, 32 bits each."""


class Footprint(Frozen):
    """Bits of one model. Linear layers are counted apart from everything else."""

    weight_bits: int = Field(description="codes of the weights and biases of linear layers")
    metadata_bits: int = Field(
        description="shared exponents of the same; with real scales also their multipliers, 24 bits each"
    )
    fp32_bits: int = Field(description="the same weights and biases in fp32")
    compression_ratio: float = Field(description="fp32_bits / (weight_bits + metadata_bits)")
    fp32_everything_bits: int = Field(description="weights, biases, norm parameters and embeddings in fp32")
    everything_bits: int = Field(
        description="all packed constants but host models: also tables, masks and multipliers, which have "
        "no counterpart in fp32_everything_bits"
    )
    ratio_with_everything: float = Field(description="fp32_everything_bits / everything_bits")
    ratio_with_padding: float = Field(description="fp32_everything_bits / (everything_bits + padding_bits)")
    norm_bits: int = Field(description="norm parameters, codes and exponents")
    embedding_bits: int = Field(description="added constants such as positions, codes and exponents")
    table_bits: int = Field(description="lookup tables")
    padding_bits: int = Field(description="bytes between constants that align them to bursts, times 8")
    activation_bits: int = Field(description="codes and exponents of every stored activation, one sample")
    fp32_activation_bits: int = Field(description="the same activations in fp32")
    activation_metadata_bits: int = Field(description="of these, the exponents")
    peak_activation_bytes: int = Field(description="most activation SRAM taken at a time")


def measure_footprint(trace: Trace) -> Footprint:
    """The footprint of a trace."""
    constants = trace.manifest.constants.values()
    linear = [c for c in constants if c.role in ("weight", "bias")]
    weight_bits = sum(c.payload_bits for c in linear)
    multipliers = sum(c.payload_bits for c in constants if c.role == "multiplier")
    metadata_bits = sum(c.metadata_bits for c in linear) + multipliers
    fp32_bits = sum(32 * c.rows * c.columns for c in linear)

    def bits(role: str) -> int:
        return sum(c.payload_bits + c.metadata_bits for c in constants if c.role == role)

    datapath = [c for c in constants if c.role != "host"]
    used = sum(8 * c.size for c in datapath)
    end = max((c.address + c.size for c in datapath), default=0)
    everything = sum(32 * c.rows * c.columns for c in datapath if c.role in IN_MODEL)
    tensors = trace.manifest.tensors.values()
    return Footprint(
        weight_bits=weight_bits,
        metadata_bits=metadata_bits,
        fp32_bits=fp32_bits,
        compression_ratio=fp32_bits / (weight_bits + metadata_bits) if linear else 1.0,
        fp32_everything_bits=everything,
        everything_bits=used,
        ratio_with_everything=everything / used if used else 1.0,
        ratio_with_padding=everything / (8 * end) if end else 1.0,
        norm_bits=bits("vector"),
        embedding_bits=bits("embedding"),
        table_bits=sum(8 * c.size for c in constants if c.role == "table"),
        padding_bits=8 * end - used,
        activation_bits=sum(t.payload_bits + t.metadata_bits for t in tensors),
        fp32_activation_bits=sum(32 * t.rows * t.columns for t in tensors),
        activation_metadata_bits=sum(t.metadata_bits for t in tensors),
        peak_activation_bytes=trace.manifest.peak_activation_bytes,
    )


def fp32_footprint(linear: int, everything: int, activations: int) -> Footprint:
    """The footprint of the fp32 model: numbers of constants and of activations, 32 bits each."""
    return Footprint(
        weight_bits=32 * linear,
        metadata_bits=0,
        fp32_bits=32 * linear,
        compression_ratio=1.0,
        fp32_everything_bits=32 * everything,
        everything_bits=32 * everything,
        ratio_with_everything=1.0,
        ratio_with_padding=1.0,
        norm_bits=0,
        embedding_bits=0,
        table_bits=0,
        padding_bits=0,
        activation_bits=32 * activations,
        fp32_activation_bits=32 * activations,
        activation_metadata_bits=0,
        peak_activation_bytes=0,
    )
