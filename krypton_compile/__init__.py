"""Krypton: exact, fast occlusion explanations of CNN classifiers by incremental inference.

``compile`` turns an exported ONNX classifier into a model whose custom ops compute, for thousands of
patch positions, only what each patch changes; ``krypton_compile.runtime`` drives it.
"""

from __future__ import annotations

# As little as can be: until cli/entry.py is reached, Ctrl-C would print where a command was importing.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from krypton_compile._version import __version__
    from krypton_compile.compiler.pipeline import compile
    from krypton_compile.compiler.report import Report
    from krypton_compile.errors import KryptonError
    from krypton_compile.opening import open_session
    from krypton_compile.ort.library import get_library_path
    from krypton_compile.runtime import OcclusionSession

# The compiler imports onnx and onnxscript, a second: when it is first used.
_HOMES = {
    "KryptonError": "errors",
    "OcclusionSession": "runtime",
    "Report": "compiler.report",
    "__version__": "_version",
    "compile": "compiler.pipeline",
    "get_library_path": "ort.library",
    "open_session": "opening",
}

__all__ = [
    "KryptonError",
    "OcclusionSession",
    "Report",
    "__version__",
    "compile",
    "get_library_path",
    "open_session",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
