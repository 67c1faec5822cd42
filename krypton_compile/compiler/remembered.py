"""What a user said of a compiled file that the file itself does not say: how pictures become its input, its classes.

It is kept beside the cache of compiled models, in small files that are named by the content that they are about. So
explaining pictures changes no file of the user's, whose hash may be evidence, and what was said once is known again.

    <cache>/remembered/<content>.preprocessing.json, <content>.labels.json

What is remembered first stays: a file is linked to its name when it is whole, which of several processes one alone can.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from functools import cached_property
from pathlib import Path

from krypton_compile.compiler.cache import cache_root, content_key
from krypton_compile.compiler.private import make_private, require_private
from krypton_compile.contract.annotations import read_labels, write_labels
from krypton_compile.contract.preprocessing import Preprocessing

PREPROCESSING, LABELS = "preprocessing", "labels"


class Memory:
    """What is remembered of one compiled file.

    Args:
        file: the compiled file.
        cached: whether it is the cache's, which is named by its content, and not the user's.
    """

    def __init__(self, file: Path, cached: bool) -> None:
        self._file, self._cached = file, cached

    def preprocessing(self) -> Preprocessing | None:
        """The preprocessing that is remembered; None also where another version wrote what this one cannot read."""
        text = self._read(PREPROCESSING)
        with contextlib.suppress(ValueError):
            return None if text is None else Preprocessing.from_json(text)
        return None

    def labels(self, classes: int) -> tuple[str, ...] | None:
        """The names of the classes that are remembered, or None, likewise."""
        text = self._read(LABELS)
        with contextlib.suppress(ValueError):
            labels = () if text is None else read_labels(text)
            return labels if len(labels) == classes else None
        return None

    def remember_preprocessing(self, preprocessing: Preprocessing) -> None:
        """Keep the preprocessing, unless one is known.

        Raises:
            OSError: if it cannot be written, or others could write there; nothing is left half then.
        """
        if self.preprocessing() is None:
            self._write(PREPROCESSING, preprocessing.to_json())

    def remember_labels(self, labels: tuple[str, ...]) -> None:
        """Keep the names of all classes, unless they are known; errors are those of :meth:`remember_preprocessing`."""
        if self.labels(len(labels)) is None:
            self._write(LABELS, write_labels(labels))

    def place(self, kind: str) -> Path:
        """Name the file of PREPROCESSING or LABELS, whether there is one or not.

        Raises:
            OSError: if there is no folder for it, or the compiled file is gone.
        """
        return self._folder / f"{self._content}.{kind}.json"

    @property
    def _folder(self) -> Path:
        return cache_root() / "remembered"

    @cached_property
    def _content(self) -> str:
        if self._cached:
            return self._file.name.partition(".")[0]
        return f"{self._size}-{content_key(self._file, {})}"

    @cached_property
    def _size(self) -> int:
        return self._file.stat().st_size

    def _read(self, kind: str) -> str | None:
        with contextlib.suppress(OSError):
            # A file of which nothing can be remembered need not be hashed: half a gigabyte takes half a second.
            if self._cached or any(self._folder.glob(f"{self._size}-*.{kind}.json")):
                place = self.place(kind)
                for path in (cache_root(), self._folder, place):  # what others wrote is not what the user said
                    require_private(path, path.stat())
                return place.read_text("utf-8", errors="replace")
        return None

    def _write(self, kind: str, text: str) -> None:
        path, useless = self.place(kind), self._read(kind) is not None
        make_private(cache_root())
        make_private(path.parent)
        temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        try:
            temporary.write_text(text, "utf-8")
            temporary.chmod(0o600)
            if useless:
                temporary.replace(path)
            else:
                _link(temporary, path)
        except OSError as error:  # that of a full disk does not say where
            raise OSError(error.errno, error.strerror or str(error), str(path)) from error
        finally:
            temporary.unlink(missing_ok=True)


def _link(temporary: Path, path: Path) -> None:
    try:
        os.link(temporary, path)
    except FileExistsError:  # another process was first
        pass
    except OSError:  # a file system without links: the last one stays
        temporary.replace(path)
