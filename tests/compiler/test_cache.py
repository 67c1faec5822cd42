"""Models compiled on the fly: found again, never stale, never half, and not for ever."""

from __future__ import annotations

import errno
import os
import resource
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest

from krypton_compile.compiler.alone import alone
from krypton_compile.compiler.cache import (
    CacheError,
    _forget,
    cache_folder,
    cache_root,
    compile_cached,
    content_key,
    open_cached,
)
from krypton_compile.errors import ModelError
from krypton_compile.runtime import OcclusionSession, Preprocessing
from tests.support.small import small_model


@pytest.fixture(autouse=True)
def model(tmp_path, monkeypatch):
    monkeypatch.setenv("KRYPTON_CACHE", str(tmp_path / "cache"))
    onnx.save(small_model(), tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


def entries():
    return sorted(path.name for path in cache_folder().iterdir())


def test_a_model_is_compiled_once(model):
    first, new = compile_cached(model)
    again, second = compile_cached(str(model))
    assert (new, second) == (True, False)
    assert first == again
    assert OcclusionSession(first).classes == 5
    assert compile_cached(model.read_bytes()) == (first, False)
    assert entries() == [first.name]


def test_what_the_result_depends_on_is_in_the_name(model):
    plain, _ = compile_cached(model)
    other, _ = compile_cached(model, chunk=3)
    pictures, _ = compile_cached(model, preprocessing=Preprocessing(scale=255.0))
    assert len({plain, other, pictures}) == 3
    assert OcclusionSession(pictures).preprocessing == Preprocessing(scale=255.0)
    changed = small_model()
    changed.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(np.ones((8, 3, 3, 3), np.float32), "w1"))
    onnx.save(changed, model)
    assert compile_cached(model)[0] not in (plain, other, pictures)


def test_weights_beside_the_model_count(model):
    proto = small_model()
    onnx.save_model(proto, model, save_as_external_data=True, location="weights.bin", size_threshold=0)
    before, _ = compile_cached(model)
    weights = model.with_name("weights.bin")
    data = bytearray(weights.read_bytes())
    data[:64] = np.full(16, 0.25, np.float32).tobytes()
    weights.write_bytes(data)
    after, new = compile_cached(model)
    assert new
    assert before != after
    weights.unlink()
    with pytest.raises(ModelError, match=r"weights\.bin"):
        compile_cached(model)


def test_an_error_leaves_nothing(model):
    model.write_bytes(b"no model")
    with pytest.raises(ModelError):
        compile_cached(model)
    with pytest.raises(ModelError, match="No such file"):
        compile_cached(model.with_name("nowhere.onnx"))
    onnx.save(small_model(), model)
    with pytest.raises(ModelError):
        compile_cached(model, output_name="none")
    assert not cache_folder().exists() or entries() == []


def test_the_oldest_go_first_and_the_newest_never(model, monkeypatch):
    paths = [compile_cached(model, chunk=chunk)[0] for chunk in (1, 2, 3)]
    for age, path in enumerate(reversed(paths)):
        os.utime(path, (1_000_000 - age, 1_000_000 - age))
    compile_cached(model, chunk=1)  # used again: now the youngest
    size = paths[0].stat().st_size
    monkeypatch.setenv("KRYPTON_CACHE_BYTES", str(int(2.5 * size)))
    last, _ = compile_cached(model, chunk=4)
    assert entries() == sorted([paths[0].name, last.name])
    monkeypatch.setenv("KRYPTON_CACHE_BYTES", "1")
    alone, _ = compile_cached(model, chunk=5)
    assert entries() == [alone.name]


def test_weights_in_a_file_of_their_own_count_and_go_too(model, monkeypatch):
    first, _ = compile_cached(model, chunk=1)
    weights = Path(f"{first}.data")
    weights.write_bytes(bytes(1 << 20))  # as loading.py does beyond 2 GB
    os.utime(first, (1_000_000, 1_000_000))
    monkeypatch.setenv("KRYPTON_CACHE_BYTES", str(1 << 20))
    last, _ = compile_cached(model, chunk=2)
    assert entries() == [last.name]
    assert not weights.exists()


def test_a_file_that_another_process_deletes_meanwhile_is_no_error(model):
    path, _ = compile_cached(model)
    gone = path.with_name(f"gone{path.name}")

    class Folder:
        """Lists one file more than there is."""

        def glob(self, pattern):
            return [path, gone]

    _forget(Folder(), 1, keep=path)
    assert entries() == [path.name]


def test_a_folder_that_may_only_be_read_serves(model, monkeypatch):
    path, _ = compile_cached(model)
    monkeypatch.setattr("krypton_compile.compiler.cache.os.utime", refuse)
    assert compile_cached(model) == (path, False)


def refuse(path, *times):
    raise PermissionError(f"{path} may only be read")


def test_what_is_no_option_and_no_size(model, monkeypatch):
    with pytest.raises(TypeError, match=r"expected options that JSON can hold.*found <object"):
        compile_cached(model, layout=object())
    monkeypatch.setenv("KRYPTON_CACHE_BYTES", "8G")
    with pytest.raises(ValueError, match="expected a number of bytes such as 8589934592, found '8G'"):
        compile_cached(model)


def test_an_unusable_folder_names_the_variable(model, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("KRYPTON_CACHE", str(tmp_path / "file"))
    with pytest.raises(OSError, match="set KRYPTON_CACHE"):
        compile_cached(model)


def test_the_folder_is_the_users_own(monkeypatch):
    monkeypatch.delenv("KRYPTON_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_folder() == Path("/somewhere/krypton/compiled")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert cache_folder() == Path("/home/me/.cache/krypton/compiled")


def test_several_at_once_see_whole_files(model):
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: OcclusionSession(compile_cached(model)[0]).classes, range(4)))
    assert found == [5] * 4
    assert len(entries()) == 1


def test_a_damaged_entry_is_compiled_again(model):
    """As a power failure leaves it: empty, or without its end."""
    path, _ = compile_cached(model)
    whole = path.read_bytes()
    for left in (0, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:left])
        session, found, new = open_cached(model, OcclusionSession)
        assert (session.classes, found, new) == (5, path, True)
        assert path.read_bytes() == whole


def test_an_entry_that_goes_before_it_is_opened_is_compiled_again(model):
    opened = []

    def open_late(path):
        opened.append(path)
        if len(opened) < 3:
            path.unlink()  # as _forget of another process does
        return OcclusionSession(path)

    assert open_cached(model, open_late)[2]
    assert len(opened) == 3
    opened.clear()
    with pytest.raises(ModelError, match="No such file"):
        open_cached(model, lambda path: (path.unlink(), OcclusionSession(path)))


def test_what_cannot_be_opened_for_another_reason_stays(model):
    path, _ = compile_cached(model)

    def refuse_to_open(path):
        raise ModelError("a whole file that is refused")

    with pytest.raises(ModelError, match="a whole file"):
        open_cached(model, refuse_to_open)
    assert path.exists()


def test_a_full_disk_leaves_nothing_and_names_the_folder(model, monkeypatch):
    """The kernel lets a thousand bytes be written, then fails."""
    compile_cached(model)[0].unlink()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(CacheError, match=r"File too large.*set KRYPTON_CACHE to a folder of yours"):
            compile_cached(model)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert entries() == []
    assert list(cache_root().rglob("*.onnx*")) == []


def test_what_a_killed_process_was_writing_is_deleted_in_the_end(model):
    path, _ = compile_cached(model)
    fresh, old = (path.with_name(f".{path.name}.{name}") for name in ("fresh", "old"))
    for folder in (fresh, old):
        folder.mkdir()
        (folder / path.name).write_bytes(bytes(100))
    os.utime(old, (1_000_000, 1_000_000))
    compile_cached(model, chunk=2)
    assert fresh.exists()
    assert not old.exists()


def test_held_inputs_and_files_that_differ_are_other_names(model):
    keys = {content_key(model, {"held": {"age": np.array(value)}}) for value in (1.0, 2.0, [1.0], [[1.0]])}
    assert len(keys) == 4
    assert content_key(model, {"held": {"age": np.array(1.0)}}) in keys
    assert content_key(model, {"held": None}) == content_key(model, {})


def test_one_waits_for_another_and_not_for_ever(tmp_path, monkeypatch):
    place, order = tmp_path / "locks" / "a", []

    def inside(name, seconds):
        with alone(place):
            order.append(f"{name} begins")
            time.sleep(seconds)
            order.append(f"{name} ends")

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(inside, "first", 0.3)
        while not order:
            time.sleep(0.01)
        pool.submit(inside, "second", 0.0).result()
        first.result()
    assert order == ["first begins", "first ends", "second begins", "second ends"]
    assert list(place.parent.iterdir()) == []
    monkeypatch.setattr("krypton_compile.compiler.alone.PATIENCE", 0.2)
    with alone(place), alone(place):
        pass


@pytest.mark.parametrize("error", [OSError(errno.ENOLCK, "No locks available"), OSError(errno.ENOTSUP, "none")])
def test_where_there_are_no_locks_nobody_waits(tmp_path, monkeypatch, error):
    def refuse_to_lock(*_):
        raise error

    monkeypatch.setattr("fcntl.flock", refuse_to_lock)
    with alone(tmp_path / "a"), alone(tmp_path / "a"):
        pass
    with alone(Path("/proc/krypton/a")):
        pass
