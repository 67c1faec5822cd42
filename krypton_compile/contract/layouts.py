"""Axis orders: the place of a tensor's channels and of its spatial axes.

full     signals NCL, NLC    pictures NCHW, NHWC    volumes NCDHW, NDHWC
short    without a batch or channels of size 1, or with all in one axis: NHW, HWC, NL, flat-NCHW

A model's input may be of any of them; graphs, occluders and the runtime know full ones alone. An array of a short order
is one of the full order in another shape, its numbers in the same places.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

FULL_LAYOUTS = ("NCL", "NLC", "NCHW", "NHWC", "NCDHW", "NDHWC")
_FLAT = "flat-"
_FULL = {
    **{layout: layout for layout in FULL_LAYOUTS},
    # NHW and HW are NCHW and NHWC of one channel alike; the former is what they are made.
    **{short: full for full in reversed(FULL_LAYOUTS) for short in (full.replace("C", ""), full[1:].replace("C", ""))},
    **{full[1:]: full for full in FULL_LAYOUTS},
    **{f"{_FLAT}{full[batch:]}": full for full in FULL_LAYOUTS for batch in (0, 1)},
}
LAYOUTS = tuple(_FULL)
KINDS = {1: "signal", 2: "picture", 3: "volume"}
"""What has so many spatial axes."""

_Entry = TypeVar("_Entry", bound=np.generic)
_SPATIAL = {1: "L", 2: "HW", 3: "DHW"}


def full_layout(layout: str) -> str:
    """Name the full axis order of any."""
    return _FULL[layout]


def own_shape(layout: str, spatial: Sequence[int], channels: int) -> tuple[int, ...]:
    """Shape of one image in an axis order: (1, H, W) of "NHW", (1, C H W) of "flat-NCHW"."""
    letters = layout.removeprefix(_FLAT)
    sizes = {"N": 1, "C": channels, **dict(zip(_SPATIAL[len(spatial)], spatial, strict=True))}
    shape = tuple(sizes[letter] for letter in letters)
    if letters == layout:
        return shape
    batch = letters.count("N")
    return (*shape[:batch], math.prod(shape[batch:]))


def has_batch(layout: str) -> bool:
    """Tell whether an array in an axis order has an axis for the batch."""
    return layout.removeprefix(_FLAT).startswith("N")


def rank_of(layout: str) -> int:
    """Count the axes of an array in an axis order."""
    letters = layout.removeprefix(_FLAT)
    return len(letters) if letters == layout else 1 + letters.count("N")


def channels_first(axes: int) -> str:
    """Name the order of so many spatial axes whose channels come first."""
    return f"NC{_SPATIAL[axes]}"


def channels_last(axes: int) -> str:
    """Name the order of so many spatial axes whose channels come last."""
    return f"N{_SPATIAL[axes]}C"


def axes_of(layout: str) -> int:
    """Count the spatial axes of an axis order."""
    return len(_FULL[layout]) - 2


def channel_axis(layout: str) -> int:
    """Find the axis of the channels in a full axis order."""
    return layout.index("C")


def spatial_axes(layout: str) -> tuple[int, ...]:
    """Find the spatial axes of a full axis order."""
    return tuple(axis for axis, name in enumerate(layout) if name not in "NC")


def swapped(layout: str) -> str:
    """Name the other order of the same axes."""
    axes = axes_of(layout)
    return channels_last(axes) if channel_axis(layout) == 1 else channels_first(axes)


def last_channels(image: npt.NDArray[_Entry], layout: str) -> npt.NDArray[_Entry]:
    """View the one image of a batch [1, C, H, W] or [1, H, W, C] as [H, W, C]; signals and volumes likewise."""
    return np.moveaxis(image[0], channel_axis(layout) - 1, -1)


def as_volume(sizes: Sequence[int]) -> tuple[int, int, int]:
    """Spatial sizes as (D, H, W): a picture has one slice, a signal one row."""
    depth, height, width = (*(1,) * (3 - len(sizes)), *sizes)
    return depth, height, width
