"""Weights out of pickles that may hold arrays and nothing else.

A pickle names functions that loading calls, so each unpickler here knows the few that its format needs,
by their full names, and refuses all others.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_NUMPY = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    # What an array's pickle calls; numpy itself has moved it from numpy.core to numpy._core.
    ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
}


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        return _known(_NUMPY, module, name)


def load_arrays(path: Path) -> dict[str, Any]:
    """A pickled dictionary that holds NumPy arrays."""
    with path.open("rb") as file:
        content: dict[str, Any] = _ArraysOnly(file).load()
    return content


def _tensor(storage: Any, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any) -> Any:
    return storage, offset, shape, strides


_TORCH = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch", "FloatStorage"): np.dtype("<f4"),
    ("torch", "LongStorage"): np.dtype("<i8"),
}


class _TensorsOnly(pickle.Unpickler):
    """Of a legacy torch file, a tensor comes out as ((dtype, storage key), offset, shape, strides)."""

    def find_class(self, module: str, name: str) -> Any:
        return _known(_TORCH, module, name)

    def persistent_load(self, pid: Any) -> Any:
        _, dtype, key, *_ = pid
        return dtype, key


def load_state_dict(path: Path) -> dict[str, Array]:
    """The tensors of a legacy (not zipped) torch checkpoint, without torch.

    The file is four pickles (magic number, protocol, system, tensors), the list of storage keys, and
    each storage as an int64 count and its elements.
    """
    with path.open("rb") as file:
        _, _, _, tensors, keys = (_TensorsOnly(file).load() for _ in range(5))
        dtypes = {key: dtype for (dtype, key), *_ in tensors.values()}
        storages = {key: _read_storage(file, dtypes[key]) for key in keys}
    return {name: _view(storages[key], *rest) for name, ((_, key), *rest) in tensors.items()}


def _read_storage(file: BinaryIO, dtype: np.dtype[Any]) -> Array:
    count = int.from_bytes(file.read(8), "little")
    return np.frombuffer(file.read(count * dtype.itemsize), dtype)


def _view(storage: Array, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> Array:
    last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    if min(offset, *shape, *strides, 0) < 0 or last >= storage.size:
        raise pickle.UnpicklingError(f"tensor {shape} at {offset} leaves its {storage.size} elements; refused")
    return np.lib.stride_tricks.as_strided(storage[offset:], shape, [stride * storage.itemsize for stride in strides])


def _known(table: dict[tuple[str, str], Any], module: str, name: str) -> Any:
    if (module, name) not in table:
        raise pickle.UnpicklingError(f"{module}.{name} does not belong into a file of weights; refused")
    return table[module, name]
