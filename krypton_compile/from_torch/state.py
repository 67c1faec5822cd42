"""What a function depends on: modules, tensors and numbers in its closure, its globals and its object.

Wrappers of torch that stand between a caller and the module are taken off first. What is found says whether the
function may be explained (no dropout, no statistics of batches), registers its weights for an export, and tells when
it has changed.
"""

from __future__ import annotations

import functools
import hashlib
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch

from krypton_compile.errors import ModelError

_LIBRARIES = ("torch", "numpy", "builtins", "functools", "krypton_compile")
"""Packages whose functions hold nothing of the caller's."""
_PARTS = 10_000
"""How many values are looked at: a function beside a large table need not be searched through."""
_HALF = (torch.float16, torch.bfloat16)
_SETTERS = ("train", "eval", "__init__", "extra_repr", "__setstate__")
"""Methods that may name the mode without depending on it."""


def unwrap(forward: Callable[..., object]) -> Callable[..., object]:
    """Take off torch's wrappers: DataParallel, DistributedDataParallel, torch.compile, the forward of a script."""
    while True:
        if isinstance(forward, torch.nn.DataParallel | torch.nn.parallel.DistributedDataParallel):
            forward = forward.module
        elif isinstance(getattr(forward, "_orig_mod", None), torch.nn.Module):
            forward = forward._orig_mod  # type: ignore[attr-defined]
        elif callable(getattr(forward, "_torchdynamo_orig_callable", None)):
            forward = forward._torchdynamo_orig_callable  # type: ignore[attr-defined]
        elif isinstance(forward, torch._C.ScriptMethod) and forward.name == "forward":
            forward = torch.jit._recursive.wrap_cpp_module(forward.owner)  # type: ignore[no-untyped-call]
        else:
            return forward


@dataclass
class State:
    """What a function depends on.

    Attributes:
        modules: the modules that it may run, none of them inside another one.
        tensors: other tensors, by where they were found.
        values: a text for each plain value beside them.
    """

    modules: list[torch.nn.Module] = field(default_factory=list)
    tensors: dict[str, torch.Tensor] = field(default_factory=dict)
    values: list[str] = field(default_factory=list)

    def digest(self) -> bytes:
        """SHA-256 of all parameters, buffers and values, and of the modules' own descriptions.

        Not of addresses and versions: writing to ``parameter.data`` changes neither. A gigabyte takes half a second.
        """
        digest = hashlib.sha256()
        for module in self.modules:
            digest.update(repr(module).encode())
            for name, tensor in (*module.named_parameters(), *module.named_buffers()):
                _update(digest, name, tensor)
        for name, tensor in self.tensors.items():
            _update(digest, name, tensor)
        for value in self.values:
            digest.update(f"{value}\0".encode())
        return digest.digest()

    def in_16_bits(self) -> bool:
        """Whether a weight is of 16 bits, so that the function rounds to them."""
        tensors = [tensor for module in self.modules for tensor in (*module.parameters(), *module.buffers())]
        return any(tensor.dtype in _HALF for tensor in (*tensors, *self.tensors.values()))

    def require_eval(self) -> None:
        """Refuse modules that behave otherwise in training mode, and are in it.

        The flag of a module that does not look at it means nothing: a wrapper around ``model.eval()`` may be explained.

        Raises:
            ModelError: if there is such a module.
        """
        for module in self.modules:
            for name, part in module.named_modules():
                if getattr(part, "training", False) and _looks_at_mode(part):
                    raise ModelError(
                        f"module '{name or type(part).__name__}': expected eval mode, found training mode, which would "
                        "explain dropout and the statistics of batches too. Call .eval() on the whole module first."
                    )


def find_state(forward: Callable[..., object]) -> State:
    """Find what a function depends on, as far as it can be seen from outside."""
    state = State()
    seen: set[int] = set()
    todo: list[tuple[str, Any]] = [("", forward)]
    while todo and len(seen) < _PARTS:
        name, value = todo.pop(0)
        if isinstance(value, bool | int | float | str | bytes | complex | None):
            state.values.append(f"{name}={value!r}")
            continue
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, torch.Tensor):
            state.tensors[name] = value
        elif isinstance(value, torch.nn.Module):
            state.modules.append(value)
            for path, part in value.named_modules():
                seen.add(id(part))
                todo += [(f"{name}.{path}.{key}", held) for key, held in _own(part)]
        else:
            todo += [(f"{name}.{key}", held) for key, held in _parts(value)]
    inside = {id(part) for module in state.modules for part in module.modules() if part is not module}
    state.modules = [module for module in state.modules if id(module) not in inside]
    return state


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """What a value holds: a function its closure and globals, an object its attributes, a container its entries."""
    if isinstance(value, functools.partial):
        yield from (("func", value.func), ("args", value.args), ("keywords", value.keywords))
    elif isinstance(value, types.MethodType):
        yield from (("self", value.__self__), ("func", value.__func__))
    elif isinstance(value, types.FunctionType):
        if str(value.__module__).partition(".")[0] not in _LIBRARIES:
            yield from _function_parts(value)
        elif hasattr(value, "__wrapped__"):  # a decorator of torch around a function of the caller's
            yield from (("wrapped", value.__wrapped__), *_cells(value))
    elif isinstance(value, dict):
        yield from ((f"[{key!r}]", held) for key, held in list(value.items()))
    elif isinstance(value, list | tuple | set | frozenset):
        yield from ((f"[{index}]", held) for index, held in enumerate(value))
    elif not isinstance(value, type | types.ModuleType) and type(value).__module__.partition(".")[0] not in _LIBRARIES:
        yield from getattr(value, "__dict__", {}).items()
        yield from _called(value)


def _called(value: Any) -> Iterator[tuple[str, Any]]:
    call = getattr(type(value), "__call__", None)  # noqa: B004 - what a call of the object runs
    if isinstance(call, types.FunctionType):
        yield "call", call


def _function_parts(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    yield from _cells(function)
    yield from (("defaults", function.__defaults__), ("keywords", function.__kwdefaults__))
    if hasattr(function, "__wrapped__"):
        yield "wrapped", function.__wrapped__
    for name in sorted(_names(function.__code__)):
        if name in function.__globals__:
            yield name, function.__globals__[name]


def _cells(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # not assigned yet
            continue


def _names(code: types.CodeType) -> set[str]:
    """Names that a code uses, and those of functions inside it."""
    inner = [_names(part) for part in code.co_consts if isinstance(part, types.CodeType)]
    return set(code.co_names).union(*inner)


def _own(module: torch.nn.Module) -> Iterator[tuple[str, Any]]:
    """Attributes of one module that torch does not register, such as a tensor that is no buffer."""
    for key, value in vars(module).items():
        if not key.startswith("_") and key != "training" and not isinstance(value, torch.nn.Module):
            yield key, value


def _looks_at_mode(module: torch.nn.Module) -> bool:
    if isinstance(module, torch.jit.ScriptModule):
        return "training" in str(getattr(module, "inlined_graph", ""))
    if getattr(module, "p", None) == 0 and isinstance(module, torch.nn.modules.dropout._DropoutNd):
        return False
    for kind in type(module).__mro__:
        if kind is torch.nn.Module:
            return False
        for name, method in vars(kind).items():
            code = getattr(method, "__code__", None)
            if name not in _SETTERS and code is not None and "training" in _names(code):
                return True
    return False


def _update(digest: Any, name: str, tensor: torch.Tensor) -> None:
    digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\0".encode())
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    digest.update(flat.view(torch.uint8).numpy().data)
