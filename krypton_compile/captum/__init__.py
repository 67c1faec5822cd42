"""Captum's perturbation methods by incremental inference: ``from krypton_compile.captum import Occlusion``."""

try:
    import torch as torch
except ImportError as error:
    raise ImportError("krypton_compile.captum needs torch; install it: pip install 'krypton-compile[torch]'") from error

from krypton_compile.captum.ablation import FeatureAblation
from krypton_compile.captum.occlusion import Occlusion

__all__ = ["FeatureAblation", "Occlusion"]
