"""Why an op has no incremental rule, in a few words, where that is no want of one."""

from __future__ import annotations

import math
from collections.abc import Sequence

import onnx_ir as ir

_STATISTICS = "its statistics are of the whole map, so that a window changes every pixel"
_STATE = "its state runs along the map: what changes at one end changes the other"
_PLACES = "where it reads from depends on the image"

NO_RULE = {
    "DeformConv": _PLACES,
    "GRU": _STATE,
    "GridSample": "it reads pixels wherever its grid says, not by rows and columns",
    "GroupNormalization": _STATISTICS,
    "InstanceNormalization": _STATISTICS,
    "LSTM": _STATE,
    "MaxRoiPool": _PLACES,
    "MaxUnpool": _PLACES,
    "MeanVarianceNormalization": _STATISTICS,
    "RNN": _STATE,
    "RoiAlign": _PLACES,
    "TopK": "it sorts",
}
"""By op of ONNX's."""

_MOVES = frozenset("Cast Dropout Flatten Gather Identity Reshape Slice Split Squeeze Transpose Unsqueeze".split())


def why_reshaped(node: ir.Node, shape: Sequence[int], pixels: int) -> str:
    """Say what a Reshape that no rule knows is for: ``shape`` is its result's, of a map of so many ``pixels``."""
    what = f"it reshapes to {list(shape)}"
    pending, seen = list(node.outputs), set[ir.Value]()
    while pending:
        value = pending.pop(0)
        for user in dict.fromkeys(usage.node for usage in value.uses()) if value not in seen else ():
            if user.op_type in NO_RULE:
                return f"{what} for {user.op_type}: {NO_RULE[user.op_type]}"
            if user.op_type in _MOVES:
                pending += user.outputs
        seen.add(value)
    if len(shape) == 3 and pixels in shape[1:] and math.prod(shape) > pixels:
        return f"{what}, a row of tokens as attention reads them: every pixel may change every other"
    return f"{what}, which neither keeps nor flattens the map"
