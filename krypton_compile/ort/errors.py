"""onnxruntime sessions whose errors are ours: its exceptions have no common base and say little in many lines."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import onnxruntime as ort

from krypton_compile.errors import KryptonError
from krypton_compile.stages import one_line

_STATUS = "Status Message: "
_SOURCES = re.compile(
    r"(?:[\w.+-]*/)+[\w.+-]+\.(?:cc|cpp|cu|cuh|h|hpp):\d+ ?"
    r"|(?:[\w:<>]+[&*]* )?(?:[\w~<>,]+::)+[\w~<>]+\([^()]*\)(?: const)? ?"
)
"""Files and functions of C++ among the words of a message."""
_QUIET = 4
"""onnxruntime's log level at which it prints nothing of what it raises anyway."""


def start_session(
    model: bytes,
    options: ort.SessionOptions,
    failure: type[KryptonError],
    doing: str,
    providers: Sequence[str | tuple[str, Mapping[str, Any]]] = ("CPUExecutionProvider",),
) -> ort.InferenceSession:
    """A session of a serialised model.

    Raises:
        KryptonError: if onnxruntime refuses the model; a ``failure`` whose message begins with ``doing``.
    """
    try:
        # Its fallback would try the same again, and print so.
        return ort.InferenceSession(model, options, providers=list(providers), enable_fallback=False)
    except Exception as error:
        raise failure(f"{doing}: {explain(error)}") from error


def quiet_options() -> ort.SessionOptions:
    """Options of a session that prints nothing."""
    options = ort.SessionOptions()
    options.log_severity_level = _QUIET
    return options


def explain(error: BaseException) -> str:
    """Put onnxruntime's exception on one line, without its own sources; an error of our own ops in their own words."""
    text = _SOURCES.sub("", one_line(error))
    _, found, own = text.rpartition(_STATUS)
    return own if found and own.startswith("krypton.") else text
