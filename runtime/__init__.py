"""Drives a compiled model: occlusion sessions, explanations, heat maps."""

from krypton_compile.runtime.approximation import Approximation, DrillDown
from krypton_compile.runtime.explanation import Explanation
from krypton_compile.runtime.session import OcclusionScores, OcclusionSession

__all__ = ["Approximation", "DrillDown", "Explanation", "OcclusionScores", "OcclusionSession"]
