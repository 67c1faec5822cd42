"""Several processes at once on one model and one cache: all make their map, and no process leaves what stops others."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from krypton_compile.compiler.cache import cache_root
from tests.support.explaining import run, session, written

pytestmark = [pytest.mark.usefixtures("folder"), pytest.mark.slow]
EXPLAIN = "from krypton_compile.cli.explain import main; import sys; sys.exit(main())"
OLDER = f"import krypton_compile._version as v; v.__version__ = '0.0.1'; {EXPLAIN}"
SLOW = f"""
import krypton_compile.passes.verify as verify, time
original = verify.compare_models
def slow(*given, **named):
    print("compiling", flush=True)
    time.sleep(60)
    return original(*given, **named)
import krypton_compile.compiler.make_incremental as make_incremental
assert make_incremental.compare_models is original
make_incremental.compare_models = slow
{EXPLAIN}
"""


def start(output: str, *options: str, model: str = "small.onnx", code: str = EXPLAIN) -> subprocess.Popen[str]:
    line = [model, "scan.png", "--patch-size", "6", "--stride", "3", "--threads", "1", "--output", output, *options]
    return subprocess.Popen(
        [sys.executable, "-c", code, *line], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def finish(processes: list[subprocess.Popen[str]]) -> list[str]:
    said = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), said
    return said


@pytest.mark.parametrize("model", ["small.onnx", "bare.krypton.onnx"])
def test_four_on_a_cold_cache_make_one_map(model: str) -> None:
    said = finish([start(f"map{index}", "--preprocess", "unit", model=model) for index in range(4)])
    expected = session().explain("scan.png", 6, 3).heatmap()
    for index in range(4):
        np.testing.assert_array_equal(written(f"map{index}")[0], expected)
    assert sum("compiled into the cache" in text for text in said) == (model == "small.onnx")
    for folder in ("compiled", "remembered", "locks"):
        left = list((cache_root() / folder).glob("*")) if (cache_root() / folder).exists() else []
        assert len(left) == {"compiled": int(model == "small.onnx"), "remembered": 1, "locks": 0}[folder]


def test_each_uses_what_it_was_told_and_two_versions_share_the_cache(folder: Path) -> None:
    told = ["unit", "tf", "imagenet", "none"]
    codes = [EXPLAIN, OLDER, EXPLAIN, OLDER]
    finish([start(name, "--preprocess", name, code=code) for name, code in zip(told, codes, strict=True)])
    for name in told:
        expected = session(preprocessing=name).explain("scan.png", 6, 3).heatmap()
        np.testing.assert_array_equal(written(name)[0], expected)
    assert len(list((cache_root() / "compiled").iterdir())) == 2
    known = finish([start("now"), start("older", code=OLDER)])
    assert all("found compiled in the cache" in text for text in known)
    scales = [written(name)[1]["preprocessing"]["scale"] for name in ("now", "older")]
    assert scales[0] in (255, 255.0)
    assert scales[1] in (127.5, 1)


def test_two_without_a_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KRYPTON_CACHE", "/proc/krypton")
    finish([start(f"map{index}", "--preprocess", "unit") for index in range(2)])
    expected = session().explain("scan.png", 6, 3).heatmap()
    for index in range(2):
        np.testing.assert_array_equal(written(f"map{index}")[0], expected)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_process_leaves_no_lock(how: signal.Signals) -> None:
    with start("killed", "--preprocess", "unit", code=SLOW) as process:
        assert process.stdout is not None
        said = []
        while "compiling" not in "".join(said):
            said.append(process.stdout.readline())
            assert said[-1], said
        process.send_signal(how)
    began = time.monotonic()
    assert run("--preprocess", "unit", model="small.onnx") == 0
    assert time.monotonic() - began < 30
    assert list((cache_root() / "locks").iterdir()) == []
