"""Memory footprint: bits of codes and exponents, from the packed sections of the trace."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from blocksim.trace.file import Trace


class Footprint(BaseModel):
    """Bits of one model. Linear layers are counted apart from everything else."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    weight_bits: int = Field(description="codes of the weights and biases of linear layers")
    metadata_bits: int = Field(description="shared exponents of the same")
    fp32_bits: int = Field(description="the same weights and biases in fp32")
    compression_ratio: float = Field(description="fp32_bits / (weight_bits + metadata_bits)")
    norm_bits: int = Field(description="norm parameters, codes and exponents")
    embedding_bits: int = Field(description="added constants such as positions, codes and exponents")
    table_bits: int = Field(description="lookup tables")
    padding_bits: int = Field(description="bytes between constants that align them to bursts, times 8")
    activation_bits: int = Field(description="codes and exponents of every stored activation, one sample")
    activation_metadata_bits: int = Field(description="of these, the exponents")
    peak_activation_bytes: int = Field(description="most activation SRAM taken at a time")


def measure_footprint(trace: Trace) -> Footprint:
    """The footprint of a trace."""
    constants = trace.manifest.constants.values()
    linear = [c for c in constants if c.role in ("weight", "bias")]
    weight_bits = sum(c.payload_bits for c in linear)
    metadata_bits = sum(c.metadata_bits for c in linear)
    fp32_bits = sum(32 * c.rows * c.columns for c in linear)

    def bits(role: str) -> int:
        return sum(c.payload_bits + c.metadata_bits for c in constants if c.role == role)

    datapath = [c for c in constants if c.role != "host"]
    used = sum(8 * c.size for c in datapath)
    end = max((c.address + c.size for c in datapath), default=0)
    tensors = trace.manifest.tensors.values()
    return Footprint(
        weight_bits=weight_bits,
        metadata_bits=metadata_bits,
        fp32_bits=fp32_bits,
        compression_ratio=fp32_bits / (weight_bits + metadata_bits) if linear else 1.0,
        norm_bits=bits("vector"),
        embedding_bits=bits("embedding"),
        table_bits=sum(8 * c.size for c in constants if c.role == "table"),
        padding_bits=8 * end - used,
        activation_bits=sum(t.payload_bits + t.metadata_bits for t in tensors),
        activation_metadata_bits=sum(t.metadata_bits for t in tensors),
        peak_activation_bytes=trace.manifest.peak_activation_bytes,
    )
