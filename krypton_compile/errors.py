"""The one exception hierarchy. A message says what was expected, what was found and what to do."""

from __future__ import annotations


class KryptonError(Exception):
    """Base of all errors that a caller can act on; command lines print it and exit with 2."""


class ModelError(KryptonError):
    """The given model cannot be read, or is not an image classifier that can be compiled."""


class NotCompiledError(ModelError):
    """An ONNX model where a compiled one was expected."""


class NodeError(ModelError):
    """A node of the model stands in the way."""

    def __init__(self, node: str, op: str, expected: str, found: str, remedy: str) -> None:
        super().__init__(f"node '{node}' ({op}): expected {expected}, found {found}. {remedy}")
        self.node, self.op = node, op


class VerificationError(KryptonError):
    """The compiled model's scores differ from the original's; nothing is written."""


class OcclusionError(KryptonError, ValueError):
    """An image, box, baseline or option given to an occlusion session is not usable."""


class FileError(KryptonError, OSError):
    """A file that is not read or written: it is no regular file, is too large, or something else stands there."""


class LibraryError(KryptonError):
    """The custom-op library is missing or does not fit this onnxruntime."""
