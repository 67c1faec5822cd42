"""A view: which entry of a map stands where in a tensor of other axes.

Every axis of a map is a product of *atoms*, the outermost first: [1, 8, H, W] reshaped to [1, 2, 4, H, W] makes of the
channels' 8 the atoms 2 and 4. A tensor that holds the map's entries in another arrangement has the same atoms, told
out over its own axes. Axes of size 1 have none.

    map [1, C, H, W]                                     N: ()   C: (c)      H: (h)  W: (w)
    Reshape to [1, C, H W]                               ()      (c)         (h, w)
    Transpose(0, 2, 1)                                   ()      (h, w)      (c)
    Reshape to [1, H, W, 2, C/2]                         ()      (h)         (w)     (c1)     (c2)

An atom that belongs to no axis of the map is *free*: the entries are repeated along it, as Expand and Tile do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import onnx_ir as ir

from krypton_compile.passes.shapes import static_shape


@dataclass(frozen=True, eq=False)
class Atom:
    """A factor of an axis; each is itself alone."""

    size: int


Axis = tuple[Atom, ...]
Axes = tuple[Axis, ...]


def size_of(axis: Axis) -> int:
    """The size of an axis of these atoms."""
    return math.prod(atom.size for atom in axis)


@dataclass(frozen=True)
class View:
    """A tensor whose entries are those of a map.

    Attributes:
        source: the map.
        layout: the order of its axes (contract/layouts.py).
        own: the atoms of the map's axes.
        axes: the atoms of the tensor's axes.
    """

    source: ir.Value
    layout: str
    own: Axes
    axes: Axes

    @property
    def shape(self) -> tuple[int, ...]:
        """The tensor's shape."""
        return tuple(map(size_of, self.axes))

    @property
    def own_shape(self) -> tuple[int, ...]:
        """The map's shape."""
        return tuple(map(size_of, self.own))

    @property
    def channel(self) -> int:
        """The map's axis of channels."""
        return self.layout.index("C")

    @property
    def spatial(self) -> tuple[int, ...]:
        """The map's spatial axes."""
        return tuple(axis for axis, name in enumerate(self.layout) if name not in "NC")

    def axis_of(self, atom: Atom) -> int | None:
        """The map's axis that has the atom; None of a free one."""
        return next((number for number, axis in enumerate(self.own) if atom in axis), None)

    def free(self) -> Axis:
        """The atoms along which entries are repeated."""
        return tuple(atom for axis in self.axes for atom in axis if self.axis_of(atom) is None)

    def on(self, axes: Axes) -> View:
        """The same map seen in other axes."""
        return replace(self, axes=axes)

    def split(self, atom: Atom, sizes: Sequence[int]) -> View:
        """The same view, one atom told apart into factors, the outermost first."""
        parts = tuple(Atom(size) for size in sizes)

        def told(axes: Axes) -> Axes:
            return tuple(tuple(part for each in axis for part in (parts if each is atom else (each,))) for axis in axes)

        return replace(self, own=told(self.own), axes=told(self.axes))


def view_of(value: ir.Value, layout: str) -> View:
    """A map as it is."""
    own = tuple((Atom(size),) if size != 1 else () for size in static_shape(value))
    return View(value, layout, own, own)


def reshaped(view: View, shape: Sequence[int]) -> View | None:
    """The view after a Reshape; None where an axis of the result would cut through a size that is no multiple."""
    axes: list[Axis] = []
    place = 0
    for size in shape:
        axis: list[Atom] = []
        left = int(size)
        while left > 1:
            atoms = [atom for each in view.axes for atom in each]
            if place == len(atoms):
                return None
            atom = atoms[place]
            if left % atom.size:
                if atom.size % left:
                    return None
                view = view.split(atom, (left, atom.size // left))
                continue
            left //= atom.size
            axis.append(atom)
            place += 1
        axes.append(tuple(axis))
    return view.on(tuple(axes)) if place == sum(map(len, view.axes)) else None


def refined(a: View, b: View, skip: int | None = None) -> tuple[View, View] | None:
    """Both views with axes of the same factors, where neither is of size 1, but the axis ``skip``."""
    for index in range(len(a.axes)):
        if index == skip or not a.axes[index] or not b.axes[index]:
            continue
        place = 0
        while place < max(len(a.axes[index]), len(b.axes[index])):
            if place >= min(len(a.axes[index]), len(b.axes[index])):
                return None
            one, other = a.axes[index][place], b.axes[index][place]
            if one.size > other.size and one.size % other.size == 0:
                a = a.split(one, (other.size, one.size // other.size))
            elif other.size > one.size and other.size % one.size == 0:
                b = b.split(other, (one.size, other.size // one.size))
            elif one.size != other.size:
                return None
            place += 1
    return a, b
