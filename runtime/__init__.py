"""Drives a compiled model: occlusion sessions, explanations, heat maps.

Names are imported when they are first used: onnxruntime and SciPy take a second, which --help need not wait for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from krypton_compile.contract.preprocessing import Preprocessing
    from krypton_compile.runtime.approximation.settings import Approximation, DrillDown
    from krypton_compile.runtime.approximation.thresholds import Thresholds
    from krypton_compile.runtime.engine.scorer import OcclusionScores
    from krypton_compile.runtime.maps.explanation import Explanation, FieldExplanation
    from krypton_compile.runtime.maps.several_sizes import SizesExplanation
    from krypton_compile.runtime.session import OcclusionSession
    from krypton_compile.runtime.sweep.request import Request

_HOMES = {
    "Approximation": "krypton_compile.runtime.approximation.settings",
    "DrillDown": "krypton_compile.runtime.approximation.settings",
    "Explanation": "krypton_compile.runtime.maps.explanation",
    "FieldExplanation": "krypton_compile.runtime.maps.explanation",
    "OcclusionScores": "krypton_compile.runtime.engine.scorer",
    "OcclusionSession": "krypton_compile.runtime.session",
    "Preprocessing": "krypton_compile.contract.preprocessing",
    "Request": "krypton_compile.runtime.sweep.request",
    "SizesExplanation": "krypton_compile.runtime.maps.several_sizes",
    "Thresholds": "krypton_compile.runtime.approximation.thresholds",
}

__all__ = [
    "Approximation",
    "DrillDown",
    "Explanation",
    "FieldExplanation",
    "OcclusionScores",
    "OcclusionSession",
    "Preprocessing",
    "Request",
    "SizesExplanation",
    "Thresholds",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
