"""Which pictures a command line names, and where each one's results go; refused before any work is done."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from krypton_compile.runtime.maps.save import ENDINGS

SUFFIXES = frozenset(".bmp .gif .jpeg .jpg .png .ppm .pgm .tif .tiff .webp".split())
"""Files of a folder that are taken for pictures; a file that is named is taken whatever it is called."""


def find_pictures(given: Sequence[Path]) -> list[Path]:
    """The files, and those of the folders in alphabetical order; our own overlays of an earlier run are no pictures.

    Raises:
        ValueError: a folder without pictures.
    """
    found: dict[Path, None] = {}
    for path in given:
        if not path.is_dir():
            found[path] = None
            continue
        inside = [one for one in sorted(path.iterdir()) if one.suffix.lower() in SUFFIXES and one.is_file()]
        pictures = [one for one in inside if not one.name.endswith(ENDINGS[0])]
        if not pictures:
            raise ValueError(f"{path}: expected pictures in this folder ({', '.join(sorted(SUFFIXES))}), found none")
        found.update(dict.fromkeys(pictures))
    return list(found)


def find_prefixes(pictures: Sequence[Path], model: Path, output: Path | None, folder: Path | None) -> dict[Path, Path]:
    """Where the results of each picture go: the start of their names. The folder is made.

    Pictures of one stem get their suffix too: scan.png and scan.jpg become scan_png and scan_jpg.

    Raises:
        ValueError: ``output`` for several pictures, or both; a place that cannot be written to; two pictures of one
            name; a result that would overwrite an input.
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
    inputs = {path.resolve() for path in (*pictures, model)}
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
