"""Run a model in plain onnxruntime, whatever its size."""

from __future__ import annotations

import tempfile
from pathlib import Path

import onnx
import onnxruntime as ort

from krypton_compile.files.loading import is_large, save_proto
from krypton_compile.ort.errors import quiet_options


def open_session(model: onnx.ModelProto, library: str | None = None, *, optimized: bool = True) -> ort.InferenceSession:
    """Open a session on the CPU, with the custom-op ``library`` if given; beyond protobuf's 2 GB by way of a file."""
    options = quiet_options()
    if not optimized:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    if library is not None:
        options.register_custom_ops_library(library)
    providers = ["CPUExecutionProvider"]
    if not is_large(model):
        return ort.InferenceSession(model.SerializeToString(), options, providers=providers, enable_fallback=False)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        save_proto(model, path)
        return ort.InferenceSession(path, options, providers=providers, enable_fallback=False)
