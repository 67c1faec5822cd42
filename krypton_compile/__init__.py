"""Krypton: exact, fast occlusion explanations of CNN classifiers by incremental inference.

``compile`` turns an exported ONNX classifier into a model whose custom ops compute, for thousands of
patch positions, only what each patch changes; ``krypton_compile.runtime`` drives it.
"""

from krypton_compile.errors import KryptonError
from krypton_compile.library import get_library_path
from krypton_compile.pipeline import compile
from krypton_compile.report import Report

__all__ = ["KryptonError", "Report", "compile", "get_library_path"]
__version__ = "0.1.0"
