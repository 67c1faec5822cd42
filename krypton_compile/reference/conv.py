"""The convolutions and IncrementalGemm: linear, so that the output's delta is theirs of the delta, without bias.

    IncrementalConv    DY = W * DX,    or W * DX + DB with another delta B, where a convolution ends a residual block;
                       and with Z0, the base map before a Clip that follows, the clip rule of pointwise.py on that
    IncrementalConcatConv   the same by single pixels, of a concatenation, maybe behind a clip rule
    IncrementalGemm    DY = flatten(D) W, the map flattened as (y, x, c), of volumes (z, y, x, c)

``precision`` is the lowest that a kernel may multiply in; the reference always sums in float64.
"""

from __future__ import annotations

import math
from typing import Unpack

import numpy as np
from onnx.reference.op_run import OpRun

from krypton_compile.contract.geometry import Boxes, Window
from krypton_compile.contract.schemas import DOMAIN, PRECISIONS
from krypton_compile.reference.moves import concatenate
from krypton_compile.reference.pointwise import clip_delta
from krypton_compile.reference.ragged import (
    Floats,
    base_rows,
    check_boxes,
    check_map,
    check_slices,
    cut_boxes,
    delta_maps,
    read_hull,
    volume_maps,
)
from krypton_compile.reference.thresholds import flush
from krypton_compile.reference.windows import WindowAttributes, read_window, tap_pictures


class IncrementalConv(OpRun):
    """Conv of the delta; W is ONNX's [M, C/group, kH, kW], of signals [M, C/group, kW].

    Of volumes it is [M, C/group, kD, kH, kW], and X what DepthGather makes; there are ``slices`` boxes a position.
    """

    op_domain = DOMAIN

    def _run(
        self,
        X: Floats,
        x_boxes: Boxes,
        y_boxes: Boxes,
        W: Floats,
        Z0: Floats | None = None,
        B: Floats | None = None,
        b_boxes: Boxes | None = None,
        limit: Floats | None = None,
        group: int = 1,
        slices: int = 1,
        min: float = 0.0,
        max: float = math.inf,
        precision: str = "float32",
        **window: Unpack[WindowAttributes],
    ) -> tuple[Floats]:
        if precision not in PRECISIONS:
            raise ValueError(f"attribute precision: expected {', '.join(PRECISIONS)}, found '{precision}'")
        described = read_window(window)
        deltas = delta_maps("X", X, x_boxes, described.input_shape)
        weights = gathered_order(W)
        check_map("W", weights, (-1, X.shape[1] // group, *described.kernel))
        check_boxes("y_boxes", y_boxes, described.output_shape)
        check_slices("y_boxes", y_boxes, slices)
        features = W.shape[0]
        values = cut_boxes((convolve(delta, weights, described, group) for delta in deltas), y_boxes, features)
        if B is not None:
            if b_boxes is None:
                raise ValueError("b_boxes: expected the boxes of B, found none")
            check_boxes("b_boxes", b_boxes, described.output_shape)
            if len(b_boxes) != len(y_boxes):
                raise ValueError(f"b_boxes: expected {len(y_boxes)} boxes, found {len(b_boxes)}")
            added = read_hull("B", B, b_boxes, y_boxes)
            check_map("B", added, values.shape)
            values = values + added
        if Z0 is not None:
            before = (slices, *described.output_shape, features)
            check_map("Z0", Z0, before if slices > 1 or Z0.ndim == 4 else before[1:])
            values = clip_delta(values, base_rows("Z0", Z0, y_boxes, features), min, max)
        return (flush(values, limit),)


class IncrementalConcatConv(OpRun):
    """IncrementalConcat, IncrementalClip where there is an X0, and IncrementalConv by W [M, C, 1, 1], in one."""

    op_domain = DOMAIN

    def _run(
        self,
        y_boxes: Boxes,
        x_boxes: Boxes,
        W: Floats,
        X0: Floats | None = None,
        scale: Floats | None = None,
        x_limit: Floats | None = None,
        Z0: Floats | None = None,
        limit: Floats | None = None,
        *X: Floats,
        x_min: float = 0.0,
        x_max: float = math.inf,
        min: float = 0.0,
        max: float = math.inf,
        precision: str = "float32",
    ) -> tuple[Floats]:
        if precision not in PRECISIONS:
            raise ValueError(f"attribute precision: expected {', '.join(PRECISIONS)}, found '{precision}'")
        values = concatenate(y_boxes, x_boxes, X)
        check_map("W", W, (-1, values.shape[1], *([1] * (W.ndim - 2) or [1])))
        if scale is not None:
            check_map("scale", scale, (values.shape[1],))
            values = values * scale
        if X0 is not None:
            values = clip_delta(values, base_rows("X0", X0, y_boxes, values.shape[1]), x_min, x_max)
        values = flush(values, x_limit)
        values = (values.astype(np.float64) @ W.reshape(len(W), -1).T).astype(np.float32)
        if Z0 is not None:
            values = clip_delta(values, base_rows("Z0", Z0, y_boxes, len(W)), min, max)
        return (flush(values, limit),)


class IncrementalGemm(OpRun):
    """The first Gemm or MatMul after Flatten, without bias: [B, N]."""

    op_domain = DOMAIN

    def _run(self, X: Floats, boxes: Boxes, W: Floats, input_shape: list[int]) -> tuple[Floats]:
        volumes = volume_maps(X, boxes, input_shape)
        check_map("W", W, (math.prod(input_shape) * X.shape[1], -1))
        return ((volumes.reshape(len(volumes), -1) @ W.astype(np.float64)).astype(np.float32),)


def gathered_order(weights: Floats) -> Floats:
    """W as that of a convolution of slices: the taps along the depth side by side as channels."""
    if weights.ndim == 3:
        return weights[:, :, None]
    if weights.ndim != 5:
        return weights
    turned = weights.transpose(0, 2, 1, 3, 4)
    return np.ascontiguousarray(turned).reshape(len(weights), -1, *weights.shape[3:])


def convolve(full: Floats, weights: Floats, window: Window, group: int) -> Floats:
    """Conv of one map [H, W, C] without bias: [Ho, Wo, M], summed in float64."""
    features, per_group = weights.shape[:2]
    kernels = weights.astype(np.float64).reshape(group, features // group, per_group, *window.kernel)
    result = np.zeros((group, math.prod(window.output_shape), features // group))
    for (ky, kx), picture in tap_pictures(full, window, 0.0):
        columns = picture.astype(np.float64).reshape(-1, group, per_group).transpose(1, 0, 2)
        result += columns @ kernels[:, :, :, ky, kx].transpose(0, 2, 1)
    return result.transpose(1, 0, 2).reshape(*window.output_shape, features).astype(np.float32)
