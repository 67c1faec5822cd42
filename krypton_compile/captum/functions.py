"""A function of torch as one that is explained: it is called, exported once for each shape, and compiled.

forward(image, others)    --torch_export-->    a model of the image, the others held    --open_session-->    Compiled
"""

from __future__ import annotations

import hashlib
import inspect
import tempfile
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import onnx
import torch

from krypton_compile.captum.arguments import Tensors
from krypton_compile.captum.compiled import Compiled
from krypton_compile.contract.layouts import KINDS, channels_first
from krypton_compile.errors import ModelError
from krypton_compile.files.loading import is_large, save_proto
from krypton_compile.from_torch.export import Exported, ImageFunction, bind, export, in_16_bits
from krypton_compile.from_torch.reads import recorded
from krypton_compile.from_torch.scores import find_scores
from krypton_compile.from_torch.state import State, find_state, unwrap
from krypton_compile.opening import Export, open_session
from krypton_compile.runtime import OcclusionSession

_KEPT = 8
"""How many sessions and exports are kept at once; those used last."""

Report = Callable[[str], None]
IN_16_BITS = "it computes in 16 bits and rounds to them; call .float() on the module and on its inputs"
_Kept = TypeVar("_Kept")


class TorchFunction:
    """A function, module or other callable of torch tensors.

    Args:
        forward: the callable.

    Attributes:
        name: what messages call it.
    """

    def __init__(self, forward: Callable[..., object]) -> None:
        self._forward = unwrap(forward)
        self._takes_nothing = _takes_nothing(self._forward)
        self._exports: OrderedDict[tuple[object, ...], Exported] = OrderedDict()
        self._sessions: OrderedDict[tuple[object, ...], Compiled] = OrderedDict()
        self._traced: set[tuple[object, ...]] = set()
        kind = type(self._forward).__name__
        module = isinstance(self._forward, torch.nn.Module)
        self.name = f"the module {kind}" if module else f"the function {getattr(forward, '__name__', kind)}"

    def __call__(self, inputs: Tensors, further: tuple[object, ...]) -> torch.Tensor:
        """The scores of a batch, as Captum calls the function."""
        return self.scores_of((*inputs, *further))

    def scores_of(self, arguments: Sequence[object]) -> torch.Tensor:
        """The scores for some arguments."""
        with torch.no_grad():
            return find_scores(self._forward() if self._takes_nothing else self._forward(*arguments))

    def state(self) -> State:
        """What the function depends on now."""
        return find_state(self._forward)

    def compiled(
        self, place: int, arguments: Sequence[object], state: State, digest: bytes, report: Report
    ) -> Compiled:
        """The function of the image at ``place`` of its arguments, the others held.

        Args:
            place: which argument is varied.
            arguments: for one example, tensors [1, ...].
            state: what the function depends on.
            digest: that of the state.
            report: called with what is being done, where it takes a while.

        Raises:
            ModelError: if it cannot be exported or compiled.
        """
        image = arguments[place]
        assert isinstance(image, torch.Tensor)
        places = [place, *(at for at, each in enumerate(arguments) if isinstance(each, torch.Tensor) and at != place)]
        held = [arguments[at] for at in places[1:]]
        tensors: list[torch.Tensor] = [image, *(each for each in held if isinstance(each, torch.Tensor))]
        plain = [None if isinstance(each, torch.Tensor) else each for each in arguments]
        kinds = tuple((tuple(each.shape), each.dtype, each.device) for each in tensors)
        shape_key = (digest, tuple(places), kinds, _plain_key(plain))
        content = _content(tensors[1:])
        reads = self._reads(arguments) if shape_key in self._traced else []
        key = (*shape_key, content, *reads)
        if key in self._sessions:
            self._sessions.move_to_end(key)
            return self._sessions[key]
        exported = self._exports.get(shape_key)
        if exported is None:
            report(f"exporting {self.name}")
            function = ImageFunction(self._forward, state.modules, plain, places)
            exported = export(function, image, tensors[1:], self.name)
            if in_16_bits(exported.model):
                raise ModelError(IN_16_BITS)
            if exported.traced:  # and what it has read of the image and of what is held is frozen
                self._traced.add(shape_key)
                reads = self._reads(arguments)
            else:
                _keep(self._exports, shape_key, exported)
        report(f"compiling {self.name}")
        session = _open(bind(exported.model, tensors[1:]), image.dim() - 2)
        compiled = Compiled(session, self.name, tuple(reads) if exported.traced else ())
        _keep(self._sessions, (*shape_key, content, *reads), compiled)
        return compiled

    def _reads(self, arguments: Sequence[object]) -> list[object]:
        with recorded() as values:
            self.scores_of(arguments)
        return values

    def forget(self) -> None:
        """Drop all sessions: the function has changed in a way that its state does not show."""
        self._sessions.clear()
        self._traced.clear()
        self._exports.clear()


def _open(model: onnx.ModelProto, axes: int) -> OcclusionSession:
    """Compile and open a model; where nothing tells the channels of its image, they come first, as torch has them."""
    try:
        return _compile(model, Export())
    except ModelError as error:
        if "--layout" not in str(error) or axes not in KINDS:
            raise
        return _compile(model, Export(layout=channels_first(axes)))


def _compile(model: onnx.ModelProto, options: Export) -> OcclusionSession:
    if not is_large(model):
        return open_session(model, export=options)
    with tempfile.TemporaryDirectory(prefix="krypton-") as folder:
        path = Path(folder) / "function.onnx"
        save_proto(model, path)
        return open_session(path, export=options)


def _keep(cache: OrderedDict[tuple[object, ...], _Kept], key: tuple[object, ...], value: _Kept) -> None:
    cache[key] = value
    while len(cache) > _KEPT:
        cache.popitem(last=False)


def _plain_key(values: Sequence[object]) -> tuple[object, ...]:
    """Tell arguments apart that are no tensors: by value where they have one, else by what they are."""
    return tuple(
        repr(each) if isinstance(each, bool | int | float | str | bytes | None) else id(each) for each in values
    )


def _content(tensors: Sequence[torch.Tensor]) -> bytes:
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.digest()


def _takes_nothing(forward: Callable[..., object]) -> bool:
    """Whether a callable has no parameters: Captum then calls it without arguments."""
    try:
        return not inspect.signature(forward).parameters
    except (TypeError, ValueError):
        return False
