"""Open any model for explanations: the face above compiler and runtime.

a compiled model     opened as it is: a file, its bytes, or a proto
any other model      compiled into the cache first (compiler/cache.py), or found there
a torch module       exported for one size of images, then the same
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import tempfile
import warnings
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy.typing as npt
import onnx

from krypton_compile.compiler.arguments import check_arguments
from krypton_compile.compiler.cache import CacheError, open_cached
from krypton_compile.contract import validate
from krypton_compile.contract.annotations import MODEL_KEY, TARGETS
from krypton_compile.contract.preprocessing import Preprocessing
from krypton_compile.errors import ModelError, NotCompiledError
from krypton_compile.runtime.by_value import ByValue
from krypton_compile.runtime.engine.providers import CPU, CUDA
from krypton_compile.runtime.engine.split_file import IN_MEMORY
from krypton_compile.runtime.session import OcclusionSession

Model = str | os.PathLike[str] | bytes | onnx.ModelProto
Function = Callable[..., Any]
"""A torch module, or another function of torch tensors."""


@dataclass(frozen=True, eq=False)
class Export(ByValue):
    """Answers to what an export leaves open, for models that are not compiled yet; None where the model tells.

    They are arguments of :func:`krypton_compile.compile`, which says more of each.

    Attributes:
        layout: the axis order of the image, such as "NHWC".
        image_size: (H, W) of an image of symbolic size, and of a torch module's images.
        channels: its number of channels.
        input_name: the input that is the image.
        output_name: the output with the class scores.
        output_index: the element of the scores that is a row of classes.
        held: values of other inputs, by name.
        frozen_gates: whether gates of squeeze-and-excitation keep the image's values, which is approximate.
        chunk: how many positions are computed at once.
    """

    layout: str | None = None
    image_size: tuple[int, ...] | None = None
    channels: int | None = None
    input_name: str | None = None
    output_name: str | None = None
    output_index: int | Sequence[int | None] | None = None
    held: Mapping[str, npt.ArrayLike] | None = None
    frozen_gates: bool | None = None
    chunk: int | None = None

    def arguments(self) -> dict[str, Any]:
        """Those that are given."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True)
class Opened:
    """A session on the compiled file ``path``; ``compiled`` now, or before (False), or given as it is (None).

    ``cached`` is whether the file is in the cache: not one that was given, nor one of this run alone. ``path`` is no
    file where a compiled model was given as bytes or as a proto.
    """

    session: OcclusionSession
    path: Path
    compiled: bool | None
    cached: bool = False


def open_session(  # noqa: PLR0913 - the face: what a user may say of a model that is opened
    model: Model | Function,
    example: object = None,
    *,
    image_size: tuple[int, ...] | None = None,
    export: Export = Export(),
    device: str = "cpu",
    threads: int | None = None,
    precision: str | None = None,
    preprocessing: Preprocessing | str | None = None,
    labels: Sequence[str] | None = None,
) -> OcclusionSession:
    """Open a model, compiled or not, for explanations.

    Args:
        model: the path, the bytes or the ``onnx.ModelProto`` of a compiled model or of any other ONNX model; or a torch
            module in eval mode, which is exported for images like ``example`` or of ``image_size``.
        example: an image for a torch module, a tensor or array [1, C, H, W].
        image_size: the (H, W) of a torch module's images, or of an image of symbolic size.
        export: what else the export leaves open.
        device: "cpu" or "cuda".
        threads: the number of worker threads; as many as the process may keep busy when None.
        precision: see :class:`~krypton_compile.runtime.OcclusionSession`.
        preprocessing: how pictures become the model's input; what the file says when None.
        labels: the classes' names; what the file says when None.

    Raises:
        ModelError: if ``model`` is no model, or cannot be exported or compiled.
        OcclusionError: if ``device`` or another option is unknown or does not fit the model.
        LibraryError: if the op library is missing or does not fit this onnxruntime.
        OSError: if neither the cache of compiled models can be written to, of which a warning tells, nor the
            system's folder of temporary files.
    """
    validate.require("export", export, isinstance(export, Export), "an Export", ModelError)
    export = export if image_size is None else replace(export, image_size=image_size)
    opened = open_compiled(model, export, device, threads, precision, example)
    if preprocessing is None and labels is None:
        return opened.session
    return opened.session.described(preprocessing, labels)


def open_compiled(
    model: Model | Function,
    export: Export = Export(),
    device: str = "cpu",
    threads: int | None = None,
    precision: str | None = None,
    example: object = None,
) -> Opened:
    """Open a model, and tell where its compiled file is; arguments and errors are those of :func:`open_session`."""
    validate.require_one_of("device", device, TARGETS, ModelError)
    validate.require("export", export, isinstance(export, Export), "an Export", ModelError)
    check_arguments(export.arguments())
    if callable(model):
        from krypton_compile.from_torch.module import export_module  # torch takes a second, and need not be there

        model = export_module(model, example, export.image_size)
        export = replace(export, image_size=None)
    source = _source(model)
    if isinstance(source, Path) or _is_compiled(source):
        try:
            path = source if isinstance(source, Path) else IN_MEMORY
            return Opened(_session(source, device, threads, precision), path, None)
        except NotCompiledError:
            pass
    options = {**export.arguments(), "target": None if device == "cpu" else device}

    def open_file(path: Path) -> OcclusionSession:
        return _session(path, device, threads, precision)

    try:
        return Opened(*open_cached(source, open_file, **options), cached=True)
    except CacheError as error:
        warnings.warn(f"{error}. The model is compiled for this run alone", stacklevel=3)
        return _uncached(source, open_file, options)


def _uncached(
    model: Path | bytes,
    open_file: Callable[[Path], OcclusionSession],
    options: dict[str, Any],
) -> Opened:
    """Compile where there is no cache; the file is deleted with the session."""
    from krypton_compile.compiler.pipeline import compile  # onnxscript takes a second: not for what is found

    folder = tempfile.mkdtemp(prefix="krypton-")
    try:
        path = Path(folder) / "model.krypton.onnx"
        compile(model, path, **{name: option for name, option in options.items() if option is not None})
        session = open_file(path)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    weakref.finalize(session.scorer.sessions, shutil.rmtree, folder, ignore_errors=True)
    return Opened(session, path, True)


def _session(model: Path | bytes, device: str, threads: int | None, precision: str | None) -> OcclusionSession:
    providers = [CUDA, CPU] if device == "cuda" else None
    return OcclusionSession(model, providers, threads=threads, precision=precision)


def _source(model: Model) -> Path | bytes:
    if isinstance(model, str | os.PathLike):
        validate.require("model", model, validate.is_path(model), "a path without zero bytes", ModelError)
        return Path(model)
    if isinstance(model, onnx.ModelProto):
        content: bytes = model.SerializeToString(deterministic=True)
        return content
    if isinstance(model, bytes | bytearray | memoryview):
        return bytes(model)
    raise ModelError(
        f"model of type {type(model).__name__}; expected a path, bytes, an onnx.ModelProto or a torch module"
    )


def _is_compiled(content: bytes) -> bool:
    """Whether a model's bytes may be a compiled one's: they name the key of its metadata."""
    return MODEL_KEY.encode() in content
