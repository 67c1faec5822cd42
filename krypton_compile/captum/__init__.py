"""Captum's Occlusion by incremental inference: ``from krypton_compile.captum import Occlusion``."""

from krypton_compile.captum.occlusion import Occlusion

__all__ = ["Occlusion"]
