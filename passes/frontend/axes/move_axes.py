"""Moves of axes: where the axes of the image are after a Transpose, a Reshape and the like.

Every value on the way has a part of the image's axes for each of its own, or None where its axis is one of size 1 that
the graph has put in.

    parts of x [a, b, c]    - Unsqueeze(1) ->           a, None, b, c
    parts of x [a, b]       - Reshape(-1, 1, 28, 28) -> a, None, and two pieces of b
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import onnx

KEEPING = frozenset(
    "Abs Cast CastLike Ceil Clip DequantizeLinear Dropout Elu Erf Exp Floor HardSigmoid HardSwish Identity LeakyRelu "
    "Log Neg Pad QuantizeLinear Reciprocal Relu Resize Round Selu Sigmoid Sign Softplus Sqrt Tanh Upsample".split()
)
"""Ops that leave each axis where it is; Pad and Resize are taken to change rows and columns alone."""


@dataclass(frozen=True)
class Part:
    """An axis of the image, or one of several that a Reshape makes of it: the ``place``-th, of ``size``."""

    axis: int
    place: int = 0
    size: int | None = None


@dataclass(frozen=True)
class Labels:
    """For each axis of a value its part of the image; ``resized`` parts have another size, ``picked`` ones are gone."""

    parts: tuple[Part | None, ...]
    resized: frozenset[Part] = frozenset()
    picked: frozenset[Part] = frozenset()


@dataclass
class Known:
    """What is known of a graph's values: those that are constant and small, and shapes.

    ``picked`` has the largest index that a Gather takes alone of a part.
    """

    constants: Mapping[str, npt.NDArray[np.generic]]
    shapes: dict[str, tuple[int, ...]]
    picked: dict[Part, int] = field(default_factory=dict)


def move(node: onnx.NodeProto, labels: Labels, known: Known) -> Labels | None:
    """Follow the axes of a node's first input to its outputs; None where they are mixed, or nothing is known."""
    if node.op_type in KEEPING:
        return labels
    mover = _MOVERS.get(node.op_type)
    return None if mover is None else mover(node, labels, known)


def _transpose(node: onnx.NodeProto, labels: Labels, _: Known) -> Labels | None:
    order = get_ints(node, "perm") or list(reversed(range(len(labels.parts))))
    if sorted(order) != list(range(len(labels.parts))):
        return None
    return replace(labels, parts=tuple(labels.parts[axis] for axis in order))


def _unsqueeze(node: onnx.NodeProto, labels: Labels, known: Known) -> Labels | None:
    axes = _axes(node, known)
    if axes is None:
        return None
    rank = len(labels.parts) + len(axes)
    new = {axis % rank for axis in axes}
    left = iter(labels.parts)
    return replace(labels, parts=tuple(None if axis in new else next(left, None) for axis in range(rank)))


def _squeeze(node: onnx.NodeProto, labels: Labels, known: Known) -> Labels | None:
    axes, rank = _axes(node, known), len(labels.parts)
    if axes is None:
        return None
    gone = {axis % rank for axis in axes}
    return replace(labels, parts=tuple(part for axis, part in enumerate(labels.parts) if axis not in gone))


def _gather(node: onnx.NodeProto, labels: Labels, known: Known) -> Labels | None:
    indices = known.constants.get(node.input[1])
    axis = get_int(node, "axis", 0) % len(labels.parts)
    part = labels.parts[axis]
    if indices is None:  # computed, as those of x[:, [2, 1, 0]] are where the channels are open
        return _resized(labels, [axis]) if len(known.shapes.get(node.input[1], ())) == 1 else None
    if indices.ndim > 1:
        return None
    if indices.ndim == 1:
        return _reordered(labels, axis, indices)
    picked = labels.picked
    if part is not None:
        picked = picked | {part}
        known.picked[part] = max(known.picked.get(part, 0), int(indices))
    return replace(labels, parts=(*labels.parts[:axis], *labels.parts[axis + 1 :]), picked=picked)


def _slice(node: onnx.NodeProto, labels: Labels, known: Known) -> Labels | None:
    """A slice of step -1 that begins at the end turns its axis around; any other changes its size."""
    axes = known.constants.get(node.input[3]) if len(node.input) > 3 else None
    listed = get_ints(node, "axes") if axes is None else axes.reshape(-1).tolist()
    return _resized(labels, listed if listed is not None else range(len(labels.parts)))


def _split(node: onnx.NodeProto, labels: Labels, _: Known) -> Labels | None:
    return _resized(labels, [get_int(node, "axis", 0)])


def _tile(node: onnx.NodeProto, labels: Labels, known: Known) -> Labels | None:
    repeats = known.constants.get(node.input[1])
    if repeats is None or repeats.size != len(labels.parts):
        return _resized(labels, range(len(labels.parts)))
    return _resized(labels, [axis for axis, times in enumerate(repeats.reshape(-1)) if times != 1])


def _expand(node: onnx.NodeProto, labels: Labels, known: Known) -> Labels | None:
    """To sizes that are computed, as `repeat` and `expand` are exported, an Expand is taken to keep the rank."""
    target = known.constants.get(node.input[1])
    before = len(labels.parts)
    rank = max(before, len(known.shapes.get(node.output[0], ())) if target is None else target.size)
    wider = replace(labels, parts=(*(None,) * (rank - before), *labels.parts))
    if target is None:
        return _resized(wider, range(rank))
    sizes = (1,) * (rank - target.size) + tuple(target.reshape(-1).tolist())
    return _resized(wider, [axis for axis, size in enumerate(sizes) if size != 1])


def _resized(labels: Labels, axes: Iterable[int]) -> Labels:
    parts = {labels.parts[axis % len(labels.parts)] for axis in axes}
    return replace(labels, resized=labels.resized | {part for part in parts if part is not None})


def _gather_nd(node: onnx.NodeProto, labels: Labels, known: Known) -> Labels | None:
    """Follow indices [n, 1] into the first axis, as x[:, [2, 1, 0]] is exported between two Transposes."""
    indices = known.constants.get(node.input[1])
    if indices is None or indices.ndim != 2 or indices.shape[1] != 1 or get_int(node, "batch_dims", 0):
        return None
    return _reordered(labels, 0, indices[:, 0])


def _reordered(labels: Labels, axis: int, indices: npt.NDArray[np.generic]) -> Labels:
    """An order of all entries is another one of the same size; any other choice is of another size."""
    whole = sorted(indices.tolist()) == list(range(len(indices))) and len(indices) > 1
    return labels if whole else _resized(labels, [axis])


def _concat(node: onnx.NodeProto, labels: Labels, _: Known) -> Labels | None:
    part = labels.parts[get_int(node, "axis", 0) % len(labels.parts)]
    return labels if part is None else replace(labels, resized=labels.resized | {part})


def _reshape(node: onnx.NodeProto, labels: Labels, known: Known) -> Labels | None:
    """Match the axes before and after one by one: 1s come and go, and the last axis may become several."""
    if len(node.input) < 2:
        return None
    target = known.constants.get(node.input[1])
    wanted = target.tolist() if target is not None and target.ndim == 1 else known.shapes.get(node.output[0])
    if wanted is None:
        return None
    sizes = [part.size if part is not None else 1 for part in labels.parts]
    after = _sizes_after(sizes, [int(size) for size in wanted])
    parts = match_axes(labels.parts, sizes, after)
    return None if parts is None else replace(labels, parts=parts)


def _sizes_after(before: Sequence[int | None], target: Sequence[int]) -> list[int | None]:
    sizes: list[int | None] = [
        (before[at] if at < len(before) else None) if size == 0 else size for at, size in enumerate(target)
    ]
    free = [at for at, size in enumerate(sizes) if size is not None and size < 0]
    known = [size for size in sizes if size is not None and size > 0]
    for at in free:
        whole = None not in before and len(free) == 1 and len(known) + 1 == len(sizes)
        sizes[at] = math.prod(size or 1 for size in before) // max(1, math.prod(known)) if whole else None
    return sizes


def match_axes(
    parts: Sequence[Part | None], before: Sequence[int | None], after: Sequence[int | None]
) -> tuple[Part | None, ...] | None:
    """Find the part that each axis of a Reshape's result is; None where axes are mixed."""
    found: list[Part | None] = []
    at = 0
    for place, size in enumerate(after):
        while at < len(parts) and before[at] == 1 and size != 1:
            at += 1
        left = len(parts) - at
        if place == 0 and size is None and len(parts) == 1 and len(after) > 2:
            found.append(None)  # the batch that a Reshape makes of all there is
            continue
        batch = place == at == 0 and len(before) > 1 and before[0] is None  # which a Reshape for one image makes 1
        if size == 1 and (left == 0 or before[at] != 1) and not batch:
            found.append(None)
            continue
        if left == 0:
            return None
        rest = [other for other in after[place:] if other != 1]
        part, whole = parts[at], before[at]
        last = all(other == 1 for other in before[at + 1 :])
        if last and len(rest) > 1 and part is not None and (whole is None or whole == _product(rest)):
            pieces = iter(Part(part.axis, number, other) for number, other in enumerate(rest))
            return (*found, *(None if other == 1 else next(pieces) for other in after[place:]))
        if size is not None and whole is not None and size != whole:
            return None
        found.append(part)
        at += 1
    return tuple(found) if all(size == 1 for size in before[at:]) else None


def _product(sizes: Sequence[int | None]) -> int | None:
    return None if None in sizes else math.prod(size or 1 for size in sizes)


def _axes(node: onnx.NodeProto, known: Known) -> list[int] | None:
    if len(node.input) < 2:
        return get_ints(node, "axes")
    axes = known.constants.get(node.input[1])
    return None if axes is None else [int(axis) for axis in axes.reshape(-1)]


def get_ints(node: onnx.NodeProto, name: str) -> list[int] | None:
    """Read an attribute of integers; None where the node has none."""
    return next((list(attribute.ints) for attribute in node.attribute if attribute.name == name), None)


def get_int(node: onnx.NodeProto, name: str, default: int) -> int:
    """Read an attribute that is an integer."""
    return next((int(attribute.i) for attribute in node.attribute if attribute.name == name), default)


_MOVERS: dict[str, Callable[[onnx.NodeProto, Labels, Known], Labels | None]] = {
    "Concat": _concat,
    "Expand": _expand,
    "Gather": _gather,
    "GatherND": _gather_nd,
    "Reshape": _reshape,
    "Slice": _slice,
    "Split": _split,
    "Squeeze": _squeeze,
    "Tile": _tile,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
