"""The trace and its file: one safetensors with a manifest, the program and every constant.

The file is written whole and read back with every part checked: versions, hashes, ranges.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from blocksim.errors import BlocksimError
from blocksim.output import output_file
from blocksim.trace.isa import INSTRUCTION, UNIT_OF, Opcode, Program, Unit
from blocksim.trace.manifest import TRACE_VERSION, Manifest

HEAD = "blocksim-trace"
"""The entry of the file's metadata that makes it a trace."""


@dataclass(frozen=True, eq=False)
class Trace:
    """A compiled model: the only thing that reaches the datapath. A trace equals itself alone.

    Attributes
    ----------
    manifest : Manifest
    program : structured array of `isa.INSTRUCTION`
    sections : dict of str to bytes
        The packed constants.
    """

    manifest: Manifest
    program: Program
    sections: dict[str, bytes]

    def save(self, path: Path | str) -> None:
        """Write the trace as one safetensors file, by way of a new file beside it."""
        from safetensors import SafetensorError
        from safetensors.numpy import save_file

        path = Path(path)
        tensors = {f"constant/{name}": np.frombuffer(data, np.uint8) for name, data in self.sections.items()}
        code = np.frombuffer(self.program.tobytes(), np.uint8)
        tensors["program"] = code
        text = self.manifest.model_dump_json()
        head = {
            "version": str(TRACE_VERSION),
            "manifest": text,
            "manifest.sha256": hashlib.sha256(text.encode()).hexdigest(),
            "program.sha256": hashlib.sha256(code.tobytes()).hexdigest(),
        }
        with output_file(path) as partial:
            try:  # one entry: the library writes several in no order of its own
                save_file(tensors, str(partial), {HEAD: json.dumps(head)})
            except SafetensorError as error:
                raise BlocksimError(path, "file", "cannot be written", str(error)) from None

    @classmethod
    def open(cls, path: Path | str) -> Trace:
        """Read a trace and check every part of it.

        Raises
        ------
        BlocksimError
            If the file is not a trace, is of another version, or any byte was changed.
        """
        from safetensors import SafetensorError, safe_open

        path = Path(path)
        if not path.is_file():
            what = "a folder" if path.is_dir() else "missing"
            raise BlocksimError(path, "file", what, "give the path of a trace")
        try:
            with safe_open(str(path), "numpy") as file:
                head = (file.metadata() or {}).get(HEAD)
                if head is None:
                    raise BlocksimError(path, "file", "not a trace", "compile a model with blocksim compile")
                metadata = json.loads(head)
                version = metadata.get("version") if isinstance(metadata, dict) else head
                if version != str(TRACE_VERSION):
                    raise BlocksimError(
                        path,
                        "version",
                        version,
                        f"this blocksim reads version {TRACE_VERSION}; compile it again",
                    )
                parts = {name: file.get_tensor(name).tobytes() for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError, ValueError) as error:
            raise BlocksimError(path, "file", "not a whole trace", f"compile it again ({error})") from None
        return cls._checked(path, metadata, parts)

    @classmethod
    def _checked(cls, path: Path, metadata: dict[str, str], parts: dict[str, bytes]) -> Trace:
        text, code = metadata.get("manifest", ""), parts.pop("program", b"")
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
        sections = {name.removeprefix("constant/"): data for name, data in parts.items()}
        for name, spec in manifest.constants.items():
            if hashlib.sha256(sections.get(name, b"")).hexdigest() != spec.sha256:
                raise BlocksimError(path, name, "hash differs", changed)
        program = np.frombuffer(code, INSTRUCTION)
        _check_program(path, program, manifest)
        return cls(manifest, program, sections)


def is_trace(path: Path) -> bool:
    """Whether a file is a trace, of whatever version."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), "numpy") as file:
            return HEAD in (file.metadata() or {})
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
