"""Blocks of pixels that become channels, and channels that become blocks of pixels.

    axes (c, p, q), (h), (w) of H = (h, p), W = (w, q)      ->    Conv of kernel and stride [p, q], weights 0 or 1
    axes (c), (h, p), (w, q) of C = (c, p, q)               ->    ConvTranspose of kernel and stride [p, q], likewise

in any order of the factors within the channels: SpaceToDepth and DepthToSpace, as exporters write them in either order
of axes, and patches of einops.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from krypton_compile.contract.layouts import channels_first, channels_last
from krypton_compile.passes.simplify.views.build import Attributes, Builder, first
from krypton_compile.passes.simplify.views.view import Axis, View, size_of


def as_blocks(build: Builder, view: View) -> tuple[ir.Value, str] | None:
    """The view's tensor as a map that such a convolution makes of the view's; None where it is none."""
    rank = len(view.own)
    if len(view.axes) != rank or view.axes[0] or any(view.free()):
        return None
    for channel in (1, rank - 1):
        spatial = [axis for axis in range(1, rank) if axis != channel]
        order = [0, channel, *spatial]
        wanted = tuple(view.axes[axis] for axis in order)
        start = first(build, view)
        found = _to_depth(build, start, wanted) or _to_space(build, start, wanted)
        if found is None:
            continue
        layout = channels_first(rank - 2)
        if channel == 1:
            return found, layout
        back = [order.index(axis) for axis in range(rank)]
        shape = [size_of(axis) for axis in view.axes]
        return build.add("Transpose", [found], shape, {"perm": back}), channels_last(rank - 2)
    return None


def _inner(whole: Axis, part: Axis) -> Axis | None:
    """What is left behind the outermost factors ``part`` of an axis; None where they are not that."""
    return whole[len(part) :] if whole[: len(part)] == part else None


def _to_depth(build: Builder, view: View, wanted: tuple[Axis, ...]) -> ir.Value | None:
    inner = [_inner(own, new) for own, new in zip(view.own[2:], wanted[2:], strict=True)]
    kept = [axis for axis in inner if axis is not None]
    block = tuple(atom for axis in kept for atom in axis)
    if len(kept) < len(inner) or not block or set(wanted[1]) != {*view.own[1], *block}:
        return None
    weight = _weights(view.own[1], wanted[1], block, [size_of(axis) for axis in kept])
    return _emit(build, "Conv", view, wanted, weight, [size_of(axis) for axis in kept])


def _to_space(build: Builder, view: View, wanted: tuple[Axis, ...]) -> ir.Value | None:
    inner = [_inner(new, own) for own, new in zip(view.own[2:], wanted[2:], strict=True)]
    kept = [axis for axis in inner if axis is not None]
    block = tuple(atom for axis in kept for atom in axis)
    if len(kept) < len(inner) or not block or set(view.own[1]) != {*wanted[1], *block}:
        return None
    weight = _weights(wanted[1], view.own[1], block, [size_of(axis) for axis in kept])
    return _emit(build, "ConvTranspose", view, wanted, weight, [size_of(axis) for axis in kept])


def _weights(few: Axis, many: Axis, block: Axis, kernel: list[int]) -> npt.NDArray[np.float32]:
    """[many, few, kernel]: 1 where a channel of the many is that of the few at the block's place."""
    table = np.arange(size_of(many)).reshape([atom.size for atom in many])
    table = table.transpose([many.index(atom) for atom in (*few, *block)]).reshape(size_of(few), -1)
    weight = np.zeros((size_of(many), size_of(few), size_of(block)), np.float32)
    for place in range(size_of(block)):
        weight[table[:, place], range(size_of(few)), place] = 1
    return weight.reshape(size_of(many), size_of(few), *kernel)


def _emit(
    build: Builder, op: str, view: View, wanted: tuple[Axis, ...], weight: npt.NDArray[np.float32], kernel: list[int]
) -> ir.Value:
    attributes: Attributes = {"kernel_shape": kernel, "strides": kernel}
    shape = [size_of(axis) for axis in wanted]
    return build.add(op, [view.source, build.constant(weight)], shape, attributes)
