"""Ops that keep each pixel where it is: Clip, Activation, Scale, Add, Binary.

IncrementalClip takes the branch: with c = clip(z0, min, max) and z1 = z0 + d,

    clip(z1) - c = clip(d + (z0 - c), min - c, max - c)

Where z0 and z1 lie in the linear piece, c = z0 and the result is d itself: rounding scales with the
delta. IncrementalActivation is every other function of a number, f(z0 + d) - f(z0). IncrementalBinary
is a function of two maps, f(A0 + DA, B0 + DB) - f(A0, B0), which kernels compute in float32 as

    Mul    A0 DB + B0 DA + DA DB
    Div    (DA - A0 / B0 * DB) / (B0 + DB)
    Max    max(DA + (A0 - m), DB + (B0 - m)),  m = max(A0, B0);  Min alike

so that a delta's rounding scales with the delta; here it is a difference in float64. ONNX's
broadcasting holds for channels; a constant operand, which has no delta, may have one row or one
column as well. Scale and Add are linear and apply to the delta alone; where boxes differ, a delta is
zero outside its own box.
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
from krypton_compile.reference.ragged import (
    Floats,
    base_rows,
    check_boxes,
    check_inside,
    check_map,
    read_hull,
    slices_of,
    split,
)
from krypton_compile.reference.thresholds import flush

Doubles = npt.NDArray[np.float64]


class IncrementalClip(OpRun):
    """clip(Z0 + D) - clip(Z0), of D = X or D = scale * X; the defaults are Relu's."""

    op_domain = DOMAIN

    def _run(
        self,
        X: Floats,
        boxes: Boxes,
        Z0: Floats,
        limit: Floats | None = None,
        scale: Floats | None = None,
        min: float = 0.0,
        max: float = math.inf,
    ) -> tuple[Floats]:
        split("X", X, boxes)
        if scale is not None:
            check_map("scale", scale, (X.shape[1],))
            X = X * scale
        return (flush(clip_delta(X, base_rows("Z0", Z0, boxes, X.shape[1]), min, max), limit),)


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


class IncrementalScale(OpRun):
    """BatchNormalization's slope, or a Mul with one constant a channel."""

    op_domain = DOMAIN

    def _run(self, X: Floats, scale: Floats, limit: Floats | None = None) -> tuple[Floats]:
        check_map("X", X, (-1, -1))
        check_map("scale", scale, (X.shape[1],))
        return (flush(X * scale, limit),)


class IncrementalAdd(OpRun):
    """A + beta * B on boxes inside the hull of both: Add (beta = 1) and Sub (beta = -1) of two maps."""

    op_domain = DOMAIN

    def _run(
        self,
        A: Floats,
        a_boxes: Boxes,
        B: Floats,
        b_boxes: Boxes,
        y_boxes: Boxes,
        limit: Floats | None = None,
        beta: float = 1.0,
    ) -> tuple[Floats]:
        check_inside(y_boxes, [a_boxes, b_boxes])
        left = read_hull("A", A, a_boxes, y_boxes)
        right = read_hull("B", B, b_boxes, y_boxes)
        check_map("B", right, left.shape)
        return (flush(left + np.float32(beta) * right, limit),)


class IncrementalBinary(OpRun):
    """The function of two maps, or of a map and a constant."""

    op_domain = DOMAIN

    def _run(
        self,
        A: Floats,
        a_boxes: Boxes,
        A0: Floats,
        B0: Floats,
        y_boxes: Boxes,
        B: Floats | None = None,
        b_boxes: Boxes | None = None,
        limit: Floats | None = None,
        *,
        function: str,
        swapped: int = 0,
    ) -> tuple[Floats]:
        shape = np.broadcast_shapes(A0.shape, B0.shape)[-3:]
        check_map("A0", slices_of("A0", A0, A.shape[1]), (-1, *shape[:2], A.shape[1]))
        check_boxes("a_boxes", a_boxes, (shape[0], shape[1]))
        parts = [a_boxes]
        if B is not None:
            if b_boxes is None:
                raise ValueError("b_boxes: expected the boxes of B")
            check_map(
                "B0", slices_of("B0", B0, B.shape[1]), (A0.shape[0] if A0.ndim == 4 else 1, *shape[:2], B.shape[1])
            )
            check_boxes("b_boxes", b_boxes, (shape[0], shape[1]))
            parts.append(b_boxes)
        check_inside(y_boxes, parts)
        moved, other = read_hull("A", A, a_boxes, y_boxes), np.zeros((1, 1), np.float32)
        if B is not None and b_boxes is not None:
            other = read_hull("B", B, b_boxes, y_boxes)
        wide = np.broadcast_to(B0, (*np.broadcast_shapes(A0.shape[:-1], B0.shape[:-1]), B0.shape[-1]))
        before = [base_rows("A0", A0, y_boxes, A0.shape[-1]), base_rows("B0", wide, y_boxes, B0.shape[-1])]
        after = [base.astype(np.float64) + delta for base, delta in zip(before, (moved, other), strict=True)]
        order = (1, 0) if swapped else (0, 1)
        compute = _BINARY[function]
        change = compute(*(after[i] for i in order)) - compute(*(before[i].astype(np.float64) for i in order))
        return (flush(np.asarray(change).astype(np.float32), limit),)


def clip_delta(delta: Floats, base: Floats, low: float, high: float) -> Floats:
    """The clip rule, row by row, in the order of operations that the kernels follow."""
    lower, upper = np.float32(low), np.float32(high)
    clipped = np.minimum(np.maximum(base, lower), upper)
    moved: Floats = np.minimum(np.maximum(delta + (base - clipped), lower - clipped), upper - clipped)
    return moved


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

_BINARY: dict[str, Callable[[Doubles, Doubles], Doubles]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": np.divide,
    "Max": np.maximum,
    "Min": np.minimum,
    "Pow": np.power,
}
