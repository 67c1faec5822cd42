"""One op at a time by the C ABI of custom_ops/harness/run_node.h, on NumPy arrays or on a GPU's torch tensors.

    harness = Harness(path, device="cuda")
    outputs = harness.run("IncrementalClip", attributes, [x, boxes, z0])        NumPy in, NumPy out

Of a library of the GPU's kernels run on the CPU (KRYPTON_EMULATE_CUDA) everything lies in the host's memory.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.generic]

_TYPES = {np.float32: 1, np.int32: 6, np.int64: 7, np.bool_: 9}
_DTYPES: dict[int, type[np.generic]] = {number: dtype for dtype, number in _TYPES.items()}
_ERROR_BYTES = 1024


class _Attribute(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("text", ctypes.c_char_p),
        ("integers", ctypes.POINTER(ctypes.c_int64)),
        ("count", ctypes.c_size_t),
        ("integer", ctypes.c_int64),
        ("real", ctypes.c_float),
    )


class _Tensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("rank", ctypes.c_size_t),
        ("type", ctypes.c_int32),
    )


_ALLOCATE = ctypes.CFUNCTYPE(
    ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.POINTER(ctypes.c_int64), ctypes.c_size_t, ctypes.c_int32
)


class HarnessError(Exception):
    """What the op refuses, in its words."""


class Node:
    """A kernel made for its attributes; use it as often as you like."""

    def __init__(self, harness: Harness, op: str, attributes: Mapping[str, Any]) -> None:
        self._harness, self.op = harness, op
        kept = [_attribute(name, value) for name, value in attributes.items()]
        error = ctypes.create_string_buffer(_ERROR_BYTES)
        given = (_Attribute * len(kept))(*kept)
        self._kernel = harness.library.krypton_make(op.encode(), given, len(kept), error, _ERROR_BYTES)
        if not self._kernel:
            raise HarnessError(f"{op}: {error.value.decode()}")

    def __del__(self) -> None:
        if getattr(self, "_kernel", None):
            self._harness.library.krypton_destroy(self._kernel)

    def run(self, inputs: Sequence[Any | None]) -> list[Any]:
        """The outputs of inputs that :meth:`Harness.place` has placed; on a GPU they may not be ready yet.

        Raises:
            HarnessError: the op refuses them.
        """
        tensors = (_Tensor * len(inputs))(*(self._harness.describe(value) for value in inputs))
        outputs: dict[int, Any] = {}

        def allocate(_user: int, index: int, shape: Any, rank: int, number: int) -> int | None:
            outputs[index] = self._harness.empty(tuple(shape[axis] for axis in range(rank)), _DTYPES[number])
            # No memory at all is no address: an empty output gets one that nobody writes to.
            return self._harness.address(outputs[index]) or ctypes.addressof(tensors)

        error = ctypes.create_string_buffer(_ERROR_BYTES)
        failed = self._harness.library.krypton_compute(
            self._kernel, tensors, len(inputs), _ALLOCATE(allocate), None, self._harness.stream(), error, _ERROR_BYTES
        )
        if failed:
            raise HarnessError(f"{self.op}: {error.value.decode()}")
        return [outputs[index] for index in sorted(outputs)]


class Harness:
    """The library at ``path``; on ``device`` "cuda" its kernels run on the GPU, and torch holds their tensors."""

    def __init__(self, path: str | Path, device: str = "cpu") -> None:
        self.library = ctypes.CDLL(str(path))
        self.library.krypton_make.argtypes = (
            ctypes.c_char_p,
            ctypes.c_void_p,
            ctypes.c_size_t,
            ctypes.c_char_p,
            ctypes.c_size_t,
        )
        self.library.krypton_make.restype = ctypes.c_void_p
        self.library.krypton_on_host.argtypes = (ctypes.c_char_p, ctypes.c_size_t)
        self.library.krypton_destroy.argtypes = (ctypes.c_void_p,)
        self.library.krypton_compute.argtypes = (
            ctypes.c_void_p,
            ctypes.c_void_p,
            ctypes.c_size_t,
            _ALLOCATE,
            ctypes.c_void_p,
            ctypes.c_void_p,
            ctypes.c_char_p,
            ctypes.c_size_t,
        )
        self.device = device

    def run(self, op: str, attributes: Mapping[str, Any], inputs: Sequence[Array | None]) -> list[Array]:
        """One node, once, NumPy arrays in and out."""
        placed = [self.place(op, index, value) for index, value in enumerate(inputs)]
        return [self.fetch(value) for value in Node(self, op, attributes).run(placed)]

    def place(self, op: str, index: int, value: Array | None) -> Any | None:
        """An input where the op wants it."""
        if value is None:
            return None
        if self.device == "cpu" or self.library.krypton_on_host(op.encode(), index):
            return np.ascontiguousarray(value)
        import torch

        return torch.from_numpy(np.ascontiguousarray(value)).to(self.device)

    def fetch(self, value: Any) -> Array:
        """An output as a NumPy array; waits for the device."""
        return np.asarray(value if self.device == "cpu" or isinstance(value, np.ndarray) else value.cpu().numpy())

    def describe(self, value: Any | None) -> _Tensor:
        """The tensor as the library sees it."""
        if value is None:
            return _Tensor(None, None, 0, 0)
        shape = (ctypes.c_int64 * len(value.shape))(*value.shape)
        dtype = value.dtype.type if isinstance(value, np.ndarray) else _torch_dtype(value)
        return _Tensor(self.address(value), shape, len(value.shape), _TYPES[dtype])

    def address(self, value: Any) -> int:
        """Where its data begins."""
        return int(value.ctypes.data if isinstance(value, np.ndarray) else value.data_ptr())

    def empty(self, shape: tuple[int, ...], dtype: type[np.generic]) -> Any:
        """Memory for an output; boxes stay in the host's."""
        if self.device == "cpu" or dtype in (np.int32, np.int64):
            return np.empty(shape, dtype)
        import torch

        return torch.empty(shape, dtype=torch.float32, device=self.device)

    def stream(self) -> int | None:
        """The stream that torch works on, so that both wait for each other."""
        if self.device == "cpu":
            return None
        import torch

        return int(torch.cuda.current_stream().cuda_stream)


def _attribute(name: str, value: Any) -> _Attribute:
    if isinstance(value, str):
        return _Attribute(name.encode(), value.encode(), None, 0, 0, 0.0)
    if isinstance(value, (list, tuple)):
        return _Attribute(name.encode(), None, (ctypes.c_int64 * len(value))(*value), len(value), 0, 0.0)
    return _Attribute(name.encode(), None, None, 0, int(value) if float(value).is_integer() else 0, float(value))


def _torch_dtype(value: Any) -> type[np.generic]:
    import torch

    return {torch.float32: np.float32, torch.int32: np.int32, torch.int64: np.int64, torch.bool: np.bool_}[value.dtype]
