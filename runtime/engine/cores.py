"""The processors that this process may use: its affinity, and the CPU quota of the container that it runs in.

A container of 2 CPUs on a machine of 64 shows all 64 in its affinity; its limit is the quota of its control group:

    version 2    cpu.max              "200000 100000": so many microseconds of every so many, or "max"
    version 1    cpu.cfs_quota_us     cpu.cfs_period_us; a quota of -1 is none

A group is limited by those above it as well. Inside a container its own group is often mounted as the root.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_ROOT = Path("/sys/fs/cgroup")
_GROUPS = Path("/proc/self/cgroup")
_CONTROLLERS = ("cpu", "cpu,cpuacct", "cpuacct,cpu")
"""Folders that version 1 mounts its controller of CPU time at."""


def count_cores(root: Path = _ROOT, groups: Path = _GROUPS) -> int:
    """Count the cores that threads of this process can keep busy; at least 1.

    Of a quota of 2.5 CPUs that is 2: more threads would be stopped in the middle of their work.

    Args:
        root: where control groups are mounted.
        groups: the file that says which of them this process is in.
    """
    allowed = len(os.sched_getaffinity(0))
    quotas = [quota for folder in _folders(root, groups) if (quota := _quota(folder)) is not None]
    return max(1, min([allowed, *map(int, quotas)]))


def _folders(root: Path, groups: Path) -> Iterator[Path]:
    """The folders of the process's own groups, and of all above them."""
    try:
        lines = groups.read_text().splitlines()
    except OSError:
        lines = []
    for line in (*lines, "0::/"):
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            mounts = [root, root / "unified"]
        elif "cpu" in controllers.split(","):
            mounts = [root / name for name in _CONTROLLERS]
        else:
            continue
        own = PurePosixPath(path.lstrip("/"))
        for group in (own, *own.parents):
            yield from (mount / group for mount in mounts if ".." not in group.parts)
    yield from (root / name for name in _CONTROLLERS)


def _quota(folder: Path) -> float | None:
    """CPUs that one group may use; None where it is not limited, or there is no such group."""
    both = _words(folder / "cpu.max") or [*_words(folder / "cpu.cfs_quota_us"), *_words(folder / "cpu.cfs_period_us")]
    try:
        quota, period = (float(word) for word in both)
    except ValueError:  # "max", or not two numbers
        return None
    return quota / period if quota > 0 and period > 0 else None


def _words(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except OSError:
        return []
