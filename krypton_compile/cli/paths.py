"""The pictures that a command line names, and the places of their results; checked before any work is done."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from krypton_compile.runtime.maps.save import ENDINGS

SUFFIXES = frozenset(".bmp .gif .jpeg .jpg .png .ppm .pgm .tif .tiff .webp".split())
"""Files of a folder that are taken for pictures; a file that is named is taken whatever it is called."""


def find_pictures(paths: Sequence[Path]) -> list[Path]:
    """List the files, and those of the folders in alphabetical order; overlays of an earlier run are no pictures.

    Raises:
        ValueError: if there are no pictures in a folder.
    """
    files: dict[Path, None] = {}
    for path in paths:
        if not path.is_dir():
            files[path] = None
            continue
        inside = [file for file in sorted(path.iterdir()) if file.suffix.lower() in SUFFIXES and file.is_file()]
        pictures = [file for file in inside if not file.name.endswith(ENDINGS[0])]
        if not pictures:
            raise ValueError(f"{path}: expected pictures in this folder ({', '.join(sorted(SUFFIXES))}), found none")
        files.update(dict.fromkeys(pictures))
    return list(files)


def find_prefixes(
    pictures: Sequence[Path], others: Sequence[Path], output: Path | None, folder: Path | None
) -> dict[Path, Path]:
    """Tell the start of the names of each picture's results. The folder is made. ``others`` are read too.

    Pictures of one stem get their suffix too: scan.png and scan.jpg become scan_png and scan_jpg.

    Raises:
        ValueError: if ``output`` is given for several pictures or together with ``folder``, a place cannot be written
            to, two pictures have one name, or a result would overwrite an input.
    """
    if output is not None and (folder is not None or len(pictures) > 1):
        raise ValueError(f"--output {output} names one picture's results; for several give --output-dir")
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    if output is not None:
        if not output.name:
            raise ValueError(f"--output {output}: expected a directory and the start of a file name")
        prefixes = {pictures[0]: output}
    else:
        stems = Counter(path.stem for path in pictures)
        names = {path: path.stem if stems[path.stem] == 1 else path.name.replace(".", "_") for path in pictures}
        prefixes = {path: (folder or Path()) / name for path, name in names.items()}
    parents = {prefix.parent for prefix in prefixes.values()}
    for parent in parents:
        if not parent.is_dir() or not os.access(parent, os.W_OK):
            option = f"--output {output}" if output is not None else "--output-dir"
            raise ValueError(f"{option}: {parent} is no directory that can be written to")
    inputs = {path.resolve() for path in (*pictures, *others)}
    seen: dict[Path, Path] = {}
    for path, prefix in prefixes.items():
        for target in (prefix.with_name(prefix.name + ending) for ending in ENDINGS):
            if target.is_dir() or target.resolve() in inputs:
                raise ValueError(f"{target} is an input or a directory; choose another --output or --output-dir")
        other = seen.setdefault(prefix, path)
        if other != path:
            raise ValueError(
                f"{other} and {path} would both write {prefix}{ENDINGS[0]}; explain them one after the other"
            )
    return prefixes
