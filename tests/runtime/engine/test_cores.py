"""How many cores a container leaves to a process, by files of control groups of both versions."""

from __future__ import annotations

import os

import pytest

from krypton_compile.runtime.engine import cores
from krypton_compile.runtime.engine.cores import count_cores

V2, V1 = "0::/own/task\n", "12:cpuset:/own\n4:cpu,cpuacct:/own/task\n1:name=systemd:/own\n0::/\n"
CASES = {
    "no groups at all": ("", {}, 8),
    "no limit": (V2, {"own/task/cpu.max": "max 100000"}, 8),
    "two CPUs": (V2, {"own/task/cpu.max": "200000 100000"}, 2),
    "two and a half": (V2, {"own/task/cpu.max": "250000 100000"}, 2),
    "half of one": (V2, {"own/task/cpu.max": "50000 100000"}, 1),
    "more than there are": (V2, {"own/task/cpu.max": "6400000 100000"}, 8),
    "a group above has less": (V2, {"own/cpu.max": "300000 100000", "own/task/cpu.max": "500000 100000"}, 3),
    "inside a container": ("0::/\n", {"cpu.max": "400000 100000"}, 4),
    "inside one, seen from outside": (V2, {"cpu.max": "400000 100000"}, 4),
    "version 1": (V1, {"cpu,cpuacct/own/task/cpu.cfs_quota_us": "300000",
                       "cpu,cpuacct/own/task/cpu.cfs_period_us": "100000"}, 3),
    "version 1 without a limit": (V1, {"cpu/own/task/cpu.cfs_quota_us": "-1",
                                       "cpu/own/task/cpu.cfs_period_us": "100000"}, 8),
    "version 1 inside a container": (V1, {"cpu/cpu.cfs_quota_us": "200000", "cpu/cpu.cfs_period_us": "100000"}, 2),
    "both versions": (V1, {"unified/cpu.max": "max 100000", "cpu/own/cpu.cfs_quota_us": "500000",
                           "cpu/own/cpu.cfs_period_us": "100000"}, 5),
    "unreadable numbers": (V2, {"own/task/cpu.max": "two of them"}, 8),
    "a quota of nothing": (V2, {"own/task/cpu.max": "0 0"}, 8),
    "a path that leaves the root": ("0::/../../own\n", {"own/cpu.max": "100000 100000"}, 8),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_quota(name, tmp_path, monkeypatch):
    groups, files, expected = CASES[name]
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    root = tmp_path / "cgroup"
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(f"{text}\n")
    said = tmp_path / "self"
    if groups:
        said.write_text(groups)
    assert count_cores(root, said) == expected


def test_affinity_counts_too(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3})
    assert count_cores(tmp_path, tmp_path / "none") == 1


def test_sessions_take_as_many_threads(compiled, monkeypatch):
    from krypton_compile.runtime import OcclusionSession
    from krypton_compile.runtime.engine import sessions

    assert 1 <= cores.count_cores() <= len(os.sched_getaffinity(0))
    monkeypatch.setattr(sessions, "count_cores", lambda: 3)
    assert OcclusionSession(compiled).threads == 3
    assert OcclusionSession(compiled, threads=1).threads == 1
