"""The trace and its file: one safetensors with a manifest, the program and every constant.

The file is written whole and read back with every part checked: versions, hashes, ranges.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from blocksim.errors import BlocksimError
from blocksim.output import output_file
from blocksim.stretches import Stretch, entries
from blocksim.trace.isa import INSTRUCTION, UNIT_OF, Opcode, Program, Unit
from blocksim.trace.manifest import TRACE_VERSION, Manifest
from blocksim.trace.sections import Section, Sections, chunks_of, digest_of

HEAD = "blocksim-trace"
"""The entry of the file's metadata that makes it a trace."""


@dataclass(frozen=True, eq=False)
class Trace:
    """A compiled model: the only thing that reaches the datapath. A trace equals itself alone.

    Attributes
    ----------
    manifest : Manifest
    program : structured array of `isa.INSTRUCTION`
    sections : Sections
        The packed constants, read when they are wanted.
    """

    manifest: Manifest
    program: Program
    sections: Sections

    def save(self, path: Path | str) -> None:
        """Write the trace as one safetensors file, by way of a new file beside it."""
        path = Path(path)
        code = self.program.tobytes()
        tensors: dict[str, Section] = {"program": code}
        tensors |= {f"constant/{name}": data for name, data in self.sections.parts.items()}
        text = self.manifest.model_dump_json()
        head = {
            "version": str(TRACE_VERSION),
            "manifest": text,
            "manifest.sha256": hashlib.sha256(text.encode()).hexdigest(),
            "program.sha256": hashlib.sha256(code).hexdigest(),
        }
        with output_file(path) as partial, partial.open("wb") as file:
            file.write(_head({HEAD: json.dumps(head)}, tensors))
            for data in tensors.values():
                file.writelines(chunks_of(data))

    @classmethod
    def open(cls, path: Path | str) -> Trace:
        """Read a trace and check every part of it.

        Raises
        ------
        BlocksimError
            If the file is not a trace, is of another version, or any byte was changed.
        """
        from safetensors import SafetensorError

        path = Path(path)
        if not path.is_file():
            what = "a folder" if path.is_dir() else "missing"
            raise BlocksimError(path, "file", what, "give the path of a trace")
        try:
            about, tensors = entries(path)
            head = about.get(HEAD)
            if head is None:
                raise BlocksimError(path, "file", "not a trace", "compile a model with blocksim compile")
            metadata = json.loads(head)
            version = metadata.get("version") if isinstance(metadata, dict) else head
            if version != str(TRACE_VERSION):
                raise BlocksimError(
                    path, "version", version, f"this blocksim reads version {TRACE_VERSION}; compile it again"
                )
            return cls._checked(path, metadata, {name: entry.data for name, entry in tensors.items()})
        except (SafetensorError, OSError, ValueError) as error:
            raise BlocksimError(path, "file", "not a whole trace", f"compile it again ({error})") from None

    @classmethod
    def _checked(cls, path: Path, metadata: dict[str, str], parts: dict[str, Stretch]) -> Trace:
        text = metadata.get("manifest", "")
        code = parts.pop("program").read() if "program" in parts else b""
        changed = "changed since it was compiled; compile it again"
        if hashlib.sha256(text.encode()).hexdigest() != metadata.get("manifest.sha256"):
            raise BlocksimError(path, "manifest", "hash differs", changed)
        if hashlib.sha256(code).hexdigest() != metadata.get("program.sha256"):
            raise BlocksimError(path, "program", "hash differs", changed)
        try:
            manifest = Manifest.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"])
            raise BlocksimError(path, f"manifest.{field}", str(first["input"])[:40], first["msg"]) from None
        sections: dict[str, Section] = {}
        for name, spec in manifest.constants.items():
            part = parts.get(f"constant/{name}")
            if part is None or digest_of(part) != spec.sha256:
                raise BlocksimError(path, name, "hash differs", changed)
            sections[name] = replace(part, sha256=spec.sha256)
        program = np.frombuffer(code, INSTRUCTION)
        _check_program(path, program, manifest)
        return cls(manifest, program, Sections(sections))


def _head(metadata: dict[str, str], tensors: dict[str, Section]) -> bytes:
    """The head of a safetensors file of bytes: https://huggingface.co/docs/safetensors/index#format."""
    head: dict[str, object] = {"__metadata__": metadata}
    end = 0
    for name, data in tensors.items():
        head[name] = {"dtype": "U8", "shape": [len(data)], "data_offsets": [end, end + len(data)]}
        end += len(data)
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def is_trace(path: Path) -> bool:
    """Whether a file is a trace, of whatever version."""
    from safetensors import SafetensorError

    try:
        return HEAD in entries(path)[0]
    except (SafetensorError, OSError):
        return False


def _check_program(path: Path, program: Program, manifest: Manifest) -> None:
    """Refuse instructions that no compiler writes: wrong units, or tickets that can never be had."""
    units = np.array([UNIT_OF[o] for o in Opcode])
    bad = program["opcode"] >= len(Opcode)
    bad |= units[np.minimum(program["opcode"], len(Opcode) - 1)] != program["unit"]
    bad |= program["op_id"] >= len(manifest.operators)
    for unit in Unit:
        issued = np.cumsum(program["unit"] == unit) - (program["unit"] == unit)
        bad |= program["wait"][:, unit] > issued
    if bad.any():
        index = int(np.argmax(bad))
        raise BlocksimError(path, f"program[{index}]", "impossible instruction", "compile it again")


def manifest_json(trace: Trace) -> str:
    """The manifest as indented JSON."""
    return json.dumps(trace.manifest.model_dump(mode="json"), indent=2)
