"""Reads shapes off values, and axis orders off Transposes."""

from __future__ import annotations

import onnx_ir as ir

from krypton_compile.errors import ModelError


def has_static_shape(value: ir.Value) -> bool:
    """Tell whether every size is known."""
    return value.shape is not None and all(isinstance(dim, int) for dim in value.shape)


def static_shape(value: ir.Value) -> tuple[int, ...]:
    """Read the value's shape as integers.

    Raises:
        ModelError: if the shape is unknown, or one of its sizes is symbolic.
    """
    if value.shape is None or not has_static_shape(value):
        raise ModelError(f"tensor '{value.name}': expected a static shape, found {value.shape}")
    return tuple(dim for dim in value.shape if isinstance(dim, int))


def permutation(node: ir.Node) -> tuple[int, ...]:
    """Read the axis order of a Transpose: its ``perm``, or all axes in reverse."""
    if "perm" in node.attributes:
        return tuple(int(axis) for axis in node.attributes["perm"].as_ints())
    source = node.inputs[0]
    rank = 0 if source is None or source.shape is None else len(source.shape)
    return tuple(reversed(range(rank)))
