"""Places that commands write to: never over what they read, nor over a file that is none of theirs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from krypton_compile.contract.annotations import MODEL_KEY
from krypton_compile.errors import ModelError
from krypton_compile.files.metadata import read_metadata
from krypton_compile.files.model_file import external_files


def check_output(path: Path, inputs: Iterable[Path | None], option: str) -> None:
    """Refuse to write to ``path``, which ``option`` chooses, if it is one of the inputs, by any name, or a folder.

    Raises:
        ValueError: if it is.
    """
    if path.is_dir():
        raise ValueError(f"{path} is a folder; choose a file with {option}")
    for given in inputs:
        if given is not None and _same(path, given):
            raise ValueError(f"{path} would overwrite an input, {given}; choose another file with {option}")


def check_model_output(path: Path, inputs: Iterable[Path | None], option: str) -> None:
    """The same for a compiled model; a file that is there already must be a compiled one, which is replaced.

    Raises:
        ValueError: if it is not.
    """
    check_output(path, inputs, option)
    if path.is_file() and path.stat().st_size and not _is_compiled(path):
        raise ValueError(
            f"{path} exists and is no compiled model, so it is not replaced; choose another file with {option}, or "
            "delete it first"
        )


def _same(path: Path, other: Path) -> bool:
    try:
        return path.samefile(other)
    except OSError:
        return path.resolve() == other.resolve()


def _is_compiled(path: Path) -> bool:
    try:
        return MODEL_KEY in read_metadata(path)
    except (ModelError, OSError):
        return False


def listed(written: Sequence[Path], before: Collection[Path]) -> str:
    """Name the files that were written, and which of them were there ``before``."""
    return ", ".join(f"{path} (in place of an earlier one)" if path in before else str(path) for path in written)


def model_inputs(model: Path) -> list[Path]:
    """The model and the files of its weights."""
    try:
        return [model, *external_files(model)]
    except ModelError:  # whoever reads it says so
        return [model]
