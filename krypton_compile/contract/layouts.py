"""Axis orders: the place of a tensor's channels and of its spatial axes.

signals NCL, NLC    pictures NCHW, NHWC    volumes NCDHW, NDHWC
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

LAYOUTS = ("NCL", "NLC", "NCHW", "NHWC", "NCDHW", "NDHWC")
KINDS = {1: "signal", 2: "picture", 3: "volume"}
"""What has so many spatial axes."""

_Entry = TypeVar("_Entry", bound=np.generic)
_SPATIAL = {1: "L", 2: "HW", 3: "DHW"}


def channels_first(axes: int) -> str:
    """Name the order of so many spatial axes whose channels come first."""
    return f"NC{_SPATIAL[axes]}"


def channels_last(axes: int) -> str:
    """Name the order of so many spatial axes whose channels come last."""
    return f"N{_SPATIAL[axes]}C"


def axes_of(layout: str) -> int:
    """Count the spatial axes of an axis order."""
    return len(layout) - 2


def channel_axis(layout: str) -> int:
    """Find the axis of the channels."""
    return layout.index("C")


def spatial_axes(layout: str) -> tuple[int, ...]:
    """Find the spatial axes, in order."""
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
