"""Where the incremental graph meets ordinary tensors: BaseMap lets one in, Densify lets full maps out.

Densify    T' = T0 + D as [B, C, H, W] or [B, H, W, C], for an op without a delta rule
"""

from __future__ import annotations

import numpy as np
from onnx.reference.op_run import OpRun

from krypton_compile.geometry import Boxes
from krypton_compile.reference.ragged import Floats, check_map, delta_maps
from krypton_compile.schemas import DOMAIN


class BaseMap(OpRun):
    """A tensor of the base graph as a map [H, W, C]; Inf - Inf would break the algebra, so NaN and Inf are refused."""

    op_domain = DOMAIN

    def _run(self, tensor: Floats, layout: str, tensor_name: str) -> tuple[Floats]:
        check_map("tensor", tensor, (1, -1, -1, -1))
        if not np.isfinite(tensor).all():
            raise ValueError(f"{tensor_name}: holds NaN or Inf; delta inference needs finite base maps")
        return (np.ascontiguousarray(tensor[0].transpose(_axes(layout, (1, 2, 0)))),)


class Densify(OpRun):
    """T0 + D as full maps, one a position."""

    op_domain = DOMAIN

    def _run(self, X: Floats, boxes: Boxes, T0: Floats, layout: str) -> tuple[Floats]:
        check_map("T0", T0, (-1, -1, X.shape[1]))
        result = np.empty((len(boxes), *T0.shape), np.float32)
        for row, delta in enumerate(delta_maps("X", X, boxes, T0.shape[:2])):
            result[row] = T0 + delta
        first, second, third = _axes(layout, (2, 0, 1))
        return (np.ascontiguousarray(result.transpose(0, first + 1, second + 1, third + 1)),)


def _axes(layout: str, if_nchw: tuple[int, int, int]) -> tuple[int, int, int]:
    """The permutation between [H, W, C] and ``layout``'s order of a map."""
    if layout not in ("NCHW", "NHWC"):
        raise ValueError(f"layout: expected NCHW or NHWC, found {layout!r}")
    return if_nchw if layout == "NCHW" else (0, 1, 2)
