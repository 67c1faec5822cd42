"""Pickles that may hold arrays and nothing else: any other class or function is refused."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class _NumpyOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module.split(".", maxsplit=1)[0] == "numpy" or (module, name) == ("_codecs", "encode"):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"refused: {module}.{name}")


def load_arrays(path: Path) -> dict[str, Any]:
    """A pickled dictionary of NumPy arrays."""
    with path.open("rb") as file:
        content: dict[str, Any] = _NumpyOnly(file).load()
    return content


def _as_parts(*arguments: Any) -> tuple[Any, ...]:
    return arguments[:4]


class _TensorsOnly(pickle.Unpickler):
    """Of a legacy torch file, tensors come out as (storage key, offset, shape, strides)."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if name == "_rebuild_tensor_v2":
            return _as_parts
        if module == "torch" and name.endswith("Storage"):
            return np.int64 if name == "LongStorage" else np.float32
        raise pickle.UnpicklingError(f"refused: {module}.{name}")

    def persistent_load(self, pid: Any) -> Any:
        _, dtype, key, *_ = pid
        return dtype, key


def load_state_dict(path: Path) -> dict[str, Array]:
    """The tensors of a legacy (not zipped) torch checkpoint, without torch.

    The file is four pickles (magic number, protocol, system, tensors), the storage keys, then each
    storage as an int64 count and its elements.
    """
    with path.open("rb") as file:
        for _ in range(3):
            _TensorsOnly(file).load()
        tensors = _TensorsOnly(file).load()
        keys = _TensorsOnly(file).load()
        dtypes = {key: dtype for (dtype, key), *_ in tensors.values()}
        storages = {key: _read_storage(file, dtypes[key]) for key in keys}
    return {name: _view(storages[key], *rest) for name, ((_, key), *rest) in tensors.items()}


def _read_storage(file: BinaryIO, dtype: Any) -> Array:
    count = int.from_bytes(file.read(8), "little")
    return np.frombuffer(file.read(count * np.dtype(dtype).itemsize), dtype)


def _view(storage: Array, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> Array:
    steps = [stride * storage.itemsize for stride in strides]
    return np.lib.stride_tricks.as_strided(storage[offset:], shape, steps)
