"""The space of scores: the model's outputs as they are, before a final Softmax, or after one of ours.

none             the model's outputs
pre              the tensor before its final Softmax or Sigmoid
softmax, sigmoid of the model's outputs
"""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt

from krypton_compile.errors import OcclusionError

ACTIVATIONS = ("none", "softmax", "sigmoid", "pre")
SPACES = {"none": "score", "pre": "logit", "softmax": "softmax", "sigmoid": "sigmoid"}
"""The word for a number in each."""
OF_ALL_CLASSES = ("softmax",)
"""Activations for which a class's value depends on the other classes' scores."""

Array = npt.NDArray[np.float32]


def check_activation(name: str, has_logits: bool, classes: int) -> None:
    """Refuse an activation that the model cannot have, and warn of one that would be applied twice.

    Raises:
        OcclusionError: if ``name`` is "pre" for a model that ends in neither Softmax nor Sigmoid, or "softmax" of a
            single output.
    """
    if name == "pre" and not has_logits:
        raise OcclusionError(
            "activation 'pre': the model does not end in Softmax or Sigmoid, so its outputs are all there is; "
            "use activation 'none'"
        )
    if name == "softmax" and classes == 1:
        raise OcclusionError("activation 'softmax': of the model's one output it is always 1; use 'sigmoid'")
    if name in ("softmax", "sigmoid") and has_logits:
        warnings.warn(
            f"activation {name!r}: the model already ends in a Softmax or Sigmoid, which would be applied twice; "
            "'none' leaves its outputs as they are, 'pre' takes what comes before",
            stacklevel=6,
        )


def activate(name: str, scores: Array, logits: Array | None) -> Array:
    """Bring outputs [..., K] into the space ``name``."""
    if name == "pre":
        assert logits is not None
        return logits
    if name == "none":
        return scores
    from scipy.special import expit, softmax  # 0.1 s to import

    if name == "softmax":
        return np.asarray(softmax(scores, axis=-1), np.float32)
    return np.asarray(expit(scores), np.float32)
