"""Files that options name: looked at before the work, and named with their option where something is wrong."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from krypton_compile.disk.read import open_regular


@contextmanager
def of_option(option: str, value: object) -> Iterator[None]:
    """Let errors about the file or the value of an option begin with both.

    Raises:
        ValueError: in place of whatever is raised inside.
    """
    try:
        yield
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ValueError(f"{option} {value}: {reason.removeprefix(f'{value}: ')}") from error


def named_files(options: argparse.Namespace) -> dict[str, Path]:
    """The files that options name beside the model and the pictures, by option."""
    from krypton_compile.runtime.inputs.occluders import names_file  # NumPy: not for --help
    from krypton_compile.runtime.inputs.segments import SLIC

    is_file: dict[str, Callable[[str], bool]] = {
        "labels": bool,
        "preprocess": lambda text: text.endswith(".json"),
        "original": bool,
        "segments": lambda text: not text.startswith(SLIC),
        "baseline": names_file,
    }
    given = {name: getattr(options, name, None) for name in is_file}
    texts = {name: str(value) for name, value in given.items() if value is not None}
    files = {f"--{name}": Path(text) for name, text in texts.items() if is_file[name](text)}
    for text in getattr(options, "held", None) or ():
        value = text.partition("=")[2]
        if value.endswith(".npy"):
            files[f"--hold {text.partition('=')[0]}"] = Path(value)
    return files


def check_named(files: dict[str, Path]) -> None:
    """Make sure that each of the files can be opened.

    Raises:
        ValueError: if one cannot; the message names its option.
    """
    for option, path in files.items():
        with of_option(option, path):
            open_regular(path).close()
