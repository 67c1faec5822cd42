"""The patch of the report: its size, its steps, and the positions that it takes on the image."""

from __future__ import annotations

from dataclasses import dataclass

from krypton_compile.contract import geometry
from krypton_compile.contract.layouts import KINDS
from krypton_compile.errors import ModelError
from krypton_compile.passes.interface import Interface


@dataclass(frozen=True)
class ReferencePatch:
    """A patch of ``size`` at ``stride``, a number for each axis, and its positions ``grid``, int32 [P, 2n]."""

    size: tuple[int, ...]
    stride: tuple[int, ...]
    grid: geometry.Boxes


def make_reference_patch(
    size: int | tuple[int, ...], stride: int | tuple[int, ...], interface: Interface
) -> ReferencePatch:
    """Make the patch for an image, cut to it where it is larger.

    Raises:
        ModelError: if ``size`` or ``stride`` has another number of axes than the image.
    """
    sizes, strides = _per_axis(size, interface), _per_axis(stride, interface)
    shape = interface.image_shape
    grid = geometry.occlusion_grid(shape, [min(pair) for pair in zip(sizes, shape, strict=True)], strides)
    return ReferencePatch(sizes, strides, grid)


def _per_axis(value: int | tuple[int, ...], interface: Interface) -> tuple[int, ...]:
    axes = len(interface.image_shape)
    numbers = tuple(value) if isinstance(value, list | tuple) else (value,) * axes
    if len(numbers) != axes:
        raise ModelError(f"patch size or stride {numbers}: expected one number, or {axes} for this {KINDS[axes]}")
    return numbers
