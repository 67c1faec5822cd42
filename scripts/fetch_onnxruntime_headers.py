"""Fetch onnxruntime's C and C++ headers and print the folder that holds them.

The wheels of onnxruntime bring the library without its headers, so a build of the custom ops gets
them here, once, into ``~/.cache/krypton`` (or ``$XDG_CACHE_HOME/krypton``). Two places are tried:
onnxruntime's release archive, and on Debian the package ``libonnxruntime-dev`` of Debian 13, taken
with the user's own mirror and keyring but without touching the system's package lists. Wherever a
header comes from, it is used only if it is the pinned one, byte for byte.

Newer and older onnxruntimes run what was built on these: the library asks for an older API version.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path

VERSION = "1.21.0"
SHA256 = {
    "onnxruntime_c_api.h": "7783e9664bdb0b1b36145b5c8587dd1bc9a399aa000edf2e3dd03003cafc6882",
    "onnxruntime_cxx_api.h": "b3b27d6a6fced0725e3f188379cca008b1d7a456997684756374d4b388f2cf05",
    "onnxruntime_cxx_inline.h": "7f448e994c732eacd9e49900365fefa8f1ac998a6d6eb78e5f4aab1b8d9d8900",
    "onnxruntime_float16.h": "6c4db3d1954b266c4febe413351af86cac922e3448538e7e452e51d646e56a4a",
}
RELEASE = f"https://github.com/microsoft/onnxruntime/releases/download/v{VERSION}/onnxruntime-linux-x64-{VERSION}.tgz"
REMEDY = """\
Either install them (Debian 13 and newer: apt-get install libonnxruntime-dev; also in vcpkg and Homebrew as
onnxruntime), or unpack a release archive of onnxruntime (1.17 or newer), and set ONNXRUNTIME_INCLUDE_DIR to
the folder that holds onnxruntime_cxx_api.h."""

# A closed network must not hold up a build: seconds without an answer before a source is given up.
CONNECT_TIMEOUT = 10
APT_TIMEOUT = 120

Headers = Mapping[str, bytes]


class UnavailableError(Exception):
    """A source that cannot give the headers; the text says why."""


def cache_folder() -> Path:
    """Where this version's headers are kept between builds."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "krypton" / f"onnxruntime-headers-{VERSION}"


def wrong_headers(headers: Headers) -> list[str]:
    """Names of the pinned headers that are missing or differ from the pinned ones."""
    return [name for name, pinned in SHA256.items() if hashlib.sha256(headers.get(name, b"")).hexdigest() != pinned]


def read_folder(folder: Path) -> dict[str, bytes]:
    """The pinned headers that ``folder`` has."""
    return {name: (folder / name).read_bytes() for name in SHA256 if (folder / name).is_file()}


def from_release() -> Headers:
    """The headers out of onnxruntime's own release archive; they are the same for every platform."""
    headers: dict[str, bytes] = {}
    try:
        with (
            urllib.request.urlopen(RELEASE, timeout=CONNECT_TIMEOUT) as response,
            tarfile.open(fileobj=response, mode="r|gz") as archive,
        ):
            for member in archive:
                name = Path(member.name).name
                content = archive.extractfile(member) if name in SHA256 else None
                if content is not None:
                    headers[name] = content.read()
    except (OSError, tarfile.TarError) as error:
        raise UnavailableError(f"{RELEASE}: {error}") from error
    return headers


def from_debian() -> Headers:
    """The headers out of Debian 13's libonnxruntime-dev, through apt but beside the system's own lists."""
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise UnavailableError("Debian's package: there is no apt-get here")
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        for folder in ("lists/partial", "cache/archives/partial"):
            (work / folder).mkdir(parents=True)
        source = f"deb [signed-by={debian_keyring()}] {debian_mirror()} trixie main\n"
        (work / "sources.list").write_text(source)
        apt = [
            "apt-get",
            "-q",
            f"-oDir::Etc::sourcelist={work / 'sources.list'}",
            "-oDir::Etc::sourceparts=-",
            f"-oDir::State::lists={work / 'lists'}",
            f"-oDir::Cache={work / 'cache'}",
            "-oAPT::Sandbox::User=root",
            f"-oAcquire::http::Timeout={CONNECT_TIMEOUT}",
            "-oAcquire::Retries=1",
        ]
        run([*apt, "update"], work)
        run([*apt, "download", "libonnxruntime-dev"], work)
        for package in work.glob("libonnxruntime-dev_*.deb"):
            run(["dpkg-deb", "-x", str(package), str(work / "root")], work)
        return read_folder(work / "root/usr/include/onnxruntime")


def debian_mirror() -> str:
    """The mirror that this Debian is set up to use."""
    listing = run(
        ["apt-get", "indextargets", "--no-release-info", "--format", "$(REPO_URI) $(RELEASE)", "Created-By: Packages"],
        Path.cwd(),
    )
    codename = release_field("VERSION_CODENAME")
    for line in listing.splitlines():
        mirror, _, release = line.partition(" ")
        if release == codename and release_field("ID") == "debian":
            return mirror
    raise UnavailableError("Debian's package: this machine's apt has no mirror of Debian")


def debian_keyring() -> Path:
    """The keys that Debian signs its releases with, as its own package installs them."""
    keyring = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
    if not keyring.is_file():
        raise UnavailableError(f"Debian's package: {keyring} is missing (package debian-archive-keyring)")
    return keyring


def release_field(name: str) -> str:
    """One field of /etc/os-release; empty if it is not there."""
    for line in Path("/etc/os-release").read_text().splitlines():
        key, _, value = line.partition("=")
        if key == name:
            return value.strip("\"'")
    return ""


def run(command: list[str], folder: Path) -> str:
    """A command's output; an error that carries what it said."""
    try:
        done = subprocess.run(command, cwd=folder, check=True, timeout=APT_TIMEOUT, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        said = (error.stderr or error.stdout).strip()
        raise UnavailableError(f"{command[0]} {command[-1]}: {said}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnavailableError(str(error)) from error
    return done.stdout


def store(headers: Headers, folder: Path) -> None:
    """Write the headers to ``folder``, whole or not at all, whoever else is doing the same."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        staged = Path(temporary) / folder.name
        staged.mkdir()
        for name in SHA256:
            (staged / name).write_bytes(headers[name])
        shutil.rmtree(folder, ignore_errors=True)
        try:
            staged.rename(folder)
        except OSError:
            if wrong_headers(read_folder(folder)):
                raise


def main() -> int:
    """Print the folder of the headers; exit code 1 with the reasons when no source has them."""
    folder = cache_folder()
    if not wrong_headers(read_folder(folder)):
        print(folder)
        return 0
    reasons = []
    sources: tuple[Callable[[], Headers], ...] = (from_release, from_debian)
    for source in sources:
        try:
            headers = source()
        except UnavailableError as error:
            reasons.append(str(error))
            continue
        wrong = wrong_headers(headers)
        if not wrong:
            store(headers, folder)
            print(folder)
            return 0
        reasons.append(f"{source.__name__}: not the pinned {', '.join(wrong)}")
    print("onnxruntime's headers could not be fetched:", file=sys.stderr)
    for reason in reasons:
        print(f"  - {reason}", file=sys.stderr)
    print(REMEDY, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
