"""Read a model from wherever it is, and write one without leaving half a file behind."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError, EncodeError

from krypton_compile.disk.read import open_regular
from krypton_compile.disk.write import naming, real_target, replacing
from krypton_compile.errors import FileError, ModelError
from krypton_compile.files.file_kind import describe_file
from krypton_compile.stages import BESIDE, one_line

Source = str | os.PathLike[str] | bytes | onnx.ModelProto | ir.Model


def load_proto(source: Source) -> onnx.ModelProto:
    """Load the model as a ModelProto of its own, external data included.

    Raises:
        ModelError: if the source is no file, not ONNX, truncated, or fails onnx's checker.
    """
    if isinstance(source, ir.Model):
        proto = ir.to_proto(source)
    elif isinstance(source, onnx.ModelProto):
        proto = onnx.ModelProto()
        proto.CopyFrom(source)
    else:
        proto = _parse(source)
    if not proto.graph.node:
        kind = describe_file(Path(source)) if isinstance(source, (str, os.PathLike)) else None
        found = kind or "no graph. Is it an .onnx file?"
        raise ModelError(f"{describe(source)}: expected an ONNX model, found {found}")
    return proto


def sha256(source: Source) -> str:
    """Hash the file's bytes, without its external data; the serialised proto where there is no file.

    Raises:
        ModelError: if there is no such file.
    """
    if isinstance(source, (str, os.PathLike)):
        try:
            with open_regular(source) as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise ModelError(f"{describe(source)}: {error.strerror or error}") from error
    if isinstance(source, bytes):
        return hashlib.sha256(source).hexdigest()
    proto = ir.to_proto(source) if isinstance(source, ir.Model) else source
    return hashlib.sha256(proto.SerializeToString(deterministic=True)).hexdigest()


def describe(source: Source) -> str:
    """Name the source as messages call it."""
    return str(source) if isinstance(source, (str, os.PathLike)) else f"<{type(source).__name__}>"


def is_large(proto: onnx.ModelProto) -> bool:
    """Tell whether the model is beyond protobuf's 2 GB, and cannot be one piece of bytes."""
    try:
        return bool(proto.ByteSize() >= onnx.checker.MAXIMUM_PROTOBUF)
    except EncodeError:  # what newer protobufs do in place of counting further
        return True


def save_proto(proto: onnx.ModelProto, path: str | os.PathLike[str], more: Mapping[Path, bytes] | None = None) -> None:
    """Writes the whole file or nothing; weights beyond protobuf's 2 GB go to ``<path>.data``.

    ``more`` are other files that are written with it, all of them or none.
    """
    target, more = Path(path), more or {}
    data = Path(f"{real_target(target)}.data")
    is_split = is_large(proto)
    targets = (data, target, *more) if is_split else (target, *more)
    with replacing(*targets) as places:
        with naming(target):
            if is_split:
                # onnx's own would empty the given proto
                ir.save(ir.from_proto(proto), places[target], external_data=data.name)
            else:
                with places[target].open("xb") as file:
                    file.write(proto.SerializeToString())
        for other, content in more.items():
            with naming(other), places[other].open("xb") as file:
                file.write(content)


def _parse(source: str | os.PathLike[str] | bytes) -> onnx.ModelProto:
    try:
        if isinstance(source, bytes):
            return onnx.load_model_from_string(source)
        with open_regular(source):  # no pipe, for whose writer onnx would wait
            return onnx.load_model(source)
    except FileNotFoundError as error:
        raise ModelError(f"{describe(source)}: {error.strerror}: {error.filename}") from error
    except FileError as error:
        raise ModelError(str(error)) from error
    except onnx.checker.ValidationError as error:  # of external data alone
        raise ModelError(f"{describe(source)}: {one_line(error)}. {BESIDE}") from error
    except (DecodeError, ValueError, OSError) as error:
        kind = None if isinstance(source, bytes) else describe_file(Path(source))
        if kind is not None:
            raise ModelError(f"{describe(source)}: expected an ONNX model, found {kind}.") from error
        raise ModelError(
            f"{describe(source)}: expected an ONNX model, but it cannot be parsed ({one_line(error)}). "
            "Is the file complete, and an .onnx file?"
        ) from error
