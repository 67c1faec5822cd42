"""Open any model for explanations: the face above compiler and runtime.

a compiled file      opened as it is
any other model      compiled into the cache first (compiler/cache.py), or found there
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import tempfile
import warnings
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt
import onnx

from krypton_compile.compiler.cache import CacheError, open_cached
from krypton_compile.contract.annotations import MODEL_KEY, TARGETS
from krypton_compile.contract.preprocessing import Preprocessing
from krypton_compile.errors import ModelError, NotCompiledError
from krypton_compile.runtime.engine.providers import CPU, CUDA
from krypton_compile.runtime.session import OcclusionSession

Model = str | os.PathLike[str] | bytes | onnx.ModelProto


@dataclass(frozen=True)
class Export:
    """Answers to what an export leaves open, for models that are not compiled yet; None where the model tells.

    They are arguments of :func:`krypton_compile.compile`, which says more of each.

    Attributes:
        layout: the axis order of the image, such as "NHWC".
        image_size: (H, W) of an image of symbolic size.
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

    ``cached`` is whether the file is in the cache: not one that was given, nor one of this run alone.
    """

    session: OcclusionSession
    path: Path
    compiled: bool | None
    cached: bool = False


def open_session(
    model: Model,
    *,
    export: Export = Export(),
    device: str = "cpu",
    threads: int | None = None,
    precision: str | None = None,
    preprocessing: Preprocessing | str | None = None,
    labels: Sequence[str] | None = None,
) -> OcclusionSession:
    """Open a model, compiled or not, for explanations.

    A torch module is explained by :class:`krypton_compile.captum.Occlusion`, which exports it.

    Args:
        model: the path of a compiled file or of any ONNX model; or the bytes or ``onnx.ModelProto`` of the latter.
        export: what the export leaves open.
        device: "cpu" or "cuda".
        threads: the number of worker threads; all cores when None.
        precision: see :class:`~krypton_compile.runtime.OcclusionSession`.
        preprocessing: how pictures become the model's input; what the file says when None.
        labels: the classes' names; what the file says when None.

    Raises:
        ModelError: if ``model`` is no ONNX model, cannot be compiled, or is a compiled model that is no file.
        OcclusionError: if ``device`` or another option is unknown or does not fit the model.
        LibraryError: if the op library is missing or does not fit this onnxruntime.
        OSError: if neither the cache of compiled models can be written to, of which a warning tells, nor the
            system's folder of temporary files.
    """
    opened = open_compiled(model, export, device, threads, precision)
    if preprocessing is None and labels is None:
        return opened.session
    return opened.session.described(preprocessing, labels)


def open_compiled(
    model: Model,
    export: Export = Export(),
    device: str = "cpu",
    threads: int | None = None,
    precision: str | None = None,
) -> Opened:
    """Open a model, and tell where its compiled file is; arguments and errors are those of :func:`open_session`."""
    if device not in TARGETS:
        raise ModelError(f"device {device!r}; expected one of {', '.join(TARGETS)}")
    if isinstance(model, str | os.PathLike):
        try:
            return Opened(_session(Path(model), device, threads, precision), Path(model), None)
        except NotCompiledError:
            pass
    else:
        model = _exported_bytes(model)
    options = {**export.arguments(), "target": None if device == "cpu" else device}

    def open_file(path: Path) -> OcclusionSession:
        return _session(path, device, threads, precision)

    try:
        return Opened(*open_cached(model, open_file, **options), cached=True)
    except CacheError as error:
        warnings.warn(f"{error}. The model is compiled for this run alone", stacklevel=3)
        return _uncached(model, open_file, options)


def _uncached(
    model: Path | bytes | str | os.PathLike[str],
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


def _session(path: Path, device: str, threads: int | None, precision: str | None) -> OcclusionSession:
    providers = [CUDA, CPU] if device == "cuda" else None
    return OcclusionSession(path, providers, threads=threads, precision=precision)


def _exported_bytes(model: bytes | onnx.ModelProto) -> bytes:
    """The file's bytes, unless they are a compiled model's."""
    if not isinstance(model, bytes | onnx.ModelProto):
        raise ModelError(
            f"model of type {type(model).__name__}; expected a path, bytes or an onnx.ModelProto. "
            "krypton_compile.captum.Occlusion takes a torch module"
        )
    if isinstance(model, onnx.ModelProto):
        if any(entry.key == MODEL_KEY for entry in model.metadata_props):
            raise ModelError("this onnx.ModelProto is compiled already: save it with onnx.save, and open the file")
        content: bytes = model.SerializeToString(deterministic=True)
        return content
    return model
