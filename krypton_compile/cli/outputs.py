"""Places that commands write to: proved before the work, never over what they read nor over what is none of theirs.

A file that is there already is replaced where it is an earlier one of the same kind, and that is said; any other needs
``--force``. What is no regular file is never replaced, nor is an input of the same call.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from krypton_compile.contract.annotations import MODEL_KEY
from krypton_compile.disk.earlier import (
    REPORT_FIELDS,
    RESULT_FIELDS,
    is_array_beside,
    is_empty,
    is_json_with,
    is_picture,
)
from krypton_compile.disk.write import prove, real_target
from krypton_compile.errors import FileError, ModelError
from krypton_compile.files.metadata import read_metadata
from krypton_compile.files.model_file import external_files

Identity = tuple[int, int] | str


@dataclass(frozen=True)
class Kind:
    """A kind of output: what messages call it, and whether a file is an earlier one."""

    name: str
    is_earlier: Callable[[Path], bool]


def _is_compiled(path: Path) -> bool:
    try:
        return MODEL_KEY in read_metadata(path)
    except (ModelError, OSError):
        return False


MODEL = Kind("compiled model", _is_compiled)
REPORT = Kind("report of a compilation", is_json_with(*REPORT_FIELDS))
PICTURE = Kind("picture that was drawn by an earlier run", is_picture)
RESULT = Kind("result of an earlier run", is_json_with(*RESULT_FIELDS))


def array_of(picture: Path, result: Path) -> Kind:
    """The kind of a map whose picture and result have these names."""
    ours = is_array_beside((picture, PICTURE.is_earlier), (result, RESULT.is_earlier))
    return Kind("map of an earlier run, which lies beside its picture or result", ours)


@dataclass
class Outputs:
    """The files that a command line writes.

    Attributes:
        inputs: the files that it reads, None for those that are not given.
        force: whether files are replaced that no earlier run has written.
    """

    inputs: Iterable[Path | None]
    force: bool = False
    _read: dict[Identity, Path] = field(default_factory=dict)
    _claimed: dict[Identity, Path] = field(default_factory=dict)
    _before: set[Path] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._read = {_identity(path): path for path in self.inputs if path is not None}

    def claim(self, path: Path, option: str, kind: Kind) -> None:
        """Make sure that ``path``, which ``option`` chooses, can be written, and may be.

        Raises:
            OSError: if it cannot be written: no regular file, no folder, no permission.
            ValueError: if it is an input or another output, or there is another file of that name.
        """
        if path.is_dir():
            raise ValueError(f"{path} is a folder; choose a file with {option}")
        self.check(path, option)
        with _by(option):
            real_target(path)
        if path.exists():
            self._before.add(path)
            if not (self.force or is_empty(path) or kind.is_earlier(path)):
                raise ValueError(
                    f"{path} exists and is no {kind.name}, so it is not replaced; choose another file with {option}, "
                    "delete it first, or give --force"
                )
        with _by(option):
            prove(path)

    def check(self, path: Path, option: str) -> None:
        """Refuse a place that is an input or another output; errors are those of :meth:`claim`."""
        identity = _identity(path)
        given = self._read.get(identity)
        if given is not None:
            raise ValueError(f"{path} would overwrite an input, {given}; choose another file with {option}")
        if identity in self._claimed:
            other = self._claimed[identity]
            raise ValueError(f"{path} would overwrite another output, {other}; choose another file with {option}")
        self._claimed[identity] = path

    def check_folder(self, folder: Path, option: str) -> None:
        """Refuse a folder that files are deleted from, ``option``'s, with an input or another output in it.

        Raises:
            ValueError: if it has.
        """
        for what, paths in (("input", self._read), ("output", self._claimed)):
            for path in paths.values():
                if _identity(path.absolute().parent) == _identity(folder):
                    raise ValueError(f"{option} {folder}: an {what}, {path}, lies in that folder; choose another")

    def listed(self, written: Sequence[Path]) -> str:
        """Name files that were written, and which of them were there before."""
        return ", ".join(
            f"{path} (in place of an earlier one)" if path in self._before else str(path) for path in written
        )

    def note(self, path: Path) -> None:
        """Remember that a file is there already, for :meth:`listed`."""
        if path.exists():
            self._before.add(path)


@contextmanager
def _by(option: str) -> Iterator[None]:
    """Let errors about a place begin with the option that chose it."""
    try:
        yield
    except OSError as error:
        reason = f"{error.filename}: {error.strerror}" if error.strerror else str(error)
        raise FileError(f"{option}: {reason}") from error


def _identity(path: Path) -> Identity:
    """A file by any name: hard links and links are the same."""
    try:
        status = path.stat()
    except OSError:
        return os.path.realpath(path)
    return status.st_dev, status.st_ino


def weights_of(path: Path) -> Path:
    """The file beside a compiled model in which its weights lie, if it is beyond protobuf's 2 GB."""
    return Path(f"{path}.data")


def model_inputs(model: Path) -> list[Path]:
    """The model and the files of its weights."""
    try:
        return [model, *external_files(model)]
    except ModelError:  # whoever reads it says so
        return [model]
