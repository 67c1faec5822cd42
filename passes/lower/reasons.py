"""Why an op has no incremental rule, in a few words, where that is no want of one."""

from __future__ import annotations

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
