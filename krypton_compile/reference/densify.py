"""Where the incremental graph meets ordinary tensors: BaseMap lets one in, Densify lets full maps out.

Densify    T' = T0 + D as [B, C, H, W] or [B, H, W, C], for an op without a delta rule; signals and volumes alike
"""

from __future__ import annotations

import numpy as np
from onnx.reference.op_run import OpRun

from krypton_compile.contract.geometry import Boxes
from krypton_compile.contract.layouts import LAYOUTS, as_volume, axes_of, channel_axis
from krypton_compile.contract.schemas import DOMAIN
from krypton_compile.reference.ragged import Floats, check_map, check_slices, delta_maps, slices_of


class BaseMap(OpRun):
    """A tensor of the base graph as a map [H, W, C]; Inf - Inf would break the algebra, so NaN and Inf are refused.

    Of a volume [D, H, W, C]; a signal's has one row.
    """

    op_domain = DOMAIN

    def _run(self, tensor: Floats, layout: str, tensor_name: str) -> tuple[Floats]:
        _check_layout(layout)
        check_map("tensor", tensor, (1, *[-1] * (len(layout) - 1)))
        if not np.isfinite(tensor).all():
            raise ValueError(f"{tensor_name}: holds NaN or Inf; delta inference needs finite base maps")
        pixels = np.moveaxis(tensor[0], channel_axis(layout) - 1, -1)
        return (np.ascontiguousarray(pixels[None] if axes_of(layout) == 1 else pixels),)


class Densify(OpRun):
    """T0 + D as full maps, one a position."""

    op_domain = DOMAIN

    def _run(self, X: Floats, boxes: Boxes, T0: Floats, layout: str) -> tuple[Floats]:
        _check_layout(layout)
        slices = slices_of("T0", T0, X.shape[1])
        check_slices("boxes", boxes, len(slices))
        sizes, axes = slices.shape[:3], axes_of(layout)
        if as_volume(sizes[3 - axes :]) != sizes:
            raise ValueError(f"T0: {list(sizes)} pixels are no map of layout {layout}")
        result = np.empty((len(boxes), *slices.shape[1:]), np.float32)
        for row, delta in enumerate(delta_maps("X", X, boxes, slices.shape[1:3])):
            result[row] = slices[row % len(slices)] + delta
        full = result.reshape(-1, *sizes[3 - axes :], X.shape[1])
        return (np.ascontiguousarray(np.moveaxis(full, -1, channel_axis(layout))),)


def _check_layout(layout: str) -> None:
    if layout not in LAYOUTS:
        raise ValueError(f"layout: expected one of {', '.join(LAYOUTS)}, found {layout!r}")
