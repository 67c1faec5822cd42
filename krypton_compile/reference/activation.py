"""IncrementalClip, by branch: Relu, Relu6 and every other Clip. IncrementalActivation: all other functions of a number.

With c = clip(z0, min, max) and z1 = z0 + d, clip(z1) - c = clip(d + (z0 - c), min - c, max - c). Where z0 and
z1 lie in the linear piece, c = z0 and the result is d itself: rounding scales with the delta.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from onnx.reference.op_run import OpRun
from scipy.special import erf, expit

from krypton_compile.contract.geometry import Boxes
from krypton_compile.contract.schemas import DOMAIN
from krypton_compile.reference.ragged import Floats, base_rows, split
from krypton_compile.reference.thresholds import flush


class IncrementalClip(OpRun):
    """clip(Z0 + D) - clip(Z0); the defaults are Relu's."""

    op_domain = DOMAIN

    def _run(
        self,
        X: Floats,
        boxes: Boxes,
        Z0: Floats,
        limit: Floats | None = None,
        min: float = 0.0,
        max: float = math.inf,
    ) -> tuple[Floats]:
        split("X", X, boxes)
        return (flush(clip_delta(X, base_rows("Z0", Z0, boxes, X.shape[1]), min, max), limit),)


def clip_delta(delta: Floats, base: Floats, low: float, high: float) -> Floats:
    """The clip rule, row by row, in the order of operations that the kernels follow."""
    lower, upper = np.float32(low), np.float32(high)
    clipped = np.minimum(np.maximum(base, lower), upper)
    moved: Floats = np.minimum(np.maximum(delta + (base - clipped), lower - clipped), upper - clipped)
    return moved


class IncrementalActivation(OpRun):
    """f(Z0 + D) - f(Z0), in float64."""

    op_domain = DOMAIN

    def _run(
        self,
        X: Floats,
        boxes: Boxes,
        Z0: Floats,
        limit: Floats | None = None,
        *,
        function: str,
        alpha: float = 1.0,
        beta: float = 1.0,
    ) -> tuple[Floats]:
        if function not in _FUNCTIONS:
            raise ValueError(f"attribute function: {function!r} is none of the activations")
        split("X", X, boxes)
        before = base_rows("Z0", Z0, boxes, X.shape[1]).astype(np.float64)
        f = _FUNCTIONS[function]
        with np.errstate(all="ignore"):  # logarithms and roots of what the base map does not hold
            change = f(before + X, alpha, beta) - f(before, alpha, beta)
        return (flush(np.where(X == 0, 0, change).astype(np.float32), limit),)


Doubles = npt.NDArray[np.float64]


def _elu(x: Doubles, alpha: float) -> Doubles:
    return np.asarray(np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))))


def _softplus(x: Doubles) -> Doubles:
    return np.asarray(np.logaddexp(x, 0))


_FUNCTIONS: dict[str, Callable[[Doubles, float, float], Doubles]] = {
    "Abs": lambda x, *_: np.abs(x),
    "Atan": lambda x, *_: np.arctan(x),
    "Celu": lambda x, alpha, _: np.maximum(x, 0) + np.minimum(0, alpha * np.expm1(np.minimum(x, 0) / alpha)),
    "Cos": lambda x, *_: np.cos(x),
    "Elu": lambda x, alpha, _: _elu(x, alpha),
    "Erf": lambda x, *_: np.asarray(erf(x)),
    "Exp": lambda x, *_: np.exp(x),
    "Gelu": lambda x, *_: np.asarray(x / 2 * (1 + erf(x / math.sqrt(2)))),
    "GeluTanh": lambda x, *_: x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "HardSigmoid": lambda x, alpha, beta: np.clip(alpha * x + beta, 0, 1),
    "HardSwish": lambda x, *_: x * np.clip(x / 6 + 0.5, 0, 1),
    "LeakyRelu": lambda x, alpha, _: np.where(x >= 0, x, alpha * x),
    "Log": lambda x, *_: np.log(x),
    "Mish": lambda x, *_: x * np.tanh(_softplus(x)),
    "Reciprocal": lambda x, *_: 1 / x,
    "Selu": lambda x, alpha, beta: beta * _elu(x, alpha),
    "Sigmoid": lambda x, *_: np.asarray(expit(x)),
    "Sin": lambda x, *_: np.sin(x),
    "Softplus": lambda x, *_: _softplus(x),
    "Softsign": lambda x, *_: x / (1 + np.abs(x)),
    "Sqrt": lambda x, *_: np.sqrt(x),
    "Swish": lambda x, alpha, _: np.asarray(x * expit(alpha * x)),
    "Tanh": lambda x, *_: np.tanh(x),
}
