"""An estimate of what an explanation would take, from a few of its windows: asked before hours are spent.

seconds = base pass + windows that change a pixel * samples * seconds a window of the few
"""

from __future__ import annotations

import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from krypton_compile.contract import geometry
from krypton_compile.runtime.engine.scorer import Scorer
from krypton_compile.runtime.inputs.windows import Windows
from krypton_compile.runtime.sweep.resolved import Resolved
from krypton_compile.runtime.sweep.windows_scored import plan, score_windows

TRIED = 64
"""Windows scored to find out, in runs of neighbours spread over all of them."""
RUNS = 4


@dataclass(frozen=True)
class Estimate:
    """``windows`` in all, ``scored`` of them change a pixel; ``memory`` bytes at the most, of the whole process."""

    windows: int
    scored: int
    seconds: float
    memory: int

    def describe(self) -> str:
        """The estimate in a line."""
        memory = f"{self.memory / 2**30:.1f} GiB" if self.memory >= 2**30 else f"{self.memory / 2**20:.0f} MiB"
        return f"{self.windows} windows, {self.scored} to score, about {self.seconds:.1f} s, {memory}"


def estimate(scorer: Scorer, resolved: Resolved, grids: Sequence[Windows]) -> Estimate:
    """Score a few windows of each grid, exactly, and tell what all of them would take."""
    count = scored = 0
    seconds = resolved.seconds
    for windows in grids:
        sweep = plan(scorer, resolved, windows)
        changed = np.flatnonzero(~sweep.unchanged)
        count, scored = count + len(windows.boxes), scored + len(changed)
        if not len(changed):
            continue
        # Neighbours share work, so runs of them are timed; the first time packs weights and checks itself.
        near = changed[geometry.neighbour_order(windows.boxes[changed])]
        starts = np.linspace(0, max(0, len(near) - TRIED // RUNS), RUNS).astype(np.int64)
        at = near[np.unique((starts[:, None] + np.arange(min(len(near), TRIED // RUNS))).ravel())]
        _run(scorer, resolved, windows, at)
        started = time.perf_counter()
        _run(scorer, resolved, windows, at)
        seconds += (time.perf_counter() - started) / len(at) * len(changed)
    scores = 4 * count * len(resolved.subject.classes)
    return Estimate(count, scored, seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 + scores)


def _run(scorer: Scorer, resolved: Resolved, windows: Windows, at: npt.NDArray[np.int64]) -> None:
    for _ in score_windows(scorer, resolved, windows, at):
        pass
