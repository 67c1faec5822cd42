"""The pictures that a command line names, and the places of their results; checked before any work is done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from krypton_compile.cli.outputs import PICTURE, RESULT, Outputs, array_of
from krypton_compile.disk.kinds import kind_of
from krypton_compile.disk.write import prove
from krypton_compile.runtime.maps.save import ENDINGS

SUFFIXES = frozenset(".bmp .gif .jpeg .jpg .png .ppm .pgm .tif .tiff .webp".split())
"""Files of a folder that are taken for pictures; a file that is named is taken whatever it is called."""


def find_pictures(paths: Sequence[Path]) -> list[Path]:
    """List the files, and those of the folders in alphabetical order; overlays of an earlier run are no pictures.

    Raises:
        OSError: if a folder cannot be read.
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
    pictures: Sequence[Path], outputs: Outputs, output: Path | None, folder: Path | None
) -> dict[Path, Path]:
    """Tell the start of the names of each picture's results, which become ``outputs``; no folder is made yet.

    Pictures of one stem get their suffix too: scan.png and scan.jpg become scan_png and scan_jpg.

    Raises:
        OSError: if a place cannot be written to.
        ValueError: if ``output`` is given for several pictures or together with ``folder``, two pictures have one name,
            or a result would overwrite an input or a file that no earlier run has written.
    """
    if output is not None and (folder is not None or len(pictures) > 1):
        raise ValueError(f"--output {output} names one picture's results; for several give --output-dir")
    if output is not None:
        if not output.name:
            raise ValueError(f"--output {output}: expected a directory and the start of a file name")
        if output.exists() and not output.is_dir() and not output.is_file():
            raise ValueError(f"--output {output}: expected the start of file names, found {kind_of(output.stat())}")
        prefixes = {pictures[0]: output}
    else:
        stems = Counter(path.stem for path in pictures)
        names = {path: path.stem if stems[path.stem] == 1 else path.name.replace(".", "_") for path in pictures}
        prefixes = {path: (folder or Path()) / name for path, name in names.items()}
    if folder is not None and not folder.exists():
        _prove_folder(folder)
    seen: dict[Path, Path] = {}
    for path, prefix in prefixes.items():
        other = seen.setdefault(prefix, path)
        if other != path:
            raise ValueError(
                f"{other} and {path} would both write {prefix}{ENDINGS[0]}; explain them one after the other"
            )
        _claim(prefix, outputs, new=folder is not None and not folder.exists())
    return prefixes


def _claim(prefix: Path, outputs: Outputs, new: bool) -> None:
    picture, heatmap, result = (prefix.with_name(prefix.name + ending) for ending in ENDINGS)
    kinds = {picture: PICTURE, heatmap: array_of(picture, result), result: RESULT}
    for place, kind in kinds.items():
        if new:
            outputs.check(place, "--output or --output-dir")
        else:
            outputs.claim(place, "--output or --output-dir", kind)


def _prove_folder(folder: Path) -> None:
    """Find out whether a folder that is not there could be made.

    Raises:
        OSError: if not; the message names the option.
    """
    there = next(parent for parent in folder.absolute().parents if parent.exists())
    try:
        prove(there / folder.name)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), f"--output-dir {folder}") from error
