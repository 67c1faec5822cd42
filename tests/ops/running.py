"""Runs one-node models in onnxruntime with the op library, and in onnx's reference evaluator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
from onnx.reference import ReferenceEvaluator

from krypton_compile import get_library_path
from krypton_compile.reference import REFERENCE_OPS
from tests.ops.cases import Case, make_model

EMULATED = Path(get_library_path()).stem == "libkrypton_ops_emulated"
"""Whether the library in use runs the kernels of the GPU on the CPU (KRYPTON_EMULATE_CUDA)."""


def session_options(threads: int = 1) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    options.register_custom_ops_library(get_library_path())
    return options


def run_cpu(case: Case, threads: int = 1) -> list[np.ndarray]:
    model = make_model(case)
    session = ort.InferenceSession(model.SerializeToString(), session_options(threads), ["CPUExecutionProvider"])
    return session.run(None, feeds(case))


def run_reference(case: Case) -> list[np.ndarray]:
    evaluator = ReferenceEvaluator(make_model(case), new_ops=list(REFERENCE_OPS))
    with np.errstate(all="ignore"):  # NaN and infinities are part of some cases
        return evaluator.run(None, feeds(case))


def feeds(case: Case) -> dict[str, np.ndarray]:
    return {f"i{index}": array for index, array in enumerate(case.inputs) if array is not None}
