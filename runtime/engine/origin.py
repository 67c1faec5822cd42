"""Where a session comes from: its model and its options, by which it is opened here and in another process."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import onnx
import onnxruntime as ort

from krypton_compile.contract import validate
from krypton_compile.contract.preprocessing import Preprocessing
from krypton_compile.errors import ModelError, OcclusionError
from krypton_compile.runtime.engine.providers import Provider
from krypton_compile.runtime.engine.scorer import Scorer
from krypton_compile.runtime.engine.sessions import Sessions
from krypton_compile.runtime.engine.split_file import IN_MEMORY, split


@dataclass(frozen=True)
class Origin:
    """A compiled model, a path or its bytes, and how it is run; :class:`OcclusionSession` documents the options."""

    model: str | os.PathLike[str] | bytes | onnx.ModelProto
    providers: Sequence[Provider] | None = None
    session_options: ort.SessionOptions | None = None
    threads: int | None = None
    precision: str | None = None

    @property
    def name(self) -> str:
        """The model as messages call it."""
        return os.fspath(self.model) if isinstance(self.model, str | os.PathLike) else str(IN_MEMORY)

    def open(self, preprocessing: Preprocessing | str | None, labels: Sequence[str] | None) -> Scorer:
        """Open the model.

        Raises:
            ModelError: if it is neither a path, bytes nor a proto, or not a compiled model.
            OcclusionError, LibraryError, OSError, ValueError: as :class:`OcclusionSession` says.
        """
        parts = split(self._source())
        model = parts.model.described(preprocessing, labels)
        return Scorer(model, Sessions(parts, self.providers, self.session_options, self.threads, self.precision))

    def pickled(self) -> Origin:
        """The origin as it goes to another process: a path from the root on, or bytes.

        Raises:
            TypeError: if there are ``session_options``, which onnxruntime does not pickle.
        """
        if self.session_options is not None:
            raise TypeError(
                "a session with session_options cannot be pickled: onnxruntime's options are not; give threads and "
                "providers instead"
            )
        source = self._source()
        return replace(self, model=source if isinstance(source, bytes) else str(source.absolute()))

    def _source(self) -> Path | bytes:
        if isinstance(self.model, str | os.PathLike):
            fits = validate.is_path(self.model)
            validate.require("model", self.model, fits, "a path without zero bytes", ModelError)
            return Path(self.model)
        if isinstance(self.model, onnx.ModelProto):
            content: bytes = self.model.SerializeToString()
            return content
        if isinstance(self.model, bytes | bytearray | memoryview):
            return bytes(self.model)
        raise ModelError(
            f"model of type {type(self.model).__name__}; expected the path of a compiled file, its bytes, or an "
            "onnx.ModelProto; krypton_compile.open_session takes models that are not compiled"
        )


class OpenModel:
    """A compiled model that is open: it may be closed, by :meth:`close` or a ``with`` block, copied and pickled.

    It is pickled by its origin, so that another process opens the model again, and so does a deep copy.

    Attributes:
        scorer: what scores windows; an :class:`OcclusionError` is raised where the model is closed.
    """

    def __init__(self, origin: Origin, scorer: Scorer) -> None:
        self._origin = origin
        self._scorer: Scorer | None = scorer

    @property
    def scorer(self) -> Scorer:
        if self._scorer is None:
            raise OcclusionError(f"this session of {self._origin.name} is closed; open the model again")
        return self._scorer

    def described(self, preprocessing: Preprocessing | str | None = None, labels: Sequence[str] | None = None) -> Self:
        """The same for other pictures or names of classes, sharing its onnxruntime sessions; None changes nothing."""
        other = object.__new__(type(self))
        model = self.scorer.model.described(preprocessing, labels)
        OpenModel.__init__(other, self._origin, Scorer(model, self.scorer.sessions))
        return other

    def close(self) -> None:
        """Let go of the model; what :meth:`described` made of it goes on. Nothing else works afterwards."""
        self._scorer = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[object, ...]:
        model = self.scorer.model
        return _reopen, (type(self), self._origin.pickled(), model.preprocessing, model.labels)


def _reopen(
    kind: type[Any], origin: Origin, preprocessing: Preprocessing | None, labels: Sequence[str] | None
) -> object:
    """Open a session again that was pickled."""
    return kind(
        origin.model,
        origin.providers,
        threads=origin.threads,
        precision=origin.precision,
        preprocessing=preprocessing,
        labels=labels,
    )
