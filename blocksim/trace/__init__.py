"""The trace: instruction set, manifest, file and listing."""

from blocksim.trace.file import Trace
from blocksim.trace.listing import listing

__all__ = ["Trace", "listing"]
