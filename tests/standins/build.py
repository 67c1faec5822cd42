"""Builds stand-ins for the libraries that onnxruntime's CUDA provider wants, so that it starts without a GPU.

    python tests/standins/build.py ONNXRUNTIME HEADERS FOLDER [LIBRARY]

ONNXRUNTIME is the package onnxruntime-gpu as installed, HEADERS where pip installed nvidia-cuda-runtime and -crt. The
libraries in FOLDER have the names and versions that the provider asks for, and LIBRARY, one of ours that is linked to
CUDA's runtime. What is not written in the sources beside this file returns 0, which is "success"; what makes a handle
hands out one that means nothing.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
BY_NAME = {"cudnn": "libcudnn.so.9", "cufft": "libcufft.so.12", "cu": "libcuda.so.1"}
"""Of those that it asks for functions by name."""

SOURCES = {"libcudart": "runtime.cc", "libcudnn": "cudnn.cc", "libcublas": "cublas.cc"}
STUB = 'WEAK int {0}(void) {{ krypton_standin_called("{0}"); return 0; }}\n'
HANDLE = 'WEAK int {0}(void** handle) {{ krypton_standin_called("{0}"); *handle = malloc(1); return 0; }}\n'
MAKES_HANDLE = re.compile(r"(cudnn|cublas|cublasLt\w*)Create(?!RNN)")
HEAD = "#include <stdlib.h>\n#define WEAK __attribute__((weak))\nvoid krypton_standin_called(const char* name);\n"


def output(*command: str | Path) -> str:
    return subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True).stdout


def wanted(provider: Path, others: list[Path]) -> dict[str, set[str]]:
    """The functions that the provider and other libraries want of each library."""
    needed = re.findall(r"\(NEEDED\).*\[(lib(?:cu|nv)\S+)\]", output("readelf", "-d", provider))
    found: dict[str, set[str]] = {name: set() for name in needed}
    undefined = output("nm", "-D", "--undefined-only", provider, *others)
    for name, library in re.findall(r" U (\w+)@(lib\S+)", undefined):
        if library in found:
            found[library].add(name)
    data = provider.read_bytes()
    for prefix, library in BY_NAME.items():
        names = re.findall(rb"\0(" + prefix.encode() + rb"[A-Z]\w+)(?=\0)", data)
        found.setdefault(library, set()).update(name.decode() for name in names)
    return found


def build(library: str, functions: set[str], headers: Path, folder: Path, runtime: str) -> None:
    """One library: a stub of each function, weak, and those of its source, which stand before it."""
    source = SOURCES.get(library.partition(".")[0])
    stubs = folder / f"{library}.c"
    bodies = ((HANDLE if MAKES_HANDLE.match(name) else STUB).format(name) for name in sorted(functions))
    stubs.write_text(HEAD + "".join(bodies))
    script = folder / f"{library}.map"
    script.write_text(f"{library} {{ global: *; }};\n")
    objects = [folder / f"{library}.stubs.o"]
    subprocess.run([os.environ.get("CC", "cc"), "-O1", "-fPIC", "-c", stubs, "-o", objects[0]], check=True)
    compiler = os.environ.get("CXX", "c++")
    if source is not None:
        objects.append(folder / f"{library}.o")
        flags = ["-std=c++17", "-O1", "-g", "-fPIC", "-Wall", "-Wextra", "-Werror", "-isystem", headers]
        subprocess.run([compiler, *flags, "-c", HERE / source, "-o", objects[1]], check=True)
    links = [] if library == runtime else [folder / runtime]
    linking = ["-shared", f"-Wl,-soname,{library}", f"-Wl,--version-script={script}", "-Wl,-rpath,$ORIGIN"]
    subprocess.run([compiler, *linking, *objects, *links, "-o", folder / library], check=True)


def main(onnxruntime: Path, packages: Path, folder: Path, *others: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    libraries = wanted(onnxruntime / "capi" / "libonnxruntime_providers_cuda.so", list(others))
    runtime = next(name for name in libraries if name.startswith("libcudart"))
    headers = next(packages.glob("nvidia/cu*/include"))
    for name in sorted(libraries, key=lambda name: name != runtime):  # the others link to it
        build(name, libraries[name], headers, folder, runtime)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
