"""The forms that a tensor can have in the incremental body.

Every image-dependent tensor T of the base graph, T' = T0 + D for an occluded image, is in one form:

* :class:`Delta`: D as ragged rows and boxes (DESIGN section 4);
* :class:`Rows`: T' itself on boxes, where D would not carry enough digits, or the op has no delta;
* :class:`Flat`: a Delta seen through a Flatten or Reshape to [1, C*H*W];
* :class:`Dense`: T' itself, for the B positions of a chunk.
"""

from __future__ import annotations

from collections import UserDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from krypton_compile.contract.layouts import as_volume, axes_of, channel_axis, spatial_axes
from krypton_compile.passes.lower.journal import Journal
from krypton_compile.passes.lower.refused import Refused
from krypton_compile.passes.shapes import static_shape


@dataclass(frozen=True)
class Ragged:
    """``values`` [R, C] on ``boxes`` [B, 4], the rows of a tensor that changes nowhere else.

    ``layout`` is the base tensor's axis order. ``live`` [B, 4] are boxes inside of ``boxes`` that hold
    every non-zero: what follows grows from them. A volume has B * ``depth`` boxes, one a slice of
    (height, width); a signal has one row.
    """

    values: ir.Value
    boxes: ir.Value
    live: ir.Value
    layout: str
    channels: int
    height: int
    width: int
    depth: int = 1

    @property
    def map_shape(self) -> tuple[int, int]:
        """(H, W) of the map, or of a volume's slice."""
        return self.height, self.width

    @property
    def spatial(self) -> tuple[int, ...]:
        """The sizes of the base tensor's spatial axes, as many as it has."""
        return (self.depth, self.height, self.width)[3 - axes_of(self.layout) :]

    @property
    def full_shape(self) -> tuple[int, ...]:
        """[H, W] of the map, [D, H, W] of a volume: what ops take as ``input_shape``."""
        return self.spatial if axes_of(self.layout) == 3 else self.map_shape

    @property
    def base_shape(self) -> tuple[int, ...]:
        """The shape of the base tensor, in its own axis order."""
        return (1, self.channels, *self.spatial) if self.channels_first else (1, *self.spatial, self.channels)

    @property
    def channel_axis(self) -> int:
        """Where the base tensor has its channels."""
        return channel_axis(self.layout)

    @property
    def channels_first(self) -> bool:
        """Whether they come before the spatial axes."""
        return self.channel_axis == 1


@dataclass(frozen=True)
class Delta(Ragged):
    """A spatial delta: the rows are D, float32."""


@dataclass(frozen=True)
class Rows(Ragged):
    """The rows are T' itself, of any type; ``changed`` bool [R] tells those that differ from the base's."""

    changed: ir.Value = field(kw_only=True)


@dataclass(frozen=True)
class Flat:
    """``delta`` flattened to one axis in the order of its layout; ``base`` is the tensor before."""

    delta: Delta
    base: ir.Value


@dataclass(frozen=True)
class Dense:
    """T' of B positions: [B, ...], or with ``stacked`` [B, *shape of T], T's batch axis kept."""

    value: ir.Value
    stacked: bool = False


Form = Delta | Rows | Flat | Dense
Key = TypeVar("Key")
Item = TypeVar("Item")


class Journaled(UserDict[Key, Item]):
    """A dictionary whose entries a transaction takes back."""

    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self._journal = journal

    def __setitem__(self, value: Key, form: Item) -> None:
        before = self.data.get(value)
        undo = partial(self.data.pop, value) if before is None else partial(self.data.__setitem__, value, before)
        self.data[value] = form
        self._journal.note(undo)


class Forms(Journaled[ir.Value, Form]):
    """The form of each tensor that depends on the image.

    ``densified`` has T' of those made whole. ``rows`` has T' on boxes, by tensor and boxes, also of
    those whose form is a Delta.
    """

    def __init__(self, journal: Journal) -> None:
        super().__init__(journal)
        self.densified: dict[ir.Value, Dense] = {}
        self.rows: Journaled[tuple[ir.Value, ir.Value], Rows] = Journaled(journal)


def volume_shape(shape: Sequence[int], layout: str) -> tuple[int, int, int, int]:
    """(C, D, H, W) of a shape of that layout."""
    return shape[channel_axis(layout)], *as_volume([shape[axis] for axis in spatial_axes(layout)])


def make_delta(node: ir.Node, values: ir.Value, boxes: ir.Value, layout: str, live: ir.Value | None = None) -> Delta:
    """Make the Delta of the node's first output, whose static shape gives its sizes.

    ``live`` are the boxes where there are no others.
    """
    channels, depth, height, width = volume_shape(static_shape(node.outputs[0]), layout)
    return Delta(values, boxes, live or boxes, layout, channels, height, width, depth)


def per_channel(array: npt.NDArray[np.generic], delta: Delta, what: str) -> npt.NDArray[np.float64]:
    """A constant that broadcasts to the map as [C], float64.

    Raises:
        Refused: if the array is neither one number nor one a channel; the reason begins with ``what``.
    """
    values = array.astype(np.float64)
    if values.size == 1:
        return np.full(delta.channels, values.reshape(()))
    rank = len(delta.layout)
    shape = (1,) * (rank - values.ndim) + values.shape
    if len(shape) != rank or values.size != delta.channels or shape[delta.channel_axis] != delta.channels:
        raise Refused(f"{what} is neither a number nor one value a channel")
    return values.reshape(-1)
