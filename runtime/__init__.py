"""Drives a compiled model: occlusion sessions, explanations, heat maps."""

from krypton_compile.runtime.explanation import Explanation
from krypton_compile.runtime.session import OcclusionScores, OcclusionSession

__all__ = ["Explanation", "OcclusionScores", "OcclusionSession"]
