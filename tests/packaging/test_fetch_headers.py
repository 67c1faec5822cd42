"""scripts/fetch_onnxruntime_headers.py: only the pinned bytes are taken, from whichever source has them.

Sources are stand-ins on this disk; what the script does with the network, every fresh build shows.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import tarfile
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "fetch_onnxruntime_headers.py"
CONTENT = {"onnxruntime_c_api.h": b"// C\n", "onnxruntime_cxx_api.h": b"// C++\n"}


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module, with small headers pinned, an empty cache, and no source reachable."""
    spec = importlib.util.spec_from_file_location(SCRIPT.stem, SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "SHA256", {name: hashlib.sha256(data).hexdigest() for name, data in CONTENT.items()})
    monkeypatch.setattr(module, "RELEASE", (tmp_path / "release.tgz").as_uri())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    return module


def write_release(folder: Path, content: dict[str, bytes]) -> None:
    with tarfile.open(folder / "release.tgz", "w:gz") as archive:
        for name, data in {**content, "unrelated.h": b""}.items():
            member = tarfile.TarInfo(f"onnxruntime/include/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def test_release_is_fetched_once(script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_release(tmp_path, CONTENT)
    assert script.main() == 0
    folder = Path(capsys.readouterr().out.strip())
    assert folder == tmp_path / "cache" / "krypton" / f"onnxruntime-headers-{script.VERSION}"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == CONTENT
    (tmp_path / "release.tgz").unlink()
    assert script.main() == 0


def test_other_bytes_are_refused(script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_release(tmp_path, CONTENT | {"onnxruntime_c_api.h": b"// changed on the way\n"})
    assert script.main() == 1
    assert "from_release: not the pinned onnxruntime_c_api.h" in capsys.readouterr().err
    assert not script.cache_folder().exists()


def test_damaged_cache_is_replaced(script: ModuleType, tmp_path: Path) -> None:
    write_release(tmp_path, CONTENT)
    script.cache_folder().mkdir(parents=True)
    (script.cache_folder() / "onnxruntime_c_api.h").write_bytes(b"// half a")
    assert script.main() == 0
    assert script.read_folder(script.cache_folder()) == CONTENT


def test_failure_names_every_source_and_the_remedy(script: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert script.main() == 1
    said = capsys.readouterr().err
    assert "release.tgz" in said
    assert "no apt-get here" in said
    assert "set ONNXRUNTIME_INCLUDE_DIR" in said
